//! The console without a browser: what it answers to whom.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
};

use ostracon_tests::{Answer, Ask, Events, Home, Server, wait_for};
use serde_json::json;

use super::home;

/// The console without a browser: nothing runs a script there.
pub(super) struct Plain {
    pub(super) ask: Ask,
}

impl Plain {
    pub(super) fn log_in(server: &Server, secret: &str) -> Self {
        let nobody = server.admin.as_nobody();
        let answer = nobody.post_form("/admin/login", &format!("id=backend&secret={secret}"));
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/admin/"),
            "{answer:?}"
        );
        Self {
            ask: nobody.with("Cookie", &pairs(&answer)),
        }
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask.get(path)
    }

    pub(super) fn is_in(&self) -> bool {
        match self.get("/admin/") {
            Answer { status: 200, .. } => true,
            answer => {
                assert_eq!((answer.status, answer.header("location")), (303, "/admin/login"));
                false
            }
        }
    }
}

/// The cookies that `answer` sets, as a request sends them.
fn pairs(answer: &Answer) -> String {
    let set = answer.headers.get_all("set-cookie").iter();
    let pairs: Vec<_> = set
        .map(|value| value.to_str().unwrap().split(';').next().unwrap())
        .collect();
    pairs.join("; ")
}

#[test]
fn a86_other_sites_pages_and_frames_get_nothing() {
    let home = home();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    let login = server.log_in("u");
    let end = format!("sub=u&sid={}&reason=admin&note=", login.sid);
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
    ] {
        let foreign = plain.ask.with(name, value);
        let id = "0".repeat(32);
        let lift = format!("/admin/revocations/{id}/lift");
        for (path, form) in [
            ("/admin/sessions/end", &*end),
            ("/admin/logout", ""),
            ("/admin/login", "id=backend&secret=x"),
            ("/admin/explain", "token=x"),
            (&lift, "sure=yes"),
        ] {
            assert_eq!(foreign.post_form(path, form).status, 403, "{name}: {value} {path}");
        }
    }
    assert!(server.passes(&login.access) && plain.is_in());
    for path in [
        "/admin/",
        "/admin/audit",
        "/admin/login",
        "/admin/revocations/x",
        "/admin/assets/x",
    ] {
        let answer = plain.get(path);
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (answer.header("x-frame-options"), answer.header("cache-control")),
            ("DENY", "no-store")
        );
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
    // By a page of its own, from whatever name it is reached by.
    let own = plain.ask.with("Origin", &format!("http://{}", server.admin.address()));
    let ended = own.post_form("/admin/sessions/end", &end);
    assert_eq!(
        (ended.status, ended.header("location")),
        (303, "/admin/sessions?sub=u&done=session")
    );
    assert!(!server.passes(&login.access));
    let again = own.post_form("/admin/sessions/end", &end);
    assert_eq!(again.header("location"), "/admin/sessions?sub=u&done=stood");
}

