//! Every way, within a bound, in which a revocation, a rebuild and a check can meet, on the types that serve: [`Prefilter`]
//! and [`Overlay`] over loom's locks and atomics. The engine alone is a stand-in, a set behind a lock.
//!
//! `scripts/model` runs it.

use std::collections::HashSet;

use loom::{
    model::Builder,
    sync::{Arc, Mutex, atomic::AtomicBool as Flag},
    thread,
};
use ostracon_core::{Issuer, Jti, Kind, Policy, Reason, Revocation, Target, UnixTime};

use super::{Load, Prefilter, SHARDS};
use crate::{
    digest::Digest,
    kinds::Kinds,
    overlay::{Change, Overlay},
    shared::unpoisoned,
    sync::Ordering,
};

/// More switches from a thread that could go on are not tried: most races need one or two.
const PREEMPTIONS: usize = 3;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(model);
}

#[derive(Default)]
struct Store {
    prefilter: Option<Prefilter>,
    overlay: Overlay,
    rows: Mutex<HashSet<Digest>>,
}

impl Store {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            prefilter: Some(Prefilter::new(0.001)),
            ..Self::default()
        })
    }

    fn prefilter(&self) -> &Prefilter {
        self.prefilter.as_ref().unwrap()
    }

    /// What the committing thread does once a group is durable (`Shared::publish`).
    fn publish(&self, digest: Digest, change: Change, last: u64) {
        let cover = |digest: &Digest, change: &Change| self.prefilter().cover(digest, change);
        self.overlay.publish([(digest, change)], last, cover);
    }

    /// What the keeping thread does in a turn (`Keeper::drain`).
    fn drain(&self) {
        for shard in 0..u8::try_from(SHARDS).unwrap() {
            for (digest, change) in self.overlay.turn(shard).iter() {
                let mut rows = unpoisoned(self.rows.lock());
                if change.is_some() {
                    rows.insert(*digest);
                } else {
                    rows.remove(digest);
                }
            }
            self.overlay.clear_old(shard);
        }
    }

    /// The same (`Keeper::rebuild`).
    fn rebuild(&self, shard: u8) {
        let read = |shard| {
            let rows = unpoisoned(self.rows.lock());
            let of_shard: Vec<_> = rows.iter().filter(|d| d.shard() == shard).copied().collect();
            let kinds = if of_shard.is_empty() {
                Kinds::default()
            } else {
                Kinds::of(Kind::Token)
            };
            Ok((of_shard, kinds))
        };
        self.prefilter()
            .rebuild(shard, &self.overlay, Load::Quiet, read)
            .unwrap();
    }

    /// Whether a check that goes past the prefilter finds `digest` (`Shared::look_up`).
    fn is_listed(&self, digest: &Digest) -> bool {
        match self.overlay.get(digest) {
            Some(change) => change.is_some(),
            None => unpoisoned(self.rows.lock()).contains(digest),
        }
    }

    /// Whether the prefilter lets `digest` pass (`Shared::perhaps_listed`).
    fn passes(&self, digest: &Digest) -> bool {
        self.prefilter().may_contain_any(Kind::Token) && self.prefilter().may_contain(digest)
    }
}

/// Number `n` of shard `shard`.
fn digest(shard: u8, n: u8) -> Digest {
    let mut bytes = [n; 16];
    bytes[0] = shard;
    Digest::from_bytes(bytes)
}

fn revoked() -> Change {
    let target = Target::Token {
        iss: Issuer::new("i").unwrap(),
        jti: Jti::new("j").unwrap(),
    };
    Some(Revocation::new(
        target,
        Reason::Logout,
        &Policy::default(),
        UnixTime::EPOCH,
    ))
}

/// I2, I9: whatever a revocation meets, a rebuild of its shard above all, what a look-up would find passes the
/// prefilter, and what was acknowledged is found.
#[test]
fn i2_i9_a_revocation_during_a_rebuild_is_never_missed() {
    check(|| {
        let store = Store::new();
        (0..u8::try_from(SHARDS).unwrap()).for_each(|shard| store.rebuild(shard));
        let (digest, acknowledged) = (digest(0, 1), Arc::new(Flag::new(false)));
        let committer = {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            thread::spawn(move || {
                store.publish(digest, revoked(), 1);
                acknowledged.store(true, Ordering::SeqCst);
            })
        };
        let keeper = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                store.drain();
                store.rebuild(0);
            })
        };
        let due = acknowledged.load(Ordering::SeqCst);
        let listed = store.is_listed(&digest);
        let passes = store.passes(&digest);
        assert!(!listed || passes, "I2: it is listed, and the prefilter rules it out");
        assert!(!due || listed, "I9: it was acknowledged, and is not found");
        committer.join().unwrap();
        keeper.join().unwrap();
        assert!(store.is_listed(&digest) && store.passes(&digest));
    });
}

/// I2: an entry on its way from the overlay to the engine is in the filter that is made meanwhile.
#[test]
fn i2_a_rebuild_misses_nothing_that_is_on_its_way_to_the_engine() {
    check(|| {
        let store = Store::new();
        (0..u8::try_from(SHARDS).unwrap()).for_each(|shard| store.rebuild(shard));
        let (early, late) = (digest(0, 1), digest(0, 2));
        store.publish(early, revoked(), 1);
        let committer = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.publish(late, revoked(), 2))
        };
        store.drain();
        store.rebuild(0);
        assert!(store.passes(&early));
        committer.join().unwrap();
        assert!(store.passes(&late));
    });
}

/// I2: what was in the engine at the opening passes while the shards are built for the first time, although its kind is
/// known only once its row was read.
#[test]
fn i2_a_kind_is_not_ruled_out_before_its_shard_was_read() {
    check(|| {
        let store = Store::new();
        let old = digest(1, 1);
        unpoisoned(store.rows.lock()).insert(old);
        let keeper = {
            let store = Arc::clone(&store);
            thread::spawn(move || (0..u8::try_from(SHARDS).unwrap()).for_each(|shard| store.rebuild(shard)))
        };
        assert!(store.passes(&old));
        keeper.join().unwrap();
        assert!(store.passes(&old));
    });
}
