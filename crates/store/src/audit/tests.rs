use std::{fs, ops::ControlFlow};

use super::{frame::Header, *};

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn small() -> Options {
    Options {
        segment_bytes: 400,
        ..Options::default()
    }
}

fn open(dir: &Path, options: &Options) -> Audit {
    Audit::open(dir, options, at(1000)).unwrap()
}

/// Writes `texts`, durably, one a second.
fn write(audit: &Audit, texts: impl IntoIterator<Item = String>) {
    for (n, text) in (0..).zip(texts) {
        audit.note(at(1000 + n), text);
    }
    audit.settle().unwrap();
}

fn numbered(range: std::ops::Range<u32>) -> impl Iterator<Item = String> {
    range.map(|n| format!("record {n}"))
}

fn all(dir: &Path, direction: Direction, cursor: Option<u64>) -> Vec<(u64, Content)> {
    let mut found = Vec::new();
    read(dir, direction, cursor, &mut |record| {
        found.push((record.number, record.content));
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn flaws(dir: &Path) -> Vec<String> {
    verify(dir, None)
        .unwrap()
        .flaws
        .into_iter()
        .map(|flaw| flaw.detail)
        .collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    reader::list(dir).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn records_are_read_both_ways_from_any_of_them_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path(), &small());
    write(&audit, numbered(1..11));
    drop(audit);
    let audit = open(dir.path(), &small());
    write(&audit, numbered(11..21));
    assert!(segments(dir.path()).len() > 3);
    let expected: Vec<_> = (1..)
        .zip(numbered(1..21))
        .map(|(n, text)| (n, Content::Text(text.into())))
        .collect();
    assert_eq!(all(dir.path(), Direction::Oldest, None), expected);
    for cursor in 0..22 {
        let behind: Vec<_> = expected.iter().filter(|(n, _)| *n > cursor).cloned().collect();
        assert_eq!(all(dir.path(), Direction::Oldest, Some(cursor)), behind, "{cursor}");
        let before: Vec<_> = expected.iter().rev().filter(|(n, _)| *n < cursor).cloned().collect();
        assert_eq!(all(dir.path(), Direction::Newest, Some(cursor)), before, "{cursor}");
    }
    let mut newest = Vec::new();
    audit
        .read(Direction::Newest, None, &mut |record| {
            newest.push(record.number);
            if newest.len() == 3 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!(newest, [20, 19, 18]);
    let verified = verify(dir.path(), None).unwrap();
    assert_eq!((verified.records, verified.first, verified.flaws), (20, 1, vec![]));
    assert_eq!(verified.head, audit.stats().head);
}

/// What waits is told its number once it is on the disk.
#[test]
fn who_waits_is_told_once_it_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let audit = open(dir.path(), &Options::default());
    let (done, told) = mpsc::channel();
    for n in 0..50 {
        let done = done.clone();
        audit.append(at(n), format!("{n}"), move |number| done.send(number).unwrap());
    }
    let numbers: Vec<_> = told.iter().take(50).map(Result::unwrap).collect();
    assert_eq!(numbers, (1..=50).collect::<Vec<_>>());
    assert_eq!(audit.stats().head.number, 50);
    audit.close();
    audit.append(at(1), "late".into(), move |number| done.send(number).unwrap());
    assert!(matches!(told.recv().unwrap(), Err(StoreError::Closed)));
    assert_eq!(all(dir.path(), Direction::Oldest, None).len(), 50);
}

/// Each bit of each record is covered, and so is the place of each record.
#[test]
fn an_altered_record_shows_whichever_bit_it_is() {
    let dir = tempfile::tempdir().unwrap();
    write(&open(dir.path(), &Options::default()), numbered(1..4));
    let path = segments(dir.path()).remove(0);
    let good = fs::read(&path).unwrap();
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(&path, bad).unwrap();
        assert!(!flaws(dir.path()).is_empty(), "byte {byte}");
    }
    fs::write(&path, &good).unwrap();
    assert!(flaws(dir.path()).is_empty());
}

/// Whoever can reckon a CRC can write a frame that is whole; the chain behind it breaks all the same.
#[test]
fn a_record_that_is_forged_whole_or_taken_out_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    write(&open(dir.path(), &Options::default()), numbered(1..4));
    let path = segments(dir.path()).remove(0);
    let good = fs::read(&path).unwrap();
    let mut frames = Vec::new();
    let mut rest = &good[frame::HEADER_BYTES..];
    while !rest.is_empty() {
        let (_, len) = frame::take(rest).unwrap();
        frames.push(&rest[..len]);
        rest = &rest[len..];
    }
    let previous = Header::decode(&good).unwrap().previous;
    let forged = frame::record(1, at(1000), &Content::Text("record x".into()), &previous)
        .unwrap()
        .0;
    assert_eq!(forged.len(), frames[0].len());
    let head = &good[..frame::HEADER_BYTES];
    for (bad, told) in [
        (
            [head, &forged, frames[1], frames[2]].concat(),
            "record 2 does not follow",
        ),
        (
            [head, frames[0], frames[2]].concat(),
            "record 2 is not where it should be",
        ),
        (
            [head, frames[1], frames[0], frames[2]].concat(),
            "record 1 is not where it should be",
        ),
    ] {
        fs::write(&path, bad).unwrap();
        assert!(flaws(dir.path())[0].contains(told), "{:?}", flaws(dir.path()));
    }
    // Cut between two records it looks whole, unless somebody has kept the head.
    let head_before = {
        fs::write(&path, &good).unwrap();
        verify(dir.path(), None).unwrap().head
    };
    let hash = head_before.hash.to_string();
    assert!(verify(dir.path(), Some((3, &hash))).unwrap().flaws.is_empty());
    assert_eq!(verify(dir.path(), Some((2, &hash))).unwrap().flaws.len(), 1);
    fs::write(&path, [head, frames[0], frames[1]].concat()).unwrap();
    assert!(flaws(dir.path()).is_empty());
    let missing = verify(dir.path(), Some((3, &hash))).unwrap().flaws;
    assert!(missing[0].detail.contains("record 3 is expected and missing"));
}

#[test]
fn a_segment_that_is_taken_away_shows_wherever_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write(&open(dir.path(), &small()), numbered(1..31));
    let paths = segments(dir.path());
    assert!(paths.len() > 4);
    for path in &paths {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        assert_eq!(flaws(dir.path()).len(), 1, "{}", path.display());
        fs::rename(&aside, path).unwrap();
    }
    assert!(flaws(dir.path()).is_empty());
}

