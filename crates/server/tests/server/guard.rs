//! An application's own routes, guarded by the extractor and the layer, and its own logins and logouts.

use std::path::Path;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{HeaderMap, Request, Response, header},
    response::Redirect,
    routing::{any, get, post},
};
use ostracon_server::{
    Authenticated, Clock, Config, Issuer, Login, LogoutScope, Note, Pair, Problem, Reason, Revoke, Scope, Serving,
    Subject, Target, Tier, UnixTime, new_secret, require, router,
};
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

const ORIGIN: &str = "https://shop.example";

async fn open(dir: &Path) -> Serving {
    let key = dir.join("hs.secret");
    if !key.exists() {
        ostracon_store::write_new(&key, new_secret().unwrap().0.as_bytes()).unwrap();
    }
    let text = r#"
data_dir = "denylist"
tokens = { issuer = "https://shop.example", audience = "shop" }
keys = [{ kid = "k", alg = "HS256", secret_file = "hs.secret" }]
rules = [{ path = "/public", tier = "low" }]
"#;
    let config = Config::from_toml(text, dir).unwrap();
    Serving::open(config, Clock::system()).await.unwrap()
}

#[derive(Deserialize, Serialize)]
struct Mine {
    role: String,
}

async fn me(who: Authenticated) -> Result<String, Problem> {
    let mine: Mine = who.extra()?;
    Ok(format!("{} {} {}", who.subject(), mine.role, who.scope().as_str()))
}

fn login() -> Login {
    let role = "editor".to_owned();
    Login::new(user())
        .scope(Scope::new("read write").unwrap())
        .claims(Mine { role })
        .unwrap()
}

fn user() -> Subject {
    Subject::new("user-42").unwrap()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

async fn answer(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

/// Status and code, or the body where all is well.
async fn ask(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let response = answer(router, request(method, path, headers)).await;
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let json = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let code = json.and_then(|json| Some(json.get("code")?.as_str()?.to_owned()));
    (status, code.unwrap_or_else(|| String::from_utf8(body.into()).unwrap()))
}

fn bearer(pair: &Pair) -> String {
    format!("Bearer {}", pair.access_token())
}

/// The access cookie as a browser sends it.
fn cookie(pair: &Pair) -> String {
    let cookie = pair.cookies().first().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.into())
}

#[tokio::test]
async fn the_extractor_lets_in_whom_the_token_proves() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let greeting = async |who: Option<Authenticated>| who.map_or("nobody".into(), |who| who.subject().to_string());
    let app = Router::new()
        .route("/me", get(me))
        .route("/", get(greeting))
        .with_state(ostracon.clone());
    let pair = ostracon.log_in(login()).await.unwrap();
    let (bearer, cookie) = (bearer(&pair), cookie(&pair));
    for good in [("authorization", &*bearer), ("cookie", &*cookie)] {
        assert_eq!(
            ask(&app, "GET", "/me", &[good]).await,
            (200, "user-42 editor read write".into())
        );
        assert_eq!(ask(&app, "GET", "/", &[good]).await, (200, "user-42".into()));
    }
    assert_eq!(ask(&app, "GET", "/", &[]).await, (200, "nobody".into()));
    assert_eq!(ask(&app, "GET", "/me", &[]).await, refused(401, "token_missing"));
    let refresh = format!("Bearer {}", pair.refresh_token());
    for (bad, status, code) in [
        (&[("authorization", "Bearer x")][..], 401, "token_malformed"),
        (&[("authorization", &refresh)], 401, "token_unsupported"),
        (
            &[("authorization", &bearer), ("cookie", "__Host-USER_SESSION=x")],
            400,
            "credentials_ambiguous",
        ),
    ] {
        // One that is there and not good is a refusal on a route for everybody, too.
        for path in ["/me", "/"] {
            assert_eq!(ask(&app, "GET", path, bad).await, refused(status, code), "{path}");
        }
    }
    let response = answer(&app, request("GET", "/me", &[("authorization", "Bearer x")])).await;
    let header = |name| response.headers().get(name).unwrap().to_str().unwrap();
    assert_eq!(header(header::CONTENT_TYPE), "application/problem+json");
    assert_eq!(header(header::CACHE_CONTROL), "no-store");
    assert!(
        header(header::WWW_AUTHENTICATE).starts_with("Bearer realm=\"ostracon\", error=\"invalid_token\""),
        "P48"
    );

    ostracon
        .end_session(pair.session().clone(), Reason::Admin)
        .await
        .unwrap();
    for path in ["/me", "/"] {
        let (status, code) = ask(&app, "GET", path, &[("authorization", &bearer)]).await;
        assert_eq!((status, &*code), (401, "token_revoked"), "I9");
    }
}

