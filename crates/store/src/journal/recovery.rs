//! Opening a journal that some process left, in whatever way it ended.

use std::{fs, path::Path};

use super::{
    Record, first,
    segment::{self, End, Journal, Sealed},
};
use crate::{error::StoreError, files, identity::StoreId, seam};

/// A journal ready for appending.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) journal: Journal,
    pub(crate) sealed: Vec<Sealed>,
    /// Bytes of a torn group that were cut off; nothing in them was acknowledged.
    pub(crate) cut: u64,
    /// The first record that the journal still has.
    pub(crate) first: u64,
}

/// Begins the journal of a new store in `dir`, in place of one that was begun and never written.
pub(crate) fn begin(dir: &Path, store: StoreId) -> Result<(), StoreError> {
    files::create_dir(dir)?;
    Journal::begin(dir, store, u64::MAX, 1).map(drop)
}

/// Whether nothing was ever written to the journal in `dir`: there is none, or its first segment is its header alone.
pub(crate) fn is_unwritten(dir: &Path) -> Result<bool, StoreError> {
    if !dir.exists() {
        return Ok(true);
    }
    match &*segment::list(dir)? {
        [] => Ok(true),
        [first] => {
            let bytes = fs::metadata(first).map_err(|e| StoreError::io(first, e))?.len();
            Ok(segment::first_of(first) == Some(1) && usize::try_from(bytes) == Ok(segment::HEADER_BYTES))
        }
        _ => Ok(false),
    }
}

/// Opens the journal in `dir` and hands over each record after number `from`, which is at most `applied`, with its number.
///
/// # Errors
///
/// [`StoreError::Damaged`] when a segment is missing, be it the first, or damaged, or when the journal ends before `applied`: the engine
/// is only ever given what is on the disk here, so an end was lost. Nothing is changed then.
pub(crate) fn recover(
    dir: &Path,
    store: StoreId,
    segment_bytes: u64,
    applied: u64,
    from: u64,
    mut each: impl FnMut(u64, Record) -> Result<(), StoreError>,
) -> Result<Recovered, StoreError> {
    files::create_dir(dir)?;
    let paths = segment::list(dir)?;
    let mut each = |number, record| if number > from { each(number, record) } else { Ok(()) };
    let begins = paths
        .first()
        .and_then(|path| segment::first_of(path))
        .unwrap_or(u64::MAX);

    let Some((last_path, closed)) = paths.split_last() else {
        return Err(StoreError::damaged(
            dir,
            "the journal is missing, by which alone all that was revoked is sure to be known",
        ));
    };
    if let Some(missing) = first::missing(dir, &store, begins)? {
        return Err(first::problem(dir, &missing));
    }

    let mut sealed = Vec::with_capacity(closed.len());
    for (path, following) in closed.iter().zip(paths.iter().skip(1)) {
        let seal = segment::read_seal(path)?.ok_or_else(|| StoreError::damaged(path, "its seal is missing"))?;
        if segment::first_of(following) != Some(seal.last.saturating_add(1)) {
            return Err(StoreError::damaged(path, "the segment behind it is missing"));
        }
        if seal.last > from {
            let bytes = seam::read(path).map_err(|e| StoreError::io(path, e))?;
            if !matches!(segment::scan(path, &bytes, &store, &mut each)?.1, End::Sealed(_)) {
                return Err(StoreError::damaged(path, "its seal does not fit"));
            }
        }
        sealed.push(seal);
    }

    let bytes = seam::read(last_path).map_err(|e| StoreError::io(last_path, e))?;
    let (tail, end) = segment::scan(last_path, &bytes, &store, &mut each)?;
    if tail.next <= applied {
        let last = tail.next.saturating_sub(1);
        return Err(StoreError::damaged(
            last_path,
            format!("it ends at record {last}, though {applied} were written"),
        ));
    }
    let to = match &end {
        End::Sealed(seal) => seal.bytes,
        End::Clean | End::Torn(_) => tail.bytes,
    };
    segment::write_anew(last_path, &bytes, tail.unproven, to)?;
    // The same of the name of a segment that was just begun.
    files::sync_dir(dir)?;
    files::remove_unfinished(dir, "new")?;
    if first::stated(dir, &store)?.is_none() {
        first::state(dir, &store, begins)?;
    }
    let journal = match end {
        End::Clean => Journal::resume(dir, store, segment_bytes, last_path.clone(), tail)?,
        End::Torn(cut) => {
            cut_off(last_path, tail.bytes)?;
            let journal = Journal::resume(dir, store, segment_bytes, last_path.clone(), tail)?;
            return Ok(Recovered {
                journal,
                sealed,
                cut,
                first: begins,
            });
        }
        End::Sealed(seal) => {
            // The process died between closing this one and beginning the next.
            cut_off(last_path, seal.bytes)?;
            sealed.push(seal);
            Journal::begin(dir, store, segment_bytes, tail.next)?
        }
    };
    Ok(Recovered {
        journal,
        sealed,
        cut: 0,
        first: begins,
    })
}

