//! Past hyper and the router, for tokens that are known.

use std::{
    io::Write,
    time::{Duration, Instant, UNIX_EPOCH},
};

use axum::http::Method;
use httpdate::HttpDate;
use ostracon_core::{Demand, UnixTime};

use super::{Rule, forwarded_path, written};
use crate::{
    connection::STRICT, credentials, listen::Peer, metrics::VERIFY, routes::observe::tells, sender::RequestId,
    serving::Serving,
};

/// The way of a request past all that hyper and the router have around a route, for one that surely may pass, and at once.
/// All else takes more than that (a signature to check, a look at the disk, words for a refusal, a line of the log) and goes
/// the usual way from its beginning. It is the same decision, counted the same, and the same answer.
#[derive(Debug)]
pub(crate) struct Shortcut {
    serving: Serving,
    peer: Peer,
    is_secure: bool,
    date: Date,
}

/// What is asked, as it stands in the bytes of a head.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) fields: &'a [httparse::Header<'a>],
}

impl Shortcut {
    /// For the connection of `peer`, which is of TLS or not.
    pub(crate) fn new(serving: Serving, peer: Peer, is_secure: bool) -> Self {
        Self {
            serving,
            peer,
            is_secure,
            date: Date::default(),
        }
    }

    /// Whether what is `asked` goes this way; its answer is then put behind what is in `answer`.
    pub(crate) fn pass(&mut self, asked: &Asked<'_>, answer: &mut Vec<u8>) -> bool {
        self.passes(asked, answer).is_some()
    }

    fn passes(&mut self, asked: &Asked<'_>, answer: &mut Vec<u8>) -> Option<()> {
        let query = match asked.target.strip_prefix(VERIFY)? {
            "" => "",
            rest => rest.strip_prefix('?').filter(|query| query.bytes().all(is_plain))?,
        };
        let method = Method::from_bytes(asked.method.as_bytes()).ok()?;
        if ![Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE].contains(&method) {
            return None;
        }
        let began = Instant::now();
        let app = self.serving.app();
        if tells(app.access_log) {
            return None;
        }
        let presented = credentials::access_token(asked.fields, &app.cookies).ok()??;
        let token = app.keyring.recall(presented.token)?;
        let rule = Rule::parse(query).ok()?;
        let audience = rule.aud.as_deref().or_else(|| app.usual_audience(&token));
        let Peer(peer) = self.peer;
        let demand = Demand {
            audiences: audience.as_slice(),
            scope: rule.scope,
            tier: rule.tier,
            path: Some(forwarded_path(&app, peer, asked.fields)),
        };
        let now = app.now();
        app.judge_at_once(&token, &demand, now)?.ok()?;
        answer.extend_from_slice(&written(&token));
        answer.extend_from_slice(b"x-request-id: ");
        RequestId::put(asked.fields, answer);
        if self.is_secure {
            answer.extend_from_slice(b"\r\nstrict-transport-security: ");
            answer.extend_from_slice(STRICT.as_bytes());
        }
        answer.extend_from_slice(b"\r\ncontent-length: 0\r\ndate: ");
        answer.extend_from_slice(self.date.at(now));
        answer.extend_from_slice(b"\r\n\r\n");
        app.kept.metrics.passed(&method, began.elapsed());
        Some(())
    }
}

/// Whether `byte` means the same in each reading of a query.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%+&=:/,".contains(&byte)
}

/// The last second that was written as a date (RFC 9110 §6.6.1).
#[derive(Debug, Default)]
struct Date(Option<u64>, Vec<u8>);

