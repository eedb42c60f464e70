//! Looking at a store that nobody has open, and mending it.

use std::{fs, path::Path};

use ostracon_core::Policy;
use ostracon_store::{ClosedStore, Denylist, Options, Part, Remedy, Report, StoreError};

use crate::support::{NOW, at, denied, harm, open, options, revocation, segments, snapshot, token};

/// Entries 0 to 99, of which some were lifted and some swept, closed in good order.
fn closed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    // In one part, so that what is done to a row is done to one row.
    let whole = Options {
        engine_parts: 1,
        ..options(true)
    };
    let denylist = Denylist::open(dir.path(), &whole).unwrap();
    for tens in 0..10 {
        let ten = tens * 10..(tens + 1) * 10;
        denylist.revoke_many(ten.map(|n| revocation(token(n)))).unwrap();
    }
    let ending = |n| revocation(token(n)).expiring(at(NOW + 10), &Policy::default());
    denylist.revoke_many((100..120).map(ending)).unwrap();
    denylist.settle().unwrap();
    denylist.sweep(at(NOW + 5000)).unwrap();
    denylist.revoke(revocation(token(120))).unwrap();
    denylist.lift(token(120)).unwrap();
    denylist.close().unwrap();
    dir
}

fn check(dir: &Path) -> Report {
    ClosedStore::take(dir).unwrap().check().unwrap()
}

fn all_denied(denylist: &Denylist, count: usize) -> bool {
    (0..count).all(|n| denied(denylist, &token(n))) && !denied(denylist, &token(999))
}

/// What is wrong, as one line each.
fn found(report: &Report) -> Vec<String> {
    let findings = report.findings.iter();
    findings
        .map(|found| format!("{}: {} [{}]", found.part, found.problem, found.remedy.as_str()))
        .collect()
}

/// Finds what `expected` says, mends it by a repair, and then finds nothing; nobody was forgiven.
fn is_found_and_repaired(dir: &Path, expected: &[&str]) {
    assert_eq!(found(&check(dir)), expected);
    let mended = ClosedStore::take(dir).unwrap().repair().unwrap();
    assert_eq!(mended.entries, 100, "{expected:?}");
    assert!(mended.set_aside.iter().all(|path| path.is_dir()) && !mended.set_aside.is_empty());
    assert_eq!(found(&check(dir)), [""; 0], "{expected:?}");
    let denylist = open(dir);
    assert_eq!((denylist.replayed(), denylist.was_rebuilt()), (0, false));
    assert!(
        all_denied(&denylist, 100) && !denied(&denylist, &token(120)),
        "{expected:?}"
    );
    assert_eq!(denylist.unlisted().forgotten_until, forgotten(), "I1");
    denylist.revoke(revocation(token(500))).unwrap();
    drop(denylist);
    // And so it is from the journal alone.
    fs::remove_dir_all(dir.join("sled")).unwrap();
    let denylist = open(dir);
    assert!(all_denied(&denylist, 100) && denied(&denylist, &token(500)));
    assert_eq!(denylist.unlisted().forgotten_until, forgotten(), "I1");
}

fn forgotten() -> ostracon_core::UnixTime {
    let entry = revocation(token(100)).expiring(at(NOW + 10), &Policy::default());
    entry.retained_until()
}

#[test]
fn a_sound_store_is_counted_and_not_changed() {
    let dir = closed();
    for _ in 0..2 {
        let report = check(dir.path());
        assert!(report.is_sound() && report.notes.is_empty(), "{report:?}");
        let counts = report.counts;
        assert_eq!((counts.entries, counts.indexed, counts.to_replay), (100, 100, 0));
        // Each segment says anew what is forgotten.
        assert!(counts.records >= 122 && counts.segments > 2, "{counts:?}");
    }
    assert!(all_denied(&open(dir.path()), 100));
}

#[test]
fn what_a_kill_leaves_is_a_note_and_no_finding() {
    let dir = closed();
    harm(dir.path(), |_, due, _| {
        due.insert([7; 24], &[]).unwrap();
    });
    let mut last = fs::OpenOptions::new()
        .append(true)
        .open(segments(dir.path()).pop().unwrap())
        .unwrap();
    std::io::Write::write_all(&mut last, b"half of a group").unwrap();
    fs::write(dir.path().join("journal/00000000000000000999.log.new"), b"").unwrap();
    let report = check(dir.path());
    assert!(report.is_sound(), "{report:?}");
    let parts: Vec<_> = report.notes.iter().map(|note| note.part).collect();
    assert_eq!(parts, [Part::Journal, Part::Journal, Part::Index]);
    assert!(report.notes.iter().all(|note| note.remedy == Remedy::Start));
}

