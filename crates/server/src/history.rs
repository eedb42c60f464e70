//! What traffic came to in the last quarter of an hour, for people who look at it now. Whoever wants more asks Prometheus.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::MissedTickBehavior;

use crate::{
    metrics::{Metrics, Traffic},
    serving::Watching,
};

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// Looks that are kept: a quarter of an hour, and the one that it began with.
pub(crate) const KEPT: usize = 181;

/// The latest looks, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Look>>);

#[derive(Clone, Debug)]
struct Look {
    at: Instant,
    traffic: Traffic,
}

impl History {
    /// Takes a look.
    pub(crate) fn note(&self, metrics: &Metrics) {
        self.push(Look {
            at: Instant::now(),
            traffic: metrics.traffic(),
        });
    }

    fn push(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.len() == KEPT {
            looks.pop_front();
        }
        looks.push_back(look);
    }

    /// What happened between each two looks that were kept, the oldest first.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = looks.iter().zip(looks.iter().skip(1));
        pairs.map(|(before, after)| Span::between(before, after)).collect()
    }

    /// What happened within the last `looks`; none before there are two.
    pub(crate) fn last(&self, looks: usize) -> Option<Span> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let from = all.len().saturating_sub(looks.saturating_add(1));
        let (before, after) = (all.get(from)?, all.back()?);
        (before.at < after.at).then(|| Span::between(before, after))
    }
}

/// What happened between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) took: Duration,
    /// What was added in between.
    pub(crate) traffic: Traffic,
}

impl Span {
    fn between(before: &Look, after: &Look) -> Self {
        let (old, new) = (&before.traffic, &after.traffic);
        let earlier = |n: usize| old.within.get(n).map_or(0, |(_, count)| *count);
        let within = new
            .within
            .iter()
            .enumerate()
            .map(|(n, (bound, count))| (*bound, count.saturating_sub(earlier(n))));
        let denials = new.denials.iter().filter_map(|(reason, count)| {
            let more = count - old.denials.get(reason).unwrap_or(&0.0);
            (more > 0.0).then(|| (reason.clone(), more))
        });
        let mut checks = new.checks;
        for (count, before) in checks.iter_mut().zip(old.checks) {
            *count = count.saturating_sub(before);
        }
        Self {
            took: after.at.duration_since(before.at),
            traffic: Traffic {
                verified: new.verified.saturating_sub(old.verified),
                within: within.collect(),
                denials: denials.collect(),
                checks,
            },
        }
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        self.a_second(float(self.traffic.verified))
    }

    /// Refused requests a second.
    pub(crate) fn denied_rate(&self) -> f64 {
        self.a_second(self.denied())
    }

    /// Requests that were refused.
    pub(crate) fn denied(&self) -> f64 {
        self.traffic.denials.values().sum()
    }

    fn a_second(&self, count: f64) -> f64 {
        count / self.took.as_secs_f64().max(0.001)
    }

    /// In how many seconds the share `q` of the requests was answered, as far as the buckets tell: in between them they are taken
    /// to be spread evenly, as Prometheus does. None where there were none, or where it is beyond the last.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let total = float(self.traffic.verified);
        if total == 0.0 {
            return None;
        }
        let rank = q * total;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, count) in &self.traffic.within {
            let count = float(*count);
            if count >= rank && count > below {
                return Some(lower + (bound - lower) * ((rank - below) / (count - below)).clamp(0.0, 1.0));
            }
            (lower, below) = (*bound, count);
        }
        None
    }
}

/// `count`, which is one of a quarter of an hour.
pub(crate) fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Looks for as long as anybody else holds the application.
pub(crate) async fn keep(serving: Watching) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(app) = serving.app() else { return };
        app.kept.history.note(&app.kept.metrics);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn look(at: Instant, verified: u64, within: [u64; 3], denied: f64) -> Look {
        Look {
            at,
            traffic: Traffic {
                verified,
                within: [0.001, 0.01, 0.1].into_iter().zip(within).collect(),
                denials: BTreeMap::from([("token_revoked".into(), denied)]),
                checks: [verified, 0, 0, 0],
            },
        }
    }

    #[test]
    fn what_happened_between_two_looks_is_told_and_the_oldest_look_goes() {
        let (history, begun) = (History::default(), Instant::now());
        assert!(history.spans().is_empty() && history.last(12).is_none());
        history.push(look(begun, 100, [100, 100, 100], 3.0));
        assert!(history.last(12).is_none(), "of one look nothing can be told");
        let later = begun.checked_add(Duration::from_secs(10)).unwrap();
        history.push(look(later, 300, [200, 280, 299], 13.0));
        let span = history.last(12).unwrap();
        assert_eq!(history.spans(), std::slice::from_ref(&span));
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        near(span.rate(), 20.0);
        near(span.denied_rate(), 1.0);
        assert_eq!(span.traffic.checks, [200, 0, 0, 0]);
        // Half of 200 took no longer than the first bound, 180 than the second.
        near(span.quantile(0.5).unwrap(), 0.001);
        near(span.quantile(0.9).unwrap(), 0.01);
        near(span.quantile(0.7).unwrap(), 0.001 + 0.009 * 0.5);
        assert_eq!(span.quantile(1.0), None, "one took longer than any bound");

        for n in 0..KEPT {
            let at = later
                .checked_add(EVERY.saturating_mul(u32::try_from(n).unwrap()))
                .unwrap();
            history.push(look(at, 300, [200, 280, 299], 13.0));
        }
        let spans = history.spans();
        assert_eq!(spans.len(), KEPT - 1);
        assert!(
            spans
                .iter()
                .all(|span| span.traffic.verified == 0 && span.quantile(0.5).is_none())
        );
        assert!(spans.iter().all(|span| span.traffic.denials.is_empty()));
    }
}
