//! Bloom filters over the keys of the denylist: what they do not know is not listed, and no disk was asked.
//!
//! 256 shards by the first byte of the digest, each behind its own lock, so that readers do not meet and one shard can
//! be rebuilt from its key range while the others serve. A shard without a filter answers "perhaps", which is always
//! right; so does one that is being filled for the first time.
//!
//! I2, also during a rebuild: from [`Prefilter::begin_rebuild`] on, what is inserted is kept aside as well; the new
//! filter gets what the engine and the overlay held at that moment and what was kept aside since, before it takes the
//! old one's place. `model.rs` tries every way in which that can meet a revocation and a check.

#[cfg(test)]
#[cfg(loom)]
mod model;
pub(crate) mod saved;
mod shard;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

use std::sync::atomic::AtomicU64;

use ostracon_core::Kind;

pub(crate) use self::shard::Load;
use self::shard::{Shard, float};
use crate::{
    digest::Digest,
    error::StoreError,
    kinds::{Kinds, ListedKinds},
    overlay::{Change, Overlay},
    shared::unpoisoned,
    stats::Filters,
    sync::{AtomicBool, AtomicUsize, Ordering, RwLock},
};

/// One for each first byte of a digest; a model that tries every interleaving has to do with fewer.
pub(crate) const SHARDS: usize = if cfg!(loom) { 2 } else { 256 };

pub(crate) struct Prefilter {
    slots: Vec<Slot>,
    false_positive_rate: f64,
    /// The kinds of what is listed, once no shard is without a filter.
    kinds: ListedKinds,
    /// Shards that have no filter yet.
    missing: AtomicUsize,
    /// Whether some shard may have come to want a rebuild since the keeper last looked.
    due: AtomicBool,
    /// Of what was let pass by a filter, what was not listed.
    false_positives: AtomicU64,
}

/// A shard on cache lines of its own, which readers of others do not take away.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    shard: RwLock<Shard>,
    /// What its filter has ruled out. No part of what has to be right, and so not of the model.
    ruled_out: AtomicU64,
}

impl Prefilter {
    /// All shards without filters: covers any store.
    pub(crate) fn new(false_positive_rate: f64) -> Self {
        Self {
            slots: (0..SHARDS).map(|_| Slot::default()).collect(),
            false_positive_rate,
            kinds: ListedKinds::default(),
            missing: AtomicUsize::new(SHARDS),
            due: AtomicBool::new(true),
            false_positives: AtomicU64::new(0),
        }
    }

    fn shard(&self, shard: u8) -> Option<&RwLock<Shard>> {
        self.slots.get(usize::from(shard)).map(|slot| &slot.shard)
    }

    /// Whether any target of `kind` may be listed. False is certain, and spares the digest.
    pub(crate) fn may_contain_any(&self, kind: Kind) -> bool {
        // I2: what the engine held at the opening is known once every shard was read; Acquire, so that the kinds of the
        // last one are seen along with it.
        self.missing.load(Ordering::Acquire) != 0 || self.kinds.contain(kind)
    }

    /// Whether `digest` may be listed. False is certain.
    pub(crate) fn may_contain(&self, digest: &Digest) -> bool {
        let Some(slot) = self.slots.get(usize::from(digest.shard())) else {
            return true;
        };
        let perhaps = unpoisoned(slot.shard.read()).may_contain(digest);
        if !perhaps {
            slot.ruled_out.fetch_add(1, Ordering::Relaxed);
        }
        perhaps
    }

