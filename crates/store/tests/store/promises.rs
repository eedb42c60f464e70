//! What the denylist promises, one by one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use ostracon_core::{Policy, Reason, Revocation, Targets};
use ostracon_store::{Denylist, PrefilterState, StoreError};

use crate::support::{NOW, all_kinds, at, claims, denied, kid, open, options, revocation, snapshot, token};

#[test]
fn each_of_the_six_kinds_denies_a_token() {
    for prefilter in [true, false] {
        for target in all_kinds() {
            let dir = tempfile::tempdir().unwrap();
            let denylist = Denylist::open(dir.path(), &options(prefilter)).unwrap();
            let (claims, kid) = (claims(NOW), kid());
            let targets = Targets::of(&claims, Some(&kid));
            let check = || denylist.check(&targets, at(NOW)).unwrap().revocation;
            assert_eq!(check(), None);
            let receipt = denylist.revoke(revocation(target.clone())).unwrap();
            assert!(receipt.changed && receipt.id == denylist.id(target.as_ref()));
            assert_eq!(check().as_ref().map(Revocation::target), Some(&target));
            assert!(!denylist.is_clear(&targets));
            denylist.lift(target).unwrap();
            assert_eq!(check(), None);
        }
    }
}

#[test]
fn a72_a_cutoff_spares_what_is_issued_after_its_second() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let [_, _, subject, ..] = all_kinds();
    denylist.revoke(revocation(subject)).unwrap();
    let denied = |iat| {
        denylist
            .check(&Targets::of(&claims(iat), None), at(NOW))
            .unwrap()
            .revocation
            .is_some()
    };
    assert_eq!([NOW - 1, NOW, NOW + 1].map(denied), [true, true, false]);
}

/// Of sessions that all end each other at once, one is left, however they are mixed.
#[test]
fn i9_who_is_denied_revokes_nothing_also_in_a_race() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let [_, session, subject, ..] = all_kinds();
    let first = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let (claims, cutoff) = (claims(NOW), revocation(subject.clone()));
                let commit = denylist.submit_unless_denied(&Targets::of(&claims, None), at(NOW), cutoff);
                let receipt = commit.unwrap().wait().unwrap().remove(0);
                assert_eq!(receipt.id, denylist.id(subject.as_ref()));
                first.fetch_add(receipt.changed.into(), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(first.into_inner(), 1);
    // One from behind the cut-off is good, until its session is ended.
    let later = claims(NOW + 1);
    let ends = |before| {
        let cutoff = revocation(subject.clone()).before(at(before), &Policy::default());
        let commit = denylist.submit_unless_denied(&Targets::of(&later, None), at(NOW), cutoff);
        commit.unwrap().wait().unwrap().remove(0)
    };
    denylist.revoke(revocation(session.clone())).unwrap();
    let refused = ends(NOW + 1);
    assert_eq!((refused.changed, refused.revocation.target()), (false, &session));
    denylist.lift(session).unwrap();
    assert!(ends(NOW + 1).changed && !ends(NOW + 1).changed);
}

#[test]
fn the_stricter_entry_stands_and_a_repetition_costs_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let [_, _, subject, ..] = all_kinds();
    let cutoff = |before| revocation(subject.clone()).before(at(before), &Policy::default());
    assert!(denylist.revoke(cutoff(NOW)).unwrap().changed);
    let written = denylist.stats().journal_bytes;
    for weaker in [NOW, NOW - 100] {
        let receipt = denylist.revoke(cutoff(weaker)).unwrap();
        assert_eq!((receipt.changed, receipt.revocation.cutoff()), (false, Some(at(NOW))));
    }
    assert_eq!(denylist.stats().journal_bytes, written, "A69: no growth");
    assert_eq!(
        denylist.revoke(cutoff(NOW + 5)).unwrap().revocation.cutoff(),
        Some(at(NOW + 5))
    );
}

/// I10: of many who revoke one target if it is not yet revoked, one does, and all are told by whom.
#[test]
fn i10_one_of_many_is_first_and_all_agree_on_which() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Arc::new(open(dir.path()));
    let receipts: Vec<_> = std::thread::scope(|scope| {
        let rivals: Vec<_> = (0..32_u64)
            .map(|n| {
                let denylist = Arc::clone(&denylist);
                let asked = Revocation::new(token(1), Reason::Rotated, &Policy::default(), at(NOW - n));
                scope.spawn(move || denylist.submit_if_absent(asked).unwrap().wait().unwrap().remove(0))
            })
            .collect();
        rivals.into_iter().map(|rival| rival.join().unwrap()).collect()
    });
    assert_eq!(receipts.iter().filter(|receipt| receipt.changed).count(), 1);
    let standing = denylist.entry(token(1).as_ref()).unwrap().unwrap();
    assert!(receipts.iter().all(|receipt| receipt.revocation == standing));
    drop(denylist);
    assert_eq!(
        open(dir.path()).entry(token(1).as_ref()).unwrap(),
        Some(standing),
        "after a restart, too"
    );
}

