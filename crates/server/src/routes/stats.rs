//! `GET /v1/stats` and `GET /metrics`: how the server fares.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use ostracon_core::{Kind, Remembered, UnixTime};
use ostracon_store::{PrefilterState, Stats};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Json,
    app::App,
    client::{Caller, Role},
    metrics::Check,
    openapi::words::Seconds,
    problem::Problem,
    scrape::measured_ratio,
    trail,
};

#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
pub(super) struct Told {
    version: &'static str,
    #[schema(value_type = Seconds)]
    started_at: u64,
    uptime_secs: u64,
    #[schema(required)]
    entries: Option<Entries>,
    prefilter: Prefilter,
    store: Store,
    token_cache: TokenCache,
    sweep: Sweep,
    audit: trail::Told,
}

/// Live entries by kind and together; null while they are counted after an end that was no close.
#[derive(Serialize, ToSchema)]
struct Entries {
    token: u64,
    session: u64,
    subject: u64,
    client: u64,
    key: u64,
    issuer: u64,
    total: u64,
}

#[derive(Serialize, ToSchema)]
struct Prefilter {
    /// `off`, `building` or `covering`.
    state: &'static str,
    missing_shards: usize,
    bytes: usize,
    bits: usize,
    false_positive_rate: FalsePositiveRate,
    /// The share of bits that are set.
    #[schema(required)]
    fill: Option<f64>,
    #[schema(required)]
    ruled_out: Option<u64>,
    #[schema(required)]
    false_positives: Option<u64>,
    checks: Checks,
    lookups: u64,
    misses: u64,
    rebuilt_shards: u64,
}

#[derive(Serialize, ToSchema)]
struct FalsePositiveRate {
    target: f64,
    #[schema(required)]
    expected: Option<f64>,
    #[schema(required)]
    measured: Option<f64>,
    #[schema(required)]
    measured_of_tokens: Option<f64>,
}
/// Tokens that were held against the denylist since the start.
#[derive(Serialize, ToSchema)]
struct Checks {
    /// The prefilter alone could tell that nothing of them is listed.
    skipped: u64,
    /// An entry was found.
    hit: u64,
    /// Something was looked up in vain.
    false_positive: u64,
    /// Looked up where no prefilter could have spared it.
    unfiltered: u64,
}

#[derive(Serialize, ToSchema)]
struct Store {
    writes_refused: bool,
    disk_bytes: u64,
    journal_bytes: u64,
    journal_segments: usize,
    engine_bytes: u64,
    pending_changes: usize,
    commits: u64,
    committed_records: u64,
    failed_commits: u64,
    #[schema(value_type = Option<Seconds>, required)]
    last_checkpoint_at: Option<u64>,
    #[schema(value_type = Seconds)]
    forgotten_until: u64,
}

#[derive(Serialize, ToSchema)]
struct TokenCache {
    tokens: usize,
    bytes: u64,
    hits: u64,
    misses: u64,
}

#[derive(Serialize, ToSchema)]
struct Sweep {
    #[schema(value_type = Option<Seconds>, required)]
    last_at: Option<u64>,
    sweeps: u64,
    entries: u64,
}

/// How the server fares.
#[utoipa::path(
    get,
    path = "/v1/stats",
    tag = "operators",
    security(("client" = ["read"])),
    responses((status = OK, description = "Figures of this moment, and counts since the start.", body = Told))
)]
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
        entries: stats.entries.map(Entries::from),
        prefilter: prefilter(&app, &stats),
        store: store(&stats, engine_bytes, now),
        token_cache: app.keyring.remembered().into(),
        sweep: Sweep {
            last_at: stats.activity.since_sweep.map(|since| before(now, since)),
            sweeps: stats.activity.sweeps,
            entries: stats.activity.swept,
        },
        audit: app.kept.trail.stats().into(),
    })
    .into_response())
}

fn before(now: UnixTime, since: Duration) -> u64 {
    now.as_secs().saturating_sub(since.as_secs())
}

impl From<[(Kind, u64); 6]> for Entries {
    fn from(counts: [(Kind, u64); 6]) -> Self {
        let of = |kind| counts.iter().find(|(k, _)| *k == kind).map_or(0, |(_, count)| *count);
        Self {
            token: of(Kind::Token),
            session: of(Kind::Session),
            subject: of(Kind::Subject),
            client: of(Kind::Client),
            key: of(Kind::Key),
            issuer: of(Kind::Issuer),
            total: counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)),
        }
    }
}

fn prefilter(app: &App, stats: &Stats) -> Prefilter {
    let (word, missing_shards) = match stats.prefilter {
        PrefilterState::Off => ("off", 0),
        PrefilterState::Building { missing } => ("building", missing),
        PrefilterState::Covering => ("covering", 0),
    };
    let filters = stats.filters;
    let checks = |check| app.kept.metrics.checks(check);
    Prefilter {
        state: word,
        missing_shards,
        bytes: stats.prefilter_bytes,
        bits: stats.prefilter_bytes.saturating_mul(8),
        false_positive_rate: FalsePositiveRate {
            target: app.prefilter_target(),
            expected: filters.map(|filters| filters.expected_rate),
            measured: filters.and_then(|filters| filters.measured_rate),
            measured_of_tokens: measured_ratio(&app.kept.metrics),
        },
        fill: filters.map(|filters| filters.fill),
        ruled_out: filters.map(|filters| filters.ruled_out),
        false_positives: filters.map(|filters| filters.false_positives),
        checks: Checks {
            skipped: checks(Check::Skipped),
            hit: checks(Check::Hit),
            false_positive: checks(Check::FalsePositive),
            unfiltered: checks(Check::Unfiltered),
        },
        lookups: stats.lookups,
        misses: stats.misses,
        rebuilt_shards: stats.activity.rebuilt_shards,
    }
}

impl From<Remembered> for TokenCache {
    fn from(remembered: Remembered) -> Self {
        Self {
            tokens: remembered.tokens,
            bytes: remembered.bytes,
            hits: remembered.hits,
            misses: remembered.misses,
        }
    }
}

fn store(stats: &Stats, engine_bytes: u64, now: UnixTime) -> Store {
    Store {
        // The cause may hold a path; the log has it.
        writes_refused: stats.refused.is_some(),
        disk_bytes: stats.journal_bytes.saturating_add(engine_bytes),
        journal_bytes: stats.journal_bytes,
        journal_segments: stats.journal_segments,
        engine_bytes,
        pending_changes: stats.waiting,
        commits: stats.activity.commit_records.count,
        committed_records: stats.activity.commit_records.sum,
        failed_commits: stats.activity.failed_commits,
        last_checkpoint_at: stats.activity.since_checkpoint.map(|since| before(now, since)),
        forgotten_until: stats.forgotten_until.as_secs(),
    }
}

/// How the server fares, for Prometheus.
///
/// Needs no credential: there is nothing in it of anybody, and scrapers seldom have one. The listener is not for everyone.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operators",
    responses((status = OK, description = "The text format, version 0.0.4.", body = String, content_type = "text/plain"))
)]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let told = tokio::task::spawn_blocking(move || app.figures()).await;
    let told = told.map_err(Problem::internal)?.map_err(Problem::internal)?;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], told).into_response())
}
