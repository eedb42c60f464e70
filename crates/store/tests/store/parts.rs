//! An engine in parts, each of which is opened anew now and then while it serves.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use ostracon_core::Policy;
use ostracon_store::{Denylist, Options, StoreError};

use crate::support::{NOW, Stop, at, denied, engine_parts, open, options, revocation, segments, snapshot, token};

/// Parts that are opened anew after a handful of writes.
fn often() -> Options {
    Options {
        engine_parts: 4,
        reopen_after: 8,
        reopen_share: 8,
        ..options(true)
    }
}

fn filled(dir: &Path, options: &Options) -> Denylist {
    let denylist = Denylist::open(dir, options).unwrap();
    denylist.revoke_many((0..400).map(|n| revocation(token(n)))).unwrap();
    denylist.settle().unwrap();
    denylist
}

/// What sled wrote when it opened each part.
fn snapshots(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = engine_parts(dir)
        .into_iter()
        .flat_map(|part| fs::read_dir(part).unwrap());
    let is_snapshot = |path: &std::path::PathBuf| path.to_str().unwrap().contains("/snap.");
    files.map(|file| file.unwrap().path()).filter(is_snapshot).collect()
}

/// I9, I5: while parts are closed and opened anew, who was denied is, and nobody waits for the end of it.
#[test]
fn i9_parts_are_opened_anew_while_all_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = filled(dir.path(), &often());
    let mut seen = vec![snapshots(dir.path())];
    assert_eq!(
        seen[0].len(),
        4,
        "each part has one, though all was written since the opening"
    );
    let (over, revoked) = (AtomicBool::new(false), AtomicUsize::new(400));
    thread::scope(|scope| {
        let _stop = Stop(&over);
        scope.spawn(|| {
            let mut turn = 0;
            while !over.load(Ordering::SeqCst) {
                turn += 7;
                assert!(denied(&denylist, &token(turn % revoked.load(Ordering::SeqCst))));
                assert!(!denied(&denylist, &token(1_000_000 + turn)));
            }
        });
        for more in 0..12 {
            let from = 400 + more * 100;
            denylist
                .revoke_many((from..from + 100).map(|n| revocation(token(n))))
                .unwrap();
            revoked.store(from + 100, Ordering::SeqCst);
            denylist.lift(token(2_000_000)).unwrap();
            denylist.settle().unwrap();
            seen.push(snapshots(dir.path()));
        }
    });
    seen.dedup();
    assert!(seen.len() > 3, "sled wrote what it opens from: {seen:?}");
    assert!(denylist.stats().reopened > 12, "{}", denylist.stats().reopened);
    let listed = denylist.stats().entries.map(|kinds| kinds[0].1);
    assert_eq!(listed, Some(1600), "and still know how many there are");
}

/// Parts are written anew whenever they have had as many writes as they have entries, and both at once, since writers soon
/// wait for them.
fn renewing() -> Options {
    Options {
        pending_bytes: 64 << 10,
        renew_after: 64,
        renew_bytes: 0,
        ..options(true)
    }
}

