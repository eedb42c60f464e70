//! What is answered ahead of hyper: a request for `/auth/verify` that surely may pass, and at once.
//!
//! Most of what such a request costs on its way through hyper is hyper's: a map of its fields, a map of the answer's, a body, a
//! timer, and a service around each. So its bytes are looked at before hyper sees any of them. Only what is the whole of one
//! request, arrives while nothing else is under way, and is as plain as the requests of proxies are, is answered here. All
//! else goes on to hyper byte by byte as it came, and is answered as if nobody had looked.

use core::mem::MaybeUninit;

use httparse::{Header, Status};

use super::activity::Activity;
use crate::{
    heads::MAX_HEAD_BYTES,
    routes::verify::{Asked, Shortcut},
};

/// More fields than any proxy sends. A request with more of them goes the usual way.
const MAX_FIELDS: usize = 64;

/// How far hyper is with what it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Turn {
    /// All that it was given was answered: what arrives now begins a request. (Of the last body it may have something left to
    /// read and to forget; it does so before it asks for more.)
    Between,
    /// It has one whole request, which is to be the connection's `n`th, and no byte more.
    Has(u64),
    /// It may have part of a request, or one that is not yet its turn: where the next begins only hyper knows. This stays so,
    /// and the connection with it.
    Unknown,
}

/// Stands in front of hyper on one connection.
pub(super) struct Ahead {
    shortcut: Option<Shortcut>,
    turn: Turn,
}

impl Ahead {
    /// Without a shortcut nothing is answered ahead.
    pub(super) fn new(shortcut: Option<Shortcut>) -> Self {
        Self {
            shortcut,
            turn: Turn::Between,
        }
    }

    /// Looks at `bytes`, which have arrived. Whether they are answered, by what is put into `answer`; if they are not, they are for
    /// hyper.
    pub(super) fn answers(&mut self, bytes: &[u8], activity: &Activity, answer: &mut Vec<u8>) -> bool {
        let is_first = self.turn == Turn::Between && !activity.is_underway() && !activity.is_ending();
        let seen = match &mut self.shortcut {
            Some(shortcut) if is_first => look(bytes, shortcut, answer),
            _ => Seen::Other,
        };
        self.turn = match seen {
            Seen::Answered => return true,
            Seen::Whole => Turn::Has(activity.begun().saturating_add(1)),
            Seen::Other => Turn::Unknown,
        };
        false
    }

    /// Notes that all that hyper had to write was written.
    pub(super) fn written(&mut self, activity: &Activity) {
        if self.turn == Turn::Has(activity.begun()) && !activity.is_underway() {
            self.turn = Turn::Between;
        }
    }
}

/// What bytes are that have arrived.
enum Seen {
    /// A request that is answered.
    Answered,
    /// One whole request, for hyper.
    Whole,
    Other,
}

fn look(bytes: &[u8], shortcut: &mut Shortcut, answer: &mut Vec<u8>) -> Seen {
    // Each field counts for up to two bytes more than it has; see `heads::refusal`.
    if bytes.len() > MAX_HEAD_BYTES.saturating_sub(MAX_FIELDS.saturating_mul(2)) {
        return Seen::Other;
    }
    let mut room = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut head = httparse::Request::new(&mut []);
    let Ok(Status::Complete(length)) = head.parse_with_uninit_headers(bytes, &mut room) else {
        return Seen::Other;
    };
    let body = bytes.get(length..).unwrap_or_default();
    if !is_one(&head, body) {
        return Seen::Other;
    }
    let asked = Asked {
        method: head.method.unwrap_or_default(),
        target: head.path.unwrap_or_default(),
        fields: head.headers,
    };
    if body.is_empty() && shortcut.pass(&asked, answer) {
        Seen::Answered
    } else {
        Seen::Whole
    }
}

