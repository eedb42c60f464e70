//! One listener and its connections: accepted, shaken hands with, answered, and ended well.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, header},
    response::IntoResponse,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Sleep, sleep},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::{
    heads::{Answers, MAX_HEAD_BYTES, refusal},
    limits::Limits,
    listen::{Cutter, Listener, Peer, Stream},
    metrics::{Connected, Metrics},
    routes::{guard, verify::Shortcut},
    unread::lend,
};

/// What browsers are told that came by TLS: for a year, never to come without (RFC 6797 §6.1).
const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How long a handshake may take at most: it is two round trips, and whoever makes it has sent no request yet.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the connections of one listener have in common.
pub(crate) struct Service<A> {
    /// What its connections are counted as.
    pub(crate) name: &'static str,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) router: Router,
    /// What is asked before the router, where it answers the route that this is for.
    pub(crate) shortcut: Option<Shortcut>,
    pub(crate) limits: Limits,
    /// Whom to prove to be to the next connection; none where there is no TLS. Asked anew for each, so that a certificate
    /// is exchanged without any of them noticing.
    pub(crate) identity: A,
}

/// Answers on `listener` until `ended` changes; then until all that is being answered is.
pub(crate) async fn serve<A>(listener: Listener, service: Service<A>, mut ended: watch::Receiver<()>)
where
    A: Fn() -> Option<TlsAcceptor> + Send,
{
    let Service {
        name,
        metrics,
        router,
        shortcut,
        limits,
        identity,
    } = service;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    // Event streams have a patience of their own, and words for whoever exceeds it: that one comes first.
    let patience = limits.header_timeout.max(limits.event_heartbeat.saturating_mul(3));
    let room = Arc::new(Semaphore::new(limits.connections));
    loop {
        let accepted = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            _ = ended.changed() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: those that are open will be closed again.
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = Connection {
            http: http.clone(),
            router: router.clone(),
            shortcut: shortcut.clone(),
            peer,
            patience,
            ended: ended.clone(),
            _permit: permit.ok(),
            _open: metrics.connected(name),
        };
        let acceptor = identity();
        let is_secure = acceptor.is_some();
        // In a task of its own with its handshake: whoever is slow at it holds up nobody else.
        tokio::spawn(async move {
            let mut connection = connection;
            if let Some(stream) = connection
                .secure(stream, acceptor, limits.header_timeout.min(HANDSHAKE))
                .await
            {
                connection.converse(stream, is_secure).await;
            }
        });
    }
    drop(listener);
    // All of the room is free once the last connection has gone.
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    drop(room.acquire_many(all).await);
}

struct Connection {
    http: http1::Builder,
    router: Router,
    shortcut: Option<Shortcut>,
    peer: Peer,
    /// For how long an answer may lie untaken.
    patience: Duration,
    ended: watch::Receiver<()>,
    _permit: Option<OwnedSemaphorePermit>,
    _open: Connected,
}

impl Connection {
    /// Shakes hands, where there is an identity to prove; nothing when that fails, takes too long, or comes too late.
    async fn secure(
        &mut self,
        stream: Box<dyn Stream>,
        acceptor: Option<TlsAcceptor>,
        patience: Duration,
    ) -> Option<Box<dyn Stream>> {
        let Some(acceptor) = acceptor else { return Some(stream) };
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(patience, acceptor.accept(stream).into_fallible()) => shaken,
            _ = self.ended.changed() => return None,
        };
        match shaken {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err((error, mut stream))) => {
                tracing::debug!(%error, "a handshake failed");
                // The alert is on its way; closed in order, so that it arrives.
                let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }

