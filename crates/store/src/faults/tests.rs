use std::{env, fs, thread, time::Duration};

use super::{
    Fault, Plan,
    history::{Ledger, is_denied, options, revocation},
};
use crate::{Denylist, Durability, Options, StoreError, seam::Call, shared::unpoisoned};

/// Calls of files, and of the engine, that are tried with each fault; all of them with `OSTRACON_ALL_FAULTS=1`.
const TRIED: (usize, usize) = (10, 4);

/// One life with `fault` at call number `at`, and what it was that failed, if the life was that long.
fn try_one(at: usize, fault: Fault) -> Option<Call> {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::lay(dir.path(), Some((at, fault)));
    let mut ledger = Ledger::default();
    ledger.live(dir.path());
    plan.mend();
    ledger.recover(dir.path());
    plan.cut_the_power();
    ledger.recover_from_the_journal(dir.path());
    plan.lift();
    unpoisoned(plan.met.lock()).as_ref().map(|(call, _)| *call)
}

fn calls_of_a_life() -> Vec<Call> {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::lay(dir.path(), None);
    Ledger::default().live(dir.path());
    plan.lift();
    plan.calls()
}

/// So many of `calls`, evenly, or all.
fn chosen(calls: Vec<usize>, most: usize) -> impl Iterator<Item = usize> {
    let all = env::var_os("OSTRACON_ALL_FAULTS").is_some();
    let every = if all { 1 } else { calls.len().div_ceil(most).max(1) };
    calls.into_iter().step_by(every)
}

/// Calls in turn, each failing: nothing acknowledged is lost, nothing denied passes, the failure is told, and the next
/// start goes on by itself.
fn try_all(fault: Fault) {
    let calls = calls_of_a_life();
    let total = calls.len();
    // Which thread comes first is left to chance: so a number is a place in a life, and not the same call each time.
    let (engine, files): (Vec<_>, Vec<_>) = (0..calls.len()).partition(|at| calls.get(*at) == Some(&Call::Engine));
    let (mut tried, mut met) = (0_usize, 0_usize);
    for at in chosen(files, TRIED.0).chain(chosen(engine, TRIED.1)) {
        tried += 1;
        let one = thread::spawn(move || try_one(at, fault)).join();
        let one = one.unwrap_or_else(|_| panic!("{fault:?} at call {at} of {total}"));
        met += usize::from(one.is_some());
    }
    assert!(met * 4 > tried * 3, "only {met} of {tried} came to a call that failed");
}

#[test]
fn i4_i5_an_error_at_any_call_loses_nothing_and_is_told() {
    try_all(Fault::Error);
}

#[test]
fn i4_i5_a_full_disk_at_any_call_loses_nothing_and_is_told() {
    try_all(Fault::Full);
}

#[test]
fn i4_i5_a_delay_at_any_call_loses_nothing() {
    try_all(Fault::Delay);
}

#[test]
fn i4_i5_a_panic_at_any_call_loses_nothing_and_is_told() {
    try_all(Fault::Panic);
}

/// A failed sync leaves what was written where it can be read and where no later sync brings it to the disk. The next start
/// read it, synced, and answered who revoked the same once more that it was durable.
#[test]
fn i4_what_a_sync_failed_to_write_is_written_anew_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::lay(dir.path(), None);
    let denylist = Denylist::open(dir.path(), &options()).unwrap();
    denylist.revoke(revocation(1)).unwrap();
    plan.fail_next(Call::Sync, "journal");
    assert!(matches!(denylist.revoke(revocation(2)), Err(StoreError::Io { .. })));
    assert!(matches!(denylist.revoke(revocation(3)), Err(StoreError::ReadOnly(_))));
    drop(denylist);

    let denylist = Denylist::open(dir.path(), &options()).unwrap();
    assert!(denylist.revoke(revocation(2)).unwrap().durable);
    drop(denylist);
    plan.cut_the_power();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let denylist = Denylist::open(dir.path(), &options()).unwrap();
    assert_eq!([1, 2].map(|n| is_denied(&denylist, n)), [Some(true); 2]);
    plan.lift();
}

/// The same of the engine's file: what a checkpoint failed to write is made anew from the journal.
#[test]
fn i4_an_engine_that_failed_to_sync_is_not_believed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::lay(dir.path(), None);
    let denylist = Denylist::open(dir.path(), &options()).unwrap();
    denylist.revoke(revocation(1)).unwrap();
    plan.fail_next(Call::Sync, "sled");
    assert!(denylist.settle().is_err() && denylist.stats().refused.is_some());
    drop(denylist);
    let denylist = Denylist::open(dir.path(), &options()).unwrap();
    assert!(denylist.was_rebuilt() && is_denied(&denylist, 1) == Some(true));
    plan.lift();
}

/// A failed sync was told to whoever settled the store, and to nobody else: with syncs put off, writes went on.
#[test]
fn i5_a_sync_that_fails_for_one_has_failed_for_all() {
    let dir = tempfile::tempdir().unwrap();
    let plan = Plan::lay(dir.path(), None);
    let put_off = Options {
        durability: Durability::Interval(Duration::MAX),
        ..options()
    };
    let denylist = Denylist::open(dir.path(), &put_off).unwrap();
    denylist.revoke(revocation(1)).unwrap();
    plan.fail_next(Call::Sync, "journal");
    assert!(denylist.settle().is_err() && denylist.stats().refused.is_some());
    assert!(matches!(denylist.revoke(revocation(2)), Err(StoreError::ReadOnly(_))));
    assert_eq!(is_denied(&denylist, 1), Some(true), "reads go on");
    plan.lift();
}
