//! The vectors of RFC 7515, RFC 7520, RFC 7638, RFC 7797 and RFC 8037. Their payloads are no claims of ours, so what they
//! test is keys and signatures.

use ostracon_core::{Algorithm, Compact, Header, KeyError, Refusal, SigningKey, TokenType, VerifyingKey};
use serde_json::{Value, json};

use crate::support::{bytes, public, vector};

fn check(alg: &str, jwk: &Value, compact: &str) {
    let mut jwk = jwk.clone();
    if jwk["kid"].is_null() {
        jwk["kid"] = "k".into();
    }
    let alg: Algorithm = alg.parse().unwrap();
    let token = Compact::split(compact).unwrap();
    let key = VerifyingKey::from_jwk(&bytes(&public(&jwk)), Some(alg)).unwrap();
    assert_eq!(key.alg(), alg);
    assert!(key.verifies(&token), "{compact}");
    for at in [0, compact.len() / 2, compact.len() - 3] {
        let mut other = compact.as_bytes().to_vec();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        let passes = Compact::split(&other).is_ok_and(|token| key.verifies(&token));
        assert!(!passes, "byte {at}");
    }
    // The private half signs what the public half verifies, and names the same key.
    let signer = SigningKey::from_jwk(&bytes(&jwk), Some(alg)).unwrap();
    assert_eq!(signer.public_jwk(), key.public_jwk());
    let token = signer.sign(TokenType::Access, &json!({ "iss": "i" })).unwrap();
    assert!(key.verifies(&Compact::split(&token).unwrap()));
    assert!(
        signer
            .verifying_key()
            .unwrap()
            .verifies(&Compact::split(&token).unwrap())
    );
}

#[test]
fn rfc7515_and_rfc8037_signatures() {
    let vectors = vector("rfc");
    let mut checked = 0;
    for jws in vectors["jws"].as_array().unwrap() {
        let (alg, compact) = (jws["alg"].as_str().unwrap(), jws["compact"].as_str().unwrap());
        match alg {
            // P27, P1: no signature is no segment.
            "none" => assert!(matches!(Compact::split(compact), Err(Refusal::Malformed(..)))),
            "ES512" => {
                let read = VerifyingKey::from_jwk(&bytes(&jws["jwk"]), None);
                assert_eq!(read.unwrap_err(), KeyError::Unsupported("crv"));
            }
            _ => {
                check(alg, &jws["jwk"], compact);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 4);
}

#[test]
fn rfc7520_signatures() {
    for name in [
        "cookbook_4_1_rsa_v15_signature",
        "cookbook_4_2_rsa_pss_signature",
        "cookbook_4_4_hmac_sha2_integrity_protection",
        "ed25519",
    ] {
        let vector = vector(name);
        let compact = vector["output"]["compact"].as_str().unwrap();
        check(
            vector["input"]["alg"].as_str().unwrap(),
            &vector["input"]["key"],
            compact,
        );
    }
    let es512 = vector("cookbook_4_3_ecdsa_signature");
    let read = VerifyingKey::from_jwk(&bytes(&es512["input"]["key"]), None);
    assert_eq!(read.unwrap_err(), KeyError::Unsupported("crv"));
    let nested = &vector("cookbook_6_nested")["sign"];
    check(
        "PS256",
        &nested["input"]["key"],
        nested["output"]["compact"].as_str().unwrap(),
    );
}

#[test]
fn rfc7520_keys_as_they_are_written() {
    for (name, found) in [
        ("jwk_3_1_ec_public", Err(KeyError::Unsupported("crv"))),
        ("jwk_3_2_ec_private", Err(KeyError::Unsupported("crv"))),
        ("jwk_3_3_rsa_public", Ok(Algorithm::RS256)),
        ("jwk_3_4_rsa_private", Ok(Algorithm::RS256)),
        ("jwk_3_5_oct", Ok(Algorithm::HS256)),
    ] {
        let key = VerifyingKey::from_jwk(&bytes(&vector(name)), None);
        assert_eq!(key.map(|k| k.alg()), found, "{name}");
    }
}

#[test]
fn p001_p013_p017_p029_what_is_no_signed_token_is_refused() {
    let b64 = vector("rfc7797_b64_false");
    assert!(Compact::split(b64["output"]["compact"].as_str().unwrap()).is_err());
    let protected = bytes(&b64["signing"]["protected"]);
    assert_eq!(Header::parse(&protected), Err(Refusal::Unsupported("crit")));

    let encrypted = &vector("cookbook_6_nested")["encrypt"];
    assert!(Compact::split(encrypted["output"]["compact"].as_str().unwrap()).is_err());
    let protected = bytes(&encrypted["encrypting_content"]["protected"]);
    assert!(matches!(Header::parse(&protected), Err(Refusal::Unsupported(_))));
}

#[test]
fn p091_thumbprints() {
    for vector in vector("rfc")["thumbprints"].as_array().unwrap() {
        let key = VerifyingKey::from_jwk(&bytes(&vector["jwk"]), None).unwrap();
        assert_eq!(key.thumbprint().as_deref(), vector["sha256"].as_str());
        // Without a kid, the thumbprint is the name.
        let mut nameless = vector["jwk"].clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let key = VerifyingKey::from_jwk(&bytes(&nameless), None).unwrap();
        assert_eq!(Some(key.kid().as_str()), vector["sha256"].as_str());
    }
}
