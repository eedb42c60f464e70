//! Refresh rotation: one successor, a grace for retries, and an alarm for thieves.

use ostracon_tests::{Home, Login, wait_for};
use serde_json::json;

/// P92, P55: each refresh answers a new pair of the same session and kills the old refresh token.
#[test]
fn p092_a_refresh_token_is_exchanged_for_the_next_pair() {
    let home = Home::new();
    let server = home.start_with(&[("OSTRACON_TOKENS__REFRESH_GRACE", "0s")]);
    let first = server.log_in_with(&json!({"sub": "u", "scope": "read write", "claims": {"role": "editor"}}));
    let answer = server.refresh(&first.refresh);
    assert_eq!(
        (answer.status, answer.header("cache-control"), answer.header("pragma")),
        (200, "no-store", "no-cache")
    );
    assert!(answer.headers.get("set-cookie").is_none(), "it did not come by cookie");
    let second = Login::read(&answer);
    assert_eq!(
        (&second.sid, answer.json()["scope"].as_str()),
        (&first.sid, Some("read write"))
    );
    assert_ne!((&second.jti, &second.refresh), (&first.jti, &first.refresh));
    assert!(server.passes(&second.access));
    let third = Login::read(&server.refresh(&second.refresh));
    let session = server.public.bearer(&third.access).get("/auth/session").json();
    assert_eq!((&session["sub"], &session["sid"]), (&json!("u"), &json!(first.sid)));
    assert!(session["expires_at"].as_u64() > session["issued_at"].as_u64());
    // P93: without a grace, the second use is theft at once.
    assert_eq!(server.refresh(&first.refresh).problem(), (401, "refresh_reused".into()));
    assert!(
        !server.passes(&third.access) && !server.passes(&first.access),
        "the session is ended"
    );
    assert_eq!(
        server.refresh(&third.refresh).problem(),
        (401, "session_revoked".into())
    );
    assert!(server.log().contains("used again"), "and somebody is told");
}

/// I10, A74: thirty-two at once get one successor, all of them.
#[test]
fn i10_a74_parallel_refreshes_agree_on_one_successor() {
    let home = Home::new();
    let server = home.start();
    for _ in 0..3 {
        let login = server.log_in("u");
        let successors: Vec<Login> = std::thread::scope(|scope| {
            let tabs: Vec<_> = (0..32)
                .map(|_| scope.spawn(|| Login::read(&server.refresh(&login.refresh))))
                .collect();
            tabs.into_iter().map(|tab| tab.join().unwrap()).collect()
        });
        assert!(successors.iter().all(|successor| *successor == successors[0]));
        assert!(server.passes(&successors[0].access));
    }
}

pub(crate) fn claims(token: &str) -> serde_json::Value {
    serde_json::from_slice(&ostracon_tests::decoded(token.split('.').nth(1).unwrap())).unwrap()
}

/// P11, P127: no two identities are alike. P40, P44, P45: what an access token must say, and what no refresh changes.
#[test]
fn p011_p040_p044_p045_what_is_issued_is_complete_and_stays_what_it_was() {
    let home = Home::new();
    let server = home.start();
    let first = server.log_in_with(&json!({"sub": "u", "aud": "shop", "claims": {"acr": "2", "amr": ["otp"]}}));
    let before = claims(&first.access);
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "auth_time"] {
        assert!(before.get(name).is_some(), "{name}");
    }
    let after = claims(&Login::read(&server.refresh(&first.refresh)).access);
    for name in ["iss", "aud", "sub", "client_id", "sid", "auth_time", "acr", "amr"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    assert_ne!(
        claims(&server.log_in("u").access)["aud"],
        before["aud"],
        "another resource, another audience"
    );
    let logins: Vec<_> = (0..50).map(|_| server.log_in("u")).collect();
    let ids: std::collections::HashSet<_> = logins.iter().flat_map(|l| [&l.jti, &l.sid]).collect();
    // 128 bits in base64url.
    assert!(ids.len() == 100 && ids.iter().all(|id| id.len() == 22));
}

/// A rotated token that is revoked for itself has no grace any more.
#[test]
fn a_rotated_token_that_is_then_revoked_is_not_answered_again() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let successor = Login::read(&server.refresh(&login.refresh));
    let claims = claims(&login.refresh);
    let body =
        json!({"target": {"kind": "token", "jti": claims["jti"]}, "exp": claims["exp"], "reason": "compromised"});
    assert_eq!(
        server.admin.post_json("/v1/revocations", &body).status,
        201,
        "more than what stood"
    );
    assert_eq!(
        server.refresh(&login.refresh).problem(),
        (401, "session_revoked".into())
    );
    assert!(server.passes(&successor.access), "one token was named, and one is gone");
}