/// I9, I5: the same while parts are written anew, which takes several turns: what is revoked, lifted and swept meanwhile is so
/// in the copies too.
#[test]
fn i9_parts_are_written_anew_while_all_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Denylist::open(dir.path(), &renewing()).unwrap();
    let policy = Policy::default();
    let short = |n| revocation(token(n)).expiring(at(NOW + 1), &policy);
    denylist.revoke_many((0..3_000).map(|n| revocation(token(n)))).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&over);
        scope.spawn(|| {
            let mut turn = 0;
            while !over.load(Ordering::SeqCst) {
                turn += 7;
                assert!(denied(&denylist, &token(turn % 3_000)));
                assert!(!denied(&denylist, &token(10_000_000 + turn)));
            }
        });
        for round in 1..6 {
            let from = 3_000 * round;
            denylist.revoke_many((from..from + 3_000).map(short)).unwrap();
            denylist.revoke(revocation(token(1_000_000 + round))).unwrap();
            denylist.lift(token(from)).unwrap();
            denylist.sweep(at(NOW + 7_200)).unwrap();
        }
        denylist.settle().unwrap();
        denylist.sweep(at(NOW + 7_200)).unwrap();
    });
    assert!(denylist.stats().renewed >= 4, "{}", denylist.stats().renewed);
    let listed = |denylist: &Denylist| {
        let kept = (0..3_000).chain(1_000_001..1_000_006);
        assert!(kept.clone().all(|n| denied(denylist, &token(n))));
        assert!((3_000..18_000).all(|n| !denied(denylist, &token(n))));
        denylist.settle().unwrap();
        assert_eq!(denylist.stats().entries.map(|kinds| kinds[0].1), Some(3_005));
    };
    listed(&denylist);
    drop(denylist);
    let parts = engine_parts(dir.path());
    assert_eq!(parts.len(), 2, "what was replaced is gone: {parts:?}");
    let denylist = Denylist::open(dir.path(), &renewing()).unwrap();
    assert_eq!((denylist.replayed(), denylist.was_rebuilt()), (0, false));
    listed(&denylist);
}

/// I4: what a kill leaves in the middle of that opens like any other.
#[test]
fn i4_a_kill_while_a_part_is_written_anew_loses_nothing() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = Denylist::open(dir.path(), &renewing()).unwrap();
    denylist.revoke_many((0..3_000).map(|n| revocation(token(n)))).unwrap();
    let over = AtomicBool::new(false);
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let _stop = Stop(&over);
        scope.spawn(|| {
            for n in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let from = 10_000 + n * 2_000;
                denylist
                    .revoke_many((from..from + 2_000).map(|n| revocation(token(n))))
                    .unwrap();
                for n in from..from + 2_000 {
                    // There may be too many that wait.
                    drop(denylist.submit_lift(token(n)));
                }
            }
        });
        for kill in 0..12 {
            snapshot(dir.path(), copy.path());
            seen.insert(engine_parts(copy.path()).len());
            // It writes none anew itself.
            let after = open(copy.path());
            assert!((0..3_000).all(|n| denied(&after, &token(n))), "kill {kill}");
            drop(after);
            assert_eq!(engine_parts(copy.path()).len(), 2);
        }
    });
    assert!(denylist.stats().renewed > 0);
    assert!(seen.iter().all(|parts| (2..=3).contains(parts)), "{seen:?}");
}

/// What a kill leaves in the middle of it opens like any other.
#[test]
fn i4_a_kill_while_a_part_is_opened_anew_loses_nothing() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = filled(dir.path(), &often());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&over);
        scope.spawn(|| {
            for n in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                denylist
                    .revoke_many((0..80).map(|k| revocation(token(10_000 + n * 80 + k))))
                    .unwrap();
                denylist.settle().unwrap();
            }
        });
        for kill in 0..12 {
            snapshot(dir.path(), copy.path());
            if kill % 3 == 0 {
                let part = engine_parts(copy.path())[kill % 4].join("snap.00000000000000FF.generating");
                fs::write(part, b"half of one").unwrap();
            }
            let after = Denylist::open(copy.path(), &often()).unwrap();
            assert!((0..400).all(|n| denied(&after, &token(n))), "kill {kill}");
        }
    });
}

