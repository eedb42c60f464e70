//! Attacks on requests: A37 and A38 as heads, A84, A87 to A90, A93.

use ostracon_tests::{Home, Server, raw, segment};
use serde_json::{Value, json};

use super::{Scene, serde_form};

/// Status and body of a raw answer.
fn read(answer: &str) -> (&str, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    let lower = head.to_ascii_lowercase();
    assert!(
        lower.contains("content-type: application/problem+json"),
        "P114: {answer}"
    );
    assert!(lower.contains("x-content-type-options: nosniff"), "{answer}");
    (&head[9..12], serde_json::from_str(body).unwrap())
}

/// 65,536 bytes of head are read, and not one more; what cannot be read is told so as every failure is.
#[test]
fn a37_a38_p114_heads_have_an_exact_limit_and_their_refusals_have_words() {
    let home = Home::new();
    let server = home.start();
    for address in [server.public.address(), server.admin.address()] {
        let head = |size: usize| {
            let begun = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: ";
            format!("{begun}{}\r\n\r\n", ".".repeat(size - begun.len() - 4))
        };
        let answer = raw(address, head(65_536).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let fields = |n: usize| format!("GET /healthz HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(n));
        for (request, status, code) in [
            (head(65_537), "431", "head_too_large"),
            (fields(101), "431", "head_too_large"),
            ("GET / HTTP/1.1\r\nbad header\r\n\r\n".into(), "400", "head_malformed"),
            ("G\0T / HTTP/1.1\r\n\r\n".into(), "400", "head_malformed"),
            ("GET / HTTP/7.0\r\n\r\n".into(), "400", "head_malformed"),
            (
                format!("GET /{} HTTP/1.1\r\n", "a".repeat(65_520)),
                "431",
                "head_too_large",
            ),
        ] {
            let answer = raw(address, request.as_bytes());
            let (told, body) = read(&answer);
            assert_eq!((told, &body["code"]), (status, &json!(code)), "{answer}");
            assert_eq!(body["status"].to_string(), status);
        }
        // Behind a good request on the same connection, too.
        let both = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n";
        let answer = raw(address, both.as_bytes());
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("head_malformed"),
            "{answer}"
        );
    }
    assert!(!server.log().contains("panicked"));
}

/// Two cookies of one name are nobody's, and a name in other letters is another name.
#[test]
fn a84_cookies_of_one_name_and_of_other_letters() {
    let scene = Scene::new();
    let Scene { server, victim, .. } = &scene;
    let other = server.log_in("other");
    let (mine, theirs) = (&victim.access_cookie, &other.access_cookie);
    let own = server.public.with("Sec-Fetch-Site", "same-origin");
    let twice = [
        own.with("Cookie", &format!("{mine}; {theirs}")),
        own.with("Cookie", &format!("{theirs}; {mine}")),
        own.with("Cookie", mine).with("Cookie", theirs),
    ];
    for ask in &twice {
        assert_eq!(ask.get("/auth/verify").status, 401);
        let out = ask.post("/auth/logout");
        assert!(out.status == 400 || out.revoked().is_empty(), "{out:?}");
    }
    let both = format!("{}; {}", victim.refresh_cookie, other.refresh_cookie);
    let refreshed = own.with("Cookie", &both).post("/auth/refresh");
    assert!([400, 401].contains(&refreshed.status), "{refreshed:?}");
    for name in ["__host-", "__HOST-", "__Host_", " __Host-", ""] {
        let cookie =
            mine.replacen("__Host-", name, 1)
                .replacen("USER", if name.is_empty() { "user" } else { "USER" }, 1);
        let ask = own.with("Cookie", cookie.trim_start());
        if cookie.trim_start() != mine {
            assert_eq!(ask.get("/auth/verify").problem().1, "token_missing", "{name}");
            assert!(ask.post("/auth/logout").revoked().is_empty());
        }
    }
    for login in [victim, &other] {
        assert!(server.passes(&login.access) && server.refresh(&login.refresh).status == 200);
    }
}

/// Nothing says where to go next but the console, which stays in its own pages.
#[test]
fn a87_p097_nobody_is_sent_elsewhere() {
    let home = Home::new();
    let server = home.start();
    for to in [
        "//evil.example",
        "https:evil.example",
        "\\evil.example",
        "/\\evil.example",
        "/admin/\r\nSet-Cookie: a=b",
        "javascript:1",
    ] {
        let next = serde_form("next", to);
        let redirect = serde_form("redirect", to);
        let login = server.log_in("u");
        for path in ["/auth/logout", "/logout"] {
            for name in ["redirect", "next", "post_logout_redirect_uri", "return_to"] {
                let query = format!("{path}?{}", serde_form(name, to));
                let out = server.public.bearer(&login.access).post(&query);
                assert!(out.status < 300 || out.status >= 400, "{out:?}");
                assert!(out.headers.get("location").is_none(), "{out:?}");
            }
            let out = server.public.bearer(&login.access).post_form(path, &redirect);
            assert!(out.headers.get("location").is_none(), "{out:?}");
        }
        let pages = server.admin.as_nobody().with("Sec-Fetch-Site", "same-origin");
        let form = format!("{next}&id=backend&{}", serde_form("secret", home.secret()));
        let entered = pages.post_form("/admin/login", &form);
        assert_eq!(entered.status, 303, "{entered:?}");
        let location = entered.header("location");
        assert!(
            location.starts_with("/admin/") && !location.contains("evil"),
            "{location}"
        );
        assert!(
            !entered
                .headers
                .get_all("set-cookie")
                .iter()
                .any(|cookie| cookie == "a=b")
        );
    }
}

/// Forms that say a thing twice, come as something else, or are large, do nothing.
#[test]
fn a89_forms_are_read_strictly() {
    let scene = Scene::new();
    let Scene { server, victim, .. } = &scene;
    let before = scene.entries();
    let (method, token) = ("POST".parse().unwrap(), &victim.access);
    let form = "application/x-www-form-urlencoded";
    let multipart = "multipart/form-data; boundary=x";
    for (path, name, value) in [
        ("/oauth/revoke", "token", token),
        ("/oauth/introspect", "token", token),
        ("/oauth/token", "refresh_token", &victim.refresh),
        ("/auth/refresh", "refresh_token", &victim.refresh),
        ("/auth/logout", "refresh_token", &victim.refresh),
        ("/auth/backchannel-logout", "logout_token", token),
    ] {
        let grant = if path == "/oauth/token" {
            "grant_type=refresh_token&"
        } else {
            ""
        };
        let twice = format!("{grant}{name}={value}&{name}={value}");
        let escaped = format!(
            "{grant}{name}={value}&%{:02x}{}={value}",
            name.as_bytes()[0],
            &name[1..]
        );
        let part = format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--x--\r\n");
        let large = format!("{grant}{name}={value}&x={}", "x".repeat(10 << 20));
        for (kind, content_type, body) in [
            ("twice", form, twice),
            ("twice, escaped", form, escaped),
            ("multipart", multipart, part),
            ("nothing", "", format!("{grant}{name}={value}")),
            ("text", "text/plain", format!("{grant}{name}={value}")),
            (
                "JSON twice",
                "application/json",
                format!(r#"{{"{name}":"{value}","{name}":"{value}"}}"#),
            ),
            (
                "JSON nested",
                "application/json",
                format!(r#"{{"{name}":["{value}"]}}"#),
            ),
            ("10 MB", form, large),
        ] {
            // It may close before all of it was sent.
            let Some(answer) = server.oauth.as_client("backend", scene.home.secret()).try_send(
                &method,
                path,
                content_type,
                body.into(),
            ) else {
                assert_eq!(kind, "10 MB", "{path}");
                continue;
            };
            assert!(
                [400, 413, 415, 422].contains(&answer.status),
                "{path}, {kind}: {answer:?}"
            );
            assert!(!answer.body.contains(value.as_str()), "{path}, {kind}");
        }
    }
    assert_eq!(scene.entries(), before);
    assert!(server.passes(token) && server.refresh(&victim.refresh).status == 200);
    assert!(!server.log().contains("panicked"));
}

/// Secrets in a place where logs and histories keep them are no credentials, nor is half of one.
#[test]
fn a90_credentials_in_the_wrong_place_or_badly_spelled() {
    let scene = Scene::new();
    let Scene {
        server, victim, home, ..
    } = &scene;
    let secret = home.secret();
    let form = format!("token={}", victim.access);
    for path in ["/oauth/revoke", "/oauth/introspect", "/oauth/token"] {
        let query = format!("{path}?client_id=backend&client_secret={secret}");
        let asked = server.public.post_form(&query, &form);
        assert!([400, 401].contains(&asked.status), "{asked:?}");
        assert!(!asked.body.contains(secret));
        let basic = |text: &str| {
            server
                .public
                .as_nobody()
                .with("Authorization", &format!("Basic {text}"))
        };
        let encoded = |text: String| {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.encode(text)
        };
        for value in [
            "====".to_owned(),
            "!!!!".to_owned(),
            String::new(),
            format!("{}=", encoded(format!("backend:{secret}"))),
            segment(b"backend:\xff\xff\xff"),
            encoded(format!("backend%3A{secret}")),
            encoded(format!("backend:{secret}%")),
            encoded(format!("backend:{secret}%zz")),
            encoded(format!("backend%00:{secret}")),
            encoded("backend".to_owned()),
            encoded(format!(":{secret}")),
            "A".repeat(30_000),
        ] {
            let asked = basic(&value).post_form(path, &form);
            assert!([401, 429].contains(&asked.status), "{value}: {asked:?}");
        }
    }
    assert!(server.passes(&victim.access) && !server.log().contains(secret));
}

/// No user's token opens the backend's side, whatever scope, role or audience it says.
#[test]
fn a93_tokens_of_users_open_nothing_of_operators() {
    let scene = Scene::new();
    let Scene { server, victim, .. } = &scene;
    let before = scene.entries();
    let admin = scene.signed(|claims| {
        claims["scope"] = "admin revoke read issue introspect".into();
        claims["roles"] = json!(["admin"]);
        claims["aud"] = "ostracon-admin".into();
    });
    let console = scene.signed(|claims| {
        claims["client_id"] = "backend".into();
        claims["sub"] = "backend".into();
        claims["aud"] = json!(["app", "ostracon-console"]);
    });
    let routes = operators_routes();
    assert!(routes.len() > 12, "{routes:?}");
    for token in [&victim.access, &victim.refresh, &admin, &console] {
        for (method, path) in &routes {
            let as_user: [&dyn Fn(&Server) -> ostracon_tests::Ask; 3] = [
                &|server| server.admin.bearer(token),
                &|server| {
                    server
                        .admin
                        .as_nobody()
                        .with("Cookie", &format!("__Host-USER_SESSION={token}"))
                },
                &|server| server.admin.as_client("backend", token),
            ];
            for ask in as_user {
                let answer = ask(server).send(&method.parse().unwrap(), path, "application/json", Vec::new());
                assert!([401, 429].contains(&answer.status), "{method} {path}: {answer:?}");
            }
        }
        for name in ["__Host-OSTRACON_CONSOLE", "__Host-USER_SESSION", "OSTRACON_CONSOLE"] {
            let ask = server.admin.as_nobody().with("Cookie", &format!("{name}={token}"));
            assert_eq!(ask.get("/admin/sessions").status, 303, "to the login");
        }
    }
    assert_eq!(scene.entries(), before);
    assert!(server.passes(&victim.access));
}

/// Methods and paths that the API document says are the operators'.
fn operators_routes() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(root.join("docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .filter(|(path, _)| path.starts_with("/v1/"))
        .flat_map(|(path, methods)| {
            let path = path
                .replace("{id}", "00000000000000000000000000000000")
                .replace("{sid}", "x");
            let names = methods.as_object().unwrap().keys();
            names
                .filter(|name| ["get", "post", "delete", "put"].contains(&name.as_str()))
                .map(move |name| (name.to_uppercase(), path.clone()))
        })
        .collect()
}
