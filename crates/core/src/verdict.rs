//! The decision.

use crate::{
    claims::{Claims, Scope},
    policy::{Policy, Tier},
    refusal::Refusal,
    revocation::Revocation,
    time::UnixTime,
};

/// What a route asks of a token.
#[derive(Clone, Debug, Default)]
pub struct Demand<'a> {
    /// The token must be for one of these; where there is none, for whomever it likes.
    pub audiences: &'a [&'a str],
    /// The token must allow all of this.
    pub scope: Scope,
    /// How much is at stake.
    pub tier: Tier,
}

impl Demand<'_> {
    /// Whether the denylist has to be asked about a token with `claims`.
    ///
    /// [`Tier::Low`] takes signature and expiry alone, but only of a token that says how short its life is.
    #[must_use]
    pub fn asks_denylist(&self, claims: &Claims, policy: &Policy) -> bool {
        let short = || {
            claims
                .iat()
                .is_some_and(|iat| claims.exp().since(iat) <= policy.low_tier_lifetime())
        };
        self.tier != Tier::Low || !short()
    }
}

/// What is known of a token's targets.
#[derive(Clone, Debug)]
pub struct Facts {
    /// A revocation that [hits](Revocation::hits) the token.
    pub revocation: Option<Revocation>,
    /// Revocations retained up to this time may have been forgotten, so what ended by then is refused even when the
    /// clock says otherwise: a clock that steps back forgives nobody (I1).
    pub forgotten_until: UnixTime,
}

impl Facts {
    /// Nothing is revoked, nothing was forgotten.
    #[must_use]
    pub fn none() -> Self {
        Self {
            revocation: None,
            forgotten_until: UnixTime::EPOCH,
        }
    }
}

