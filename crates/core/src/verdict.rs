//! The decision.

use alloc::boxed::Box;

use crate::{
    claims::{Claims, Scope},
    policy::{MissingJti, Policy, StoreFailure, Tier},
    refusal::Refusal,
    revocation::Revocation,
    target::Targets,
    time::UnixTime,
    trace::{Observer, Step},
};

/// What a route asks of a token.
#[derive(Clone, Debug, Default)]
pub struct Demand<'a> {
    /// The token must be for one of these; where there is none, for whomever it likes.
    pub audiences: &'a [&'a str],
    /// The token must allow all of this.
    pub scope: Scope,
    /// How much is at stake, at least: a rule of the policy that applies can raise it. Where nothing is said, what the
    /// policy says; see [`Policy::tier`].
    pub tier: Option<Tier>,
    /// Where the request goes, for the rules of the policy that are by path.
    pub path: Option<&'a str>,
}

impl Demand<'_> {
    /// How much is at stake for a token with `claims`: what the policy says, and at least what is
    /// demanded.
    #[must_use]
    pub fn tier(&self, claims: &Claims, policy: &Policy) -> Tier {
        match self.tier {
            None => policy.tier(claims, self.path),
            Some(tier) => policy.rules(claims, self.path).map_or(tier, |rule| rule.max(tier)),
        }
    }

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
        self.tier(claims, policy) != Tier::Low || !short()
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

    /// What `revocations`, wherever they come from, say of the token with these `targets` at `now`.
    #[must_use]
    pub fn of<'r>(revocations: impl IntoIterator<Item = &'r Revocation>, targets: &Targets<'_>, now: UnixTime) -> Self {
        Self {
            revocation: revocations.into_iter().find(|r| r.hits(targets, now)).cloned(),
            ..Self::none()
        }
    }
}

/// Whether there are [`Facts`], and if not, why. A `&Facts` is one.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// The denylist was asked and answered.
    Facts(&'a Facts),
    /// It was not asked, because [`Demand::asks_denylist`] said that it need not be.
    NotAsked,
    /// It was asked and could not answer.
    Unavailable,
}

impl<'a> From<&'a Facts> for Known<'a> {
    fn from(facts: &'a Facts) -> Self {
        Self::Facts(facts)
    }
}

/// Whether a token with `claims` satisfies `demand` at `now`, given what is known of it.
///
/// Total and pure. Boundaries: `now == exp + leeway` is expired, `now == nbf - leeway` is valid (RFC 7519 §4.1.4,
/// §4.1.5), `iat == now + leeway` is accepted, a life of exactly the longest is accepted, an age of exactly the cap and
/// the leeway is too old.
///
/// # Errors
///
/// The first [`Refusal`] in the order: claims that must stand, time, audience, denylist, scope.
pub fn decide<'a>(
    claims: &Claims,
    demand: &Demand<'_>,
    known: impl Into<Known<'a>>,
    policy: &Policy,
    now: UnixTime,
) -> Result<(), Refusal> {
    decide_observed(claims, demand, known, policy, now, &mut ())
}

/// The same as [`decide`], each step shown to `observer`.
///
/// # Errors
///
/// As for [`decide`], whatever the observer.
pub fn decide_observed<'a, O: Observer>(
    claims: &Claims,
    demand: &Demand<'_>,
    known: impl Into<Known<'a>>,
    policy: &Policy,
    now: UnixTime,
    observer: &mut O,
) -> Result<(), Refusal> {
    let known = known.into();
    let tier = demand.tier(claims, policy);
    let mut steps = Steps {
        observer,
        first: Ok(()),
    };
    steps.take(Step::Required, || required(claims, policy))?;
    steps.take(Step::Expiry, || expiry(claims, known, policy, now))?;
    steps.take(Step::Start, || start(claims, policy, now))?;
    steps.take(Step::Lifetime, || lifetime(claims, policy))?;
    if tier == Tier::High {
        steps.take(Step::Age, || age(claims, policy, now))?;
    }
    steps.take(Step::Audience, || {
        let one = demand.audiences.iter().any(|a| claims.aud().contains(a));
        holds(one || demand.audiences.is_empty(), Refusal::AudienceMismatch)
    })?;
    steps.take(Step::Denylist, || match known {
        Known::Facts(Facts {
            revocation: Some(r), ..
        }) => Err(Refusal::Revoked(Box::new(r.clone()))),
        Known::Facts(_) => Ok(()),
        // I5: no answer never reads as "not revoked"; what need not be asked needs none.
        _ if !demand.asks_denylist(claims, policy) => Ok(()),
        Known::Unavailable if policy.on_store_failure(tier) == StoreFailure::Accept => Ok(()),
        Known::NotAsked | Known::Unavailable => Err(Refusal::StoreUnavailable),
    })?;
    steps.take(Step::Scope, || {
        let all = [&demand.scope, policy.required_scope()]
            .into_iter()
            .all(|s| claims.scope().covers(s));
        holds(all, Refusal::ScopeInsufficient)
    })?;
    steps.first
}

