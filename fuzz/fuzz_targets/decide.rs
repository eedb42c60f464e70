//! A verdict is the one that plain arithmetic comes to, at every edge of every time; and what a revocation denies is
//! refused without it from the moment on that it may be forgotten (I1).
//!
//! Input: six bytes (where the time is: by what, and by how many milliseconds off; the same for when it is revoked; tier),
//! then lines: claims, a policy, and what is demanded: audiences with commas in between, a scope, a path.
#![no_main]

use core::time::Duration;

use libfuzzer_sys::fuzz_target;
use ostracon_core::{
    Claims, Demand, Facts, Known, MissingJti, Policy, Reason, Refusal, Revocation, Scope, StoreFailure, Targets, Tier,
    UnixTime, decide,
};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Some(([at, off, revoked, revoked_off, tier, _], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let mut lines = rest.split(|b| *b == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let Ok(claims) = Claims::parse(line()) else { return };
    let policy_json = line();
    let Ok(policy) = serde_json::from_slice::<Policy>(policy_json) else {
        return;
    };
    let policy_json: Value = serde_json::from_slice(policy_json).expect("JSON");
    // What is read is written and read again.
    let written = serde_json::to_vec(&policy).expect("JSON");
    assert_eq!(serde_json::from_slice::<Policy>(&written).expect("a policy"), policy);

    let mut text = || core::str::from_utf8(line()).unwrap_or_default();
    let audiences: Vec<_> = text().split(',').filter(|audience| !audience.is_empty()).collect();
    let scope = text();
    let Ok(demanded) = Scope::new(scope) else { return };
    let path = text();
    let demand = Demand {
        audiences: &audiences,
        scope: demanded,
        tier: [None, Some(Tier::Low), Some(Tier::Standard), Some(Tier::High)][usize::from(tier % 4)],
        path: Some(path).filter(|path| !path.is_empty()),
    };
    let now = moment(*at, *off, &claims, &policy);

    let tier = expected_tier(&claims, &policy_json, &demand);
    assert_eq!(demand.tier(&claims, &policy), tier);
    let own = refused(&claims, &policy, &demand, scope, tier, now);
    assert_eq!(
        decide(&claims, &demand, &Facts::none(), &policy, now).is_err(),
        own,
        "{now:?}"
    );

    // Without an answer: only a short-lived token of tier low need not be asked about, or passes a failing store.
    let short = claims
        .iat()
        .is_some_and(|iat| millis(claims.exp()) - millis(iat) <= span(policy.low_tier_lifetime()));
    let unasked = tier == Tier::Low && short;
    assert_eq!(
        decide(&claims, &demand, Known::NotAsked, &policy, now).is_err(),
        own || !unasked
    );
    let passes = unasked || tier == Tier::Low && policy.on_store_failure(Tier::Low) == StoreFailure::Accept;
    assert_eq!(
        decide(&claims, &demand, Known::Unavailable, &policy, now).is_err(),
        own || !passes
    );

    let when = moment(*revoked, *revoked_off, &claims, &policy);
    let targets = Targets::of(&claims, None);
    for target in targets.iter() {
        let made = Revocation::new(target.to_owned(), Reason::Logout, &policy, when);
        for revocation in [
            made.clone().expiring(claims.exp(), &policy),
            made.clone().before(claims.iat().unwrap_or(when), &policy),
            made,
        ] {
            let facts = Facts::of([&revocation], &targets, now);
            let verdict = decide(&claims, &demand, &facts, &policy, now);
            let iat = claims.iat().map(|iat| iat.as_secs());
            let is_cut_off = revocation
                .cutoff()
                .is_none_or(|before| iat.is_none_or(|iat| iat <= before.as_secs()));
            assert_eq!(
                facts.revocation.is_some(),
                is_cut_off && now < revocation.retained_until()
            );
            assert_eq!(verdict.is_err(), own || facts.revocation.is_some());
            // By a clock that is ahead of ours by no more than can be configured, it was issued when this was made. The
            // last second that there is has no next one in which it would be over.
            let issued = claims
                .iat()
                .is_some_and(|iat| millis(iat) <= millis(when) + span(Policy::MAX_LEEWAY));
            let is_over = now >= revocation.retained_until() && now.as_secs() < UnixTime::MAX.as_secs();
            if is_cut_off && issued && is_over {
                assert!(
                    verdict.is_err(),
                    "{revocation:?} is forgotten at {now:?}, and {claims:?} passes"
                );
            }
            // I1: the clock steps back, and what was swept is over all the same.
            if is_cut_off && issued && revocation.cutoff().is_none() {
                let swept = Facts {
                    revocation: None,
                    forgotten_until: revocation.retained_until(),
                };
                let verdict = decide(&claims, &demand, &swept, &policy, now);
                assert!(verdict.is_err(), "{revocation:?} was swept, and {claims:?} passes");
            }
            // Of two the stricter stands, in either order.
            let other = Revocation::new(target.to_owned(), Reason::Rotated, &policy, now);
            let merged = revocation.clone().merge(other.clone());
            assert_eq!(merged, other.clone().merge(revocation.clone()));
            assert!(merged.cutoff() >= revocation.cutoff().max(other.cutoff()));
            assert!(merged.retained_until() >= revocation.retained_until().max(other.retained_until()));
        }
    }
    if let Err(Refusal::Revoked(_)) = decide(&claims, &demand, &Facts::none(), &policy, now) {
        panic!("revoked by nothing");
    }
});

fn millis(at: UnixTime) -> i128 {
    at.as_millis().into()
}

fn span(span: Duration) -> i128 {
    span.as_millis() as i128
}

/// An edge of the token's times, and by how much past it.
fn moment(edge: u8, off: u8, claims: &Claims, policy: &Policy) -> UnixTime {
    let iat = claims.iat().unwrap_or(UnixTime::EPOCH);
    let age = policy.high_tier_age().unwrap_or_default();
    let edges = [
        UnixTime::EPOCH,
        iat,
        claims.nbf().unwrap_or(iat),
        claims.exp(),
        claims.exp().saturating_add(policy.leeway()),
        iat.saturating_add(age).saturating_add(policy.leeway()),
        policy.forgettable(claims.exp()),
        policy.forgettable(iat.saturating_add(policy.longest_lifetime())),
        UnixTime::MAX,
    ];
    let off = i128::from(off as i8) * if edge & 0x80 == 0 { 1 } else { 1000 };
    let back = if edge & 0x40 == 0 { 0 } else { span(policy.leeway()) };
    let at = millis(edges[usize::from(edge & 0x3f) % edges.len()]) + off - back;
    UnixTime::from_millis(at.max(0) as u64)
}

/// Whether the token is not good by itself.
fn refused(claims: &Claims, policy: &Policy, demand: &Demand<'_>, scope: &str, tier: Tier, now: UnixTime) -> bool {
    let latest = millis(UnixTime::MAX);
    let (now, leeway) = (millis(now), span(policy.leeway()));
    let Some(iat) = claims.iat().map(millis) else {
        return true;
    };
    let exp = millis(claims.exp());
    let no_name = match policy.tokens_without_jti() {
        MissingJti::Refuse => claims.jti().is_none(),
        MissingJti::Digest => claims.token_id().is_none(),
    };
    let absent = policy.required_claims().iter().any(|name| !name.stands_in(claims));
    let times = now >= (exp + leeway).min(latest)
        || iat > (now + leeway).min(latest)
        || claims.nbf().is_some_and(|nbf| millis(nbf) > (now + leeway).min(latest))
        || exp < iat
        || exp - iat > span(policy.longest_lifetime());
    let too_old = tier == Tier::High
        && policy
            .high_tier_age()
            .is_some_and(|age| now >= (iat + span(age)).min(latest).saturating_add(leeway).min(latest));
    let words: Vec<_> = claims.scope().as_str().split(' ').collect();
    let lacks = |scope: &str| {
        scope
            .split(' ')
            .filter(|word| !word.is_empty())
            .any(|word| !words.contains(&word))
    };
    let for_others = !demand.audiences.is_empty()
        && !claims
            .aud()
            .iter()
            .any(|aud| demand.audiences.iter().any(|wanted| *wanted == aud));
    no_name || absent || times || too_old || for_others || lacks(scope) || lacks(policy.required_scope().as_str())
}

/// The strictest of what is demanded and of the rules, which a path with two readings has all of.
fn expected_tier(claims: &Claims, json: &Value, demand: &Demand<'_>) -> Tier {
    let usual: Tier = json.get("default_tier").map_or(Tier::Standard, |tier| {
        serde_json::from_value(tier.clone()).expect("a tier")
    });
    let none = Vec::new();
    let rules = json.get("tiers").and_then(Value::as_array).unwrap_or(&none);
    let clear = demand.path.is_none_or(is_clear);
    let mut found = None;
    for rule in rules {
        let text = |name: &str| rule.get(name).and_then(Value::as_str);
        let applies = match (text("audience"), text("scope"), text("path")) {
            (Some(audience), ..) => claims.aud().iter().any(|aud| aud == audience),
            (_, Some(word), _) => claims.scope().as_str().split(' ').any(|w| w == word),
            (.., Some(prefix)) => demand.path.is_some_and(|path| {
                let prefix = prefix.trim_end_matches('/');
                !clear || path == prefix || path.starts_with(&format!("{prefix}/"))
            }),
            _ => false,
        };
        if applies {
            found = found.max(Some(serde_json::from_value(rule["tier"].clone()).expect("a tier")));
        }
        if !clear && text("path").is_some() {
            found = found.max(Some(usual));
        }
    }
    match demand.tier {
        None => found.unwrap_or(usual),
        Some(tier) => found.map_or(tier, |found: Tier| found.max(tier)),
    }
}

fn is_clear(path: &str) -> bool {
    let mut segments: Vec<_> = path.split('/').collect();
    if segments.len() > 1 && segments.last() == Some(&"") {
        segments.pop();
    }
    segments[0].is_empty()
        && !path.is_empty()
        && path
            .bytes()
            .all(|b| (0x21..0x7f).contains(&b) && !b"%\\;?#".contains(&b))
        && segments[1..].iter().all(|segment| !["", ".", ".."].contains(segment))
}