#[test]
fn i6_an_entry_past_its_retention_denies_nobody_whether_swept_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let entry = revocation(token(1)).expiring(at(NOW + 10), &Policy::default());
    let end = entry.retained_until();
    denylist.revoke(entry).unwrap();
    let target = token(1);
    let check = |secs| {
        denylist
            .check(&Targets::one(target.as_ref()), at(secs))
            .unwrap()
            .revocation
            .is_some()
    };
    assert!(check(end.as_secs() - 1) && !check(end.as_secs()));
    denylist.settle().unwrap();
    assert_eq!(denylist.sweep(at(end.as_secs() - 1)).unwrap().entries, 0);
    assert_eq!(denylist.sweep(end).unwrap().entries, 1);
    assert_eq!(denylist.entry(target.as_ref()).unwrap(), None);
}

#[test]
fn a73_what_was_swept_stays_ended_when_the_clock_steps_back_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let entry = revocation(token(1)).expiring(at(NOW + 10), &Policy::default());
    let end = entry.retained_until();
    denylist.revoke(entry).unwrap();
    denylist.settle().unwrap();
    denylist.sweep(end).unwrap();
    assert_eq!(denylist.unlisted().forgotten_until, end);
    let copy = tempfile::tempdir().unwrap();
    snapshot(dir.path(), copy.path());
    assert_eq!(open(copy.path()).unlisted().forgotten_until, end, "killed");
    denylist.close().unwrap();
    drop(denylist);
    assert_eq!(open(dir.path()).unlisted().forgotten_until, end, "closed");
}

#[test]
fn i4_i9_acknowledged_means_denied_at_once_and_after_a_kill() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = Arc::new(open(dir.path()));
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let denylist = Arc::clone(&denylist);
            std::thread::spawn(move || {
                for n in (writer..400).step_by(8) {
                    denylist.revoke(revocation(token(n))).unwrap();
                    assert!(denied(&denylist, &token(n)), "I9: visible when acknowledged");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    snapshot(dir.path(), copy.path());
    let after = open(copy.path());
    assert!((0..400).all(|n| denied(&after, &token(n))), "I4: denied after a kill");
    assert!(!denied(&after, &token(400)));
}

/// I2: shards are built, overfilled and rebuilt while writers and readers go on; what was acknowledged is never missed.
#[test]
fn i2_no_false_negative_while_the_prefilter_is_rebuilt() {
    const ALL: usize = 40_000;
    let dir = tempfile::tempdir().unwrap();
    let denylist = Arc::new(open(dir.path()));
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let reader = {
        let (denylist, acknowledged) = (Arc::clone(&denylist), Arc::clone(&acknowledged));
        std::thread::spawn(move || {
            let mut n = 0_usize;
            loop {
                let known = acknowledged.load(Ordering::SeqCst);
                if known == ALL {
                    return n;
                }
                if known > 0 {
                    n = n.wrapping_add(7919);
                    let target = token(n % known);
                    assert!(
                        !denylist.is_clear(&Targets::one(target.as_ref())),
                        "{target:?} is listed"
                    );
                    assert!(denied(&denylist, &target));
                }
            }
        })
    };
    for start in (0..ALL).step_by(500) {
        denylist
            .revoke_many((start..start + 500).map(|n| revocation(token(n))))
            .unwrap();
        acknowledged.store(start + 500, Ordering::SeqCst);
    }
    assert!(reader.join().unwrap() > 0, "the reader ran beside the writer");
    denylist.settle().unwrap();
    assert_eq!(denylist.stats().prefilter, PrefilterState::Covering);
    assert!((0..ALL).all(|n| !denylist.is_clear(&Targets::one(token(n).as_ref()))));
    let clear = (ALL..2 * ALL)
        .filter(|n| denylist.is_clear(&Targets::one(token(*n).as_ref())))
        .count();
    assert!(clear > ALL * 99 / 100, "only {clear} of {ALL} were cleared");
}

/// A prefilter rules out the kinds of which nothing is listed; after a restart it learns from the rows which those are.
#[test]
fn i2_a_kind_listed_once_is_asked_about_after_a_restart() {
    for target in all_kinds() {
        let dir = tempfile::tempdir().unwrap();
        let denylist = open(dir.path());
        denylist.revoke(revocation(target.clone())).unwrap();
        denylist.close().unwrap();
        drop(denylist);
        let denylist = open(dir.path());
        assert_eq!(denylist.replayed(), 0, "the row is in the engine alone");
        let mut building = true;
        while building {
            building = denylist.stats().prefilter != PrefilterState::Covering;
            assert!(denied(&denylist, &target));
            assert!(!denylist.is_clear(&Targets::one(target.as_ref())));
        }
        for other in all_kinds().iter().filter(|other| **other != target) {
            assert!(denylist.is_clear(&Targets::one(other.as_ref())));
        }
    }
}

#[test]
fn prefilter_on_and_off_answer_alike() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist
        .revoke_many((0..500).map(|n| revocation(token(n * 2))))
        .unwrap();
    denylist.close().unwrap();
    drop(denylist);
    for prefilter in [true, false] {
        let denylist = Denylist::open(dir.path(), &options(prefilter)).unwrap();
        denylist.settle().unwrap();
        assert!((0..1000).all(|n| denied(&denylist, &token(n)) == (n % 2 == 0)));
        let expected = if prefilter {
            PrefilterState::Covering
        } else {
            PrefilterState::Off
        };
        assert_eq!(denylist.stats().prefilter, expected);
        // With it off, each of the thousand went to the engine; with it on, little more than the listed half.
        let lookups = denylist.stats().lookups;
        assert!(
            if prefilter {
                (500..520).contains(&lookups)
            } else {
                lookups == 1000
            },
            "{lookups}"
        );
    }
}

#[test]
fn journal_segments_go_when_all_in_them_has_ended_and_nothing_is_forgotten_too_early() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let ending = |n: usize, end| revocation(token(n)).expiring(at(end), &Policy::default());
    denylist.revoke_many((0..200).map(|n| ending(n, NOW + 1))).unwrap();
    for n in 200..220 {
        denylist.revoke(ending(n, NOW + 100_000)).unwrap();
    }
    denylist.settle().unwrap();
    let before = denylist.stats();
    assert!(before.journal_segments > 1 && before.journal_bytes > 10_000);
    let swept = denylist.sweep(at(NOW + 50_000)).unwrap();
    assert_eq!((swept.entries, swept.leftovers), (200, 0));
    denylist.settle().unwrap();
    assert!(denylist.stats().journal_bytes < before.journal_bytes / 2);
    assert_eq!(denylist.stats().waiting, 0);

    // From the journal alone, what is left is all there.
    denylist.close().unwrap();
    drop(denylist);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let rebuilt = open(dir.path());
    assert!((200..220).all(|n| denied(&rebuilt, &token(n))));
}

