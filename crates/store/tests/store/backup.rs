//! What a backup holds, and what becomes of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use ostracon_core::{Note, Policy, Reason, Revocation};
use ostracon_store::{Backup, Denylist, StoreError, restore, verify_backup};

use crate::support::{NOW, Stop, at, denied, open, options, revocation, segments, token};

fn taken(denylist: &Denylist, into: &Path) -> Backup {
    denylist.backup(into, "backup", &[], &mut |_| ()).unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries.map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// I4: what was acknowledged before a backup is begun is denied by what is restored from it, while others write; what is
/// in a backup of what was written meanwhile, nobody is told.
#[test]
fn i4_a_backup_under_writers_has_all_that_was_acknowledged_before() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(&dir.path().join("store"));
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let backups = std::thread::scope(|scope| {
        for writer in 0..4 {
            let (denylist, acknowledged, stop) = (&denylist, &acknowledged, &stop);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let n = writer * 1_000_000 + n;
                    denylist.revoke(revocation(token(n))).unwrap();
                    acknowledged.lock().unwrap().push(n);
                }
            });
        }
        let _stop = Stop(&stop);
        let mut backups = Vec::new();
        for round in 1..=3 {
            while acknowledged.lock().unwrap().len() < round * 60 {
                std::thread::yield_now();
            }
            let before = acknowledged.lock().unwrap().clone();
            backups.push((before, taken(&denylist, &dir.path().join("backups"))));
        }
        backups
    });
    denylist.close().unwrap();
    for (n, (before, backup)) in backups.into_iter().enumerate() {
        let to = dir.path().join(format!("restored-{n}"));
        let restored = restore(&backup.path, &to, &mut |_| ()).unwrap();
        assert_eq!((restored.sequence, restored.records), (backup.sequence, backup.records));
        let denylist = open(&to);
        assert_eq!(denylist.replayed(), backup.records, "the journal is all that it needs");
        assert!(before.len() >= 60 && before.iter().all(|n| denied(&denylist, &token(*n))));
        assert!(!denied(&denylist, &token(999_999)));
        denylist.revoke(revocation(token(999_999))).unwrap();
        denylist.close().unwrap();
    }
}

/// I1: that something was forgotten is in the backup, too, even when no segment is left that said so.
#[test]
fn i1_what_was_forgotten_and_what_was_lifted_is_in_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(&dir.path().join("store"));
    for n in 0..60 {
        denylist.revoke(revocation(token(n))).unwrap();
    }
    let end = at(NOW + 100 * 86_400);
    denylist.settle().unwrap();
    denylist.sweep(end).unwrap();
    // Of a later time than what was forgotten: nothing else has to be kept.
    let later = |n| Revocation::new(token(n), Reason::Logout, &Policy::default(), end);
    denylist.revoke(later(100)).unwrap();
    denylist.revoke(later(101)).unwrap();
    denylist.lift(token(101)).unwrap();
    denylist.settle().unwrap();
    let forgotten = denylist.unlisted().forgotten_until;
    assert!(forgotten > at(NOW) && segments(&dir.path().join("store")).len() < 3);
    let backup = taken(&denylist, dir.path());
    let to = dir.path().join("restored");
    restore(&backup.path, &to, &mut |_| ()).unwrap();
    let restored = open(&to);
    assert_eq!(restored.unlisted().forgotten_until, forgotten);
    assert!(denied(&restored, &token(100)) && !denied(&restored, &token(101)));
}

#[test]
fn a_backup_is_for_its_owner_alone_and_what_was_killed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, into) = (dir.path().join("store"), dir.path().join("backups"));
    let denylist = open(&store);
    denylist.revoke(revocation(token(1))).unwrap();
    ostracon_store::write_new(&store.join("successor-key"), b"a secret").unwrap();
    let mut steps = Vec::new();
    let also = ["successor-key", "not-there"];
    let backup = denylist
        .backup(&into, "nightly", &also, &mut |p| steps.push(p))
        .unwrap();
    assert_eq!(names(&into), [format!("nightly-{:020}", backup.sequence)]);
    let last = steps.last().unwrap();
    assert_eq!((last.done, last.of), (backup.bytes * 3, backup.bytes * 3));
    assert_eq!(
        names(&backup.path),
        ["identity", "journal", "manifest", "successor-key"]
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert!(
        [&into, &backup.path, &backup.path.join("journal")]
            .iter()
            .all(|d| mode(d) == 0o700)
    );
    assert!(files(&backup.path).iter().all(|file| mode(file) == 0o600));

    // A backup that was killed half-way has left its directory; nothing takes it for one, and the next begins anew.
    let id = fs::read_to_string(backup.path.join("manifest")).unwrap();
    let id = id.lines().find_map(|line| line.strip_prefix("store ")).unwrap();
    let half = into.join(format!(".{id}.unfinished"));
    fs::create_dir_all(half.join("journal")).unwrap();
    fs::write(half.join("identity"), "half").unwrap();
    assert!(matches!(
        verify_backup(&half, &mut |_| ()),
        Err(StoreError::Backup { .. })
    ));
    let next = denylist.backup(&into, "nightly", &also, &mut |_| ()).unwrap();
    assert!(next.sequence > backup.sequence && !half.exists() && names(&into).len() == 2);
    let to = dir.path().join("restored");
    restore(&next.path, &to, &mut |_| ()).unwrap();
    assert_eq!(fs::read(to.join("successor-key")).unwrap(), b"a secret");
    assert_eq!(mode(&to), 0o700);
}