/// Takes steps up to the first refusal, or all of them when the observer goes on.
struct Steps<'o, O> {
    observer: &'o mut O,
    first: Result<(), Refusal>,
}

impl<O: Observer> Steps<'_, O> {
    #[inline]
    fn take(&mut self, step: Step, check: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
        let outcome = check();
        self.observer.step(step, outcome.as_ref().copied());
        if !O::GOES_ON {
            return outcome;
        }
        if self.first.is_ok() {
            self.first = outcome;
        }
        Ok(())
    }
}

fn holds(condition: bool, otherwise: Refusal) -> Result<(), Refusal> {
    if condition { Ok(()) } else { Err(otherwise) }
}

fn absent(name: &'static str) -> Refusal {
    Refusal::ClaimInvalid(name, "absent")
}

fn required(claims: &Claims, policy: &Policy) -> Result<(), Refusal> {
    if let Some(name) = policy.required_claims().iter().find(|name| !name.stands_in(claims)) {
        return Err(absent(name.as_str()));
    }
    let id = match policy.tokens_without_jti() {
        MissingJti::Refuse => claims.jti(),
        MissingJti::Digest => claims.token_id(),
    };
    holds(id.is_some(), absent("jti"))?;
    // I1: how long a cut-off has to be kept is counted from the issue of the last token that it hits. Without `iat` the
    // token could outlive it.
    holds(claims.iat().is_some(), absent("iat"))
}

fn expiry(claims: &Claims, known: Known<'_>, policy: &Policy, now: UnixTime) -> Result<(), Refusal> {
    // I1: a revocation is kept until `forgettable(exp)`; once that may have been swept, the token counts as ended.
    let forgotten = match known {
        Known::Facts(facts) => policy.forgettable(claims.exp()) <= facts.forgotten_until,
        Known::NotAsked | Known::Unavailable => false,
    };
    let over = now >= claims.exp().saturating_add(policy.leeway());
    holds(!over && !forgotten, Refusal::Expired)
}

fn start(claims: &Claims, policy: &Policy, now: UnixTime) -> Result<(), Refusal> {
    let latest = now.saturating_add(policy.leeway());
    let begun = |at: Option<UnixTime>| at.is_none_or(|at| at <= latest);
    holds(begun(claims.nbf()) && begun(claims.iat()), Refusal::NotYetValid)
}

fn lifetime(claims: &Claims, policy: &Policy) -> Result<(), Refusal> {
    let within = |iat| claims.exp().since(iat) <= policy.longest_lifetime();
    let too_long = Refusal::ClaimInvalid("exp", "later than the longest lifetime allows");
    // A token that ends before it begins was never meant for anyone.
    let backwards = Refusal::ClaimInvalid("exp", "before iat");
    holds(claims.iat().is_none_or(|iat| iat <= claims.exp()), backwards)?;
    holds(claims.iat().is_none_or(within), too_long)
}

fn age(claims: &Claims, policy: &Policy, now: UnixTime) -> Result<(), Refusal> {
    let Some((cap, iat)) = policy.high_tier_age().zip(claims.iat()) else {
        return Ok(());
    };
    holds(
        now < iat.saturating_add(cap).saturating_add(policy.leeway()),
        Refusal::TooOld,
    )
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

    /// P5, P8, P105.
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
            tier: Some(Tier::Low),
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