/// A part that does not open again, or opens without what it had, is told, and its rows are answered from the copy until
/// the next start mends it.
#[test]
fn i5_a_part_that_does_not_open_again_forgives_nobody_and_takes_nothing_more() {
    let spoil: fn(&Path) = |part| fs::write(part.join("conf"), b"not a configuration of any engine").unwrap();
    let lose: fn(&Path) = |part| fs::remove_dir_all(part).unwrap();
    for (harm, heals) in [(spoil, false), (lose, true)] {
        let dir = tempfile::tempdir().unwrap();
        let denylist = filled(dir.path(), &often());
        harm(&engine_parts(dir.path())[2]);
        // Which part is opened anew when is for the engine to say.
        let mut listed = 400;
        while denylist.settle().is_ok() {
            let more = listed..listed + 400;
            if denylist.revoke_many(more.clone().map(|n| revocation(token(n)))).is_ok() {
                listed = more.end;
            }
            assert!(listed < 10_000, "its turn never came");
        }
        assert!((0..listed).all(|n| denied(&denylist, &token(n))), "each of them");
        assert!(!denied(&denylist, &token(50_000)));
        assert!(denylist.stats().refused.is_some());
        let refused = denylist.revoke(revocation(token(20_000)));
        assert!(matches!(refused, Err(StoreError::ReadOnly(_))), "{refused:?}");
        assert!(denylist.sweep(at(NOW)).is_err() && denylist.page(None, 1000).is_err());
        drop(denylist);
        let denylist = Denylist::open(dir.path(), &often()).unwrap();
        assert!(denylist.was_rebuilt() || heals);
        assert!((0..listed).all(|n| denied(&denylist, &token(n))));
    }
}

#[test]
fn i5_a_part_that_is_missing_is_filled_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &often()));
    fs::remove_dir_all(&engine_parts(dir.path())[1]).unwrap();
    let denylist = open(dir.path());
    assert_eq!((denylist.replayed(), denylist.was_rebuilt()), (400, false));
    denylist.settle().unwrap();
    assert!((0..400).all(|n| denied(&denylist, &token(n))));
    assert_eq!(
        engine_parts(dir.path()).len(),
        4,
        "as many as there were, whatever is asked for"
    );
}

/// Whatever the directories are called, no part answers for another.
#[test]
fn i5_parts_that_changed_places_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &often()));
    let parts = engine_parts(dir.path());
    let between = dir.path().join("between");
    for (from, to) in [(&parts[0], &between), (&parts[3], &parts[0]), (&between, &parts[3])] {
        fs::rename(from, to).unwrap();
    }
    let denylist = open(dir.path());
    assert!(denylist.was_rebuilt() && (0..400).all(|n| denied(&denylist, &token(n))));
}

#[test]
fn i5_parts_of_two_engines_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &often()));
    fs::create_dir(dir.path().join("sled/00-of-08")).unwrap();
    let denylist = open(dir.path());
    assert!(denylist.was_rebuilt() && (0..400).all(|n| denied(&denylist, &token(n))));
}

/// The part that has most tells how far the journal was, whatever the others say.
#[test]
fn i5_a_lost_end_of_the_journal_is_noticed_though_most_parts_do_not_know_of_it() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), &often()));
    for part in &engine_parts(dir.path())[1..] {
        fs::remove_dir_all(part).unwrap();
    }
    let last = segments(dir.path()).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    let opened = Denylist::open(dir.path(), &often());
    assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{opened:?}");
}

/// Pages go on from one part to the next.
#[test]
fn pages_and_sweeps_go_through_all_parts() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = filled(dir.path(), &often());
    for limit in [1, 7, 100, 1000] {
        let (mut after, mut ids) = (None, Vec::new());
        loop {
            let page = denylist.page(after.as_ref(), limit).unwrap();
            ids.extend(page.entries.into_iter().map(|(id, _)| id));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(ids.len() == 400 && ids.is_sorted(), "{limit}");
    }
    denylist.settle().unwrap();
    let all = denylist.next_expiries(1000).unwrap();
    assert!(all.len() == 400 && all.is_sorted_by_key(|(at, _)| *at));
    assert!(all.iter().all(|(at, entry)| entry.retained_until() == *at));
    assert_eq!(denylist.next_expiries(7).unwrap(), all[..7]);
    assert_eq!(denylist.sweep(at(NOW * 2)).unwrap().entries, 400);
    denylist.settle().unwrap();
    assert!(denylist.next_expiries(7).unwrap().is_empty());
    assert!(denylist.page(None, 10).unwrap().entries.is_empty());
}
