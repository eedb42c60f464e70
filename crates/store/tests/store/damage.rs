//! Files that are not as they were left.

use std::fs;

use ostracon_store::{Denylist, StoreError};

use crate::support::{denied, open, options, revocation, segments, snapshot, token};

fn with_hundred() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke_many((0..100).map(|n| revocation(token(n)))).unwrap();
    denylist.close().unwrap();
    dir
}

#[test]
fn i4_a_lost_engine_is_rebuilt_from_the_journal() {
    let dir = with_hundred();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let denylist = open(dir.path());
    assert_eq!((denylist.replayed(), denylist.was_rebuilt()), (100, false));
    assert!((0..100).all(|n| denied(&denylist, &token(n))) && !denied(&denylist, &token(100)));
}

#[test]
fn i4_a_damaged_engine_is_set_aside_and_rebuilt_from_the_journal() {
    let dir = with_hundred();
    fs::write(dir.path().join("sled/conf"), b"not a configuration of any engine").unwrap();
    let denylist = open(dir.path());
    assert_eq!((denylist.replayed(), denylist.was_rebuilt()), (100, true));
    assert!((0..100).all(|n| denied(&denylist, &token(n))));
    assert!(
        dir.path().join("sled.damaged-1").is_dir(),
        "kept for whoever wants to look"
    );
}

#[test]
fn i4_an_engine_that_was_seen_to_be_damaged_is_rebuilt_at_the_next_opening() {
    let dir = with_hundred();
    fs::write(dir.path().join("sled/damaged"), b"").unwrap();
    let denylist = open(dir.path());
    assert!(denylist.was_rebuilt() && (0..100).all(|n| denied(&denylist, &token(n))));
}

#[test]
fn i5_a_lost_journal_is_noticed() {
    let dir = with_hundred();
    for segment in segments(dir.path()) {
        fs::remove_file(segment).unwrap();
    }
    assert!(matches!(
        Denylist::open(dir.path(), &options(true)),
        Err(StoreError::Damaged { .. })
    ));
}

#[test]
fn i5_a_journal_that_ends_before_the_engine_is_noticed() {
    let dir = with_hundred();
    let last = segments(dir.path()).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    let error = Denylist::open(dir.path(), &options(true)).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(
        error.to_string().contains("restore a backup"),
        "says what to do: {error}"
    );
}

/// Whatever two of the three are lost, nobody is forgiven in silence.
#[test]
fn i5_a_lost_identity_or_journal_is_noticed_whatever_else_is_lost() {
    for lost in [
        &["identity"][..],
        &["journal"],
        &["identity", "journal"],
        &["identity", "sled"],
        &["journal", "sled"],
    ] {
        let dir = with_hundred();
        for part in lost {
            let path = dir.path().join(part);
            fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).unwrap();
        }
        let opened = Denylist::open(dir.path(), &options(true));
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{lost:?}");
    }
}

/// A death at the very first start leaves a journal without an identity; nothing was written to it.
#[test]
fn a_store_that_was_only_just_begun_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    fs::remove_file(dir.path().join("identity")).unwrap();
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(1))).unwrap();
    assert!(denied(&denylist, &token(1)));
}

#[test]
fn files_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("deep/store");
    let denylist = open(&store);
    let mode = |path: &str| fs::metadata(store.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("identity"), mode("journal")), (0o700, 0o600, 0o700));
    drop(denylist);
}

#[test]
fn a_torn_end_is_cut_and_what_was_acknowledged_stays() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(1))).unwrap();
    snapshot(dir.path(), copy.path());
    let last = segments(copy.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend(b"\0\0\0\x40half of a group that nobody was told of");
    fs::write(&last, bytes).unwrap();
    let after = open(copy.path());
    assert!(denied(&after, &token(1)));
    after.revoke(revocation(token(2))).unwrap();
    drop(after);
    let again = open(copy.path());
    assert!(denied(&again, &token(1)) && denied(&again, &token(2)));
}
