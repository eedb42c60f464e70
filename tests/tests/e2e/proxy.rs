//! Real proxies in front of an application: they let in whom Ostracon lets in, and say who it is.

use std::{collections::BTreeMap, process::Command};

use ostracon_tests::{Answer, Application, Ask, Home, Login, Proxy, Server, forged, raw};
use serde_json::{Value, json};
use ureq::http::Method;

type Start = fn(&str, &str) -> Proxy;

/// Each scenario, with each proxy.
macro_rules! with_each_proxy {
    ($($scenario:ident),* $(,)?) => {
        mod nginx { $(#[test] fn $scenario() { super::$scenario(ostracon_tests::Proxy::nginx); })* }
        mod caddy { $(#[test] fn $scenario() { super::$scenario(ostracon_tests::Proxy::caddy); })* }
    };
}

with_each_proxy!(
    p133_without_a_good_token_nothing_passes,
    p096_who_it_is_reaches_the_application,
    a81_a82_what_clients_say_of_themselves_does_not,
    a_logout_counts_at_once,
    a_missing_scope_is_a_403,
    a82_the_path_that_rules_go_by_is_the_real_one,
    p130_without_an_answer_nothing_passes,
    p130_i5_a_failing_store_lets_nobody_in_who_may_be_out,
);

/// The three of them.
struct Scene {
    server: Server,
    application: Application,
    proxy: Proxy,
    _home: Home,
}

impl Scene {
    fn new(start: Start) -> Self {
        Self::of(start, Home::new(), Home::start)
    }

    fn of(start: Start, home: Home, serve: impl FnOnce(&Home) -> Server) -> Self {
        let (server, application) = (serve(&home), Application::echo());
        Self {
            proxy: start(server.public.address(), &application.address()),
            server,
            application,
            _home: home,
        }
    }

    fn ask(&self) -> &Ask {
        &self.proxy.public
    }

    /// What of `answer` the application was told about who is there; each name as a gateway to CGI would read it.
    fn identity(&self, answer: &Answer) -> BTreeMap<String, String> {
        assert_eq!(answer.status, 200, "{answer:?} {}", self.proxy.log());
        identity(&answer.json())
    }
}

fn identity(arrived: &Value) -> BTreeMap<String, String> {
    let mut identity = BTreeMap::new();
    for header in arrived["headers"].as_array().unwrap() {
        let name = header[0]
            .as_str()
            .unwrap()
            .to_ascii_lowercase()
            .replace(['_', '.'], "-");
        if let Some(name) = name.strip_prefix("x-auth-") {
            let value = header[1].as_str().unwrap().to_owned();
            let twice = identity.insert(name.to_owned(), value);
            assert_eq!(twice, None, "{arrived}");
        }
    }
    // An absent header and an empty one say the same.
    identity.retain(|_, value| !value.is_empty());
    identity
}

fn p133_without_a_good_token_nothing_passes(start: Start) {
    let scene = Scene::new(start);
    let login = scene.server.log_in("u");
    for path in ["/", "/page?access_token=x", "/admin/"] {
        let missing = scene.ask().get(path);
        assert_eq!(
            (missing.status, missing.header("www-authenticate")),
            (401, "Bearer realm=\"ostracon\""),
            "{path}"
        );
        for token in ["", "x", &forged(&login.access), &login.refresh] {
            let refused = scene.ask().bearer(token).get(path);
            assert_eq!(refused.status, 401, "{refused:?}");
            assert!(
                refused.header("www-authenticate").contains("error=\"invalid_token\""),
                "{refused:?}"
            );
        }
    }
    let two = scene
        .ask()
        .bearer(&login.access)
        .with("Cookie", "__Host-USER_SESSION=x")
        .get("/");
    assert_eq!(two.status, 401);
    assert_eq!(scene.application.arrived(), 0);
}

fn p096_who_it_is_reaches_the_application(start: Start) {
    let scene = Scene::new(start);
    let login = scene
        .server
        .log_in_with(&json!({"sub": "J\u{f6}rg", "client_id": "web", "scope": "read write"}));
    let bearer = scene.ask().bearer(&login.access);
    let cookie = scene.ask().with("Cookie", &login.access_cookie);
    for asks in [bearer, cookie] {
        // What the client writes into its query is no rule.
        let answer = asks.post_form("/page?tier=low&aud=other", "a=b");
        let mut identity = scene.identity(&answer);
        let arrived = answer.json();
        assert_eq!(
            (&arrived["method"], &arrived["path"], &arrived["body"]),
            (&json!("POST"), &json!("/page?tier=low&aud=other"), &json!("a=b"))
        );
        assert!(identity.remove("expires").unwrap().parse::<u64>().is_ok());
        let expected = [
            ("client", "web"),
            ("scope", "read write"),
            ("session", &login.sid),
            ("subject", "J%C3%B6rg"),
            ("token-id", &login.jti),
        ];
        assert_eq!(identity, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    }
}

fn a81_a82_what_clients_say_of_themselves_does_not(start: Start) {
    let scene = Scene::new(start);
    let login = scene.server.log_in("u");
    let bearer = format!("Authorization: Bearer {}\r\n", login.access);
    let mine = scene.identity(&scene.ask().bearer(&login.access).get("/"));
    assert_eq!(
        (mine["subject"].as_str(), mine.get("client")),
        ("u", Some(&"backend".to_owned()))
    );
    let ask = |path: &str, headers: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            scene.ask().address()
        );
        let answer = raw(scene.ask().address(), request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let passed = head.starts_with("HTTP/1.1 200 ");
        (
            passed,
            passed.then(|| identity(&serde_json::from_str(body).unwrap())),
            answer.clone(),
        )
    };
    let close = "Connection: close\r\n";
    for spoof in [
        "X-Auth-Subject: admin\r\n",
        "x-auth-subject: admin\r\nX-AUTH-SUBJECT: root\r\n",
        "X_Auth_Subject: admin\r\n",
        "X.Auth.Subject: admin\r\n",
        "X-Auth_Subject: admin\r\nX_Auth-Subject: admin\r\nX-Auth.Subject: admin\r\nx_aUTH.sUBJECT: admin\r\n",
        "X-Auth-Scope: admin\r\nX-Auth-Role: admin\r\nX_AUTH_CLIENT: admin\r\nX-Auth-Expires: 9\r\n",
    ] {
        let (_, told, answer) = ask("/", &format!("{close}{bearer}{spoof}"));
        let mut told = told.unwrap_or_else(|| panic!("{answer}"));
        // A name that is not Ostracon's the proxy may let through or not.
        told.remove("role");
        assert_eq!(told, mine, "{spoof}");
        // Where no login is needed nobody is anybody.
        let (_, told, answer) = ask("/login", &format!("{close}{bearer}{spoof}"));
        let mut told = told.unwrap_or_else(|| panic!("{answer}"));
        told.remove("role");
        assert_eq!(told, BTreeMap::new(), "{spoof}");
        let (passed, ..) = ask("/", &format!("{close}{spoof}"));
        assert!(!passed, "{spoof}");
    }
    // A82: a client cannot have the identity taken out again by naming it a header of the connection.
    for strip in [
        "Connection: close, X-Auth-Subject\r\n",
        "Connection: x-auth-subject\r\nConnection: close\r\n",
    ] {
        let (_, told, answer) = ask("/", &format!("{strip}{bearer}X-Auth-Subject: admin\r\n"));
        assert_eq!(told.as_ref(), Some(&mine), "{answer}");
    }
    for strip in ["Authorization", "Cookie", "Host", "X-Forwarded-Uri"] {
        let (_, told, _) = ask("/", &format!("Connection: close, {strip}\r\n{bearer}"));
        assert!(told.is_none_or(|told| told == mine), "{strip}");
    }
}

fn a_logout_counts_at_once(start: Start) {
    let scene = Scene::new(start);
    let enter = |login: &Login| {
        let by_bearer = scene.ask().bearer(&login.access).get("/").status;
        let by_cookie = scene.ask().with("Cookie", &login.access_cookie).get("/").status;
        assert_eq!(by_bearer, by_cookie);
        by_bearer
    };
    let (one, other) = (scene.server.log_in("u"), scene.server.log_in("u"));
    assert_eq!((enter(&one), enter(&other)), (200, 200));
    let out = scene.ask().bearer(&one.access).post("/auth/logout");
    assert_eq!((out.status, out.revoked()), (200, vec!["session".to_owned()]));
    assert_eq!((enter(&one), enter(&other)), (401, 200));

    // By cookie, as a browser does it: from a page of the same origin, and from no other.
    let cookies = format!("{}; {}", other.access_cookie, other.refresh_cookie);
    let browser = scene.ask().with("Cookie", &cookies);
    let foreign = browser.with("Sec-Fetch-Site", "cross-site").post("/logout");
    assert_eq!((foreign.problem(), enter(&other)), ((403, "csrf_refused".into()), 200));
    let out = browser.with("Sec-Fetch-Site", "same-origin").post("/logout");
    assert_eq!((out.status, out.headers.get_all("set-cookie").iter().count()), (200, 2));
    assert_eq!(enter(&other), 401);
    let refused = scene.ask().bearer(&other.access).get("/");
    assert!(
        refused.header("www-authenticate").contains("token is revoked"),
        "{refused:?}"
    );
}

fn a_missing_scope_is_a_403(start: Start) {
    let scene = Scene::new(start);
    let with_scope = |scope: &str| scene.server.log_in_with(&json!({"sub": "u", "scope": scope})).access;
    let (reader, admin) = (with_scope("read"), with_scope("read admin"));
    for path in [
        "/admin/",
        "/admin/users",
        "/admin/?scope=read",
        "/x/../admin/",
        "/%61dmin/",
    ] {
        let refused = scene.ask().bearer(&reader).get(path);
        assert_eq!(refused.status, 403, "{path}: {refused:?}");
        assert!(
            refused
                .header("www-authenticate")
                .contains("error=\"insufficient_scope\""),
            "{path}: {refused:?}"
        );
    }
    assert_eq!(scene.application.arrived(), 0);
    assert_eq!(scene.ask().bearer(&reader).get("/").status, 200);
    assert_eq!(
        scene.identity(&scene.ask().bearer(&admin).get("/admin/"))["scope"],
        "read admin"
    );
}

/// Ostracon takes the path from the proxy: a client that could name another would choose a laxer rule.
fn a82_the_path_that_rules_go_by_is_the_real_one(start: Start) {
    let home = Home::new();
    home.configure(|text| text + "[[rules]]\npath = \"/public\"\ntier = \"low\"\n");
    let trusted = [("OSTRACON_LISTEN__TRUSTED_PROXIES", "[\"127.0.0.1\"]")];
    let scene = Scene::of(start, home, |home| home.start_with(&trusted));
    let token = scene.server.log_in("u").access;
    let client = scene.ask().bearer(&token);
    assert_eq!(client.post("/logout").status, 200);
    assert_eq!(
        (client.get("/public/a?b").status, client.get("/account").status),
        (200, 401)
    );
    let claimed = client.with("X-Forwarded-Uri", "/public/a");
    assert_eq!(claimed.get("/account").status, 401);
    assert_eq!(claimed.with("X-Forwarded-Uri", "/public/b").get("/account").status, 401);
    let host = client.address();
    for connection in ["close", "close, X-Forwarded-Uri"] {
        let request = format!(
            "GET /account HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\nAuthorization: Bearer {token}\r\n\
             X-Forwarded-Uri: /public/a\r\nX_Forwarded_Uri: /public/a\r\n\r\n"
        );
        let answer = raw(host, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
}

fn p130_without_an_answer_nothing_passes(start: Start) {
    let scene = Scene::new(start);
    let token = scene.server.log_in("u").access;
    let enter = |ask: &Ask| ask.bearer(&token).get("/").status;
    assert_eq!(enter(scene.ask()), 200);
    let arrived = scene.application.arrived();
    let Scene {
        server,
        application,
        proxy,
        ..
    } = scene;
    server.kill();
    for _ in 0..3 {
        assert!(matches!(enter(&proxy.public), 500..=599));
    }
    let head = proxy.public.bearer(&token).send(&Method::HEAD, "/", "", Vec::new());
    assert!(matches!(head.status, 500..=599));
    assert_eq!(application.arrived(), arrived);
}

/// I5: what the store cannot tell is a refusal, through the proxy too.
fn p130_i5_a_failing_store_lets_nobody_in_who_may_be_out(start: Start) {
    // Files of at most 512 KiB, and an error instead of the signal that would end the process.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 512; exec \"$@\"", "-"]);
    let scene = Scene::of(start, Home::new(), |home| home.start_under(&mut limited));
    let (out, stays) = (scene.server.log_in("a").access, scene.server.log_in("b").access);
    let enter = |token: &str| scene.ask().bearer(token).get("/").status;
    assert_eq!(scene.ask().bearer(&out).post("/logout").status, 200);
    assert_eq!((enter(&out), enter(&stays)), (401, 200));
    let failed = (0..10_000).any(|n| {
        let jti = format!("{n}-{}", "x".repeat(200));
        let body = json!({"target": {"kind": "token", "jti": jti}});
        scene.server.admin.post_json("/v1/revocations", &body).status == 503
    });
    assert!(failed);
    // Nothing is written any more. What was read before is read still; what cannot be is no pass.
    let arrived = scene.application.arrived();
    assert!(matches!(enter(&out), 401 | 500..=599));
    let logout = scene.ask().bearer(&stays).post("/logout");
    assert_eq!(logout.problem(), (503, "store_unavailable".into()));
    assert_eq!(scene.application.arrived(), arrived);
    // What is surely not listed passes: the filter knows without the store.
    assert_eq!(enter(&stays), 200);
}
