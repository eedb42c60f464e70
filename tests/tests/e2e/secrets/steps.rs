//! What happens to a server in the run: each route, page and command, and failures of each.

use std::{fs, io::Read};

use ostracon_tests::{Ask, Login, Minter, foreign_claims, forged, now};
use serde_json::json;
use ureq::http::Method;

use super::{APP, IDP, WRONG, run::Run};

/// Logins, refreshes, a reuse, and each way to log out. The access tokens: of one that is alive, and of one that is out.
pub(super) fn logins_and_logouts(run: &Run) -> [Login; 2] {
    let (public, admin) = (&run.server.public, &run.server.admin);
    let log_in = |sub: &str| Login::read(&run.json(admin, "/v1/sessions", &json!({"sub": sub})));
    let refresh = |token: &str| run.json(public, "/auth/refresh", &json!({"refresh_token": token}));
    let first = log_in("user-1");
    let second = Login::read(&refresh(&first.refresh));
    assert_eq!(Login::read(&refresh(&first.refresh)), second, "within the grace");
    let third = Login::read(&run.form(public, "/auth/refresh", &format!("refresh_token={}", second.refresh)));
    assert_eq!(refresh(&first.refresh).status, 401, "reuse");
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ] {
        assert_eq!(
            run.send(&public.bearer(&third.access), &method, "/auth/verify", "", "")
                .status,
            401
        );
    }
    // By cookies, as a browser has them.
    let alive = log_in("user-2");
    let browser = |login: &Login| {
        let cookies = format!("{}; {}", login.access_cookie, login.refresh_cookie);
        public.with("Cookie", &cookies).with("Sec-Fetch-Site", "same-origin")
    };
    for path in ["/auth/verify", "/auth/session"] {
        assert_eq!(run.get(&browser(&alive), path).status, 200);
    }
    let by_cookie = log_in("user-3");
    assert_eq!(run.post(&browser(&by_cookie), "/auth/refresh").status, 200);
    assert_eq!(
        run.post(&browser(&by_cookie).with("Sec-Fetch-Site", "cross-site"), "/logout")
            .status,
        403
    );
    assert_eq!(run.post(&browser(&log_in("user-4")), "/logout").status, 200);
    let out = log_in("user-5");
    assert_eq!(run.post(&public.bearer(&out.access), "/auth/logout").status, 200);
    assert_eq!(run.get(&public.bearer(&out.access), "/auth/verify").status, 401);
    let stays = log_in("user-6");
    let others = run.json(
        public,
        "/auth/logout?scope=others",
        &json!({"refresh_token": stays.refresh}),
    );
    assert_eq!(others.status, 200, "{others:?}");
    assert_eq!(
        run.json(
            admin,
            "/v1/sessions",
            &json!({"sub": "user-6", "end_others": "password_change"})
        )
        .status,
        201
    );
    [alive, out]
}

pub(super) fn oauth(run: &Run) {
    let (public, client) = (&run.server.public, &run.server.oauth);
    let login = Login::read(&run.json(&run.server.admin, "/v1/sessions", &json!({"sub": "user-7"})));
    let secret = format!("client_id=backend&client_secret={}", run.home.secret());
    let grant = format!("grant_type=refresh_token&refresh_token={}", login.refresh);
    let next = run.form(client, "/oauth/token", &grant);
    assert_eq!(next.status, 200, "{next:?}");
    let refresh = next.json()["refresh_token"].as_str().unwrap().to_owned();
    let in_body = format!("grant_type=refresh_token&refresh_token={refresh}&{secret}");
    for form in [
        in_body.as_str(),
        &format!("{grant}&scope={}", login.access),
        &format!("grant_type={}", login.refresh),
        &format!("grant_type=password&password={WRONG}"),
        &format!("{grant}&client_id=backend&client_secret={WRONG}"),
        &format!("{grant}&{grant}"),
    ] {
        run.form(client, "/oauth/token", form);
        run.form(public, "/oauth/token", form);
    }
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        for token in [&login.access, &forged(&login.access), &refresh] {
            run.form(public, path, &format!("token={token}&{secret}"));
            run.form(client, path, &format!("token={token}&token_type_hint={token}"));
            run.form(client, path, &format!("tokn={token}&token={token}&token={token}"));
            run.get(client, &format!("{path}?token={token}"));
        }
    }
}

