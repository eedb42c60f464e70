//! What is counted while requests are answered, and how all figures are told to Prometheus.
//!
//! Labels come from closed sets: routes as they are configured, status codes, words of ours. Never a subject, an address or
//! anything else that a caller chooses. The handles of what each verification counts are made once, so that counting is an
//! addition to a number; only the request's own series is looked up, by route, method and status, without an allocation.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use axum::http::{Method, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    core::{Collector, GenericCounter, Metric},
};

use crate::app::OpenError;

/// Upper bounds in seconds: a verification takes some ten microseconds, a revocation a sync of the disk.
const LATENCIES: [f64; 16] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// The route that is asked most.
pub(crate) const VERIFY: &str = "/auth/verify";

/// Counters that requests add to.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    started: Instant,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Of requests to `/auth/verify` that passed at once.
    passed: (IntCounter, Histogram),
    denials: IntCounterVec,
    /// In the order of [`Check`].
    checks: Vec<IntCounter>,
    reuse_alarms: IntCounterVec,
    login_failures: IntCounter,
    connections: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, OpenError> {
        Self::try_new().map_err(|error| OpenError::Metrics(error.to_string()))
    }

    fn try_new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registered(&registry, counters)
        };
        let prefilter = counters(
            "ostracon_prefilter_checks_total",
            "Tokens held against the denylist, by what the prefilter made of them: skipped (surely not listed, no look-up), \
             hit (looked up and found), false_positive (looked up in vain), unfiltered (looked up without one)",
            &["outcome"],
        )?;
        let outcome = |word: &str| prefilter.get_metric_with_label_values(&[word]);
        let durations = HistogramOpts::new(
            "ostracon_http_request_duration_seconds",
            "How long requests took from their head to the head of their answer, by route",
        );
        let connections = Opts::new("ostracon_connections", "Connections that are open, by listener");
        let reuse_alarms = counters(
            "ostracon_refresh_reuse_alarms_total",
            "Refresh tokens that were used again after their grace, each of which ended its session, by what it looks like: \
                 race (the same sender, shortly after), theft (another sender) or unclear",
            &["looks_like"],
        )?;
        // There from the start, so that the first of each is an increase to whoever watches.
        for looks_like in ["race", "theft", "unclear"] {
            reuse_alarms.get_metric_with_label_values(&[looks_like])?;
        }
        let requests = counters(
            "ostracon_http_requests_total",
            "Requests that were answered, by route, method and status code",
            &["route", "method", "code"],
        )?;
        let durations = registered(
            &registry,
            HistogramVec::new(durations.buckets(LATENCIES.into()), &["route"])?,
        )?;
        let passed = (
            requests.get_metric_with_label_values(&[VERIFY, "GET", "200"])?,
            durations.get_metric_with_label_values(&[VERIFY])?,
        );
        Ok(Self {
            requests,
            durations,
            passed,
            denials: counters(
                "ostracon_verify_denials_total",
                "Requests that /auth/verify refused, by the code of the problem",
                &["reason"],
            )?,
            checks: Check::ALL
                .map(Check::as_str)
                .into_iter()
                .map(outcome)
                .collect::<Result<_, _>>()?,
            reuse_alarms,
            login_failures: registered(
                &registry,
                IntCounter::new(
                    "ostracon_client_login_failures_total",
                    "Calls by somebody who is not the client that was named",
                )?,
            )?,
            connections: registered(&registry, IntGaugeVec::new(connections, &["listener"])?)?,
            started: Instant::now(),
            registry,
        })
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, route: &str, method: &str, status: StatusCode, took: Duration) {
        // A label set of another size cannot be; if it were, a figure would be missing, and no request.
        if let Ok(requests) = self
            .requests
            .get_metric_with_label_values(&[route, method, status.as_str()])
        {
            requests.inc();
        }
        if let Ok(durations) = self.durations.get_metric_with_label_values(&[route]) {
            durations.observe(took.as_secs_f64());
        }
    }

    /// Counts a request that `/auth/verify` let pass, as [`Metrics::answered`] does.
    pub(crate) fn passed(&self, method: &Method, took: Duration) {
        if *method != Method::GET {
            return self.answered(VERIFY, method_word(method), StatusCode::OK, took);
        }
        let (requests, durations) = &self.passed;
        requests.inc();
        durations.observe(took.as_secs_f64());
    }

    /// Counts a request that `/auth/verify` refused.
    pub(crate) fn denied(&self, reason: &str) {
        add_to(&self.denials, reason);
    }

    pub(crate) fn reuse(&self, looks_like: &str) {
        add_to(&self.reuse_alarms, looks_like);
    }

    pub(crate) fn login_failed(&self) {
        self.login_failures.inc();
    }

    /// Counts a token that was held against the denylist.
    pub(crate) fn checked(&self, check: Check) {
        if let Some(counter) = check.of(&self.checks) {
            counter.inc();
        }
    }

    /// How many tokens were held against the denylist so far, with this result.
    pub(crate) fn checks(&self, check: Check) -> u64 {
        check.of(&self.checks).map_or(0, GenericCounter::get)
    }

    /// What `/auth/verify` has come to so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let (_, durations) = &self.passed;
        let histogram = durations.metric();
        let histogram = histogram.get_histogram();
        let denials = self
            .denials
            .collect()
            .into_iter()
            .flat_map(|mut family| family.take_metric());
        Traffic {
            verified: histogram.get_sample_count(),
            within: histogram
                .get_bucket()
                .iter()
                .map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()))
                .collect(),
            denials: denials
                .filter_map(|denial| {
                    let reason = denial.get_label().first()?.value().to_owned();
                    Some((reason, denial.get_counter().get_value()))
                })
                .collect(),
            checks: Check::ALL.map(|check| self.checks(check)),
        }
    }

    /// How many requests were answered so.
    #[cfg(test)]
    pub(crate) fn answers(&self, route: &str, method: &str, status: StatusCode) -> u64 {
        let labels = [route, method, status.as_str()];
        self.requests.get_metric_with_label_values(&labels).unwrap().get()
    }

    /// How long the application is open.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Counts a connection to `listener` for as long as the answer is kept.
    pub(crate) fn connected(&self, listener: &str) -> Connected {
        let gauge = self.connections.get_metric_with_label_values(&[listener]).ok();
        if let Some(gauge) = &gauge {
            gauge.inc();
        }
        Connected(gauge)
    }
}

