//! Whether a request may pass.

use ostracon_core::TokenType;
use ostracon_tests::{Home, forged, raw, signed};
use serde_json::json;
use ureq::http::Method;

#[test]
fn a_good_token_passes_and_says_whose_it_is() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in_with(&json!({
        "sub": "J\u{f6}rg 100%", "client_id": "web", "scope": "read write", "claims": {"role": "editor"}
    }));
    for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT, Method::OPTIONS] {
        let answer = server
            .public
            .bearer(&login.access)
            .send(&method, "/auth/verify", "", Vec::new());
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{method}");
        assert_eq!(answer.header("x-auth-subject"), "J%C3%B6rg%20100%25");
        assert_eq!(answer.header("x-auth-session"), login.sid);
        assert_eq!(answer.header("x-auth-token-id"), login.jti);
        assert_eq!(
            (answer.header("x-auth-client"), answer.header("x-auth-scope")),
            ("web", "read write")
        );
        assert!(answer.header("x-auth-expires").parse::<u64>().is_ok());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.headers.get("set-cookie").is_none());
    }
    let by_cookie = server.public.with("Cookie", &login.access_cookie).get("/auth/verify");
    assert_eq!(by_cookie.status, 200);
}

#[test]
fn p047_p048_refusals_are_told_as_rfc_6750_has_them() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in_with(&json!({"sub": "u", "scope": "read"}));
    let missing = server.public.get("/auth/verify");
    assert_eq!(missing.problem(), (401, "token_missing".into()));
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"ostracon\"");
    let query = server
        .public
        .get(&format!("/auth/verify?access_token={}", login.access));
    assert_eq!(
        query.problem(),
        (401, "token_missing".into()),
        "P51: never from the query"
    );

    let mine = server.public.bearer(&login.access);
    for (answer, code) in [
        (server.verify("a.b"), "token_malformed"),
        (server.verify(&"a".repeat(9000)), "token_too_large"),
        (server.verify(&login.refresh), "token_unsupported"),
        (server.verify(&forged(&login.access)), "signature_invalid"),
        (mine.get("/auth/verify?aud=shop"), "audience_mismatch"),
        (
            mine.with("Cookie", "__Host-USER_SESSION=x").get("/auth/verify"),
            "credentials_ambiguous",
        ),
    ] {
        assert_eq!(answer.problem(), (401, code.into()));
        assert_eq!(
            answer.header("www-authenticate").matches("error=").count(),
            1,
            "{answer:?}"
        );
    }
    let scope = mine.get("/auth/verify?scope=read%20write");
    assert_eq!(scope.problem(), (403, "scope_insufficient".into()));
    assert!(
        scope
            .header("www-authenticate")
            .contains("error=\"insufficient_scope\"")
    );
    assert_eq!(mine.get("/auth/verify?scope=read&tier=high&aud=app").status, 200);
    assert_eq!(
        mine.get("/auth/verify?teir=high").problem().0,
        403,
        "a rule with a slip in it lets nobody in"
    );
}

#[test]
fn p032_p039_time_issuer_and_type_are_checked() {
    let home = Home::new();
    let server = home.start();
    let key = home.key();
    let now = ostracon_tests::now();
    let token = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = json!({"iss":"https://auth.example","sub":"u","jti":"j","aud":"app","client_id":"c",
            "iat":now,"exp":now + 60});
        change(&mut claims);
        server.verify(&signed(&key, TokenType::Access, &claims))
    };
    assert_eq!(token(&|_| {}).status, 200);
    let refused = |change: &dyn Fn(&mut serde_json::Value)| token(change).problem().1;
    assert_eq!(
        refused(&|c| {
            c["iat"] = (now - 100).into();
            c["exp"] = (now - 31).into();
        }),
        "token_expired"
    );
    assert_eq!(refused(&|c| c["nbf"] = (now + 40).into()), "token_not_yet_valid");
    assert_eq!(refused(&|c| c["iat"] = (now + 40).into()), "token_not_yet_valid");
    assert_eq!(refused(&|c| c["exp"] = (now + 40 * 24 * 3600).into()), "claims_invalid");
    assert_eq!(
        refused(&|c| c["iss"] = "https://other.example".into()),
        "issuer_unknown"
    );
    assert_eq!(refused(&|c| c["aud"] = json!(["a", "b"])), "audience_mismatch");
    assert_eq!(refused(&|c| c["jti"] = json!(7)), "claims_invalid");
}

