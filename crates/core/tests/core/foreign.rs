//! Tokens that something else issues: what each issuer is trusted for, and that no token passes for one of another kind.

use core::time::Duration;

use ostracon_core::{
    Algorithm, ClaimName, ClientId, GenericType, IssuerKeys, KeyError, Keyring, Refusal, SessionId, SigningKey,
    Subject, TokenType, Trust, UnixTime, VerifyingKey,
};
use serde_json::{Value, json};

use crate::support::{CLAIMS, HEADER, bytes, hs256, issuer, keys, kid, public, refusal, rfc_jwk, ring, signed};

const JWT: &str = r#"{"alg":"HS256","typ":"JWT","kid":"k"}"#;
const UNTYPED: &str = r#"{"alg":"HS256","kid":"k"}"#;
const LOGOUT: &str = r#"{"alg":"HS256","typ":"logout+jwt","kid":"k"}"#;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

fn trusting(trust: Trust) -> Keyring {
    ring([("i", keys(&[&hs256("k", 7)]).trusted(trust))])
}

fn with(name: &str, value: Value) -> String {
    let mut claims: Value = serde_json::from_str(CLAIMS).unwrap();
    claims[name] = value;
    claims.to_string()
}

fn logout() -> Value {
    json!({"iss": "i", "aud": "client", "iat": 1000, "exp": 1120, "jti": "l", "sub": "u", "events": {EVENT: {}}})
}

