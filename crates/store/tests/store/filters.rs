//! The saved prefilter: believed where it covers the store, and nowhere else.

use std::{fs, path::Path};

use ostracon_core::{Policy, Targets};
use ostracon_store::{Denylist, Options, PrefilterState};

use crate::support::{NOW, at, denied, open, options, revocation, segments, snapshot, token};

fn revoke(denylist: &Denylist, numbers: core::ops::Range<usize>) {
    denylist.revoke_many(numbers.map(|n| revocation(token(n)))).unwrap();
}

fn is_clear(denylist: &Denylist, n: usize) -> bool {
    denylist.is_clear(&Targets::one(token(n).as_ref()))
}

/// Opens `dir`, in which the first `listed` tokens are listed: whether the prefilter was loaded.
fn loads(dir: &Path, listed: usize) -> bool {
    let before = fs::exists(dir.join("prefilter")).unwrap();
    let denylist = open(dir);
    let loaded = denylist.prefilter_was_loaded();
    assert!(before || !loaded);
    for _ in 0..2 {
        assert!(
            (0..listed).all(|n| denied(&denylist, &token(n)) && !is_clear(&denylist, n)),
            "I2"
        );
        assert!((listed..listed + 50).all(|n| !denied(&denylist, &token(n))));
        denylist.settle().unwrap();
        assert_eq!(denylist.stats().prefilter, PrefilterState::Covering);
    }
    loaded
}

#[test]
fn i2_it_is_saved_by_a_close_and_loaded_by_the_next_opening() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    assert!(!denylist.prefilter_was_loaded());
    revoke(&denylist, 0..300);
    denylist.settle().unwrap();
    revoke(&denylist, 300..310);
    denylist.close().unwrap();
    drop(denylist);
    let denylist = open(dir.path());
    assert!(denylist.prefilter_was_loaded());
    assert_eq!(denylist.stats().prefilter, PrefilterState::Covering);
    let lookups = denylist.stats().lookups;
    assert!((310..360).filter(|n| is_clear(&denylist, *n)).count() >= 48);
    assert_eq!(denylist.stats().lookups, lookups, "the engine was not asked");
    drop(denylist);
    assert!(loads(dir.path(), 310));
}

#[test]
fn i2_after_a_kill_it_is_loaded_and_gets_from_the_journal_what_it_lacks() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    revoke(&denylist, 0..100);
    denylist.settle().unwrap();
    let saved = fs::read(dir.path().join("prefilter")).unwrap();
    // More than the engine is told at once, over several segments, some in the engine's checkpoint and some not.
    for start in (100..400).step_by(100) {
        revoke(&denylist, start..start + 100);
        snapshot(dir.path(), copy.path());
        fs::write(copy.path().join("prefilter"), &saved).unwrap();
        assert!(loads(copy.path(), start + 100));
    }
    denylist.settle().unwrap();
    snapshot(dir.path(), copy.path());
    fs::write(copy.path().join("prefilter"), &saved).unwrap();
    assert!(loads(copy.path(), 400), "the engine's checkpoint is ahead of it");
    snapshot(dir.path(), copy.path());
    fs::write(copy.path().join("prefilter"), &saved).unwrap();
    fs::remove_dir_all(copy.path().join("sled")).unwrap();
    assert!(
        loads(copy.path(), 400),
        "so is the journal, from which the engine is rebuilt"
    );
}

#[test]
fn i2_one_that_knows_of_more_than_the_journal_is_not_believed() {
    let (dir, earlier) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    revoke(&denylist, 0..100);
    denylist.settle().unwrap();
    snapshot(dir.path(), earlier.path());
    revoke(&denylist, 100..150);
    denylist.close().unwrap();
    // As if a backup had been put back around it.
    fs::copy(dir.path().join("prefilter"), earlier.path().join("prefilter")).unwrap();
    assert!(!loads(earlier.path(), 100));
    // Nor can it be taken for that of another history later on: the opening has taken it away.
    assert!(loads(earlier.path(), 100));
}

