//! What counts as a key, and what does not.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RsaKeyPair,
    },
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ostracon_core::{Algorithm, Compact, IssuerKeys, KeyError, KeyId, SigningKey, Skipped, TokenType, VerifyingKey};
use serde_json::{Value, json};

use crate::support::{bytes, hs256, kid, public, rfc_jwk, secret};

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| core::str::from_utf8(line).unwrap())
        .collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into_bytes()
}

/// Whether `key` signed for `verifier`.
fn pair_up(key: &SigningKey, verifier: &VerifyingKey) -> bool {
    let token = key.sign(TokenType::Access, &json!({ "iss": "i" })).unwrap();
    verifier.verifies(&Compact::split(&token).unwrap())
}

/// An algorithm, a private key in PKCS#8 and its public half as `SubjectPublicKeyInfo`.
fn pairs() -> Vec<(Algorithm, Vec<u8>, Vec<u8>)> {
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let rsa_private = AsDer::<Pkcs8V1Der<'_>>::as_der(&rsa).unwrap().as_ref().to_vec();
    let rsa_public = AsDer::<PublicKeyX509Der<'_>>::as_der(rsa.public_key())
        .unwrap()
        .as_ref()
        .to_vec();
    let mut pairs = vec![
        (Algorithm::RS256, rsa_private.clone(), rsa_public.clone()),
        (Algorithm::PS512, rsa_private, rsa_public),
    ];
    for (alg, curve) in [
        (Algorithm::ES256, &ECDSA_P256_SHA256_FIXED_SIGNING),
        (Algorithm::ES384, &ECDSA_P384_SHA384_FIXED_SIGNING),
    ] {
        let pair = EcdsaKeyPair::generate(curve).unwrap();
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
            .unwrap()
            .as_ref()
            .to_vec();
        pairs.push((alg, pair.to_pkcs8v1().unwrap().as_ref().to_vec(), spki));
    }
    let ed = Ed25519KeyPair::generate().unwrap();
    let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(ed.public_key())
        .unwrap()
        .as_ref()
        .to_vec();
    pairs.push((
        Algorithm::EdDSA,
        ed.to_pkcs8v1().unwrap().as_ref().to_vec(),
        spki.clone(),
    ));
    // RFC 8410 §7 has a second form, with the public key inside.
    pairs.push((Algorithm::EdDSA, ed.to_pkcs8().unwrap().as_ref().to_vec(), spki));
    pairs
}

#[test]
fn pem_der_and_jwk_are_three_forms_of_one_key() {
    for (alg, private, public) in pairs() {
        let signer = SigningKey::from_der(kid("k"), alg, &private).unwrap();
        let same = SigningKey::from_pem(kid("k"), alg, &pem("PRIVATE KEY", &private)).unwrap();
        assert_eq!(signer.public_jwk(), same.public_jwk());
        let verifiers = [
            VerifyingKey::from_der(kid("k"), alg, &public),
            VerifyingKey::from_pem(kid("k"), alg, &pem("PUBLIC KEY", &public)),
            VerifyingKey::from_jwk(&bytes(&signer.public_jwk().unwrap()), None),
            signer.verifying_key(),
        ];
        for verifier in verifiers {
            let verifier = verifier.unwrap();
            assert_eq!((verifier.kid(), verifier.alg()), (&kid("k"), alg));
            assert_eq!(verifier.public_jwk(), signer.public_jwk());
            assert!(pair_up(&signer, &verifier), "{alg}");
        }
        // The halves are told apart, and so are the algorithms.
        let not_private = KeyError::NotAPrivateKey { alg };
        assert_eq!(SigningKey::from_der(kid("k"), alg, &public).unwrap_err(), not_private);
        assert_eq!(
            SigningKey::from_pem(kid("k"), alg, &pem("PUBLIC KEY", &public)).unwrap_err(),
            not_private
        );
        assert!(VerifyingKey::from_der(kid("k"), alg, &private).is_err(), "{alg}");
        assert!(
            VerifyingKey::from_pem(kid("k"), alg, &pem("CERTIFICATE", &public)).is_err(),
            "{alg}"
        );
        let two = [pem("PUBLIC KEY", &public), pem("PUBLIC KEY", &public)].concat();
        assert!(VerifyingKey::from_pem(kid("k"), alg, &two).is_err(), "{alg}");
        assert!(
            VerifyingKey::from_pem(kid("k"), alg, &pem("PRIVATE KEY", &private)).is_err(),
            "{alg}"
        );
        for other in [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            let shared = other == alg || alg == Algorithm::PS512 && other == Algorithm::RS256;
            assert_eq!(
                SigningKey::from_der(kid("k"), other, &private).is_ok(),
                shared,
                "{alg} as {other}"
            );
            assert_eq!(
                VerifyingKey::from_der(kid("k"), other, &public).is_ok(),
                shared,
                "{alg} as {other}"
            );
        }
        let cut = &private[..private.len() - 1];
        assert_eq!(SigningKey::from_der(kid("k"), alg, cut).unwrap_err(), not_private);
    }
}

