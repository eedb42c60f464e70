//! `examples/hapi`: a Node application that asks Ostracon instead of Redis.

use std::{path::Path, process::Command};

use ostracon_tests::{Answer, Ask, Example, Home, Server};
use serde_json::{Value, json};
use ureq::http::Method;

/// The application, and what it asks. Its cookies have the names of an application that was there before.
struct Scene {
    home: Home,
    server: Server,
    shop: Example,
}

impl Scene {
    fn new() -> Self {
        let home = Home::new();
        home.configure(|text| {
            text.replace("__Host-USER_SESSION", "USER_SESSION")
                .replace("__Secure-USER_REFRESH", "USER_REFRESH")
        });
        // The public listener over a Unix socket, the admin one over TCP: both are kept connections.
        let socket = home.path().join("public.sock");
        let server = home.start_on_socket(&socket);
        let mut command = Command::new("node");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/hapi/server.js"))
            .env("OSTRACON_PUBLIC", format!("unix:{}", socket.display()))
            .env("OSTRACON_ADMIN", format!("http://{}", server.admin.address()))
            .env("CLIENT_SECRET", home.secret())
            .env("ISSUER", "https://auth.example")
            .env("PORT", "0")
            .env("PASSWORD", "correct horse");
        let shop = Example::start(&mut command);
        Self { home, server, shop }
    }

    fn log_in(&self, user: &str, password: &str) -> (Answer, Ask) {
        let credentials = json!({"user": user, "password": password});
        let answer = self.shop.public.post_json("/login", &credentials);
        let browser = self.browser(&cookies(&answer));
        (answer, browser)
    }

    fn enter(&self, user: &str) -> Ask {
        let (answer, browser) = self.log_in(user, "correct horse");
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// What a browser with these cookies sends from one of the application's own pages.
    fn browser(&self, cookies: &[String]) -> Ask {
        let browser = self.shop.public.with("Sec-Fetch-Site", "same-origin");
        if cookies.is_empty() {
            return browser;
        }
        browser.with("Cookie", &cookies.join("; "))
    }
}

/// Names and values of the cookies that an answer sets.
fn cookies(answer: &Answer) -> Vec<String> {
    let set = answer.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap());
    set.map(|c| c.split(';').next().unwrap().to_owned()).collect()
}

fn orders(browser: &Ask) -> u16 {
    browser.get("/orders").status
}

fn catalogue(browser: &Ask) -> u16 {
    browser.get("/catalogue").status
}

#[test]
fn log_in_use_log_out_replay_the_cookie() {
    let scene = Scene::new();
    let nobody = scene.shop.public.get("/orders");
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate").get(..6)),
        (401, Some("Bearer"))
    );
    assert_eq!(scene.log_in("ada", "guess").0.status, 403);
    let (answer, browser) = scene.log_in("ada", "correct horse");
    let set = answer.headers.get("set-cookie").unwrap().to_str().unwrap();
    assert!(set.starts_with("USER_SESSION=ey"), "{set}");
    for attribute in ["Path=/;", "Secure;", "HttpOnly;", "SameSite=Lax;"] {
        assert!(set.contains(attribute), "{attribute} in {set}");
    }
    let mine = browser.get("/orders").json();
    assert_eq!(mine, json!({"sub": "ada", "orders": []}));
    assert_eq!(browser.get("/catalogue").json()["sub"], "ada");
    assert_eq!(browser.post("/admin/users/root/logout").status, 403, "scope");

    let other = scene.enter("ada");
    let foreign = scene
        .shop
        .public
        .with("Cookie", &cookies(&answer).join("; "))
        .with("Sec-Fetch-Site", "cross-site");
    for path in ["/logout", "/auth/logout", "/password"] {
        assert_eq!(
            foreign.post_json(path, &json!({"password": "x"})).status,
            403,
            "A86: {path}"
        );
    }
    assert_eq!(orders(&browser), 200);
    let out = browser.post("/logout");
    assert_eq!((out.status, out.revoked()), (200, vec!["session".to_owned()]));
    let cleared: Vec<_> = out.headers.get_all("set-cookie").iter().collect();
    assert!(
        cleared.len() == 2 && cleared.iter().all(|c| c.to_str().unwrap().contains("Max-Age=0")),
        "{out:?}"
    );
    // The copied cookie: dead where the denylist is asked; where the signature is enough it lives its few minutes.
    assert_eq!((orders(&browser), catalogue(&browser)), (401, 200));
    assert_eq!(browser.get("/catalogue").json()["items"], json!(["amphora", "krater"]));
    let refreshed = browser.post("/auth/refresh");
    assert_eq!(
        (refreshed.status, &refreshed.json()["code"]),
        (401, &json!("session_revoked"))
    );
    assert_eq!(orders(&other), 200, "the other device stays");
    let refreshed = other.post("/auth/refresh");
    assert_eq!((refreshed.status, cookies(&refreshed).len()), (200, 2));
    assert_eq!(orders(&scene.browser(&cookies(&refreshed))), 200);
    // A69: junk is no login on either route.
    let junk = scene.browser(&["USER_SESSION=junk".to_owned()]);
    assert_eq!((orders(&junk), catalogue(&junk)), (401, 401));
}

