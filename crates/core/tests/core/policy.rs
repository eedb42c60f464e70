//! A policy cannot contradict itself, and reads as it is written.

use core::time::Duration;

use ostracon_core::{
    ClaimName, Claims, MissingJti, Policy, PolicyBuilder, PolicyError, PolicyWarning, Scope, StoreFailure, Tier,
    TierRule, UnixTime,
};

const SEC: Duration = Duration::from_secs(1);

#[test]
fn defaults_are_within_what_is_recommended() {
    let policy = Policy::default();
    assert_eq!(Policy::builder().build(), Ok(policy.clone()));
    assert_eq!(policy.warnings().count(), 0);
    assert_eq!(policy.leeway(), 30 * SEC);
    assert_eq!(policy.access_lifetime(), Duration::from_mins(10));
    assert_eq!(policy.refresh_lifetime(), Duration::from_hours(14 * 24));
    assert_eq!(policy.session_lifetime(), Duration::from_hours(30 * 24));
    assert_eq!(policy.longest_lifetime(), Duration::from_hours(30 * 24));
    assert_eq!(policy.low_tier_lifetime(), Duration::from_mins(15));
    assert_eq!(policy.high_tier_age(), None);
    assert_eq!(policy.required_claims(), [ClaimName::Sub]);
    assert_eq!(policy.tokens_without_jti(), MissingJti::Refuse);
    assert_eq!(policy.required_scope(), &Scope::default());
}

#[test]
fn p005_p054_bounds_are_inclusive_and_nothing_passes_them() {
    let try_ = |change: fn(PolicyBuilder) -> PolicyBuilder| change(Policy::builder()).build().err();
    assert_eq!(try_(|b| b.leeway(Policy::MAX_LEEWAY)), None);
    assert_eq!(try_(|b| b.leeway(Policy::MAX_LEEWAY + SEC)), Some(PolicyError::Leeway));

    assert_eq!(try_(|b| b.access_lifetime(SEC)), None);
    let nothing = Duration::from_millis(999);
    assert_eq!(
        try_(|b| b.access_lifetime(Duration::ZERO)),
        Some(PolicyError::Lifetime("access_lifetime"))
    );
    assert_eq!(
        Policy::builder().access_lifetime(nothing).build(),
        Err(PolicyError::Lifetime("access_lifetime"))
    );
    assert_eq!(
        try_(|b| b.high_tier_age(Duration::ZERO)),
        Some(PolicyError::Lifetime("high_tier_age"))
    );
    assert_eq!(try_(|b| b.longest_lifetime(Policy::MAX_LIFETIME)), None);
    assert_eq!(
        try_(|b| b.longest_lifetime(Policy::MAX_LIFETIME + SEC)),
        Some(PolicyError::Lifetime("longest_lifetime"))
    );

    let order = |shorter, longer| Some(PolicyError::Order(shorter, longer));
    let days = |n: u64| Duration::from_hours(24 * n);
    assert_eq!(Policy::builder().access_lifetime(days(14)).build().err(), None);
    assert_eq!(
        Policy::builder().access_lifetime(days(14) + SEC).build().err(),
        order("access_lifetime", "refresh_lifetime")
    );
    assert_eq!(
        Policy::builder().refresh_lifetime(days(31)).build().err(),
        order("refresh_lifetime", "session_lifetime")
    );
    assert_eq!(
        Policy::builder().session_lifetime(days(31)).build().err(),
        order("session_lifetime", "longest_lifetime")
    );
    assert_eq!(
        Policy::builder().low_tier_lifetime(days(30) + SEC).build().err(),
        order("low_tier_lifetime", "longest_lifetime")
    );
    assert_eq!(
        Policy::builder().high_tier_age(days(30) + SEC).build().err(),
        order("high_tier_age", "longest_lifetime")
    );
}

