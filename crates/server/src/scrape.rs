//! Figures as Prometheus reads them: what requests counted, and what the store says of itself at that moment.

use std::time::Duration;

use ostracon_core::Remembered;
use ostracon_store::{Activity, Distribution, PrefilterState, audit};
use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::{
    app::App,
    metrics::{Check, Metrics},
};

impl App {
    /// All figures in the text format of Prometheus. Blocks shortly: the engine is asked for its size.
    ///
    /// # Errors
    ///
    /// When they cannot be written down, which does not happen.
    pub(crate) fn figures(&self) -> prometheus::Result<String> {
        let metrics = &self.kept.metrics;
        let mut families = metrics.registry.gather();
        let now = self.now().as_secs();
        let ago = |since: Duration| float(now.saturating_sub(since.as_secs()));
        families.push(gauge_labelled(
            "ostracon_build_info",
            "The version that runs",
            [("version", env!("CARGO_PKG_VERSION"), 1.0)],
        ));
        families.push(gauge(
            "ostracon_start_time_seconds",
            "When the process began, in seconds since 1970",
            ago(metrics.uptime()),
        ));
        self.store_figures(&mut families, ago);
        memory_figures(&mut families, &self.keyring.remembered());
        audit_figures(&mut families, &self.kept.trail.stats());
        TextEncoder::new().encode_to_string(&families)
    }

    fn store_figures(&self, families: &mut Vec<MetricFamily>, ago: impl Fn(Duration) -> f64) {
        let stats = self.kept.denylist.stats();
        // Absent while they are counted: a number that is too small would be worse than none.
        families.extend(stats.entries.map(|entries| {
            gauge_labelled(
                "ostracon_entries",
                "Entries of the denylist, by kind, those included that have expired and are not yet swept",
                entries.map(|(kind, count)| ("kind", kind.as_str(), float(count))),
            )
        }));
        let missing = match stats.prefilter {
            PrefilterState::Building { missing } => missing,
            _ => 0,
        };
        let flag = |set: bool| f64::from(u8::from(set));
        let gauges = [
            (
                "ostracon_writes_refused",
                "1 while the denylist takes no writes since one has failed",
                flag(stats.refused.is_some()),
            ),
            (
                "ostracon_journal_bytes",
                "Bytes of the journal",
                float(stats.journal_bytes),
            ),
            (
                "ostracon_journal_segments",
                "Segments of the journal",
                size(stats.journal_segments),
            ),
            (
                "ostracon_pending_changes",
                "Changes that are in the journal and not yet in the engine",
                size(stats.waiting),
            ),
            (
                "ostracon_prefilter_bytes",
                "Bytes of the prefilter",
                size(stats.prefilter_bytes),
            ),
            (
                "ostracon_prefilter_missing_shards",
                "Shards of the prefilter that are not built yet; checks of them are looked up",
                size(missing),
            ),
            (
                "ostracon_prefilter_target_false_positive_ratio",
                "The share of unlisted tokens' targets that the prefilter is built to let pass",
                self.prefilter_target(),
            ),
        ];
        families.extend(gauges.map(|(name, help, value)| gauge(name, help, value)));
        if let Some(filters) = stats.filters {
            let ratios = [
                (
                    "ostracon_prefilter_fill_ratio",
                    "The share of the prefilter's bits that are set, as is to be expected from what was inserted",
                    filters.fill,
                ),
                (
                    "ostracon_prefilter_expected_false_positive_ratio",
                    "The share of unlisted targets that the prefilter lets pass, as is to be expected from its fill",
                    filters.expected_rate,
                ),
            ];
            families.extend(ratios.map(|(name, help, value)| gauge(name, help, value)));
        }
        families.extend(measured_ratio(&self.kept.metrics).map(|ratio| {
            gauge(
                "ostracon_prefilter_false_positive_ratio",
                "The share of unlisted tokens that were looked up in vain since the start, as measured",
                ratio,
            )
        }));
        families.extend(
            self.kept
                .denylist
                .engine_bytes()
                .ok()
                .map(|bytes| gauge("ostracon_engine_bytes", "Bytes of the engine's files", float(bytes))),
        );
        activity_figures(families, &stats.activity, ago);
    }
}

/// The share of unlisted tokens that the prefilter let pass; none while none was asked about.
pub(crate) fn measured_ratio(metrics: &Metrics) -> Option<f64> {
    let wrong = metrics.checks(Check::FalsePositive);
    let all = wrong.saturating_add(metrics.checks(Check::Skipped));
    (all > 0).then(|| float(wrong) / float(all))
}

