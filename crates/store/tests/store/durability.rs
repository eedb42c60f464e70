//! When a write is told to be done, and what that is worth.

use std::{
    thread,
    time::{Duration, Instant},
};

use ostracon_store::{Denylist, Durability, Options};

use crate::support::{NOW, at, denied, open, options, revocation, snapshot, token};

fn interval(every: Duration) -> Options {
    Options {
        durability: Durability::Interval(every),
        ..options(true)
    }
}

const NEVER: Duration = Duration::MAX;

#[test]
fn i4_a_synced_write_says_so_and_one_that_is_put_off_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    assert!(denylist.revoke(revocation(token(1))).unwrap().durable && denylist.is_durable());
    drop(denylist);
    let denylist = Denylist::open(dir.path(), &interval(NEVER)).unwrap();
    assert!(
        denylist.revoke(revocation(token(1))).unwrap().durable,
        "what stood is on the disk"
    );
    let receipt = denylist.revoke(revocation(token(2))).unwrap();
    assert!(
        receipt.changed && !receipt.durable && denied(&denylist, &token(2)),
        "I9"
    );
    assert!(
        !denylist.revoke(revocation(token(2))).unwrap().durable,
        "nor is a repetition of it"
    );
}

/// A checkpoint of the engine is one of the journal as well, so settling and closing make it durable.
#[test]
fn i4_what_was_put_off_is_durable_once_settled_or_closed() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Denylist::open(dir.path(), &interval(NEVER)).unwrap();
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.settle().unwrap();
    assert!(denylist.is_durable() && denylist.revoke(revocation(token(1))).unwrap().durable);
    denylist.revoke(revocation(token(2))).unwrap();
    denylist.close().unwrap();
    assert!(denylist.is_durable());
    drop(denylist);
    assert!(denied(&open(dir.path()), &token(2)));
}

#[test]
fn i4_what_was_put_off_is_durable_by_itself_within_the_interval() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Denylist::open(dir.path(), &interval(Duration::from_millis(1))).unwrap();
    // The committer alone keeps this promise: the keeper makes its checkpoints a second after the first change.
    let begun = Instant::now();
    for n in 0..20 {
        denylist.revoke(revocation(token(n))).unwrap();
        while !denylist.is_durable() {
            assert!(begun.elapsed() < Duration::from_mins(1), "waited in vain");
            thread::yield_now();
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "not one checkpoint each");
}

/// A kill takes nothing, since the operating system has it; small segments, so that some are closed in between.
#[test]
fn i4_a_kill_takes_nothing_of_what_was_put_off() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = Denylist::open(dir.path(), &interval(NEVER)).unwrap();
    for n in 0..100 {
        denylist.revoke(revocation(token(n))).unwrap();
    }
    assert!(denylist.stats().journal_segments > 2);
    snapshot(dir.path(), copy.path());
    let after = Denylist::open(copy.path(), &interval(NEVER)).unwrap();
    assert!((0..100).all(|n| denied(&after, &token(n))));
    assert!(after.is_durable(), "an opening syncs what it goes on behind");
}

/// I1: what is forgotten is announced on the disk before it is dropped, also where syncs are put off.
#[test]
fn i1_forgetting_is_never_put_off() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Denylist::open(dir.path(), &interval(NEVER)).unwrap();
    let ending = revocation(token(1)).expiring(at(NOW + 10), &ostracon_core::Policy::default());
    denylist.revoke(ending).unwrap();
    denylist.settle().unwrap();
    denylist.revoke(revocation(token(2))).unwrap();
    assert!(!denylist.is_durable());
    assert_eq!(denylist.sweep(at(NOW + 100_000)).unwrap().entries, 1);
    assert!(denylist.is_durable());
}