#[test]
fn a_client_sees_and_does_what_its_roles_are_for() {
    let home = Home::new();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    let receipt = server
        .admin
        .post_json("/v1/revocations", &json!({"target": {"kind": "subject", "sub": "u"}}));
    let path = format!("/admin/revocations/{}", receipt.json()["id"].as_str().unwrap());
    assert!(
        plain
            .get(&path)
            .body
            .contains("does not have the role <code>admin</code>")
    );
    assert_eq!(plain.ask.post_form(&format!("{path}/lift"), "sure=yes").status, 403);
    assert_eq!(plain.get(&path).status, 200, "it stands");

    let reload = |from: &str, to: &str| {
        home.configure(|text| text.replace(from, to));
        server.hang_up();
    };
    reload(r#""revoke", "#, "");
    wait_for("the role to be gone", || {
        plain
            .get("/admin/sessions?sub=v")
            .body
            .contains("does not have the role <code>revoke</code>")
    });
    let refused = plain.ask.post_form("/admin/sessions/end", "sub=v&reason=admin");
    assert_eq!(refused.status, 403);
    reload(r#", "read"]"#, "]");
    wait_for("the session to be over", || !plain.is_in());
    let refused = server
        .admin
        .as_nobody()
        .post_form("/admin/login", &format!("id=backend&secret={}", home.secret()));
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("does not have the role read"));
}

/// Who may issue sessions of any subject for any audience still cannot issue one of the console; and the console's own are
/// good for nothing else.
#[test]
fn nobody_else_makes_a_session_of_the_console() {
    let home = home();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    // Also not who copies what the console's own tokens carry.
    let own = server
        .admin
        .as_nobody()
        .post_form("/admin/login", &format!("id=backend&secret={}", home.secret()));
    let token = pairs(&own);
    let token = token.split(['=', ';']).nth(1).unwrap();
    let badge = crate::refresh::claims(token)["console"].clone();
    assert!(badge.is_string());
    for claims in [
        json!({}),
        json!({"console": ""}),
        json!({"console": "AAAA"}),
        json!({"console": badge}),
    ] {
        let body = json!({
            "sub": "console:backend", "aud": "ostracon-console", "client_id": "backend", "claims": claims,
        });
        let login = server.log_in_with(&body);
        let forged = format!("OSTRACON_CONSOLE={}", login.access);
        let forged = Plain {
            ask: server.admin.as_nobody().with("Cookie", &forged),
        };
        assert!(!forged.is_in(), "{claims}");
    }
    assert_eq!(server.verify(token).problem().0, 401, "it is for nobody else");
    assert!(plain.is_in());
    let with_a_bearer = server.admin.as_nobody().bearer(token);
    assert_eq!(with_a_bearer.get("/admin/").status, 303, "by cookie only");
    assert_eq!(with_a_bearer.get("/v1/stats").status, 401);
}

#[test]
fn tokens_are_refreshed_on_the_way_until_the_session_ends() {
    let home = home();
    let server = home.start_with(&[
        ("OSTRACON_TOKENS__ACCESS_TTL", "1s"),
        ("OSTRACON_TOKENS__LEEWAY", "0s"),
        ("OSTRACON_CONSOLE__SESSION_TTL", "5m"),
    ]);
    let plain = Plain::log_in(&server, home.secret());
    let mut next = None;
    wait_for("another pair", || {
        let answer = plain.get("/admin/");
        assert_eq!(answer.status, 200, "one is never sent away");
        next = Some(answer).filter(|answer| answer.headers.contains_key("set-cookie"));
        next.is_some()
    });
    let next = Plain {
        ask: server.admin.as_nobody().with("Cookie", &pairs(&next.unwrap())),
    };
    assert!(next.is_in());
    let out = next.ask.post("/admin/logout");
    assert_eq!((out.status, out.header("location")), (303, "/admin/login?out=1"));
    assert!(!next.is_in() && !plain.is_in());
}

#[test]
fn cookies_are_secure_where_the_page_came_by_tls_and_the_console_can_be_left_out() {
    let home = home();
    let server = home.start();
    let nobody = server.admin.as_nobody();
    let form = format!("id=backend&secret={}&next=//evil.example", home.secret());
    let by_tls = nobody
        .with("Sec-Fetch-Site", "same-origin")
        .with("Origin", "https://admin.example")
        .post_form("/admin/login", &form);
    assert_eq!(
        (by_tls.status, by_tls.header("location")),
        (303, "/admin/"),
        "nowhere else"
    );
    for set in by_tls.headers.get_all("set-cookie") {
        let set = set.to_str().unwrap();
        assert!(
            set.starts_with("__Secure-OSTRACON_CONSOLE") && set.ends_with("; Secure"),
            "{set}"
        );
    }
    let plain = Plain {
        ask: nobody.with("Cookie", &pairs(&by_tls)),
    };
    assert!(plain.is_in());
    assert_eq!(nobody.get("/admin").header("location"), "/admin/");
    drop(server);
    let without = home.start_with(&[("OSTRACON_CONSOLE__ENABLED", "false")]);
    for path in ["/admin/", "/admin/login", "/admin/audit"] {
        assert_eq!(without.admin.get(path).problem(), (404, "not_found".into()));
    }
}

#[test]
fn what_there_is_not_is_told_on_a_page() {
    let home = home();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    let own = plain.ask.with("Sec-Fetch-Site", "same-origin");
    for (answer, status, allow) in [
        (plain.get("/admin/nothing"), 404, ""),
        (plain.get("/admin/sessions/end"), 405, "POST"),
        (own.post_form("/admin/audit", "a=b"), 405, "GET,HEAD"),
        (own.post_form("/admin/sessions/end", "sub=%FF&reason=admin"), 400, ""),
        (own.post_form("/admin/sessions/end", "sub=%4&reason=admin"), 400, ""),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.body.contains("That did not work") && !answer.header("content-security-policy").is_empty());
        assert_eq!(
            answer.headers.get("allow").map_or("", |allow| allow.to_str().unwrap()),
            allow
        );
    }
}

