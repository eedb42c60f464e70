//! What once stopped a store that had no reason to stop.

use std::{fs, sync::mpsc, thread, time::Duration};

use ostracon_core::Policy;
use ostracon_store::{Denylist, Options};

use crate::support::{NOW, at, denied, open, options, revocation, segments, token};

/// A committer that waits for room below a bound of nothing waited for ever, and with it everybody.
#[test]
fn the_least_bound_on_what_waits_lets_one_group_after_the_other_pass() {
    let dir = tempfile::tempdir().unwrap();
    let tight = Options {
        pending_bytes: 0,
        ..options(true)
    };
    let (done, told) = mpsc::channel();
    let path = dir.path().to_owned();
    thread::spawn(move || {
        let denylist = Denylist::open(&path, &tight).unwrap();
        let revoked = (0..20).all(|n| denylist.revoke(revocation(token(n))).is_ok());
        done.send(revoked && (0..20).all(|n| denied(&denylist, &token(n))))
            .unwrap();
    });
    assert_eq!(told.recv_timeout(Duration::from_mins(1)), Ok(true), "waited in vain");
}

/// One file that could not be deleted had every write refused from there on.
#[test]
fn a_segment_that_cannot_be_deleted_is_told_of_and_tried_again_and_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    for n in 0..100 {
        let ending = revocation(token(n)).expiring(at(NOW + 1), &Policy::default());
        denylist.revoke(ending).unwrap();
    }
    denylist.settle().unwrap();
    let first = segments(dir.path()).remove(0);
    fs::remove_file(&first).unwrap();
    fs::create_dir_all(first.join("in the way")).unwrap();
    denylist.sweep(at(NOW + 50_000)).unwrap();
    denylist.settle().unwrap();
    let stats = denylist.stats();
    assert_eq!(stats.refused, None);
    assert!(
        stats
            .undeleted
            .is_some_and(|cause| cause.contains(first.to_str().unwrap()))
    );
    denylist.revoke(revocation(token(200))).unwrap();

    fs::remove_dir_all(&first).unwrap();
    denylist.settle().unwrap();
    let stats = denylist.stats();
    assert_eq!(
        (stats.undeleted, stats.journal_segments),
        (None, segments(dir.path()).len())
    );
    assert!(stats.journal_segments < 5, "those behind it went as well");
}

/// I4: what is appended to a file without a name is gone with the process, and was acknowledged all the same.
#[test]
fn i4_a_journal_that_somebody_removes_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.settle().unwrap();
    fs::remove_file(segments(dir.path()).pop().unwrap()).unwrap();
    // The next checkpoint notices, within a second of what is written.
    denylist.revoke(revocation(token(2))).unwrap();
    assert!(denylist.settle().is_err());
    let refused = denylist.stats().refused.unwrap();
    assert!(refused.contains("removed"), "{refused}");
    assert!(
        [1, 2].iter().all(|n| denied(&denylist, &token(*n))),
        "what was there is read still"
    );
    assert!(denylist.revoke(revocation(token(3))).is_err(), "for good");
}
