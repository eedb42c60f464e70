//! Attacks on claims and times: A53 to A62, A79.

use ostracon_tests::now;
use serde_json::{Value, json};

use super::{Scene, serde_form};

#[test]
fn a53_a62_claims_and_times() {
    let scene = Scene::new();
    let mut tokens: Vec<(&str, String)> = Vec::new();
    for exp in [
        "\"2999999999\"",
        "true",
        "null",
        "[2999999999]",
        "{}",
        "-1",
        "0",
        "1e400",
        "-1e400",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "1e18",
        "NaN",
    ] {
        tokens.push(("A53 A54 A67", scene.with_raw("exp", exp)));
    }
    // The leeway is 30 seconds, and its end is outside.
    let now = now();
    // Issued before, so that nothing but its end refuses it.
    for (name, exp) in [("A55", format!("{}", now - 30)), ("A56", format!("{}.999", now - 31))] {
        let exp: Value = serde_json::from_str(&exp).unwrap();
        let over = scene.signed(|claims| {
            claims["iat"] = (now - 300).into();
            claims["exp"] = exp;
        });
        tokens.push((name, over));
    }
    for nbf in ["\"1\"", "null", "[]", "1e400", "-1e400"] {
        tokens.push(("A57", scene.with_raw("nbf", nbf)));
    }
    for iat in ["\"1\"", "null", "[]", "true", "1e400"] {
        tokens.push(("A58 A59", scene.with_raw("iat", iat)));
    }
    let without = |name: &str| {
        scene.signed(|claims| {
            claims.as_object_mut().unwrap().remove(name).unwrap();
        })
    };
    for name in ["exp", "iat", "iss", "sub"] {
        tokens.push(("A53 A59 to A62", without(name)));
    }
    for iss in [
        json!(["https://auth.example"]),
        json!("https://auth.example/"),
        json!("https://auth.exampl"),
        json!("https://auth.example.evil"),
        json!("HTTPS://auth.example"),
        json!(""),
        json!(7),
        json!(null),
    ] {
        tokens.push(("A60", scene.signed(|claims| claims["iss"] = iss.clone())));
    }
    for aud in [json!(null), json!({}), json!(["app", 5]), json!(7), json!([["app"]])] {
        tokens.push(("A61", scene.signed(|claims| claims["aud"] = aud.clone())));
    }
    for name in ["sub", "jti", "sid", "client_id"] {
        for value in [
            json!(""),
            json!(7),
            json!("a\u{0}b"),
            json!("x".repeat(9_000)),
            json!(null),
            json!([]),
        ] {
            // A session is not named by each token.
            tokens.push(("A62", scene.signed(|claims| claims[name] = value.clone())));
        }
    }
    scene.refuses(&tokens);

    // What is to begin is not let in, and may be ended by whoever has it: a clock that has stepped back keeps nobody in.
    for name in ["nbf", "iat"] {
        let token = scene.signed(|claims| claims[name] = (now + 600).into());
        assert_eq!(scene.server.verify(&token).problem().0, 401, "A57 A58");
        let active = scene
            .server
            .oauth
            .post_form("/oauth/introspect", &serde_form("token", &token));
        assert_eq!(active.json(), json!({"active": false}));
    }
    // Whom it is for is asked where it is let in; ended it may be by whoever has it.
    for aud in [
        json!("APP"),
        json!("another"),
        json!(["another", "APP"]),
        json!([]),
        json!(null),
    ] {
        let token = scene.signed(|claims| {
            let claims = claims.as_object_mut().unwrap();
            claims.insert("aud".into(), aud.clone());
            claims.retain(|_, value| !value.is_null());
        });
        assert_eq!(scene.server.verify(&token).problem(), (401, "audience_mismatch".into()));
    }
    // A79: a refresh token is no access token, nor the other way round.
    assert_eq!(scene.server.verify(&scene.victim.refresh).problem().0, 401);
    assert_eq!(scene.server.refresh(&scene.victim.access).problem().0, 401);
    drop(scene.home);
}
