//! Reading a log.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use ostracon_core::UnixTime;

use super::{
    Record,
    frame::{self, Framed, HEADER_BYTES, Hash, Header, NotAHeader},
};
use crate::error::StoreError;

/// Which way a log is read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Direction {
    /// The oldest record first.
    Oldest,
    /// The newest record first.
    #[default]
    Newest,
}

/// The segments in `dir` with the numbers of their first records, oldest first.
pub(super) fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let error = |e| StoreError::io(dir, e);
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log"));
        let first = name.filter(|digits| digits.len() == 20).and_then(|d| d.parse().ok());
        segments.extend(first.map(|first| (first, path)));
    }
    segments.sort();
    Ok(segments)
}

/// How far a segment could be read.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) header: Header,
    /// The number that comes next, and the hash before it.
    pub(super) next: u64,
    pub(super) hash: Hash,
    /// When its first record was written.
    pub(super) first_at: Option<UnixTime>,
    /// Bytes up to the end of the last good frame.
    pub(super) good_bytes: usize,
    pub(super) end: End,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Behind a record.
    Open,
    /// The segment was closed, and the next begins where it says.
    Closed,
    /// Bytes that are no frame, with none behind them: what was being written when the process died.
    Torn,
    /// Something else than was written.
    Damaged(String),
}

/// Reads `bytes` as a segment and hands each record over until `each` breaks.
pub(super) fn scan(bytes: &[u8], each: &mut dyn FnMut(Record) -> ControlFlow<()>) -> Result<Scanned, NotAHeader> {
    let header = Header::decode(bytes)?;
    let mut scanned = Scanned {
        header,
        next: header.first,
        hash: header.previous,
        first_at: None,
        good_bytes: HEADER_BYTES,
        end: End::Open,
    };
    loop {
        let rest = bytes.get(scanned.good_bytes..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(scanned);
        }
        let number = scanned.next;
        let damaged = |what: &str| End::Damaged(format!("record {number} {what}"));
        let Ok((framed, len)) = frame::take(rest) else {
            scanned.end = if frame::any_in(rest.get(1..).unwrap_or_default()) {
                damaged("cannot be read")
            } else {
                End::Torn
            };
            return Ok(scanned);
        };
        match framed {
            Framed::Record { record, body } => {
                let wrong = if record.number != number {
                    Some("is not where it should be")
                } else if frame::chained(&scanned.hash, body) != record.hash.0 {
                    Some("does not follow from what is before it: one of them was altered")
                } else {
                    None
                };
                if let Some(wrong) = wrong {
                    scanned.end = damaged(wrong);
                    return Ok(scanned);
                }
                scanned.first_at.get_or_insert(record.at);
                scanned.hash = record.hash.0;
                scanned.next = number.saturating_add(1);
                scanned.good_bytes = scanned.good_bytes.saturating_add(len);
                if each(record).is_break() {
                    return Ok(scanned);
                }
            }
            Framed::End { next } => {
                scanned.good_bytes = scanned.good_bytes.saturating_add(len);
                scanned.end = if next == number && len == rest.len() {
                    End::Closed
                } else {
                    damaged("is missing at the end of its segment")
                };
                return Ok(scanned);
            }
        }
    }
}

/// The bytes of a segment; none if it was dropped meanwhile.
pub(super) fn bytes_of(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io(path, e)),
    }
}

/// Hands the records of the log in `dir` that lie behind the number `cursor` (or before it, where the newest come first)
/// to `each` until it breaks. What cannot be read is passed over; [`super::verify`] tells of it. Needs no lock: a server may be writing.
///
/// # Errors
///
/// [`StoreError::Io`].
pub fn read(
    dir: &Path,
    direction: Direction,
    cursor: Option<u64>,
    each: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut segments = list(dir)?;
    let firsts: Vec<u64> = segments.iter().map(|(first, _)| *first).collect();
    // A segment's records lie below the first of the next one.
    let ends = firsts.into_iter().skip(1).map(Some).chain([None]);
    let mut wanted: Vec<_> = segments
        .drain(..)
        .zip(ends)
        .filter(|((first, _), end)| match (direction, cursor) {
            (_, None) => true,
            (Direction::Oldest, Some(cursor)) => end.is_none_or(|end| cursor.saturating_add(1) < end),
            (Direction::Newest, Some(cursor)) => *first < cursor,
        })
        .map(|((_, path), _)| path)
        .collect();
    if direction == Direction::Newest {
        wanted.reverse();
    }
    for path in wanted {
        let Some(bytes) = bytes_of(&path)? else { continue };
        let mut records = Vec::new();
        let mut flow = ControlFlow::Continue(());
        let scanned = scan(&bytes, &mut |record| match direction {
            Direction::Oldest if cursor.is_some_and(|cursor| record.number <= cursor) => ControlFlow::Continue(()),
            Direction::Oldest => {
                flow = each(record);
                flow
            }
            Direction::Newest if cursor.is_some_and(|cursor| record.number >= cursor) => ControlFlow::Break(()),
            Direction::Newest => {
                records.push(record);
                ControlFlow::Continue(())
            }
        });
        if !scanned.is_ok_and(|scanned| !matches!(scanned.end, End::Damaged(_))) {
            tracing::warn!(segment = %path.display(), "a segment of the audit log is damaged");
        }
        for record in records.into_iter().rev() {
            if flow.is_continue() {
                flow = each(record);
            }
        }
        if flow.is_break() {
            break;
        }
    }
    Ok(())
}
