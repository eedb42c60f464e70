//! How many entries of each kind there are: kept while the engine is open, saved when it is closed, counted otherwise.

use ostracon_core::Kind;

use super::{CHECKPOINT, Engine};
use crate::{error::StoreError, row};

const TALLY: &[u8] = b"tally";

impl Engine {
    /// Takes over how many entries of each kind there are, if the last process closed the store. It counts for no other
    /// opening: what is written from here on, it does not reckon with.
    pub(super) fn take_tally(&self) -> Result<(), StoreError> {
        // One that makes no sense is for whoever asks for it to tell.
        let checkpoint = self.run(|| self.meta.get(CHECKPOINT))?;
        let checkpoint = checkpoint.and_then(|bytes| self.decode_checkpoint(&bytes));
        let applied = checkpoint.map_or(0, |checkpoint| checkpoint.applied);
        if let Some(saved) = self.write(|| self.meta.remove(TALLY))? {
            let _ = self.tally.restore(&saved, applied);
        }
        Ok(())
    }

    /// Saves, with the next checkpoint, how many entries of each kind there are up to record `applied`.
    pub(crate) fn keep_tally(&self, applied: u64) -> Result<(), StoreError> {
        if let Some(bytes) = self.tally.encode(applied) {
            self.write(|| self.meta.insert(TALLY, bytes))?;
        }
        Ok(())
    }

    /// Counts the entries of up to `limit` shards that are not counted yet; whether there are more.
    pub(crate) fn count(&self, limit: usize) -> Result<bool, StoreError> {
        for _ in 0..limit {
            let Some(shard) = self.tally.missing() else {
                return Ok(false);
            };
            let kinds = self.run(|| {
                let rows = self.rows.scan_prefix([shard]).values();
                // A row that cannot tell its kind is damaged; whoever reads it learns that.
                rows.filter_map(|row| row.map(|row| row::kind(&row).ok()).transpose())
                    .collect::<sled::Result<Vec<_>>>()
            })?;
            self.has_read(kinds.len())?;
            self.tally.take_in(shard, kinds);
        }
        Ok(self.tally.missing().is_some())
    }

    /// How many entries of each kind there are; none while they are counted.
    pub(crate) fn entries(&self) -> Option<[(Kind, u64); Kind::ALL.len()]> {
        self.tally.read()
    }
}
