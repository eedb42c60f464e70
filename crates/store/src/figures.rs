//! What a store counts about itself while it runs.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::shared::unpoisoned;

/// Upper bounds of buckets of time, in nanoseconds: 50 µs to 5 s.
const TIMES: [u64; 16] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
];

/// Upper bounds of buckets of records.
const RECORDS: [u64; 14] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// How values were distributed: a histogram with fixed buckets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Distribution {
    /// For each bucket its upper bound, inclusive, and how many values lie in it and in none before it.
    pub buckets: Vec<(u64, u64)>,
    /// Values of all buckets, and beyond the last.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
}

#[derive(Debug)]
struct Meter {
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    beyond: AtomicU64,
    sum: AtomicU64,
}

impl Meter {
    fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: bounds.iter().map(|_| AtomicU64::new(0)).collect(),
            beyond: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        let count = self.counts.get(bucket).unwrap_or(&self.beyond);
        count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    fn observe_time(&self, time: Duration) {
        self.observe(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = self.bounds.iter().copied().zip(counts).collect();
        let beyond = self.beyond.load(Ordering::Relaxed);
        Distribution {
            count: buckets
                .iter()
                .fold(beyond, |sum, (_, count)| sum.saturating_add(*count)),
            sum: self.sum.load(Ordering::Relaxed),
            buckets,
        }
    }
}

/// Counted since the opening.
#[derive(Debug)]
pub(crate) struct Figures {
    commit_nanos: Meter,
    commit_records: Meter,
    effect_nanos: Meter,
    failed_commits: AtomicU64,
    rebuilt_shards: AtomicU64,
    rebuild_nanos: AtomicU64,
    sweeps: AtomicU64,
    swept: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    sweep: Option<Instant>,
    checkpoint: Option<Instant>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            commit_nanos: Meter::new(&TIMES),
            commit_records: Meter::new(&RECORDS),
            effect_nanos: Meter::new(&TIMES),
            failed_commits: AtomicU64::new(0),
            rebuilt_shards: AtomicU64::new(0),
            rebuild_nanos: AtomicU64::new(0),
            sweeps: AtomicU64::new(0),
            swept: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }
}

impl Figures {
    /// A group of `records` is on the disk, after `took`.
    pub(crate) fn committed(&self, records: usize, took: Duration) {
        self.commit_nanos.observe_time(took);
        self.commit_records.observe(u64::try_from(records).unwrap_or(u64::MAX));
    }

    pub(crate) fn failed(&self) {
        self.failed_commits.fetch_add(1, Ordering::Relaxed);
    }

    /// What was asked for at `asked` counts for every check from here on.
    pub(crate) fn in_effect(&self, asked: Instant) {
        self.effect_nanos.observe_time(asked.elapsed());
    }

    pub(crate) fn rebuilt(&self, took: Duration) {
        self.rebuilt_shards.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.rebuild_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn swept(&self, entries: usize) {
        self.sweeps.fetch_add(1, Ordering::Relaxed);
        self.swept
            .fetch_add(u64::try_from(entries).unwrap_or(u64::MAX), Ordering::Relaxed);
        unpoisoned(self.last.lock()).sweep = Some(Instant::now());
    }

    pub(crate) fn checkpointed(&self) {
        unpoisoned(self.last.lock()).checkpoint = Some(Instant::now());
    }

    pub(crate) fn read(&self) -> Activity {
        let last = *unpoisoned(self.last.lock());
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Activity {
            commit_nanos: self.commit_nanos.read(),
            commit_records: self.commit_records.read(),
            effect_nanos: self.effect_nanos.read(),
            failed_commits: count(&self.failed_commits),
            rebuilt_shards: count(&self.rebuilt_shards),
            rebuild_time: Duration::from_nanos(count(&self.rebuild_nanos)),
            sweeps: count(&self.sweeps),
            swept: count(&self.swept),
            since_sweep: last.sweep.map(|at| at.elapsed()),
            since_checkpoint: last.checkpoint.map(|at| at.elapsed()),
        }
    }
}

/// What a store did since its opening.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Activity {
    /// How long groups took from their first byte to their sync, in nanoseconds.
    pub commit_nanos: Distribution,
    /// How many records were in a group.
    pub commit_records: Distribution,
    /// How long writes took from being asked for until every check saw them, in nanoseconds: durable by then.
    pub effect_nanos: Distribution,
    /// Groups that could not be written.
    pub failed_commits: u64,
    /// Shards of the prefilter that were built or built anew.
    pub rebuilt_shards: u64,
    /// All the time that it took.
    pub rebuild_time: Duration,
    /// Sweeps, and the entries that they dropped.
    pub sweeps: u64,
    /// Entries that sweeps dropped.
    pub swept: u64,
    /// How long ago the last sweep ended.
    pub since_sweep: Option<Duration>,
    /// How long ago the last checkpoint was made.
    pub since_checkpoint: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_in_the_first_bucket_that_holds_it() {
        let meter = Meter::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1000] {
            meter.observe(value);
        }
        let read = meter.read();
        assert_eq!(read.buckets, [(10, 2), (20, 2)]);
        assert_eq!((read.count, read.sum), (6, 1062));
    }
}
