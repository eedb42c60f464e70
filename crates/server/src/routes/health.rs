//! `/healthz` and `/readyz`.

use std::sync::{Arc, atomic::Ordering};

use axum::extract::State;
use ostracon_core::Issuer;
use ostracon_store::PrefilterState;
use serde_json::{Map, Value, json};

use crate::{answer::Json, app::App, problem::Problem};

/// The process lives.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// The store is open, its writes succeed, and the prefilter covers it.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Json<Value>, Problem> {
    let stats = app.kept.denylist.stats();
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
    // No reason to be taken out of service: what was configured before is served as it was.
    let configuration = if app.kept.stale.load(Ordering::Relaxed) {
        "stale: the one that was read last cannot be used, and the log says why"
    } else {
        "current"
    };
    let mut ready = Map::new();
    ready.insert("status".into(), "ready".into());
    ready.insert("configuration".into(), configuration.into());
    // Nor is this: all that needs no new key is answered.
    let failing: Vec<_> = app.keyring.failing().map(Issuer::as_str).collect();
    if !failing.is_empty() {
        ready.insert("keys_unavailable".into(), failing.into());
    }
    Ok(Json(ready.into()))
}
