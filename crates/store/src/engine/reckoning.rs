//! Keeping to the size of the cache.
//!
//! sled's cache is in 256 shards, and a shard reckons with the pages that were touched only once there are 64 of them: until
//! then they stay, whatever its size. In each of sixteen parts that comes to a quarter of a million pages, which is a store of
//! a million entries as a whole and half a gigabyte of a larger one, once all rows were read or written. So after so many rows
//! pages are touched again until each shard has reckoned: while rows are read one after the other, since memory that is let
//! go of all over at the end is seldom given back; and after writes, which fare better with what is there, when it is quiet.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Engine;
use crate::error::StoreError;

/// Rows that were read or written before it is worth it.
const WORTH_IT: usize = 16_384;

/// What a shard of sled's cache collects before it reckons: one more, and it does.
const COLLECTED: usize = 64;

/// Leaves that are touched: so many that few of 256 shards have none of them.
const LEAVES: u64 = 512;

/// Rows that were read one after the other or written, and may be in memory for it.
#[derive(Debug, Default)]
pub(super) struct Through(AtomicUsize);

impl Through {
    /// Notes so many more.
    pub(super) fn note(&self, rows: usize) {
        self.0.fetch_add(rows, Ordering::Relaxed);
    }

    /// Whether it is worth to have them reckoned with, from where it begins anew.
    fn take(&self) -> bool {
        let is_worth_it = self.0.load(Ordering::Relaxed) >= WORTH_IT;
        if is_worth_it {
            self.0.store(0, Ordering::Relaxed);
        }
        is_worth_it
    }
}

impl Engine {
    /// So many rows were read one after the other.
    pub(super) fn has_read(&self, rows: usize) -> Result<(), StoreError> {
        self.through.note(rows);
        self.reckon().map(drop)
    }

    /// Has the cache reckon with what went through it, if that is much; whether it was. Takes some 10 ms of the processor:
    /// to read as many rows takes 10 to 40.
    pub(crate) fn reckon(&self) -> Result<bool, StoreError> {
        if !self.through.take() {
            return Ok(false);
        }
        self.run(|| {
            let (Some((first, _)), Some((last, _))) = (self.rows.first()?, self.rows.last()?) else {
                return Ok(());
            };
            for key in spread(number(&first), number(&last)) {
                for _ in 0..=COLLECTED {
                    self.rows.contains_key(key)?;
                }
            }
            Ok(())
        })
        .map(|()| true)
    }
}

/// The beginning of a key, as a number.
fn number(key: &[u8]) -> u64 {
    key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Beginnings of keys, evenly spread: digests are, and so are their leaves.
fn spread(first: u64, last: u64) -> impl Iterator<Item = [u8; 8]> {
    let step = last.saturating_sub(first) / LEAVES;
    (0..LEAVES).map(move |n| first.saturating_add(step.saturating_mul(n)).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows went through since it reckoned.
    fn unreckoned(engine: &Engine) -> usize {
        engine.through.0.load(Ordering::Relaxed)
    }

    #[test]
    fn is_done_while_rows_are_read_and_behind_those_that_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
        assert!(!engine.reckon().unwrap(), "nothing went through");
        engine.through.note(WORTH_IT);
        assert!(engine.reckon().unwrap(), "of an empty one, too");
        let entries: Vec<_> = (0..=255).map(|n| super::super::tests::entry(n, 9)).collect();
        for _ in 0..WORTH_IT / entries.len() {
            assert!(!engine.reckon().unwrap());
            engine
                .apply(entries.iter().map(|(digest, entry)| (digest, Some(entry))))
                .unwrap();
        }
        assert_eq!(unreckoned(&engine), WORTH_IT, "writes wait for it to be asked for");
        assert!(engine.reckon().unwrap() && !engine.reckon().unwrap());
        let whole = || (0..=u8::MAX).try_for_each(|shard| engine.shard(shard).map(drop));
        whole().unwrap();
        assert_eq!(unreckoned(&engine), entries.len());
        assert_eq!(engine.behind(None, 9).unwrap().len(), 9);
        assert_eq!(unreckoned(&engine), entries.len() + 9);
        engine.through.note(WORTH_IT - entries.len() - 10);
        engine.behind(None, 1).unwrap();
        assert_eq!(unreckoned(&engine), 0, "reads do it themselves");
        assert!(entries.iter().all(|(digest, _)| engine.get(digest).unwrap().is_some()));
    }

    #[test]
    fn is_spread_over_all_keys() {
        let keys: Vec<_> = spread(0x1000, u64::MAX).map(u64::from_be_bytes).collect();
        assert_eq!((keys[0], keys.len()), (0x1000, 512));
        let apart: Vec<_> = keys.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart.iter().all(|step| *step == apart[0]) && apart[0] > u64::MAX / 513);
        assert!(spread(5, 5).all(|key| key == 5_u64.to_be_bytes()));
    }
}
