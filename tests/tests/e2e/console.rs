//! The console, as an operator uses it: in a browser, by keyboard, on a phone, and without a script.

use ostracon_tests::{Answer, Ask, Browser, Events, Home, KeptCookie, Login, Server, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

fn home() -> Home {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    home
}

/// The console without a browser: nothing runs a script there.
struct Plain {
    ask: Ask,
}

impl Plain {
    fn log_in(server: &Server, secret: &str) -> Self {
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

    fn get(&self, path: &str) -> Answer {
        self.ask.get(path)
    }

    fn is_in(&self) -> bool {
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

struct Scene {
    browser: Browser,
    site: String,
    server: Server,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        let home = home();
        let server = home.start();
        Self {
            browser: Browser::new(),
            site: format!("http://{}", server.admin.address()),
            server,
            home,
        }
    }

    /// With the client's secret, on the page that one is sent to.
    fn logged_in() -> Self {
        let scene = Self::new();
        scene.visit("/admin/");
        scene.browser.write("[name=id]", "backend");
        scene.browser.write("[name=secret]", scene.home.secret());
        scene.browser.submit("main button");
        assert_eq!(scene.path(), "/admin/");
        scene
    }

    fn visit(&self, path: &str) {
        self.browser.visit(&format!("{}{path}", self.site));
    }

    fn path(&self) -> String {
        let path = self.browser.run("return location.pathname + location.search");
        path.as_str().unwrap().to_owned()
    }

    fn shows(&self, text: &str) -> bool {
        self.browser.page().1.contains(text)
    }

    /// Waits until the page says so by itself.
    fn comes_to_show(&self, text: &str) {
        wait_for(&format!("the page to say {text:?}"), || self.shows(text));
    }

    fn records(&self, kind: &str) -> Vec<Value> {
        let answer = self.server.admin.get(&format!("/v1/audit?order=oldest&kind={kind}"));
        answer
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn logins(server: &Server, sub: &str) -> [Login; 2] {
    ["Firefox on Linux", "Phone"].map(|device| server.log_in_with(&json!({"sub": sub, "device": device})))
}

#[test]
fn a_client_logs_in_and_out_and_a_copied_cookie_is_worth_nothing_then() {
    let scene = Scene::new();
    scene.visit("/admin/audit?kind=lift");
    assert_eq!(scene.path(), "/admin/login?next=%2Fadmin%2Faudit%3Fkind%3Dlift");
    scene.browser.write("[name=id]", "backend");
    scene.browser.write("[name=secret]", "guess");
    scene.browser.submit("main button");
    assert_eq!(scene.browser.page().0, 401);
    assert!(scene.shows("no client with this name and secret") && scene.browser.cookies().is_empty());

    scene.browser.write("[name=id]", "backend");
    scene.browser.write("[name=secret]", scene.home.secret());
    scene.browser.submit("main button");
    assert_eq!(scene.path(), "/admin/audit?kind=lift", "where one wanted to go");
    let cookies = scene.browser.cookies();
    let held: Vec<_> = cookies
        .iter()
        .map(|cookie| (&*cookie.name, &*cookie.attributes))
        .collect();
    let attributes = "Path=/admin; HttpOnly; SameSite=Lax; HostOnly";
    assert_eq!(
        held,
        [
            ("OSTRACON_CONSOLE", attributes),
            ("OSTRACON_CONSOLE_REFRESH", attributes)
        ]
    );
    assert_eq!(scene.browser.run("return document.cookie"), "");
    let copied: Vec<_> = cookies.iter().map(KeptCookie::pair).collect();
    let copy = Plain {
        ask: scene.server.admin.as_nobody().with("Cookie", &copied.join("; ")),
    };
    assert!(copy.is_in());

    scene.browser.submit(".logout button");
    assert!(scene.shows("You are logged out") && scene.browser.cookies().is_empty());
    assert!(!copy.is_in(), "it was a session, and it is ended");
    assert_eq!(scene.records("login_failed")[0]["route"], "/admin/login");
    let begun = &scene.records("console_login")[0];
    assert_eq!(
        (&begun["client"], &begun["outcome"]),
        (&json!("backend"), &json!("logged_in"))
    );
    let ended = &scene.records("revocation")[0];
    assert_eq!(
        (&ended["target"]["sid"], &ended["reason"]),
        (&begun["sid"], &json!("logout"))
    );
}

/// The keyboard alone: from the address bar to a session that is ended.
#[test]
fn one_session_is_ended_by_keyboard_and_then_all() {
    let scene = Scene::logged_in();
    let [laptop, phone] = logins(&scene.server, "ada");
    scene.visit("/admin/sessions");
    // The field has the focus already.
    scene.browser.leave(|| scene.browser.press("ada\u{e007}"));
    assert!(scene.shows("Firefox on Linux") && scene.shows("Phone") && scene.path() == "/admin/sessions?sub=ada");
    let focus = "return document.activeElement.name || document.activeElement.innerText";
    let tab_to = |text: &str| {
        for _ in 0..40 {
            if scene.browser.run(focus) == text {
                return;
            }
            scene.browser.press("\u{e004}");
        }
        panic!("no way to {text:?} by keyboard");
    };
    // The one that was refreshed last comes first.
    tab_to("End…");
    scene.browser.press("\u{e007}");
    tab_to("reason");
    scene.browser.press("comp");
    tab_to("note");
    scene.browser.press("ticket 4711");
    tab_to("End the session");
    scene.browser.leave(|| scene.browser.press("\u{e007}"));
    assert!(scene.shows("The session is ended."));
    let (ended, goes_on) = match [&laptop, &phone].map(|login| scene.server.passes(&login.access)) {
        [true, false] => (&phone, &laptop),
        [false, true] => (&laptop, &phone),
        other => panic!("{other:?}"),
    };
    let record = &scene.records("revocation")[0];
    assert_eq!(record["target"]["sid"], ended.sid.as_str());
    assert_eq!(
        (&record["client"], &record["reason"], &record["note"]),
        (&json!("backend"), &json!("compromised"), &json!("ticket 4711"))
    );

    scene
        .browser
        .run("document.querySelector('section > .act').open = true");
    scene.browser.submit("section > .act button");
    assert!(scene.shows("All sessions are ended") && scene.shows("No live session"));
    assert!(!scene.server.passes(&goes_on.access));
}

#[test]
fn i8_a_token_is_explained_and_leaves_no_trace() {
    let scene = Scene::logged_in();
    let login = scene.server.log_in("u");
    let explain = |token: &str| {
        scene.visit("/admin/explain");
        // As it is copied from a header, and broken over lines.
        scene
            .browser
            .write("textarea", &format!("Bearer {}\n{}", &token[..40], &token[40..]));
        scene.browser.submit("main form button");
    };
    explain(&login.access);
    assert!(
        scene.shows("It is let in") && scene.shows(&login.sid),
        "{:?}",
        scene.browser.page()
    );
    let receipt = scene.server.admin.post_json(
        "/v1/revocations",
        &json!({"target": {"kind": "subject", "sub": "u"}, "reason": "account_suspended"}),
    );
    explain(&login.access);
    assert!(scene.shows("token_revoked") && scene.shows("account suspended"));
    scene.browser.submit("section p a");
    assert_eq!(
        scene.path(),
        format!("/admin/revocations/{}", receipt.json()["id"].as_str().unwrap())
    );
    explain(&ostracon_tests::forged(&login.access));
    assert!(scene.shows("signature_invalid") && scene.shows("nothing that it says is shown"));
    assert!(!scene.shows(&login.sid));

    let signature = login.access.rsplit('.').next().unwrap();
    assert!(!scene.server.log().contains(signature));
    assert!(!scene.server.admin.get("/v1/audit?limit=1000").body.contains(signature));
}

#[test]
fn a_revocation_is_lifted_once_that_is_said_twice() {
    let scene = Scene::logged_in();
    let login = scene.server.log_in("u");
    let subject = json!({"target": {"kind": "subject", "sub": "u"}, "note": "<b>not</b> bold"});
    scene.server.admin.post_json("/v1/revocations", &subject);
    scene.visit("/admin/revocations?kind=&sub=u");
    assert!(scene.shows("<b>not</b> bold"), "what others wrote is text");
    scene.browser.submit(".list a");
    scene
        .browser
        .run("document.querySelector('.act').open = true; document.querySelector('.act button').click()");
    assert!(
        !scene.shows("It is lifted") && !scene.server.passes(&login.access),
        "the box is not ticked"
    );
    scene
        .browser
        .run("document.querySelector('[name=sure]').checked = true");
    scene.browser.submit(".act button");
    assert!(scene.shows("It is lifted") && scene.shows("Nothing is listed"));
    assert!(scene.server.passes(&login.access));
    assert_eq!(scene.records("lift")[0]["client"], "backend");
}

#[test]
fn the_overview_is_live_until_it_is_paused_and_while_the_session_lasts() {
    let scene = Scene::logged_in();
    scene.comes_to_show("Live");
    scene.browser.run("window.loaded = 'once'");
    let login = scene.server.log_in("u");
    let end = |sub: &str| {
        let subject = json!({"target": {"kind": "subject", "sub": sub}, "note": format!("of {sub}")});
        scene.server.admin.post_json("/v1/revocations", &subject);
    };
    end("u");
    scene.comes_to_show("of u");
    // What is refused shows by its reason, once somebody has looked twice.
    wait_for("the denial", || {
        scene.server.public.bearer(&login.access).get("/auth/verify");
        scene.shows("token_revoked") && scene.shows("found listed")
    });
    assert!(scene.shows("Listed: 1"));
    scene.browser.run("document.querySelector('[data-pause]').click()");
    scene.comes_to_show("Paused");
    end("v");
    assert!(!scene.shows("of v"));
    scene.browser.run("document.querySelector('[data-pause]').click()");
    scene.comes_to_show("of v");
    assert_eq!(
        scene.browser.run("return window.loaded"),
        "once",
        "without being loaded again"
    );

    let sessions = scene.server.admin.get("/v1/sessions?sub=console:backend").json();
    let sid = sessions["sessions"][0]["sid"].as_str().unwrap();
    scene
        .server
        .admin
        .send(&Method::DELETE, &format!("/v1/sessions/{sid}"), "", Vec::new());
    scene.comes_to_show("Log in");
    assert!(scene.path().starts_with("/admin/login"));
}

/// Every page: on a phone and on a desk nothing is wider than the window; nothing is asked of another host; the policy is
/// kept by the page itself.
#[test]
fn pages_fit_and_keep_to_themselves() {
    let scene = Scene::logged_in();
    logins(&scene.server, "ada");
    let long = "a-subject-with-a-name-that-has-no-place-to-break-and-goes-on-".repeat(3);
    let target = |target: Value| json!({"target": target, "note": long});
    for body in [
        target(json!({"kind": "subject", "sub": long})),
        target(json!({"kind": "token", "jti": "j"})),
        target(json!({"kind": "issuer"})),
    ] {
        let answer = scene.server.admin.post_json("/v1/revocations", &body);
        assert_eq!(answer.status, 201, "{answer:?}");
        if body["target"]["kind"] == "issuer" {
            // It would end the operator's session, too.
            let id = answer.json()["id"].as_str().unwrap().to_owned();
            scene
                .server
                .admin
                .send(&Method::DELETE, &format!("/v1/revocations/{id}"), "", Vec::new());
        }
    }
    let by_subject = format!("/admin/sessions?sub={long}");
    for path in [
        "/admin/",
        "/admin/sessions?sub=ada",
        &by_subject,
        "/admin/revocations",
        "/admin/explain",
        "/admin/audit",
        "/admin/login",
    ] {
        for width in [390, 1280] {
            scene.browser.resize(width, 800);
            scene.visit(path);
            scene
                .browser
                .run("document.querySelectorAll('details').forEach(part => part.open = true)");
            let wide = scene.browser.run("return document.documentElement.scrollWidth");
            assert!(wide.as_u64().unwrap() <= width.into(), "{path}: {wide} at {width}");
            let elsewhere = scene.browser.run(
                "return performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith(location.origin))",
            );
            assert_eq!(elsewhere, json!([]));
            let unnamed = scene.browser.run(
                "return [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')]
                     .filter(e => !(e.labels?.length || e.innerText.trim() || e.ariaLabel)).map(e => e.outerHTML)",
            );
            assert_eq!(unnamed, json!([]), "each has a name that is read out");
        }
    }
    assert_eq!(scene.browser.complaints(), Vec::<String>::new());
    scene
        .browser
        .run("document.body.insertAdjacentHTML('beforeend', '<p style=\"color: red\">')");
    scene
        .browser
        .run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)");
    assert_eq!(scene.browser.run("return window.ran ?? 0"), 0);
    assert!(scene.browser.complaints().len() >= 2, "the policy is one");
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
fn one_logs_in_by_the_name_of_a_host_without_tls() {
    let mut scene = Scene::new();
    // A browser says less of a page that came so: only `Origin`, and only where the page lets it.
    let (_, port) = scene.site.rsplit_once(':').unwrap();
    scene.site = format!("http://admin.test:{port}");
    scene.visit("/admin/");
    scene.browser.write("[name=id]", "backend");
    scene.browser.write("[name=secret]", scene.home.secret());
    scene.browser.submit("main button");
    assert_eq!(scene.path(), "/admin/");
    scene.comes_to_show("Live");
    scene.browser.submit(".logout button");
    assert_eq!(scene.path(), "/admin/login?out=1");
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
