//! Stores that were written before: the files of each format are kept, and must open.
//!
//! `stored/format-2-parts/` was written by [`write_format_2`], `stored/format-2/` by the same while the engine was one part
//! and an index row spoke of one entry, and `stored/format-1/` by what it was before; the zeros at the end of the engine's
//! files were cut off. None is ever written again.

use std::{fs, path::Path};

use ostracon_core::{Note, Policy, Reason, Revocation};
use ostracon_store::{ClosedStore, Denylist, Durability, Options, StoreError};

use crate::support::{NOW, all_kinds, at, denied, engine_parts, open, options, revocation, segments, snapshot, token};

fn stored(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/store/stored")
        .join(name);
    snapshot(&from, dir.path());
    // The engine's files are kept without the zeros that they end with.
    for part in engine_parts(dir.path()) {
        let db = fs::OpenOptions::new().write(true).open(part.join("db")).unwrap();
        let is_whole = part.ends_with("sled");
        db.set_len(if is_whole { ENGINE_BYTES } else { PART_BYTES }).unwrap();
    }
    dir
}

const ENGINE_BYTES: u64 = 524_287;
const PART_BYTES: u64 = 65_535;

/// All that a journal can hold: each kind, a lift, what was forgotten, groups ahead of their sync, two segments.
fn write_format_2(dir: &Path) {
    let put_off = Options {
        durability: Durability::Interval(std::time::Duration::MAX),
        ..options(false)
    };
    let denylist = Denylist::open(dir, &put_off).unwrap();
    let note = Note::new("ticket 4711").unwrap();
    let noted = Revocation::new(token(1), Reason::Compromised, &Policy::default(), at(NOW)).noted(Some(note));
    denylist.revoke(noted).unwrap();
    for target in all_kinds() {
        denylist.revoke(revocation(target)).unwrap();
    }
    denylist.revoke_many((2..30).map(|n| revocation(token(n)))).unwrap();
    denylist.lift(token(2)).unwrap();
    let ended = revocation(token(100)).expiring(at(NOW + 10), &Policy::default());
    denylist.revoke(ended).unwrap();
    denylist.settle().unwrap();
    denylist.sweep(at(NOW + 5000)).unwrap();
    denylist.close().unwrap();
}

fn is_all_there(denylist: &Denylist) {
    assert!(all_kinds().iter().all(|target| denied(denylist, target)));
    assert!((1..30).all(|n| denied(denylist, &token(n)) == (n != 2)));
    let noted = denylist.entry(token(1).as_ref()).unwrap().unwrap();
    assert_eq!(
        (noted.reason(), noted.note().unwrap().as_str()),
        (Reason::Compromised, "ticket 4711")
    );
    let ended = revocation(token(100)).expiring(at(NOW + 10), &Policy::default());
    assert_eq!(denylist.unlisted().forgotten_until, ended.retained_until());
}

/// Its digests were made otherwise, so that a look-up in its engine would find nothing (I5): that one is made anew.
#[test]
fn i5_a_store_of_format_1_is_brought_up_by_its_first_opening() {
    let dir = stored("format-1");
    let closed = || ClosedStore::take(dir.path()).unwrap();
    let checked = closed().check().err();
    let repaired = closed().repair().err();
    let rebuilt = closed().rebuild().err();
    for refused in [checked, repaired, rebuilt] {
        assert!(
            matches!(&refused, Some(older @ StoreError::Older { found: 1, .. }) if older.to_string().contains("start the server")),
            "{refused:?}"
        );
    }
    let denylist = open(dir.path());
    is_all_there(&denylist);
    drop(denylist);
    assert!(closed().check().unwrap().is_sound());
    is_all_there(&open(dir.path()));
}

#[test]
fn a_store_of_format_2_opens_with_its_engine_and_without() {
    let dir = stored("format-2");
    assert!(segments(dir.path()).len() > 1);
    let report = ClosedStore::take(dir.path()).unwrap().check().unwrap();
    assert!(report.is_sound(), "{report:?}");
    let denylist = open(dir.path());
    assert!(!denylist.was_rebuilt());
    is_all_there(&denylist);
    assert!(!denied(&denylist, &token(100)), "it was swept");
    denylist.revoke(revocation(token(200))).unwrap();
    drop(denylist);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let denylist = open(dir.path());
    is_all_there(&denylist);
    assert!(denied(&denylist, &token(200)));
}

#[test]
fn i3_a_store_of_format_2_in_parts_opens_and_is_swept() {
    let dir = stored("format-2-parts");
    let check = || ClosedStore::take(dir.path()).unwrap().check().unwrap();
    let report = check();
    assert!(report.is_sound(), "{report:?}");
    let denylist = open(dir.path());
    assert!(!denylist.was_rebuilt());
    is_all_there(&denylist);
    let swept = denylist.sweep(at(10 * NOW)).unwrap();
    assert_eq!(u64::try_from(swept.entries).unwrap(), report.counts.entries);
    denylist.settle().unwrap();
    drop(denylist);
    let counts = check().counts;
    assert_eq!((counts.entries, counts.indexed), (0, 0));
}

/// What writes the files that are kept still writes what is in them.
#[test]
fn what_is_stored_is_what_this_version_writes() {
    let dir = tempfile::tempdir().unwrap();
    write_format_2(dir.path());
    is_all_there(&open(dir.path()));
    if let Some(keep) = std::env::var_os("OSTRACON_STORE_FORMAT_INTO") {
        snapshot(dir.path(), Path::new(&keep));
    }
}
