//! The console, as an operator uses it: in a browser, by keyboard, on a phone, and without a script.

#[path = "console/plain.rs"]
mod plain;

use self::plain::Plain;
use ostracon_tests::{Browser, Home, KeptCookie, Login, Server, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

fn home() -> Home {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    home
}

struct Scene {
    browser: Browser,
    site: String,
    server: Server,
    home: Home,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let home = home();
        let server = home.start_with(variables);
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
        scene.log_in();
        scene
    }

    fn log_in(&self) {
        self.visit("/admin/");
        self.browser.write("[name=id]", "backend");
        self.browser.write("[name=secret]", self.home.secret());
        self.browser.submit("main button");
        assert_eq!(self.path(), "/admin/");
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
fn one_logs_in_by_the_name_of_a_host_without_tls() {
    let mut scene = Scene::new();
    // A browser says less of a page that came so: only `Origin`, and only where the page lets it.
    let (_, port) = scene.site.rsplit_once(':').unwrap();
    scene.site = format!("http://admin.test:{port}");
    scene.log_in();
    scene.comes_to_show("Live");
    scene.browser.submit(".logout button");
    assert_eq!(scene.path(), "/admin/login?out=1");
}

#[test]
fn the_place_of_the_keyboard_stays_while_figures_change() {
    let scene = Scene::logged_in();
    scene.comes_to_show("Live");
    scene.browser.run("document.querySelector('#figures a').focus()");
    let focus = || scene.browser.run("return document.activeElement.getAttribute('href')");
    let figures = || scene.browser.run("return document.getElementById('figures').innerText");
    let (at, before) = (focus(), figures());
    assert_eq!(at, "/admin/revocations?kind=token");
    wait_for("other figures", || figures() != before);
    assert_eq!(focus(), at);
}

/// A page that was refused its stream once loaded itself again, was refused again, and so on.
#[test]
fn an_overview_without_a_stream_waits_for_one_and_is_not_loaded_again() {
    // A quarter of the connections is for overviews.
    let scene = Scene::with(&[("OSTRACON_LIMITS__CONNECTIONS", "16")]);
    let plain = Plain::log_in(&scene.server, scene.home.secret());
    let taken: Vec<_> = (0..4).map(|_| plain.ask.open("/admin/live")).collect();
    assert!(taken.iter().all(|(answer, _)| answer.status == 200));
    assert_eq!(plain.get("/admin/live").status, 503);
    scene.log_in();
    scene.browser.run("window.loaded = 'once'");
    scene.comes_to_show("Not live, trying again");
    drop(taken);
    scene.comes_to_show("Pause");
    wait_for("a stream", || {
        scene
            .browser
            .run("return document.querySelector('[data-live]').hasAttribute('data-on')")
            == true
    });
    assert_eq!(scene.browser.run("return window.loaded"), "once");
}
