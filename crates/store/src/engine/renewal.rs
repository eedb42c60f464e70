//! A part that is written anew beside itself, while it serves.
//!
//! sled uses a segment of its file again only once all in it was moved elsewhere: in steady churn a part comes to take three
//! times what it takes freshly written. Then its rows go to a sled of their own, in a directory beside it, some at a time.
//! What is written meanwhile goes to both, as far as it was copied already. Once the copy has all, and has it on the disk, it
//! is marked as whole and takes over.

use super::{Checkpoint, Engine, parts::Named, places};
use crate::{digest::Digest, error::StoreError};

/// A copy that does not have all yet.
pub(super) struct Renewal {
    engine: Engine,
    /// The last row that it has.
    copied: Option<Digest>,
}

impl Renewal {
    /// Begins a copy of `old`, which has nothing yet.
    pub(super) fn begin(old: &Engine, cache_bytes: u64) -> Result<Self, StoreError> {
        let path = places::next_copy(&old.path).ok_or_else(|| StoreError::Engine("it has no copies".into()))?;
        places::remove(&path);
        let engine = Engine::open(&path, old.store, cache_bytes)?;
        // So that it knows how many it has: none so far.
        while engine.count(usize::MAX)? {}
        Ok(Self { engine, copied: None })
    }

    /// Copies up to `limit` more rows of `old`; whether there are more still.
    pub(super) fn go_on(&mut self, old: &Engine, limit: usize) -> Result<bool, StoreError> {
        let rows = old.behind(self.copied.as_ref(), limit)?;
        self.engine
            .apply(rows.iter().map(|(digest, entry)| (digest, Some(entry))))?;
        self.copied = rows.last().map(|(digest, _)| *digest).or(self.copied);
        Ok(rows.len() >= limit)
    }

    /// Takes over `changes`, which the other has. Those of rows that are still to be copied come with them.
    pub(super) fn follow<'a>(&self, changes: impl Iterator<Item = Named<'a>> + Clone) -> Result<(), StoreError> {
        let is_copied = |(digest, _): &Named<'_>| self.copied.is_some_and(|copied| **digest <= copied);
        self.engine.apply(changes.filter(is_copied))
    }

    /// Makes what it has durable, with the statement that this reaches up to `checkpoint`, and itself the one that counts.
    pub(super) fn finish(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.engine.save(checkpoint)?;
        places::mark_whole(&self.engine.path)
    }

    pub(super) fn into_engine(self) -> Engine {
        self.engine
    }

    /// Removes it.
    pub(super) fn give_up(self) {
        let path = self.engine.path.clone();
        drop(self);
        places::remove(&path);
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::UnixTime;
    use proptest::prelude::*;

    use super::*;
    use crate::engine::tests::{entry, unindexed};

    fn rows(engine: &Engine) -> Vec<(sled::IVec, sled::IVec)> {
        engine.rows.iter().collect::<sled::Result<_>>().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        /// I2, I3: whatever is put, removed and swept while rows are copied, the copy has what the part has, and has it indexed.
        #[test]
        fn i3_a_copy_has_what_the_part_has(
            before in proptest::collection::vec((0..30_u8, 1..9_u64), 0..30),
            steps in proptest::collection::vec((0..5_u8, 0..30_u8, 1..9_u64), 0..40),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = &places::paths(dir.path(), 2)[1];
            let part = Engine::open(path, [1; 16], 1 << 20).unwrap();
            while part.count(usize::MAX).unwrap() {}
            for (digest, entry) in before.iter().map(|(n, until)| entry(*n, *until)) {
                part.apply([(&digest, Some(&entry))]).unwrap();
            }
            let mut renewal = Renewal::begin(&part, 1 << 20).unwrap();
            let mut more = true;
            for (what, n, until) in steps {
                let (digest, entry) = entry(n, until);
                let changed = match what {
                    0 | 1 => vec![(digest, Some(entry))],
                    2 => vec![(digest, None)],
                    3 => {
                        let (swept, _) = part.sweep(UnixTime::from_secs(until), 3).unwrap();
                        renewal.follow(swept.iter().map(|digest| (digest, None))).unwrap();
                        vec![]
                    }
                    _ => {
                        more = more && renewal.go_on(&part, 4).unwrap();
                        vec![]
                    }
                };
                let changed = || changed.iter().map(|(digest, entry)| (digest, entry.as_ref()));
                part.apply(changed()).unwrap();
                renewal.follow(changed()).unwrap();
            }
            while renewal.go_on(&part, 4).unwrap() {}
            let checkpoint = Checkpoint { applied: 7, ..Checkpoint::NONE };
            renewal.finish(checkpoint).unwrap();
            let copy = renewal.into_engine();
            prop_assert_eq!(rows(&copy), rows(&part));
            prop_assert_eq!(unindexed(&copy), 0);
            prop_assert_eq!(copy.entries(), part.entries());
            prop_assert_eq!(copy.checkpoint().unwrap(), checkpoint);
        }
    }
}