#[test]
fn a_subject_is_whom_was_asked_for_to_the_last_space() {
    let home = home();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    server.log_in_with(&json!({"sub": "u ", "device": "Of another"}));
    assert!(plain.get("/admin/sessions?sub=u+").body.contains("Of another"));
    assert!(plain.get("/admin/sessions?sub=u").body.contains("No live session"));
}

#[test]
fn live_overviews_take_no_stream_of_an_application() {
    let home = home();
    let server = home.start_with(&[("OSTRACON_LIMITS__EVENT_STREAMS", "1")]);
    let plain = Plain::log_in(&server, home.secret());
    let (live, _told) = plain.ask.open("/admin/live");
    assert_eq!(live.status, 200);
    let application = Events::open(&server.admin, "/v1/events").unwrap();
    assert!(
        Events::open(&server.admin, "/v1/events").is_err(),
        "that was its one stream"
    );
    drop(application);
}

/// A field counts other units than the server does: what passes there may still be too long.
#[test]
fn a_note_that_is_too_long_is_told_and_ends_nothing() {
    let home = home();
    let server = home.start();
    let plain = Plain::log_in(&server, home.secret());
    let login = server.log_in("u");
    let page = plain.get("/admin/sessions?sub=u").body;
    let most = page.split("maxlength=\"").nth(1).unwrap().split('"').next().unwrap();
    let end = |note: &str| {
        plain
            .ask
            .post_form("/admin/sessions/end", &format!("sub=u&reason=admin&note={note}"))
    };
    let refused = end(&"%C3%A9".repeat(most.parse().unwrap()));
    assert_eq!(refused.status, 400);
    assert!(
        refused.body.contains("Note: ") && refused.body.contains(&format!("{most} bytes")),
        "{refused:?}"
    );
    assert!(server.passes(&login.access));
    assert_eq!(end(&"n".repeat(most.parse().unwrap())).status, 303);
    assert!(!server.passes(&login.access));
}

/// Whatever the browser says of where its page is from.
#[test]
fn cookies_are_secure_where_the_listener_itself_speaks_tls() {
    let home = home();
    let (certificate, key) = ostracon_tests::certificate();
    for (name, text) in [("tls.crt", certificate), ("tls.key", key)] {
        let file = home.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    home.configure(|text| text + "\n[tls.admin]\ncertificate_file = \"tls.crt\"\nprivate_key_file = \"tls.key\"\n");
    let mut server = Running(home.command().stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let site = lines.find_map(|line| Some(line.unwrap().strip_prefix("admin")?.trim().to_owned()));
    let site = site.expect("it tells where it listens");
    let log_in = |more: &[&str]| {
        let done = Command::new("curl")
            .args(["-isS", "--max-time", "60", "--cacert"])
            .arg(home.path().join("tls.crt"))
            .args(more)
            .args(["-d", &format!("id=backend&secret={}", home.secret())])
            .arg(format!("{site}/admin/login"))
            .output();
        String::from_utf8(done.unwrap().stdout).unwrap()
    };
    for more in [&[][..], &["-H", &format!("Origin: {site}")]] {
        let said = log_in(more);
        let set: Vec<_> = said.lines().filter(|line| line.starts_with("set-cookie: ")).collect();
        assert_eq!(set.len(), 2, "{said}");
        for set in set {
            assert!(
                set.starts_with("set-cookie: __Secure-OSTRACON_CONSOLE") && set.ends_with("; Secure"),
                "{set}"
            );
        }
    }
}

/// A server that is ended with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
