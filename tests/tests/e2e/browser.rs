//! What a real browser does with the cookies: keeps them, sends them, and drops them at logout.
//!
//! Headless Chromium sees one origin: nginx, with the configuration of `examples/`, in front of Ostracon and of an
//! application whose login page asks Ostracon for a session and hands the cookies on.

use ostracon_tests::{Application, Arrived, Ask, Browser, Home, KeptCookie, Proxy, Reply, Server};
use serde_json::{Value, json};

const ACCESS: &str = "__Host-USER_SESSION";
const REFRESH: &str = "__Secure-USER_REFRESH";

const LOGIN_PAGE: &str = r#"<!doctype html><title>Log in</title><h1>Log in</h1>
<form method="post"><label>Name <input name="name"></label> <button>Log in</button></form>"#;

/// The application's answers: a login page for everybody, and for those that Ostracon lets in a page with their name.
fn reply(arrived: &Arrived, ostracon: &Ask) -> Reply {
    match (arrived.method.as_str(), arrived.path.as_str()) {
        ("POST", "/login") => {
            let name = arrived.body.strip_prefix("name=").unwrap();
            let session = ostracon.post_json("/v1/sessions", &json!({"sub": name}));
            let session = session.json();
            let cookies = session["cookies"].as_array().unwrap().iter();
            let mut headers: Vec<_> = cookies
                .map(|cookie| ("Set-Cookie", cookie.as_str().unwrap().to_owned()))
                .collect();
            headers.push(("Location", "/".to_owned()));
            Reply {
                status: "303 See Other",
                headers,
                body: String::new(),
            }
        }
        ("GET", "/login") => Reply::ok("text/html", LOGIN_PAGE),
        _ => {
            let name = arrived.header("x-auth-subject").unwrap_or("");
            let form = r#"<form method="post" action="/logout"><button>Log out</button></form>"#;
            Reply::ok(
                "text/html",
                format!("<!doctype html><title>Home</title><h1>Hello {name}</h1>{form}"),
            )
        }
    }
}

struct Scene {
    browser: Browser,
    /// The site, as the browser sees it.
    site: String,
    proxy: Proxy,
    application: Application,
    server: Server,
    _home: Home,
}

impl Scene {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        let home = Home::new();
        let server = home.start_with(variables);
        let admin = server.admin.clone();
        let application = Application::start(move |arrived| reply(arrived, &admin));
        let proxy = Proxy::nginx(server.public.address(), &application.address());
        Self {
            browser: Browser::new(),
            site: proxy.public.address().replace("127.0.0.1", "http://localhost"),
            proxy,
            application,
            server,
            _home: home,
        }
    }

    /// Logs in as a user does: on the page, by its form. The access and the refresh cookie are kept then.
    fn log_in(&self, name: &str) -> [KeptCookie; 2] {
        self.browser.visit(&format!("{}/login", self.site));
        self.browser.write("input[name=name]", name);
        self.browser.submit("button");
        assert_eq!(self.browser.page(), (200, format!("Hello {name}\nLog out")));
        self.kept()
    }

    /// A page on another port of the site's host sets cookies of that name, with another user's session.
    fn plant(&self, name: &str) {
        let token = self.server.log_in("mallory").access;
        self.browser
            .visit(&format!("http://localhost:{}/login", self.application.port()));
        let planted = self.browser.run(&format!(
            "for (const attributes of ['Path=/', 'Path=/; Secure', 'Path=/auth; Secure', 'Path=/; Secure; Domain=localhost'])
                 document.cookie = '{name}={token}; ' + attributes;
             return 'tried'"
        ));
        assert_eq!(planted, "tried");
    }

    fn kept(&self) -> [KeptCookie; 2] {
        self.browser.cookies().try_into().unwrap()
    }

    /// What the page gets when it asks its own server.
    fn fetch(&self, method: &str, path: &str) -> Value {
        self.browser.run(&format!(
            "const answer = await fetch('{path}', {{method: '{method}'}}); return [answer.status, await answer.text()]"
        ))
    }

    fn verified(&self) -> bool {
        match self.fetch("GET", "/auth/verify")[0].as_u64() {
            Some(200) => true,
            Some(401) => false,
            other => panic!("{other:?}"),
        }
    }

    /// What somebody gets who has copied a cookie, straight from Ostracon and through nginx.
    fn replay(&self, cookie: &KeptCookie) -> String {
        let pair = cookie.pair();
        let (status, code) = self.server.public.with("Cookie", &pair).get("/auth/verify").problem();
        assert_eq!(
            (status, self.proxy.public.with("Cookie", &pair).get("/").status),
            (401, 401)
        );
        code
    }
}

