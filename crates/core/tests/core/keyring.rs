//! Only a configured key of the token's own issuer vouches for it, for what that issuer is trusted with.

use core::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ostracon_core::{
    Algorithm, Compact, Demand, Facts, Jti, MissingJti, Policy, Reason, Refusal, Revocation, SigningKey, Step, Target,
    TokenType, Trace, UnixTime, VerifyingKey, decide,
};
use serde_json::{Value, json};

use crate::support::{
    CLAIMS, HEADER, P256_ORDER, bytes, ecdsa_twin, hs256, issuer, keys, kid, one, public, refusal, rfc_jwk, ring,
    secret, signed, signed_with,
};

fn claims() -> Value {
    serde_json::from_str(CLAIMS).unwrap()
}

#[test]
fn p036_p041_every_algorithm_signs_and_verifies_and_types_are_exclusive() {
    let (rsa, ec, ed) = (rfc_jwk(1), rfc_jwk(2), rfc_jwk(5));
    for alg in Algorithm::ALL {
        let key = match alg.as_str() {
            "HS256" | "HS384" | "HS512" => SigningKey::from_secret(kid("k"), alg, &secret(1)),
            "ES256" => SigningKey::from_jwk(&bytes(&ec), Some(alg)),
            "EdDSA" => SigningKey::from_jwk(&bytes(&ed), Some(alg)),
            "ES384" => {
                let pair = aws_lc_rs::signature::EcdsaKeyPair::generate(
                    &aws_lc_rs::signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                );
                SigningKey::from_der(kid("k"), alg, pair.unwrap().to_pkcs8v1().unwrap().as_ref())
            }
            _ => SigningKey::from_jwk(&bytes(&rsa), Some(alg)),
        };
        let key = key.unwrap();
        let ring = ring([("i", keys(&[&key]))]);
        let token = key.sign(TokenType::Access, &claims()).unwrap();
        let verified = ring.verify(&token, TokenType::Access).unwrap();
        assert_eq!((verified.kid(), verified.typ()), (&kid("k"), TokenType::Access));
        assert_eq!(verified.claims().jti().map(Jti::as_str), Some("j"), "{alg}");
        // P36: each type is refused in the other's place.
        assert_eq!(
            ring.verify(&token, TokenType::Refresh).unwrap_err(),
            Refusal::Unsupported("typ")
        );
        let refresh = key.sign(TokenType::Refresh, &claims()).unwrap();
        assert_eq!(refusal(&ring, &refresh), Refusal::Unsupported("typ"));
    }
    let key = hs256("k", 1);
    for bad in [json!([1]), json!("x"), json!(null)] {
        assert!(key.sign(TokenType::Access, &bad).is_err(), "{bad}");
    }
}

#[test]
fn p012_what_a_verified_token_says_beyond_the_standard_is_the_callers() {
    let more = CLAIMS.replace(r#""iss""#, r#""role":"editor","iss""#);
    let verified = one().verify(&signed(HEADER, more), TokenType::Access).unwrap();
    let read: Value = verified.claims().extra().unwrap();
    assert_eq!((&read["role"], &read["iss"]), (&"editor".into(), &"i".into()));
    assert!(verified.claims().extra::<Vec<u8>>().is_err());
}

#[test]
fn p038_eddsa_also_under_its_new_name() {
    let ed = SigningKey::from_jwk(&bytes(&rfc_jwk(5)), None).unwrap();
    let token = ed.sign(TokenType::Access, &claims()).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"Ed25519","typ":"at+jwt","kid":"k"}"#);
    let ring = ring([("i", keys(&[&ed]))]);
    assert!(ring.verify(&token, TokenType::Access).is_ok());
    // Another header is another signing input: the name passes, the signature does not.
    let renamed = format!("{header}{}", &token[token.find('.').unwrap()..]);
    assert_eq!(refusal(&ring, &renamed), Refusal::SignatureInvalid);
}

