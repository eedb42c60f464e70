//! Listening, sweeping, and ending well.

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{Router, serve::ListenerExt};
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{app::App, routes};

/// How long requests that are being answered are waited for once the server is told to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers on both listeners until `shutdown` is ready; then finishes what is being answered, and closes the denylist.
///
/// # Errors
///
/// When a listener fails, or when the denylist cannot make its last checkpoint; all that was acknowledged is in its
/// journal either way.
pub async fn run(
    app: Arc<App>,
    public: TcpListener,
    admin: TcpListener,
    sweep_every: Duration,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (ending, ended) = watch::channel(());
    let mut servers = JoinSet::new();
    servers.spawn(serve(public, routes::public(Arc::clone(&app)), ended.clone()));
    servers.spawn(serve(admin, routes::admin(Arc::clone(&app)), ended.clone()));
    let sweeper = tokio::spawn(sweep(Arc::clone(&app), sweep_every));

    tokio::select! {
        () = shutdown => tracing::info!("ending; requests that are being answered are finished"),
        Some(ended) = servers.join_next() => ended??,
    }
    drop(ended);
    // A receiver that sees the sender go is told to end.
    drop(ending);
    let finished = tokio::time::timeout(PATIENCE, async {
        while let Some(ended) = servers.join_next().await {
            ended??;
        }
        Ok::<_, anyhow::Error>(())
    });
    if let Ok(ended) = finished.await {
        ended?;
    } else {
        tracing::warn!("some requests were not finished in time");
    }
    sweeper.abort();
    let denylist = Arc::clone(app.denylist());
    tokio::task::spawn_blocking(move || denylist.close()).await??;
    Ok(())
}

async fn serve(listener: TcpListener, router: Router, mut ended: watch::Receiver<()>) -> io::Result<()> {
    // Answers are small and each is waited for: none is held back to be sent with the next.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
    });
    let shutdown = async move { while ended.changed().await.is_ok() {} };
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn sweep(app: Arc<App>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (denylist, now) = (Arc::clone(app.denylist()), app.now());
        match tokio::task::spawn_blocking(move || denylist.sweep(now)).await {
            Ok(Ok(swept)) if swept.entries > 0 => tracing::info!(entries = swept.entries, "swept what has expired"),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::warn!(%error, "could not sweep; no answer depends on it"),
            Err(error) => tracing::error!(%error, "the sweep panicked"),
        }
    }
}