#[tokio::test]
async fn layers_add_up_and_the_extractor_takes_what_they_found() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let guard = || require(ostracon.clone());
    let scope = |scope: &str| Scope::new(scope).unwrap();
    let app = Router::new()
        .route("/read", get(me).layer(guard().scope(scope("read"))))
        .route("/admin", get(me).layer(guard().scope(scope("admin"))))
        .route("/open", get(async || "no extractor"))
        .layer(guard())
        .route("/partner", get(me).layer(guard().audience("partner").audience("other")))
        .route("/alone", get(me))
        .with_state(ostracon.clone());
    let pair = ostracon.log_in(login()).await.unwrap();
    let bearer = bearer(&pair);
    let ask = async |path| ask(&app, "GET", path, &[("authorization", &bearer)]).await;
    assert_eq!(ask("/read").await.0, 200);
    assert_eq!(ask("/admin").await, refused(403, "scope_insufficient"));
    assert_eq!(ask("/open").await.0, 200);
    assert_eq!(ask("/partner").await, refused(401, "audience_mismatch"));
    assert_eq!(
        super::guard::ask(&app, "GET", "/open", &[]).await,
        refused(401, "token_missing")
    );
    // For an audience that only the layer knows of: the extractor behind it does not ask again, and asks where none is.
    let partner = ostracon.log_in(login().audience("partner")).await.unwrap();
    let bearer = self::bearer(&partner);
    let ask = async |path| super::guard::ask(&app, "GET", path, &[("authorization", &bearer)]).await;
    assert_eq!(ask("/partner").await.0, 200);
    assert_eq!(ask("/alone").await, refused(401, "audience_mismatch"));
}

/// What one application vouches for is nothing to another in the same program.
#[tokio::test]
async fn a018_two_applications_in_one_program_do_not_believe_each_other() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (ours, theirs) = (open(here.path()).await, open(there.path()).await);
    let pair = theirs.log_in(login()).await.unwrap();
    let by_extractor = Router::new()
        .route("/", get(me))
        .layer(require(theirs.clone()))
        .with_state(ours.clone());
    let by_layer = Router::new()
        .route("/", get(async || "in"))
        .layer(require(ours))
        .layer(require(theirs));
    for app in [by_extractor, by_layer] {
        let answer = ask(&app, "GET", "/", &[("authorization", &bearer(&pair))]).await;
        assert_eq!(answer, refused(401, "signature_invalid"));
    }
}

#[tokio::test]
async fn tiers_and_rules_by_path_hold_below_nested_routers() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let inner = || Router::new().route("/public", get(me)).route("/x", get(me));
    let guarded = |tier| inner().layer(require(ostracon.clone()).tier(tier));
    let app = Router::new()
        .nest("/public", inner())
        .nest("/account", inner())
        .nest("/low", guarded(Tier::Low))
        .nest("/high", guarded(Tier::High))
        .with_state(ostracon.clone());
    let pair = ostracon.log_in(login()).await.unwrap();
    let bearer = bearer(&pair);
    let passes = async |path: &str| {
        let (status, code) = ask(&app, "GET", path, &[("authorization", &bearer)]).await;
        assert!(status == 200 || code == "token_revoked", "{path}: {status} {code}");
        status == 200
    };
    for path in ["/public/x", "/account/public", "/low/x", "/high/x"] {
        assert!(passes(path).await, "{path}");
    }
    ostracon.end_all_sessions(user(), Reason::PasswordChange).await.unwrap();
    assert!(
        passes("/public/x").await && passes("/low/x").await,
        "by signature alone"
    );
    for path in ["/account/public", "/account/x", "/high/x", "/high/public"] {
        assert!(!passes(path).await, "{path} goes by its whole path");
    }
}

#[tokio::test]
async fn a86_cookies_act_only_for_pages_that_may() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let handler = async |who: Authenticated| who.subject().to_string();
    let app = Router::new()
        .route("/extracted", any(handler))
        .route("/layered", any(handler).layer(require(ostracon.clone())))
        .route(
            "/unchecked",
            any(handler).layer(require(ostracon.clone()).without_csrf_check()),
        )
        .with_state(ostracon.clone());
    let pair = ostracon.log_in(login()).await.unwrap();
    let (cookie, bearer) = (cookie(&pair), bearer(&pair));
    let foreign = [("cookie", &*cookie), ("sec-fetch-site", "cross-site")];
    let own = [("cookie", &*cookie), ("sec-fetch-site", "same-origin")];
    let silent = [("cookie", &*cookie)];
    let socket = [("cookie", &*cookie), ("origin", ORIGIN), ("upgrade", "websocket")];
    let by_bearer = [("authorization", &*bearer), ("sec-fetch-site", "cross-site")];
    for path in ["/extracted", "/layered"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "CUSTOM"] {
            for bad in [&foreign[..], &silent] {
                assert_eq!(ask(&app, method, path, bad).await, refused(403, "csrf_refused"));
            }
            for good in [&own[..], &by_bearer] {
                assert_eq!(ask(&app, method, path, good).await.0, 200, "{method} {path}");
            }
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(ask(&app, method, path, &foreign).await.0, 200, "{method} {path}");
        }
        assert_eq!(ask(&app, "GET", path, &socket).await, refused(403, "csrf_refused"));
    }
    assert_eq!(ask(&app, "POST", "/unchecked", &foreign).await.0, 200);
}