/// The same by showing the token itself.
#[test]
fn a_rotated_token_can_be_revoked_by_itself() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    assert_eq!(server.refresh(&login.refresh).status, 200);
    let body = json!({"token": login.refresh, "reason": "compromised"});
    let answer = server.admin.post_json("/v1/revocations", &body);
    assert_eq!((answer.status, &answer.json()["reason"]), (201, &json!("compromised")));
    assert_eq!(
        server.refresh(&login.refresh).problem(),
        (401, "session_revoked".into())
    );
}

/// A72 for refreshing: where the signing key is cut off, the next pair waits for its second, and none is sold dead.
#[test]
fn a_refresh_is_not_spent_for_a_pair_that_is_dead_from_the_start() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    home.configure(|text| {
        let next = "[[keys]]\nkid = \"next\"\nalg = \"ES256\"\nprivate_key_file = \"next.key\"\n\n";
        text.replacen("[[keys]]", &format!("{next}[[keys]]"), 1)
    });
    let pem = home.path().join("next.key");
    std::fs::write(&pem, ostracon_tests::es256_pem()).unwrap();
    std::fs::set_permissions(&pem, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    server.hang_up();
    let shown = || {
        server.public.get("/.well-known/jwks.json").json()["keys"]
            .as_array()
            .unwrap()
            .len()
    };
    wait_for("the next key", || shown() == 2);
    let cut = |before: u64| {
        let body = json!({"target": {"kind": "key", "kid": "next"}, "before": before});
        assert_eq!(server.admin.post_json("/v1/revocations", &body).status, 201);
    };
    cut(ostracon_tests::now());
    let next = Login::read(&server.refresh(&login.refresh));
    assert!(server.passes(&next.access));
    cut(ostracon_tests::now() + 100);
    let other = server.admin.post_json("/v1/sessions", &json!({"sub": "u"}));
    assert_eq!(other.problem(), (409, "revoked_ahead".into()));
}

/// A token that is revoked, by an entry that ends before it would, is not taken for one that was never rotated.
#[test]
fn a_revoked_token_is_not_rotated_however_short_its_entry() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let claims = claims(&login.refresh);
    let exp = claims["exp"].as_u64().unwrap() - 1000;
    let body = json!({"target": {"kind": "token", "jti": claims["jti"]}, "exp": exp});
    assert_eq!(server.admin.post_json("/v1/revocations", &body).status, 201);
    assert_eq!(
        server.refresh(&login.refresh).problem(),
        (401, "session_revoked".into())
    );
}

/// The same successor also after a crash in between.
#[test]
fn a_retry_in_the_grace_is_answered_alike_also_after_a_kill() {
    let home = Home::new();
    let grace = [("OSTRACON_TOKENS__REFRESH_GRACE", "5m")];
    let server = home.start_with(&grace);
    let login = server.log_in("u");
    let successor = Login::read(&server.refresh(&login.refresh));
    server.kill();
    let server = home.start_with(&grace);
    let again = Login::read(&server.refresh(&login.refresh));
    assert_eq!((&again.access, &again.refresh), (&successor.access, &successor.refresh));
}

/// A75, P125: the grace is the immediate parent's alone, and it ends.
#[test]
fn a75_a_grandparent_and_a_late_parent_have_no_grace() {
    let home = Home::new();
    let server = home.start_with(&[("OSTRACON_TOKENS__REFRESH_GRACE", "1s")]);
    let first = server.log_in("u");
    let second = Login::read(&server.refresh(&first.refresh));
    let third = Login::read(&server.refresh(&second.refresh));
    assert_eq!(
        server.refresh(&first.refresh).problem(),
        (401, "refresh_reused".into()),
        "its child has a child"
    );
    assert!(!server.passes(&third.access));

    let other = server.log_in("u");
    let child = Login::read(&server.refresh(&other.refresh));
    wait_for("the grace to end", || server.refresh(&other.refresh).status != 200);
    assert_eq!(server.refresh(&other.refresh).problem().1, "session_revoked");
    assert!(!server.passes(&child.access), "the session is ended");
}