#[test]
fn lifetimes_outside_5_to_15_minutes_are_warned_of() {
    let warned = |secs| {
        let policy = Policy::builder().access_lifetime(secs * SEC).build().unwrap();
        policy.warnings().collect::<Vec<_>>()
    };
    assert!(warned(300).is_empty() && warned(900).is_empty());
    assert_eq!(warned(299), [PolicyWarning::AccessLifetime(299 * SEC)]);
    assert_eq!(warned(901), [PolicyWarning::AccessLifetime(901 * SEC)]);
    assert_eq!(
        warned(901)[0].to_string(),
        "access tokens live for 901 seconds; 300 to 900 are recommended"
    );

    let lax = Policy::builder()
        .low_tier_lifetime(901 * SEC)
        .low_without_store(StoreFailure::Accept)
        .build()
        .unwrap();
    let expected = [
        PolicyWarning::LowTierLifetime(901 * SEC),
        PolicyWarning::LowPassesWithoutStore,
    ];
    assert_eq!(lax.warnings().collect::<Vec<_>>(), expected);
}

#[test]
fn i1_the_longest_lifetime_cuts_the_others() {
    let aged = Policy::builder().high_tier_age(Duration::from_mins(5)).build().unwrap();
    let policy = aged.with_longest_lifetime(60 * SEC);
    for cut in [
        policy.access_lifetime(),
        policy.refresh_lifetime(),
        policy.session_lifetime(),
    ] {
        assert_eq!(cut, 60 * SEC);
    }
    assert_eq!(
        (policy.low_tier_lifetime(), policy.high_tier_age()),
        (60 * SEC, Some(60 * SEC))
    );
    // What comes out can be built again.
    assert_eq!(PolicyBuilder::from(policy.clone()).build(), Ok(policy));

    let least = Policy::default().with_longest_lifetime(Duration::ZERO);
    assert_eq!(least.longest_lifetime(), SEC);
    let most = Policy::default().with_longest_lifetime(Duration::MAX);
    assert_eq!(most.longest_lifetime(), Policy::MAX_LIFETIME);
    assert_eq!(most.access_lifetime(), Duration::from_mins(10));

    let low = Policy::default().with_low_tier_lifetime(Duration::MAX);
    assert_eq!(low.low_tier_lifetime(), low.longest_lifetime());
}

#[test]
fn i1_a_revocation_outlives_the_largest_leeway() {
    let policy = Policy::default();
    assert_eq!(policy.forgettable(UnixTime::from_secs(100)), UnixTime::from_secs(400));
    assert_eq!(
        policy.forgettable(UnixTime::from_millis(100_001)),
        UnixTime::from_secs(401)
    );
    let last = UnixTime::from_secs(UnixTime::MAX.as_secs());
    assert_eq!(policy.forgettable(UnixTime::MAX), last);
}

