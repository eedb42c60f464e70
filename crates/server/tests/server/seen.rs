//! Tokens that were seen before: their signature is checked once, and everything else each time (A77).

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
    routing::get,
};
use ostracon_core::{Scope, Tier, UnixTime};
use ostracon_server::{Authenticated, Clock, Config, Login, Serving, Subject, admin, public, require};
use tower::ServiceExt;

use crate::support::{self, NOW};

/// A program with the routers and a route of its own.
struct Program {
    serving: Serving,
    router: Router,
    admin: Router,
}

impl Program {
    fn open(dir: &Path, clock: Clock, more: &str) -> Self {
        let (app, _) = support::open(dir, clock, r#"["issue", "revoke", "read"]"#, more);
        let serving = Serving::from(app);
        let own = Router::new()
            .route("/me", get(async |who: Authenticated| who.subject().to_string()))
            .with_state(serving.clone());
        Self {
            router: public(serving.clone()).merge(own),
            admin: admin(serving.clone()),
            serving,
        }
    }

    async fn log_in(&self) -> String {
        let login = Login::new(Subject::new("u").unwrap()).scope(Scope::new("read").unwrap());
        self.serving.log_in(login).await.unwrap().access_token().to_owned()
    }

    /// The status of `path` asked for with `token`, and the code of the problem.
    async fn ask(&self, path: &str, token: &str) -> (StatusCode, String) {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let answer = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let code = problem.get("code").and_then(serde_json::Value::as_str);
        (status, code.unwrap_or_default().to_owned())
    }

    async fn passes(&self, token: &str) -> bool {
        self.ask("/auth/verify", token).await.0 == StatusCode::OK
    }

    /// A figure of `/metrics`.
    async fn figure(&self, name: &str) -> u64 {
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let answer = self.admin.clone().oneshot(request).await.unwrap();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        let told = String::from_utf8(body.into()).unwrap();
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        told.lines()
            .find_map(of)
            .unwrap_or_else(|| panic!("no {name} in {told}"))
    }

    async fn figures(&self) -> [u64; 3] {
        [
            self.figure("ostracon_token_cache_tokens").await,
            self.figure("ostracon_token_cache_hits_total").await,
            self.figure("ostracon_token_cache_misses_total").await,
        ]
    }
}

fn frozen() -> Clock {
    Clock::from_fn(|| UnixTime::from_secs(NOW))
}

#[tokio::test]
async fn a77_a_token_seen_before_is_asked_about_anew() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "[[rules]]\ntier = \"high\"\npath = \"/high\"\n";
    let program = Program::open(dir.path(), frozen(), rule);
    let token = program.log_in().await;
    assert!(program.passes(&token).await && program.passes(&token).await);
    assert_eq!(program.figures().await, [1, 1, 1]);
    assert_eq!(program.ask("/me", &token).await.0, StatusCode::OK);
    assert_eq!(program.figures().await, [1, 2, 1], "an extractor profits, too");

    let refused = |status, code: &str| (status, code.to_owned());
    for (path, status, code) in [
        ("/auth/verify?aud=bank", StatusCode::UNAUTHORIZED, "audience_mismatch"),
        ("/auth/verify?scope=write", StatusCode::FORBIDDEN, "scope_insufficient"),
        ("/auth/verify?tier=highest", StatusCode::FORBIDDEN, "request_invalid"),
    ] {
        assert_eq!(program.ask(path, &token).await, refused(status, code), "{path}");
    }
    assert!(
        program
            .ask("/auth/verify?aud=app&scope=read&tier=high", &token)
            .await
            .0
            .is_success()
    );

    // A copy with one letter changed was signed by nobody, and leaves nothing.
    let forged = match token.strip_suffix("AAAA") {
        Some(rest) => format!("{rest}AAAB"),
        None => format!("{}AAAA", token.get(..token.len() - 4).unwrap()),
    };
    assert_eq!(
        program.ask("/auth/verify", &forged).await,
        refused(StatusCode::UNAUTHORIZED, "signature_invalid")
    );
    assert_eq!(program.figure("ostracon_token_cache_tokens").await, 1);