#[tokio::test]
async fn the_application_logs_in_and_out_by_itself_and_a_restart_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let enter = async |State(ostracon): State<Serving>| -> Result<_, Problem> {
        Ok((ostracon.log_in(login()).await?, Redirect::to("/")))
    };
    let leave = async |State(ostracon): State<Serving>, headers: HeaderMap| -> Result<_, Problem> {
        let out = ostracon.log_out(&headers, LogoutScope::Session).await?;
        assert!(out.has_ended_anything());
        Ok((out, Redirect::to("/")))
    };
    // It has a fallback and a health check of its own.
    let app = |ostracon: &Serving| {
        Router::new()
            .route("/login", post(enter))
            .route("/leave", post(leave))
            .route("/me", get(me))
            .route("/healthz", get(async || "mine"))
            .fallback(async || "my own 404")
            .merge(router(ostracon.clone()))
            .with_state(ostracon.clone())
    };
    let routes = app(&ostracon);
    assert_eq!(ask(&routes, "GET", "/nowhere", &[]).await.1, "my own 404");
    assert_eq!(ask(&routes, "GET", "/healthz", &[]).await.1, "mine");
    assert_eq!(
        ask(&routes, "GET", "/auth/logout", &[]).await,
        refused(405, "method_not_allowed")
    );
    let log_in = async || {
        let response = answer(&routes, request("POST", "/login", &[])).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].as_bytes()),
            (303, &b"/"[..])
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
        let set = response.headers().get_all("set-cookie").iter();
        let set: Vec<_> = set
            .map(|v| v.to_str().unwrap().split(';').next().unwrap().to_owned())
            .collect();
        assert_eq!(set.len(), 2, "{set:?}");
        set.first().unwrap().clone()
    };
    let (first, second, third) = (log_in().await, log_in().await, log_in().await);
    let foreign = [("cookie", &*first), ("sec-fetch-site", "cross-site")];
    assert_eq!(
        ask(&routes, "POST", "/leave", &foreign).await,
        refused(403, "csrf_refused")
    );
    let own = [("cookie", &*first), ("sec-fetch-site", "same-origin")];
    let out = answer(&routes, request("POST", "/leave", &own)).await;
    assert_eq!(
        (
            out.status().as_u16(),
            out.headers().get_all("set-cookie").iter().count()
        ),
        (303, 2)
    );
    let own = [("cookie", &*second), ("sec-fetch-site", "same-origin")];
    assert_eq!(
        ask(&routes, "POST", "/auth/logout", &own).await.0,
        200,
        "the merged route"
    );

    let enters = async |routes: &Router, cookie: &str| ask(routes, "GET", "/me", &[("cookie", cookie)]).await.0;
    for (cookie, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(enters(&routes, cookie).await, status);
    }
    ostracon.close().await.unwrap();
    let late = ostracon.end_all_sessions(user(), Reason::Admin).await.unwrap_err();
    assert_eq!((late.status().as_u16(), late.code()), (503, "store_unavailable"), "I5");
    drop((routes, ostracon));
    let ostracon = open(dir.path()).await;
    let routes = app(&ostracon);
    for (cookie, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(enters(&routes, cookie).await, status, "I4");
    }
}

#[tokio::test]
async fn what_the_application_revokes_is_checked_as_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let ostracon = open(dir.path()).await;
    let code = |problem: Problem| (problem.status().as_u16(), problem.code(), problem.to_string());
    let subject = |iss: &str| Target::Subject {
        iss: Issuer::new(iss).unwrap(),
        sub: user(),
    };
    let stranger = Revoke::new(subject("https://stranger.example"), Reason::Admin);
    let (status, _, detail) = code(ostracon.revoke(stranger).await.unwrap_err());
    assert!(status == 422 && detail.starts_with("target.iss: "), "{detail}");
    let millis = UnixTime::from_secs(1_790_000_000_000);
    let ahead = Revoke::new(subject(ORIGIN), Reason::Admin).before(millis);
    assert!(
        code(ostracon.revoke(ahead).await.unwrap_err())
            .2
            .starts_with("before: ")
    );
    let noted = Revoke::new(subject(ORIGIN), Reason::Compromised).note(Note::new("ticket 4711").unwrap());
    let receipt = ostracon.revoke(noted).await.unwrap();
    assert_eq!(
        (
            receipt.changed,
            receipt.revocation.reason(),
            receipt.revocation.note().unwrap().as_str()
        ),
        (true, Reason::Compromised, "ticket 4711")
    );

    let forged = serde_json::json!({"iss": "https://evil.example"});
    let forged = login().claims(forged).unwrap();
    let (status, code, detail) = code(ostracon.log_in(forged).await.unwrap_err());
    assert_eq!((status, code), (422, "member_invalid"));
    assert!(detail.starts_with("claims.iss: "), "{detail}");
    assert!(login().claims("no object").is_err());
    // I8.
    let pair = ostracon.log_in(login()).await.unwrap();
    let shown = format!("{pair:?} {:?}", login());
    assert!(!shown.contains("eyJ") && !shown.contains("editor"), "{shown}");
    let next = ostracon.refresh(pair.refresh_token()).await.unwrap();
    assert_eq!(next.session(), pair.session());
}
