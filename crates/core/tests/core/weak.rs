//! Keys that are keys, and yet must not be taken.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ostracon_core::{Algorithm, Compact, IssuerKeys, KeyError, SigningKey, TokenType, VerifyingKey};
use serde_json::json;

use crate::support::{bytes, kid};

/// A weak key in a set is no key to pass over: its issuer is in trouble.
#[test]
fn p024_a_weak_rsa_key_refuses_its_whole_set() {
    let odd = |bytes: usize| {
        URL_SAFE_NO_PAD.encode(
            (0..bytes)
                .map(|n| u8::try_from((n * 167 + 131) % 256).unwrap() | 0x81)
                .collect::<Vec<_>>(),
        )
    };
    let set =
        |n: String, e: &str| bytes(&json!({"keys": [{"kty": "RSA", "kid": "r", "alg": "RS256", "n": n, "e": e}]}));
    let refused = |set: Vec<u8>| IssuerKeys::from_jwk_set(&set).map(|_| ()).unwrap_err();
    assert_eq!(refused(set(odd(128), "AQAB")), KeyError::RsaTooShort { bits: 1024 });
    assert!(matches!(refused(set(odd(256), "AQ")), KeyError::RsaUnsound(_)));
}

/// What takes the square of its length is bounded.
#[test]
fn a45_secrets_and_key_ops_are_bounded() {
    let long: Vec<u8> = (0..1025_u32)
        .map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect();
    let made = |secret: &[u8]| SigningKey::from_secret(kid("k"), Algorithm::HS256, secret).map(|_| ());
    assert_eq!(made(&long[..1024]), Ok(()));
    assert_eq!(
        made(&long),
        Err(KeyError::SecretTooLong {
            found: 1025,
            most: 1024
        })
    );
    let ops: Vec<_> = (0..17).map(|n| n.to_string()).collect();
    let jwk = bytes(&json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&long[..32]), "alg": "HS256", "key_ops": ops}));
    assert_eq!(SigningKey::from_jwk(&jwk, None).map(|_| ()), Err(KeyError::NotAJwk));
}

/// A5: whoever is given a public key for a secret has it in one of these spellings.
#[test]
fn a05_keys_are_no_secrets_however_they_are_spelled() {
    // The public key of RFC 8037 Appendix A.
    let body = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n");
    let der = STANDARD.decode(body).unwrap();
    assert!(
        VerifyingKey::from_pem(kid("k"), Algorithm::EdDSA, pem.as_bytes()).is_ok(),
        "the key itself is good"
    );
    let spellings = [
        format!("\u{feff}{pem}").into_bytes(),
        format!("Public-Key: (256 bit)\n{pem}").into_bytes(),
        pem.replace('\n', "\\n").into_bytes(),
        body.as_bytes().to_vec(),
        format!("{body}\n").into_bytes(),
        [&der[..], b"\n"].concat(),
        der,
        br#"[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]"#.to_vec(),
        b"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7".to_vec(),
    ];
    for spelling in spellings {
        let made = SigningKey::from_secret(kid("k"), Algorithm::HS256, &spelling).map(|_| ());
        assert_eq!(
            made,
            Err(KeyError::SecretIsAKey),
            "{}",
            String::from_utf8_lossy(&spelling)
        );
    }
}

/// P26, A26: RFC 7515 §10.6: a signature that is good for another hash is none, whatever its padding says.
#[test]
fn p026_the_hash_inside_an_rsa_signature_is_the_one_that_alg_names() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let key = SigningKey::from_der(kid("k"), Algorithm::RS256, der.as_ref()).unwrap();
    let verifier = key.verifying_key().unwrap();
    let token = key.sign(TokenType::Access, &json!({"iss": "i"})).unwrap();
    let input = token.rsplit_once('.').unwrap().0;
    let takes = |encoding: &'static dyn RsaEncoding| {
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        pair.sign(encoding, &random, input.as_bytes(), &mut signature).unwrap();
        let token = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
        verifier.verifies(&Compact::split(&token).unwrap())
    };
    assert!(takes(&RSA_PKCS1_SHA256));
    assert!(!takes(&RSA_PKCS1_SHA384) && !takes(&RSA_PKCS1_SHA512));
    assert!(!takes(&RSA_PSS_SHA256), "nor is another padding");
}

/// A26: RFC 8017 §8.2.2: a signature is what its one encoding comes to, and nothing that a lenient reader would take for it. The
/// signatures were made with the private key of RFC 7520 §3.4.
#[test]
fn a26_an_rsa_signature_has_one_padding() {
    let made: serde_json::Value = serde_json::from_str(include_str!("../vectors/rsa_paddings.json")).unwrap();
    let verifier = VerifyingKey::from_jwk(&bytes(&made["key"]), Some(Algorithm::RS256)).unwrap();
    let input = made["input"].as_str().unwrap();
    let signatures = made["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 16);
    for made in signatures {
        let token = format!("{input}.{}", made["signature"].as_str().unwrap());
        let good = made["padding"] == "as it must be";
        assert_eq!(verifier.verifies(&Compact::split(&token).unwrap()), good, "{made}");
    }
}
