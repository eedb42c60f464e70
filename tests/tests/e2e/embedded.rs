//! `examples/embedded-axum`: the denylist inside an application.

use std::process::Command;

use ostracon_tests::{Answer, Ask, Example, Home, built};

fn start(home: &Home) -> Example {
    let mut command = Command::new(built("embedded-axum"));
    command
        .arg(home.config())
        .env("PASSWORD", "correct horse")
        .env("LISTEN", "127.0.0.1:0");
    Example::start(&mut command)
}

/// What a browser that logs in sends from then on.
fn log_in(example: &Example, password: &str) -> (Answer, Option<Ask>) {
    let answer = example
        .public
        .post_form("/login", &format!("user=ada&password={password}"));
    let browser = cookie(&answer).map(|cookie| browser(example, &cookie));
    (answer, browser)
}

fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.headers.get("set-cookie")?.to_str().unwrap();
    assert!(
        set.contains("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age="),
        "{set}"
    );
    Some(set.split(';').next().unwrap().to_owned())
}

fn browser(example: &Example, cookie: &str) -> Ask {
    example
        .public
        .with("Cookie", cookie)
        .with("Sec-Fetch-Site", "same-origin")
}

#[test]
fn i4_an_embedding_application_logs_out_and_keeps_out_through_a_restart() {
    let home = Home::new();
    let example = start(&home);
    assert_eq!(example.public.get("/").body, "Welcome");
    assert_eq!(example.public.get("/orders").problem(), (401, "token_missing".into()));
    let (refused, nobody) = log_in(&example, "guess");
    assert!(refused.status == 403 && nobody.is_none(), "{refused:?}");

    let (answer, phone) = log_in(&example, "correct+horse");
    let (phone, copied) = (phone.unwrap(), cookie(&answer).unwrap());
    let (_, laptop) = log_in(&example, "correct+horse");
    let laptop = laptop.unwrap();
    assert_eq!(phone.get("/").body, "Welcome back, ada");
    assert_eq!(phone.get("/orders").body, "the orders of customer 4711");
    assert_eq!(phone.post("/orders").body, "ordered for ada");
    let foreign = example
        .public
        .with("Cookie", &copied)
        .with("Sec-Fetch-Site", "cross-site");
    assert_eq!(foreign.post("/orders").problem(), (403, "csrf_refused".into()));
    assert_eq!(phone.get("/admin").problem(), (403, "scope_insufficient".into()));

    let out = phone.post("/logout");
    assert_eq!((out.status, out.revoked()), (200, vec!["session".to_owned()]));
    let replayed = |example: &Example| browser(example, &copied).get("/orders").problem();
    assert_eq!(replayed(&example), (401, "token_revoked".into()));
    assert_eq!(laptop.get("/orders").status, 200, "the other device stays");

    // A new password: every device is out, and this one has a new session.
    let (_, tablet) = log_in(&example, "correct+horse");
    let changed = laptop.post("/password");
    let laptop_now = cookie(&changed).unwrap();
    for out in [tablet.unwrap(), laptop] {
        assert_eq!(out.get("/orders").problem(), (401, "token_revoked".into()));
    }
    assert_eq!(browser(&example, &laptop_now).get("/orders").status, 200);

    assert!(example.terminated(), "it closes what it has open");
    let example = start(&home);
    assert_eq!(replayed(&example), (401, "token_revoked".into()));
    assert_eq!(browser(&example, &laptop_now).get("/orders").status, 200);
    // And through an end that it did not see coming.
    assert_eq!(browser(&example, &laptop_now).post("/logout").status, 200);
    drop(example);
    let example = start(&home);
    assert_eq!(
        browser(&example, &laptop_now).get("/orders").problem(),
        (401, "token_revoked".into())
    );
}
