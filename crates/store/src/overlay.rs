//! What is durable in the journal and not yet in the engine.
//!
//! Two generations: writers add to the young one; the keeper turns it into the old one, writes that to the engine and
//! drops it. An entry is in one of them or in the engine at every moment, so a reader who looks here first and there
//! second misses nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use ostracon_core::Revocation;

use crate::{digest::Digest, shared::unpoisoned, sync::RwLock};

/// What is to be in the engine: a row, or none where it was lifted.
pub(crate) type Change = Option<Revocation>;

#[derive(Debug, Default)]
pub(crate) struct Overlay(RwLock<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Digest, Change>,
    old: Arc<HashMap<Digest, Change>>,
    /// The last record in either.
    last: u64,
}

impl Overlay {
    /// What is to stand for `digest`; none when it is not in here and the engine has to be asked.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Change> {
        let generations = unpoisoned(self.0.read());
        generations
            .young
            .get(digest)
            .or_else(|| generations.old.get(digest))
            .cloned()
    }

    /// Takes in `changes`, up to record `last`, once `cover` has made the prefilter cover them.
    pub(crate) fn publish(
        &self,
        changes: HashMap<Digest, Change>,
        last: u64,
        cover: impl FnOnce(&HashMap<Digest, Change>),
    ) {
        let mut generations = unpoisoned(self.0.write());
        // I2: bits before rows. Both happen under this lock, so that a rebuild, which lists the overlay under it, sees
        // either neither or both: see `Prefilter::begin_rebuild`.
        cover(&changes);
        generations.young.extend(changes);
        generations.last = last;
    }

    /// Makes the young generation the old one: what the keeper is to write, and up to which record it then has all.
    /// The old one must have been [cleared](Overlay::clear_old).
    pub(crate) fn turn(&self) -> (Arc<HashMap<Digest, Change>>, u64) {
        let mut generations = unpoisoned(self.0.write());
        if generations.old.is_empty() {
            generations.old = Arc::new(std::mem::take(&mut generations.young));
        }
        (Arc::clone(&generations.old), generations.last)
    }

    /// Drops the old generation: the engine has it.
    pub(crate) fn clear_old(&self) {
        let old = std::mem::take(&mut unpoisoned(self.0.write()).old);
        // The map is freed outside the lock.
        drop(old);
    }

    /// Runs `begin` and lists the digests of `shard`, with no publication in between.
    pub(crate) fn list_shard(&self, shard: u8, begin: impl FnOnce()) -> Vec<Digest> {
        let generations = unpoisoned(self.0.read());
        begin();
        generations
            .young
            .keys()
            .chain(generations.old.keys())
            .filter(|d| d.shard() == shard)
            .copied()
            .collect()
    }

    /// The changes to digests behind `after`.
    pub(crate) fn behind(&self, after: Option<&Digest>) -> BTreeMap<Digest, Change> {
        let generations = unpoisoned(self.0.read());
        // The young ones come last: they are what stands.
        let all = generations.old.iter().chain(&generations.young);
        let behind = all.filter(|(digest, _)| after.is_none_or(|after| *digest > after));
        behind.map(|(digest, change)| (*digest, change.clone())).collect()
    }

    /// The last record of the journal that is or was in here.
    pub(crate) fn last(&self) -> u64 {
        unpoisoned(self.0.read()).last
    }

    /// How many changes wait for the engine.
    pub(crate) fn len(&self) -> usize {
        let generations = unpoisoned(self.0.read());
        generations.young.len().saturating_add(generations.old.len())
    }
}
