//! What a keyring remembers is that its keys vouch for a token, letter for letter, and nothing that can change (A77).

use core::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ostracon_core::{
    Demand, Facts, Keyring, Memory, Policy, Reason, Refusal, Revocation, Scope, SigningKey, Tier, TokenType, UnixTime,
    decide,
};
use serde_json::Value;

use crate::support::{
    CLAIMS, HEADER, bytes, ecdsa_twin, hs256, issuer, keys, one, refusal, rfc_jwk, ring, signed, signed_with,
};

fn remembering() -> Keyring {
    one().with_memory(&Memory::new(1 << 20))
}

/// How many tokens are kept, how often one was found, and how often not.
fn figures(ring: &Keyring) -> (usize, u64, u64) {
    let stats = ring.memory().stats();
    (stats.tokens, stats.hits, stats.misses)
}

#[test]
fn a_token_that_comes_again_is_the_same_one_without_a_second_check() {
    let ring = remembering();
    let token = signed(HEADER, CLAIMS);
    let first = ring.verify(&token, TokenType::Access).unwrap();
    assert_eq!(figures(&ring), (1, 0, 1));
    let again = ring.verify(&token, TokenType::Access).unwrap();
    assert_eq!(figures(&ring), (1, 1, 1));
    assert_eq!(first.claims(), again.claims());
    assert_eq!((again.typ(), again.kid()), (TokenType::Access, first.kid()));
    // What is made of it is made once.
    assert_eq!(first.kept(|claims| claims.exp().as_secs()), Some(&1600));
    assert_eq!(again.kept(|_| 0_u64), Some(&1600));
    assert_eq!(again.kept(|_| "of another type"), None);
    // Whoever looks at each step sees each step.
    let mut trace = ostracon_core::Trace::default();
    ring.verify_observed(&token, TokenType::Access, &mut trace).unwrap();
    assert!(trace.steps().count() > 5);
    assert_eq!(figures(&ring), (1, 1, 1));
}

/// A77: whatever was said of the token before, each of these is asked of it anew.
#[test]
fn a77_a_verdict_is_not_remembered() {
    let ring = remembering();
    let token = signed(HEADER, CLAIMS);
    let at = |secs| UnixTime::from_secs(secs);
    let policy = Policy::builder().high_tier_age(Duration::from_mins(1)).build().unwrap();
    let ask = |demand: &Demand<'_>, facts: &Facts, now| {
        let token = ring.verify(&token, TokenType::Access).unwrap();
        decide(token.claims(), demand, facts, &policy, now)
    };
    let (any, none) = (Demand::default(), Facts::none());
    assert_eq!(ask(&any, &none, at(1100)), Ok(()));

    assert_eq!(ask(&any, &none, at(1600 + 60)), Err(Refusal::Expired));
    let of_bank = Demand {
        audiences: &["bank"],
        ..Demand::default()
    };
    assert_eq!(ask(&of_bank, &none, at(1100)), Err(Refusal::AudienceMismatch));
    let to_write = Demand {
        scope: Scope::new("write").unwrap(),
        ..Demand::default()
    };
    assert_eq!(ask(&to_write, &none, at(1100)), Err(Refusal::ScopeInsufficient));
    let high = Demand {
        tier: Some(Tier::High),
        ..Demand::default()
    };
    assert_eq!(ask(&high, &none, at(1200)), Err(Refusal::TooOld));
    let verified = ring.verify(&token, TokenType::Access).unwrap();
    for target in verified.targets().iter() {
        let entry = Revocation::new(target.to_owned(), Reason::Admin, &policy, at(1100));
        let facts = Facts::of([&entry], &verified.targets(), at(1100));
        assert!(
            matches!(ask(&any, &facts, at(1100)), Err(Refusal::Revoked(_))),
            "{target:?}"
        );
    }
    assert_eq!(ask(&any, &none, at(1100)), Ok(()));
    let (tokens, hits, misses) = figures(&ring);
    assert_eq!((tokens, misses), (1, 1));
    assert!(hits > 8, "each but the first was of a token that was remembered");
}

