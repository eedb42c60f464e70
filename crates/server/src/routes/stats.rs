//! `GET /v1/stats` and `GET /metrics`: how the server fares.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use ostracon_core::{Remembered, UnixTime};
use ostracon_store::{PrefilterState, Stats};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    answer::Json,
    app::App,
    client::{Caller, Role},
    metrics::Check,
    problem::Problem,
    scrape::measured_ratio,
    trail,
};

#[derive(Serialize)]
struct Told {
    version: &'static str,
    started_at: u64,
    uptime_secs: u64,
    /// By kind and together; null while they are counted after an end that was no close.
    entries: Option<Map<String, Value>>,
    prefilter: Value,
    store: Value,
    token_cache: Value,
    sweep: Value,
    audit: trail::Told,
}

pub(super) async fn stats(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let (stats, engine_bytes) = app
        .look_up(|denylist| Ok((denylist.stats(), denylist.engine_bytes()?)))
        .await?;
    let now = app.now();
    let uptime = app.kept.metrics.uptime();
    Ok(Json(Told {
        version: env!("CARGO_PKG_VERSION"),
        started_at: before(now, uptime),
        uptime_secs: uptime.as_secs(),
        entries: stats.entries.map(|entries| {
            let total = entries.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
            let by_kind = entries.map(|(kind, count)| (kind.as_str().to_owned(), count.into()));
            by_kind
                .into_iter()
                .chain([("total".to_owned(), total.into())])
                .collect()
        }),
        prefilter: prefilter(&app, &stats),
        store: store(&stats, engine_bytes, now),
        token_cache: token_cache(&app.keyring.remembered()),
        sweep: json!({
            "last_at": stats.activity.since_sweep.map(|since| before(now, since)),
            "sweeps": stats.activity.sweeps,
            "entries": stats.activity.swept,
        }),
        audit: app.kept.trail.stats().into(),
    })
    .into_response())
}

fn before(now: UnixTime, since: Duration) -> u64 {
    now.as_secs().saturating_sub(since.as_secs())
}

fn prefilter(app: &App, stats: &Stats) -> Value {
    let (word, missing) = match stats.prefilter {
        PrefilterState::Off => ("off", 0),
        PrefilterState::Building { missing } => ("building", missing),
        PrefilterState::Covering => ("covering", 0),
    };
    let filters = stats.filters;
    let checks = Check::ALL.map(|check| (check.as_str().to_owned(), app.kept.metrics.checks(check).into()));
    json!({
        "state": word,
        "missing_shards": missing,
        "bytes": stats.prefilter_bytes,
        "bits": stats.prefilter_bytes.saturating_mul(8),
        "false_positive_rate": {
            "target": app.prefilter_target(),
            "expected": filters.map(|filters| filters.expected_rate),
            "measured": filters.and_then(|filters| filters.measured_rate),
            "measured_of_tokens": measured_ratio(&app.kept.metrics),
        },
        "fill": filters.map(|filters| filters.fill),
        "ruled_out": filters.map(|filters| filters.ruled_out),
        "false_positives": filters.map(|filters| filters.false_positives),
        // Tokens that were held against the denylist since the start.
        "checks": Map::from_iter(checks),
        "lookups": stats.lookups,
        "misses": stats.misses,
        "rebuilt_shards": stats.activity.rebuilt_shards,
    })
}

fn token_cache(remembered: &Remembered) -> Value {
    json!({
        "tokens": remembered.tokens,
        "bytes": remembered.bytes,
        "hits": remembered.hits,
        "misses": remembered.misses,
    })
}

fn store(stats: &Stats, engine_bytes: u64, now: UnixTime) -> Value {
    json!({
        // The cause may hold a path; the log has it.
        "writes_refused": stats.refused.is_some(),
        "disk_bytes": stats.journal_bytes.saturating_add(engine_bytes),
        "journal_bytes": stats.journal_bytes,
        "journal_segments": stats.journal_segments,
        "engine_bytes": engine_bytes,
        "pending_changes": stats.waiting,
        "commits": stats.activity.commit_records.count,
        "committed_records": stats.activity.commit_records.sum,
        "failed_commits": stats.activity.failed_commits,
        "last_checkpoint_at": stats.activity.since_checkpoint.map(|since| before(now, since)),
        "forgotten_until": stats.forgotten_until.as_secs(),
    })
}

/// Needs no credential: there is nothing in it of anybody, and scrapers seldom have one. The listener is not for everyone.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let told = tokio::task::spawn_blocking(move || app.figures()).await;
    let told = told.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], told).into_response())
}
