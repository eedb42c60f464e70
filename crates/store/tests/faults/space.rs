//! A disk that is full, and one that cannot be written.

use std::fs;

use ostracon_core::Targets;
use ostracon_store::{Denylist, StoreError};

use crate::{
    disk::Disk,
    ledger::{tried, unlocked},
    support::{NOW, at, denied, options, revocation, token},
};

/// Fills what is left of `disk`; freed by removing the file.
fn fill(disk: &Disk) -> std::path::PathBuf {
    let path = disk.path().join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    while std::io::Write::write_all(&mut file, &[7; 4096]).is_ok() {}
    path
}

#[test]
fn i5_a_disk_that_fills_up_refuses_writes_and_forgets_nothing() {
    let Some(disk) = Disk::in_memory(2560) else { return };
    let store = disk.path().join("store");
    let denylist = unlocked(|| Denylist::open(&store, &options(true)));
    let mut acknowledged = 0;
    let failed = loop {
        match denylist.revoke(revocation(token(acknowledged))) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 100_000, "it is never full");
    };
    assert!(acknowledged > 100);
    assert!(
        matches!(failed, StoreError::Io { .. } | StoreError::ReadOnly(_)) && failed.to_string().contains("space"),
        "{failed:?}"
    );
    assert!(matches!(
        denylist.revoke(revocation(token(0))),
        Err(StoreError::ReadOnly(_))
    ));
    let refused = denylist.stats().refused.unwrap();
    assert!(refused.contains("No space left"), "{refused}");
    // What the engine has let go of and could not write is unknown until the next start; none of it is "not revoked".
    let check = |n| denylist.check(&Targets::one(token(n).as_ref()), at(NOW));
    assert!((0..acknowledged).all(|n| check(n).map_or(true, |facts| facts.revocation.is_some())));
    let clear = (200_000..200_100).filter(|n| denylist.is_clear(&Targets::one(token(*n).as_ref())));
    assert!(clear.count() > 90, "reads go on");
    drop(denylist);

    // Still full: it does not start, says why, and leaves everything as it is.
    let ballast = fill(&disk);
    for _ in 0..2 {
        if let Err(error) = tried(|| Denylist::open(&store, &options(true))) {
            assert!(error.to_string().contains("space"), "{error}");
        }
    }
    assert!(!store.join("sled.damaged-1").exists(), "a full disk is no damage");
    fs::remove_file(ballast).unwrap();
    disk.remount("size=64m");
    let denylist = unlocked(|| Denylist::open(&store, &options(true)));
    assert!((0..acknowledged).all(|n| denied(&denylist, &token(n))));
    denylist.revoke(revocation(token(200_000))).unwrap();
    denylist.settle().unwrap();
}

#[test]
fn a_store_is_not_begun_on_a_full_disk_and_is_once_there_is_space() {
    let Some(disk) = Disk::in_memory(1024) else { return };
    let ballast = fill(&disk);
    let store = disk.path().join("store");
    for _ in 0..2 {
        let error = tried(|| Denylist::open(&store, &options(true))).unwrap_err();
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("free some space"), "{error}");
    }
    fs::remove_file(ballast).unwrap();
    disk.remount("size=16m");
    unlocked(|| Denylist::open(&store, &options(true)))
        .revoke(revocation(token(1)))
        .unwrap();
}

#[test]
fn i5_a_disk_that_cannot_be_written_is_told_and_nothing_is_lost() {
    let Some(disk) = Disk::in_memory(16 << 10) else { return };
    let store = disk.path().join("store");
    unlocked(|| Denylist::open(&store, &options(true)))
        .revoke(revocation(token(1)))
        .unwrap();
    // sled's threads hold their files a little longer than its handle lives; the remount waits for nobody.
    drop(unlocked(|| Denylist::open(&store, &options(true))));
    let error = loop {
        let remounted = std::process::Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(disk.path())
            .output()
            .unwrap();
        if remounted.status.success() {
            break tried(|| Denylist::open(&store, &options(true))).unwrap_err();
        }
    };
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("mount it writable"), "{error}");
    let fresh = Denylist::open(&disk.path().join("fresh"), &options(true)).unwrap_err();
    assert!(fresh.to_string().contains("mount it writable"), "{fresh}");
    disk.remount("rw");
    assert!(denied(&unlocked(|| Denylist::open(&store, &options(true))), &token(1)));
}
