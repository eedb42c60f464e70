//! The decision: total, explainable, and only ever stricter for more that is known.

use core::time::Duration;

use ostracon_core::{
    ClaimName, Claims, Demand, Facts, Issuer, Jti, Known, MissingJti, Policy, Reason, Refusal, Revocation, Scope, Step,
    StoreFailure, Subject, Target, Targets, Tier, TierRule, Trace, UnixTime, decide, decide_observed,
};
use proptest::prelude::*;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn claims(members: &str) -> Claims {
    Claims::parse(format!(r#"{{"iss":"i"{members}}}"#).as_bytes()).unwrap()
}

fn usual(iat: u64, exp: u64) -> Claims {
    claims(&format!(
        r#","sub":"u","jti":"j","aud":"shop","scope":"read","iat":{iat},"exp":{exp}"#
    ))
}

fn revoked(policy: &Policy) -> Facts {
    let target = Target::Token {
        iss: Issuer::new("i").unwrap(),
        jti: Jti::new("j").unwrap(),
    };
    Facts {
        revocation: Some(Revocation::new(target, Reason::Logout, policy, at(0))),
        ..Facts::none()
    }
}

fn tiered(tier: Tier) -> Demand<'static> {
    Demand {
        tier: Some(tier),
        ..Demand::default()
    }
}

#[test]
fn i5_no_answer_is_never_not_revoked() {
    let strict = Policy::default();
    let lax = Policy::builder()
        .low_without_store(StoreFailure::Accept)
        .build()
        .unwrap();
    let (short, long) = (usual(1_000, 1_900), usual(1_000, 1_901));
    let refused = Err(Refusal::StoreUnavailable);
    for (policy, tier, token, unavailable, not_asked) in [
        // A short-lived token on tier low need not be asked for, so no answer is needed.
        (&strict, Tier::Low, &short, Ok(()), Ok(())),
        (&strict, Tier::Low, &long, refused.clone(), refused.clone()),
        (&strict, Tier::Standard, &short, refused.clone(), refused.clone()),
        (&strict, Tier::High, &short, refused.clone(), refused.clone()),
        // Only tier low can be told to pass, and not when the store was simply not asked.
        (&lax, Tier::Low, &long, Ok(()), refused.clone()),
        (&lax, Tier::Standard, &short, refused.clone(), refused.clone()),
        (&lax, Tier::High, &short, refused.clone(), refused.clone()),
    ] {
        let ask = |known: Known<'_>| decide(token, &tiered(tier), known, policy, at(1_500));
        assert_eq!(ask(Known::Unavailable), unavailable, "{tier:?} unavailable");
        assert_eq!(ask(Known::NotAsked), not_asked, "{tier:?} not asked");
        assert_eq!(ask(Known::Facts(&Facts::none())), Ok(()), "{tier:?}");
        // What is known stands, also where it need not have been asked for.
        assert!(
            matches!(ask(Known::Facts(&revoked(policy))), Err(Refusal::Revoked(_))),
            "{tier:?}"
        );
    }
    assert_eq!(Refusal::StoreUnavailable.code().as_str(), "store_unavailable");
}

#[test]
fn rules_of_the_policy_raise_what_is_demanded_and_never_lower_it() {
    let policy = Policy::builder()
        .tier(TierRule::path("/pay", Tier::High).unwrap())
        .tier(TierRule::scope("read", Tier::Low).unwrap())
        .build()
        .unwrap();
    let token = usual(1_000, 1_600);
    let tier = |tier, path| Demand { path, ..tiered(tier) }.tier(&token, &policy);
    assert_eq!(tier(Tier::Low, None), Tier::Low);
    assert_eq!(tier(Tier::Standard, None), Tier::Standard);
    assert_eq!(tier(Tier::Low, Some("/pay/now")), Tier::High);
    assert!(!tiered(Tier::Low).asks_denylist(&token, &policy));
    let paying = Demand {
        path: Some("/pay"),
        ..tiered(Tier::Low)
    };
    assert!(paying.asks_denylist(&token, &policy));
    assert_eq!(
        decide(&token, &paying, Known::NotAsked, &policy, at(1_100)),
        Err(Refusal::StoreUnavailable)
    );
}

#[test]
fn tier_high_caps_the_age_and_the_others_do_not() {
    let policy = Policy::builder()
        .leeway(Duration::from_secs(5))
        .high_tier_age(Duration::from_mins(1))
        .build()
        .unwrap();
    let token = usual(1_000, 1_600);
    let ask = |tier, millis| {
        decide(
            &token,
            &tiered(tier),
            &Facts::none(),
            &policy,
            UnixTime::from_millis(millis),
        )
    };
    assert_eq!(ask(Tier::High, 1_064_999), Ok(()));
    assert_eq!(ask(Tier::High, 1_065_000), Err(Refusal::TooOld));
    assert_eq!(ask(Tier::Standard, 1_065_000), Ok(()));
    assert_eq!(Refusal::TooOld.code().as_str(), "token_expired");
}

#[test]
fn p040_required_claims_are_the_policys_but_iat_always_is() {
    let ask =
        |policy: &Policy, members: &str| decide(&claims(members), &Demand::default(), &Facts::none(), policy, at(5));
    let absent = |name| Err(Refusal::ClaimInvalid(name, "absent"));
    let all = [
        (ClaimName::Sub, r#","sub":"u""#),
        (ClaimName::Aud, r#","aud":["a"]"#),
        (ClaimName::ClientId, r#","client_id":"c""#),
        (ClaimName::Sid, r#","sid":"s""#),
        (ClaimName::Nbf, r#","nbf":1"#),
        (ClaimName::Scope, r#","scope":"s""#),
    ];
    for (name, member) in all {
        let policy = Policy::builder().required_claims([name]).build().unwrap();
        let base = r#","jti":"j","iat":1,"exp":9"#;
        assert_eq!(ask(&policy, base), absent(name.as_str()));
        assert_eq!(ask(&policy, &format!("{base}{member}")), Ok(()), "{name:?}");
    }
    let aud = Policy::builder().required_claims([ClaimName::Aud]).build().unwrap();
    assert_eq!(ask(&aud, r#","jti":"j","iat":1,"exp":9,"aud":[]"#), absent("aud"));
    let nothing = Policy::builder().required_claims([]).build().unwrap();
    assert_eq!(ask(&nothing, r#","jti":"j","exp":9"#), absent("iat"));
    assert_eq!(ask(&nothing, r#","iat":1,"exp":9"#), absent("jti"));
}

#[test]
fn p049_the_scope_of_the_policy_is_asked_for_too() {
    let policy = Policy::builder()
        .required_scope(Scope::new("read").unwrap())
        .build()
        .unwrap();
    let ask = |scope: &str| {
        let token = claims(&format!(r#","sub":"u","jti":"j","iat":1,"exp":9,"scope":"{scope}""#));
        decide(&token, &Demand::default(), &Facts::none(), &policy, at(5))
    };
    assert_eq!(
        (ask("read write"), ask("write")),
        (Ok(()), Err(Refusal::ScopeInsufficient))
    );
}

#[test]
fn a_token_without_jti_passes_only_with_an_identity() {
    let policy = Policy::builder()
        .tokens_without_jti(MissingJti::Digest)
        .build()
        .unwrap();
    let bare = claims(r#","sub":"u","iat":1,"exp":9"#);
    let ask = |token: &Claims, policy: &Policy| decide(token, &Demand::default(), &Facts::none(), policy, at(5));
    let absent = Err(Refusal::ClaimInvalid("jti", "absent"));
    assert_eq!(ask(&bare, &policy), absent);
    let named = bare.identified_by(Jti::new("digest").unwrap());
    assert_eq!(ask(&named, &policy), Ok(()));
    assert_eq!(ask(&named, &Policy::default()), absent);
    let ids = |c: &Claims| Targets::of(c, None).iter().next().unwrap().name().to_owned();
    assert_eq!(ids(&named), "digest");
    assert_eq!(ids(&usual(1, 2).identified_by(Jti::new("digest").unwrap())), "j");
}

#[test]
fn facts_are_found_among_any_revocations() {
    let policy = Policy::default();
    let subject = |sub: &str| Target::Subject {
        iss: Issuer::new("i").unwrap(),
        sub: Subject::new(sub).unwrap(),
    };
    let known = ["v", "u"].map(|sub| Revocation::new(subject(sub), Reason::Admin, &policy, at(100)));
    let found = |iat, now| {
        let token = usual(iat, iat + 600);
        let facts = Facts::of(&known, &Targets::of(&token, None), at(now));
        facts.revocation.map(|r| r.target().clone())
    };
    assert_eq!(found(100, 200), Some(subject("u")));
    assert_eq!(found(101, 200), None);
    assert_eq!(found(100, known[1].retained_until().as_secs()), None);
}

#[test]
fn p043_each_refusal_has_its_word() {
    use ostracon_core::Segment;
    for (refusal, word) in [
        (Refusal::TooLarge, "token_too_large"),
        (Refusal::Malformed(Segment::Token, ""), "token_malformed"),
        (Refusal::Unsupported(""), "token_unsupported"),
        (Refusal::KeyUnknown, "key_unknown"),
        (Refusal::SignatureInvalid, "signature_invalid"),
        (Refusal::ClaimInvalid("", ""), "claims_invalid"),
        (Refusal::Expired, "token_expired"),
        (Refusal::NotYetValid, "token_not_yet_valid"),
        (Refusal::IssuerUnknown, "issuer_unknown"),
        (Refusal::AudienceMismatch, "audience_mismatch"),
        (
            Refusal::Revoked(Box::new(revoked(&Policy::default()).revocation.unwrap())),
            "token_revoked",
        ),
        (Refusal::ScopeInsufficient, "scope_insufficient"),
    ] {
        assert_eq!(refusal.code().as_str(), word);
        assert!(!refusal.to_string().ends_with('.') && !refusal.to_string().is_empty());
    }
    let told: Vec<_> = [Segment::Token, Segment::Header, Segment::Claims]
        .map(|s| Refusal::Malformed(s, "x").to_string())
        .into();
    assert_eq!(
        told,
        [
            "token is malformed: x",
            "header is malformed: x",
            "claims set is malformed: x"
        ]
    );
}

#[test]
fn a_trace_shows_every_step_once_in_order() {
    let policy = Policy::default();
    let mut trace = Trace::default();
    let token = usual(1_000, 1_600);
    let verdict = decide_observed(
        &token,
        &tiered(Tier::High),
        &Facts::none(),
        &policy,
        at(1_100),
        &mut trace,
    );
    assert_eq!((verdict, trace.refusal()), (Ok(()), None));
    let steps: Vec<_> = trace.steps().map(|(step, _)| step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "required", "expiry", "start", "lifetime", "age", "audience", "denylist", "scope"
        ]
    );
    assert!(trace.steps().map(|(step, _)| step).is_sorted());

    // Everything wrong at once is told at once; the verdict is the first.
    let mut trace = Trace::default();
    let demand = Demand {
        audiences: &["bank"],
        scope: Scope::new("write").unwrap(),
        ..Demand::default()
    };
    let token = claims(r#","nbf":9000000,"iat":1,"exp":7000000,"scope":"read""#);
    let facts = revoked(&policy);
    let verdict = decide_observed(&token, &demand, &facts, &policy, at(8_000_000), &mut trace);
    let refused: Vec<_> = trace
        .steps()
        .filter(|(_, r)| r.is_err())
        .map(|(step, _)| step)
        .collect();
    let all = [
        Step::Required,
        Step::Expiry,
        Step::Start,
        Step::Lifetime,
        Step::Audience,
        Step::Denylist,
        Step::Scope,
    ];
    assert_eq!(refused, all);
    assert_eq!(verdict, Err(Refusal::ClaimInvalid("sub", "absent")));
}

#[derive(Clone, Debug)]
struct World {
    claims: Claims,
    policy: Policy,
    facts: Facts,
    tier: Tier,
    audience: bool,
    now: UnixTime,
}

/// Small numbers, so that the boundaries meet.
fn world() -> impl Strategy<Value = World> {
    let times = (8..14_u64, 10..20_u64, 0..40_000_u64, 0..330_u64, 8..14_u64);
    let flags = (
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    );
    let tiers = prop_oneof![Just(Tier::Low), Just(Tier::Standard), Just(Tier::High)];
    let spans = (0..4_u64, 1..6_u64, 1..12_u64);
    (times, flags, tiers, spans).prop_map(|(times, flags, tier, (leeway, age, longest))| {
        let (iat, exp, now, forgotten, nbf) = times;
        let (hit, has_nbf, has_sub, has_jti, audience) = flags;
        let mut members = format!(r#","iat":{iat},"exp":{exp},"aud":"shop""#);
        for (stands, member) in [
            (has_nbf, format!(r#","nbf":{nbf}"#)),
            (has_sub, r#","sub":"u""#.to_owned()),
            (has_jti, r#","jti":"j""#.to_owned()),
        ] {
            members.push_str(if stands { &member } else { "" });
        }
        let policy = Policy::builder()
            .leeway(Duration::from_secs(leeway))
            .high_tier_age(Duration::from_secs(age))
            .build()
            .unwrap()
            .with_longest_lifetime(Duration::from_secs(longest));
        let facts = if hit { revoked(&policy) } else { Facts::none() };
        World {
            claims: claims(&members),
            facts: Facts {
                forgotten_until: at(forgotten),
                ..facts
            },
            policy,
            tier,
            audience,
            now: UnixTime::from_millis(now),
        }
    })
}

impl World {
    fn demand(&self) -> Demand<'static> {
        Demand {
            audiences: if self.audience { &["shop"] } else { &["bank"] },
            ..tiered(self.tier)
        }
    }

    fn decide<'a>(&'a self, known: impl Into<Known<'a>>, now: UnixTime) -> Result<(), Refusal> {
        decide(&self.claims, &self.demand(), known, &self.policy, now)
    }
}

proptest! {
    /// Adding a revocation never turns a refusal into a pass, and what is revoked never passes.
    #[test]
    fn monotone_in_what_is_revoked(w in world()) {
        let without = w.decide(&Facts { revocation: None, ..w.facts.clone() }, w.now);
        let with = w.decide(&revoked(&w.policy), w.now);
        prop_assert!(with.is_err());
        prop_assert!(w.decide(&w.facts, w.now).is_err() || without.is_ok());
    }

    /// Past `exp + leeway` nothing is accepted, ever again.
    #[test]
    fn past_its_end_nothing_is_accepted(w in world(), later in 0..50_000_u64) {
        let end = w.claims.exp().saturating_add(w.policy.leeway());
        let then = w.now.max(end).saturating_add(Duration::from_millis(later));
        prop_assert!(w.decide(&w.facts, then).is_err());
        prop_assert!(w.decide(Known::Unavailable, then).is_err());
    }

    /// Knowing nothing is at most as good as knowing that there is nothing.
    #[test]
    fn i5_ignorance_never_helps(w in world()) {
        let clear = w.decide(&Facts::none(), w.now);
        for known in [Known::NotAsked, Known::Unavailable] {
            prop_assert!(w.decide(known, w.now).is_err() || clear.is_ok());
        }
    }

    /// A higher tier accepts nothing that a lower one refuses.
    #[test]
    fn monotone_in_the_tier(w in world()) {
        let lower = World { tier: Tier::Low, ..w.clone() };
        for known in [Known::Facts(&w.facts), Known::NotAsked, Known::Unavailable] {
            prop_assert!(w.decide(known, w.now).is_err() || lower.decide(known, w.now).is_ok());
        }
    }

    /// Being watched changes nothing.
    #[test]
    fn the_trace_tells_the_verdict(w in world()) {
        for known in [Known::Facts(&w.facts), Known::NotAsked, Known::Unavailable] {
            let mut trace = Trace::default();
            let seen = decide_observed(&w.claims, &w.demand(), known, &w.policy, w.now, &mut trace);
            prop_assert_eq!(&seen, &w.decide(known, w.now));
            prop_assert_eq!(trace.refusal(), seen.as_ref().err());
        }
    }
}

/// The policy's own tier counts where a route says nothing; nobody has to ask for it.
#[test]
fn where_no_tier_is_demanded_the_policys_counts() {
    let policy = Policy::builder()
        .default_tier(Tier::High)
        .high_tier_age(Duration::from_mins(1))
        .leeway(Duration::ZERO)
        .build()
        .unwrap();
    let token = Claims::parse(br#"{"iss":"i","sub":"u","jti":"j","iat":1000,"exp":1600}"#).unwrap();
    let ask = |tier| {
        let demand = Demand {
            tier,
            ..Demand::default()
        };
        decide(&token, &demand, &Facts::none(), &policy, at(1_500))
    };
    assert_eq!(ask(None), Err(Refusal::TooOld));
    assert_eq!(ask(Some(Tier::Standard)), Ok(()));
    let unknown = decide(&token, &Demand::default(), Known::NotAsked, &policy, at(1_010));
    assert_eq!(unknown, Err(Refusal::StoreUnavailable));
}

#[test]
fn a_token_that_ends_before_it_begins_is_refused() {
    let token = Claims::parse(br#"{"iss":"i","sub":"u","jti":"j","iat":1000,"exp":999}"#).unwrap();
    let judged = decide(&token, &Demand::default(), &Facts::none(), &Policy::default(), at(990));
    assert_eq!(judged, Err(Refusal::ClaimInvalid("exp", "before iat")));
}