/// A1, A2, A6, A7, P14, P28, P126.
#[test]
fn a01_a02_a06_a07_p014_p028_the_algorithm_is_the_keys() {
    for alg in [
        "none", "None", "nOnE", "HS384", "HS512", "RS256", "ES256", "hs256", "Ed25519", "bork", "",
    ] {
        let token = signed(format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"k"}}"#), CLAIMS);
        assert_eq!(refusal(&one(), &token), Refusal::Unsupported("alg"), "{alg}");
    }
    // RS256 and PS256 share a kind of key, and no key.
    let rs256 = SigningKey::from_jwk(&bytes(&rfc_jwk(1)), Some(Algorithm::RS256)).unwrap();
    let ps256 = SigningKey::from_jwk(&bytes(&rfc_jwk(1)), Some(Algorithm::PS256)).unwrap();
    let ring = ring([("i", keys(&[&rs256]))]);
    let token = ps256.sign(TokenType::Access, &claims()).unwrap();
    assert_eq!(refusal(&ring, &token), Refusal::Unsupported("alg"));
}

/// A public key is known to everyone: a verifier that takes it for an HMAC secret lets everyone sign (CVE-2016-10555).
#[test]
fn a04_a05_a_public_key_never_verifies_an_hmac() {
    let rsa = SigningKey::from_jwk(&bytes(&rfc_jwk(1)), None).unwrap();
    let ring = ring([("i", keys(&[&rsa]))]);
    let jwk = bytes(&public(&rfc_jwk(1)));
    let token = signed_with(&jwk, HEADER, CLAIMS);
    assert_eq!(refusal(&ring, &token), Refusal::Unsupported("alg"));
    let relabelled = signed_with(&jwk, HEADER.replace("HS256", "RS256"), CLAIMS);
    assert_eq!(refusal(&ring, &relabelled), Refusal::SignatureInvalid);
}

