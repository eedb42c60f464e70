//! `/healthz` and `/readyz`.

use std::sync::{Arc, atomic::Ordering};

use axum::extract::State;
use ostracon_core::Issuer;
use ostracon_store::PrefilterState;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{answer::Json, app::App, problem::Problem};

#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// `ok`.
    status: &'static str,
}

/// The process lives.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = OK, description = "It does.", body = Alive)))]
pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    /// `ready`.
    status: &'static str,
    /// `current`, or `stale` and why: no reason to be taken out of service, since what was configured before is served as it
    /// was.
    configuration: &'static str,
    /// Issuers whose keys cannot be had. All that needs no new key is answered.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    keys_unavailable: Vec<String>,
}

/// The store is open, its writes succeed, and the prefilter covers it.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    responses(
        (status = OK, description = "All of it.", body = Ready),
        (status = SERVICE_UNAVAILABLE, description = "`not_ready`: not all of it, and why.")
    )
)]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Ready>, Problem> {
    let stats = app.kept.denylist.stats();
    if stats.short_of_space {
        return Err(Problem::not_ready(
            "too little space is free on the disk, and writes are refused until there is more",
        ));
    }
    if stats.refused.is_some() {
        // The cause may hold a path; the log has it.
        return Err(Problem::not_ready(
            "writes are refused since an earlier failure; free its cause and restart",
        ));
    }
    app.clock_is_ahead_of_what_was_forgotten()?;
    if let PrefilterState::Building { missing } = stats.prefilter {
        let detail = format!("{missing} shards of the prefilter are still being built; answers are right, and slower");
        return Err(Problem::not_ready(detail));
    }
    let configuration = if app.kept.stale.load(Ordering::Relaxed) {
        "stale: the one that was read last cannot be used, and the log says why"
    } else {
        "current"
    };
    Ok(Json(Ready {
        status: "ready",
        configuration,
        keys_unavailable: app.keyring.failing().map(Issuer::to_string).collect(),
    }))
}