#[test]
fn pkcs1_is_read_too() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pair.public_key().as_ref();
    let from_der = VerifyingKey::from_der(kid("k"), Algorithm::RS256, public).unwrap();
    let from_pem = VerifyingKey::from_pem(kid("k"), Algorithm::RS256, &pem("RSA PUBLIC KEY", public)).unwrap();
    assert_eq!(from_der.public_jwk(), from_pem.public_jwk());
    assert!(from_der.thumbprint().is_some());
}

#[test]
fn p023_p031_secrets_are_long_and_random() {
    for (alg, least) in [(Algorithm::HS256, 32), (Algorithm::HS384, 48), (Algorithm::HS512, 64)] {
        let make = |bytes: &[u8]| SigningKey::from_secret(kid("k"), alg, bytes).map(|_| ());
        assert_eq!(make(&secret(1)[..least]), Ok(()));
        let short = Err(KeyError::SecretTooShort {
            alg,
            found: least - 1,
            least,
        });
        assert_eq!(make(&secret(1)[..least - 1]), short);
        assert_eq!(
            VerifyingKey::from_secret(kid("k"), alg, &secret(1)[..least - 1]).map(|_| ()),
            short
        );
        assert_eq!(make(&vec![7; least]), Err(KeyError::SecretGuessable));
        // A8: no secret at all.
        assert!(matches!(make(b""), Err(KeyError::SecretTooShort { found: 0, .. })));
    }
    for alg in Algorithm::ALL.into_iter().filter(|alg| alg.secret_bytes().is_none()) {
        assert!(matches!(
            SigningKey::from_secret(kid("k"), alg, &secret(1)),
            Err(KeyError::WrongKind { .. })
        ));
        assert!(SigningKey::from_pem(kid("k"), alg, b"x").is_err());
    }
    for alg in [Algorithm::HS256, Algorithm::HS512] {
        assert!(matches!(
            SigningKey::from_pem(kid("k"), alg, b"x"),
            Err(KeyError::WrongKind { .. })
        ));
        assert!(matches!(
            VerifyingKey::from_pem(kid("k"), alg, b"x"),
            Err(KeyError::WrongKind { .. })
        ));
    }
}

fn changed(jwk: &Value, name: &str, to: Value) -> Vec<u8> {
    let mut jwk = jwk.clone();
    jwk[name] = to;
    bytes(&jwk)
}

fn without(jwk: &Value, name: &str) -> Vec<u8> {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().unwrap().remove(name);
    bytes(&jwk)
}

fn read(jwk: &[u8]) -> Result<Algorithm, KeyError> {
    VerifyingKey::from_jwk(jwk, None).map(|key| key.alg())
}