/// P46, A83: two Authorization fields are two credentials; the answer is one that proxies understand.
#[test]
fn a83_two_authorization_fields() {
    let home = Home::new();
    let server = home.start();
    let token = server.log_in("u").access;
    let request = format!(
        "GET /auth/verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    let answer = raw(server.public.address(), request.as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.contains("credentials_ambiguous"),
        "{answer}"
    );
}

#[test]
fn p087_p088_the_key_set_has_public_halves_only() {
    let home = Home::new();
    let server = home.start();
    let answer = server.public.get("/.well-known/jwks.json");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/jwk-set+json")
    );
    let json = answer.json();
    let [key] = json["keys"].as_array().unwrap().as_slice() else {
        panic!("{json}")
    };
    assert_eq!(
        (key["kty"].as_str(), key["crv"].as_str(), key["use"].as_str()),
        (Some("OKP"), Some("Ed25519"), Some("sig"))
    );
    assert_eq!(key["kid"].as_str(), Some(home.key().0.as_str()));
    assert!(
        ["d", "p", "q", "dp", "dq", "qi", "k"]
            .iter()
            .all(|secret| key.get(secret).is_none())
    );
}

#[test]
fn each_listener_serves_its_own_and_says_what_it_is_not() {
    let home = Home::new();
    let server = home.start();
    for ask in [&server.public, &server.admin] {
        assert_eq!((ask.get("/healthz").status, ask.get("/readyz").status), (200, 200));
        assert_eq!(ask.get("/nowhere").problem(), (404, "not_found".into()));
        assert_eq!(ask.get("/nowhere").header("x-content-type-options"), "nosniff");
    }
    let body = json!({"sub": "u"});
    assert_eq!(
        server.public.post_json("/v1/sessions", &body).problem().0,
        404,
        "not for the public"
    );
    assert_eq!(server.admin.get("/auth/verify").problem().0, 404);
    assert_eq!(server.admin.get("/v1/explain").problem().0, 405);
}

/// Rules say what is at stake; the path is taken from a proxy that is trusted and from nobody else.
#[test]
fn rules_choose_the_tier_by_audience_scope_and_path() {
    let home = Home::new();
    home.configure(|text| {
        text + "[[rules]]\naudience = \"news\"\ntier = \"low\"\n\n[[rules]]\npath = \"/public\"\ntier = \"low\"\n\n\
                [[rules]]\nscope = \"admin\"\ntier = \"high\"\n"
    });
    let server = home.start_with(&[("OSTRACON_LISTEN__TRUSTED_PROXIES", "[\"127.0.0.1\"]")]);
    let log_out = |body: serde_json::Value| {
        let login = server.log_in_with(&body);
        assert_eq!(
            server.public.bearer(&login.access).post("/logout").revoked(),
            ["session"]
        );
        server.public.bearer(&login.access)
    };
    let reader = log_out(json!({"sub": "u", "scope": "read"}));
    let at = |path: &str| reader.with("X-Forwarded-Uri", path).get("/auth/verify").status;
    assert_eq!(
        (at("/public/a?x=1"), at("/account"), at("/public/../account")),
        (200, 401, 401)
    );
    assert_eq!(reader.get("/auth/verify").status, 401, "no path is no reason to be lax");
    assert_eq!(
        reader
            .with("X-Forwarded-Uri", "/public")
            .get("/auth/verify?tier=high")
            .status,
        401
    );
    let admin = log_out(json!({"sub": "u", "scope": "admin"}));
    assert_eq!(
        admin.with("X-Forwarded-Uri", "/public").get("/auth/verify").status,
        401,
        "the strictest rule stands"
    );
    drop(server);
    let server = home.start();
    let reader = ostracon_tests::Ask::bearer(&server.public, reader.token());
    assert_eq!(
        reader.with("X-Forwarded-Uri", "/public").get("/auth/verify").status,
        401,
        "nobody is trusted"
    );
}