#[test]
fn what_is_past_its_time_or_too_much_is_dropped_and_the_rest_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        retention: Duration::from_secs(1000),
        ..small()
    };
    let audit = open(dir.path(), &options);
    write(&audit, numbered(1..31));
    let before = segments(dir.path());
    // The last segment that still holds a younger record stays whole.
    audit.retain(at(2015));
    audit.settle().unwrap();
    let kept = segments(dir.path());
    assert!(kept.len() < before.len() && kept.len() > 1, "{kept:?}");
    let records = all(dir.path(), Direction::Oldest, None);
    let young = |content: &Content| matches!(content, Content::Text(text) if **text == *"record 16");
    assert!(
        records.iter().any(|(_, content)| young(content)),
        "written at 1015, a second too young"
    );
    assert!(
        records
            .iter()
            .any(|(_, content)| *content == Content::Dropped { below: records[0].0 })
    );
    assert!(flaws(dir.path()).is_empty());
    // Taken away by somebody else, one more shows.
    fs::remove_file(&kept[0]).unwrap();
    assert!(flaws(dir.path())[0].contains("no record says that they were dropped"));
    drop(audit);

    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        max_bytes: 1500,
        ..small()
    };
    let audit = open(dir.path(), &options);
    write(&audit, numbered(1..200));
    assert!(audit.stats().bytes <= 2000, "{:?}", audit.stats());
    assert!(flaws(dir.path()).is_empty());
    assert_eq!(
        all(dir.path(), Direction::Newest, None)[0].1,
        Content::Text("record 199".into())
    );
}

#[test]
fn a_segment_is_closed_when_it_is_old_though_it_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        retention: Duration::from_secs(100),
        ..Options::default()
    };
    let audit = open(dir.path(), &options);
    for secs in [0, 9, 10, 20, 30] {
        audit.note(at(secs), "x".into());
    }
    audit.settle().unwrap();
    assert_eq!(segments(dir.path()).len(), 4);
}

/// A crash in the middle of a record, at each of its bytes: what is whole stays, and the cut is told of.
#[test]
fn a_record_that_a_crash_cut_short_is_removed_and_told_of() {
    let dir = tempfile::tempdir().unwrap();
    write(&open(dir.path(), &Options::default()), numbered(1..3));
    let path = segments(dir.path()).remove(0);
    let good = fs::read(&path).unwrap();
    let second = good.len() - (good.len() - frame::HEADER_BYTES) / 2;
    for cut in [second + 1, second + 8, good.len() - 1] {
        fs::write(&path, &good[..cut]).unwrap();
        drop(open(dir.path(), &Options::default()));
        let found = all(dir.path(), Direction::Oldest, None);
        assert_eq!(found[1], (2, Content::Lost { most: 1 }), "{cut}");
        assert!(flaws(dir.path()).is_empty());
    }
}

/// A damaged log stops nobody: it goes on behind the damage, which stays to be seen.
#[test]
fn a_damaged_segment_stays_and_the_log_goes_on_behind_it() {
    for byte in [3, frame::HEADER_BYTES + 30] {
        let dir = tempfile::tempdir().unwrap();
        write(&open(dir.path(), &Options::default()), numbered(1..4));
        let path = segments(dir.path()).remove(0);
        let mut bad = fs::read(&path).unwrap();
        bad[byte] ^= 1;
        fs::write(&path, &bad).unwrap();
        for n in 0..2 {
            let audit = open(dir.path(), &Options::default());
            write(&audit, [format!("later {n}")]);
        }
        assert_eq!(fs::read(&path).unwrap(), bad, "as it was found");
        let found = all(dir.path(), Direction::Oldest, None);
        let texts: Vec<_> = found.iter().rev().take(3).map(|(_, content)| content).collect();
        assert!(matches!(texts[2], Content::Lost { most: 3..=5 }), "{texts:?}");
        assert_eq!(texts[0], &Content::Text("later 1".into()));
        assert!(!flaws(dir.path()).is_empty());
    }
}

/// It was read as the last moment that there is, and so as something else than was written.
#[test]
fn a_record_of_a_time_that_there_is_not_is_none() {
    let read_at = |secs: u64| {
        let body = [&[1][..], &7_u64.to_be_bytes(), &secs.to_be_bytes(), b"x"].concat();
        fuzzing::read(&fuzzing::chained(&[&body])).map(|found| (found.records.len(), found.whole))
    };
    assert_eq!(read_at(253_402_300_799), Some((1, true)));
    assert_eq!(read_at(253_402_300_800), Some((0, false)));
}