#[test]
fn each_forced_logout_is_one_call() {
    let scene = Scene::new();
    let (phone, laptop, root) = (scene.enter("ada"), scene.enter("ada"), scene.enter("root"));
    let changed = laptop.post_json("/password", &json!({"password": "battery staple"}));
    assert_eq!(changed.status, 200);
    assert_eq!(
        (orders(&phone), orders(&laptop)),
        (401, 401),
        "every device that had the old password"
    );
    let laptop = scene.browser(&cookies(&changed));
    assert_eq!(orders(&laptop), 200, "this one stays");
    assert_eq!(scene.log_in("ada", "correct horse").0.status, 403);
    let enter = || scene.log_in("ada", "battery staple").1;

    let reason = |answer: Answer| {
        assert_eq!(answer.status, 200, "{answer:?}");
        let json: Value = answer.json();
        assert_eq!(
            (&json["target"]["kind"], &json["durable"]),
            (&json!("subject"), &json!(true))
        );
        json["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(reason(root.post("/admin/users/ada/logout")), "admin");
    assert_eq!(orders(&laptop), 401);

    let laptop = enter();
    assert_eq!(orders(&laptop), 200, "who is out by order may log in again");
    let less = root.post_json("/admin/users/ada/scope", &json!({"scope": ""}));
    assert_eq!((reason(less), orders(&laptop)), ("permission_change".into(), 401));
    let laptop = enter();
    assert_eq!(orders(&laptop), 403, "and has what is true now");
    assert_eq!(reason(root.post("/admin/users/ada/suspend")), "account_suspended");
    assert_eq!(laptop.post("/password").status, 401);
    assert_eq!(scene.log_in("ada", "battery staple").0.status, 403);

    let second = scene.enter("root");
    let deleted = root.send(&Method::DELETE, "/account", "", Vec::new());
    assert_eq!(deleted.status, 200, "{deleted:?}");
    assert_eq!((orders(&root), orders(&second)), (401, 401));
    assert_eq!(scene.log_in("root", "correct horse").0.status, 403);
}

/// I5: without an answer the sensitive route is closed, and says that it is not the user's fault.
#[test]
fn i5_while_ostracon_is_down_only_the_low_risk_route_goes_on() {
    let scene = Scene::new();
    let (out, stays) = (scene.enter("ada"), scene.enter("ada"));
    assert_eq!(out.post("/logout").status, 200);
    let Scene { home, server, shop } = scene;
    server.kill();
    for browser in [&out, &stays] {
        let refused = browser.get("/orders");
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (503, "1"),
            "{refused:?}"
        );
        assert_eq!(catalogue(browser), 200);
    }
    assert_eq!(stays.post("/logout").status, 503, "and the cookies stay, to try again");
    assert_eq!(
        shop.public
            .post_json("/login", &json!({"user": "ada", "password": "correct horse"}))
            .status,
        503
    );
    let _server = home.start_on_socket(&home.path().join("public.sock"));
    assert_eq!((orders(&out), orders(&stays)), (401, 200), "I4");
}