    // I9: from the acknowledgement on it is refused, whoever asks.
    let request = Request::post("/auth/logout").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = program
        .router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let revoked = refused(StatusCode::UNAUTHORIZED, "token_revoked");
    assert_eq!(program.ask("/auth/verify", &token).await, revoked);
    assert_eq!(program.ask("/me", &token).await, revoked);
    let [tokens, hits, misses] = program.figures().await;
    assert_eq!(
        (tokens, misses),
        (1, 2),
        "of two tokens the signature was checked, once each"
    );
    assert!(hits >= 8, "{hits}");
}

#[tokio::test]
async fn a77_a_token_seen_before_ends() {
    static CLOCK: AtomicU64 = AtomicU64::new(NOW);
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::from_fn(|| UnixTime::from_secs(CLOCK.load(Ordering::SeqCst)));
    let program = Program::open(dir.path(), clock, "");
    let token = program.log_in().await;
    assert!(program.passes(&token).await);
    // Ten minutes, and the half minute of leeway.
    CLOCK.store(NOW + 629, Ordering::SeqCst);
    assert!(program.passes(&token).await);
    CLOCK.store(NOW + 630, Ordering::SeqCst);
    let ended = (StatusCode::UNAUTHORIZED, "token_expired".to_owned());
    assert_eq!(program.ask("/auth/verify", &token).await, ended);
    assert_eq!(program.ask("/me", &token).await, ended);
    assert_eq!(program.figures().await, [1, 3, 1]);
}

/// Whatever a reload changes, nothing is known from before it.
#[tokio::test]
async fn a_reload_forgets_what_the_old_keys_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::open(dir.path(), frozen(), "");
    let path = dir.path().join("ostracon.toml");
    let written = std::fs::read_to_string(&path).unwrap();
    let reload = |text: &str| {
        ostracon_store::write_new(&path, text.as_bytes()).unwrap();
        program.serving.reload(Config::load_with(&path, []).unwrap()).unwrap();
    };
    let token = program.log_in().await;
    assert!(program.passes(&token).await && program.passes(&token).await);
    assert_eq!(program.figures().await, [1, 1, 1]);
    reload(&written);
    assert_eq!(program.figures().await, [0, 1, 1], "counters go on");
    assert!(program.passes(&token).await && program.passes(&token).await);
    assert_eq!(program.figures().await, [1, 2, 2]);

    // The same name, another secret; then another name.
    let other = ostracon_server::new_secret().unwrap().0;
    ostracon_store::write_new(&dir.path().join("other.secret"), other.as_bytes()).unwrap();
    let exchanged = written.replace("hs.secret", "other.secret");
    reload(&exchanged);
    let refused = |code: &str| (StatusCode::UNAUTHORIZED, code.to_owned());
    assert_eq!(program.ask("/auth/verify", &token).await, refused("signature_invalid"));
    reload(&exchanged.replace("kid = \"k\"", "kid = \"l\""));
    assert_eq!(program.ask("/auth/verify", &token).await, refused("key_unknown"));
    // It is as good as its key: back with it, it passes.
    reload(&written);
    assert!(program.passes(&token).await);

    // Without room, each signature is checked each time.
    let none = written.replace("audience = \"app\"", "audience = \"app\", cache = 0");
    assert_ne!(none, written);
    reload(&none);
    let before = program.figures().await;
    assert!(program.passes(&token).await && program.passes(&token).await);
    let [_, hits, misses] = before;
    assert_eq!(program.figures().await, [0, hits, misses]);
}

/// A layer asks more of a token that is known, and of one that was remembered.
#[tokio::test]
async fn a_layer_asks_its_own_of_a_token_seen_before() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::open(dir.path(), frozen(), "");
    let token = program.log_in().await;
    assert!(program.passes(&token).await);
    let router = Router::new().route("/", get(async || "in")).layer(
        require(program.serving.clone())
            .tier(Tier::High)
            .scope(Scope::new("write").unwrap()),
    );
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert_eq!(program.figures().await, [1, 1, 1]);
}
