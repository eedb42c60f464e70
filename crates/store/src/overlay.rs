//! What is durable in the journal and not yet in the engine.
//!
//! In shards by the first byte of the digest, each behind its own lock, and in two generations: writers add to the young
//! one; the keeper turns it into the old one, writes that to the engine and drops it. An entry is in one of them or in the
//! engine at every moment, so a reader who looks here first and there second misses nothing.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize as Unmodelled, Ordering},
    },
};

use ostracon_core::Revocation;

use crate::{
    digest::Digest,
    prefilter::SHARDS,
    shared::unpoisoned,
    sync::{AtomicUsize, RwLock},
};

/// What is to be in the engine: a row, or none where it was lifted.
pub(crate) type Change = Option<Revocation>;

/// Changes by what they change. Digests are keyed hashes already.
pub(crate) type Changes = HashMap<Digest, Change, BuildHasherDefault<AsItIs>>;

/// Takes half of a digest for its hash.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a change takes beside its names: itself and its digest, in a map that is mostly between half and seven eighths
/// full, and what the allocator adds to each of the names.
const CHANGE_BYTES: usize = size_of::<(Digest, Change)>() * 3 / 2 + 32;

#[derive(Debug)]
pub(crate) struct Overlay {
    shards: Vec<RwLock<Generations>>,
    /// The last record of which all is in here or was.
    last: AtomicU64,
    /// How many changes there are: what wakes the keeper hangs on it.
    len: AtomicUsize,
    /// About how many bytes they take. Of no weight for what is right, and so not of the model.
    bytes: Unmodelled,
}

#[derive(Debug, Default)]
struct Generations {
    young: Changes,
    old: Arc<Changes>,
}

impl Default for Overlay {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            last: AtomicU64::new(0),
            len: AtomicUsize::new(0),
            bytes: Unmodelled::new(0),
        }
    }
}

impl Overlay {
    fn shard(&self, shard: u8) -> Option<&RwLock<Generations>> {
        self.shards.get(usize::from(shard))
    }

    /// What is to stand for `digest`; none when it is not in here and the engine has to be asked.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Change> {
        let generations = unpoisoned(self.shard(digest.shard())?.read());
        generations
            .young
            .get(digest)
            .or_else(|| generations.old.get(digest))
            .cloned()
    }

    /// Takes in `changes`, up to record `last`, each once `cover` has made the prefilter cover it; whether there was nothing in
    /// here before, so that the keeper has nothing to look for and has to be called.
    pub(crate) fn publish(
        &self,
        changes: impl IntoIterator<Item = (Digest, Change)>,
        last: u64,
        mut cover: impl FnMut(&Digest, &Change),
    ) -> bool {
        let mut was_empty = false;
        for (digest, change) in changes {
            let Some(shard) = self.shard(digest.shard()) else {
                continue;
            };
            // Counted beforehand: what was not counted yet must not be taken off again. Who counts from nothing is the one who
            // calls: the keeper may have taken the last off, and found nothing more, at any moment up to now.
            was_empty |= self.len.fetch_add(1, Ordering::Relaxed) == 0;
            self.bytes.fetch_add(size(&change), Ordering::Relaxed);
            let mut generations = unpoisoned(shard.write());
            // I2: bits before rows. Both happen under this lock, so that a rebuild, which lists the shard under it, sees
            // either neither or both: see `Prefilter::begin_rebuild`.
            cover(&digest, &change);
            let before = generations.young.insert(digest, change);
            drop(generations);
            if let Some(before) = before {
                self.len.fetch_sub(1, Ordering::Relaxed);
                self.bytes.fetch_sub(size(&before), Ordering::Relaxed);
            }
        }
        // Behind all that it speaks of: whoever reads it and then turns every shard has had all of that.
        self.last.store(last, Ordering::SeqCst);
        was_empty
    }

    /// Makes the young generation of `shard` the old one: what the keeper is to write. The old one must have been
    /// [cleared](Overlay::clear_old).
    pub(crate) fn turn(&self, shard: u8) -> Arc<Changes> {
        let Some(shard) = self.shard(shard) else {
            return Arc::default();
        };
        let mut generations = unpoisoned(shard.write());
        if generations.old.is_empty() && !generations.young.is_empty() {
            generations.old = Arc::new(std::mem::take(&mut generations.young));
        }
        Arc::clone(&generations.old)
    }

    /// Drops the old generation of `shard`: the engine has it.
    pub(crate) fn clear_old(&self, shard: u8) {
        let Some(shard) = self.shard(shard) else { return };
        let old = std::mem::take(&mut unpoisoned(shard.write()).old);
        // Counted and freed outside the lock.
        self.len.fetch_sub(old.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(old.values().map(size).sum(), Ordering::Relaxed);
    }

    /// Runs `begin` and lists the digests of `shard`, with no publication in between.
    pub(crate) fn list_shard(&self, shard: u8, begin: impl FnOnce()) -> Vec<Digest> {
        let Some(shard) = self.shard(shard) else {
            begin();
            return Vec::new();
        };
        let generations = unpoisoned(shard.read());
        begin();
        generations
            .young
            .keys()
            .chain(generations.old.keys())
            .copied()
            .collect()
    }

    /// The changes to digests behind `after`.
    pub(crate) fn behind(&self, after: Option<&Digest>) -> BTreeMap<Digest, Change> {
        let mut behind = BTreeMap::new();
        let skipped = after.map_or(0, |after| usize::from(after.shard()));
        for shard in self.shards.iter().skip(skipped) {
            let generations = unpoisoned(shard.read());
            // The young ones come last: they are what stands.
            let all = generations.old.iter().chain(&generations.young);
            let of_shard = all.filter(|(digest, _)| after.is_none_or(|after| *digest > after));
            behind.extend(of_shard.map(|(digest, change)| (*digest, change.clone())));
        }
        behind
    }

    /// The last record of the journal of which all is or was in here.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// How many changes wait for the engine.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// About how many bytes they take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// About how many bytes `change` takes in here.
fn size(change: &Change) -> usize {
    let names = change.as_ref().map_or(0, |revocation| {
        let target = revocation.target().as_ref();
        let note = revocation.note().map_or(0, |note| note.as_str().len());
        let iss = target.iss().as_str().len();
        iss.saturating_add(target.name().len()).saturating_add(note)
    });
    CHANGE_BYTES.saturating_add(names)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn digest(shard: u8) -> Digest {
        Digest::from_bytes([shard; 16])
    }

    #[test]
    fn who_fills_it_from_empty_is_told_however_late_it_came_to_be_so() {
        let overlay = Overlay::default();
        let publish = |shard, last| overlay.publish([(digest(shard), None)], last, |_, _| ());
        assert!(publish(1, 1));
        assert!(!publish(2, 2));
        // What is being written to the engine still waits.
        drop(overlay.turn(1));
        assert!(!publish(3, 3));
        for shard in 1..=3 {
            drop(overlay.turn(shard));
            overlay.clear_old(shard);
        }
        assert_eq!(overlay.len(), 0);
        assert!(publish(1, 4));
    }
}