impl Date {
    fn at(&mut self, now: UnixTime) -> &[u8] {
        let Self(second, text) = self;
        if *second != Some(now.as_secs()) {
            *second = Some(now.as_secs());
            text.clear();
            // A vector takes all that is written.
            let time = UNIX_EPOCH.checked_add(Duration::from_secs(now.as_secs()));
            let _ = write!(text, "{}", HttpDate::from(time.unwrap_or(UNIX_EPOCH)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    use axum::{
        body::Body,
        http::{HeaderMap, Request, StatusCode},
        response::Response,
    };
    use ostracon_core::{Reason, Revocation, Scope, Subject};
    use tower::ServiceExt;

    use super::*;
    use crate::{app::App, clock::Clock, config::Config, login::Login};

    /// What is told, by name, but for what is another each time.
    fn told(headers: &HeaderMap) -> Vec<(String, String)> {
        let text = |(name, value): (&_, &axum::http::HeaderValue)| {
            let name: &axum::http::HeaderName = name;
            (name.to_string(), value.to_str().unwrap().to_owned())
        };
        let mut told: Vec<_> = headers.iter().map(text).filter(|(name, _)| name != "date").collect();
        told.sort();
        told
    }

    /// An answer as it goes over the wire, read.
    fn read(answer: &[u8]) -> (u16, HeaderMap) {
        let mut room = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Response::new(&mut room);
        assert_eq!(
            head.parse(answer).unwrap().unwrap(),
            answer.len(),
            "one head, and no body"
        );
        let field = |field: &httparse::Header<'_>| (field.name.parse().unwrap(), field.value.try_into().unwrap());
        (head.code.unwrap(), head.headers.iter().map(field).collect())
    }

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
        let router = crate::public(serving.clone());
        let peer = Peer(Some("127.0.0.1".parse().unwrap()));
        let mut shortcut = Shortcut::new(serving.clone(), peer, false);
        let login = Login::new(Subject::new("u").unwrap()).scope(Scope::new("read").unwrap());
        let pair = serving.log_in(login).await.unwrap();
        let bearer = format!("Bearer {}", pair.access_token());
        let with_token = ("authorization", &*bearer);
        let counted = |method| app.kept.metrics.answers(VERIFY, method, StatusCode::OK);

        let usual = async |method: &str, target: &str, fields: &[(&str, &str)]| -> Response {
            let mut request = Request::builder().method(method).uri(target).extension(peer);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            router
                .clone()
                .oneshot(request.body(Body::empty()).unwrap())
                .await
                .unwrap()
        };
        let mut pass = |method: &str, target: &str, fields: &[(&str, &str)]| {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| httparse::Header {
                    name,
                    value: value.as_bytes(),
                })
                .collect();
            let asked = Asked {
                method,
                target,
                fields: &fields,
            };
            let mut answer = Vec::new();
            let passes = shortcut.pass(&asked, &mut answer);
            assert_eq!(passes, !answer.is_empty(), "all or nothing");
            passes.then(|| read(&answer))
        };

        let named = [with_token, ("x-request-id", "named")];
        assert!(pass("GET", VERIFY, &named).is_none(), "it was never seen");
        let by_router = usual("GET", VERIFY, &named).await;
        let (status, headers) = pass("GET", VERIFY, &named).unwrap();
        assert_eq!((by_router.status(), status), (StatusCode::OK, 200));
        assert_eq!(told(by_router.headers()), told(&headers));
        assert_eq!(headers["x-request-id"], "named");
        assert_eq!(headers["date"], "Mon, 21 Sep 2026 14:13:20 GMT");
        assert_eq!(counted("GET"), 2, "one each way");

        let cookie = format!("__Host-USER_SESSION={}", pair.access_token());
        for (method, target, fields) in [
            ("GET", VERIFY, &[("Cookie", &*cookie)][..]),
            ("POST", VERIFY, &[with_token]),
            ("GET", "/auth/verify?aud=shop&scope=read&tier=high", &[with_token]),
            ("GET", VERIFY, &[with_token, ("X-Forwarded-Uri", "/admin?x")]),
        ] {
            let (_, headers) = pass(method, target, fields).unwrap();
            assert!(headers["x-request-id"].len() > 13, "{method} {target}");
        }
        assert_eq!((counted("GET"), counted("POST")), (5, 1));
        let longer = format!("{bearer}A");
        for (method, target, fields) in [
            ("GET", "/auth/session", &[with_token][..]),
            ("GET", "/auth/verify/", &[with_token]),
            ("GET", "/auth/verifying", &[with_token]),
            ("GET", "https://shop.example/auth/verify", &[with_token]),
            ("GET", "/auth/verify?scope=r\"ead", &[with_token]),
            ("GET", "/auth/verify#scope", &[with_token]),
            ("HEAD", VERIFY, &[with_token]),
            ("get", VERIFY, &[with_token]),
            ("GET", VERIFY, &[]),
            ("GET", VERIFY, &[with_token, with_token]),
            ("GET", VERIFY, &[("authorization", &*longer)]),
            ("GET", "/auth/verify?aud=bank", &[with_token]),
            ("GET", "/auth/verify?scope=write", &[with_token]),
            ("GET", "/auth/verify?teir=high", &[with_token]),
        ] {
            assert!(pass(method, target, fields).is_none(), "{method} {target}");
        }
        // What ends while it is remembered, ends.
        CLOCK.fetch_add(631, Ordering::SeqCst);
        assert!(pass("GET", VERIFY, &named).is_none());
        CLOCK.fetch_sub(631, Ordering::SeqCst);
        assert!(pass("GET", VERIFY, &named).is_some());
        let token = app.keyring.recall(pair.access_token()).unwrap();
        let target = token.targets().iter().next().unwrap().to_owned();
        let entry = Revocation::new(target, Reason::Logout, &app.policy, app.now());
        app.denylist().revoke(entry).unwrap();
        assert!(pass("GET", VERIFY, &named).is_none());
    }
}
