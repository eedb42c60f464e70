//! Every other session is ended, and this one goes on.

use std::{fs, thread};

use ostracon_tests::{Answer, Home, Login, Server, wait_for};
use serde_json::json;

/// Asks with the refresh token of `login`.
fn end_others(server: &Server, login: &Login) -> Answer {
    let form = format!("scope=others&refresh_token={}", login.refresh);
    server.public.post_form("/auth/logout", &form)
}

fn is_out(server: &Server, login: &Login) -> bool {
    !server.passes(&login.access) && server.refresh(&login.refresh).status == 401
}

fn sids(server: &Server, sub: &str) -> Vec<String> {
    let listed = server.admin.get(&format!("/v1/sessions?sub={sub}")).json();
    let sessions = listed["sessions"].as_array().unwrap().iter();
    sessions
        .map(|session| session["sid"].as_str().unwrap().to_owned())
        .collect()
}

/// The sessions that end are all of them, not those that happen to be listed.
#[test]
fn the_others_end_though_the_list_has_lost_them() {
    let home = Home::new();
    let server = home.start();
    let (this, others) = (server.log_in("u"), [server.log_in("u"), server.log_in("u")]);
    let somebody = server.log_in("v");
    server.kill();
    fs::remove_dir_all(home.path().join("denylist/sessions")).unwrap();

    let server = home.start();
    let answer = end_others(&server, &this);
    assert_eq!(
        (answer.status, answer.revoked()),
        (200, vec!["subject".into()]),
        "{answer:?}"
    );
    assert!(answer.headers.get("set-cookie").is_none(), "back the way it came");
    let next = Login::read(&answer);
    assert_eq!(next.sid, this.sid, "the session goes on");
    assert!(
        server.passes(&next.access) && is_out(&server, &this),
        "with tokens of its own"
    );
    assert!(others.iter().all(|other| is_out(&server, other)));
    assert!(server.passes(&somebody.access));
    wait_for("the session to be listed, alone", || {
        sids(&server, "u") == [next.sid.clone()]
    });
    let after = Login::read(&server.refresh(&next.refresh));
    assert!(server.passes(&after.access));
    let again = server.log_in("u");
    server.kill();

    let server = home.start();
    assert!(
        server.passes(&after.access) && server.passes(&again.access),
        "also after a kill"
    );
    assert!(others.iter().all(|other| is_out(&server, other)));
}

#[test]
fn by_cookie_the_cookies_are_exchanged() {
    let home = Home::new();
    let server = home.start();
    let (this, other) = (server.log_in("u"), server.log_in("u"));
    let browser = server
        .public
        .with("Cookie", &format!("{}; {}", this.access_cookie, this.refresh_cookie));
    let foreign = browser
        .with("Sec-Fetch-Site", "cross-site")
        .post("/auth/logout?scope=others");
    assert_eq!(foreign.problem(), (403, "csrf_refused".into()));
    let answer = browser
        .with("Sec-Fetch-Site", "same-origin")
        .post("/auth/logout?scope=others");
    assert_eq!(answer.status, 200, "{answer:?}");
    let next = Login::read(&answer);
    let set: Vec<_> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect();
    assert!(
        set.iter().any(|cookie| cookie.starts_with(&next.access_cookie)) && set.len() == 2,
        "{set:?}"
    );
    assert!(server.passes(&next.access) && is_out(&server, &other) && is_out(&server, &this));
}

/// Nobody is told that the others are out when they are not.
#[test]
fn what_is_not_good_ends_nothing_and_says_so() {
    let home = Home::new();
    let server = home.start();
    let (this, other) = (server.log_in("u"), server.log_in("u"));
    let without = server.public.bearer(&this.access).post("/auth/logout?scope=others");
    assert_eq!(without.problem(), (400, "request_invalid".into()));
    let next = Login::read(&server.refresh(&this.refresh));
    assert_eq!(end_others(&server, &this).problem(), (401, "refresh_superseded".into()));
    let wrong = Login {
        refresh: this.access.clone(),
        ..this.clone()
    };
    assert_eq!(end_others(&server, &wrong).status, 401);
    assert!(server.passes(&other.access) && server.passes(&next.access));
    server.public.bearer(&next.access).post("/auth/logout");
    assert_eq!(end_others(&server, &next).problem(), (401, "session_revoked".into()));
    assert!(server.passes(&other.access));
}