#[test]
fn p028_a_jwk_is_for_one_algorithm() {
    let (oct, rsa, ec, ed) = (
        rfc_jwk(0),
        public(&rfc_jwk(1)),
        public(&rfc_jwk(2)),
        public(&rfc_jwk(5)),
    );
    assert_eq!(read(&bytes(&oct)), Err(KeyError::JwkMember("alg")));
    assert_eq!(read(&changed(&oct, "alg", "HS512".into())), Ok(Algorithm::HS512));
    assert_eq!(read(&bytes(&rsa)), Ok(Algorithm::RS256));
    assert_eq!(read(&changed(&rsa, "alg", "PS384".into())), Ok(Algorithm::PS384));
    assert_eq!(read(&bytes(&ec)), Ok(Algorithm::ES256));
    assert_eq!(read(&bytes(&ed)), Ok(Algorithm::EdDSA));
    assert_eq!(
        read(&changed(&ed, "alg", "Ed25519".into())),
        Ok(Algorithm::EdDSA),
        "P38"
    );
    for (jwk, alg) in [
        (&oct, "RS256"),
        (&rsa, "HS256"),
        (&rsa, "ES256"),
        (&ec, "ES384"),
        (&ec, "EdDSA"),
        (&ed, "ES256"),
    ] {
        assert_eq!(
            read(&changed(jwk, "alg", alg.into())),
            Err(KeyError::AlgorithmMismatch),
            "{alg}"
        );
    }
    for alg in ["none", "RSA-OAEP", "ES512", "rs256"] {
        assert_eq!(
            read(&changed(&rsa, "alg", alg.into())),
            Err(KeyError::Unsupported("alg")),
            "{alg}"
        );
    }
    let wanted = |jwk: &[u8], alg| VerifyingKey::from_jwk(jwk, Some(alg)).map(|key| key.alg());
    assert_eq!(wanted(&bytes(&rsa), Algorithm::PS256), Ok(Algorithm::PS256));
    let named = changed(&rsa, "alg", "RS256".into());
    assert_eq!(wanted(&named, Algorithm::RS256), Ok(Algorithm::RS256));
    assert_eq!(wanted(&named, Algorithm::PS256), Err(KeyError::AlgorithmMismatch));
}

#[test]
fn use_and_key_ops_are_respected() {
    let ec = public(&rfc_jwk(2));
    assert!(read(&changed(&ec, "use", "sig".into())).is_ok());
    assert_eq!(
        read(&changed(&ec, "use", "enc".into())),
        Err(KeyError::NotFor("verify"))
    );
    assert!(read(&changed(&ec, "key_ops", json!(["sign", "verify"]))).is_ok());
    for ops in [json!([]), json!(["sign"]), json!(["encrypt", "wrapKey"])] {
        assert_eq!(read(&changed(&ec, "key_ops", ops)), Err(KeyError::NotFor("verify")));
    }
    assert_eq!(
        read(&changed(&ec, "key_ops", json!(["verify", "verify"]))),
        Err(KeyError::NotAJwk)
    );
    let sign = |ops: Value| SigningKey::from_jwk(&changed(&rfc_jwk(2), "key_ops", ops), None).map(|_| ());
    assert_eq!(sign(json!(["sign"])), Ok(()));
    assert_eq!(sign(json!(["verify"])), Err(KeyError::NotFor("sign")));
    assert_eq!(
        SigningKey::from_jwk(&bytes(&ec), None).unwrap_err(),
        KeyError::JwkMember("d")
    );
}

