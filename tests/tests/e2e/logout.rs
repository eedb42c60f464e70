//! Logging out: by bearer and by cookie, in each scope, and by those who may not.

use ostracon_core::TokenType;
use ostracon_tests::{Answer, Home, Login, Server, forged, now, signed};
use serde_json::json;

fn with_cookies(server: &Server, login: &Login) -> ostracon_tests::Ask {
    server
        .public
        .with("Cookie", &format!("{}; {}", login.access_cookie, login.refresh_cookie))
}

fn cleared(answer: &Answer) -> Vec<&str> {
    answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect()
}

/// P122, P131.
#[test]
fn bearer_logout_ends_the_session_and_says_so() {
    let home = Home::new();
    let server = home.start();
    let (mine, other) = (server.log_in("user-42"), server.log_in("user-42"));
    let answer = server.public.bearer(&mine.access).post("/auth/logout");
    assert_eq!(
        (answer.status, answer.revoked()),
        (200, vec!["session".into()]),
        "{answer:?}"
    );
    let json = answer.json();
    assert_eq!(json["message"], "Logged out successfully");
    assert!(json["effective_at"].is_u64() && json["revoked"][0]["retained_until"].is_u64());
    assert_eq!(json["revoked"][0]["id"].as_str().unwrap().len(), 32);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(server.verify(&mine.access).problem(), (401, "token_revoked".into()));
    assert!(server.passes(&other.access), "another login of the same user goes on");
    // Idempotent, and no loop.
    assert!(server.public.bearer(&mine.access).post("/logout").revoked().is_empty());
}

#[test]
fn p098_p099_cookie_logout_ends_the_session_and_clears_both_cookies() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("user-42");
    let browser = with_cookies(&server, &login).with("Sec-Fetch-Site", "same-origin");
    assert_eq!(browser.get("/auth/verify").status, 200);
    let answer = browser.post("/auth/logout");
    assert_eq!((answer.status, answer.revoked()), (200, vec!["session".into()]));
    let gone = "Secure; HttpOnly; SameSite=Lax; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
    assert_eq!(
        cleared(&answer),
        [
            format!("__Host-USER_SESSION=; Path=/; {gone}"),
            format!("__Secure-USER_REFRESH=; Path=/auth; {gone}")
        ]
    );
    assert_eq!(
        browser.get("/auth/verify").problem(),
        (401, "token_revoked".into()),
        "a copied cookie is refused"
    );
}

#[test]
fn scope_token_ends_what_was_presented_and_nothing_else() {
    let home = Home::new();
    let server = home.start();
    // The access token alone: a refresh could go on.
    let login = server.log_in("user-42");
    assert_eq!(
        server
            .public
            .bearer(&login.access)
            .post("/logout?scope=token")
            .revoked(),
        ["token"]
    );
    assert!(!server.passes(&login.access));
    let rest = server
        .public
        .with("Cookie", &login.refresh_cookie)
        .with("Sec-Fetch-Site", "none");
    assert_eq!(
        rest.post("/auth/logout").revoked(),
        ["session"],
        "the session was not ended yet"
    );
    // With the refresh token beside it, both.
    let login = server.log_in("user-42");
    let browser = with_cookies(&server, &login).with("Sec-Fetch-Site", "same-origin");
    assert_eq!(
        browser.post_form("/auth/logout", "scope=token").revoked(),
        ["token", "token"]
    );
    assert!(rest.post("/auth/logout").revoked().is_empty());
    let form = format!("scope=session&refresh_token={}", login.refresh);
    assert!(
        server.public.post_form("/auth/logout", &form).revoked().is_empty(),
        "the refresh token is dead"
    );
}

#[test]
fn scope_session_takes_the_refresh_token_along() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("user-42");
    assert_eq!(
        server
            .public
            .bearer(&login.access)
            .post_form("/auth/logout", "scope=session")
            .revoked(),
        ["session"]
    );
    let form = format!("refresh_token={}", login.refresh);
    assert!(
        server.public.post_form("/auth/logout", &form).revoked().is_empty(),
        "nothing is left to revoke"
    );
    // The other way: the access token has expired in the browser, the refresh cookie is still there.
    let login = server.log_in("user-42");
    let rest = server
        .public
        .with("Cookie", &login.refresh_cookie)
        .with("Sec-Fetch-Site", "same-origin");
    assert_eq!(rest.post("/auth/logout").revoked(), ["session"]);
    assert!(!server.passes(&login.access));
}