#[test]
fn a14_a15_a16_a17_p034_kid_is_an_exact_key_of_a_map() {
    for kid in [
        r#""kid":"K","#,
        r#""kid":"../../dev/null","#,
        r#""kid":"' UNION SELECT 'k'--","#,
        r#""kid":"k|sleep 10","#,
        r#""kid":"k ","#,
        "",
    ] {
        let token = signed(format!(r#"{{{kid}"alg":"HS256","typ":"at+jwt"}}"#), CLAIMS);
        assert_eq!(refusal(&one(), &token), Refusal::KeyUnknown, "{kid}");
    }
    for kid in [r#""k\n""#, r#""k\u0000""#, "1", r#"["k"]"#, "null", r#""""#] {
        let token = signed(format!(r#"{{"kid":{kid},"alg":"HS256","typ":"at+jwt"}}"#), CLAIMS);
        assert!(matches!(refusal(&one(), &token), Refusal::Malformed(..)), "{kid}");
    }
}

#[test]
fn a10_a11_a12_a13_p035_a_token_does_not_bring_its_key() {
    let own = URL_SAFE_NO_PAD.encode(secret(99));
    let jwk = format!(r#""jwk":{{"kty":"oct","kid":"k","alg":"HS256","k":"{own}"}}"#);
    for brought in [
        &jwk[..],
        r#""jku":"https://evil.example""#,
        r#""x5u":"https://evil.example""#,
        r#""x5c":["AA"]"#,
    ] {
        let header = HEADER.replace('{', &format!("{{{brought},"));
        assert_eq!(
            refusal(&one(), &signed_with(&secret(99), &header, CLAIMS)),
            Refusal::SignatureInvalid
        );
        assert!(
            one().verify(&signed(&header, CLAIMS), TokenType::Access).is_ok(),
            "{brought}"
        );
    }
}

#[test]
fn a18_p032_p042_a_key_vouches_for_its_own_issuer_only() {
    let ring = ring([("other", keys(&[&hs256("k", 7)])), ("i", keys(&[&hs256("k", 8)]))]);
    assert_eq!(refusal(&ring, &signed(HEADER, CLAIMS)), Refusal::SignatureInvalid);
    for iss in ["I", "i/", "i ", "https://i"] {
        let claims = CLAIMS.replace(r#""i""#, &format!(r#""{iss}""#));
        assert_eq!(
            refusal(&ring, &signed(HEADER, claims)),
            Refusal::IssuerUnknown,
            "A60, P42: {iss}"
        );
    }
}

#[test]
fn a21_a25_one_bit_flipped_anywhere() {
    let (ring, token) = (one(), signed(HEADER, CLAIMS));
    assert!(ring.verify(&token, TokenType::Access).is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        let flipped = String::from_utf8(bytes).unwrap();
        assert!(ring.verify(&flipped, TokenType::Access).is_err(), "byte {at}");
    }
    let (input, tag) = token.rsplit_once('.').unwrap();
    assert!(matches!(refusal(&ring, &format!("{input}.")), Refusal::Malformed(..)));
    assert_eq!(
        refusal(&ring, &format!("{input}.{}", &tag[..40])),
        Refusal::SignatureInvalid
    );
}

/// ECDSA: (r, s) and (r, n - s) are one signature in two spellings. Both verify, so nothing may go by the spelling.
#[test]
fn a22_a23_a24_a27_p022_ecdsa_spellings() {
    let signer = SigningKey::from_jwk(&bytes(&rfc_jwk(2)), None).unwrap();
    let ring = ring([("i", keys(&[&signer]))]);
    let mut bare = claims();
    bare.as_object_mut().unwrap().remove("jti");
    let token = signer.sign(TokenType::Access, &bare).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let spell = |signature: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));

    let twin = ecdsa_twin(&signature);
    assert_ne!(twin, signature);
    let id = |token: &str| {
        let verified = ring.verify(token, TokenType::Access).unwrap();
        verified.targets().iter().next().unwrap().name().to_owned()
    };
    assert_eq!(id(&spell(&twin)), id(&token), "P132: one token, one name");

    let (zero, order) = ([0; 32], P256_ORDER);
    let (r, s) = signature.split_at(32);
    for bad in [
        [zero, zero].concat(),
        [&zero[..], s].concat(),
        [r, &zero[..]].concat(),
        [&order[..], s].concat(),
        [r, &order[..]].concat(),
        signature[..63].to_vec(),
        [&signature[..], &[0]].concat(),
        [&[0x30, 0x44, 2, 32], r, &[2, 32], s].concat(),
    ] {
        assert_eq!(
            refusal(&ring, &spell(&bad)),
            Refusal::SignatureInvalid,
            "{} bytes",
            bad.len()
        );
    }
}

/// The digest that stands in for a `jti` is of the signing input: any other choice has a second value for one token.
#[test]
fn a63_tokens_without_jti_go_by_their_signing_input() {
    let ring = one();
    let bare = CLAIMS.replace(r#""jti":"j","#, "");
    let token = ring.verify(&signed(HEADER, &bare), TokenType::Access).unwrap();
    assert_eq!(token.claims().jti(), None);
    let id = token.claims().token_id().unwrap().clone();
    assert!(id.as_str().starts_with("sha-256:") && id.as_str().len() == 51, "{id}");
    let again = ring.verify(&signed(HEADER, &bare), TokenType::Access).unwrap();
    assert_eq!(again.claims().token_id(), Some(&id));
    let other = bare.replace("1000", "1001");
    let other = ring.verify(&signed(HEADER, other), TokenType::Access).unwrap();
    assert_ne!(other.claims().token_id(), Some(&id));
    let own = ring.verify(&signed(HEADER, CLAIMS), TokenType::Access).unwrap();
    assert_eq!(own.claims().token_id().map(Jti::as_str), Some("j"));

    // Revoked by that name, it is denied; by the default policy it is refused without being revoked.
    let policy = Policy::builder()
        .tokens_without_jti(MissingJti::Digest)
        .build()
        .unwrap();
    let now = UnixTime::from_secs(1_100);
    let target = Target::Token {
        iss: issuer("i"),
        jti: id,
    };
    let entry = Revocation::new(target, Reason::Logout, &policy, now);
    let judge = |token: &ostracon_core::VerifiedToken, policy| {
        let facts = Facts::of([&entry], &token.targets(), now);
        decide(token.claims(), &Demand::default(), &facts, policy, now)
    };
    assert!(matches!(judge(&token, &policy), Err(Refusal::Revoked(_))));
    assert_eq!(judge(&other, &policy), Ok(()));
    assert_eq!(
        judge(&other, &Policy::default()),
        Err(Refusal::ClaimInvalid("jti", "absent"))
    );
}

#[test]
fn p033_an_issuer_is_trusted_for_its_audiences() {
    let trusted = |audiences: &[&str]| {
        let keys = keys(&[&hs256("k", 7)]).with_audiences(audiences.iter().copied());
        ring([("i", keys)])
            .verify(&signed(HEADER, CLAIMS), TokenType::Access)
            .map(|_| ())
    };
    let any = ring([("i", keys(&[&hs256("k", 7)]))]).verify(&signed(HEADER, CLAIMS), TokenType::Access);
    assert!(any.is_ok(), "where nothing is said");
    assert_eq!(trusted(&[]), Err(Refusal::AudienceMismatch), "an empty list is not any");
    assert_eq!(trusted(&["bank", "shop"]), Ok(()));
    assert_eq!(trusted(&["bank", "Shop"]), Err(Refusal::AudienceMismatch));
}

#[test]
fn an_issuer_is_trusted_for_its_longest_lifetime() {
    let trusted = |secs, claims: &str| {
        let keys = keys(&[&hs256("k", 7)]).with_longest_lifetime(Duration::from_secs(secs));
        ring([("i", keys)])
            .verify(&signed(HEADER, claims), TokenType::Access)
            .map(|_| ())
    };
    assert_eq!(trusted(600, CLAIMS), Ok(()));
    assert!(matches!(trusted(599, CLAIMS), Err(Refusal::ClaimInvalid("exp", _))));
    let undated = CLAIMS.replace(r#""iat":1000,"#, "");
    assert_eq!(trusted(600, &undated), Err(Refusal::ClaimInvalid("iat", "absent")));
}

#[test]
fn a_retired_key_vouches_for_what_it_signed_before() {
    let retired_at = |millis| {
        let key = hs256("k", 7)
            .verifying_key()
            .unwrap()
            .retired_at(UnixTime::from_millis(millis));
        let mut keys = ostracon_core::IssuerKeys::default();
        keys.insert(key).unwrap();
        keys
    };
    let verdict = |millis, claims: &str| {
        ring([("i", retired_at(millis))])
            .verify(&signed(HEADER, claims), TokenType::Access)
            .map(|_| ())
    };
    assert_eq!(verdict(1_000_000, CLAIMS), Ok(()));
    assert_eq!(verdict(999_999, CLAIMS), Err(Refusal::KeyUnknown));
    let undated = CLAIMS.replace(r#""iat":1000,"#, "");
    assert_eq!(verdict(9_000_000, &undated), Err(Refusal::KeyUnknown));
    // I7: the date counts only for what the key did sign.
    let forged = signed_with(&secret(8), HEADER, CLAIMS);
    assert_eq!(
        refusal(&ring([("i", retired_at(0))]), &forged),
        Refusal::SignatureInvalid
    );
}

#[test]
fn p088_a_published_set_has_public_keys_only_and_lets_retired_ones_go() {
    let policy = Policy::default().with_longest_lifetime(Duration::from_secs(100));
    let ed = SigningKey::from_jwk(&bytes(&rfc_jwk(5)), None).unwrap();
    let mut rsa = rfc_jwk(1);
    rsa["kid"] = "a".into();
    let rsa = VerifyingKey::from_jwk(&bytes(&rsa), None)
        .unwrap()
        .retired_at(UnixTime::from_secs(1_000));
    let mut keys = keys(&[&ed, &hs256("h", 1)]);
    keys.insert(rsa).unwrap();
    let published = |now| {
        let set = keys.public_jwk_set(&policy, now);
        let set: Vec<Value> = set["keys"].as_array().unwrap().clone();
        for key in &set {
            let names: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(
                names
                    .iter()
                    .all(|n| ["kid", "alg", "use", "kty", "crv", "x", "n", "e"].contains(n)),
                "{names:?}"
            );
        }
        set.iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(published(UnixTime::from_millis(1_399_999)), ["a", "k"]);
    assert_eq!(published(UnixTime::from_secs(1_400)), ["k"]);
}

#[test]
fn each_step_is_seen_up_to_the_first_that_fails() {
    let seen = |token: &str| {
        let mut trace = Trace::default();
        let verdict = one().verify_observed(token, TokenType::Access, &mut trace).map(|_| ());
        assert_eq!(verdict.as_ref().err(), trace.refusal());
        assert_eq!(
            trace.steps().filter(|(_, r)| r.is_err()).count(),
            usize::from(verdict.is_err())
        );
        trace.steps().last().unwrap().0
    };
    let unknown = CLAIMS.replace(r#""i""#, r#""x""#);
    for (token, last) in [
        ("a.b".to_owned(), Step::Form),
        (signed("[]", CLAIMS), Step::Header),
        (signed(HEADER.replace("at+jwt", "JWT"), CLAIMS), Step::Type),
        (signed(HEADER, "[]"), Step::Claims),
        (signed(HEADER, unknown), Step::Issuer),
        (signed(HEADER.replace(r#""k""#, r#""x""#), CLAIMS), Step::Key),
        (signed(HEADER.replace("HS256", "RS256"), CLAIMS), Step::Algorithm),
        (signed_with(&secret(8), HEADER, CLAIMS), Step::Signature),
        (signed(HEADER, CLAIMS), Step::Trust),
    ] {
        assert_eq!(seen(&token), last);
    }
}

#[test]
fn i8_nothing_prints_a_key_or_a_token() {
    let key = hs256("k", 7);
    let token = signed(HEADER, CLAIMS);
    let shown = format!(
        "{key:?} {:?} {:?} {:?}",
        key.verifying_key().unwrap(),
        one(),
        one().verify(&token, TokenType::Access)
    );
    let first = &secret(7)[..3];
    assert!(!shown.contains(&format!("{first:?}")[1..10]), "{shown}");
    let segments = Compact::split(&token).unwrap();
    assert!(
        !shown.contains(segments.signature()) && !shown.contains("shop"),
        "{shown}"
    );
}

#[test]
fn a38_the_bound_on_a_token_can_be_moved_so_far() {
    let sized = |bytes: usize| {
        let token = signed(HEADER, CLAIMS.replace('{', &format!("{{{}", " ".repeat(bytes))));
        (token.len(), token)
    };
    let (length, token) = sized(8 * 1024);
    assert_eq!(refusal(&one(), &token), Refusal::TooLarge);
    assert!(
        one()
            .with_max_token_bytes(length)
            .verify(&token, TokenType::Access)
            .is_ok()
    );
    assert_eq!(
        refusal(&one().with_max_token_bytes(length - 1), &token),
        Refusal::TooLarge
    );
    let (_, token) = sized(64 * 1024);
    assert_eq!(
        refusal(&one().with_max_token_bytes(usize::MAX), &token),
        Refusal::TooLarge
    );
}

#[test]
fn trust_can_end() {
    let mut ring = one();
    assert_eq!(ring.issuers().count(), 1);
    assert!(ring.issuer(&issuer("i")).unwrap().key(&kid("k")).is_some());
    let taken = ring.distrust(&issuer("i")).unwrap();
    assert_eq!(taken.keys().count(), 1);
    assert_eq!(refusal(&ring, &signed(HEADER, CLAIMS)), Refusal::IssuerUnknown);
}
