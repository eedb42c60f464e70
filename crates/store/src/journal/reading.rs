//! Reading the journal while it is being written: what came after a position, in order, a page at a time.
//!
//! Reads nothing that was not announced as durable: a group behind that may be half on the disk. A segment that the
//! keeper deletes in between stays readable for as long as it is held open; one that was not opened in time is gone.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::PathBuf,
};

use super::{
    Record,
    frame::{self, Body},
    segment::{self, HEADER_BYTES, check_header},
};
use crate::{error::StoreError, identity::StoreId};

/// A place in the journal.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    store: StoreId,
    open: Option<Place>,
}

/// Where in a segment the next frame begins, and the number of its first record.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    file: File,
    at: u64,
    next: u64,
}

impl Reader {
    /// A reader of the journal in `dir`.
    pub(crate) fn new(dir: PathBuf, store: StoreId) -> Self {
        Self { dir, store, open: None }
    }

    /// Hands over the records after number `after`, up to number `upto`, which must be durable; stops behind the first
    /// group that makes them `limit` or more. Answers the number of the last one. Blocks; the first page at a position
    /// also reads what its segment has before it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] when the segment was deleted; [`StoreError::Io`], [`StoreError::Damaged`].
    pub(crate) fn read(
        &mut self,
        after: u64,
        upto: u64,
        limit: usize,
        mut each: impl FnMut(u64, Record),
    ) -> Result<u64, StoreError> {
        let (mut position, mut taken) = (after, 0_usize);
        while position < upto && taken < limit {
            let next = position.saturating_add(1);
            let place = match self.open.take() {
                Some(place) if place.next <= next => place,
                _ => self.seek(next)?,
            };
            let mut groups = Groups::at(place)?;
            while position < upto && taken < limit {
                let found = groups.next_group(|number, record| {
                    if number > position {
                        (position, taken) = (number, taken.saturating_add(1));
                        each(number, record);
                    }
                })?;
                if !found {
                    break;
                }
            }
            let place = groups.place;
            if position < upto && taken < limit {
                // The segment has ended, and the next one begins where it does.
                let ended = place.path;
                let place = self.seek(position.saturating_add(1))?;
                if place.path == ended {
                    return Err(StoreError::damaged(ended, format!("it ends at record {position}")));
                }
                self.open = Some(place);
            } else {
                self.open = Some(place);
            }
        }
        Ok(position)
    }

    /// The beginning of the segment that has record `number`.
    fn seek(&self, number: u64) -> Result<Place, StoreError> {
        loop {
            let paths = segment::list(&self.dir)?;
            let mut firsts = paths
                .into_iter()
                .filter_map(|path| Some((segment::first_of(&path)?, path)));
            let Some((next, path)) = firsts.rfind(|(first, _)| *first <= number) else {
                return Err(StoreError::Gone(number.saturating_sub(1)));
            };
            let mut file = match File::open(&path) {
                Ok(file) => file,
                // Deleted since it was listed: there is one less to choose from.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io(path, e)),
            };
            let mut header = [0; HEADER_BYTES];
            file.read_exact(&mut header).map_err(|e| StoreError::io(&path, e))?;
            check_header(&path, &header, &self.store)?;
            let at = u64::try_from(HEADER_BYTES).unwrap_or(0);
            return Ok(Place { path, file, at, next });
        }
    }
}

/// The groups of a segment from a place on. What is read ahead is read anew by the next one: it may not have been
/// written yet.
struct Groups {
    bytes: BufReader<File>,
    place: Place,
}

impl Groups {
    fn at(mut place: Place) -> Result<Self, StoreError> {
        let error = |e| StoreError::io(&place.path, e);
        place.file.seek(SeekFrom::Start(place.at)).map_err(error)?;
        let bytes = BufReader::with_capacity(64 * 1024, place.file.try_clone().map_err(error)?);
        Ok(Self { bytes, place })
    }

