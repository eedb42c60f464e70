//! Any bytes as a key or a set: no panic, and nothing private in what is published.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::{Algorithm, IssuerKeys, Policy, SigningKey, UnixTime, VerifyingKey};

fuzz_target!(|bytes: &[u8]| {
    let _ = SigningKey::from_jwk(bytes, None);
    let _ = VerifyingKey::from_jwk(bytes, None);
    if let Ok((keys, _)) = IssuerKeys::from_jwk_set(bytes) {
        let set = keys.public_jwk_set(&Policy::default(), UnixTime::EPOCH);
        for key in set["keys"].as_array().expect("an array") {
            assert!(key.get("d").is_none() && key.get("k").is_none());
        }
    }
    if let Ok((keys, _)) = IssuerKeys::from_public_jwk_set(bytes, &Algorithm::ALL) {
        assert!(keys.keys().count() <= IssuerKeys::MAX_PUBLISHED);
        assert!(
            keys.keys().all(|key| key.public_jwk().is_some()),
            "no secret is published"
        );
    }
});
