//! Listening, sweeping, and ending well.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Router, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
use tower::ServiceExt;

use crate::{limits::Limits, listen::Listener, routes, serving::Serving};

/// How long requests that are being answered are waited for once the server is told to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The largest head of a request, in bytes: room for a token in `Authorization`, one in a cookie, and what else a
/// browser sends along.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Answers on both listeners until `shutdown` is ready; then finishes what is being answered, and closes the denylist.
///
/// # Errors
///
/// When the denylist cannot make its last checkpoint; all that was acknowledged is in its journal either way.
pub async fn run(
    serving: Serving,
    public: Listener,
    admin: Listener,
    sweep_every: Duration,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (ending, ended) = watch::channel(());
    let mut servers = JoinSet::new();
    for (listener, router) in [
        (public, routes::public(serving.clone())),
        (admin, routes::admin(serving.clone())),
    ] {
        servers.spawn(serve(listener, router, serving.app().limits.clone(), ended.clone()));
    }
    let sweeper = tokio::spawn(sweep(serving.clone(), sweep_every));

    shutdown.await;
    tracing::info!("ending; requests that are being answered are finished");
    drop(ended);
    // A receiver that sees the sender go is told to end.
    drop(ending);
    if tokio::time::timeout(PATIENCE, servers.join_all()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
    sweeper.abort();
    let denylist = Arc::clone(serving.app().denylist());
    tokio::task::spawn_blocking(move || denylist.close()).await??;
    Ok(())
}

async fn serve(listener: Listener, router: Router, limits: Limits, mut ended: watch::Receiver<()>) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    let graceful = GracefulShutdown::new();
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
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.clone().oneshot(request)
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(permit);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

async fn sweep(serving: Serving, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let app = serving.app();
        app.failures.sweep();
        if app.clock_unsettled().is_some() {
            continue;
        }
        let now = app.now();
        let denylist = Arc::clone(app.denylist());
        match tokio::task::spawn_blocking(move || denylist.sweep(now)).await {
            Ok(Ok(swept)) if swept.entries > 0 => tracing::info!(entries = swept.entries, "swept what has expired"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not sweep; no answer depends on it"),
            Err(error) => tracing::error!(%error, "the sweep panicked"),
        }
        let registry = Arc::clone(&app.kept.registry);
        match tokio::task::spawn_blocking(move || registry.sweep(now)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not sweep the list of sessions"),
            Err(error) => tracing::error!(%error, "the sweep of the list of sessions panicked"),
        }
    }
}