/// A72: the cut-off lies in the second of the new login; the old one is dead, the new one alive.
#[test]
fn scope_everywhere_ends_all_of_a_user_and_a_login_in_the_same_second_lives() {
    let home = Home::new();
    let server = home.start();
    let bystander = server.log_in("user-7");
    for _ in 0..3 {
        let old: Vec<_> = (0..3).map(|_| server.log_in("user-42")).collect();
        assert_eq!(
            server
                .public
                .bearer(&old[0].access)
                .post("/logout?scope=everywhere")
                .revoked(),
            ["subject"]
        );
        let new = server.log_in("user-42");
        assert!(old.iter().all(|login| !server.passes(&login.access)));
        assert!(server.passes(&new.access), "the new login lives");
        let rest = server
            .public
            .with("Cookie", &old[1].refresh_cookie)
            .with("Sec-Fetch-Site", "none");
        assert!(
            rest.post("/auth/logout").revoked().is_empty(),
            "the refresh tokens are dead, too"
        );
    }
    assert!(server.passes(&bystander.access));
}

/// A86: a page of another site can neither log out nor clear the cookies.
#[test]
fn a86_cross_site_cookie_logout_is_refused() {
    let home = Home::new();
    let server = home.start_with(&[("OSTRACON_COOKIES__ALLOWED_ORIGINS", "[\"https://app.example\"]")]);
    let login = server.log_in("user-42");
    let browser = with_cookies(&server, &login);
    let foreign = [
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")],
        vec![],
    ];
    for headers in foreign {
        let request = headers
            .iter()
            .fold(browser.clone(), |r, (name, value)| r.with(name, value));
        let answer = request.post("/auth/logout");
        assert_eq!(answer.problem(), (403, "csrf_refused".into()), "{headers:?}");
        assert!(cleared(&answer).is_empty());
        assert!(server.passes(&login.access));
    }
    let without_cookies = server.public.with("Sec-Fetch-Site", "cross-site");
    assert!(
        cleared(&without_cookies.post("/logout")).is_empty(),
        "no clearing from outside"
    );
    // A bearer proves that no foreign page made the request.
    let other = server.log_in("user-7");
    assert_eq!(
        without_cookies.bearer(&other.access).post("/logout").revoked(),
        ["session"]
    );
    // Nor does GET change anything (P107).
    let get = browser.with("Sec-Fetch-Site", "same-origin").get("/auth/logout");
    assert_eq!(
        (get.problem(), get.header("allow")),
        ((405, "method_not_allowed".into()), "POST")
    );
    assert!(server.passes(&login.access));
    assert_eq!(
        browser.with("Origin", "https://app.example").post("/logout").revoked(),
        ["session"]
    );
}

/// A68, A69, I7: whatever is not a good token gets a 200 without effect and cleared cookies.
#[test]
fn a68_a69_junk_and_forged_tokens_revoke_nothing() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("user-42");
    let payload = login.access.split('.').nth(1).unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.");
    let unsigned_with_signature = format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.AAAA");
    let now = now();
    let expired = json!({"iss":"https://auth.example","sub":"user-42","jti":"old","sid":login.sid,
        "aud":"app","client_id":"c","iat":now - 700,"exp":now - 100});
    let own = home.key();
    let stranger = Home::new().key();
    let alive = json!({"iss":"https://auth.example","sub":"user-42","jti":login.jti,"sid":login.sid,
        "aud":"app","client_id":"c","iat":now,"exp":now + 100});
    let bad = [
        String::new(),
        "junk".into(),
        "a.b.c".into(),
        ".".repeat(100),
        forged(&login.access),
        unsigned,
        unsigned_with_signature,
        login.refresh.clone(),
        format!("{}A", login.access),
        signed(&own, TokenType::Access, &expired),
        signed(&stranger, TokenType::Access, &alive),
        signed(&(own.0.clone(), stranger.1), TokenType::Access, &alive),
    ];
    for token in &bad {
        for scope in ["token", "session", "everywhere"] {
            let answer = server.public.bearer(token).post(&format!("/auth/logout?scope={scope}"));
            assert_eq!((answer.status, answer.revoked().len()), (200, 0), "{token}: {answer:?}");
            assert_eq!(cleared(&answer).len(), 2, "the cookies go");
        }
    }
    let nothing = server.public.post("/logout");
    assert_eq!(
        (nothing.status, nothing.revoked().len(), cleared(&nothing).len()),
        (200, 0, 2)
    );
    assert!(server.passes(&login.access), "nothing of it hit anybody");
    let log = server.log();
    assert!(!log.contains(payload) && !log.contains(&login.refresh), "I8: {log}");
}

