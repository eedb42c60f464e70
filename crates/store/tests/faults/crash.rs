//! I4: kill -9 at random instants.

use ostracon_store::Denylist;

use crate::{
    ledger::{Ledger, check, random, rounds, unlocked},
    support::options,
    writer::{BULK, Writer},
};

/// One directory goes through all rounds, so that each opening finds what many deaths have left.
#[test]
fn i4_i10_kills_at_random_instants_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    for round in 0..rounds(20) {
        let writer = Writer::start(dir.path(), ledger.next(), round % 4 == 3);
        // From before it has opened the store to some hundred acknowledgements later.
        for _ in 0..random(400) {
            ledger.note(writer.next().unwrap());
        }
        for event in writer.kill() {
            ledger.note(event);
        }
        assert_eq!(ledger.lost(dir.path(), round % 2 == 0), 0, "round {round}");
        check(dir.path());
    }
    assert!(ledger.len() > 100, "{}", ledger.len());
}

/// The engine gets nothing while writers are at it, up to a bound: what it lacks at a kill comes from the journal, and
/// there is much of it.
#[test]
fn i4_a_kill_while_much_waits_for_the_engine_loses_nothing() {
    const MUCH: u64 = 5_000;
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, mut most) = (Ledger::default(), 0);
    for round in 0..rounds(20) {
        let writer = Writer::start_in_bulk(dir.path(), ledger.next() + BULK);
        for _ in 0..10_000 {
            ledger.note(writer.next().unwrap());
        }
        for event in writer.kill() {
            ledger.note(event);
        }
        let denylist = unlocked(|| Denylist::open(dir.path(), &options(round % 2 == 0)));
        most = most.max(denylist.replayed());
        assert_eq!(ledger.lost_in(&denylist), 0, "round {round}");
        drop(denylist);
        check(dir.path());
        // A machine that is slow enough lets the engine in between; it need not be so each time.
        if most >= MUCH && round >= 2 {
            break;
        }
    }
    assert!(most >= MUCH, "{most} records replayed at the most");
}
