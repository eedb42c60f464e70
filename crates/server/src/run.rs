//! Listening, sweeping, and ending well.

use std::{future::Future, sync::Arc, time::Duration};

use ostracon_store::StoreError;
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{
    config::{Identity, Tls},
    connection::{self, Service},
    history,
    listen::Listener,
    routes,
    serving::{Serving, Watching},
};

/// How long requests that are being answered are waited for once the server is told to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The identity of one of the listeners.
type Side = fn(&Tls) -> &Option<Identity>;

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
) -> Result<(), StoreError> {
    let (ending, ended) = watch::channel(());
    let mut servers = JoinSet::new();
    let sides: [(_, _, _, Side); 2] = [
        ("public", public, routes::public(serving.clone()), |tls| &tls.public),
        ("admin", admin, routes::admin(serving.clone()), |tls| &tls.admin),
    ];
    for (name, listener, router, side) in sides {
        let app = serving.clone();
        let service = Service {
            name,
            metrics: Arc::clone(&serving.app().kept.metrics),
            router,
            verifying: (name == "public").then(|| serving.clone()),
            limits: serving.app().limits.clone(),
            identity: move || side(&app.app().tls).as_ref().map(Identity::acceptor),
        };
        servers.spawn(connection::serve(listener, service, ended.clone()));
    }
    let sweeper = tokio::spawn(sweep(serving.downgrade(), sweep_every));
    let recorder = tokio::spawn(record_refusals(serving.downgrade()));
    let looking = tokio::spawn(history::keep(serving.downgrade()));

    shutdown.await;
    serving.end();
    tracing::info!("ending; requests that are being answered are finished");
    drop(ended);
    // A receiver that sees the sender go is told to end.
    drop(ending);
    if tokio::time::timeout(PATIENCE, servers.join_all()).await.is_err() {
        tracing::warn!("some requests were not finished in time");
    }
    sweeper.abort();
    recorder.abort();
    looking.abort();
    serving.close().await
}

/// Has what was counted of refused calls recorded, also when no more come, for as long as anybody else holds the application.
pub(crate) async fn record_refusals(serving: Watching) {
    let mut minutes = tokio::time::interval(Duration::from_mins(1));
    loop {
        minutes.tick().await;
        let Some(app) = serving.app() else { return };
        app.kept.trail.flush();
    }
}

/// Sweeps for as long as anybody else holds the application.
pub(crate) async fn sweep(serving: Watching, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(app) = serving.app() else { return };
        app.failures.sweep();
        if app.clock_unsettled().is_some() {
            continue;
        }
        let now = app.now();
        app.kept.trail.retain(now);
        let denylist = Arc::clone(app.denylist());
        match tokio::task::spawn_blocking(move || denylist.sweep(now)).await {
            Ok(Ok(swept)) if swept.entries > 0 => tracing::info!(entries = swept.entries, "swept what has expired"),
            Ok(Ok(_)) => {}
            Ok(Err(StoreError::Closed)) => return,
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