/// A keyring that is changed in whatever way knows nothing of what it was before, and its clone still does.
#[test]
fn whoever_changes_a_keyring_begins_anew() {
    let before = remembering();
    let token = signed(HEADER, CLAIMS);
    before.verify(&token, TokenType::Access).unwrap();

    let mut other_key = before.clone();
    other_key.trust(issuer("i"), keys(&[&hs256("k", 8)]));
    assert_eq!(refusal(&other_key, &token), Refusal::SignatureInvalid);
    let mut no_key = before.clone();
    no_key.trust(issuer("i"), keys(&[&hs256("l", 7)]));
    assert_eq!(refusal(&no_key, &token), Refusal::KeyUnknown);
    let mut elsewhere = before.clone();
    elsewhere.trust(issuer("i"), keys(&[&hs256("k", 7)]).with_audiences(["bank"]));
    assert_eq!(refusal(&elsewhere, &token), Refusal::AudienceMismatch);
    let mut retired = before.clone();
    let key = hs256("k", 7)
        .verifying_key()
        .unwrap()
        .retired_at(UnixTime::from_secs(999));
    let mut of_retired = ostracon_core::IssuerKeys::default();
    of_retired.insert(key).unwrap();
    retired.trust(issuer("i"), of_retired);
    assert_eq!(refusal(&retired, &token), Refusal::KeyUnknown);
    let mut distrusting = before.clone();
    distrusting.distrust(&issuer("i"));
    assert_eq!(refusal(&distrusting, &token), Refusal::IssuerUnknown);
    let short = before.clone().with_max_token_bytes(token.len() - 1);
    assert_eq!(refusal(&short, &token), Refusal::TooLarge);

    let unnamed = CLAIMS.replace(r#""iss":"i","#, "");
    let nameless = signed(HEADER, unnamed);
    let lenient = before.clone().with_unnamed(issuer("i"));
    lenient.verify(&nameless, TokenType::Access).unwrap();
    assert_eq!(refusal(&before, &nameless), Refusal::ClaimInvalid("iss", "absent"));
    let stricter = before.clone().with_unnamed(issuer("j"));
    assert_eq!(refusal(&stricter, &nameless), Refusal::IssuerUnknown);

    let (clone, hits) = (before.clone(), before.memory().stats().hits);
    clone.verify(&token, TokenType::Access).unwrap();
    assert_eq!(
        before.memory().stats().hits,
        hits + 1,
        "a clone that nobody changed is the same"
    );
    let anew = before.clone().with_memory(before.memory());
    assert_eq!(figures(&anew).0, 0);
    assert_eq!(anew.memory().stats().hits, hits + 1, "it counts on");
}

#[test]
fn only_good_access_tokens_are_kept() {
    let ring = remembering();
    let token = signed(HEADER, CLAIMS);
    for n in 0..5_000_u32 {
        let forged = signed_with(&n.to_be_bytes(), HEADER, CLAIMS.replace("\"j\"", &format!("\"j{n}\"")));
        assert_eq!(refusal(&ring, &forged), Refusal::SignatureInvalid);
    }
    assert_eq!(figures(&ring), (0, 0, 5_000), "a flood of forged ones");
    let refresh = signed(HEADER.replace("at+jwt", "rt+jwt"), CLAIMS);
    ring.verify(&refresh, TokenType::Refresh).unwrap();
    assert_eq!(figures(&ring), (0, 0, 5_000), "a refresh token is used once");

    ring.verify(&token, TokenType::Access).unwrap();
    assert_eq!(
        ring.verify(&token, TokenType::Refresh).unwrap_err(),
        Refusal::Unsupported("typ"),
        "kept as what it is, and as nothing else"
    );
    // One letter anywhere, and it is another token.
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(ring.verify(&other, TokenType::Access).is_err(), "byte {at}");
    }
    for other in [
        &token[..token.len() - 1],
        &token[1..],
        &format!("{token}A"),
        &format!("A{token}"),
    ] {
        assert!(ring.verify(other, TokenType::Access).is_err());
    }
    assert_eq!((figures(&ring).0, figures(&ring).1), (1, 0));
}

/// A27: the second spelling of an ECDSA signature is verified by itself, and what revokes the one revokes the other.
#[test]
fn a27_the_twin_of_a_token_is_a_token_of_its_own_by_the_same_name() {
    let signer = SigningKey::from_jwk(&bytes(&rfc_jwk(2)), None).unwrap();
    let ring = ring([("i", keys(&[&signer]))]).with_memory(&Memory::new(1 << 20));
    for claims in [CLAIMS.to_owned(), CLAIMS.replace(r#""jti":"j","#, "")] {
        let (known, before, missed) = figures(&ring);
        let claims: Value = serde_json::from_str(&claims).unwrap();
        let token = signer.sign(TokenType::Access, &claims).unwrap();
        let (input, signature) = token.rsplit_once('.').unwrap();
        let twin = ecdsa_twin(&URL_SAFE_NO_PAD.decode(signature).unwrap());
        let twin = format!("{input}.{}", URL_SAFE_NO_PAD.encode(twin));
        assert_ne!(twin, token);
        let one = ring.verify(&token, TokenType::Access).unwrap();
        let other = ring.verify(&twin, TokenType::Access).unwrap();
        assert_eq!(figures(&ring), (known + 2, before, missed + 2), "each by itself");
        let names = |token: &ostracon_core::VerifiedToken| token.claims().token_id().cloned();
        assert_eq!(names(&one), names(&other));
        let now = UnixTime::from_secs(1100);
        let target = one.targets().iter().next().unwrap().to_owned();
        let entry = Revocation::new(target, Reason::Logout, &Policy::default(), now);
        for token in [&token, &twin] {
            let again = ring.verify(token, TokenType::Access).unwrap();
            assert!(Facts::of([&entry], &again.targets(), now).revocation.is_some());
        }
        assert_eq!(figures(&ring), (known + 2, before + 2, missed + 2));
    }
}

#[test]
fn i8_neither_the_keyring_nor_the_token_shows_what_is_remembered() {
    let ring = remembering();
    let token = signed(HEADER, CLAIMS.replace("\"u\"", "\"who-it-is\""));
    let verified = ring.verify(&token, TokenType::Access).unwrap();
    verified.kept(|claims| claims.sub().unwrap().as_str().to_owned());
    let shown = format!("{ring:?} {verified:?}");
    assert!(!token.split('.').any(|segment| shown.contains(segment)), "{shown}");
    assert!(!shown.contains("who-it-is"), "{shown}");
}