fn cut_off(path: &Path, bytes: u64) -> Result<(), StoreError> {
    let error = |e| StoreError::io(path, e);
    let file = segment::open_to_write(path)?;
    seam::set_len(&file, path, bytes)
        .and_then(|()| seam::sync_all(&file, path))
        .map_err(error)
}

#[cfg(test)]
mod tests {
    use ostracon_core::{Issuer, Jti, Policy, Reason, Revocation, Target, UnixTime};

    use super::*;
    use crate::journal::{When, segment::HEADER_BYTES};

    const STORE: StoreId = [7; 16];

    fn record(n: u64) -> Record {
        let target = Target::Token {
            iss: Issuer::new("i").unwrap(),
            jti: Jti::new(n.to_string()).unwrap(),
        };
        match n % 3 {
            0 => Record::Lift(target),
            _ => Record::Revoke(Revocation::new(
                target,
                Reason::Logout,
                &Policy::default(),
                UnixTime::from_secs(n),
            )),
        }
    }

    fn open(dir: &Path, applied: u64) -> Result<(Recovered, Vec<Record>), StoreError> {
        let mut seen = Vec::new();
        if applied == 0 && is_unwritten(dir)? {
            begin(dir, STORE)?;
        }
        let recovered = recover(dir, STORE, 200, applied, applied, |_, record| {
            seen.push(record);
            Ok(())
        })?;
        Ok((recovered, seen))
    }

    /// A journal of `n` records in groups of two, in small segments.
    fn written(dir: &Path, n: u64) -> Vec<Record> {
        let records: Vec<_> = (1..=n).map(record).collect();
        let (mut recovered, _) = open(dir, 0).unwrap();
        for group in records.chunks(2) {
            recovered.journal.append(group, When::Now).unwrap();
        }
        records
    }

    fn last_segment(dir: &Path) -> std::path::PathBuf {
        segment::list(dir).unwrap().pop().unwrap()
    }

    #[test]
    fn i4_what_was_appended_is_replayed_in_order_from_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let records = written(dir.path(), 21);
        assert!(segment::list(dir.path()).unwrap().len() > 3, "several segments");
        for applied in 0..=21 {
            let (recovered, seen) = open(dir.path(), applied).unwrap();
            assert_eq!(seen, records[usize::try_from(applied).unwrap()..]);
            assert_eq!((recovered.journal.last(), recovered.cut), (21, 0));
        }
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_was_torn_and_writing_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let records = written(dir.path(), 3);
        let path = last_segment(dir.path());
        let before = fs::read(&path).unwrap();
        let (mut recovered, _) = open(dir.path(), 0).unwrap();
        recovered.journal.append(&[record(4), record(5)], When::Now).unwrap();
        // Closed, it has given back what it did not use.
        drop(recovered);
        let whole = fs::read(&path).unwrap();