#[test]
fn a_file_holds_it() {
    let json = r#"{
        "leeway_secs": 5, "access_lifetime_secs": 300, "refresh_lifetime_secs": 600, "session_lifetime_secs": 1200,
        "longest_lifetime_secs": 2400, "low_tier_lifetime_secs": 60, "high_tier_age_secs": 30, "default_tier": "low",
        "tiers": [{"audience": "bank", "tier": "high"}, {"path": "/images", "tier": "low"}],
        "low_without_store": "accept", "required_claims": ["sub", "client_id"], "required_scope": "read",
        "tokens_without_jti": "digest"
    }"#;
    let expected = Policy::builder()
        .leeway(5 * SEC)
        .access_lifetime(300 * SEC)
        .refresh_lifetime(600 * SEC)
        .session_lifetime(1200 * SEC)
        .longest_lifetime(2400 * SEC)
        .low_tier_lifetime(60 * SEC)
        .high_tier_age(30 * SEC)
        .default_tier(Tier::Low)
        .tier(TierRule::audience("bank", Tier::High).unwrap())
        .tier(TierRule::path("/images", Tier::Low).unwrap())
        .low_without_store(StoreFailure::Accept)
        .required_claims([ClaimName::Sub, ClaimName::ClientId])
        .required_scope(Scope::new("read").unwrap())
        .tokens_without_jti(MissingJti::Digest)
        .build()
        .unwrap();
    let read: Policy = serde_json::from_str(json).unwrap();
    assert_eq!(read, expected);
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&written).unwrap(), expected);
    let default = serde_json::to_string(&Policy::default()).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&default).unwrap(), Policy::default());
    assert_eq!(serde_json::from_str::<Policy>("{}").unwrap(), Policy::default());

    for bad in [
        r#"{"leeway_secs":301}"#,
        r#"{"leeway_secs":-1}"#,
        r#"{"leeway":30}"#,
        r#"{"access_lifetime_secs":0}"#,
        r#"{"refresh_lifetime_secs":100}"#,
        r#"{"required_claims":["role"]}"#,
        r#"{"required_scope":"a  b"}"#,
        r#"{"tiers":[{"tier":"high"}]}"#,
        r#"{"on_store_failure":"accept"}"#,
    ] {
        assert!(serde_json::from_str::<Policy>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_strictest_rule_stands_whatever_their_order() {
    let rules = [
        TierRule::audience("shop", Tier::Low).unwrap(),
        TierRule::scope("pay", Tier::High).unwrap(),
        TierRule::path("/open", Tier::Low).unwrap(),
    ];
    let claims = |scope: &str, aud: &str| {
        Claims::parse(format!(r#"{{"iss":"i","exp":9,"aud":"{aud}","scope":"{scope}"}}"#).as_bytes()).unwrap()
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let policy = order
            .iter()
            .fold(Policy::builder(), |b, &at| b.tier(rules[at].clone()))
            .build()
            .unwrap();
        assert_eq!(policy.tier(&claims("read", "shop"), None), Tier::Low);
        assert_eq!(policy.tier(&claims("read pay", "shop"), Some("/open")), Tier::High);
        assert_eq!(policy.tier(&claims("read", "other"), Some("/open/x")), Tier::Low);
        assert_eq!(policy.tier(&claims("read", "other"), Some("/closed")), Tier::Standard);
    }
    let high = Policy::builder().default_tier(Tier::High).build().unwrap();
    assert_eq!(high.tier(&claims("", "x"), None), Tier::High);
}

/// A lax rule is for its own path alone: what could be read as that path and as another does not get it.
#[test]
fn an_unclear_path_never_lowers_the_tier() {
    let claims = Claims::parse(br#"{"iss":"i","exp":9,"aud":"shop"}"#).unwrap();
    let lax = Policy::builder().tier(TierRule::path("/public", Tier::Low).unwrap());
    let tier = |policy: PolicyBuilder, path| policy.build().unwrap().tier(&claims, path);
    assert_eq!(tier(lax.clone(), Some("/public/a")), Tier::Low);
    for unclear in ["/public/../account", "", "//public", "/public/%2e%2e/account"] {
        assert_eq!(tier(lax.clone(), Some(unclear)), Tier::Standard, "{unclear}");
        let strict = lax.clone().tier(TierRule::path("/admin", Tier::High).unwrap());
        assert_eq!(tier(strict, Some(unclear)), Tier::High, "{unclear}");
    }
    // Where no rule is by path, no path is unclear.
    let by_audience = Policy::builder().tier(TierRule::audience("shop", Tier::Low).unwrap());
    assert_eq!(tier(by_audience, Some("")), Tier::Low);
}

/// What is built without a builder is what a builder takes, too.
#[test]
fn a_policy_that_was_changed_can_be_written_and_read() {
    for low in [Duration::ZERO, SEC, Duration::from_hours(24 * 365)] {
        let policy = Policy::default().with_low_tier_lifetime(low);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        assert!(policy.with_leeway(Duration::ZERO).is_ok());
    }
}
