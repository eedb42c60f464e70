//! The OAuth endpoints (RFC 7009, RFC 7662, RFC 6749 §6, RFC 8414).

use ostracon_tests::{Answer, Home, Login, forged};
use serde_json::{Value, json};

fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/json", "{answer:?}");
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        ("no-store", "no-cache")
    );
    let error = answer.json().get("error").and_then(Value::as_str).unwrap().to_owned();
    (answer.status, error)
}

#[test]
fn p062_p068_revocation() {
    let home = Home::new();
    let server = home.start();
    let revoke = |token: &str, more: &str| server.oauth.post_form("/oauth/revoke", &format!("token={token}{more}"));
    // An access token alone: the session goes on.
    let login = server.log_in("u");
    let answer = revoke(&login.access, "&token_type_hint=refresh_token");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, ""),
        "P66: a wrong hint finds it all the same"
    );
    assert!(!server.passes(&login.access));
    assert_eq!(server.refresh(&login.refresh).status, 200);
    // A refresh token takes the session along.
    let login = server.log_in("u");
    assert_eq!(revoke(&login.refresh, "&token_type_hint=nonsense").status, 200);
    assert!(!server.passes(&login.access), "P68");
    assert_eq!(server.refresh(&login.refresh).problem().1, "session_revoked");
    // So does one that was exchanged for the next.
    let login = server.log_in("u");
    let next = Login::read(&server.refresh(&login.refresh));
    assert_eq!(revoke(&login.refresh, "").status, 200);
    assert!(!server.passes(&next.access));
    // P65: what is dead, unknown or junk is no error, and has no effect.
    let bystander = server.log_in("u");
    for dead in [login.access.as_str(), "junk", &forged(&bystander.access)] {
        assert_eq!(revoke(dead, "").status, 200);
    }
    assert!(server.passes(&bystander.access));
    // P64: another client's token is refused and stays valid.
    let foreign = server.log_in_with(&json!({"sub": "u", "client_id": "web"}));
    assert_eq!(error(&revoke(&foreign.access, "")), (400, "invalid_grant".into()));
    assert!(server.passes(&foreign.access));
}

/// P58 to P63, P73.
#[test]
fn p058_p063_how_the_endpoints_are_called() {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "#, ""));
    let server = home.start();
    let login = server.log_in("u");
    for path in ["/oauth/revoke", "/oauth/introspect", "/oauth/token"] {
        let anonymous = server.public.post_form(path, &format!("token={}", login.access));
        assert_eq!(error(&anonymous), (401, "invalid_client".into()), "{path}");
        assert!(anonymous.header("www-authenticate").starts_with("Basic "));
        let in_body = server
            .public
            .post_form(path, "token=x&client_id=backend&client_secret=guess");
        assert_eq!(error(&in_body), (401, "invalid_client".into()));
        let get = server.oauth.get(path);
        assert_eq!(
            (error(&get), get.header("allow")),
            ((405, "invalid_request".into()), "POST"),
            "P72, P74"
        );
    }
    let revoke = |form: &str| error(&server.oauth.post_form("/oauth/revoke", form));
    assert_eq!(revoke(""), (400, "invalid_request".into()));
    assert_eq!(revoke("token="), (400, "invalid_request".into()));
    assert_eq!(revoke("token=a&token=b"), (400, "invalid_request".into()), "P59");
    assert_eq!(
        revoke("token=a&client_secret=b"),
        (400, "invalid_request".into()),
        "two ways at once"
    );
    assert_eq!(revoke("token=a&client_id=other"), (400, "invalid_request".into()));
    let json = server.oauth.post_json("/oauth/revoke", &json!({"token": login.access}));
    assert_eq!(error(&json), (415, "invalid_request".into()));
    let large = server
        .oauth
        .post_form("/oauth/revoke", &format!("token={}", "x".repeat(70_000)));
    assert_eq!(error(&large).0, 413);
    let role = server
        .oauth
        .post_form("/oauth/introspect", &format!("token={}", login.access));
    assert_eq!(error(&role), (403, "unauthorized_client".into()));
    assert!(server.passes(&login.access), "none of it had an effect");
}

#[test]
fn p075_p081_introspection() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in_with(&json!({"sub": "u", "scope": "read", "aud": ["app", "shop"]}));
    let ask = |token: &str| {
        let answer = server.oauth.post_form("/oauth/introspect", &format!("token={token}"));
        assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
        answer.json()
    };
    let active = ask(&login.access);
    let expected = json!({"active": true, "scope": "read", "client_id": "backend", "token_type": "Bearer", "sub": "u",
        "iss": "https://auth.example", "jti": login.jti, "sid": login.sid, "aud": ["app", "shop"],
        "iat": active["iat"], "exp": active["iat"].as_u64().unwrap() + 600});
    assert_eq!(active, expected);
    assert_eq!(ask(&login.refresh)["active"], true);
    // P77: whole seconds, whatever the token has.
    assert!(active["exp"].is_u64() && active["iat"].is_u64());
    let inactive = json!({"active": false});
    for bad in ["junk", &forged(&login.access)] {
        assert_eq!(ask(bad), inactive, "P76: and nothing else");
    }
    // A78: introspection asks the denylist too.
    server.public.bearer(&login.access).post("/logout");
    assert_eq!((ask(&login.access), ask(&login.refresh)), (inactive.clone(), inactive));
}