#[test]
fn rows_and_index_are_found_out_and_made_anew() {
    let dir = closed();
    harm(dir.path(), |rows, _, _| {
        let (key, row) = rows.first().unwrap().unwrap();
        let mut row = row.to_vec();
        row[9] ^= 4;
        rows.insert(key, row).unwrap();
    });
    let damaged = [
        "engine: 1 rows do not say what was written [repair]",
        "checkpoint: 1 records of the journal are not in the rows, though the checkpoint says so [repair]",
    ];
    is_found_and_repaired(dir.path(), &damaged);

    let dir = closed();
    harm(dir.path(), |rows, _, _| {
        let (key, row) = rows.last().unwrap().unwrap();
        rows.remove(key).unwrap();
        rows.insert([3; 16], row).unwrap();
    });
    let misplaced = [
        "engine: 1 rows stand under another's key [repair]",
        "checkpoint: 1 records of the journal are not in the rows, though the checkpoint says so [repair]",
    ];
    is_found_and_repaired(dir.path(), &misplaced);

    // I3: without its index row, an entry would never end.
    let dir = closed();
    harm(dir.path(), |_, due, _| {
        // The longest row speaks of seven less, of 17 bytes each.
        let rows = due.iter().map(Result::unwrap);
        let (key, value) = rows.max_by_key(|(_, value)| value.len()).unwrap();
        due.insert(key, &value[..value.len() - 7 * 17]).unwrap();
        due.insert(b"no key", &[]).unwrap();
    });
    let unindexed = [
        "index: 7 entries are not in it and would never end [repair]",
        "index: 1 of its rows make no sense [repair]",
    ];
    is_found_and_repaired(dir.path(), &unindexed);

    // An engine that lost rows and claims to have them: nothing but this comparison sees it.
    let dir = closed();
    harm(dir.path(), |rows, due, _| {
        for tree in [rows, due] {
            tree.clear().unwrap();
        }
    });
    let lost = ["checkpoint: 100 records of the journal are not in the rows, though the checkpoint says so [repair]"];
    is_found_and_repaired(dir.path(), &lost);
}

#[test]
fn a_checkpoint_or_an_engine_that_makes_no_sense_is_made_anew_from_the_journal() {
    let nonsense: Harm = |dir| {
        harm(dir, |_, _, meta| {
            meta.insert(b"checkpoint", b"nonsense").unwrap();
        });
    };
    let conf: Harm = |dir| fs::write(dir.join("sled/conf"), b"not a configuration of any engine").unwrap();
    let marked: Harm = |dir| fs::write(dir.join("sled/damaged"), b"").unwrap();
    for (harm, part) in [
        (nonsense, Part::Checkpoint),
        (conf, Part::Engine),
        (marked, Part::Engine),
    ] {
        let dir = closed();
        harm(dir.path());
        let report = check(dir.path());
        let parts: Vec<_> = report.findings.iter().map(|found| (found.part, found.remedy)).collect();
        assert_eq!(parts, [(part, Remedy::Rebuild)], "{report:?}");
        let mended = ClosedStore::take(dir.path()).unwrap().rebuild().unwrap();
        assert!(mended.entries == 100 && mended.set_aside == [dir.path().join("sled.damaged-1")]);
        assert!(check(dir.path()).is_sound());
        let denylist = open(dir.path());
        assert!(all_denied(&denylist, 100) && denylist.unlisted().forgotten_until == forgotten());
    }
}

type Harm = fn(&Path);

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[100] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

/// A journal that lost something stops the start. Without a backup, the rows and the rest of it are what there is.
#[test]
fn i5_a_damaged_journal_is_begun_anew_with_all_that_can_be_read_and_not_by_itself() {
    let harms: [(usize, Harm); 3] = [(0, flip), (1, remove), (usize::MAX, cut)];
    for (segment, harm) in harms {
        let dir = closed();
        let all = segments(dir.path());
        harm(all.get(segment).or(all.last()).unwrap());
        let report = check(dir.path());
        assert!(!report.is_sound(), "{segment}");
        let restore = |found: &ostracon_store::Finding| (found.part, found.remedy) == (Part::Journal, Remedy::Restore);
        assert!(report.findings.iter().any(restore), "{report:?}");
        let rebuilt = ClosedStore::take(dir.path()).unwrap().rebuild();
        assert!(matches!(rebuilt, Err(StoreError::Damaged { .. })), "{rebuilt:?}");
        assert!(!dir.path().join("sled.damaged-1").exists(), "nothing was changed");
        let before = open_is_refused(dir.path(), segment);
        let mended = ClosedStore::take(dir.path()).unwrap().repair().unwrap();
        let aside = ["sled.damaged-1", "journal.damaged-1"].map(|name| dir.path().join(name));
        assert_eq!(mended.set_aside, aside, "{before}");
        assert_eq!(found(&check(dir.path())), [""; 0]);
        let denylist = open(dir.path());
        assert!(all_denied(&denylist, 100) && denylist.unlisted().forgotten_until == forgotten());
        // A lift that was lost with the end is undone: where nobody knows, it is denied.
        assert_eq!(denied(&denylist, &token(120)), segment == usize::MAX);
        drop(denylist);
        // Numbers go on where they were: positions in the stream of records never come twice.
        let first = segments(dir.path()).remove(0);
        assert!(
            first
                > dir
                    .path()
                    .join("journal")
                    .join(all.last().unwrap().file_name().unwrap())
        );
    }
}

