//! Bloom filters over the keys of the denylist: what they do not know is not listed, and no disk was asked.
//!
//! 256 shards by the first byte of the digest, each behind its own lock, so that readers do not meet and one shard can
//! be rebuilt from its key range while the others serve. A shard without a filter answers "perhaps", which is always
//! right; so does one that is being filled for the first time.
//!
//! I2, also during a rebuild: from [`Prefilter::begin_rebuild`] on, what is inserted is kept aside as well; the new
//! filter gets what the engine and the overlay held at that moment and what was kept aside since, before it takes the
//! old one's place.

use std::sync::{
    RwLock,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bloomfilter::Bloom;

use ostracon_core::Kind;

use crate::{
    digest::Digest,
    kinds::{Kinds, ListedKinds},
    shared::unpoisoned,
};

pub(crate) const SHARDS: usize = 256;

/// A shard is built for half as many again as it holds, and at least for this many.
const LEAST_CAPACITY: usize = 64;

/// Digests are uniform and secret already, so the filters' own hashing needs no secret. Its two halves seed two hash
/// functions, which must differ: with one twice, the rate of false positives is a multiple of what was asked for.
const SEED: [u8; 32] = *b"ostracon shard: one and another.";

pub(crate) struct Prefilter {
    shards: Vec<RwLock<Shard>>,
    false_positive_rate: f64,
    /// The kinds of what is listed, once no shard is without a filter.
    kinds: ListedKinds,
    /// Shards that have no filter yet.
    missing: AtomicUsize,
    /// Whether some shard has become overfull or stale since the keeper last looked.
    due: AtomicBool,
}

#[derive(Default)]
struct Shard {
    filter: Option<Bloom<Digest>>,
    capacity: usize,
    inserted: usize,
    /// Of the inserted, those whose entries are gone.
    gone: usize,
    /// What is inserted while a new filter is made.
    aside: Option<Vec<Digest>>,
}

impl Shard {
    fn wants_rebuild(&self) -> bool {
        let overfull = self.inserted > self.capacity;
        let stale = self.gone > LEAST_CAPACITY && self.gone > self.inserted / 2;
        self.filter.is_none() || overfull || stale
    }
}

impl Prefilter {
    /// All shards without filters: covers any store.
    pub(crate) fn new(false_positive_rate: f64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            false_positive_rate,
            kinds: ListedKinds::default(),
            missing: AtomicUsize::new(SHARDS),
            due: AtomicBool::new(true),
        }
    }

    fn shard(&self, shard: u8) -> Option<&RwLock<Shard>> {
        self.shards.get(usize::from(shard))
    }

    /// Whether any target of `kind` may be listed. False is certain, and spares the digest.
    pub(crate) fn may_contain_any(&self, kind: Kind) -> bool {
        // I2: what the engine held at the opening is known once every shard was read; Acquire, so that the kinds of the
        // last one are seen along with it.
        self.missing.load(Ordering::Acquire) != 0 || self.kinds.contain(kind)
    }

    /// Whether `digest` may be listed. False is certain.
    pub(crate) fn may_contain(&self, digest: &Digest) -> bool {
        let Some(shard) = self.shard(digest.shard()) else {
            return true;
        };
        unpoisoned(shard.read())
            .filter
            .as_ref()
            .is_none_or(|filter| filter.check(digest))
    }

    /// Makes the filter cover `digest`, of a target of `kind`.
    pub(crate) fn insert(&self, digest: Digest, kind: Kind) {
        self.kinds.add(kind);
        let Some(shard) = self.shard(digest.shard()) else {
            return;
        };
        let mut shard = unpoisoned(shard.write());
        if let Some(filter) = &mut shard.filter {
            filter.set(&digest);
        }
        if let Some(aside) = &mut shard.aside {
            aside.push(digest);
        }
        shard.inserted = shard.inserted.saturating_add(1);
        if shard.wants_rebuild() {
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
        if shard.wants_rebuild() {
            self.look_again();
        }
    }

    /// The shards to rebuild, if any may have come to want it since the last call.
    pub(crate) fn due_shards(&self) -> Vec<u8> {
        if !self.due.swap(false, Ordering::Relaxed) {
            return Vec::new();
        }
        (0..=u8::MAX)
            .filter(|n| {
                self.shard(*n)
                    .is_some_and(|shard| unpoisoned(shard.read()).wants_rebuild())
            })
            .collect()
    }

    /// Makes the next [`Prefilter::due_shards`] look at all shards.
    pub(crate) fn look_again(&self) {
        self.due.store(true, Ordering::Relaxed);
    }

    /// Has every shard rebuilt in time; until then each answers as it did.
    pub(crate) fn rebuild_all(&self) {
        for shard in &self.shards {
            unpoisoned(shard.write()).gone = usize::MAX;
        }
        self.look_again();
    }

    /// From here on what is inserted into `shard` is kept aside for its new filter.
    ///
    /// Whoever calls this must list what is published and not yet in the engine without a publication coming in
    /// between: an entry published before it is in that list or in the engine, one published after it is kept aside.
    pub(crate) fn begin_rebuild(&self, shard: u8) {
        if let Some(shard) = self.shard(shard) {
            unpoisoned(shard.write()).aside = Some(Vec::new());
        }
    }

    /// Gives `shard` a new filter of `held`, which are of `kinds`, and of what was kept aside since
    /// [`Prefilter::begin_rebuild`].
    pub(crate) fn finish_rebuild(&self, shard: u8, held: &[Digest], kinds: Kinds) {
        let Some(lock) = self.shard(shard) else { return };
        self.kinds.add_all(kinds);
        let capacity = held.len().saturating_add(held.len() / 2).max(LEAST_CAPACITY);
        let Ok(mut filter) = Bloom::new_for_fp_rate_with_seed(capacity, self.false_positive_rate, &SEED) else {
            return;
        };
        for digest in held {
            filter.set(digest);
        }
        let mut shard = unpoisoned(lock.write());
        let aside = shard.aside.take().unwrap_or_default();
        for digest in &aside {
            filter.set(digest);
        }
        let inserted = held.len().saturating_add(aside.len());
        let old = std::mem::replace(
            &mut *shard,
            Shard {
                filter: Some(filter),
                capacity,
                inserted,
                gone: 0,
                aside: None,
            },
        );
        if shard.wants_rebuild() {
            self.look_again();
        }
        if old.filter.is_none() {
            // Release: see `Prefilter::may_contain_any`.
            self.missing.fetch_sub(1, Ordering::Release);
        }
        drop(shard);
    }

    /// Gives up a rebuild: the shard stays as it was.
    pub(crate) fn abandon_rebuild(&self, shard: u8) {
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
        let bytes = |shard: &RwLock<Shard>| {
            unpoisoned(shard.read())
                .filter
                .as_ref()
                .map_or(0, |f| f.as_slice().len())
        };
        self.shards.iter().map(bytes).sum()
    }
}

impl core::fmt::Debug for Prefilter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Prefilter")
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u64) -> Digest {
        // As spread as real digests are, but all in shard 0.
        let n = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let mut bytes = [0; 16];
        bytes[1..9].copy_from_slice(&n);
        Digest::from_bytes(bytes)
    }

    #[test]
    fn without_a_filter_everything_may_be_listed() {
        let prefilter = Prefilter::new(0.001);
        assert!(prefilter.may_contain(&digest(1)));
        assert_eq!((prefilter.missing(), prefilter.due_shards().len()), (SHARDS, SHARDS));
    }

    #[test]
    fn i2_what_is_inserted_around_a_rebuild_is_covered() {
        let prefilter = Prefilter::new(0.001);
        prefilter.insert(digest(1), Kind::Token);
        prefilter.begin_rebuild(0);
        prefilter.insert(digest(2), Kind::Token);
        prefilter.finish_rebuild(0, &[digest(1)], Kinds::default());
        prefilter.insert(digest(3), Kind::Token);
        assert!((1..=3).all(|n| prefilter.may_contain(&digest(n))));
        assert_eq!(prefilter.missing(), SHARDS - 1);

        prefilter.begin_rebuild(0);
        prefilter.insert(digest(4), Kind::Token);
        prefilter.abandon_rebuild(0);
        assert!((1..=4).all(|n| prefilter.may_contain(&digest(n))));
    }

    #[test]
    fn i2_a_kind_is_ruled_out_only_when_every_shard_was_read_and_none_held_it() {
        let prefilter = Prefilter::new(0.001);
        let ruled_out = || {
            Kind::ALL
                .into_iter()
                .filter(|k| !prefilter.may_contain_any(*k))
                .collect::<Vec<_>>()
        };
        let clients = Kinds::of(Kind::Client);
        for shard in 0..=u8::MAX {
            assert_eq!(ruled_out(), [], "shard {shard} is missing");
            let kinds = if shard == u8::MAX { clients } else { Kinds::default() };
            prefilter.finish_rebuild(shard, &[], kinds);
        }
        assert_eq!(
            ruled_out(),
            [Kind::Token, Kind::Session, Kind::Subject, Kind::Key, Kind::Issuer]
        );
        prefilter.insert(digest(1), Kind::Issuer);
        prefilter.finish_rebuild(0, &[digest(1)], Kinds::default());
        assert_eq!(ruled_out(), [Kind::Token, Kind::Session, Kind::Subject, Kind::Key]);
    }

    #[test]
    fn a_shard_asks_to_be_rebuilt_when_overfull_or_half_gone() {
        let prefilter = Prefilter::new(0.001);
        prefilter.due_shards();
        let held: Vec<_> = (0..1000).map(digest).collect();
        prefilter.begin_rebuild(0);
        prefilter.finish_rebuild(0, &held, Kinds::default());
        assert!(prefilter.due_shards().is_empty());
        (1000..1500).for_each(|n| prefilter.insert(digest(n), Kind::Token));
        assert!(prefilter.due_shards().is_empty(), "at its capacity");
        prefilter.insert(digest(1500), Kind::Token);
        assert!(prefilter.due_shards().contains(&0));

        prefilter.begin_rebuild(0);
        prefilter.finish_rebuild(0, &held, Kinds::default());
        held.iter().take(500).for_each(|d| prefilter.note_gone(d));
        assert!(prefilter.due_shards().is_empty(), "half");
        prefilter.note_gone(&held[500]);
        assert!(prefilter.due_shards().contains(&0));
    }

    #[test]
    fn false_positives_are_as_rare_as_asked() {
        for rate in [0.1, 0.01, 0.001] {
            let prefilter = Prefilter::new(rate);
            prefilter.begin_rebuild(0);
            // Filled up to its capacity, where it is at its worst.
            prefilter.finish_rebuild(0, &(0..20_000).map(digest).collect::<Vec<_>>(), Kinds::default());
            (20_000..30_000).for_each(|n| prefilter.insert(digest(n), Kind::Token));
            let wrong = (30_000..130_000).filter(|n| prefilter.may_contain(&digest(*n))).count();
            #[expect(clippy::as_conversions, clippy::cast_precision_loss)]
            let measured = wrong as f64 / 100_000.0;
            assert!(
                measured < rate * 1.5 && measured > rate / 3.0,
                "asked {rate}, measured {measured}"
            );
        }
    }
}