#[test]
fn what_is_asked_for_must_be_clear() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("user-42");
    let mine = server.public.bearer(&login.access);
    for path in [
        "/logout?scope=all",
        "/logout?scope=token&scope=session",
        "/logout?scope=",
    ] {
        assert_eq!(mine.post(path).problem(), (400, "request_invalid".into()), "{path}");
    }
    assert_eq!(mine.post_form("/logout?scope=token", "scope=session").problem().0, 400);
    let text = mine.send(&ureq::http::Method::POST, "/logout", "text/plain", "scope=token".into());
    assert_eq!(text.problem(), (415, "media_type_unsupported".into()));
    assert_eq!(
        mine.post_json("/logout", &json!({"scope": 7})).problem(),
        (422, "member_invalid".into())
    );
    let large = mine.post_form("/logout", &"x".repeat(70_000));
    assert_eq!(large.problem(), (413, "body_too_large".into()));
    let both = mine.with("Cookie", "__Host-USER_SESSION=other").post("/logout");
    assert_eq!(both.problem(), (400, "credentials_ambiguous".into()));
    assert!(server.passes(&login.access));
    assert_eq!(
        mine.post_json("/logout", &json!({"scope": "everywhere"})).revoked(),
        ["subject"],
        "as good as a form"
    );
}

/// Whatever was presented is to end: a stale token in the form does not spare the one in the cookie.
#[test]
fn form_and_cookie_are_both_ended() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let browser = server
        .public
        .with("Cookie", &login.refresh_cookie)
        .with("Sec-Fetch-Site", "same-origin");
    assert_eq!(
        browser.post_form("/auth/logout", "refresh_token=stale").revoked(),
        ["session"]
    );
    assert_eq!(server.refresh(&login.refresh).problem().1, "session_revoked");
}

/// With `scope=token` a refresh token takes along what it was exchanged for: whoever presents it wants to be rid of it.
#[test]
fn scope_token_ends_the_successor_of_a_refresh_token_too() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let next = Login::read(&server.refresh(&login.refresh));
    let form = format!("scope=token&refresh_token={}", login.refresh);
    assert_eq!(server.public.post_form("/auth/logout", &form).revoked(), ["token"]);
    assert!(!server.passes(&next.access));
    assert_eq!(server.refresh(&next.refresh).problem().1, "session_revoked");
    assert_eq!(server.refresh(&login.refresh).problem().1, "session_revoked");
}

/// A token from the future ends what it is of, but its `iat` is no cut-off: its user could not log in until then.
#[test]
fn a_token_of_a_clock_that_is_ahead_cuts_nobody_off_in_the_future() {
    let home = Home::new();
    let server = home.start();
    let ahead = now() + 86_400;
    let token = |typ, sid: &str| {
        let claims = json!({"iss": "https://auth.example", "sub": "user-42", "jti": format!("of-{sid}"), "sid": sid,
            "aud": "app", "client_id": "c", "iat": ahead, "exp": ahead + 100});
        signed(&home.key(), typ, &claims)
    };
    let login = server.log_in("user-42");
    let everywhere = |token: &str| server.public.bearer(token).post("/auth/logout?scope=everywhere");
    let answer = everywhere(&token(TokenType::Access, "s"));
    assert_eq!(answer.revoked(), ["subject", "session"], "{answer:?}");
    assert!(!server.passes(&login.access), "what there was by now has ended");
    let id = answer.json()["revoked"][0]["id"].as_str().unwrap().to_owned();
    let cutoff = server.admin.get(&format!("/v1/revocations/{id}")).json()["before"].as_u64();
    assert!(cutoff.is_some_and(|before| before <= now() + 60), "{cutoff:?}");
    assert!(server.passes(&server.log_in("user-42").access), "and who logs in is in");
    assert!(
        everywhere(&token(TokenType::Access, "s")).revoked().is_empty(),
        "that token has ended"
    );
}