/// Whether `head` and `body` are one request, with no doubt about where it ends, behind which the connection goes on as it is.
fn is_one(head: &httparse::Request<'_, '_>, body: &[u8]) -> bool {
    let (mut hosts, mut length) = (0_usize, None);
    for Header { name, value } in &*head.headers {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => hosts = hosts.saturating_add(1),
            14 if is("content-length") => {
                let digits = value.iter().all(u8::is_ascii_digit);
                let told = str::from_utf8(value).ok().filter(|_| digits);
                match told.and_then(|told| told.parse().ok()) {
                    Some(told) if length.is_none() => length = Some(told),
                    _ => return false,
                }
            }
            6 if is("expect") => return false,
            7 if is("upgrade") => return false,
            10 if is("connection") => return false,
            17 if is("transfer-encoding") => return false,
            _ => {}
        }
    }
    head.version == Some(1) && hosts == 1 && body.len() == length.unwrap_or(0) && head.method != Some("CONNECT")
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;

    use axum::http::StatusCode;
    use ostracon_core::{Subject, TokenType};
    use proptest::{
        collection::vec,
        prelude::*,
        sample::select,
        test_runner::{Config as Cases, TestRunner},
    };
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        sync::watch,
    };

    use super::{
        super::{Connection, STRICT, activity::Answering, watched::Patience},
        *,
    };
    use crate::{App, Clock, Config, Serving, listen::Peer, login::Login, metrics::VERIFY};

    /// A server, and a token that it remembers.
    struct Known {
        serving: Serving,
        token: String,
        _dir: tempfile::TempDir,
    }

    impl Known {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            ostracon_store::write_new(&dir.path().join("key"), crate::new_secret().unwrap().0.as_bytes()).unwrap();
            let text = r#"
                data_dir = "denylist"
                tokens = { issuer = "https://shop.example", audience = "shop" }
                keys = [{ kid = "k", alg = "HS256", secret_file = "key" }]
            "#;
            let config = Config::from_toml(text, dir.path()).unwrap();
            let serving = Serving::from(App::open(config, Clock::system()).unwrap());
            let pair = serving.log_in(Login::new(Subject::new("u").unwrap())).await.unwrap();
            let token = pair.access_token().to_owned();
            serving.app().verify(&token, TokenType::Access).await.unwrap();
            Self {
                serving,
                token,
                _dir: dir,
            }
        }

        fn ahead(&self, is_secure: bool) -> Ahead {
            Ahead::new(Some(Shortcut::new(self.serving.clone(), Peer(None), is_secure)))
        }

        fn connection(&self, patience: Patience, ended: watch::Receiver<()>) -> Connection {
            let verifying = Some(self.serving.clone());
            Connection {
                verifying,
                ..Connection::bare(crate::public(self.serving.clone()), patience, ended)
            }
        }

        fn passed(&self) -> u64 {
            let metrics = &self.serving.app().kept.metrics;
            metrics.answers(VERIFY, "GET", StatusCode::OK)
        }

        /// A request that may pass, with more `fields`, each with its end of line.
        fn good(&self, fields: &str) -> String {
            let token = &self.token;
            format!("GET /auth/verify HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{fields}\r\n")
        }
    }

    #[tokio::test]
    async fn only_what_is_whole_and_plain_is_answered_ahead() {
        let known = Known::new().await;
        let idle = Activity::default();
        let is_answered = |bytes: &str| {
            let (mut ahead, mut answer) = (known.ahead(false), Vec::new());
            let answered = ahead.answers(bytes.as_bytes(), &idle, &mut answer);
            assert_eq!(answered, answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            (answered, ahead.turn)
        };
        let good = known.good("");
        for plain in [
            &good,
            &known.good("Content-Length: 0\r\nX-Forwarded-Proto: https\r\n"),
            &good.replace("GET", "POST"),
            &good.replace("Host", "hOST"),
            &format!("\r\n{good}"),
        ] {
            assert_eq!(is_answered(plain), (true, Turn::Between), "{plain}");
        }
        // What hyper gets whole, it answers alone, and what follows is looked at again.
        for whole in [
            &known.good("Content-Length: 2\r\n").replace("\r\n\r\n", "\r\n\r\nok"),
            &good.replace("Bearer ", "Bearer x"),
            &good.replace("GET", "HEAD"),
            &good.replace("/auth/verify", "/healthz"),
        ] {
            assert_eq!(is_answered(whole), (false, Turn::Has(1)), "{whole}");
        }
        // Where it cannot be told where the next request begins, or whether there is one, nothing is answered ahead any more.
        for other in [
            "",
            good.strip_suffix('\n').unwrap(),
            &good.replace("HTTP/1.1", "HTTP/1.0"),
            &good.replace("Host: x\r\n", ""),
            &good.replace("Host: x\r\n", "Host: x\r\nHost: x\r\n"),
            &good.replace("GET", "CONNECT"),
            &good.replace(" HTTP", "  HTTP"),
            &format!("{good}{good}"),
            &format!("{good}x"),
            &known.good("Content-Length: 1\r\n"),
            &known.good("Content-Length: +0\r\n"),
            &known.good("Content-Length: 0, 0\r\n"),
            &known.good("Content-Length: 0\r\nContent-Length: 0\r\n"),
            &known
                .good("Transfer-Encoding: chunked\r\n")
                .replace("\r\n\r\n", "\r\n\r\n0\r\n\r\n"),
            &known.good("Transfer-Encoding: identity\r\n"),
            &known.good("Expect: 100-continue\r\n"),
            &known.good("Upgrade: h2c\r\n"),
            &known.good("Connection: close\r\n"),
            &known.good("Connection: keep-alive\r\n"),
            &known.good(" X: folded\r\n"),
            &known.good(&"X: y\r\n".repeat(MAX_FIELDS)),
        ] {
            assert_eq!(is_answered(other), (false, Turn::Unknown), "{other}");
        }
    }

    /// An answer must not overtake the one before it, and a request not be taken for part of another.
    #[tokio::test]
    async fn nothing_is_answered_ahead_while_hyper_has_something() {
        let known = Known::new().await;
        let good = known.good("");
        let other = good.replace("/auth/verify", "/healthz");
        let activity = Arc::new(Activity::default());
        let (mut ahead, mut answer) = (known.ahead(false), Vec::new());
        let mut answers = |ahead: &mut Ahead, bytes: &str| ahead.answers(bytes.as_bytes(), &activity, &mut answer);

        assert!(answers(&mut ahead, &good) && !answers(&mut ahead, &other));
        ahead.written(&activity);
        assert_eq!(ahead.turn, Turn::Has(1), "it has not even begun");
        let turn = Answering::begin(&activity);
        ahead.written(&activity);
        assert_eq!(
            ahead.turn,
            Turn::Has(1),
            "what was written before the answer is not the answer"
        );
        drop(turn);
        assert_eq!(ahead.turn, Turn::Has(1), "the answer may not be on its way yet");
        ahead.written(&activity);
        assert!(answers(&mut ahead, &good));

        assert!(!answers(&mut ahead, &other));
        let turn = Answering::begin(&activity);
        assert!(!answers(&mut ahead, &good), "its turn has not come");
        drop(turn);
        ahead.written(&activity);
        assert!(!answers(&mut ahead, &good), "hyper has it, and maybe more");

        let mut ahead = known.ahead(false);
        activity.end();
        assert!(!answers(&mut ahead, &good), "no answer comes behind the last");
    }

    #[tokio::test]
    async fn what_came_by_tls_is_told_to_stay_with_it() {
        let known = Known::new().await;
        for (is_secure, expected) in [(true, Some(STRICT.as_bytes())), (false, None)] {
            let mut answer = Vec::new();
            let good = known.good("");
            assert!(
                known
                    .ahead(is_secure)
                    .answers(good.as_bytes(), &Activity::default(), &mut answer)
            );
            let mut room = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut room);
            assert_eq!(head.parse(&answer).unwrap(), Status::Complete(answer.len()));
            let strict = head
                .headers
                .iter()
                .find(|field| field.name == "strict-transport-security");
            assert_eq!(strict.map(|field| field.value), expected);
        }
    }

    /// Who is slow to take what was answered ahead has the patience that any answer has, and not that of a head.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_taken_is_waited_for_as_any_other() {
        let known = Known::new().await;
        let good = known.good("");
        let (head, writing) = (Duration::from_secs(5), Duration::from_secs(20));
        // Room for a request, and for no second answer.
        let (mut theirs, ours) = duplex(good.len());
        let (_ending, ended) = watch::channel(());
        let connection = known.connection(Patience { head, writing }, ended);
        let conversation = tokio::spawn(connection.converse(Box::new(ours), false));
        for _ in 0..2 {
            theirs.write_all(good.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(known.passed(), 2, "both are answered");
        let began = tokio::time::Instant::now();
        conversation.await.unwrap();
        assert!(
            began.elapsed() > writing.saturating_sub(Duration::from_secs(2)),
            "{:?}",
            began.elapsed()
        );
    }

    #[derive(Clone, Copy, Debug)]
    enum Kind {
        Passes,
        PassesWithBody,
        HeadOnly,
        Forged,
        Elsewhere,
    }

    /// A request, whether the answer to the one before it is awaited, where it is cut in two, and how long its own answer lies untaken.
    type Step = (Kind, bool, Option<prop::sample::Index>, u8);

    fn step() -> impl Strategy<Value = Step> {
        use Kind::{Elsewhere, Forged, HeadOnly, Passes, PassesWithBody};
        let kinds = select(vec![
            Passes,
            Passes,
            Passes,
            PassesWithBody,
            HeadOnly,
            Forged,
            Elsewhere,
        ]);
        let cut = prop::option::weighted(0.1, any::<prop::sample::Index>());
        (kinds, prop::bool::weighted(0.6), cut, 0..20_u8)
    }

    fn bytes(known: &Known, kind: Kind, name: &str) -> String {
        let fields = format!("X-Request-Id: {name}\r\n");
        let good = known.good(&fields);
        match kind {
            Kind::Passes => good,
            Kind::PassesWithBody => {
                known
                    .good(&format!("{fields}Content-Length: 3\r\n"))
                    .replace("GET", "POST")
                    + "GET"
            }
            Kind::HeadOnly => good.replacen("GET", "HEAD", 1),
            Kind::Forged => good.replace("Bearer ", "Bearer x"),
            Kind::Elsewhere => good.replace("/auth/verify", "/healthz"),
        }
    }

    /// Reads an answer off `stream`, of which `left` is there already; its status and its name.
    async fn answer(stream: &mut (impl AsyncReadExt + Unpin), left: &mut Vec<u8>, kind: Kind) -> (u16, String) {
        loop {
            let mut room = [httparse::EMPTY_HEADER; 32];
            let mut head = httparse::Response::new(&mut room);
            if let Status::Complete(length) = head.parse(left).unwrap() {
                let value = |name: &str| {
                    let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                    String::from_utf8(field.unwrap().value.to_vec()).unwrap()
                };
                let body: usize = match kind {
                    Kind::HeadOnly => 0,
                    _ => value("content-length").parse().unwrap(),
                };
                let whole = length.checked_add(body).unwrap();
                if left.len() >= whole {
                    let answer = (head.code.unwrap(), value("x-request-id"));
                    left.drain(..whole);
                    return answer;
                }
            }
            assert_ne!(stream.read_buf(left).await.unwrap(), 0, "the connection ended early");
        }
    }

    async fn converse(known: &Known, stream: DuplexStream, steps: &[Step]) {
        let (mut theirs, mut ours) = tokio::io::split(stream);
        let (answered, awaited) = watch::channel(0);
        let ask = async {
            for (n, (kind, awaits, cut, _)) in steps.iter().enumerate() {
                if *awaits {
                    awaited.clone().wait_for(|answered| *answered == n).await.unwrap();
                }
                let bytes = bytes(known, *kind, &format!("n{n}"));
                let (first, second) = bytes.split_at(cut.map_or(0, |cut| cut.index(bytes.len())));
                for piece in [first, second] {
                    ours.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            let last = known.good("X-Request-Id: last\r\nConnection: close\r\n");
            ours.write_all(last.as_bytes()).await.unwrap();
        };
        let take = async {
            let mut left = Vec::new();
            for (n, (kind, _, _, pause)) in steps.iter().enumerate() {
                for _ in 0..*pause {
                    tokio::task::yield_now().await;
                }
                let expected = if matches!(kind, Kind::Forged) { 401 } else { 200 };
                let read = answer(&mut theirs, &mut left, *kind).await;
                assert_eq!(read, (expected, format!("n{n}")), "{kind:?}");
                answered.send_modify(|answered| *answered = n.saturating_add(1));
            }
            let last = answer(&mut theirs, &mut left, Kind::Passes).await;
            assert_eq!(last, (200, "last".to_owned()));
            assert!(left.is_empty() && theirs.read_buf(&mut left).await.unwrap() == 0);
        };
        tokio::join!(ask, take);
    }

    /// However requests are sent, one behind the other, in pieces, or each when the last is answered: each has its own answer,
    /// and in its turn (RFC 9112 §9.3.2). What little room there is on the way cuts answers and requests in pieces, too.
    #[test]
    fn each_request_has_its_own_answer_in_its_turn() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let known = runtime.block_on(Known::new());
        let patience = Patience {
            head: super::super::HANDSHAKE,
            writing: super::super::HANDSHAKE,
        };
        let mut runner = TestRunner::new(Cases::with_cases(256));
        let script = (vec(step(), 1..12), select(vec![64_usize, 600, 800, 1 << 16]));
        let tried = runner.run(&script, |(steps, room)| {
            runtime.block_on(async {
                let (ours, theirs) = duplex(room);
                let (_ending, ended) = watch::channel(());
                let connection = known.connection(patience, ended);
                tokio::join!(
                    connection.converse(Box::new(ours), false),
                    converse(&known, theirs, &steps)
                );
            });
            Ok(())
        });
        tried.unwrap();
        assert!(known.passed() > 256);
    }
}