#[test]
fn p020_p089_a_jwk_is_strict_json_in_canonical_base64url() {
    let ec = public(&rfc_jwk(2));
    let text = String::from_utf8(bytes(&ec)).unwrap();
    let x = ec["x"].as_str().unwrap();
    for bad in [
        String::new(),
        "[]".into(),
        format!("[{text}]"),
        format!("{text}x"),
        text.replacen('{', r#"{"kty":"EC","#, 1),
        text.replacen('{', r#"{"other":1,"other":1,"#, 1),
        text.replace(x, &format!("{x}=")),
        text.replace(x, &x.replace('D', "+")),
        // "U" and "V" differ in the unused bits alone.
        text.replace(x, &format!("{}V", &x[..42])),
        text.replace(&format!(r#""{x}""#), "5"),
        text.replace(r#""k""#, "5"),
        text.replace(r#""k""#, r#""""#),
        text.replace(r#""k""#, r#""\u0000""#),
        text.replace(r#""EC""#, "null"),
    ] {
        assert_ne!(bad, text);
        assert_eq!(read(bad.as_bytes()), Err(KeyError::NotAJwk), "{bad}");
    }
    let huge = text.replacen('{', &format!("{{{}", " ".repeat(256 * 1024)), 1);
    assert_eq!(read(huge.as_bytes()), Err(KeyError::NotAJwk));
    for (jwk, name) in [
        (&ec, "x"),
        (&ec, "y"),
        (&ec, "crv"),
        (&public(&rfc_jwk(1)), "n"),
        (&public(&rfc_jwk(1)), "e"),
        (&public(&rfc_jwk(5)), "crv"),
        (&public(&rfc_jwk(5)), "x"),
    ] {
        assert_eq!(read(&without(jwk, name)), Err(KeyError::JwkMember(name)));
    }
    let mut nameless = rfc_jwk(0);
    nameless["alg"] = "HS256".into();
    assert_eq!(read(&without(&nameless, "k")), Err(KeyError::JwkMember("k")));
    assert_eq!(read(&without(&nameless, "kid")), Err(KeyError::JwkMember("kid")));
    assert_eq!(
        read(&changed(&ec, "kty", "XY".into())),
        Err(KeyError::Unsupported("kty"))
    );
    assert_eq!(
        read(&changed(&ec, "kty", "ec".into())),
        Err(KeyError::Unsupported("kty"))
    );
    assert_eq!(
        read(&changed(&ec, "crv", "secp256k1".into())),
        Err(KeyError::Unsupported("crv"))
    );
    assert_eq!(
        read(&changed(&rfc_jwk(5), "crv", "Ed448".into())),
        Err(KeyError::Unsupported("crv"))
    );
}

#[test]
fn a19_p030_unsound_keys() {
    let (rsa, ec, ed) = (rfc_jwk(1), rfc_jwk(2), rfc_jwk(5));
    let b64 = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    assert_eq!(
        read(&changed(&ec, "crv", "P-384".into())),
        Err(KeyError::NotOnCurve("P-384"))
    );
    assert_eq!(
        read(&changed(&ec, "y", ec["x"].clone())),
        Err(KeyError::NotOnCurve("P-256"))
    );
    assert_eq!(
        read(&changed(&ed, "x", b64(&[1; 31]))),
        Err(KeyError::NotOnCurve("Ed25519"))
    );
    assert_eq!(
        read(&changed(&rsa, "e", b64(&[1]))),
        Err(KeyError::RsaUnsound("exponent not odd, from 3 to 33 bits"))
    );
    assert_eq!(
        read(&changed(&rsa, "n", b64(&[0xff; 128]))),
        Err(KeyError::RsaTooShort { bits: 1024 })
    );
    let weak = json!({ "kty": "oct", "kid": "k", "alg": "HS256", "k": b64(&[7; 32]) });
    assert_eq!(read(&bytes(&weak)), Err(KeyError::SecretGuessable));

    // Private halves that are not of their public ones.
    let sign = |jwk: &[u8], alg| SigningKey::from_jwk(jwk, None).map(|_| ()) == Err(KeyError::NotAPrivateKey { alg });
    assert!(sign(&changed(&ec, "d", b64(&[9; 32])), Algorithm::ES256));
    assert!(sign(&changed(&ed, "d", b64(&[9; 32])), Algorithm::EdDSA));
    assert!(sign(&changed(&rsa, "d", rsa["qi"].clone()), Algorithm::RS256));
    assert!(sign(&changed(&rsa, "p", rsa["dp"].clone()), Algorithm::RS256));
    assert_eq!(
        SigningKey::from_jwk(&without(&rsa, "qi"), None).unwrap_err(),
        KeyError::JwkMember("qi")
    );
    let small = pem("PRIVATE KEY", &small_rsa());
    let read = SigningKey::from_pem(kid("k"), Algorithm::RS256, &small).unwrap_err();
    assert!(
        matches!(
            read,
            KeyError::NotAPrivateKey { .. } | KeyError::RsaTooShort { bits: 1024 }
        ),
        "{read}"
    );
}

/// A sound 1024-bit key in PKCS#8, as one finds them in old configurations.
fn small_rsa() -> Vec<u8> {
    STANDARD
        .decode(include_str!("../vectors/rsa_1024_pkcs8.txt").replace('\n', ""))
        .unwrap()
}

#[test]
fn p089_p090_a_set_skips_what_it_does_not_know_and_refuses_what_is_unsound() {
    let named = |mut jwk: Value, name: &str| {
        jwk["kid"] = name.into();
        public(&jwk)
    };
    let (ec, ed) = (named(rfc_jwk(2), "ec"), named(rfc_jwk(5), "ed"));
    let es512 = named(rfc_jwk(3), "p521");
    let unknown = json!({ "kty": "AKP", "kid": "pq", "pub": "AAAA" });
    let enc = json!({ "kty": "EC", "use": "enc", "kid": "e", "crv": "P-256", "x": ec["x"], "y": ec["y"] });
    let half = json!({ "kty": "EC", "kid": "h", "crv": "P-256", "x": ec["x"] });
    let set = json!({ "keys": [ec, unknown, es512, enc, half, 5, ed], "other": true });
    let (keys, skipped) = IssuerKeys::from_jwk_set(&bytes(&set)).unwrap();
    let mut kids: Vec<_> = keys.keys().map(|key| key.kid().as_str()).collect();
    kids.sort_unstable();
    assert_eq!(kids, ["ec", "ed"]);
    let told: Vec<_> = skipped.iter().map(|Skipped { at, why, .. }| (*at, *why)).collect();
    assert_eq!(
        told,
        [
            (1, KeyError::Unsupported("kty")),
            (2, KeyError::Unsupported("crv")),
            (3, KeyError::NotFor("verify")),
            (4, KeyError::JwkMember("y")),
            (5, KeyError::NotAJwk),
        ]
    );

    let refused = |set: Value| IssuerKeys::from_jwk_set(&bytes(&set)).map(|_| ()).unwrap_err();
    assert_eq!(
        refused(json!({ "keys": [ec, named(rfc_jwk(5), "ec")] })),
        KeyError::DuplicateKid
    );
    let mut oct = named(rfc_jwk(0), "oct");
    oct["alg"] = "HS256".into();
    assert!(IssuerKeys::from_jwk_set(&bytes(&json!({ "keys": [oct] }))).is_ok());
    assert_eq!(refused(json!({ "keys": [ec, oct] })), KeyError::MixedSet);
    let mut off = ec.clone();
    off["y"] = off["x"].clone();
    assert_eq!(refused(json!({ "keys": [off] })), KeyError::NotOnCurve("P-256"));
    for bad in [json!([]), json!({}), json!({ "keys": {} }), json!({ "keys": "x" })] {
        assert_eq!(refused(bad), KeyError::NotAJwk);
    }
    let (none, skipped) = IssuerKeys::from_jwk_set(br#"{"keys":[]}"#).unwrap();
    assert_eq!((none.keys().count(), skipped.len()), (0, 0));
}

#[test]
fn p091_a_key_can_be_named_by_its_thumbprint() {
    let key = SigningKey::from_jwk(&bytes(&rfc_jwk(5)), None).unwrap();
    let print = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
    assert_eq!(key.thumbprint().as_deref(), Some(print));
    let key = key.named_by_thumbprint();
    assert_eq!(key.kid(), &KeyId::new(print).unwrap());
    assert_eq!(key.verifying_key().unwrap().kid(), key.kid());
    assert_eq!(key.public_jwk().unwrap()["kid"], print);
    let secret = hs256("k", 1);
    assert_eq!((secret.thumbprint(), secret.public_jwk()), (None, None));
    assert_eq!(secret.named_by_thumbprint().kid().as_str(), "k");
    assert_eq!(key.alg(), Algorithm::EdDSA);
}