/// Whether a token with `claims` satisfies `demand` at `now`, given what is known of it.
///
/// Total and pure. Boundaries: `now == exp + leeway` is expired, `now == nbf - leeway` is valid (RFC 7519 §4.1.4,
/// §4.1.5), `iat == now + leeway` is accepted, a life of exactly the longest is accepted.
///
/// # Errors
///
/// The first [`Refusal`] in the order: claims that must stand, time, audience, denylist, scope.
pub fn decide(
    claims: &Claims,
    demand: &Demand<'_>,
    facts: &Facts,
    policy: &Policy,
    now: UnixTime,
) -> Result<(), Refusal> {
    let absent = |name| Refusal::ClaimInvalid(name, "absent");
    claims.sub().ok_or(absent("sub"))?;
    claims.jti().ok_or(absent("jti"))?;
    let iat = claims.iat().ok_or(absent("iat"))?;

    let leeway = policy.leeway();
    // I1: a revocation is kept until `forgettable(exp)`; once that may have been swept, the token counts as ended.
    let forgotten = policy.forgettable(claims.exp()) <= facts.forgotten_until;
    if now >= claims.exp().saturating_add(leeway) || forgotten {
        return Err(Refusal::Expired);
    }
    let latest_start = now.saturating_add(leeway);
    if claims.nbf().is_some_and(|nbf| latest_start < nbf) || latest_start < iat {
        return Err(Refusal::NotYetValid);
    }
    if claims.exp().since(iat) > policy.longest_lifetime() {
        return Err(Refusal::ClaimInvalid("exp", "later than the longest lifetime allows"));
    }

    if !demand.audiences.is_empty() && !demand.audiences.iter().any(|a| claims.aud().contains(a)) {
        return Err(Refusal::AudienceMismatch);
    }
    if let Some(revocation) = &facts.revocation {
        return Err(Refusal::Revoked(Box::new(revocation.clone())));
    }
    if !claims.scope().covers(&demand.scope) {
        return Err(Refusal::ScopeInsufficient);
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Issuer, Jti, Reason, Target, Targets};

    fn claims(exp: u64, more: &str) -> Claims {
        Claims::parse(format!(r#"{{"iss":"i","sub":"u","jti":"j","iat":10,"exp":{exp}{more}}}"#).as_bytes()).unwrap()
    }

    fn verdict(claims: &Claims, now_millis: u64) -> Result<(), Refusal> {
        let policy = Policy::default().with_leeway(Duration::from_secs(5)).unwrap();
        decide(
            claims,
            &Demand::default(),
            &Facts::none(),
            &policy,
            UnixTime::from_millis(now_millis),
        )
    }

    #[test]
    fn p005_p008_equality_with_exp_and_leeway_is_expired() {
        assert_eq!(verdict(&claims(20, ""), 24_999), Ok(()));
        assert_eq!(verdict(&claims(20, ""), 25_000), Err(Refusal::Expired));
        let half = Claims::parse(br#"{"iss":"i","sub":"u","jti":"j","iat":10,"exp":20.5}"#).unwrap();
        assert_eq!(
            (verdict(&half, 25_499), verdict(&half, 25_500)),
            (Ok(()), Err(Refusal::Expired))
        );
    }

    #[test]
    fn p006_equality_with_nbf_is_accepted() {
        let c = claims(100, r#","nbf":50"#);
        assert_eq!(
            (verdict(&c, 44_999), verdict(&c, 45_000)),
            (Err(Refusal::NotYetValid), Ok(()))
        );
    }

    #[test]
    fn a58_issued_in_the_future() {
        assert_eq!(
            (verdict(&claims(20, ""), 4_999), verdict(&claims(20, ""), 5_000)),
            (Err(Refusal::NotYetValid), Ok(()))
        );
    }

    #[test]
    fn a_lifetime_beyond_the_longest_is_refused() {
        let longest = 30 * 24 * 3600;
        assert_eq!(verdict(&claims(10 + longest, ""), 10_000), Ok(()));
        assert!(matches!(
            verdict(&claims(11 + longest, ""), 10_000),
            Err(Refusal::ClaimInvalid("exp", _))
        ));
    }

    #[test]
    fn p040_sub_jti_and_iat_must_stand() {
        for (json, name) in [
            (r#"{"iss":"i","jti":"j","iat":1,"exp":9}"#, "sub"),
            (r#"{"iss":"i","sub":"u","iat":1,"exp":9}"#, "jti"),
            (r#"{"iss":"i","sub":"u","jti":"j","exp":9}"#, "iat"),
        ] {
            let c = Claims::parse(json.as_bytes()).unwrap();
            assert_eq!(verdict(&c, 5_000), Err(Refusal::ClaimInvalid(name, "absent")));
        }
    }

    #[test]
    fn p033_p049_audience_and_scope() {
        let policy = Policy::default();
        let ask = |c: &Claims, audiences: &[&str], scope| {
            let demand = Demand {
                audiences,
                scope: Scope::new(scope).unwrap(),
                ..Demand::default()
            };
            decide(c, &demand, &Facts::none(), &policy, UnixTime::from_secs(10))
        };
        let c = claims(20, r#","aud":["shop"],"scope":"read""#);
        assert_eq!(ask(&c, &["shop", "till"], "read"), Ok(()));
        assert_eq!(ask(&c, &["till"], ""), Err(Refusal::AudienceMismatch));
        assert_eq!(ask(&claims(20, ""), &["shop"], ""), Err(Refusal::AudienceMismatch));
        assert_eq!(ask(&c, &["shop"], "read write"), Err(Refusal::ScopeInsufficient));
    }

    #[test]
    fn low_tier_asks_about_long_lived_tokens_all_the_same() {
        let policy = Policy::default().with_low_tier_lifetime(Duration::from_secs(10));
        let low = Demand {
            tier: Tier::Low,
            ..Demand::default()
        };
        assert!(!low.asks_denylist(&claims(20, ""), &policy));
        assert!(low.asks_denylist(&claims(21, ""), &policy));
        assert!(low.asks_denylist(&Claims::parse(br#"{"iss":"i","exp":1}"#).unwrap(), &policy));
        assert!(Demand::default().asks_denylist(&claims(20, ""), &policy));
    }

    #[test]
    fn a73_what_may_have_been_forgotten_counts_as_ended() {
        let policy = Policy::default();
        let c = claims(20, "");
        let facts = |forgotten_until| Facts {
            forgotten_until,
            ..Facts::none()
        };
        let ask = |f: Facts| decide(&c, &Demand::default(), &f, &policy, UnixTime::from_secs(15));
        let forgettable = policy.forgettable(c.exp());
        assert_eq!(ask(facts(UnixTime::from_millis(forgettable.as_millis() - 1))), Ok(()));
        assert_eq!(ask(facts(forgettable)), Err(Refusal::Expired));
    }

    fn small_world() -> impl Strategy<Value = (Claims, Policy, Facts, UnixTime)> {
        let times = (8..14_u64, 10..20_u64, 0..40_000_u64, 0..330_u64);
        (times, 0..4_u64, any::<bool>()).prop_map(|((iat, exp, now, forgotten), leeway, revoked)| {
            let json = format!(r#"{{"iss":"i","sub":"u","jti":"j","iat":{iat},"exp":{exp}}}"#);
            let policy = Policy::default().with_leeway(Duration::from_secs(leeway)).unwrap();
            let target = Target::Token {
                iss: Issuer::new("i").unwrap(),
                jti: Jti::new("j").unwrap(),
            };
            let revocation = revoked.then(|| Revocation::new(target, Reason::Logout, &policy, UnixTime::EPOCH));
            let facts = Facts {
                revocation,
                forgotten_until: UnixTime::from_secs(forgotten),
            };
            (
                Claims::parse(json.as_bytes()).unwrap(),
                policy,
                facts,
                UnixTime::from_millis(now),
            )
        })
    }

    proptest! {
        /// I1: an entry that the sweeper may drop belongs to a token that policy refuses, whatever leeway it has.
        #[test]
        fn i1_forgotten_implies_refused(exp in 12..100_u64, leeway in 0..=300_u64, after in 0..3_000_u64, back in 0..500_u64) {
            let c = claims(exp, "");
            let policy = Policy::default().with_leeway(Duration::from_secs(leeway)).unwrap();
            let target = Target::Token { iss: Issuer::new("i").unwrap(), jti: Jti::new("j").unwrap() };
            let entry = Revocation::new(target, Reason::Logout, &policy, UnixTime::from_secs(10)).expiring(c.exp(), &policy);
            let swept_at = entry.retained_until().saturating_add(Duration::from_millis(after));
            let facts = Facts { revocation: None, forgotten_until: swept_at };
            prop_assert!(decide(&c, &Demand::default(), &Facts::none(), &policy, swept_at).is_err());
            // ... and if the clock then steps back, too.
            let earlier = UnixTime::from_secs(swept_at.as_secs().saturating_sub(back).max(10));
            prop_assert_eq!(decide(&c, &Demand::default(), &facts, &policy, earlier), Err(Refusal::Expired));
        }

        /// Adding a revocation never turns a refusal into a pass.
        #[test]
        fn a_revocation_never_helps((c, policy, facts, now) in small_world()) {
            let with = decide(&c, &Demand::default(), &facts, &policy, now);
            let without = decide(&c, &Demand::default(), &Facts { revocation: None, ..facts.clone() }, &policy, now);
            prop_assert!(with.is_err() || without.is_ok());
            prop_assert!(facts.revocation.is_none() || with.is_err());
        }

        /// Past `exp + leeway` nothing is accepted, ever again.
        #[test]
        fn time_only_closes((c, policy, facts, now) in small_world(), later in 0..50_000_u64) {
            let end = c.exp().saturating_add(policy.leeway());
            let then = now.max(end).saturating_add(Duration::from_millis(later));
            prop_assert!(decide(&c, &Demand::default(), &facts, &policy, then).is_err());
        }

        /// I6: a revocation is in force up to the moment at which it may be forgotten, and not at it.
        #[test]
        fn i6_an_entry_judges_its_own_end(exp in 10..20_u64, now in 300_000..330_000_u64) {
            let policy = Policy::default();
            let c = claims(exp, "");
            let target = Target::Token { iss: Issuer::new("i").unwrap(), jti: Jti::new("j").unwrap() };
            let entry = Revocation::new(target, Reason::Logout, &policy, UnixTime::EPOCH).expiring(c.exp(), &policy);
            let now = UnixTime::from_millis(now);
            prop_assert_eq!(entry.hits(&Targets::of(&c, None), now), now.as_millis() < (exp + 300) * 1000);
        }
    }
}