/// A journal that loses its end, by a failed sync or put-off ones, gives the same numbers to other records. A filter from
/// before that, put back by somebody, fitted by its number, and ruled out what those records had revoked.
#[test]
fn i2_one_of_a_history_that_went_another_way_is_not_believed_though_its_numbers_fit() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    revoke(&denylist, 0..90);
    denylist.settle().unwrap();
    snapshot(dir.path(), other.path());
    revoke(&denylist, 1000..1010);
    denylist.close().unwrap();

    let denylist = open(other.path());
    revoke(&denylist, 90..120);
    denylist.close().unwrap();
    drop(denylist);
    fs::copy(dir.path().join("prefilter"), other.path().join("prefilter")).unwrap();
    let report = ostracon_store::ClosedStore::take(other.path())
        .unwrap()
        .check()
        .unwrap();
    let doubt = "not saved by the process that had the store open last";
    assert!(
        report.notes.iter().any(|note| note.problem.contains(doubt)),
        "{report:?}"
    );
    assert!(!loads(other.path(), 120));
}

#[test]
fn i2_one_from_before_what_the_journal_still_has_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.settle().unwrap();
    let oldest = fs::read(dir.path().join("prefilter")).unwrap();
    let ending = |n| revocation(token(n)).expiring(at(NOW + 1), &Policy::default());
    for n in 1000..1100 {
        denylist.revoke(ending(n)).unwrap();
    }
    revoke(&denylist, 0..100);
    denylist.settle().unwrap();
    let first = segments(dir.path()).remove(0);
    denylist.sweep(at(NOW + 50_000)).unwrap();
    denylist.settle().unwrap();
    assert_ne!(segments(dir.path()).remove(0), first, "a segment went");
    denylist.close().unwrap();
    drop(denylist);
    fs::write(dir.path().join("prefilter"), oldest).unwrap();
    assert!(!loads(dir.path(), 100));
}

#[test]
fn i2_a_spoilt_one_is_built_anew_and_so_is_one_for_another_rate() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    revoke(&denylist, 0..100);
    denylist.close().unwrap();
    drop(denylist);
    let path = dir.path().join("prefilter");
    let good = fs::read(&path).unwrap();
    for spoilt in [&good[..good.len() / 2], &[0; 100], &[]] {
        fs::write(&path, spoilt).unwrap();
        assert!(!loads(dir.path(), 100));
    }
    let other = tempfile::tempdir().unwrap();
    drop(open(other.path()));
    fs::copy(other.path().join("prefilter"), &path).unwrap();
    assert!(!loads(dir.path(), 100), "another store's");
    let rarer = Options {
        false_positive_rate: 0.01,
        ..options(true)
    };
    let denylist = Denylist::open(dir.path(), &rarer).unwrap();
    assert!(!denylist.prefilter_was_loaded() && denied(&denylist, &token(7)));
    drop(denylist);
    assert!(!loads(dir.path(), 100), "that one's");
    assert!(loads(dir.path(), 100));
}

#[test]
fn i2_an_opening_without_prefilter_leaves_none_behind() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    revoke(&denylist, 0..10);
    denylist.close().unwrap();
    drop(denylist);
    let denylist = Denylist::open(dir.path(), &options(false)).unwrap();
    assert!(!fs::exists(dir.path().join("prefilter")).unwrap());
    revoke(&denylist, 10..20);
    drop(denylist);
    assert!(!loads(dir.path(), 20));
}

#[test]
fn it_tells_how_often_it_was_right() {
    let dir = tempfile::tempdir().unwrap();
    let often_wrong = Options {
        false_positive_rate: 0.05,
        ..options(true)
    };
    let denylist = Denylist::open(dir.path(), &often_wrong).unwrap();
    revoke(&denylist, 0..20_000);
    denylist.settle().unwrap();
    let missed_before = denylist.stats().misses;
    let before = denylist.stats().filters.unwrap();
    assert!(before.fill > 0.4 && before.fill < 0.51, "{before:?}");
    assert!(
        before.expected_rate > 0.03 && before.expected_rate <= 0.05,
        "{before:?}"
    );
    assert!((20_000..60_000).all(|n| !denied(&denylist, &token(n))));
    let stats = denylist.stats();
    let after = stats.filters.unwrap();
    assert_eq!(
        after.ruled_out + after.false_positives - before.ruled_out - before.false_positives,
        40_000,
        "each was either ruled out or looked up in vain"
    );
    let passed = 40_000.0 * after.expected_rate;
    let wrong = after.false_positives - before.false_positives;
    assert_eq!(stats.misses - missed_before, wrong);
    let wrong = f64::from(u32::try_from(wrong).unwrap());
    assert!(
        wrong > passed / 1.3 && wrong < passed * 1.3,
        "{passed} expected, {wrong} seen"
    );
    let off = tempfile::tempdir().unwrap();
    assert_eq!(
        Denylist::open(off.path(), &options(false)).unwrap().stats().filters,
        None
    );
}
