//! `POST /v1/maintenance/*`: what the server does by itself, on demand, and backups.

use std::{path::Path, sync::Arc};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use ostracon_store::{Backup, Denylist, Progress, StoreError};
use serde::Serialize;
use tokio::{sync::OwnedMutexGuard, time::Instant};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    answer::Json,
    app::App,
    backup::back_up,
    client::{Caller, Role},
    problem::Problem,
    sender::Sender,
    serving::Serving,
    trail::Entry,
};

pub(super) fn routes() -> OpenApiRouter<Serving> {
    OpenApiRouter::default()
        .routes(routes!(sweep))
        .routes(routes!(rebuild_prefilter))
        .routes(routes!(backup))
}

/// Who may, and only one at a time. It is held until the work is done, whether the caller waits for it or not.
fn begin(app: &App, request: &Request, what: &'static str) -> Result<OwnedMutexGuard<()>, Problem> {
    let caller = Caller::of(request);
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Admin))?;
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let held = Arc::clone(&app.kept.maintenance).try_lock_owned();
    let held = held.map_err(|_| Problem::maintenance_running())?;
    app.kept.trail.ready()?;
    let record = Entry::new("maintenance").by(client.id()).from(&sender);
    app.kept.trail.note(record.with("what", what).outcome("begun"));
    tracing::info!(client = client.id(), what, "maintenance is begun by a client");
    Ok(held)
}

#[derive(Serialize, ToSchema)]
struct Swept {
    /// Entries that were past their retention.
    entries: usize,
    /// Index rows without an entry.
    leftovers: usize,
    /// Sessions of the list that have ended.
    sessions: usize,
    took_ms: u64,
}

/// Drops what has expired, now.
///
/// Not in the ten minutes after a start or a jump of the clock: what a wrong clock has forgotten is lost, and the sweeper itself
/// waits for as long. No answer depends on it, since each look at an entry judges its end itself.
#[utoipa::path(
    post,
    path = "/v1/maintenance/sweep",
    tag = "operators",
    security(("client" = ["admin"])),
    responses(
        (status = OK, description = "What was dropped.", body = Swept),
        (status = CONFLICT, description = "`maintenance_running`, `clock_unsettled`: the clock must have gone evenly for as long as for the sweeper itself.", headers(("Retry-After" = u64, description = "In seconds.")))
    )
)]
async fn sweep(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let held = begin(&app, &request, "sweep")?;
    if let Some(wait) = app.clock_unsettled() {
        return Err(Problem::clock_unsettled(wait));
    }
    let (now, begun) = (app.now(), Instant::now());
    let registry = Arc::clone(&app.kept.registry);
    let sweep = move |denylist: &Denylist| {
        let _held = held;
        denylist.sweep(now).and_then(|swept| Ok((swept, registry.sweep(now)?)))
    };
    let (swept, sessions) = app.look_up(sweep).await?;
    Ok(Json(Swept {
        entries: swept.entries,
        leftovers: swept.leftovers,
        sessions,
        took_ms: millis_since(begun),
    })
    .into_response())
}

#[derive(Serialize, ToSchema)]
struct Rebuilt {
    shards: usize,
    bytes: usize,
    took_ms: u64,
}

/// Makes the prefilter anew, shard by shard, while all of it serves.
#[utoipa::path(
    post,
    path = "/v1/maintenance/rebuild-prefilter",
    tag = "operators",
    security(("client" = ["admin"])),
    responses(
        (status = OK, description = "What was made.", body = Rebuilt),
        (status = CONFLICT, description = "`maintenance_running`, `not_configured`: there is no prefilter.")
    )
)]
async fn rebuild_prefilter(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let held = begin(&app, &request, "rebuild-prefilter")?;
    let begun = Instant::now();
    let rebuild = move |denylist: &Denylist| {
        let _held = held;
        denylist.rebuild_prefilter()
    };
    let shards = app.look_up(rebuild).await?;
    let shards = shards.ok_or_else(|| Problem::not_configured("there is no prefilter: denylist.prefilter is false"))?;
    Ok(Json(Rebuilt {
        shards,
        bytes: app.denylist().stats().prefilter_bytes,
        took_ms: millis_since(begun),
    })
    .into_response())
}

#[derive(Serialize, ToSchema)]
struct BackedUp {
    /// The directory in `backup_dir`.
    name: String,
    bytes: u64,
    records: u64,
    sequence: u64,
    took_ms: u64,
}

/// Makes a backup where the configuration says, never where the request does.
#[utoipa::path(
    post,
    path = "/v1/maintenance/backup",
    tag = "operators",
    security(("client" = ["admin"])),
    responses(
        (status = OK, description = "The backup, read back.", body = BackedUp),
        (status = CONFLICT, description = "`maintenance_running`, `not_configured`: `backup_dir` is not set."),
        (status = INTERNAL_SERVER_ERROR, description = "`backup_failed`: nothing is left under its name; the log says why.")
    )
)]
async fn backup(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let held = begin(&app, &request, "backup")?;
    let into = app.backup_dir.clone();
    let into = into.ok_or_else(|| Problem::not_configured("backup_dir is not in the configuration"))?;
    let (now, begun) = (app.now(), Instant::now());
    let copy = move |denylist: &Denylist| {
        let _held = held;
        Ok(back_up(denylist, &into, now, &mut |_: Progress| ()))
    };
    let made: Result<Backup, StoreError> = app.look_up(copy).await?;
    let made = made.map_err(|error| match error {
        StoreError::ReadOnly(_) | StoreError::Closed | StoreError::Busy => error.into(),
        other => Problem::backup_failed(&other),
    })?;
    let name = made.path.file_name().unwrap_or(Path::new("").as_os_str());
    let name = name.to_string_lossy().into_owned();
    tracing::info!(name, records = made.records, "a backup is made");
    Ok(Json(BackedUp {
        name,
        bytes: made.bytes,
        records: made.records,
        sequence: made.sequence,
        took_ms: millis_since(begun),
    })
    .into_response())
}

fn millis_since(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}