/// Whatever is damaged, cut, missing or too much: it is said, and nothing is restored.
#[test]
fn a_damaged_backup_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(&dir.path().join("store"));
    for n in 0..40 {
        denylist.revoke(revocation(token(n))).unwrap();
    }
    let backup = taken(&denylist, dir.path());
    let to = dir.path().join("restored");
    let refused = || {
        let (seen, restored) = (
            verify_backup(&backup.path, &mut |_| ()),
            restore(&backup.path, &to, &mut |_| ()),
        );
        assert!(!to.exists() && !to.with_added_extension("restoring").exists());
        matches!(
            (seen, restored),
            (Err(StoreError::Backup { .. }), Err(StoreError::Backup { .. }))
        )
    };
    for file in files(&backup.path) {
        let good = fs::read(&file).unwrap();
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&file, &bad).unwrap();
            assert!(refused(), "byte {at} of {}", file.display());
        }
        fs::write(&file, &good[..good.len() - 1]).unwrap();
        assert!(refused(), "{} is cut", file.display());
        fs::write(&file, [&good[..], b"x"].concat()).unwrap();
        assert!(refused(), "{} is longer", file.display());
        fs::remove_file(&file).unwrap();
        assert!(refused(), "{} is missing", file.display());
        fs::write(&file, &good).unwrap();
    }
    fs::create_dir_all(&to).unwrap();
    restore(&backup.path, &to, &mut |_| ()).unwrap();
    let again = restore(&backup.path, &to, &mut |_| ());
    assert!(matches!(again, Err(StoreError::Occupied(_))), "{again:?}");
    assert!(denied(&open(&to), &token(39)), "what is there stays as it is");
}

/// The copy is read back: a segment that is damaged on the disk makes no backup.
#[test]
fn i5_a_store_with_a_damaged_journal_makes_no_backup() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let denylist = open(&store);
    for n in 0..40 {
        denylist.revoke(revocation(token(n))).unwrap();
    }
    let segment = segments(&store).into_iter().next().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let into = dir.path().join("backups");
    let failed = denylist.backup(&into, "backup", &[], &mut |_| ());
    assert!(matches!(failed, Err(StoreError::Backup { .. })), "{failed:?}");
    assert!(names(&into).is_empty(), "nothing is left");
}

#[test]
fn i2_the_prefilter_is_rebuilt_while_it_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let many: Vec<_> = (0..3_000).map(|n| revocation(token(n))).collect();
    denylist.revoke_many(many).unwrap();
    denylist.settle().unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (denylist, stop) = (&denylist, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    for n in (reader..3_000).step_by(97) {
                        assert!(denied(denylist, &token(n)), "{n}");
                    }
                }
            });
        }
        let _stop = Stop(&stop);
        for n in 0..3 {
            assert_eq!(denylist.rebuild_prefilter().unwrap(), Some(256));
            denylist.revoke(revocation(token(5_000 + n))).unwrap();
        }
    });
    assert!((0..3).all(|n| denied(&denylist, &token(5_000 + n))));
    drop(denylist);
    let without = Denylist::open(dir.path(), &options(false)).unwrap();
    assert_eq!(without.rebuild_prefilter().unwrap(), None);
}

/// I1: the segment that is left says what was forgotten, however little is in it: the ones before it are deleted, and the
/// engine, which says so as well, can be lost.
#[test]
fn i1_a_segment_says_what_was_forgotten_from_its_first_group_on() {
    let end = at(NOW + 100 * 86_400);
    let mut alone = 0;
    // For some lengths, the very record that says what is forgotten is the last of its segment.
    for length in (0..100).step_by(9) {
        let dir = tempfile::tempdir().unwrap();
        let denylist = open(dir.path());
        let note = Note::new("x".repeat(length + 1)).unwrap();
        denylist.revoke(revocation(token(0)).noted(Some(note))).unwrap();
        for n in 1..30 {
            denylist.revoke(revocation(token(n))).unwrap();
        }
        denylist.sweep(end).unwrap();
        let forgotten = denylist.unlisted().forgotten_until;
        let later = Revocation::new(token(100), Reason::Logout, &Policy::default(), end);
        denylist.revoke(later).unwrap();
        denylist.settle().unwrap();
        denylist.close().unwrap();
        drop(denylist);
        alone += usize::from(segments(dir.path()).len() == 1);
        fs::remove_dir_all(dir.path().join("sled")).unwrap();
        assert_eq!(open(dir.path()).unlisted().forgotten_until, forgotten, "after {length}");
    }
    assert!(alone > 0);
}