/// A first segment that is missing was noticed by nobody, and a rebuild forgave what it had denied.
#[test]
fn i5_a_journal_that_begins_later_than_it_did_stops_the_start() {
    let dir = closed();
    let all = segments(dir.path());
    remove(&all[0]);
    let second: u64 = all[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let report = check(dir.path());
    let missing = format!(
        "journal: records 1 to {} are missing at its beginning [restore]",
        second - 1
    );
    assert!(found(&report).contains(&missing), "{report:?}");
    let damaged = || {
        matches!(
            Denylist::open(dir.path(), &options(true)),
            Err(StoreError::Damaged { .. })
        )
    };
    assert!(damaged());
    let rebuilt = ClosedStore::take(dir.path()).unwrap().rebuild();
    assert!(matches!(rebuilt, Err(StoreError::Damaged { .. })), "{rebuilt:?}");
    let (kept, without) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for copy in [kept.path(), without.path()] {
        snapshot(dir.path(), copy);
    }
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert!(damaged(), "not by itself either, once the rows are gone");
    // With the rows all of it is there.
    let repaired = |dir: &Path| ClosedStore::take(dir).unwrap().repair().unwrap();
    let mended = repaired(kept.path());
    assert_eq!((mended.entries, mended.lost), (100, 0));
    assert!(check(kept.path()).is_sound() && all_denied(&open(kept.path()), 100));
    // Without them, a repair says how many are not.
    assert_eq!(repaired(dir.path()).lost, second - 1);
    // Earlier versions did not say where it begins.
    remove(&without.path().join("journal/first"));
    drop(open(without.path()));
    assert!(
        without.path().join("journal/first").exists(),
        "from here on it is known"
    );
    // Nor is it believed when it makes no sense.
    fs::write(without.path().join("journal/first"), b"nonsense, and more").unwrap();
    drop(open(without.path()));
    assert!(check(without.path()).notes.is_empty());
    remove(&segments(without.path())[0]);
    assert!(
        Denylist::open(without.path(), &options(true)).is_err(),
        "and is stated anew"
    );
}

/// What is deleted since all of it has ended is not missing.
#[test]
fn a_journal_whose_beginning_has_ended_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    for tens in 0..10 {
        let ending = |n| revocation(token(n)).expiring(at(NOW + 10), &Policy::default());
        denylist.revoke_many((tens * 10..(tens + 1) * 10).map(ending)).unwrap();
    }
    denylist.settle().unwrap();
    let before = segments(dir.path());
    denylist.sweep(at(NOW + 5000)).unwrap();
    denylist.settle().unwrap();
    denylist.close().unwrap();
    drop(denylist);
    let after = segments(dir.path());
    assert!(after[0] > before[0], "{after:?}");
    assert!(check(dir.path()).is_sound());
    drop(open(dir.path()));
    remove(&after[0]);
    assert!(Denylist::open(dir.path(), &options(true)).is_err());
}

/// A repair stopped at the first byte that was wrong, and gave up what was whole behind it.
#[test]
fn i5_a_repair_goes_on_behind_damage_and_tells_what_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = Denylist::open(dir.path(), &Options::default()).unwrap();
    for tens in 0..10 {
        let ten = tens * 10..(tens + 1) * 10;
        denylist.revoke_many(ten.map(|n| revocation(token(n)))).unwrap();
    }
    denylist.close().unwrap();
    drop(denylist);
    let path = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let mut frame = 32;
    for _ in 0..3 {
        let len: [u8; 4] = bytes[frame..frame + 4].try_into().unwrap();
        frame += 8 + usize::try_from(u32::from_be_bytes(len)).unwrap();
    }
    bytes[frame + 20] ^= 1;
    fs::write(&path, bytes).unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let lost =
        "journal: 10 records are lost: their numbers are missing, and what they said is in no row either [restore]";
    assert!(found(&check(dir.path())).contains(&lost.to_owned()));
    let mended = ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    assert_eq!((mended.entries, mended.lost), (90, 10));
    let denylist = open(dir.path());
    assert!((0..100).all(|n| denied(&denylist, &token(n)) != (30..40).contains(&n)));
}

