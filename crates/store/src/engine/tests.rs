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

/// All that the index speaks of, in order.
pub(super) fn indexed(engine: &Engine) -> Vec<due::Due> {
    let rows = engine.due.iter().map(Result::unwrap);
    let mut indexed: Vec<_> = rows.flat_map(|(key, value)| due::read(&key, &value).unwrap()).collect();
    indexed.sort_unstable();
    indexed
}

/// Entries that the index does not speak of.
pub(super) fn unindexed(engine: &Engine) -> usize {
    let (rows, indexed) = (engine.rows.iter().map(Result::unwrap), indexed(engine));
    rows.filter(|(key, row)| {
        let digest = Digest::from_bytes(key.as_ref().try_into().unwrap());
        !indexed.contains(&(row::decode(row).unwrap().retained_until(), digest))
    })
    .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// I3: whatever was done, by one and by many at a time, every entry is indexed; what is left over is swept with the
    /// rest. I6: sweeping drops what is due at that second and nothing later, at most as many as it may.
    #[test]
    fn i3_i6_every_entry_is_indexed(
        steps in proptest::collection::vec((0..4_u8, proptest::collection::vec((0..40_u8, 0..600_u64), 1..30), 1..50_usize), 1..30),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
        let mut model = std::collections::BTreeMap::new();
        for (what, named, limit) in steps {
            let time = named[0].1;
            match what {
                0 | 1 => {
                    let named: std::collections::BTreeMap<_, _> = named.into_iter().collect();
                    let entries: Vec<_> = named.iter().map(|(n, time)| entry(*n, *time)).collect();
                    engine.apply(entries.iter().map(|(digest, entry)| (digest, Some(entry)))).unwrap();
                    model.extend(named);
                }
                2 => {
                    let (n, _) = named[0];
                    engine.remove(&entry(n, 0).0).unwrap();
                    model.remove(&n);
                }
                _ => {
                    let due = |model: &std::collections::BTreeMap<_, u64>| model.values().filter(|t| **t <= time).count();
                    let until = engine.due_until(UnixTime::from_secs(time), limit).unwrap();
                    let Some(until) = until else {
                        prop_assert_eq!(due(&model), 0);
                        continue;
                    };
                    prop_assert!(until.as_secs() <= time);
                    let (dropped, stale) = engine.sweep(until, limit).unwrap();
                    let taken = dropped.len().saturating_add(stale);
                    prop_assert!((1..=limit).contains(&taken));
                    model.retain(|n, t| {
                        let is_dropped = dropped.contains(&entry(*n, 0).0);
                        assert!(!is_dropped || *t <= until.as_secs(), "I6");
                        !is_dropped
                    });
                    prop_assert!(taken == limit || due(&model) == 0 || until.as_secs() < time);
                }
            }
            prop_assert_eq!(unindexed(&engine), 0);
            let first: Vec<_> = engine.first_due(limit).unwrap();
            let mut all = indexed(&engine);
            all.dedup();
            all.truncate(limit);
            prop_assert_eq!(first, all);
            for n in 0..40 {
                let (digest, _) = entry(n, 0);
                let kept = engine.get(&digest).unwrap().map(|r| r.retained_until().as_secs());
                prop_assert_eq!(kept, model.get(&n).copied());
            }
        }
        engine.sweep(UnixTime::from_secs(600), usize::MAX).unwrap();
        prop_assert_eq!((engine.rows.len(), engine.due.len()), (0, 0));
    }
}

#[test]
fn what_is_written_together_shares_index_rows() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let put = |ends: &dyn Fn(u8) -> u64| {
        let entries: Vec<_> = (0..=255).map(|n| entry(n, ends(n))).collect();
        engine
            .apply(entries.iter().map(|(digest, entry)| (digest, Some(entry))))
            .unwrap();
        engine.due.len()
    };
    assert_eq!(put(&|_| 1000), 4, "64 in each");
    assert_eq!(put(&|_| 1000), 4, "and no more for the same once again");
    // A lift leaves a row as it is, if it speaks of others.
    engine.remove(&entry(7, 0).0).unwrap();
    assert_eq!((engine.due.len(), engine.rows.len()), (4, 255));
    engine.sweep(UnixTime::from_secs(1000), 512).unwrap();
    assert_eq!(
        put(&|n| 2000 + 300 * u64::from(n)),
        256,
        "none that end far from each other"
    );
    engine.remove(&entry(7, 0).0).unwrap();
    assert_eq!(engine.due.len(), 255, "one of its own goes with its entry");
}

/// I3: a row in whose place there is one that speaks of others takes none of them away.
#[test]
fn i3_rows_that_begin_with_the_same_entry_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let mut entries: Vec<_> = (0..40).map(|n| entry(n, 50)).collect();
    entries.sort_unstable_by_key(|(digest, _)| *digest);
    let all = || entries.iter().map(|(digest, entry)| (digest, Some(entry)));
    // As a replay does, which groups anew.
    engine.apply(all().step_by(3)).unwrap();
    for again in [1, 2, 40] {
        engine.apply(all().step_by(again)).unwrap();
        assert_eq!(unindexed(&engine), 0);
    }
    put(&engine, &entries[0].0, &entries[0].1).unwrap();
    assert_eq!(
        (unindexed(&engine), engine.due.len(), indexed(&engine).len()),
        (0, 1, 40)
    );
}

/// What an earlier version wrote has a row for each; it is read, and said over again, so that the earlier one does not
/// take what is written from here on for its own.
#[test]
fn i3_an_earlier_version_does_not_believe_what_it_would_not_understand() {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    let checkpoint = Checkpoint {
        applied: 7,
        ..Checkpoint::NONE
    };
    engine.save(checkpoint).unwrap();
    let mut bytes = engine.meta.get(CHECKPOINT).unwrap().unwrap().to_vec();
    let end = bytes.len() - 4;
    bytes[0] = EARLIER_CHECKPOINT_FORMAT;
    let crc = crc32fast::hash(&bytes[..end]).to_be_bytes();
    bytes[end..].copy_from_slice(&crc);
    engine.meta.insert(CHECKPOINT, bytes).unwrap();
    drop(engine);
    let engine = Engine::open(dir.path(), [1; 16], 1 << 20).unwrap();
    assert_eq!(engine.checkpoint().unwrap(), checkpoint);
    assert_eq!(engine.meta.get(CHECKPOINT).unwrap().unwrap()[0], 2);
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
        .insert(due::key(&(UnixTime::from_secs(5), digest)), &[])
        .unwrap();
    engine
        .due
        .insert(due::key(&(UnixTime::from_secs(6), entry(2, 0).0)), &[])
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
