//! One listener and its connections: accepted, shaken hands with, answered, and ended well.

mod activity;
mod ahead;
mod watched;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, Request, header},
    response::IntoResponse,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncWrite,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::sleep,
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use self::{
    activity::{Activity, Answering, Counted},
    ahead::Ahead,
    watched::{Patience, Watched},
};
use crate::{
    heads::{MAX_HEAD_BYTES, refusal},
    limits::Limits,
    listen::{Cutter, Listener, Peer, Stream},
    metrics::{Connected, Metrics},
    routes::{guard, verify::Shortcut},
    serving::Serving,
    unread::lend,
};

/// What browsers are told that came by TLS: for a year, never to come without (RFC 6797 §6.1).
pub(crate) const STRICT: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How long a handshake may take at most: it is two round trips, and whoever makes it has sent no request yet.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the connections of one listener have in common.
pub(crate) struct Service<A> {
    /// What its connections are counted as.
    pub(crate) name: &'static str,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) router: Router,
    /// Whose tokens are asked about here, so that what can be answered ahead of the router is.
    pub(crate) verifying: Option<Serving>,
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
        verifying,
        limits,
        identity,
    } = service;
    let mut http = http1::Builder::new();
    // How long a head may take, the stream sees to.
    http.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let patience = Patience {
        head: limits.header_timeout,
        // Event streams have a patience of their own, and words for whoever exceeds it: that one comes first.
        writing: limits.header_timeout.max(limits.event_heartbeat.saturating_mul(3)),
    };
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
            verifying: verifying.clone(),
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
    verifying: Option<Serving>,
    peer: Peer,
    patience: Patience,
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
        let (router, peer) = (self.router, self.peer);
        let shortcut = self.verifying.map(|serving| Shortcut::new(serving, peer, is_secure));
        let cutter = Cutter::default();
        let to_cut = cutter.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let turn = Answering::begin(&answering);
            let (mut request, unread) = lend(request);
            let refused = refusal(&request).map(|problem| {
                let mut refused = problem.into_response();
                guard(refused.headers_mut());
                let close = HeaderValue::from_static("close");
                refused.headers_mut().insert(header::CONNECTION, close);
                refused
            });
            let answer = refused.ok_or_else(|| {
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(cutter.clone());
                router.clone().oneshot(request)
            });
            let activity = Arc::clone(&answering);
            async move {
                let mut answer = match answer {
                    Ok(refused) => refused,
                    Err(asked) => asked.await?,
                };
                if let Some(unread) = unread {
                    unread.settle(&mut answer);
                }
                if answer.headers().contains_key(header::CONNECTION) {
                    activity.end();
                }
                if is_secure {
                    answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT);
                }
                Ok::<_, Infallible>(answer.map(|body| Counted { body, _guard: turn }))
            }
        });
        let stream = Watched::new(stream, Arc::clone(&activity), Ahead::new(shortcut), self.patience);
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let told = async { drop(self.ended.changed().await) };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = to_cut.is_cut() => return,
            () = told => {
                activity.end();
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    impl Connection {
        /// One of nobody in particular, on which nothing is answered ahead.
        pub(super) fn bare(router: Router, patience: Patience, ended: watch::Receiver<()>) -> Self {
            Self {
                http: http1::Builder::new(),
                router,
                verifying: None,
                peer: Peer(None),
                patience,
                ended,
                _permit: None,
                _open: Connected::default(),
            }
        }
    }

    const PATIENCE: Patience = Patience {
        head: HANDSHAKE,
        writing: HANDSHAKE,
    };

    /// An answer that the other side is slow to take is handed over whole, though its body has long been read.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_being_answered_is_handed_over_whole_at_the_end() {
        const SIZE: usize = 8 << 20;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (ending, ended) = watch::channel(());
        let router = Router::new().route("/", axum::routing::get(async || vec![b'x'; SIZE]));
        let connection = Connection::bare(router, PATIENCE, ended);
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

    /// Who sends nothing, not enough, or nothing more makes room for others; who sends in time does not.
    #[tokio::test(start_paused = true)]
    async fn a_head_that_does_not_come_is_not_waited_for_any_longer() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let answering = || axum::routing::get(async || sleep(HANDSHAKE.saturating_mul(3)).await);
        for (pieces, slow) in [
            (&[][..], false),
            (&[&ASK[..9]], false),
            (&[ASK, ASK], false),
            (&[ASK], true),
        ] {
            let (mut theirs, ours) = tokio::io::duplex(1 << 12);
            let (_ending, ended) = watch::channel(());
            let fast = Router::new().route("/", axum::routing::get(async || "here"));
            let connection = Connection::bare(
                if slow {
                    Router::new().route("/", answering())
                } else {
                    fast
                },
                PATIENCE,
                ended,
            );
            let conversation = tokio::spawn(connection.converse(Box::new(ours), false));
            let mut last = tokio::time::Instant::now();
            for piece in pieces {
                sleep(HANDSHAKE.div_f64(2.0)).await;
                theirs.write_all(piece).await.unwrap();
                if *piece == ASK {
                    assert_ne!(theirs.read(&mut [0; 1 << 10]).await.unwrap(), 0);
                    last = tokio::time::Instant::now();
                }
            }
            let end = async { while theirs.read(&mut [0; 1 << 10]).await.unwrap() != 0 {} };
            tokio::time::timeout(HANDSHAKE.saturating_mul(9), end).await.unwrap();
            let waited = last.elapsed().saturating_sub(HANDSHAKE);
            assert!(
                last.elapsed() >= HANDSHAKE && waited < Duration::from_millis(10),
                "{pieces:?}: {waited:?}"
            );
            conversation.await.unwrap();
        }
    }

    /// Half a head is no request: nobody waits for the rest of it.
    #[tokio::test]
    async fn half_a_head_is_not_waited_for() {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (ending, ended) = watch::channel(());
        let connection = Connection::bare(Router::new(), PATIENCE, ended);
        theirs.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let conversation = tokio::spawn(connection.converse(Box::new(stream), false));
        tokio::task::yield_now().await;
        drop(ending);
        // Without a time limit of its own: if it waited, this would not end.
        conversation.await.unwrap();
    }
}
