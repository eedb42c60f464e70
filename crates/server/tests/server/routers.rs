//! The routers inside somebody else's program: no listener, no configuration file but a text.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use ostracon_core::UnixTime;
use ostracon_server::{App, Clock, Config, admin, public};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{self, NOW};

fn open(dir: &Path, clock: Clock) -> (Arc<App>, String) {
    support::open(dir, clock, r#"["issue", "revoke"]"#, "")
}

/// A request as the client, with `body` if it is a POST.
fn as_client(secret: &str, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("web:{secret}"));
    let request = Request::builder().method(method).uri(path);
    let request = request.header("authorization", format!("Basic {basic}"));
    request
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

fn as_bearer(token: &str, method: &str, path: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    request
        .header("authorization", format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap()
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_routers_answer_without_a_listener_and_by_the_clock_they_are_given() {
    let dir = tempfile::tempdir().unwrap();
    let (app, secret) = open(dir.path(), Clock::from_fn(|| UnixTime::from_secs(NOW)));
    let (public, admin) = (public(Arc::clone(&app)), admin(app));
    let log_in = as_client(&secret, "POST", "/v1/sessions", r#"{"sub":"u"}"#);
    let (status, pair) = ask(&admin, log_in).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = pair.get("access_token").unwrap().as_str().unwrap();
    let verify = |method: &str, path: &str| as_bearer(token, method, path);
    let (status, session) = ask(&public, verify("GET", "/auth/session")).await;
    assert_eq!((status, session.get("issued_at")), (StatusCode::OK, Some(&NOW.into())));
    assert_eq!(ask(&public, verify("GET", "/auth/verify")).await.0, StatusCode::OK);
    assert_eq!(ask(&public, verify("POST", "/auth/logout")).await.0, StatusCode::OK);
    let (status, problem) = ask(&public, verify("GET", "/auth/verify")).await;
    assert_eq!(
        (status, problem.get("code")),
        (StatusCode::UNAUTHORIZED, Some(&"token_revoked".into()))
    );
}

/// What is revoked while the clock lies behind is revoked all the same: it was issued before, whatever the clock says now.
#[tokio::test]
async fn a73_a_clock_that_steps_back_keeps_nobody_in() {
    static CLOCK: AtomicU64 = AtomicU64::new(NOW);
    let set = |at| CLOCK.store(at, Ordering::SeqCst);
    let dir = tempfile::tempdir().unwrap();
    let (app, secret) = open(
        dir.path(),
        Clock::from_fn(|| UnixTime::from_secs(CLOCK.load(Ordering::SeqCst))),
    );
    let (public, admin) = (public(Arc::clone(&app)), admin(app));
    for back in [1, 5, 29, 60, 3600, 40 * 86_400] {
        for how in [
            "token",
            "session",
            "everywhere",
            "by the backend",
            "cut off by the backend",
        ] {
            set(NOW);
            // Another user each time: the clock stands still, and a cut-off is waited out.
            let sub = format!("{how}, {back}");
            let log_in = serde_json::json!({"sub": sub}).to_string();
            let (_, pair) = ask(&admin, as_client(&secret, "POST", "/v1/sessions", log_in)).await;
            let text = |name: &str| pair.get(name).unwrap().as_str().unwrap().to_owned();
            let (token, sid) = (text("access_token"), text("sid"));
            set(NOW - back);
            let answer = match how {
                "by the backend" => ask(&admin, as_client(&secret, "DELETE", &format!("/v1/sessions/{sid}"), "")).await,
                "cut off by the backend" => {
                    let body = serde_json::json!({"target": {"kind": "subject", "sub": sub}}).to_string();
                    ask(&admin, as_client(&secret, "POST", "/v1/revocations", body)).await
                }
                scope => {
                    ask(
                        &public,
                        as_bearer(&token, "POST", &format!("/auth/logout?scope={scope}")),
                    )
                    .await
                }
            };
            assert!(answer.0.is_success(), "{how}: {answer:?}");
            for now in [NOW - back, NOW, NOW + 599] {
                set(now);
                let (status, problem) = ask(&public, as_bearer(&token, "GET", "/auth/verify")).await;
                assert_eq!(
                    status,
                    StatusCode::UNAUTHORIZED,
                    "{how}, back by {back}, at {now}: {problem}"
                );
            }
        }
    }
}

/// I5: with too little space left on the disk nobody is told to be logged out, nor refused who is not; and nobody is logged in
/// who could not be logged out.
#[tokio::test]
async fn i5_a_disk_that_is_nearly_full_is_told_before_a_write_fails() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::from_fn(|| UnixTime::from_secs(NOW));
    let (app, secret) = open(dir.path(), clock);
    let log_in = || as_client(&secret, "POST", "/v1/sessions", r#"{"sub":"u"}"#);
    let (_, pair) = ask(&admin(app), log_in()).await;
    let token = pair["access_token"].as_str().unwrap();

    let spared = ("OSTRACON_DENYLIST__MIN_FREE", "1 PiB");
    let spared = [spared].map(|(name, value)| (name.into(), value.into()));
    let config = Config::load_with(&dir.path().join("ostracon.toml"), spared).unwrap();
    let app = App::open(config, clock).unwrap();
    let (public, admin) = (public(Arc::clone(&app)), admin(app));
    for asked in [as_bearer(token, "POST", "/logout"), log_in()] {
        let router = if asked.uri() == "/logout" { &public } else { &admin };
        let (status, problem) = ask(router, asked).await;
        assert_eq!((status.as_u16(), &problem["code"]), (503, &"store_unavailable".into()));
    }
    let (status, _) = ask(&public, as_bearer(token, "GET", "/auth/verify")).await;
    assert_eq!(status, StatusCode::OK);
    let (status, problem) = ask(&admin, as_client(&secret, "GET", "/readyz", "")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (503, &"not_ready".into()));
    assert!(
        problem["detail"].as_str().unwrap().contains("too little space"),
        "{problem}"
    );
}