/// P75, P78: a client that asks for some audiences is told of no other token than theirs.
#[test]
fn p075_p078_introspection_tells_of_no_token_of_others() {
    let home = Home::new();
    home.configure(|text| {
        let roles = "\nroles = ";
        text.replacen(roles, &format!("\naudiences = [\"shop\", \"orders\"]{roles}"), 1)
    });
    let server = home.start();
    let ask = |aud: &[&str]| {
        let login = server.log_in_with(&json!({"sub": "u", "aud": aud}));
        let answer = server
            .oauth
            .post_form("/oauth/introspect", &format!("token={}", login.access));
        answer.json()
    };
    assert_eq!(ask(&["app", "shop"])["active"], true);
    assert_eq!(ask(&["orders"])["active"], true);
    for others in [&["app"][..], &["Shop"], &["shop2", "app"]] {
        assert_eq!(ask(others), json!({"active": false}), "{others:?}");
    }
}

/// P56 to P61, P94.
#[test]
fn p056_p061_the_refresh_grant() {
    let home = Home::new();
    let server = home.start();
    let ask = |form: &str| server.oauth.post_form("/oauth/token", form);
    let login = server.log_in_with(&json!({"sub": "u", "scope": "read write"}));
    let form = format!("grant_type=refresh_token&refresh_token={}", login.refresh);
    assert_eq!(
        error(&ask(&format!("{form}&scope=read+admin"))),
        (400, "invalid_scope".into()),
        "P61"
    );
    let narrower = ask(&format!("{form}&scope=read"));
    assert_eq!((narrower.status, &narrower.json()["scope"]), (200, &json!("read")));
    assert!(narrower.json().get("cookies").is_none() && narrower.headers.get("set-cookie").is_none());
    let next = Login::read(&narrower);
    assert_eq!(
        server
            .public
            .bearer(&next.access)
            .get("/auth/verify?scope=write")
            .status,
        403
    );
    let whole = ask(&format!("grant_type=refresh_token&refresh_token={}", next.refresh));
    assert_eq!(
        whole.json()["scope"],
        json!("read write"),
        "the grant itself was not narrowed"
    );

    let foreign = server.log_in_with(&json!({"sub": "u", "client_id": "web"}));
    for bad in [foreign.refresh.as_str(), &login.access, "junk"] {
        let answer = ask(&format!("grant_type=refresh_token&refresh_token={bad}"));
        assert_eq!(error(&answer), (400, "invalid_grant".into()));
    }
    assert_eq!(
        server.refresh(&foreign.refresh).status,
        200,
        "P57: refused, and not used up"
    );
    assert_eq!(
        error(&ask("grant_type=password&username=u&password=p")),
        (400, "unsupported_grant_type".into())
    );
    assert_eq!(error(&ask("refresh_token=x")), (400, "invalid_request".into()));
}

#[test]
fn p083_p086_metadata() {
    let home = Home::new();
    let path = "/.well-known/oauth-authorization-server";
    let server = home.start();
    let answer = server.public.get(path);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    let json = answer.json();
    assert_eq!(json["issuer"], "https://auth.example");
    assert_eq!(json["revocation_endpoint"], "https://auth.example/oauth/revoke");
    assert_eq!(json["grant_types_supported"], json!(["refresh_token"]));
    let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    assert!(json.as_object().unwrap().values().all(|value| !empty(value)), "P85");
    assert!(!json["response_types_supported"].is_null(), "P86");
    assert_eq!(server.public.get(&format!("{path}/tenant")).status, 404);
    drop(server);
    let server = home.start_with(&[("OSTRACON_TOKENS__ISSUER", "https://auth.example/tenant")]);
    let json = server.public.get(&format!("{path}/tenant")).json();
    assert_eq!(
        (&json["issuer"], &json["token_endpoint"]),
        (
            &json!("https://auth.example/tenant"),
            &json!("https://auth.example/tenant/oauth/token")
        )
    );
    assert_eq!(server.public.get(path).status, 404);
    drop(server);
    for (issuer, status) in [
        ("http://localhost:8080", 200),
        ("http://auth.example", 404),
        ("https://auth.example?x", 404),
        ("https://auth.example#x", 404),
        ("https://", 404),
        ("auth", 404),
    ] {
        let server = home.start_with(&[("OSTRACON_TOKENS__ISSUER", issuer)]);
        assert_eq!(server.public.get(path).status, status, "P84: {issuer}");
    }
}