    /// Hands over the records of the next group; false where the segment ends.
    fn next_group(&mut self, mut each: impl FnMut(u64, Record)) -> Result<bool, StoreError> {
        let Self { bytes, place } = self;
        let damaged = |at: u64, what: &str| StoreError::damaged(&place.path, format!("{what} at byte {at}"));
        let frame = match frame::read(bytes) {
            Ok(frame) => frame,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(StoreError::io(&place.path, e)),
        };
        match frame::take(&frame) {
            Ok((Body::Group { first, records, .. }, len)) if first == place.next => {
                for record in frame::records(records) {
                    let record = record.map_err(|e| damaged(place.at, &e.to_string()))?;
                    each(place.next, record);
                    place.next = place.next.saturating_add(1);
                }
                place.at = place.at.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
                Ok(true)
            }
            Ok((Body::Seal { last, .. }, _)) if last.saturating_add(1) == place.next => Ok(false),
            _ => Err(damaged(place.at, "a frame is damaged or out of sequence")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ostracon_core::UnixTime;

    use super::{
        super::{When, begin, recover},
        *,
    };

    const STORE: StoreId = [7; 16];

    fn record(n: u64) -> Record {
        Record::Forget(UnixTime::from_secs(n))
    }

    /// Records 1 to `n` in groups of three, a few to a segment.
    fn written(dir: &std::path::Path, n: u64) -> super::super::Journal {
        begin(dir, STORE).unwrap();
        let mut journal = recover(dir, STORE, 150, 0, 0, |_, _| Ok(())).unwrap().journal;
        let records: Vec<_> = (1..=n).map(record).collect();
        for group in records.chunks(3) {
            journal.append(group, When::Now).unwrap();
        }
        journal
    }

    /// All that comes after `after`, by pages of `limit`.
    fn read_all(reader: &mut Reader, after: u64, upto: u64, limit: usize) -> Result<Vec<(u64, Record)>, StoreError> {
        let (mut position, mut read) = (after, Vec::new());
        while position < upto {
            let reached = reader.read(position, upto, limit, |number, record| read.push((number, record)))?;
            assert!(reached > position, "a page gets somewhere");
            position = reached;
        }
        Ok(read)
    }

    #[test]
    fn reads_from_any_position_to_any_other_by_pages_of_any_size() {
        let dir = tempfile::tempdir().unwrap();
        drop(written(dir.path(), 30));
        assert!(segment::list(dir.path()).unwrap().len() > 3);
        let mut reused = Reader::new(dir.path().into(), STORE);
        for after in 0..=30 {
            for upto in (after..=30).filter(|upto| upto % 3 == 0) {
                for limit in [1, 2, 4, 100] {
                    let expected: Vec<_> = (after + 1..=upto).map(|n| (n, record(n))).collect();
                    let mut fresh = Reader::new(dir.path().into(), STORE);
                    assert_eq!(read_all(&mut fresh, after, upto, limit).unwrap(), expected);
                    assert_eq!(read_all(&mut reused, after, upto, limit).unwrap(), expected);
                }
            }
        }
    }

    /// What is behind `upto` may be half written: it is not looked at, and read as it is once it counts.
    #[test]
    fn a_tail_that_is_not_announced_yet_is_left_alone_and_read_later() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = written(dir.path(), 3);
        let path = segment::list(dir.path()).unwrap().pop().unwrap();
        let before = usize::try_from(journal.open_bytes()).unwrap();
        journal.append(&[record(4)], When::Now).unwrap();
        let whole = fs::read(&path).unwrap();
        let half = &whole[..before + 5];
        // Half of it there, and the rest reserved but not filled.
        for tail in [half.to_vec(), [half, &vec![0; whole.len() - half.len()]].concat()] {
            fs::write(&path, tail).unwrap();
            let mut reader = Reader::new(dir.path().into(), STORE);
            assert_eq!(read_all(&mut reader, 0, 3, 100).unwrap().len(), 3);
            fs::write(&path, &whole).unwrap();
            assert_eq!(read_all(&mut reader, 3, 4, 100).unwrap(), [(4, record(4))]);
        }
    }

    #[test]
    fn a_deleted_segment_is_gone_unless_it_was_open_and_a_damaged_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        drop(written(dir.path(), 30));
        let paths = segment::list(dir.path()).unwrap();
        let second = segment::first_of(&paths[1]).unwrap();
        let mut holding = Reader::new(dir.path().into(), STORE);
        holding.read(0, 30, 1, |_, _| {}).unwrap();
        fs::remove_file(&paths[0]).unwrap();
        assert_eq!(
            read_all(&mut holding, 3, 30, 1).unwrap().len(),
            27,
            "it still has the deleted one"
        );
        let mut late = Reader::new(dir.path().into(), STORE);
        assert!(matches!(
            read_all(&mut late, second - 2, 30, 9),
            Err(StoreError::Gone(_))
        ));
        assert_eq!(
            read_all(&mut late, second - 1, 30, 9).unwrap().first().unwrap().0,
            second
        );
        let mut bytes = fs::read(&paths[1]).unwrap();
        bytes[HEADER_BYTES + 12] ^= 1;
        fs::write(&paths[1], bytes).unwrap();
        let mut reader = Reader::new(dir.path().into(), STORE);
        assert!(matches!(
            read_all(&mut reader, second - 1, 30, 9),
            Err(StoreError::Damaged { .. })
        ));
        fs::remove_file(&paths[2]).unwrap();
        assert!(
            read_all(&mut reader, second + 3, 30, 9).is_err(),
            "a hole ends the reading"
        );
    }
}
