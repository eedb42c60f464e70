//! Reading a whole engine for its own sake. Unlike what serves, this goes on behind a damaged row, and marks nothing.

use std::sync::Arc;

use ostracon_core::Revocation;

use super::{CHECKPOINT, Checkpoint, Engine, due, fence};
use crate::{
    digest::{Digest, DigestKey},
    error::StoreError,
    row,
};

/// What an engine holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Survey {
    pub(crate) rows: u64,
    /// Rows that do not say what was written.
    pub(crate) damaged: u64,
    /// Rows under a key that is not their target's.
    pub(crate) misplaced: u64,
    /// Entries that the sweeper would never come upon.
    pub(crate) unindexed: u64,
    /// Entries that the index speaks of.
    pub(crate) indexed: u64,
    /// Of these, those that are none or end at another time, which the sweeper forgets.
    pub(crate) leftovers: u64,
    /// Index rows that make no sense.
    pub(crate) malformed: u64,
}

impl Survey {
    /// Takes in what another part of the engine holds.
    pub(super) fn add(&mut self, other: Self) {
        for (sum, count) in [
            (&mut self.rows, other.rows),
            (&mut self.damaged, other.damaged),
            (&mut self.misplaced, other.misplaced),
            (&mut self.unindexed, other.unindexed),
            (&mut self.indexed, other.indexed),
            (&mut self.leftovers, other.leftovers),
            (&mut self.malformed, other.malformed),
        ] {
            *sum = sum.saturating_add(count);
        }
    }
}

/// What a checkpoint says, if it says anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Claim {
    Absent,
    Damaged,
    Made(Checkpoint),
}

fn read<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    fence(operation).map_err(|failure| StoreError::Engine(Arc::from(failure.cause())))
}

fn one_more(count: &mut u64) {
    *count = count.saturating_add(1);
}

impl Engine {
    /// Walks all rows and the index, and hands over each entry that is sound and in its place.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] when its files cannot be read to the end, and what `each` fails with.
    pub(crate) fn survey(
        &self,
        key: &DigestKey,
        mut each: impl FnMut(&Digest, &Revocation) -> Result<(), StoreError>,
    ) -> Result<Survey, StoreError> {
        let mut survey = Survey::default();
        let indexed = self.survey_index(&mut survey)?;
        let mut rows = self.rows.iter();
        while let Some((digest, row)) = read(|| rows.next().transpose())? {
            one_more(&mut survey.rows);
            let Ok(entry) = row::decode(&row) else {
                one_more(&mut survey.damaged);
                continue;
            };
            let owner = key.digest(entry.target().as_ref());
            if *digest != *owner.as_bytes() {
                one_more(&mut survey.misplaced);
                continue;
            }
            if indexed.binary_search(&(entry.retained_until(), owner)).is_err() {
                one_more(&mut survey.unindexed);
            }
            each(&owner, &entry)?;
        }
        Ok(survey)
    }

    /// All that the index speaks of, in order.
    fn survey_index(&self, survey: &mut Survey) -> Result<Vec<due::Due>, StoreError> {
        let (mut indexed, mut rows) = (Vec::new(), self.due.iter());
        while let Some((key, value)) = read(|| rows.next().transpose())? {
            match due::read(&key, &value) {
                Some(due) => indexed.extend(due),
                None => one_more(&mut survey.malformed),
            }
        }
        indexed.sort_unstable();
        indexed.dedup();
        survey.indexed = u64::try_from(indexed.len()).unwrap_or(u64::MAX);
        for (at, digest) in &indexed {
            let row = read(|| self.rows.get(digest.as_bytes()))?.map(|row| row::decode(&row));
            // A damaged row will be counted, and nobody knows when it ends.
            if row.is_none_or(|row| row.is_ok_and(|entry| entry.retained_until() != *at)) {
                one_more(&mut survey.leftovers);
            }
        }
        Ok(indexed)
    }

    /// How many rows there are. Walks all of them.
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.run(|| Ok(u64::try_from(self.rows.len()).unwrap_or(u64::MAX)))
    }

    /// The entry of `digest` if there is a sound one.
    pub(crate) fn sound(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        Ok(read(|| self.rows.get(digest.as_bytes()))?.and_then(|row| row::decode(&row).ok()))
    }

    /// What its checkpoint says.
    pub(crate) fn claim(&self) -> Result<Claim, StoreError> {
        let Some(bytes) = read(|| self.meta.get(CHECKPOINT))? else {
            return Ok(Claim::Absent);
        };
        Ok(self.decode_checkpoint(&bytes).map_or(Claim::Damaged, Claim::Made))
    }
}
