//! Attacks on revoking itself: A27, A63 to A69.

use ostracon_tests::{Server, decoded, forged, now, segment};
use serde_json::json;

use super::{ES, HS, Scene, serde_form};

/// The order of P-256, big-endian (SEC 2 §2.4.2).
const ORDER: &str = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE";

/// The same token with the other number for the same signature: s taken from the order.
fn twin(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = decoded(signature);
    let mut borrow = 0;
    for (s, n) in bytes[32..].iter_mut().zip(decoded(ORDER)).rev() {
        let difference = i16::from(n) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *s = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{input}.{}", segment(bytes))
}

fn is_active(server: &Server, token: &str) -> bool {
    let told = server.oauth.post_form("/oauth/introspect", &serde_form("token", token));
    told.json()["active"].as_bool().unwrap()
}

/// One of the ways to revoke a token, which tells the status.
type Way = fn(&Server, &str) -> u16;

/// Both spellings of an ECDSA signature pass; whichever is revoked, and wherever, both are out.
#[test]
fn a27_a63_whichever_form_is_revoked_both_are_out() {
    let scene = Scene::new();
    let Scene { server, .. } = &scene;
    let ways: [(&str, Way); 3] = [
        ("logout", |server, token| {
            server.public.bearer(token).post("/auth/logout").status
        }),
        ("revoke", |server, token| {
            server
                .oauth
                .post_form("/oauth/revoke", &serde_form("token", token))
                .status
        }),
        ("revocation", |server, token| {
            server
                .admin
                .post_json("/v1/revocations", &json!({"token": token}))
                .status
        }),
    ];
    for (n, (way, revoke)) in ways.iter().enumerate() {
        for revokes_twin in [false, true] {
            let mut claims = scene.foreign(ES);
            claims["jti"] = format!("{way}-{revokes_twin}").into();
            claims["client_id"] = "backend".into();
            let token = scene.es.mint(&json!({"typ": "JWT", "kid": "es"}), &claims);
            let other = twin(&token);
            assert_ne!(token, other);
            for form in [&token, &other] {
                assert!(server.passes(form) && is_active(server, form), "{way}: both verify");
            }
            let status = revoke(server, if revokes_twin { &other } else { &token });
            assert_eq!(status, if n == 2 { 201 } else { 200 }, "{way}");
            for form in [&token, &other] {
                assert_eq!(server.verify(form).problem(), (401, "token_revoked".into()), "{way}");
                assert!(!is_active(server, form), "{way}");
                assert_eq!(server.public.bearer(form).get("/auth/session").status, 401, "{way}");
            }
        }
    }
    assert!(server.passes(&scene.victim.access));
}

/// One `jti` of two issuers, and names that run together to the same, are different tokens.
#[test]
fn a64_a65_other_issuers_names_are_other_names() {
    let scene = Scene::new();
    let Scene { server, .. } = &scene;
    let of = |iss: &str, jti: &str| {
        let mut claims = scene.foreign(iss);
        claims["jti"] = jti.into();
        match iss {
            ES => scene.es.mint(&json!({"typ": "JWT", "kid": "es"}), &claims),
            _ => scene.hs.mint(&json!({"typ": "JWT", "kid": "hs"}), &claims),
        }
    };
    let (mine, theirs) = (of(ES, "same"), of(HS, "same"));
    assert_eq!(server.public.bearer(&mine).post("/auth/logout").revoked(), ["token"]);
    assert!(!server.passes(&mine) && server.passes(&theirs));
    // "https://es.example" + "x" is "https://es.examplex" + "": whoever strings them together takes these for one.
    let token = of(ES, "xy");
    for (iss, jti) in [
        ("https://es.examplex", "y"),
        ("https://es.example/x", "y"),
        ("https://es.exampl", "exy"),
    ] {
        let target = json!({"target": {"kind": "token", "iss": iss, "jti": jti}});
        let answer = server.admin.post_json("/v1/revocations", &target);
        assert!([201, 422].contains(&answer.status), "{answer:?}");
        assert!(server.passes(&token), "{iss} {jti}");
    }
    // Nor does the kind of a name matter less: a session or a subject of that name is no token.
    for kind in [
        json!({"kind": "session", "sid": "xy"}),
        json!({"kind": "subject", "sub": "xy"}),
    ] {
        let mut target = kind;
        target["iss"] = ES.into();
        assert_eq!(
            server
                .admin
                .post_json("/v1/revocations", &json!({"target": target}))
                .status,
            201
        );
        assert!(server.passes(&token));
    }
}

/// A token in the leeway behind its `exp` still passes; revoked then, it is out, and stays listed for longer than it could pass.
#[test]
fn a66_what_is_revoked_in_the_leeway_is_out() {
    let scene = Scene::new();
    let Scene { server, .. } = &scene;
    let exp = now() - 5;
    let token = scene.signed(|claims| {
        claims["iat"] = (exp - 300).into();
        claims["exp"] = exp.into();
    });
    assert!(server.passes(&token), "within the leeway of 30 seconds");
    let out = server.public.bearer(&token).post("/auth/logout?scope=token");
    assert_eq!(out.revoked(), ["token"]);
    let until = out.json()["revoked"][0]["retained_until"].as_u64().unwrap();
    assert!(until > exp + 30, "{until} is not behind {exp} and the leeway");
    assert_eq!(server.verify(&token).problem(), (401, "token_revoked".into()));
    assert!(!is_active(server, &token));
}

/// An end beyond all numbers is none: the entry stays for as long as any token may live, and neither for ever nor for no time.
#[test]
fn a67_no_exp_overflows_what_is_kept() {
    let scene = Scene::new();
    let Scene { server, victim, .. } = &scene;
    let target = json!({"kind": "token", "jti": victim.jti});
    for exp in [
        "18446744073709551615",
        "9223372036854775807",
        "18446744073709551616",
        "1e400",
        "-1",
    ] {
        let body = format!(r#"{{"target":{target},"exp":{exp}}}"#);
        let method = "POST".parse().unwrap();
        let answer = server
            .admin
            .send(&method, "/v1/revocations", "application/json", body.into());
        assert!([200, 201, 400, 422].contains(&answer.status), "{exp}: {answer:?}");
        if answer.status < 300 {
            assert!(answer.json()["retained_until"].as_u64().unwrap() > now() + 600, "{exp}");
            assert!(!server.passes(&victim.access), "{exp}");
        } else {
            let _ = answer.problem();
        }
    }
    assert_eq!(server.admin.post("/v1/maintenance/sweep").status, 403, "not its role");
    assert_eq!(
        server
            .admin
            .post_json("/v1/revocations", &json!({ "target": target }))
            .status
            / 100,
        2
    );
    assert!(!server.passes(&victim.access) && !server.log().contains("panicked"));
}

/// A68, A69, A29: what is forged, junk or over has no effect, however much of it comes.
#[test]
fn a68_a69_a_flood_of_nothing_lists_nothing() {
    let scene = Scene::new();
    let Scene { server, victim, .. } = &scene;
    let before = scene.entries();
    let over = scene.signed(|claims| {
        claims["iat"] = (now() - 900).into();
        claims["exp"] = (now() - 300).into();
    });
    for n in 0..100_u64 {
        let claims = scene.claims(|claims| claims["jti"] = format!("junk-{n}").into());
        let unsigned = format!("{}.{}.", segment(scene.forge.header("")), segment(claims));
        for token in [
            unsigned,
            forged(&victim.access),
            forged(&victim.refresh),
            over.clone(),
            n.to_string(),
        ] {
            let form = serde_form("token", &token);
            assert_eq!(server.oauth.post_form("/oauth/revoke", &form).status, 200);
            assert!(server.public.bearer(&token).post("/auth/logout").revoked().is_empty());
        }
    }
    assert_eq!(scene.entries(), before);
    assert!(server.passes(&victim.access) && !server.log().contains("panicked"));
}
