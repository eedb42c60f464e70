//! I4: the power goes while revocations are written. What was not synced is lost then, really.

use ostracon_store::{Denylist, StoreError};

use crate::{
    disk::Disk,
    ledger::{Ledger, check, random, rounds, tried, unlocked},
    support::{denied, options, revocation, token},
    writer::Writer,
};

/// Writes, loses power at some instant, starts again; answers how much of what was acknowledged is lost.
fn round(disk: &mut Disk, ledger: &mut Ledger, put_off: bool) -> usize {
    let store = disk.path().join("store");
    let writer = Writer::start(&store, ledger.next(), put_off);
    for _ in 0..=random(400) {
        ledger.note(writer.next().unwrap());
    }
    let switch = disk.power();
    writer.so_far().for_each(|event| ledger.note(event));
    switch.cut();
    // What it tells from here on is no promise that anybody heard: a sync that the cut overtakes may still return.
    for event in writer.kill() {
        ledger.doubt(event);
    }
    disk.start_again();
    ledger.lost(&store, put_off)
}

#[test]
fn i4_power_cuts_at_random_instants_lose_nothing() {
    let Some(mut disk) = Disk::ext4() else { return };
    let mut ledger = Ledger::default();
    for n in 0..rounds(6) {
        assert_eq!(round(&mut disk, &mut ledger, false), 0, "round {n}");
        check(&disk.path().join("store"));
    }
    assert!(ledger.len() > 20);
}

/// The same without syncs does lose something, so the test above can fail; and the store opens all the same, since no
/// checkpoint claims more than the journal has.
#[test]
fn i4_power_cuts_lose_what_was_put_off_and_nothing_is_damaged_by_it() {
    let Some(mut disk) = Disk::ext4() else { return };
    // A cut may come just behind a sync: a few rounds may lose nothing, a hundred do not.
    let (mut done, mut lost) = (0, 0);
    while done < rounds(6) || (lost == 0 && done < 100) {
        lost += round(&mut disk, &mut Ledger::default(), true);
        std::fs::remove_dir_all(disk.path().join("store")).unwrap();
        done += 1;
    }
    assert!(lost > 0, "{done} rounds");
}

/// I5: an I/O error is told as such; writes are refused from then on, reads go on, and nothing is lost.
#[test]
fn i5_an_io_error_refuses_writes_and_reads_go_on() {
    let Some(mut disk) = Disk::ext4() else { return };
    let store = disk.path().join("store");
    let denylist = unlocked(|| Denylist::open(&store, &options(true)));
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.settle().unwrap();
    disk.power().cut();
    let failed = denylist.revoke(revocation(token(2))).unwrap_err();
    assert!(matches!(&failed, StoreError::Io { .. }), "{failed:?}");
    assert!(
        failed.to_string().ends_with("see to the disk, and start again"),
        "{failed}"
    );
    assert!(matches!(
        denylist.revoke(revocation(token(3))),
        Err(StoreError::ReadOnly(_))
    ));
    assert!(denylist.stats().refused.is_some());
    assert!(denied(&denylist, &token(1)) && denied(&denylist, &token(2)) && !denied(&denylist, &token(4)));
    assert!(denylist.close().is_err());
    drop(denylist);
    let opened = tried(|| Denylist::open(&store, &options(true)));
    assert!(matches!(opened, Err(StoreError::Io { .. })), "{opened:?}");
    disk.start_again();
    let denylist = unlocked(|| Denylist::open(&store, &options(true)));
    assert!(denied(&denylist, &token(1)) && !denied(&denylist, &token(3)));
    denylist.revoke(revocation(token(3))).unwrap();
}
