//! Files that are not as they were left.

use std::fs;

use ostracon_core::Targets;
use ostracon_store::{Denylist, StoreError};

use crate::support::{NOW, at, denied, engine_parts, harm, open, options, revocation, segments, snapshot, token};

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
    fs::write(
        engine_parts(dir.path())[0].join("conf"),
        b"not a configuration of any engine",
    )
    .unwrap();
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
    fs::write(engine_parts(dir.path())[1].join("damaged"), b"").unwrap();
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

/// A reader comes upon a damaged row: from then on nothing is written, what is surely not listed passes, and the next
/// start mends it.
#[test]
fn i5_after_an_engine_error_writes_are_refused_and_reads_go_on() {
    let dir = with_hundred();
    harm(dir.path(), |rows, _, _| {
        for (key, row) in rows.iter().map(Result::unwrap) {
            let mut row = row.to_vec();
            *row.last_mut().unwrap() ^= 1;
            rows.insert(key, row).unwrap();
        }
    });
    let denylist = open(dir.path());
    denylist.settle().unwrap();
    assert_eq!(denylist.stats().refused, None);
    let check = |n| denylist.check(&Targets::one(token(n).as_ref()), at(NOW));
    assert!(
        matches!(check(7), Err(StoreError::Engine(_))),
        "unknown, and never not revoked"
    );
    let refused = denylist.stats().refused.unwrap();
    assert!(refused.contains("checksum"), "{refused}");
    assert!(matches!(
        denylist.revoke(revocation(token(200))),
        Err(StoreError::ReadOnly(_))
    ));
    assert!(denylist.lift(token(7)).is_err() && denylist.sweep(at(NOW)).is_err());
    assert!(
        (500..600)
            .filter(|n| denylist.is_clear(&Targets::one(token(*n).as_ref())))
            .count()
            > 90
    );
    drop(denylist);
    let denylist = open(dir.path());
    assert!(denylist.was_rebuilt() && (0..100).all(|n| denied(&denylist, &token(n))));
    assert!(!denied(&denylist, &token(200)));
}

/// Wherever a file of the engine is flipped or cut, whoever was revoked stays so: the engine says that it is damaged, or
/// the journal has what it lost. What cannot be told is an error.
#[test]
fn i5_an_engine_that_is_flipped_or_cut_anywhere_forgives_nobody() {
    let (dir, copy) = (with_hundred(), tempfile::tempdir().unwrap());
    let files: Vec<_> = engine_parts(dir.path())
        .iter()
        .flat_map(|part| fs::read_dir(part).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.strip_prefix(dir.path()).unwrap().to_owned())
        .collect();
    let (mut harmed, mut noticed) = (0, 0);
    for name in files {
        let good = fs::read(dir.path().join(&name)).unwrap();
        // Where there is something: most of a file is zeros.
        let written: Vec<_> = (0..good.len()).filter(|at| good[*at] != 0).collect();
        for place in written.iter().step_by(written.len() / 12 + 1) {
            for cut in [false, true] {
                snapshot(dir.path(), copy.path());
                let mut bad = good.clone();
                if cut {
                    bad.truncate(*place);
                } else {
                    bad[*place] ^= 0x10;
                }
                fs::write(copy.path().join(&name), bad).unwrap();
                harmed += 1;
                let what = format!("{} at {place}, cut: {cut}", name.display());
                for start in 0..2 {
                    let denylist = open(copy.path());
                    noticed += usize::from(denylist.was_rebuilt() || denylist.replayed() > 0);
                    let unknown = |n| {
                        let facts = denylist.check(&Targets::one(token(n).as_ref()), at(NOW));
                        // An error is an answer for one process; the next start mends it.
                        facts.map_or(start == 0, |facts| facts.revocation.is_some())
                    };
                    assert!((0..100).all(unknown), "{what}, start {start}");
                }
            }
        }
    }
    assert!(harmed > 20 && noticed > harmed / 2, "{noticed} of {harmed}");
}
