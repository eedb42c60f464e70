//! Segments: the files that the journal is made of.
//!
//! `journal/<number of the first record, 20 digits>.log`: a header of `"OSTRJRNL"`, format (4 bytes), store id (16),
//! CRC-32 of these (4); then frames. Every segment but the last ends with a seal. Behind the frames of the last one there
//! may be zeros: space that is there already, so that a sync need not write down where it is.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ostracon_core::UnixTime;

use super::{
    Record,
    frame::{self, Body},
    synced::Synced,
};
use crate::{error::StoreError, files, identity::StoreId, seam};

const MAGIC: &[u8; 8] = b"OSTRJRNL";
const FORMAT: u32 = 1;
pub(super) const HEADER_BYTES: usize = 32;

/// How much space is made at a time for what is still to be written. A sync of bytes whose place on the disk is known takes
/// two thirds of the time; making it takes as long as a few of them.
const AHEAD: u64 = 512 << 10;

/// The open end of the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    store: StoreId,
    segment_bytes: u64,
    file: Arc<File>,
    synced: Arc<Synced>,
    path: PathBuf,
    /// The header and all frames so far.
    bytes: u64,
    /// How far the file reaches, with zeros behind the frames.
    space: u64,
    /// The sequence number of the next record.
    next: u64,
    /// The latest end of retention in the open segment.
    retained_until: UnixTime,
}

/// When what is appended is to be on the disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum When {
    /// Before the call returns.
    Now,
    /// At the next [`Synced::sync`].
    Later,
}

/// How far the journal goes: all groups that were appended, and nothing behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// The open segment.
    pub(crate) path: PathBuf,
    /// How much of it is whole groups.
    pub(crate) bytes: u64,
    /// The sequence number of the last record.
    pub(crate) last: u64,
}

/// A closed segment.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) path: PathBuf,
    pub(crate) last: u64,
    pub(crate) retained_until: UnixTime,
    pub(crate) bytes: u64,
}

impl Journal {
    /// Begins a segment in `dir` whose first record will be number `first`.
    pub(crate) fn begin(dir: &Path, store: StoreId, segment_bytes: u64, first: u64) -> Result<Self, StoreError> {
        let path = begin_segment(dir, &store, first)?;
        Self::resume(dir, store, segment_bytes, path, Tail::empty(first))
    }

    /// Goes on behind the last whole frame of the segment at `path`.
    pub(super) fn resume(
        dir: &Path,
        store: StoreId,
        segment_bytes: u64,
        path: PathBuf,
        tail: Tail,
    ) -> Result<Self, StoreError> {
        let file = Arc::new(open_to_write(&path)?);
        let space = file.metadata().map_err(|e| StoreError::io(&path, e))?.len();
        let Tail {
            next,
            bytes,
            retained_until,
            ..
        } = tail;
        // What a killed process had written is in the page cache, and perhaps nowhere else.
        seam::sync_data(&file, &path).map_err(|e| StoreError::io(&path, e))?;
        Ok(Self {
            dir: dir.into(),
            store,
            segment_bytes,
            synced: Arc::new(Synced::new(Arc::clone(&file), path.clone(), next.saturating_sub(1))),
            file,
            path,
            bytes,
            space,
            next,
            retained_until,
        })
    }

    /// How far it is on the disk.
    pub(crate) fn synced(&self) -> &Arc<Synced> {
        &self.synced
    }

    /// The sequence number of the last record; zero when there never was one.
    pub(crate) fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The length of the open segment.
    pub(crate) fn open_bytes(&self) -> u64 {
        self.bytes
    }

    /// How far it goes.
    pub(crate) fn reach(&self) -> Reach {
        Reach {
            path: self.path.clone(),
            bytes: self.bytes,
            last: self.last(),
        }
    }

