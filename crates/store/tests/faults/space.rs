//! A disk that is full, and one that cannot be written.

use std::fs;

use ostracon_core::Targets;
use ostracon_store::{Denylist, Options, StoreError};

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

/// While there still is some space nothing is taken in, and then it is again, with no restart: no write has failed.
#[test]
fn i5_a_disk_that_is_nearly_full_takes_nothing_in_until_there_is_space() {
    let Some(disk) = Disk::in_memory(16 << 10) else { return };
    let store = disk.path().join("store");
    let spared = Options {
        min_free_bytes: 4 << 20,
        ..options(true)
    };
    let denylist = unlocked(|| Denylist::open(&store, &spared));
    denylist.revoke_many((0..100).map(|n| revocation(token(n)))).unwrap();
    let ballast = disk.path().join("ballast");
    for round in 1..=3 {
        let new = token(round * 1_000);
        fs::write(&ballast, vec![7; 12 << 20]).unwrap();
        let full = denylist.revoke(revocation(new.clone())).unwrap_err();
        assert!(
            matches!(full, StoreError::Full { free, .. } if free < 4 << 20),
            "{full:?}"
        );
        assert!(matches!(denylist.lift(token(1)), Err(StoreError::Full { .. })));
        let stats = denylist.stats();
        assert!(stats.short_of_space && stats.refused.is_some_and(|why| why.contains("free some space")));
        assert!((0..100).all(|n| denied(&denylist, &token(n))) && !denied(&denylist, &new));
        // What was taken in before gets where it belongs, and what has ended goes: that makes space.
        denylist.settle().unwrap();
        denylist.sweep(at(NOW)).unwrap();
        fs::remove_file(&ballast).unwrap();
        assert_eq!(denylist.stats().refused, None);
        denylist.revoke(revocation(new.clone())).unwrap();
        assert!(denied(&denylist, &new));
    }
    drop(denylist);
    let denylist = unlocked(|| Denylist::open(&store, &spared));
    assert!(
        (0..100)
            .chain([1_000, 2_000, 3_000])
            .all(|n| denied(&denylist, &token(n)))
    );
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