fn activity_figures(families: &mut Vec<MetricFamily>, activity: &Activity, ago: impl Fn(Duration) -> f64) {
    families.push(histogram(
        "ostracon_commit_duration_seconds",
        "How long groups of writes took to be on the disk",
        &activity.commit_nanos,
        1e-9,
    ));
    families.push(histogram(
        "ostracon_commit_records",
        "How many records were written and synced together",
        &activity.commit_records,
        1.0,
    ));
    families.push(histogram(
        "ostracon_revocation_effect_seconds",
        "How long revocations took from being asked for until no check passed any more, durable by then",
        &activity.effect_nanos,
        1e-9,
    ));
    let counters = [
        (
            "ostracon_commit_failures_total",
            "Groups of writes that could not be written",
            float(activity.failed_commits),
        ),
        ("ostracon_sweeps_total", "Sweeps", float(activity.sweeps)),
        (
            "ostracon_swept_entries_total",
            "Entries that sweeps dropped",
            float(activity.swept),
        ),
        (
            "ostracon_prefilter_rebuilt_shards_total",
            "Shards of the prefilter that were built or built anew",
            float(activity.rebuilt_shards),
        ),
        (
            "ostracon_prefilter_rebuild_seconds_total",
            "The time that building them took",
            activity.rebuild_time.as_secs_f64(),
        ),
    ];
    families.extend(counters.map(|(name, help, value)| counter(name, help, value)));
    let moments = [
        (
            "ostracon_last_sweep_timestamp_seconds",
            "When the last sweep ended",
            activity.since_sweep,
        ),
        (
            "ostracon_last_checkpoint_timestamp_seconds",
            "When the engine was last brought up to the journal, durably",
            activity.since_checkpoint,
        ),
    ];
    families.extend(
        moments
            .into_iter()
            .filter_map(|(name, help, since)| Some(gauge(name, help, ago(since?)))),
    );
}

fn memory_figures(families: &mut Vec<MetricFamily>, remembered: &Remembered) {
    let counters = [
        (
            "ostracon_token_cache_hits_total",
            "Access tokens whose signature had been found good before, so that it was not checked again",
            float(remembered.hits),
        ),
        (
            "ostracon_token_cache_misses_total",
            "Access tokens whose signature had to be checked, forged ones among them",
            float(remembered.misses),
        ),
    ];
    families.extend(counters.map(|(name, help, value)| counter(name, help, value)));
    families.push(gauge(
        "ostracon_token_cache_tokens",
        "Access tokens that are remembered",
        size(remembered.tokens),
    ));
    families.push(gauge(
        "ostracon_token_cache_bytes",
        "What they take up, roughly",
        float(remembered.bytes),
    ));
}

fn audit_figures(families: &mut Vec<MetricFamily>, stats: &audit::Stats) {
    families.push(counter(
        "ostracon_audit_lost_records_total",
        "Records that could not be written to the audit log",
        float(stats.lost),
    ));
    families.push(gauge(
        "ostracon_audit_failing",
        "1 while the audit log cannot be written",
        f64::from(u8::from(stats.failing.is_some())),
    ));
    families.push(gauge(
        "ostracon_audit_last_record",
        "The number of the last record of the audit log",
        float(stats.head.number),
    ));
    families.push(gauge(
        "ostracon_audit_bytes",
        "Bytes of the audit log",
        float(stats.bytes),
    ));
}

/// Exact up to 2⁵³, which nothing here reaches.
#[expect(clippy::as_conversions, clippy::cast_precision_loss)]
fn float(number: u64) -> f64 {
    number as f64
}

fn size(number: usize) -> f64 {
    float(u64::try_from(number).unwrap_or(u64::MAX))
}

fn family(name: &str, help: &str, of: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(of);
    family.set_metric(metrics);
    family
}

fn measured(value: f64) -> Gauge {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    gauge
}

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    family(name, help, MetricType::GAUGE, vec![Metric::from_gauge(measured(value))])
}

/// One gauge for each label's value.
fn gauge_labelled<'a>(
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str, f64)>,
) -> MetricFamily {
    let metrics = values.into_iter().map(|(label, of, value)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.to_owned());
        pair.set_value(of.to_owned());
        let mut metric = Metric::from_label(vec![pair]);
        metric.set_gauge(measured(value));
        metric
    });
    family(name, help, MetricType::GAUGE, metrics.collect())
}

fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::default();
    metric.set_counter(counter);
    family(name, help, MetricType::COUNTER, vec![metric])
}

/// A distribution whose values are `unit` each.
fn histogram(name: &str, help: &str, distribution: &Distribution, unit: f64) -> MetricFamily {
    let mut below = 0_u64;
    let buckets = distribution.buckets.iter().map(|(bound, count)| {
        below = below.saturating_add(*count);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(float(*bound) * unit);
        bucket.set_cumulative_count(below);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(distribution.count);
    histogram.set_sample_sum(float(distribution.sum) * unit);
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_is_told_as_a_histogram_of_seconds() {
        let distribution = Distribution {
            buckets: vec![(1_000_000, 2), (2_000_000_000, 1)],
            count: 4,
            sum: 9_500_000_000,
        };
        let told = TextEncoder::new()
            .encode_to_string(&[histogram("h", "Help", &distribution, 1e-9)])
            .unwrap();
        let expected = "# HELP h Help\n# TYPE h histogram\nh_bucket{le=\"0.001\"} 2\nh_bucket{le=\"2\"} 3\n\
                        h_bucket{le=\"+Inf\"} 4\nh_sum 9.5\nh_count 4\n";
        assert_eq!(told, expected);
    }
}