    /// Whether the next group begins another segment.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.segment_bytes
    }

    /// Appends `records` as one group and returns when they are written: to the disk (I4) or to the page cache, as `when`
    /// says. Answers with the segment that this closed.
    ///
    /// # Errors
    ///
    /// Whether the group survives a restart is unknown then, and nothing may be appended behind it.
    pub(crate) fn append(&mut self, records: &[Record], when: When) -> Result<Option<Sealed>, StoreError> {
        let closed = if self.is_full() { Some(self.rotate()?) } else { None };
        let frame = frame::group(self.next, self.synced.last(), records)
            .map_err(|e| StoreError::Engine(format!("a record cannot be written: {e}").into()))?;
        self.write(&frame)?;
        self.next = self
            .next
            .saturating_add(u64::try_from(records.len()).unwrap_or(u64::MAX));
        self.retained_until = records
            .iter()
            .map(Record::retained_until)
            .fold(self.retained_until, UnixTime::max);
        self.synced.wrote(self.last());
        if when == When::Now {
            self.synced.sync()?;
        }
        Ok(closed)
    }

    fn write(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        let end = self
            .bytes
            .saturating_add(u64::try_from(frame.len()).unwrap_or(u64::MAX));
        if end > self.space {
            self.make_space(end);
        }
        seam::write_all_at(&self.file, &self.path, frame, self.bytes).map_err(|e| StoreError::io(&self.path, e))?;
        self.bytes = end;
        Ok(())
    }

    /// Fills the file with zeros for a while beyond `end`, or as far as a segment is to go. They get to the disk with the
    /// frame. Where there is no space the frame may still have some, and if not, tells.
    fn make_space(&mut self, end: u64) {
        let to = end.saturating_add(AHEAD).min(self.segment_bytes.max(end));
        let missing = usize::try_from(to.saturating_sub(end)).unwrap_or(0);
        let made = seam::write_all_at(&self.file, &self.path, &vec![0; missing], end);
        self.space = if made.is_ok() { to } else { end };
    }

    fn rotate(&mut self) -> Result<Sealed, StoreError> {
        let (last, retained_until) = (self.last(), self.retained_until);
        // The seal says that all before it is on the disk, and is there itself before the next segment is: only the last
        // one can lack it.
        self.synced.sync()?;
        let error = |e| StoreError::io(&self.path, e);
        seam::set_len(&self.file, &self.path, self.bytes).map_err(error)?;
        let seal = frame::seal(last, retained_until);
        seam::write_all_at(&self.file, &self.path, &seal, self.bytes).map_err(error)?;
        seam::sync_data(&self.file, &self.path).map_err(error)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(seal.len()).unwrap_or(u64::MAX));
        let sealed = Sealed {
            path: self.path.clone(),
            last,
            retained_until,
            bytes: self.bytes,
        };
        self.path = begin_segment(&self.dir, &self.store, self.next)?;
        self.file = Arc::new(open_to_write(&self.path)?);
        self.synced.turn(Arc::clone(&self.file), self.path.clone());
        let Tail {
            bytes, retained_until, ..
        } = Tail::empty(self.next);
        (self.bytes, self.space, self.retained_until) = (bytes, bytes, retained_until);
        Ok(sealed)
    }
}

impl Drop for Journal {
    /// Gives back the space that was not used: whoever looks at the files finds frames and nothing else.
    fn drop(&mut self) {
        if self.space > self.bytes
            && let Err(error) = seam::set_len(&self.file, &self.path, self.bytes)
        {
            tracing::warn!(%error, "could not give back what the journal did not use");
        }
    }
}

fn begin_segment(dir: &Path, store: &StoreId, first: u64) -> Result<PathBuf, StoreError> {
    let path = dir.join(format!("{first:020}.log"));
    // Whole or not at all: a segment never has half a header.
    files::write_new(&path, &header(store))?;
    Ok(path)
}

pub(super) fn open_to_write(path: &Path) -> Result<File, StoreError> {
    seam::meet(seam::Call::Open, path)
        .and_then(|()| OpenOptions::new().write(true).mode(0o600).open(path))
        .map_err(|e| StoreError::io(path, e))
}

/// Writes anew what `bytes`, which the segment at `path` holds, have between `from` and `to`, and returns when it is on the disk.
///
/// The kernel tells of a failed sync once, and what it could not write it takes for written: it can be read for as long as
/// it is in memory, and another sync finds nothing to do. So what no later frame shows to have been on the disk is not
/// believed to be there for having been read, or for a sync that succeeds (I4).
pub(super) fn write_anew(path: &Path, bytes: &[u8], from: u64, to: u64) -> Result<(), StoreError> {
    let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
    let Some(tail) = bytes.get(place(from)..place(to)) else {
        return Ok(());
    };
    let file = open_to_write(path)?;
    seam::write_all_at(&file, path, tail, from)
        .and_then(|()| seam::sync_data(&file, path))
        .map_err(|e| StoreError::io(path, e))
}

/// Where the last segment ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Tail {
    pub(super) next: u64,
    pub(super) bytes: u64,
    pub(super) retained_until: UnixTime,
    /// Where the first frame begins that no later one shows to have been on the disk.
    pub(super) unproven: u64,
}

impl Tail {
    /// The end of a segment whose first record is still to come.
    fn empty(next: u64) -> Self {
        let bytes = u64::try_from(HEADER_BYTES).unwrap_or(0);
        Self {
            next,
            bytes,
            retained_until: UnixTime::EPOCH,
            unproven: bytes,
        }
    }
}

fn header(store: &StoreId) -> Vec<u8> {
    let mut bytes = [&MAGIC[..], &FORMAT.to_be_bytes(), store].concat();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// Checks the header of the segment at `path`, which holds `bytes`.
pub(super) fn check_header(path: &Path, bytes: &[u8], store: &StoreId) -> Result<(), StoreError> {
    let damaged = |detail| StoreError::damaged(path, detail);
    let head = bytes.get(..HEADER_BYTES).ok_or(damaged("its header is cut short"))?;
    let (body, crc) = head.split_last_chunk::<4>().ok_or(damaged("its header is cut short"))?;
    if crc32fast::hash(body).to_be_bytes() != *crc || !body.starts_with(MAGIC) {
        return Err(damaged("its header's checksum does not fit"));
    }
    let format = body
        .get(8..12)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    if format > FORMAT {
        return Err(StoreError::Newer {
            path: path.into(),
            found: format,
            known: FORMAT,
        });
    }
    if !body.ends_with(store) {
        return Err(damaged("it belongs to another store"));
    }
    Ok(())
}

/// What [`scan`] found behind the last whole frame.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing, or space that was never written to.
    Clean,
    /// A seal, and nothing behind it.
    Sealed(Sealed),
    /// Bytes that are no frame, and no frame behind them that was written when they were on the disk: what was being
    /// written when the process died, or had not got to the disk when the power went. And how many they are, up to the
    /// last that is not zero.
    Torn(u64),
}