/// Tokens of other issuers, and a provider that logs out.
pub(super) fn others(run: &Run, app: &Minter, idp: &Minter) {
    let public = &run.server.public;
    let plain = app.mint(&json!({"typ": "JWT"}), &foreign_claims(APP, "alice"));
    let typed = idp.mint(&json!({"typ": "at+jwt"}), &foreign_claims(IDP, "alice"));
    let event = "http://schemas.openid.net/event/backchannel-logout";
    let logout = json!({"iss": IDP, "aud": "shop-web", "iat": now(), "exp": now() + 120, "jti": "l", "sub": "alice",
        "events": {event: {}}});
    let logout = idp.mint(&json!({"typ": "logout+jwt"}), &logout);
    for token in [&plain, &typed, &logout] {
        run.secrets.borrow_mut().add_token("another issuer's token", token);
        run.get(&public.bearer(token), "/auth/verify");
        run.form(
            public,
            "/auth/backchannel-logout",
            &format!("logout_token={}", forged(token)),
        );
    }
    let ended = run.form(public, "/auth/backchannel-logout", &format!("logout_token={logout}"));
    assert_eq!(ended.status, 200, "{ended:?}");
    assert_eq!(run.post(&public.bearer(&plain), "/auth/logout").status, 200);
}

/// Secrets in places where they do not belong.
pub(super) fn failures(run: &Run, [alive, out]: &[Login; 2]) {
    let (public, admin) = (&run.server.public, &run.server.admin);
    let fake = forged(&alive.access);
    run.secrets.borrow_mut().add_token("a forged token", &fake);
    let long = format!("{}{}", alive.access, "A".repeat(20_000));
    for token in [&fake, &out.access, &alive.refresh, &long, &format!("{}.", alive.access)] {
        for path in ["/auth/verify", "/auth/session"] {
            assert!(run.get(&public.bearer(token), path).status >= 400);
            run.get(&public.with("Authorization", &format!("Basic {token}")), path);
            run.get(
                &public.with("Cookie", &format!("__Host-USER_SESSION={token}; __Host-USER_SESSION=x")),
                path,
            );
        }
        for path in [
            "/auth/logout",
            "/logout",
            "/auth/refresh",
            "/v1/revocations",
            "/v1/explain",
        ] {
            for ask in [public, admin] {
                run.post(&ask.bearer(token), path);
                for body in [
                    json!({"refresh_tokn": token}),
                    json!({"refresh_token": {token: 1}}),
                    json!({"token": [token]}),
                ] {
                    run.json(ask, path, &body);
                }
                run.send(
                    ask,
                    &Method::POST,
                    path,
                    "application/json",
                    &format!("{{\"refresh_token\": \"{token}"),
                );
                run.send(ask, &Method::POST, path, token.split('.').next().unwrap(), token);
            }
        }
    }
    // In addresses, which proxies log; this server does not.
    let token = &alive.access;
    for ask in [public, admin] {
        for path in [
            format!("/{token}"),
            format!("/auth/verify?access_token={token}"),
            format!("/auth/logout?scope={token}"),
            format!("/v1/revocations/{token}"),
            format!("/v1/revocations?cursor={token}"),
            format!("/v1/sessions?sub=x&cursor={token}&secret={}", run.home.secret()),
            format!("/v1/audit?kind={token}"),
            format!("/v1/events?last_event_id={token}"),
            format!("/admin/login?nxt=/admin/{token}"),
        ] {
            run.get(ask, &path);
            run.send(ask, &Method::DELETE, &path, "", "");
        }
    }
    for (id, secret) in [
        ("backend", WRONG),
        (run.home.secret(), "backend"),
        ("reader", run.home.secret()),
    ] {
        let caller = admin.as_client(id, secret);
        for path in [
            "/v1/sessions",
            "/v1/revocations",
            "/v1/explain",
            "/v1/maintenance/backup",
        ] {
            assert!(run.json(&caller, path, &json!({"sub": "x", "token": token})).status >= 400);
        }
    }
}

pub(super) fn operators(run: &Run, [alive, out]: &[Login; 2]) {
    let admin = &run.server.admin;
    for path in [
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/v1/stats",
        "/metrics",
        "/v1/revocations",
        "/v1/sessions?sub=user-2",
        "/v1/audit?limit=1000",
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
    ] {
        let ask = if path.starts_with("/.well") {
            &run.server.public
        } else {
            admin
        };
        assert_eq!(run.get(ask, path).status, 200, "{path}");
    }
    for token in [&alive.access, &alive.refresh, &out.access, &forged(&out.access)] {
        run.json(admin, "/v1/explain", &json!({"token": token}));
    }
    let victim = Login::read(&run.json(admin, "/v1/sessions", &json!({"sub": "user-8"})));
    let revoked = run.json(
        admin,
        "/v1/revocations",
        &json!({"token": victim.access, "reason": "compromised"}),
    );
    let path = format!("/v1/revocations/{}", revoked.json()["id"].as_str().unwrap());
    assert_eq!(run.get(admin, &path).status, 200);
    assert_eq!(run.send(admin, &Method::DELETE, &path, "", "").status, 200);
    assert_eq!(
        run.send(admin, &Method::DELETE, &format!("/v1/sessions/{}", victim.sid), "", "")
            .status,
        201
    );
    let lines = format!(
        "{}\n{}\n{}\n",
        json!({"token": victim.access}),
        victim.refresh,
        json!({"token": 1, "x": victim.access})
    );
    run.send(
        admin,
        &Method::POST,
        "/v1/revocations/batch",
        "application/x-ndjson",
        &lines,
    );
    for name in ["sweep", "rebuild-prefilter", "backup"] {
        // A sweep waits until the clock has gone evenly for a while.
        let done = run.post(admin, &format!("/v1/maintenance/{name}"));
        assert!([200, 409].contains(&done.status), "{name}: {done:?}");
    }
    assert_eq!(run.get(&admin.as_nobody(), "/v1/events").status, 401);
    run.asked.borrow_mut().insert("GET /v1/events".into());
}