#[test]
fn a_close_leaves_nothing_to_replay_and_refuses_what_comes_later() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.close().unwrap();
    assert!(matches!(denylist.revoke(revocation(token(2))), Err(StoreError::Closed)));
    assert!(matches!(denylist.settle(), Err(StoreError::Closed)));
    assert!(denylist.close().is_ok(), "twice is once");
    drop(denylist);
    assert_eq!(open(dir.path()).replayed(), 0);
}

#[test]
fn a_second_opener_is_told_who_and_where() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let second = Denylist::open(dir.path(), &options(true)).unwrap_err();
    assert!(matches!(second, StoreError::Locked(_)));
    let told = second.to_string();
    assert!(
        told.contains(&dir.path().display().to_string()) && told.contains("another process"),
        "{told}"
    );
    drop(first);
    open(dir.path());
}

#[test]
fn more_than_a_group_at_once_is_refused_and_many_are_split() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let many = |n: usize| (0..n).map(|n| revocation(token(n)));
    assert!(matches!(denylist.submit(many(8193).collect()), Err(StoreError::Busy)));
    assert_eq!(denylist.revoke_many(many(20_000)).unwrap().len(), 20_000);
    assert!(denied(&denylist, &token(19_999)));
}

#[test]
fn pages_have_every_entry_once_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke_many((0..50).map(|n| revocation(token(n)))).unwrap();
    denylist.settle().unwrap();
    // Some in the engine, some still on their way there, one of each lifted.
    denylist.revoke_many((50..100).map(|n| revocation(token(n)))).unwrap();
    denylist.lift(token(7)).unwrap();
    denylist.lift(token(77)).unwrap();
    // A page of which all was lifted is empty, and yet not the last.
    for limit in [1, 7, 98, 1000] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = denylist.page(after.as_ref(), limit).unwrap();
            assert!(page.entries.len() <= limit && page.entries.is_sorted_by_key(|(id, _)| *id));
            let known = |(id, entry): &(_, _)| denylist.entry_by_id(id).unwrap().as_ref() == Some(entry);
            assert!(page.entries.iter().all(known));
            seen.extend(page.entries.into_iter().map(|(_, entry)| entry.target().clone()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected = (0..100).filter(|n| !matches!(n, 7 | 77)).map(token);
        assert_eq!(seen.len(), 98, "limit {limit}");
        assert!(expected.into_iter().all(|target| seen.contains(&target)));
    }
}

#[test]
fn a_reason_and_a_note_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let note = ostracon_core::Note::new("ticket 4711").unwrap();
    let asked = Revocation::new(token(1), Reason::Compromised, &Policy::default(), at(NOW)).noted(Some(note));
    denylist.revoke(asked.clone()).unwrap();
    denylist.settle().unwrap();
    assert_eq!(denylist.entry(token(1).as_ref()).unwrap(), Some(asked));
}
