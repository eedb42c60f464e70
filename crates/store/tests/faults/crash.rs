//! I4: kill -9 at random instants.

use crate::{
    ledger::{Ledger, check, random, rounds},
    writer::Writer,
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