        for torn_at in before.len() + 1..whole.len() {
            // Cut short, and as a file system may leave it: the length written, the bytes not.
            for zeros in [0, whole.len() - torn_at] {
                let torn = [&whole[..torn_at], &vec![0; zeros]].concat();
                fs::write(&path, &torn).unwrap();
                let (mut recovered, seen) = open(dir.path(), 0).unwrap();
                assert_eq!(seen, records, "torn at {torn_at}");
                // Zeros at the end are space, whether they were to be something or not.
                let there = torn.iter().rposition(|byte| *byte != 0).unwrap() + 1;
                let cut = there.max(before.len()) - before.len();
                assert_eq!(usize::try_from(recovered.cut).unwrap(), cut);
                recovered.journal.append(&[record(4)], When::Now).unwrap();
                assert_eq!(open(dir.path(), 3).unwrap().1, [record(4)]);
            }
        }
    }

    /// What a kill leaves has space behind its last frame, and what a power cut leaves may have some behind its seal.
    #[test]
    fn space_that_was_never_written_to_is_no_tear_and_is_gone_from_a_closed_segment() {
        let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        begin(dir.path(), STORE).unwrap();
        let recover_in = |dir: &Path| recover(dir, STORE, 4096, 0, 0, |_, _| Ok(())).unwrap();
        let mut journal = recover_in(dir.path()).journal;
        let first = last_segment(dir.path());
        let copy = killed.path().join(first.file_name().unwrap());
        let mut n = 0;
        while !journal.is_full() {
            n += 1;
            journal.append(&[record(n)], When::Now).unwrap();
            if n % 10 == 1 {
                assert_eq!(fs::metadata(&first).unwrap().len(), 4096.max(journal.open_bytes()));
                fs::copy(&first, &copy).unwrap();
                let recovered = recover_in(killed.path());
                assert_eq!((recovered.journal.last(), recovered.cut), (n, 0));
                assert_eq!(recovered.journal.open_bytes(), journal.open_bytes());
                drop(recovered);
                // A process with smaller segments closes it before its space is used.
                fs::copy(&first, &copy).unwrap();
                let mut smaller = recover(killed.path(), STORE, 1, 0, 0, |_, _| Ok(())).unwrap().journal;
                let sealed = smaller.append(&[record(n + 1)], When::Now).unwrap().unwrap();
                assert_eq!(fs::metadata(&copy).unwrap().len(), sealed.bytes);
                fs::remove_file(last_segment(killed.path())).unwrap();
            }
        }
        let sealed = journal.append(&[record(n + 1)], When::Now).unwrap().unwrap();
        assert_eq!(fs::metadata(&first).unwrap().len(), sealed.bytes);
        let second = last_segment(dir.path());
        drop(journal);
        assert!(fs::metadata(&second).unwrap().len() < 200, "a close gives it back");

        fs::write(&copy, [fs::read(&first).unwrap(), vec![0; 300]].concat()).unwrap();
        for _ in 0..2 {
            let recovered = recover_in(killed.path());
            assert_eq!((recovered.sealed.len(), recovered.journal.last()), (1, n));
        }
        let bytes = [fs::read(&first).unwrap(), vec![0; 300], vec![1]].concat();
        fs::remove_file(last_segment(killed.path())).unwrap();
        fs::write(&copy, bytes).unwrap();
        assert!(matches!(open(killed.path(), 0), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn i5_a_damaged_middle_stops_the_opening() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 9);
        for path in segment::list(dir.path()).unwrap() {
            let good = fs::read(&path).unwrap();
            let is_last = path == last_segment(dir.path());
            let mut flipped = 0;
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x10;
                fs::write(&path, &bad).unwrap();
                match open(dir.path(), 0) {
                    Err(StoreError::Damaged { .. }) => flipped += 1,
                    Ok((recovered, _)) => {
                        assert!(is_last && recovered.cut > 0, "byte {at} of {}", path.display());
                    }
                    Err(other) => panic!("byte {at}: {other}"),
                }
                fs::write(&path, &good).unwrap();
            }
            assert!(flipped > good.len() / 4);
        }
    }

    /// Where syncs are put off, a power cut may leave later groups and not earlier ones. What never was on the disk is
    /// cut; what was is not given up in silence (I5).
    #[test]
    fn i5_a_hole_is_cut_only_where_nothing_behind_it_shows_that_it_was_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        begin(dir.path(), STORE).unwrap();
        let path = last_segment(dir.path());
        let mut journal = recover(dir.path(), STORE, u64::MAX, 0, 0, |_, _| Ok(()))
            .unwrap()
            .journal;
        journal.append(&[record(1)], When::Now).unwrap();
        let end = |journal: &Journal| usize::try_from(journal.open_bytes()).unwrap();
        let synced = end(&journal);
        let mut ends = Vec::new();
        for n in 2..=4 {
            journal.append(&[record(n)], When::Later).unwrap();
            ends.push(end(&journal));
        }
        assert_eq!((journal.synced().last(), journal.synced().is_complete()), (1, false));
        let ahead = fs::read(&path).unwrap();
        let holed = |bytes: &[u8], range: core::ops::Range<usize>| {
            let mut holed = bytes.to_vec();
            holed[range].fill(0);
            fs::write(&path, holed).unwrap();
            open(dir.path(), 0)
        };
        let (recovered, seen) = holed(&ahead, synced..ends[0]).unwrap();
        assert_eq!(
            (seen.len(), usize::try_from(recovered.cut).unwrap()),
            (1, ends[2] - synced)
        );
        let (_, seen) = holed(&ahead, ends[0]..ends[1]).unwrap();
        assert_eq!(seen.len(), 2, "and what lies before the hole is kept");
        assert!(matches!(
            holed(&ahead, HEADER_BYTES..synced),
            Err(StoreError::Damaged { .. })
        ));

        fs::write(&path, &ahead).unwrap();
        journal.synced().sync().unwrap();
        assert!(journal.synced().is_complete());
        journal.append(&[record(5)], When::Later).unwrap();
        let whole = fs::read(&path).unwrap();
        assert!(matches!(
            holed(&whole, ends[0]..ends[1]),
            Err(StoreError::Damaged { .. })
        ));
    }

    #[test]
    fn i5_a_missing_segment_or_a_lost_end_stops_the_opening() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 21);
        let paths = segment::list(dir.path()).unwrap();
        assert!(
            matches!(open(dir.path(), 22), Err(StoreError::Damaged { .. })),
            "the engine has more than the journal"
        );
        fs::remove_file(&paths[1]).unwrap();
        assert!(matches!(open(dir.path(), 0), Err(StoreError::Damaged { .. })));
        for path in &paths {
            let _ = fs::remove_file(path);
        }
        for applied in [0, 21] {
            let lost = recover(dir.path(), STORE, 200, applied, applied, |_, _| Ok(()));
            assert!(
                matches!(lost, Err(StoreError::Damaged { .. })),
                "whatever the engine says"
            );
        }
        assert!(open(dir.path(), 0).is_ok(), "one that is begun anew");
    }

    #[test]
    fn a_death_between_two_segments_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let records = written(dir.path(), 21);
        // The last segment has just been begun; without it, the one before ends the journal with its seal.
        let (mut recovered, _) = open(dir.path(), 0).unwrap();
        let mut n = 21;
        while recovered.journal.append(&[record(n + 1)], When::Now).unwrap().is_none() {
            n += 1;
        }
        fs::remove_file(last_segment(dir.path())).unwrap();
        let (mut recovered, seen) = open(dir.path(), 0).unwrap();
        assert_eq!((u64::try_from(seen.len()).unwrap(), recovered.journal.last()), (n, n));
        assert_eq!(seen[..21], records);
        recovered.journal.append(&[record(n + 1)], When::Now).unwrap();
        assert_eq!(open(dir.path(), n).unwrap().1, [record(n + 1)]);
    }

    #[test]
    fn a_journal_of_another_store_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 1);
        let other = recover(dir.path(), [8; 16], 300, 0, 0, |_, _| Ok(()));
        assert!(matches!(other, Err(StoreError::Damaged { .. })));
    }
}
