//! Durable revocations a second.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};

use super::store::{Pair, UNLISTED, revocation};

/// How long each is measured.
const FOR: Duration = Duration::from_secs(1);

/// Revocations a second by so many writers, each of whom waits until its own is on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writes {
    pub(super) writers: u32,
    pub(super) a_second: f64,
}

pub(super) fn measure(pair: &Pair) -> anyhow::Result<Vec<Writes>> {
    // Behind those that checks have asked for.
    let next = AtomicU64::new(UNLISTED << 1);
    [1, 8].into_iter().map(|writers| by(pair, writers, &next)).collect()
}

fn by(pair: &Pair, writers: u32, next: &AtomicU64) -> anyhow::Result<Writes> {
    let before = pair.on.stats().activity.commit_records.sum;
    let begun = Instant::now();
    let write = || -> anyhow::Result<u32> {
        let mut written = 0_u32;
        while begun.elapsed() < FOR {
            let receipt = pair.on.revoke(revocation(next.fetch_add(1, Ordering::Relaxed)))?;
            ensure!(receipt.changed && receipt.durable, "a revocation was not written");
            written = written.saturating_add(1);
        }
        Ok(written)
    };
    let written = thread::scope(|scope| {
        let all: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
        all.into_iter()
            .map(|one| one.join().map_err(|_| anyhow!("a writer panicked"))?)
            .sum::<anyhow::Result<u32>>()
    })?;
    let took = begun.elapsed();
    let recorded = pair.on.stats().activity.commit_records.sum.saturating_sub(before);
    ensure!(
        recorded == u64::from(written),
        "the journal has {recorded} records of {written} revocations"
    );
    pair.on.settle()?;
    Ok(Writes {
        writers,
        a_second: f64::from(written) / took.as_secs_f64(),
    })
}