    /// Notes that `digest`, which was let pass, is not listed.
    pub(crate) fn note_absent(&self, digest: &Digest) {
        // What passed for lack of a filter says nothing about filters.
        let built = |shard: &RwLock<Shard>| unpoisoned(shard.read()).filter.is_some();
        if self.shard(digest.shard()).is_some_and(built) {
            self.false_positives.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes the filters cover `change` of `digest`.
    pub(crate) fn cover(&self, digest: &Digest, change: &Change) {
        if let Some(revocation) = change {
            self.insert(*digest, revocation.target().as_ref().kind());
        }
    }

    /// Makes the filter cover `digest`, of a target of `kind`.
    pub(crate) fn insert(&self, digest: Digest, kind: Kind) {
        self.kinds.add(kind);
        let Some(shard) = self.shard(digest.shard()) else {
            return;
        };
        let mut shard = unpoisoned(shard.write());
        shard.insert(&digest);
        if let Some(aside) = &mut shard.aside {
            aside.push(digest);
        }
        if shard.wants_rebuild(Load::Quiet) {
            self.look_again();
        }
    }

    /// Notes that the entry of `digest` is gone; its bits stay until the shard is rebuilt.
    pub(crate) fn note_gone(&self, digest: &Digest) {
        let Some(shard) = self.shard(digest.shard()) else {
            return;
        };
        let mut shard = unpoisoned(shard.write());
        shard.gone = shard.gone.saturating_add(1);
        if shard.wants_rebuild(Load::Quiet) {
            self.look_again();
        }
    }

    /// The shards to rebuild under `load`, if any may have come to want it since the last call.
    pub(crate) fn due_shards(&self, load: Load) -> Vec<u8> {
        if !self.due.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        let wanting = |load| {
            move |n: &u8| {
                self.shard(*n)
                    .is_some_and(|shard| unpoisoned(shard.read()).wants_rebuild(load))
            }
        };
        if load == Load::Busy && (0..=u8::MAX).any(|n| wanting(Load::Quiet)(&n)) {
            // What can wait until it is quiet is not forgotten.
            self.look_again();
        }
        (0..=u8::MAX).filter(wanting(load)).collect()
    }

    /// Has every shard rebuilt in time; until then each answers as it did.
    pub(crate) fn rebuild_all(&self) {
        for shard in (0..=u8::MAX).filter_map(|n| self.shard(n)) {
            unpoisoned(shard.write()).gone = usize::MAX;
        }
        self.look_again();
    }

    /// Makes the next [`Prefilter::due_shards`] look at all shards.
    pub(crate) fn look_again(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Rebuilds `shard` from what `overlay` holds and from what `read` finds in the engine; answers how many entries
    /// that was. The shard serves all the while, and stays as it was when `read` fails.
    pub(crate) fn rebuild(
        &self,
        shard: u8,
        overlay: &Overlay,
        load: Load,
        read: impl FnOnce(u8) -> Result<(Vec<Digest>, Kinds), StoreError>,
    ) -> Result<usize, StoreError> {
        // In this order: what is published before the overlay was listed is in that list or in the engine by then; what
        // is published after it is kept aside. An entry goes from the overlay to the engine and never back.
        let waiting = overlay.list_shard(shard, || self.begin_rebuild(shard));
        match read(shard) {
            Ok((mut held, kinds)) => {
                held.extend(waiting);
                self.finish_rebuild(shard, &held, kinds, load);
                Ok(held.len())
            }
            Err(error) => {
                self.abandon_rebuild(shard);
                Err(error)
            }
        }
    }

    /// From here on what is inserted into `shard` is kept aside for its new filter.
    fn begin_rebuild(&self, shard: u8) {
        if let Some(shard) = self.shard(shard) {
            unpoisoned(shard.write()).aside = Some(Vec::new());
        }
    }

    /// Gives `shard` a new filter of `held`, which are of `kinds`, and of what was kept aside since
    /// [`Prefilter::begin_rebuild`].
    fn finish_rebuild(&self, shard: u8, held: &[Digest], kinds: Kinds, load: Load) {
        let Some(lock) = self.shard(shard) else { return };
        self.kinds.add_all(kinds);
        let Some(mut fresh) = Shard::holding(held, self.false_positive_rate, load) else {
            return self.abandon_rebuild(shard);
        };
        let mut shard = unpoisoned(lock.write());
        for digest in shard.aside.take().unwrap_or_default() {
            fresh.insert(&digest);
        }
        let old = std::mem::replace(&mut *shard, fresh);
        if shard.wants_rebuild(Load::Quiet) {
            self.look_again();
        }
        if old.filter.is_none() {
            // Release: see `Prefilter::may_contain_any`.
            self.missing.fetch_sub(1, Ordering::Release);
        }
    }

    /// Gives up a rebuild: the shard stays as it was.
    fn abandon_rebuild(&self, shard: u8) {
        if let Some(shard) = self.shard(shard) {
            unpoisoned(shard.write()).aside = None;
        }
        self.look_again();
    }

    /// How many shards have no filter yet.
    pub(crate) fn missing(&self) -> usize {
        self.missing.load(Ordering::Relaxed)
    }

    /// Bytes of all filters.
    pub(crate) fn bytes(&self) -> usize {
        let bytes = |slot: &Slot| unpoisoned(slot.shard.read()).bytes();
        self.slots.iter().map(bytes).sum()
    }

    /// How full the filters are, and how often they are wrong: as is to be expected, and as it was seen.
    pub(crate) fn figures(&self) -> Filters {
        let (mut bits, mut set, mut rates, mut ruled_out) = (0.0, 0.0, 0.0, 0_u64);
        for slot in &self.slots {
            let expected = unpoisoned(slot.shard.read()).expected();
            bits += expected.bits;
            set += expected.bits * expected.fill;
            rates += expected.rate;
            ruled_out = ruled_out.saturating_add(slot.ruled_out.load(Ordering::Relaxed));
        }
        let false_positives = self.false_positives.load(Ordering::Relaxed);
        let asked = ruled_out.saturating_add(false_positives);
        Filters {
            fill: if bits > 0.0 { set / bits } else { 0.0 },
            // Digests are spread evenly, so each shard is asked as often as any other.
            expected_rate: rates / float(u64::try_from(SHARDS).unwrap_or(u64::MAX)),
            measured_rate: (asked > 0).then(|| float(false_positives) / float(asked)),
            ruled_out,
            false_positives,
        }
    }
}

impl core::fmt::Debug for Prefilter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Prefilter")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}