pub(super) fn console(run: &Run, [alive, out]: &[Login; 2]) {
    let nobody = run.server.admin.as_nobody();
    run.get(&nobody, "/admin/login");
    for secret in [WRONG, run.home.secret()] {
        assert_eq!(
            run.form(&nobody, "/admin/login", &format!("id=backend%20&secret={secret}x"))
                .status,
            401
        );
        run.form(&nobody, "/admin/login", &format!("id={secret}&secret=backend"));
    }
    let inside = run.form(
        &nobody,
        "/admin/login",
        &format!("id=backend&secret={}", run.home.secret()),
    );
    let pairs = inside.headers.get_all("set-cookie").iter();
    let pairs: Vec<_> = pairs
        .map(|value| value.to_str().unwrap().split(';').next().unwrap())
        .collect();
    let own: Ask = nobody.with("Cookie", &pairs.join("; "));
    for path in ["", "/", "/sessions?sub=user-2", "/revocations", "/explain", "/audit"] {
        let page = run.get(&own, &format!("/admin{path}"));
        assert!(page.status == 200 || path.is_empty(), "{path}: {page:?}");
    }
    let css = run.get(&own, "/admin/").body;
    let asset = css.split("/admin/assets/").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(run.get(&own, &format!("/admin/assets/{asset}")).status, 200);
    for token in [&alive.access, &alive.refresh, &out.access, &forged(&alive.access)] {
        let page = run.form(&own, "/admin/explain", &format!("token={token}"));
        assert!(page.body.contains("<html"), "{page:?}");
        run.form(&own, "/admin/explain", &format!("tokn={token}"));
        run.get(&own, &format!("/admin/sessions?sub={token}x").replace(token, "user-2"));
    }
    let ended = run.form(&own, "/admin/sessions/end", "sub=user-7&reason=admin");
    assert_eq!(ended.status, 303, "{ended:?}");
    let list = run.get(&run.server.admin, "/v1/revocations?kind=subject").json();
    let id = list["revocations"][0]["id"].as_str().unwrap().to_owned();
    run.get(&own, &format!("/admin/revocations/{id}"));
    run.form(&own, &format!("/admin/revocations/{id}/lift"), "sure=no");
    assert_eq!(
        run.form(&own, &format!("/admin/revocations/{id}/lift"), "sure=yes")
            .status,
        303
    );
    let (head, mut body) = own.with("Accept", "text/event-stream").open("/admin/live");
    let mut first = [0; 2048];
    let read = body.read(&mut first).unwrap();
    run.told.borrow_mut().add("GET /admin/live", &first[..read]);
    assert_eq!(head.status, 200);
    run.asked.borrow_mut().insert("GET /admin/live".into());
    run.form(&own, "/admin/logout", "");
}

/// The commands that ask the server. What the audit trail has come to.
pub(super) fn commands(run: &Run, [alive, out]: &[Login; 2]) -> String {
    let file = |name: &str, text: &str| {
        let path = run.home.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    // Told apart by place: what is read from these is in them.
    let (token, bad) = (
        file("kept-token", &out.access),
        file("kept-bad", &forged(&alive.access)),
    );
    for json in [&[][..], &["--json"]] {
        let with = |arguments: &[&'static str]| [arguments, json].concat();
        for arguments in [&["list"][..], &["sessions", "user-2"], &["stats"], &["list", "--all"]] {
            assert_eq!(run.command(&with(arguments), "").0, 0, "{arguments:?}");
        }
        for path in [&token, &bad] {
            run.command(&[&["explain", path], json].concat(), "");
            run.command(&[&["revoke", "--token-file", path], json].concat(), "");
            run.command(&[&["revoke", "--batch", path], json].concat(), "");
        }
        run.command(&with(&["explain"]), &alive.refresh);
        run.command(
            &with(&["revoke", "--batch", "-"]),
            &json!({"token": alive.refresh}).to_string(),
        );
    }
    run.command(&["lift", "00000000000000000000000000000000", "--yes"], "");
    let exposed = file("kept-secret", run.home.secret());
    assert_eq!(run.command(&["stats", "--client-secret-file", &exposed], "").0, 2);
    run.command(&["audit", "--data-dir", "denylist"], "").1
}
