//! One part of the engine by itself.

use ostracon_core::{Issuer, Jti, Reason, Target};
use proptest::prelude::*;

use super::*;
use crate::digest::DigestKey;

pub(super) fn entry(n: u8, retained: u64) -> (Digest, Revocation) {
    let target = Target::Token {
        iss: Issuer::new("i").unwrap(),
        jti: Jti::new(format!("j{n}")).unwrap(),
    };
    let digest = DigestKey::new([1; 16]).digest(target.as_ref());
    let at = UnixTime::from_secs;
    (
        digest,
        Revocation::restored(target, None, at(0), at(retained), Reason::Logout, None),
    )
}

fn put(engine: &Engine, digest: &Digest, revocation: &Revocation) -> Result<(), StoreError> {
    engine.apply([(digest, Some(revocation))])
}

/// Each entry and its index row; the sweeper's leftovers are index rows without an entry.
fn unindexed(engine: &Engine) -> usize {
    let rows = engine.rows.iter().map(Result::unwrap);
    rows.filter(|(key, row)| {
        let digest = Digest::from_bytes(key.as_ref().try_into().unwrap());
        let due = due_key(row::decode(row).unwrap().retained_until(), &digest);
        !engine.due.contains_key(due).unwrap()
    })
    .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// I3: whatever was done, every entry has its index row, and the index holds nothing else.
    /// I6: sweeping drops what is due at that second and nothing later.
    #[test]
    fn i3_i6_every_entry_is_indexed(steps in proptest::collection::vec((0..4_u8, 0..6_u8, 0..5_u64), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
        let mut model = std::collections::BTreeMap::new();
        for (what, n, time) in steps {
            match what {
                0 | 1 => {
                    let (digest, entry) = entry(n, time);
                    put(&engine, &digest, &entry).unwrap();
                    model.insert(n, time);
                }
                2 => {
                    engine.remove(&entry(n, 0).0).unwrap();
                    model.remove(&n);
                }
                _ => {
                    let due = model.values().filter(|t| **t <= time).count();
                    let (dropped, stale) = engine.sweep(UnixTime::from_secs(time), 100).unwrap();
                    prop_assert_eq!((dropped.len(), stale), (due, 0));
                    model.retain(|_, t| *t > time);
                }
            }
            prop_assert_eq!(unindexed(&engine), 0);
            prop_assert_eq!(engine.due.len(), model.len());
            for n in 0..6 {
                let (digest, _) = entry(n, 0);
                let kept = engine.get(&digest).unwrap().map(|r| r.retained_until().as_secs());
                prop_assert_eq!(kept, model.get(&n).copied());
            }
        }
    }
}

#[test]
fn reading_a_shard_for_its_filter_counts_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let before = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let entries: Vec<_> = (0..200).map(|n| entry(n, 100)).collect();
    before
        .apply(entries.iter().map(|(digest, entry)| (digest, Some(entry))))
        .unwrap();
    drop(before);
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    assert_eq!(engine.entries(), None);
    for twice in 0..2 {
        let read = (0..=u8::MAX).map(|shard| engine.shard(shard).unwrap().0.len());
        assert_eq!(
            (read.sum::<usize>(), engine.entries().unwrap()[0].1),
            (200, 200),
            "{twice}"
        );
    }
    assert!(!engine.count(usize::MAX).unwrap(), "nothing is left to count");
}

#[test]
fn i3_a_leftover_index_row_is_swept_and_takes_no_entry_along() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let (digest, later) = entry(1, 100);
    put(&engine, &digest, &later).unwrap();
    // As a crash between the two writes leaves it: an earlier end in the index, and one of no entry at all.
    engine
        .due
        .insert(due_key(UnixTime::from_secs(5), &digest), &[])
        .unwrap();
    engine
        .due
        .insert(due_key(UnixTime::from_secs(6), &entry(2, 0).0), &[])
        .unwrap();
    assert_eq!(engine.sweep(UnixTime::from_secs(50), 100).unwrap(), (vec![], 2));
    assert_eq!(engine.get(&digest).unwrap(), Some(later));
}

#[test]
fn i5_a_flipped_bit_in_a_row_is_an_error_and_the_engine_is_not_believed_again() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let (digest, kept) = entry(1, 100);
    put(&engine, &digest, &kept).unwrap();
    let mut row = engine.rows.get(digest.as_bytes()).unwrap().unwrap().to_vec();
    row[3] ^= 1;
    engine.rows.insert(digest.as_bytes(), row).unwrap();
    assert!(matches!(engine.get(&digest), Err(StoreError::Engine(_))));
    assert!(matches!(engine.get(&entry(2, 100).0), Err(StoreError::Engine(_))));
}

/// A full disk is no damage: nothing is set aside for it, and what was read before is read still.
#[test]
fn i5_after_a_failure_of_the_disk_nothing_is_written_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let (digest, kept) = entry(1, 100);
    put(&engine, &digest, &kept).unwrap();
    let full = || sled::Error::Io(io::ErrorKind::StorageFull.into());
    let failed = engine.write::<()>(|| Err(full())).unwrap_err();
    assert!(matches!(failed, StoreError::Io { .. }) && failed.to_string().contains("free some space"));
    assert_eq!(engine.get(&digest).unwrap(), Some(kept.clone()));
    assert!(matches!(put(&engine, &digest, &kept), Err(StoreError::ReadOnly(_))));
    assert!(engine.failure().is_some() && !dir.path().join(DAMAGED).exists());
}

#[test]
fn i5_a_panic_inside_is_a_failed_engine() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let result = engine.run::<()>(|| panic!("as sled does on damaged files"));
    std::panic::set_hook(quiet);
    assert!(matches!(result, Err(StoreError::Engine(_))));
    assert!(matches!(engine.get(&entry(1, 0).0), Err(StoreError::Engine(_))));
}