/// I9: all want to be the one that is left, and one is.
#[test]
fn i9_of_sessions_that_end_each_other_one_is_left() {
    let home = Home::new();
    let server = home.start();
    let logins: Vec<_> = (0..12).map(|_| server.log_in("u")).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = logins
            .iter()
            .map(|login| scope.spawn(|| end_others(&server, login)))
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let left: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(Login::read)
        .collect();
    assert!(
        answers.iter().all(|answer| matches!(answer.status, 200 | 401)),
        "{answers:?}"
    );
    assert!(left.len() == 1 && server.passes(&left[0].access), "{answers:?}");
    assert!(logins.iter().all(|login| is_out(&server, login)));
}

/// I9: whoever was told that all are out, is right, also about one that was ending the others at that moment.
#[test]
fn i9_everywhere_is_everywhere_also_while_another_ends_the_others() {
    let home = Home::new();
    let server = home.start();
    for _ in 0..8 {
        let (one, two) = (server.log_in("u"), server.log_in("u"));
        let (others, everywhere) = thread::scope(|scope| {
            let others = scope.spawn(|| end_others(&server, &one));
            let everywhere = server.public.bearer(&two.access).post("/auth/logout?scope=everywhere");
            (others.join().unwrap(), everywhere)
        });
        assert_eq!(everywhere.status, 200);
        match (others.status, everywhere.revoked().is_empty()) {
            // It came second, and was out already.
            (200, true) => assert!(server.passes(&Login::read(&others).access)),
            (200, false) => assert!(!server.passes(&Login::read(&others).access)),
            (401, false) => {}
            _ => panic!("{others:?} {everywhere:?}"),
        }
        assert!(is_out(&server, &one) && is_out(&server, &two));
    }
}

/// A changed password in one call of the backend: this device logs in anew, and every other one is out.
#[test]
fn a_login_can_end_every_other_session() {
    let home = Home::new();
    let server = home.start();
    let before: Vec<_> = (0..3).map(|_| server.log_in("u")).collect();
    let body = json!({"sub": "u", "device": "Firefox", "end_others": "password_change"});
    let answer = server.admin.post_json("/v1/sessions", &body);
    assert_eq!(
        (answer.status, &answer.json()["ended"]["reason"]),
        (201, &json!("password_change")),
        "{answer:?}"
    );
    let this = Login::read(&answer);
    assert!(server.passes(&this.access) && before.iter().all(|login| is_out(&server, login)));
    wait_for("it to be listed, alone", || sids(&server, "u") == [this.sid.clone()]);

    // Many at once: each of them ends those before it, so that one is left.
    let answers: Vec<_> = thread::scope(|scope| {
        let asking: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| server.admin.post_json("/v1/sessions", &body)))
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let left: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(Login::read)
        .collect();
    assert!(is_out(&server, &this));
    assert!(!left.is_empty(), "{answers:?}");
    let alive = left.iter().filter(|login| server.passes(&login.access)).count();
    assert_eq!(alive, 1, "{answers:?}");

    let wrong = json!({"sub": "u", "end_others": "because"});
    assert_eq!(server.admin.post_json("/v1/sessions", &wrong).status, 422);
    home.configure(|text| text.replace("\"issue\", \"revoke\"", "\"issue\""));
    wait_for("the role to be gone", || {
        server.admin.post_json("/v1/sessions", &body).status == 403
    });
    assert_eq!(server.admin.post_json("/v1/sessions", &json!({"sub": "u"})).status, 201);
}