#[test]
fn p039_a_typ_that_says_nothing_is_taken_only_of_whom_it_is_allowed() {
    let jwt = trusting(Trust::default().generic(TokenType::Access, GenericType::Jwt));
    let absent = trusting(Trust::default().generic(TokenType::Access, GenericType::Absent));
    let neither = trusting(Trust::default());
    let passes = |ring: &Keyring, header| ring.verify(&signed(header, CLAIMS), TokenType::Access).is_ok();
    for (header, expected) in [
        (HEADER, [true, true, true]),
        (JWT, [true, false, false]),
        (UNTYPED, [false, true, false]),
        (r#"{"alg":"HS256","typ":"rt+jwt","kid":"k"}"#, [false; 3]),
        (r#"{"alg":"HS256","typ":"secevent+jwt","kid":"k"}"#, [false; 3]),
    ] {
        assert_eq!(
            [&jwt, &absent, &neither].map(|ring| passes(ring, header)),
            expected,
            "{header}"
        );
    }
    // What one issuer may leave open, another may not.
    let both = ring([
        ("i", keys(&[&hs256("k", 7)])),
        (
            "j",
            keys(&[&hs256("k", 7)]).trusted(Trust::default().generic(TokenType::Access, GenericType::Jwt)),
        ),
    ]);
    assert_eq!(refusal(&both, &signed(JWT, CLAIMS)), Refusal::Unsupported("typ"));
    assert!(
        both.verify(&signed(JWT, with("iss", "j".into())), TokenType::Access)
            .is_ok()
    );
    // Where it cannot be told whose it is, it is told why.
    assert_eq!(
        refusal(&both, &signed(JWT, with("iss", "k".into()))),
        Refusal::IssuerUnknown
    );
    assert_eq!(
        refusal(&both, &signed(JWT, with("exp", "soon".into()))),
        Refusal::ClaimInvalid("exp", "not a number")
    );
    // It is no word for a refresh or a logout token then.
    for typ in [TokenType::Refresh, TokenType::Logout] {
        assert_eq!(
            both.verify(&signed(JWT, with("iss", "j".into())), typ).unwrap_err(),
            Refusal::Unsupported("typ")
        );
    }
    let refresh = trusting(Trust::default().generic(TokenType::Refresh, GenericType::Jwt));
    assert!(
        refresh.verify(&signed(JWT, CLAIMS), TokenType::Refresh).is_err(),
        "it says what it is"
    );
}

/// P36: an ID token, a logout token, an event and a refresh token of the same issuer and key are no access tokens, also
/// where `typ` tells them apart in none of them.
#[test]
fn p036_what_says_inside_that_it_is_something_else_is_no_access_token() {
    let loose = Trust::default()
        .generic(TokenType::Access, GenericType::Jwt)
        .generic(TokenType::Access, GenericType::Absent);
    let ring = trusting(loose);
    for header in [JWT, UNTYPED] {
        for (name, value, expected) in [
            ("nonce", json!("n"), "nonce"),
            ("nonce", Value::Null, "nonce"),
            ("at_hash", json!("h"), "at_hash"),
            ("c_hash", json!("h"), "c_hash"),
            ("s_hash", json!("h"), "s_hash"),
            ("events", json!({EVENT: {}}), "events"),
            ("events", json!({}), "events"),
            ("token_use", json!("id"), "token_use"),
            ("token_use", json!(["access"]), "token_use"),
            ("typ", json!("ID"), "typ"),
            ("typ", json!("refresh"), "typ"),
            ("typ", json!("Logout"), "typ"),
        ] {
            let token = signed(header, with(name, value.clone()));
            assert_eq!(refusal(&ring, &token), Refusal::Unsupported(expected), "{name} {value}");
        }
        for (name, value) in [
            ("token_use", json!("access")),
            ("typ", json!("Bearer")),
            ("azp", json!("web")),
        ] {
            assert!(
                ring.verify(&signed(header, with(name, value)), TokenType::Access)
                    .is_ok(),
                "{name}"
            );
        }
    }
    // I7: whose signature is not good, of that nothing counts.
    let forged = signed(JWT, with("nonce", "n".into()))
        .replace('.', ".x")
        .replacen(".x", ".", 1);
    assert_eq!(refusal(&ring, &forged), Refusal::SignatureInvalid);
    // A token that is explicitly for access may carry what it likes.
    assert!(
        ring.verify(&signed(HEADER, with("nonce", "n".into())), TokenType::Access)
            .is_ok()
    );
}

#[test]
fn p109_p110_a_logout_token_is_as_the_specification_has_it() {
    let typed = trusting(Trust::default().logout_audiences(["client"]));
    let open = Trust::default().logout_audiences(["client"]);
    let open = trusting(
        open.generic(TokenType::Logout, GenericType::Jwt)
            .generic(TokenType::Logout, GenericType::Absent),
    );
    let verdict = |ring: &Keyring, header: &str, claims: &Value| {
        ring.verify(&signed(header, claims.to_string()), TokenType::Logout)
            .map(|_| ())
    };
    assert_eq!(verdict(&typed, LOGOUT, &logout()), Ok(()));
    assert_eq!(verdict(&open, LOGOUT, &logout()), Ok(()));
    for header in [JWT, UNTYPED] {
        assert_eq!(
            verdict(&typed, header, &logout()),
            Err(Refusal::Unsupported("typ")),
            "only by option"
        );
        assert_eq!(verdict(&open, header, &logout()), Ok(()));
    }
    assert_eq!(
        verdict(&open, HEADER, &logout()),
        Err(Refusal::Unsupported("typ")),
        "P36: an access token"
    );
    let changed = |name: &str, value: Option<Value>| {
        let mut claims = logout();
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        [LOGOUT, JWT].map(|header| verdict(&open, header, &claims).err())
    };
    assert_eq!(changed("sub", None).map(|e| e.is_some()), [true, true]);
    let mut of_session = logout();
    of_session["sid"] = "s".into();
    of_session.as_object_mut().unwrap().remove("sub");
    assert_eq!(
        verdict(&typed, LOGOUT, &of_session),
        Ok(()),
        "a session without a subject"
    );
    for (name, value) in [
        ("nonce", Some(json!("n"))),
        ("nonce", Some(Value::Null)),
        ("events", None),
        ("events", Some(json!({}))),
        ("events", Some(json!([EVENT]))),
        ("events", Some(json!({EVENT: true}))),
        (
            "events",
            Some(json!({"https://schemas.openid.net/event/backchannel-logout": {}})),
        ),
        ("jti", None),
        ("iat", None),
        ("exp", None),
        ("sub", Some(json!(5))),
    ] {
        for refusal in changed(name, value.clone()) {
            assert!(
                matches!(refusal, Some(Refusal::ClaimInvalid(n, _)) if n == name),
                "{name} {value:?}: {refusal:?}"
            );
        }
    }
    for aud in [json!("other"), json!([])] {
        assert_eq!(
            changed("aud", Some(aud)),
            [const { Some(Refusal::AudienceMismatch) }; 2]
        );
    }
    assert_eq!(changed("aud", Some(json!(["other", "client"]))), [const { None }; 2]);
    // Audiences for access are none for a logout, and whom no logout is trusted to ends nothing.
    let access_only = trusting(Trust::default().audiences(["client"]));
    assert_eq!(verdict(&access_only, LOGOUT, &logout()), Err(Refusal::AudienceMismatch));
    let own = trusting(Trust::default());
    assert_eq!(verdict(&own, LOGOUT, &logout()), Err(Refusal::AudienceMismatch));
    // ... and a logout token is no access token, whatever its issuer may leave open.
    let loose = Trust::default()
        .logout_audiences(["client"])
        .generic(TokenType::Access, GenericType::Jwt);
    let loose = trusting(loose.generic(TokenType::Logout, GenericType::Jwt));
    assert_eq!(
        refusal(&loose, &signed(JWT, logout().to_string())),
        Refusal::Unsupported("events")
    );
    assert_eq!(
        refusal(&loose, &signed(LOGOUT, logout().to_string())),
        Refusal::Unsupported("typ")
    );
}

#[test]
fn refresh_tokens_of_others_are_theirs() {
    let header = r#"{"alg":"HS256","typ":"rt+jwt","kid":"k"}"#;
    let verdict = |trust| {
        trusting(trust)
            .verify(&signed(header, CLAIMS), TokenType::Refresh)
            .map(|_| ())
    };
    assert_eq!(verdict(Trust::default()), Ok(()));
    assert_eq!(
        verdict(Trust::default().without_refresh_tokens()),
        Err(Refusal::Unsupported("typ"))
    );
}

#[test]
fn a_token_that_names_no_key_goes_by_the_only_one_of_its_algorithm() {
    let nameless = r#"{"alg":"HS256","typ":"at+jwt"}"#;
    let token = signed(nameless, CLAIMS);
    assert_eq!(refusal(&trusting(Trust::default()), &token), Refusal::KeyUnknown);
    let open = Trust::default().nameless_keys();
    assert_eq!(
        trusting(open.clone()).verify(&token, TokenType::Access).unwrap().kid(),
        &kid("k")
    );
    // A name that is there counts.
    let other = signed(r#"{"alg":"HS256","typ":"at+jwt","kid":"other"}"#, CLAIMS);
    assert_eq!(refusal(&trusting(open.clone()), &other), Refusal::KeyUnknown);
    // Of two nobody has said which; one for another algorithm is no other.
    let two = ring([("i", keys(&[&hs256("k", 7), &hs256("l", 8)]).trusted(open.clone()))]);
    assert_eq!(refusal(&two, &token), Refusal::KeyUnknown);
    let ed = SigningKey::from_jwk(&bytes(&rfc_jwk(5)), None).unwrap();
    let mut mixed = keys(&[&hs256("h", 7)]);
    mixed.insert(ed.verifying_key().unwrap()).unwrap();
    let mixed = ring([("i", mixed.trusted(open))]);
    assert!(mixed.verify(&token, TokenType::Access).is_ok());
    for alg in ["none", "RS256", "hs256"] {
        let token = signed(format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#), CLAIMS);
        assert_eq!(refusal(&mixed, &token), Refusal::KeyUnknown, "{alg}");
    }
}

#[test]
fn p032_a_token_that_names_no_issuer_is_of_one_and_by_its_keys_alone() {
    let unnamed = r#"{"sub":"u","jti":"j","iat":1000,"exp":1600}"#;
    let both = || ring([("i", keys(&[&hs256("k", 7)])), ("other", keys(&[&hs256("k", 8)]))]);
    assert_eq!(
        refusal(&both(), &signed(HEADER, unnamed)),
        Refusal::ClaimInvalid("iss", "absent")
    );
    let mine = both().with_unnamed(issuer("i"));
    let token = mine.verify(&signed(HEADER, unnamed), TokenType::Access).unwrap();
    assert_eq!(token.claims().iss(), &issuer("i"));
    assert!(
        mine.verify(&signed(HEADER, CLAIMS), TokenType::Access).is_ok(),
        "one that does is taken, too"
    );
    let theirs = both().with_unnamed(issuer("other"));
    assert_eq!(refusal(&theirs, &signed(HEADER, unnamed)), Refusal::SignatureInvalid);
    assert_eq!(
        refusal(&both().with_unnamed(issuer("nobody")), &signed(HEADER, unnamed)),
        Refusal::IssuerUnknown
    );
    let null = unnamed.replace('{', r#"{"iss":null,"#);
    assert_eq!(
        refusal(&mine, &signed(HEADER, null)),
        Refusal::ClaimInvalid("iss", "not a string")
    );
}

#[test]
fn claims_may_have_other_names() {
    let trust = Trust::default()
        .renamed(ClaimName::Sub, "user")
        .renamed(ClaimName::Sid, "session_state")
        .renamed(ClaimName::ClientId, "azp")
        .renamed(ClaimName::Scope, "scp");
    let ring = trusting(trust);
    let claims = r#"{"iss":"i","sub":"x","client_id":"x","scope":"admin","sid":"x","jti":"j","iat":1000,"exp":1600,
        "user":"u","azp":"web","scp":["read","write"]}"#;
    let token = ring.verify(&signed(HEADER, claims), TokenType::Access).unwrap();
    let claims = token.claims();
    assert_eq!(claims.sub(), Some(&Subject::new("u").unwrap()));
    assert_eq!(claims.client_id(), Some(&ClientId::new("web").unwrap()));
    assert_eq!(claims.scope().as_str(), "read write");
    assert_eq!(
        claims.sid(),
        None::<&SessionId>,
        "the usual name does not count beside it"
    );
    // A number is a name too, as long as no two are the same.
    let subject = |user: Value| {
        let token = ring.verify(&signed(HEADER, with("user", user)), TokenType::Access);
        token.map(|token| token.claims().sub().map(ToString::to_string))
    };
    assert_eq!(subject(json!(42)), Ok(Some("42".to_owned())));
    assert_eq!(
        subject(json!(9_007_199_254_740_991_u64)),
        Ok(Some("9007199254740991".to_owned()))
    );
    for bad in [
        json!(9_007_199_254_740_992_u64),
        json!(-1),
        json!(4.5),
        json!(true),
        json!([]),
        Value::Null,
    ] {
        assert_eq!(
            subject(bad.clone()),
            Err(Refusal::ClaimInvalid("sub", "not a string")),
            "{bad}"
        );
    }
}

/// I1: what is kept for a shorter time than a token lives does not cover it.
#[test]
fn i1_a_longer_life_counts_from_a_date() {
    let trust = Trust::default().longer_since(Duration::from_mins(10), UnixTime::from_secs(1000));
    let ring = trusting(trust.longest_lifetime(Duration::from_secs(700)));
    let passes = |iat: u64, exp: u64| {
        let claims = json!({"iss": "i", "sub": "u", "jti": "j", "iat": iat, "exp": exp});
        ring.verify(&signed(HEADER, claims.to_string()), TokenType::Access)
            .is_ok()
    };
    assert!(
        passes(1000, 1600) && !passes(1000, 1601),
        "as long as before, and no longer"
    );
    assert!(
        passes(1001, 1701) && !passes(1001, 1702),
        "issued after the date, up to the longest"
    );
    let without = signed(HEADER, r#"{"iss":"i","sub":"u","jti":"j","exp":1600}"#);
    assert_eq!(refusal(&ring, &without), Refusal::ClaimInvalid("iat", "absent"));
}

#[test]
fn p088_p089_p090_a_published_set_is_taken_for_what_is_allowed() {
    let rsa = |name: &str, alg: Option<&str>| {
        let mut jwk = public(&rfc_jwk(1));
        jwk["kid"] = name.into();
        let members = jwk.as_object_mut().unwrap();
        members.remove("alg");
        members.extend(alg.map(|alg| ("alg".to_owned(), alg.into())));
        jwk
    };
    let ec = public(&rfc_jwk(2));
    let read = |set: Value, algorithms: &[Algorithm]| {
        IssuerKeys::from_public_jwk_set(&bytes(&set), algorithms).map(|(keys, skipped)| {
            let mut found: Vec<_> = keys
                .keys()
                .map(|k: &VerifyingKey| (k.kid().to_string(), k.alg()))
                .collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            (found, skipped.into_iter().map(|s| (s.at, s.why)).collect::<Vec<_>>())
        })
    };
    let (rs256, ps256) = (Algorithm::RS256, Algorithm::PS256);
    let set = json!({"keys": [rsa("a", None), rsa("b", Some("RS256")), rsa("c", Some("PS256")), ec, {"kty": "new"}]});
    let another = KeyError::AlgorithmMismatch;
    let (found, skipped) = read(set.clone(), &[rs256]).unwrap();
    assert_eq!(found, [("a".into(), rs256), ("b".into(), rs256)]);
    assert_eq!(skipped, [(2, another), (3, another), (4, KeyError::Unsupported("kty"))]);
    let (found, _) = read(set.clone(), &[ps256, rs256]).unwrap();
    assert_eq!(found, [("a".into(), ps256), ("b".into(), rs256), ("c".into(), ps256)]);
    assert_eq!(read(set, &[Algorithm::EdDSA]).unwrap().0, []);
    // For encryption, or weak: passed over, so that the others stay good.
    let mut enc = rsa("e", None);
    enc["use"] = "enc".into();
    let weak = json!({"kty": "RSA", "kid": "w", "n": "AQAB", "e": "AQAB"});
    let (found, skipped) = read(json!({"keys": [enc, weak, rsa("a", None)]}), &[rs256]).unwrap();
    assert_eq!(found, [("a".into(), rs256)]);
    assert!(
        matches!(
            skipped[..],
            [(0, KeyError::NotFor(_)), (1, KeyError::RsaTooShort { .. })]
        ),
        "{skipped:?}"
    );
    // What is secret there is secret no more.
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut leaked = rsa("l", None);
        leaked[name] = "AQAB".into();
        let set = json!({"keys": [rsa("a", None), leaked]});
        assert_eq!(read(set, &[rs256]).unwrap_err(), KeyError::PrivateMember, "{name}");
    }
    let oct = json!({"kty": "oct", "kid": "o", "k": "AAAA"});
    assert_eq!(
        read(json!({"keys": [oct]}), &[Algorithm::HS256]).unwrap_err(),
        KeyError::PrivateMember
    );
    let twice = json!({"keys": [rsa("a", None), rsa("a", None)]});
    assert_eq!(read(twice, &[rs256]).unwrap_err(), KeyError::DuplicateKid);
    let many = |n: usize| json!({"keys": (0..n).map(|n| rsa(&n.to_string(), None)).collect::<Vec<_>>()});
    assert_eq!(
        read(many(IssuerKeys::MAX_PUBLISHED), &[rs256]).unwrap().0.len(),
        IssuerKeys::MAX_PUBLISHED
    );
    let most = IssuerKeys::MAX_PUBLISHED;
    assert_eq!(
        read(many(most + 1), &[rs256]).unwrap_err(),
        KeyError::TooManyKeys { most }
    );
    for bad in [json!([]), json!({}), json!({"keys": {}}), json!("x")] {
        assert_eq!(read(bad, &[rs256]).unwrap_err(), KeyError::NotAJwk);
    }
}