#[test]
fn p098_p099_logged_out_the_browser_has_no_cookie_and_a_copied_one_is_refused() {
    let scene = Scene::new();
    scene.browser.visit(&format!("{}/login", scene.site));
    assert!(!scene.verified() && scene.browser.cookies().is_empty());

    // By a script of the page.
    let [access, refresh] = scene.log_in("ada");
    let told = |cookie: &KeptCookie| (cookie.name.clone(), cookie.attributes.clone());
    let held = |path: &str| format!("Path={path}; Secure; HttpOnly; SameSite=Lax; Expires; HostOnly");
    assert_eq!(told(&access), (ACCESS.into(), held("/")));
    assert_eq!(told(&refresh), (REFRESH.into(), held("/auth")));
    assert_eq!(scene.browser.run("return document.cookie"), "", "no script reads them");
    assert!(scene.verified());
    let out = scene.fetch("POST", "/auth/logout");
    assert_eq!(out[0], 200, "{out}");
    assert_eq!(scene.browser.cookies(), []);
    assert!(!scene.verified());
    assert_eq!(scene.replay(&access), "token_revoked");
    let refused = scene.server.refresh(&refresh.value);
    assert_eq!(refused.problem(), (401, "session_revoked".into()));

    // By a form of the page, without a script.
    let [access, _] = scene.log_in("ada");
    scene.browser.submit("button");
    let (status, text) = scene.browser.page();
    assert!(
        status == 200 && text.contains("Logged out successfully"),
        "{status} {text}"
    );
    assert_eq!(scene.browser.cookies(), []);
    assert_eq!(scene.replay(&access), "token_revoked");
    scene.browser.visit(&scene.site);
    assert_eq!(scene.browser.page().0, 401);

    // Out with a dead cookie, too: the user gets rid of it.
    let [access, _] = scene.log_in("ada");
    assert_eq!(scene.server.public.bearer(&access.value).post("/logout").status, 200);
    assert_eq!((scene.verified(), scene.browser.cookies().len()), (false, 2));
    assert_eq!(scene.fetch("POST", "/logout")[0], 200);
    assert_eq!(scene.browser.cookies(), []);
}

#[test]
fn a_refresh_puts_the_next_pair_into_the_browser() {
    let scene = Scene::new();
    let before = scene.log_in("ada");
    let answer = scene.fetch("POST", "/auth/refresh");
    assert_eq!(answer[0], 200, "{answer}");
    let after = scene.kept();
    for (before, after) in before.iter().zip(&after) {
        assert_ne!(before.value, after.value);
        let same = KeptCookie {
            value: before.value.clone(),
            ..after.clone()
        };
        assert_eq!(*before, same, "all but the value is as before");
    }
    assert!(scene.verified());
    assert_eq!(scene.fetch("POST", "/logout")[0], 200);
    assert_eq!(scene.browser.cookies(), []);
    for cookie in [&before[0], &after[0]] {
        assert_eq!(scene.replay(cookie), "token_revoked", "one session, one end");
    }
}

/// A86: neither a page of another site nor one of another origin on this site logs the user out, refreshes, or takes
/// the cookies away.
#[test]
fn a86_p107_pages_of_other_origins_change_nothing() {
    let scene = Scene::new();
    let before = scene.log_in("ada");
    let port = scene.application.port();
    // Another port is another origin of the same site, whose requests have the cookies; another name is another site.
    for other in [format!("http://localhost:{port}"), format!("http://127.0.0.1:{port}")] {
        for target in [
            "/logout",
            "/auth/logout",
            "/auth/logout?scope=everywhere",
            "/auth/refresh",
        ] {
            scene.browser.visit(&format!("{other}/login"));
            let script = format!(
                "for (const method of ['POST', 'GET'])
                     await fetch('{site}{target}', {{method, mode: 'no-cors', credentials: 'include'}});
                 await new Promise(loaded => {{
                     const image = new Image();
                     image.onerror = image.onload = loaded;
                     image.src = '{site}{target}';
                 }});
                 return 'sent'",
                site = scene.site
            );
            assert_eq!(scene.browser.run(&script), "sent", "{other} {target}");
            assert_eq!(scene.kept(), before, "{other} {target}");

            // A form shows what is answered.
            let form = format!(
                "document.body.innerHTML = '<form method=post action=\"{}{target}\"><button>Win</button></form>'",
                scene.site
            );
            scene.browser.run(&form);
            scene.browser.submit("button");
            let (status, text) = scene.browser.page();
            let same_site = other.contains("localhost");
            if same_site || !target.contains("refresh") {
                assert!(
                    status == 403 && text.contains("csrf_refused"),
                    "{other} {target}: {status} {text}"
                );
            } else {
                // Across sites the browser keeps the cookie to itself, and there is nothing to refresh with.
                assert!(
                    status == 401 && text.contains("token_missing"),
                    "{other} {target}: {status} {text}"
                );
            }
            assert_eq!(scene.kept(), before, "{other} {target}");
        }
    }
    scene.browser.visit(&scene.site);
    assert!(scene.verified());

    // Asked for by the user, a GET changes nothing either.
    scene.browser.visit(&format!("{}/logout", scene.site));
    assert_eq!(scene.browser.page().0, 405);
    assert_eq!(scene.kept(), before);
}

/// A85: a page that shares the host, but not the origin, cannot put its own session under the user's name.
#[test]
fn a85_no_other_page_can_plant_a_session() {
    let scene = Scene::new();
    let before = scene.log_in("ada");
    scene.plant(ACCESS);
    scene.plant(&ACCESS.to_lowercase());
    let mut kept = scene.browser.cookies();
    kept.retain(|cookie| cookie.name == ACCESS);
    assert_eq!(kept, before[..1], "the name's prefix keeps it");
    scene.browser.visit(&scene.site);
    assert_eq!(scene.browser.page(), (200, "Hello ada\nLog out".to_owned()));
    assert!(scene.verified());
}

/// A84: without the prefix the browser takes the cookie, and sends two of one name. Neither is believed.
#[test]
fn a84_under_a_plain_name_a_planted_session_is_refused() {
    let scene = Scene::with(&[("OSTRACON_COOKIES__ACCESS", "USER_SESSION")]);
    scene.log_in("ada");
    assert!(scene.verified());
    scene.plant("USER_SESSION");
    assert!(scene.browser.cookies().len() > 2);
    scene.browser.visit(&format!("{}/login", scene.site));
    assert!(!scene.verified(), "two cookies");
    scene.browser.visit(&scene.site);
    assert_eq!(
        scene.browser.page(),
        (200, "Hello ada\nLog out".to_owned()),
        "HttpOnly keeps hers"
    );
}