/// Reads the segment at `path`, which holds `bytes`, and hands over each record with its number.
///
/// # Errors
///
/// [`StoreError::Damaged`] for a damaged header, a damaged frame with one behind it that shows it was whole, a record that does not
/// decode inside a frame whose checksum fits, and a group that does not follow on the one before (I5).
pub(super) fn scan(
    path: &Path,
    bytes: &[u8],
    store: &StoreId,
    each: &mut dyn FnMut(u64, Record) -> Result<(), StoreError>,
) -> Result<(Tail, End), StoreError> {
    check_header(path, bytes, store)?;
    let damaged = |at: usize, what: &str| StoreError::damaged(path, format!("{what} at byte {at}"));
    let (mut at, mut next, mut latest) = (HEADER_BYTES, first_of(path).unwrap_or(1), UnixTime::EPOCH);
    // Where each frame begins of which nothing shows yet that it was on the disk, and its last record.
    let mut unproven = VecDeque::<(usize, u64)>::new();
    let end = loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.is_empty() {
            break End::Clean;
        }
        match frame::take(rest) {
            Ok((Body::Group { first, synced, records }, len)) => {
                if first != next {
                    return Err(damaged(at, "a group is out of sequence"));
                }
                for record in frame::records(records) {
                    let record = record.map_err(|e| damaged(at, &e.to_string()))?;
                    latest = latest.max(record.retained_until());
                    each(next, record)?;
                    next = next.saturating_add(1);
                }
                while unproven.pop_front_if(|(_, last)| *last <= synced).is_some() {}
                unproven.push_back((at, next.saturating_sub(1)));
                at = at.saturating_add(len);
            }
            Ok((Body::Seal { last, retained_until }, len)) => {
                // Also zeros, if the power went between the seal and the end of the space behind it.
                if last.saturating_add(1) != next || written(rest.get(len..).unwrap_or_default()) > 0 {
                    return Err(damaged(at, "a seal does not fit"));
                }
                let bytes = u64::try_from(at.saturating_add(len)).unwrap_or(u64::MAX);
                unproven = VecDeque::from([(at, last)]);
                break End::Sealed(Sealed {
                    path: path.into(),
                    last,
                    retained_until,
                    bytes,
                });
            }
            Err(frame::NotAFrame) => {
                let torn = written(rest);
                // A frame may end with zeros.
                if frame::any_behind(rest.get(1..).unwrap_or_default(), next) {
                    return Err(damaged(at, "a frame is damaged"));
                }
                break match torn {
                    0 => End::Clean,
                    torn => End::Torn(u64::try_from(torn).unwrap_or(u64::MAX)),
                };
            }
        }
    };
    let tail = Tail {
        next,
        bytes: u64::try_from(at).unwrap_or(u64::MAX),
        retained_until: latest,
        unproven: unproven
            .front()
            .map_or(u64::MAX, |(at, _)| u64::try_from(*at).unwrap_or(u64::MAX)),
    };
    Ok((tail, end))
}

/// How much of `bytes` is not space that was never written to.
fn written(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last.saturating_add(1))
}

/// The seal at the end of a closed segment, read without the rest of it.
pub(super) fn read_seal(path: &Path) -> Result<Option<Sealed>, StoreError> {
    use std::io::{Read, Seek, SeekFrom};
    let error = |e| StoreError::io(path, e);
    let mut file = File::open(path).map_err(error)?;
    let bytes = file.metadata().map_err(error)?.len();
    let size = u64::try_from(frame::SEAL_BYTES).unwrap_or(0);
    let Some(at) = bytes.checked_sub(size) else {
        return Ok(None);
    };
    let mut last_bytes = [0; frame::SEAL_BYTES];
    file.seek(SeekFrom::Start(at))
        .and_then(|_| file.read_exact(&mut last_bytes))
        .map_err(error)?;
    Ok(match frame::take(&last_bytes) {
        Ok((Body::Seal { last, retained_until }, _)) => Some(Sealed {
            path: path.into(),
            last,
            retained_until,
            bytes,
        }),
        _ => None,
    })
}

/// The number of the first record of the segment at `path`, which is its name.
pub(super) fn first_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".log")?;
    (name.len() == 20).then(|| name.parse().ok())?
}

/// The segments in `dir`, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let error = |e| StoreError::io(dir, e);
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if first_of(&path).is_some() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
