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
pub(crate) struct Told {
    pub(crate) version: &'static str,
    #[schema(value_type = Seconds)]
    pub(crate) started_at: u64,
    pub(crate) uptime_secs: u64,
    #[schema(required)]
    pub(crate) entries: Option<Entries>,
    pub(crate) prefilter: Prefilter,
    pub(crate) store: Store,
    pub(crate) token_cache: TokenCache,
    pub(crate) sweep: Sweep,
    pub(crate) audit: trail::Told,
}

/// Live entries by kind and together; null while they are counted after an end that was no close.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    pub(crate) token: u64,
    pub(crate) session: u64,
    pub(crate) subject: u64,
    pub(crate) client: u64,
    pub(crate) key: u64,
    pub(crate) issuer: u64,
    pub(crate) total: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Prefilter {
    /// `off`, `building` or `covering`.
    pub(crate) state: &'static str,
    pub(crate) missing_shards: usize,
    pub(crate) bytes: usize,
    pub(crate) bits: usize,
    pub(crate) false_positive_rate: FalsePositiveRate,
    /// The share of bits that are set.
    #[schema(required)]
    pub(crate) fill: Option<f64>,
    #[schema(required)]
    pub(crate) ruled_out: Option<u64>,
    #[schema(required)]
    pub(crate) false_positives: Option<u64>,
    pub(crate) checks: Checks,
    pub(crate) lookups: u64,
    pub(crate) misses: u64,
    pub(crate) rebuilt_shards: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct FalsePositiveRate {
    pub(crate) target: f64,
    #[schema(required)]
    pub(crate) expected: Option<f64>,
    #[schema(required)]
    pub(crate) measured: Option<f64>,
    #[schema(required)]
    pub(crate) measured_of_tokens: Option<f64>,
}
/// Tokens that were held against the denylist since the start.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checks {
    /// The prefilter alone could tell that nothing of them is listed.
    pub(crate) skipped: u64,
    /// An entry was found.
    pub(crate) hit: u64,
    /// Something was looked up in vain.
    pub(crate) false_positive: u64,
    /// Looked up where no prefilter could have spared it.
    pub(crate) unfiltered: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Store {
    pub(crate) writes_refused: bool,
    pub(crate) disk_bytes: u64,
    pub(crate) journal_bytes: u64,
    pub(crate) journal_segments: usize,
    pub(crate) engine_bytes: u64,
    pub(crate) pending_changes: usize,
    pub(crate) commits: u64,
    pub(crate) committed_records: u64,
    pub(crate) failed_commits: u64,
    #[schema(value_type = Option<Seconds>, required)]
    pub(crate) last_checkpoint_at: Option<u64>,
    #[schema(value_type = Seconds)]
    pub(crate) forgotten_until: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenCache {
    pub(crate) tokens: usize,
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Sweep {
    #[schema(value_type = Option<Seconds>, required)]
    pub(crate) last_at: Option<u64>,
    pub(crate) sweeps: u64,
    pub(crate) entries: u64,
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
    Ok(Json(told(&app).await?).into_response())
}

/// How the server fares at this moment.
pub(crate) async fn told(app: &App) -> Result<Told, Problem> {
    let (stats, engine_bytes) = app
        .look_up(|denylist| Ok((denylist.stats(), denylist.engine_bytes()?)))
        .await?;
    let now = app.now();
    let uptime = app.kept.metrics.uptime();
    Ok(Told {
        version: env!("CARGO_PKG_VERSION"),
        started_at: before(now, uptime),
        uptime_secs: uptime.as_secs(),
        entries: stats.entries.map(Entries::from),
        prefilter: prefilter(app, &stats),
        store: store(&stats, engine_bytes, now),
        token_cache: app.keyring.remembered().into(),
        sweep: Sweep {
            last_at: stats.activity.since_sweep.map(|since| before(now, since)),
            sweeps: stats.activity.sweeps,
            entries: stats.activity.swept,
        },
        audit: app.kept.trail.stats().into(),
    })
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