fn open_is_refused(dir: &Path, segment: usize) -> String {
    // A segment that the engine is past is not read at a start; its absence and the end's are seen.
    let opened = Denylist::open(dir, &options(false));
    assert!(segment == 0 || opened.is_err());
    opened.map_or_else(|error| error.to_string(), |_| String::new())
}

/// What only the rows have, as after a power cut where syncs were put off, is not forgiven by a rebuild.
#[test]
fn i5_entries_that_the_journal_lacks_are_kept() {
    let (dir, more) = (closed(), tempfile::tempdir().unwrap());
    snapshot(dir.path(), more.path());
    let denylist = open(more.path());
    denylist.revoke_many((200..210).map(|n| revocation(token(n)))).unwrap();
    denylist.close().unwrap();
    drop(denylist);
    harm(more.path(), |more_rows, more_due, _| {
        harm(dir.path(), |rows, due, _| {
            for (from, to) in [(more_rows, rows), (more_due, due)] {
                for (key, row) in from.iter().map(Result::unwrap) {
                    to.insert(key, row).unwrap();
                }
            }
        });
    });
    let report = check(dir.path());
    let lacking = ["journal: 10 entries are in the rows alone, and would be lost with them [repair]"];
    assert_eq!(found(&report), lacking);
    let rebuilt = ClosedStore::take(dir.path()).unwrap().rebuild();
    assert!(matches!(rebuilt, Err(StoreError::WouldForget { entries: 10, .. })));
    let mended = ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    assert_eq!((mended.entries, mended.journaled), (110, 10));
    assert!(check(dir.path()).is_sound());
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let denylist = open(dir.path());
    assert!(all_denied(&denylist, 100) && (200..210).all(|n| denied(&denylist, &token(n))));
}

/// Found by the model: a journal that lost its end still had the lift of what its end revoked once more, and a repair that
/// replayed it over the rows forgave that.
#[test]
fn i5_a_lift_is_not_done_over_again_where_the_revocation_behind_it_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.lift(token(1)).unwrap();
    denylist.revoke(revocation(token(1))).unwrap();
    denylist.close().unwrap();
    drop(denylist);
    cut(&segments(dir.path()).pop().unwrap());
    ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    assert!(denied(&open(dir.path()), &token(1)));
}

#[test]
fn an_identity_that_is_lost_is_found_and_cannot_be_repaired() {
    let dir = closed();
    fs::write(dir.path().join("identity"), b"nobody").unwrap();
    assert_eq!(
        found(&check(dir.path())),
        ["identity: its checksum does not fit [restore]"]
    );
    fs::remove_file(dir.path().join("identity")).unwrap();
    let missing = ["identity: it is missing, though a store is there [restore]"];
    assert_eq!(found(&check(dir.path())), missing);
    let store = || ClosedStore::take(dir.path()).unwrap();
    assert!(matches!(store().repair(), Err(StoreError::Damaged { .. })));
    assert!(matches!(store().rebuild(), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_repair_that_was_interrupted_is_done_again() {
    let dir = closed();
    fs::create_dir(dir.path().join("sled.mending")).unwrap();
    fs::write(dir.path().join("sled.mending/conf"), b"half").unwrap();
    ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    // Between the two renames the engine is gone; the next start, or the next repair, makes it anew.
    fs::rename(dir.path().join("sled"), dir.path().join("sled.damaged-2")).unwrap();
    let report = check(dir.path());
    assert!(report.is_sound() && report.notes.len() == 1, "{report:?}");
    ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    assert!(check(dir.path()).is_sound() && all_denied(&open(dir.path()), 100));
}

#[test]
fn a_store_that_a_server_has_open_is_left_alone_and_none_is_made_where_none_is() {
    let dir = closed();
    let denylist = open(dir.path());
    assert!(matches!(ClosedStore::take(dir.path()), Err(StoreError::Locked(_))));
    drop(denylist);
    let empty = tempfile::tempdir().unwrap();
    let error = ClosedStore::take(empty.path()).unwrap_err();
    assert!(matches!(error, StoreError::Absent(_)) && error.to_string().contains("data_dir"));
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
    assert!(matches!(
        ClosedStore::take(&empty.path().join("x")),
        Err(StoreError::Absent(_))
    ));
}

#[test]
fn a_segment_of_a_newer_format_is_not_given_up() {
    let dir = closed();
    let last = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes[8..12].copy_from_slice(&2_u32.to_be_bytes());
    let crc = crc32fast::hash(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_be_bytes());
    fs::write(&last, bytes).unwrap();
    let report = check(dir.path());
    assert!(
        report.findings.iter().any(|found| found.remedy == Remedy::Upgrade),
        "{report:?}"
    );
    let store = || ClosedStore::take(dir.path()).unwrap();
    assert!(matches!(store().repair(), Err(StoreError::Newer { found: 2, .. })));
    assert!(matches!(store().rebuild(), Err(StoreError::Newer { found: 2, .. })));
    let error = Denylist::open(dir.path(), &options(true)).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 2, known: 1, .. }) && error.to_string().contains("upgrade"));
}

