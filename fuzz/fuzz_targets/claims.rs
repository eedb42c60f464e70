//! Claims that are read are one JSON object to `serde_json` too, say the same, and can be judged at any time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::{
    Claims, Demand, Facts, Known, Policy, Reason, Revocation, Targets, Tier, Trace, UnixTime, decide, decide_observed,
};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(claims) = Claims::parse(bytes) else { return };
    let json: Value = serde_json::from_slice(bytes).expect("JSON");
    assert_eq!(json["iss"].as_str(), Some(claims.iss().as_str()));
    assert_eq!(json["sub"].as_str(), claims.sub().map(|sub| sub.as_str()));
    assert_eq!(json["jti"].as_str(), claims.jti().map(|jti| jti.as_str()));
    assert!(json["exp"].as_f64().expect("a number") >= claims.exp().as_secs() as f64);

    let policy = Policy::default();
    for now in [
        UnixTime::EPOCH,
        claims.iat().unwrap_or(UnixTime::EPOCH),
        claims.exp(),
        UnixTime::MAX,
    ] {
        let demand = Demand {
            tier: Some(Tier::High),
            ..Demand::default()
        };
        let clear = decide(&claims, &demand, &Facts::none(), &policy, now);
        for target in Targets::of(&claims, None).iter() {
            let entry = Revocation::new(target.to_owned(), Reason::Logout, &policy, now);
            let facts = Facts::of([&entry], &Targets::of(&claims, None), now);
            let mut trace = Trace::default();
            let verdict = decide_observed(&claims, &demand, &facts, &policy, now, &mut trace);
            assert!(verdict.is_err() || clear.is_ok());
            assert_eq!(trace.refusal(), verdict.as_ref().err());
        }
        assert!(decide(&claims, &demand, Known::Unavailable, &policy, now).is_err());
    }
    let end = claims.exp().saturating_add(policy.leeway());
    assert!(decide(&claims, &Demand::default(), &Facts::none(), &policy, end).is_err());
});
