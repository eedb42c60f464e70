//! Past the router, for tokens that are known.

use std::time::Instant;

use axum::{http::Request, response::Response};
use ostracon_core::Demand;

use super::{Rule, forwarded_path, written};
use crate::{credentials, listen::Peer, metrics::VERIFY, routes::observe::tells, sender::RequestId, serving::Serving};

/// The way of a request past the router, for one that surely may pass, and at once. All else takes more than that (a
/// signature to check, a look at the disk, words for a refusal, a line of the log) and goes the usual way from its beginning.
/// It is the same decision, counted the same; what routes have around them beyond that can make no difference to it.
#[derive(Clone, Debug)]
pub(crate) struct Shortcut(Serving);

impl Shortcut {
    pub(crate) fn new(serving: Serving) -> Self {
        Self(serving)
    }

    /// The answer to `request`, which `peer` sent; none if it is not to go this way.
    pub(crate) fn pass<B>(&self, request: &Request<B>, Peer(peer): Peer) -> Option<Response> {
        if request.uri().path() != VERIFY {
            return None;
        }
        let began = Instant::now();
        let app = self.0.app();
        if tells(app.access_log) {
            return None;
        }
        let headers = request.headers();
        let presented = credentials::access_token(headers, &app.cookies).ok()??;
        let token = app.keyring.recall(presented.token)?;
        let rule = Rule::parse(request.uri().query().unwrap_or("")).ok()?;
        let audience = rule.aud.as_deref().or_else(|| app.usual_audience(&token));
        let demand = Demand {
            audiences: audience.as_slice(),
            scope: rule.scope,
            tier: rule.tier,
            path: Some(forwarded_path(&app, peer, headers)),
        };
        app.judge_at_once(&token, &demand, app.now())?.ok()?;
        let mut response = Response::default();
        *response.headers_mut() = written(&token);
        let id = RequestId::of(headers).to_header();
        response.headers_mut().insert(RequestId::HEADER, id);
        app.kept.metrics.passed(request.method(), began.elapsed());
        Some(response)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use axum::{body::Body, http::StatusCode};
    use ostracon_core::{Reason, Revocation, Scope, Subject, UnixTime};
    use tower::ServiceExt;

    use super::*;
    use crate::{app::App, clock::Clock, config::Config, login::Login};

    /// The way past the router is for what passes at once, and answers what the router does; all else it leaves to it.
    #[tokio::test]
    async fn a77_the_shortcut_answers_as_the_router_does_or_not_at_all() {
        static CLOCK: AtomicU64 = AtomicU64::new(1_790_000_000);
        let dir = tempfile::tempdir().unwrap();
        ostracon_store::write_new(&dir.path().join("key"), crate::new_secret().unwrap().0.as_bytes()).unwrap();
        let text = r#"
            data_dir = "denylist"
            tokens = { issuer = "https://shop.example", audience = "shop" }
            keys = [{ kid = "k", alg = "HS256", secret_file = "key" }]
            listen = { trusted_proxies = ["127.0.0.1"] }
            rules = [{ path = "/admin", tier = "high" }]
        "#;
        let config = Config::from_toml(text, dir.path()).unwrap();
        let clock = Clock::from_fn(|| UnixTime::from_secs(CLOCK.load(Ordering::SeqCst)));
        let app = App::open(config, clock).unwrap();
        let serving = Serving::from(Arc::clone(&app));
        let (router, shortcut) = (crate::public(serving.clone()), Shortcut::new(serving.clone()));
        let peer = Peer(Some("127.0.0.1".parse().unwrap()));
        let login = Login::new(Subject::new("u").unwrap()).scope(Scope::new("read").unwrap());
        let pair = serving.log_in(login).await.unwrap();
        let request = |method: &str, uri: &str, headers: &[(&str, &str)]| {
            let mut request = Request::builder()
                .method(method)
                .uri(uri)
                .header("x-request-id", "named");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let mut request = request.body(Body::empty()).unwrap();
            request.extensions_mut().insert(peer);
            request
        };
        let bearer = format!("Bearer {}", pair.access_token());
        let with_token = ("authorization", &*bearer);
        let counted = |method| app.kept.metrics.answers(VERIFY, method, StatusCode::OK);

        let good = || request("GET", VERIFY, &[with_token]);
        assert!(shortcut.pass(&good(), peer).is_none(), "it was never seen");
        let usual = router.clone().oneshot(good()).await.unwrap();
        let passed = shortcut.pass(&good(), peer).unwrap();
        assert_eq!((usual.status(), passed.status()), (StatusCode::OK, StatusCode::OK));
        let of = |response: &Response| {
            let headers = response.headers().iter();
            let mut told: Vec<_> = headers.map(|(n, v)| (n.to_string(), v.clone())).collect();
            told.sort_by(|(one, _), (other, _)| one.cmp(other));
            told
        };
        // All but the length of the body, which the connection would add.
        let usual: Vec<_> = of(&usual)
            .into_iter()
            .filter(|(name, _)| name != "content-length")
            .collect();
        assert_eq!(usual, of(&passed));
        assert_eq!(passed.headers()["x-request-id"], "named");
        assert_eq!(counted("GET"), 2, "one each way");

        let cookie = format!("__Host-USER_SESSION={}", pair.access_token());
        for (method, uri, headers) in [
            ("GET", VERIFY, &[("cookie", &*cookie)][..]),
            ("POST", VERIFY, &[with_token]),
            ("GET", "/auth/verify?aud=shop&scope=read&tier=high", &[with_token]),
            ("GET", VERIFY, &[with_token, ("x-forwarded-uri", "/admin?x")]),
        ] {
            assert!(
                shortcut.pass(&request(method, uri, headers), peer).is_some(),
                "{method} {uri}"
            );
        }
        assert_eq!((counted("GET"), counted("POST")), (5, 1));
        let longer = format!("{bearer}A");
        for (uri, headers) in [
            ("/auth/session", &[with_token][..]),
            ("/auth/verify/", &[with_token]),
            (VERIFY, &[]),
            (VERIFY, &[with_token, with_token]),
            (VERIFY, &[("authorization", &*longer)]),
            ("/auth/verify?aud=bank", &[with_token]),
            ("/auth/verify?scope=write", &[with_token]),
            ("/auth/verify?teir=high", &[with_token]),
        ] {
            assert!(shortcut.pass(&request("GET", uri, headers), peer).is_none(), "{uri}");
        }
        // What ends while it is remembered, ends.
        CLOCK.fetch_add(631, Ordering::SeqCst);
        assert!(shortcut.pass(&good(), peer).is_none());
        CLOCK.fetch_sub(631, Ordering::SeqCst);
        assert!(shortcut.pass(&good(), peer).is_some());
        let target = app
            .keyring
            .recall(pair.access_token())
            .unwrap()
            .targets()
            .iter()
            .next()
            .unwrap()
            .to_owned();
        let entry = Revocation::new(target, Reason::Logout, &app.policy, app.now());
        app.denylist().revoke(entry).unwrap();
        assert!(shortcut.pass(&good(), peer).is_none());
    }
}
