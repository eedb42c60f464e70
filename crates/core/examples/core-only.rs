//! A resource server that decides for itself, and learns of revocations from wherever it likes: here from lines of JSON,
//! as a message queue or the event stream of `ostracon` would bring them. No store, no server, no clock but its own.
//!
//! `cargo run -p ostracon-core --example core-only --features jwt`

#![expect(clippy::print_stdout, reason = "an example")]

use core::time::Duration;
use std::{collections::HashMap, error::Error};

use ostracon_core::{
    Claims, Demand, Facts, Issuer, IssuerKeys, Keyring, Known, Policy, Reason, Refusal, Revocation, SigningKey, Target,
    Targets, Tier, TierRule, TokenType, Trace, UnixTime, decide_observed,
};
use serde::Deserialize;

const ISSUER: &str = "https://auth.example";
/// When the example plays.
const NOW: UnixTime = UnixTime::from_secs(1_790_000_300);

/// What a line of the feed says.
#[derive(Deserialize)]
struct Event {
    target: Target,
    reason: Reason,
    at: u64,
}

/// Revocations by what they revoke. The stricter of two stays, so lines may come twice and in any order.
#[derive(Default)]
struct Feed(HashMap<Target, Revocation>);

impl Feed {
    fn learn(&mut self, line: &str, policy: &Policy) -> Result<(), serde_json::Error> {
        let Event { target, reason, at } = serde_json::from_str(line)?;
        let entry = Revocation::new(target.clone(), reason, policy, UnixTime::from_secs(at));
        let merged = match self.0.remove(&target) {
            Some(known) => known.merge(entry),
            None => entry,
        };
        self.0.insert(target, merged);
        Ok(())
    }

    fn facts(&self, targets: &Targets<'_>) -> Facts {
        Facts::of(targets.iter().filter_map(|t| self.0.get(&t.to_owned())), targets, NOW)
    }
}

/// One request: what the route asks for, against a token that was verified.
fn judge(
    claims: &Claims,
    targets: &Targets<'_>,
    path: &str,
    known: Option<&Feed>,
    policy: &Policy,
) -> Result<(), Refusal> {
    let demand = Demand {
        audiences: &["shop"],
        path: Some(path),
        ..Demand::default()
    };
    let facts = known.map(|known| known.facts(targets));
    // What cannot be asked is told so, and never left out: only then can the policy decide what it means.
    let known = facts.as_ref().map_or(Known::Unavailable, Known::Facts);
    let mut trace = Trace::default();
    let verdict = decide_observed(claims, &demand, known, policy, NOW, &mut trace);
    let steps: Vec<_> = trace
        .steps()
        .map(|(step, r)| format!("{}{}", if r.is_ok() { "" } else { "!" }, step.as_str()))
        .collect();
    println!(
        "{path:<14} {:<22} {}",
        verdict.as_ref().map_or_else(|r| r.code().as_str(), |()| "allowed"),
        steps.join(" ")
    );
    verdict
}

fn main() -> Result<(), Box<dyn Error>> {
    let policy = Policy::builder()
        .tier(TierRule::path("/images", Tier::Low)?)
        .tier(TierRule::path("/payments", Tier::High)?)
        .high_tier_age(Duration::from_mins(5))
        .build()?;

    // The key of RFC 8037 A.1, which everyone knows. A resource server has only the public half, in a set.
    let signer = SigningKey::from_jwk(
        br#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        None,
    )?;
    let set = serde_json::json!({ "keys": [signer.public_jwk()] }).to_string();
    let (keys, skipped) = IssuerKeys::from_jwk_set(set.as_bytes())?;
    assert!(skipped.is_empty());
    let mut keyring = Keyring::default();
    keyring.trust(Issuer::new(ISSUER)?, keys.with_audiences(["shop"]));

    let token = signer.sign(
        TokenType::Access,
        &serde_json::json!({
            "iss": ISSUER, "sub": "user-42", "aud": "shop", "jti": "j1", "sid": "s1",
            "iat": 1_790_000_000, "exp": 1_790_000_600,
        }),
    )?;
    let verified = keyring.verify(&token, TokenType::Access)?;
    let ask = |path: &str, known: Option<&Feed>| judge(verified.claims(), &verified.targets(), path, known, &policy);

    let mut known = Feed::default();
    assert_eq!(ask("/orders", Some(&known)), Ok(()));
    // Nothing is known while the feed is down: images may be seen, orders may not.
    assert_eq!(ask("/images/logo", None), Ok(()));
    assert_eq!(ask("/orders", None), Err(Refusal::StoreUnavailable));

    known.learn(
        r#"{"target":{"kind":"session","iss":"https://auth.example","sid":"s1"},"reason":"logout","at":1790000200}"#,
        &policy,
    )?;
    for path in ["/images/logo", "/orders", "/payments"] {
        assert!(matches!(ask(path, Some(&known)), Err(Refusal::Revoked(_))));
    }
    Ok(())
}
