//! The routers inside somebody else's program: no listener, no configuration file but a text.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use ostracon_core::UnixTime;
use ostracon_server::{App, Clock, Config, admin, new_secret, public};
use serde_json::Value;
use tower::ServiceExt;

const NOW: u64 = 1_790_000_000;

fn open(dir: &Path) -> (Arc<App>, String) {
    let key = dir.join("hs.secret");
    fs::write(&key, new_secret().unwrap().0).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (secret, hash) = new_secret().unwrap();
    let text = format!(
        r#"
data_dir = "denylist"
tokens = {{ issuer = "https://auth.example", audience = "app" }}
keys = [{{ kid = "k", alg = "HS256", secret_file = "hs.secret" }}]
clients = [{{ id = "web", secret_sha256 = "{hash}", roles = ["issue"] }}]
"#
    );
    let path = dir.join("ostracon.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load_with(&path, []).unwrap();
    let app = App::open(config, Clock::from_fn(|| UnixTime::from_secs(NOW))).unwrap();
    (app, secret)
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
    let (app, secret) = open(dir.path());
    let (public, admin) = (public(Arc::clone(&app)), admin(app));
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("web:{secret}"));
    let log_in = Request::post("/v1/sessions")
        .header("authorization", format!("Basic {basic}"))
        .header("content-type", "application/json")
        .body(Body::from(r#"{"sub":"u"}"#));
    let (status, pair) = ask(&admin, log_in.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = pair.get("access_token").unwrap().as_str().unwrap();
    let verify = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        request
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .unwrap()
    };
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