/// A76, A79: what has ended is not refreshed, and an access token is no refresh token.
#[test]
fn a76_a79_what_is_revoked_or_something_else_is_not_refreshed() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    assert_eq!(
        server.refresh(&login.access).problem(),
        (401, "token_unsupported".into())
    );
    assert_eq!(
        server.refresh(&ostracon_tests::forged(&login.refresh)).problem().1,
        "signature_invalid"
    );
    assert_eq!(
        server.public.post("/auth/refresh").problem(),
        (401, "token_missing".into())
    );
    for scope in ["session", "everywhere"] {
        let login = server.log_in("u");
        server
            .public
            .bearer(&login.access)
            .post(&format!("/logout?scope={scope}"));
        assert_eq!(
            server.refresh(&login.refresh).problem(),
            (401, "session_revoked".into()),
            "{scope}"
        );
    }
    // The refresh token of a session whose access token alone was logged out goes on.
    let login = server.log_in("u");
    server.public.bearer(&login.access).post("/logout?scope=token");
    let next = Login::read(&server.refresh(&login.refresh));
    assert!(server.passes(&next.access));
    // A logout ends a session through any of its tokens: here one that was exchanged, late in a race of tabs.
    let form = format!("refresh_token={}", login.refresh);
    assert_eq!(server.public.post_form("/logout", &form).revoked(), ["session"]);
    assert_eq!(server.refresh(&login.refresh).problem().1, "session_revoked");
}

/// P95, P124: the life of a refresh token slides, and ends with the session.
#[test]
fn p124_refreshing_slides_up_to_the_end_of_the_session() {
    let home = Home::new();
    let server = home.start_with(&[
        ("OSTRACON_TOKENS__ACCESS_TTL", "2s"),
        ("OSTRACON_TOKENS__REFRESH_TTL", "2s"),
        ("OSTRACON_TOKENS__SESSION_TTL", "5s"),
        ("OSTRACON_TOKENS__LEEWAY", "0s"),
    ]);
    let mut login = server.log_in("u");
    let mut turns = 0;
    let last = loop {
        let answer = server.refresh(&login.refresh);
        if answer.status != 200 {
            break answer;
        }
        let left = answer.json()["refresh_expires_in"].as_u64().unwrap();
        assert!(left <= 2, "{left}");
        login = Login::read(&answer);
        turns += 1;
    };
    assert_eq!(last.problem(), (401, "refresh_expired".into()));
    assert!(turns > 1);
    assert!(
        !server.passes(&login.access),
        "nor does an access token outlive its session"
    );
}

#[test]
fn a86_by_cookie_the_pair_goes_back_into_cookies_and_other_sites_may_not() {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    let browser = server.public.with("Cookie", &login.refresh_cookie);
    for foreign in [browser.clone(), browser.with("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(foreign.post("/auth/refresh").problem(), (403, "csrf_refused".into()));
    }
    let answer = browser.with("Sec-Fetch-Site", "same-origin").post("/auth/refresh");
    assert_eq!(answer.status, 200, "{answer:?}");
    let set: Vec<_> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|v| v.to_str().unwrap())
        .collect();
    assert_eq!(
        set,
        answer.json()["cookies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c.as_str().unwrap())
            .collect::<Vec<_>>()
    );
    let next = Login::read(&answer);
    let follower = server
        .public
        .with("Cookie", &format!("{}; {}", next.access_cookie, next.refresh_cookie));
    assert_eq!(follower.get("/auth/verify").status, 200);
    let both = browser.post_json("/auth/refresh", &json!({"refresh_token": next.refresh}));
    assert_eq!(both.problem(), (400, "credentials_ambiguous".into()));
}

/// A pair that cannot be had does not cost its parent: here the next key signs too long for a cookie.
#[test]
fn a_refresh_that_fails_spends_nothing() {
    let home = Home::new();
    let server = home.start_with(&[("OSTRACON_TOKENS__REFRESH_GRACE", "0s")]);
    let body = |size: usize| json!({"sub": "u", "claims": {"big": "x".repeat(size)}});
    let fits = |size: &usize| server.admin.post_json("/v1/sessions", &body(*size)).status == 201;
    let size = (2000..4000).step_by(50).take_while(fits).last().unwrap();
    let login = server.log_in_with(&body(size));
    let good = std::fs::read_to_string(home.config()).unwrap();
    let pem = home.path().join("long.key");
    std::fs::write(&pem, ostracon_tests::rs256_pem()).unwrap();
    std::fs::set_permissions(&pem, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let long = "[[keys]]\nkid = \"long\"\nalg = \"RS256\"\nprivate_key_file = \"long.key\"\n\n";
    home.configure(|text| text.replacen("[[keys]]", &format!("{long}[[keys]]"), 1));
    server.hang_up();
    wait_for("the long key to sign", || !fits(&size));
    assert_eq!(server.refresh(&login.refresh).problem().0, 422);
    std::fs::write(home.config(), good).unwrap();
    server.hang_up();
    wait_for("the short key to sign", || fits(&size));
    assert_eq!(
        server.refresh(&login.refresh).status,
        200,
        "it was not spent, and is no theft"
    );
}