/// What `/auth/verify` has come to since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Traffic {
    /// Requests that were answered.
    pub(crate) verified: u64,
    /// How many of them took no longer than so many seconds.
    pub(crate) within: Vec<(f64, u64)>,
    /// How many were refused, by the code of the problem. A counter is a float to Prometheus.
    pub(crate) denials: BTreeMap<String, f64>,
    /// Tokens that were held against the denylist, in the order of [`Check::ALL`].
    pub(crate) checks: [u64; 4],
}

/// What became of a token that was held against the denylist.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Check {
    /// The prefilter alone could tell that it is not listed.
    Skipped,
    /// It was looked up, and an entry was found.
    Hit,
    /// It was looked up in vain.
    FalsePositive,
    /// It was looked up, and no prefilter could have spared that.
    Unfiltered,
}

impl Check {
    pub(crate) const ALL: [Self; 4] = [Self::Skipped, Self::Hit, Self::FalsePositive, Self::Unfiltered];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Hit => "hit",
            Self::FalsePositive => "false_positive",
            Self::Unfiltered => "unfiltered",
        }
    }

    fn of(self, counters: &[IntCounter]) -> Option<&IntCounter> {
        let place = Self::ALL.into_iter().position(|check| check == self)?;
        counters.get(place)
    }
}

/// A connection that is open.
#[derive(Debug, Default)]
pub(crate) struct Connected(Option<prometheus::IntGauge>);

impl Drop for Connected {
    fn drop(&mut self) {
        if let Some(gauge) = &self.0 {
            gauge.dec();
        }
    }
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> prometheus::Result<C> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn add_to(counters: &IntCounterVec, label: &str) {
    if let Ok(counter) = counters.get_metric_with_label_values(&[label]) {
        GenericCounter::inc(&counter);
    }
}

/// The method as a label: `/auth/verify` takes any, so that those that nobody has heard of are one.
pub(crate) fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