    /// Answers what is asked over `stream`, which is of TLS or not.
    async fn converse(mut self, stream: Box<dyn Stream>, is_secure: bool) {
        let activity = Arc::new(Activity::default());
        let answering = Arc::clone(&activity);
        let (router, shortcut, peer) = (self.router, self.shortcut, self.peer);
        let cutter = Cutter::default();
        let to_cut = cutter.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let turn = Answering::begin(&answering);
            let (mut request, unread) = lend(request);
            let passed = match refusal(&request) {
                Some(problem) => {
                    let mut refused = problem.into_response();
                    guard(refused.headers_mut());
                    let close = HeaderValue::from_static("close");
                    refused.headers_mut().insert(header::CONNECTION, close);
                    Some(refused)
                }
                None => shortcut.as_ref().and_then(|shortcut| shortcut.pass(&request, peer)),
            };
            let answer = passed.ok_or_else(|| {
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(cutter.clone());
                router.clone().oneshot(request)
            });
            async move {
                let mut answer = match answer {
                    Ok(passed) => passed,
                    Err(asked) => asked.await?,
                };
                if let Some(unread) = unread {
                    unread.settle(&mut answer);
                }
                if is_secure {
                    answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT);
                }
                Ok::<_, Infallible>(answer.map(|body| Counted { body, _guard: turn }))
            }
        });
        let stream = Watched {
            stream,
            activity: Arc::clone(&activity),
            answers: Answers::default(),
            patience: self.patience,
            stalled: None,
        };
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let told = async { drop(self.ended.changed().await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = to_cut.is_cut() => return,
            () = told => {
                connection.as_mut().graceful_shutdown();
                // What is being answered is finished. Whoever has not sent a whole head has asked nothing yet, and may take
                // a minute for it: no reason to wait.
                let finished = poll_fn(|context| match connection.as_mut().poll(context) {
                    Poll::Pending if !activity.is_answering() => Poll::Ready(Ok(())),
                    polled => polled,
                });
                tokio::select! {
                    ended = finished => ended,
                    () = to_cut.is_cut() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

/// What a connection is doing.
#[derive(Debug, Default)]
struct Activity {
    /// Requests whose head has arrived and whose answer has not been handed over whole.
    requests: AtomicUsize,
    /// Whether what was handed over waits for the other side to take it.
    writing: AtomicBool,
}

impl Activity {
    fn is_answering(&self) -> bool {
        self.requests.load(Ordering::Relaxed) != 0 || self.writing.load(Ordering::Relaxed)
    }
}

/// Counts as a request as long as it lives.
struct Answering(Arc<Activity>);

impl Answering {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.requests.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body that is dropped once all of it was handed over.
struct Counted {
    body: Body,
    _guard: Answering,
}

impl hyper::body::Body for Counted {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that tells when the other side does not take what is written, and fails once it has taken nothing for too long.
struct Watched {
    stream: Box<dyn Stream>,
    activity: Arc<Activity>,
    answers: Answers,
    /// For how long the other side may take nothing.
    patience: Duration,
    /// When that is over, while it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    fn note<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.writing.store(written.is_pending(), Ordering::Relaxed);
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, answers, .. } = &mut *self;
        let written = answers.poll_write(stream, context, bytes);
        self.note(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer without a body is in one piece.
        if let [only] = bytes {
            return self.poll_write(context, only);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.note(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.note(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// An answer that the other side is slow to take is handed over whole, though its body has long been read.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_being_answered_is_handed_over_whole_at_the_end() {
        const SIZE: usize = 8 << 20;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (ending, ended) = watch::channel(());
        let router = Router::new().route("/", axum::routing::get(async || vec![b'x'; SIZE]));
        let connection = Connection {
            http: http1::Builder::new(),
            router,
            shortcut: None,
            peer: Peer(None),
            patience: HANDSHAKE,
            ended,
            _permit: None,
            _open: Connected::default(),
        };
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let conversation = tokio::spawn(connection.converse(Box::new(stream), false));
        let read = tokio::task::spawn_blocking(move || {
            let mut theirs = theirs;
            theirs.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut begun = [0; 15];
            theirs.read_exact(&mut begun).unwrap();
            drop(ending);
            let mut rest = Vec::new();
            theirs.read_to_end(&mut rest).unwrap();
            rest
        });
        assert!(read.await.unwrap().ends_with(&vec![b'x'; SIZE]));
        conversation.await.unwrap();
    }

    /// Half a head is no request: nobody waits for the rest of it.
    #[tokio::test]
    async fn half_a_head_is_not_waited_for() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (ending, ended) = watch::channel(());
        let connection = Connection {
            http: http1::Builder::new(),
            router: Router::new(),
            shortcut: None,
            peer: Peer(None),
            patience: HANDSHAKE,
            ended,
            _permit: None,
            _open: Connected::default(),
        };
        theirs.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let conversation = tokio::spawn(connection.converse(Box::new(stream), false));
        tokio::task::yield_now().await;
        drop(ending);
        // Without a time limit of its own: if it waited, this would not end.
        conversation.await.unwrap();
    }
}