/// Nothing is wrong with a store whose filters are not believed; that they are not is told.
#[test]
fn a_saved_prefilter_is_looked_at_and_left_where_it_is() {
    let dir = closed();
    let path = dir.path().join("prefilter");
    let notes = || {
        let report = check(dir.path());
        assert_eq!(found(&report), [""; 0]);
        let notes = report.notes.iter().filter(|note| note.part == Part::Prefilter);
        notes.map(|note| note.problem.clone()).collect::<Vec<_>>()
    };
    let good = fs::read(&path).unwrap();
    assert_eq!(notes(), [""; 0]);
    assert_eq!(fs::read(&path).unwrap(), good);
    flip(&path);
    assert!(notes()[0].contains("its checksum does not fit"));
    fs::write(&path, b"").unwrap();
    assert!(notes()[0].contains("cut short"));
    // Of the same process, which has gone further since.
    fs::write(&path, &good).unwrap();
    let denylist = open(dir.path());
    let earlier = tempfile::tempdir().unwrap();
    snapshot(dir.path(), earlier.path());
    denylist.revoke(revocation(token(700))).unwrap();
    denylist.close().unwrap();
    drop(denylist);
    fs::copy(&path, earlier.path().join("prefilter")).unwrap();
    let report = check(earlier.path());
    let ahead = report.notes.iter().find(|note| note.part == Part::Prefilter).unwrap();
    assert!(report.is_sound() && ahead.problem.contains("it was saved at record"));
    fs::remove_file(&path).unwrap();
    assert_eq!(notes(), [""; 0]);
}

/// I2: a repair that begins the journal anew leaves what the rows alone had in its first records. Filters from before that
/// somebody puts back would be continued by it if the numbers went on without a gap.
#[test]
fn i2_a_prefilter_from_before_a_repair_is_not_believed_after_it() {
    let dir = closed();
    let path = dir.path().join("prefilter");
    let before = fs::read(&path).unwrap();
    let last = segments(dir.path()).pop().unwrap();
    flip(&last);
    ClosedStore::take(dir.path()).unwrap().repair().unwrap();
    fs::write(&path, before).unwrap();
    let report = check(dir.path());
    assert!(report.is_sound() && report.notes.iter().any(|note| note.part == Part::Prefilter));
    let denylist = open(dir.path());
    assert!(!denylist.prefilter_was_loaded());
    assert!(all_denied(&denylist, 100));
}

/// Whoever checks a store is told of its audit log as well; what a crash leaves at its end is no finding.
#[test]
fn an_audit_log_that_somebody_changed_is_found_and_left_as_it_is() {
    let dir = closed();
    let path = dir.path().join("audit");
    let audit = ostracon_store::audit::Audit::open(&path, &ostracon_store::audit::Options::default(), at(NOW)).unwrap();
    for n in 0..5 {
        audit.note(at(NOW), format!("record {n}"));
    }
    audit.settle().unwrap();
    drop(audit);
    let log = fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&log).unwrap();
    let report = check(dir.path());
    assert!(report.is_sound() && report.notes.is_empty(), "{report:?}");
    assert_eq!(report.counts.audited, 5);

    fs::write(&log, &good[..good.len() - 1]).unwrap();
    let report = check(dir.path());
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.notes[0].part, report.counts.audited), (Part::Audit, 4));

    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::write(&log, &bad).unwrap();
    let report = check(dir.path());
    assert_eq!(found(&report), ["audit: record 3 cannot be read [inquire]"]);
    assert_eq!(report.findings[0].remedy, Remedy::Inquire);
    assert_eq!(fs::read(&log).unwrap(), bad);
}
