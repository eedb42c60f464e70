//! Frames: how groups of records lie in a segment.
//!
//! A frame is its body's length (4 bytes), its body's CRC-32 (4), the body. All integers are big-endian. Bodies:
//!
//! - group: `1`, sequence number of the first record (8), then each record as its length (2) and its bytes;
//! - seal: `2`, sequence number of the last record (8), the latest end of retention in the segment in seconds (8);
//! - group ahead: `3`, sequence number of the first record (8), of the last one that was on the disk when this was
//!   written (8), then records as in a group. In a group all before it was.
//!
//! A record is `1` and a row (revoke), `2` and the row of a revocation of the target (lift), or `3` and seconds (8)
//! (forget).

use std::io;

use ostracon_core::{Policy, Reason, Revocation, UnixTime};

use super::Record;
use crate::row::{self, RowError};

const GROUP: u8 = 1;
const SEAL: u8 = 2;
const GROUP_AHEAD: u8 = 3;

const REVOKE: u8 = 1;
const LIFT: u8 = 2;
const FORGET: u8 = 3;

/// The most records in one group; more waiters make the next one.
pub(crate) const MAX_GROUP: usize = 8192;

/// No body is longer: a group of the longest rows there are.
const MAX_BODY: usize = MAX_GROUP * 2048;

const HEAD: usize = 8;

/// The size of a sealing frame, which ends a closed segment.
pub(super) const SEAL_BYTES: usize = HEAD + 17;

/// Where reading stopped making sense.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct NotAFrame;

pub(super) enum Body<'a> {
    Group {
        first: u64,
        /// The last record that was known to be on the disk when this was written.
        synced: u64,
        records: &'a [u8],
    },
    Seal {
        last: u64,
        retained_until: UnixTime,
    },
}

fn framed(body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], &crc32fast::hash(body).to_be_bytes(), body].concat()
}

/// The frame of a group whose first record has the sequence number `first`, written when all up to record `synced` was on
/// the disk.
pub(super) fn group(first: u64, synced: u64, records: &[Record]) -> Result<Vec<u8>, RowError> {
    let is_ahead = synced.saturating_add(1) < first;
    let mut body = vec![if is_ahead { GROUP_AHEAD } else { GROUP }];
    body.extend(first.to_be_bytes());
    if is_ahead {
        body.extend(synced.to_be_bytes());
    }
    for record in records {
        let bytes = encode(record)?;
        body.extend(u16::try_from(bytes.len()).map_err(|_| RowError::Content)?.to_be_bytes());
        body.extend(bytes);
    }
    if body.len() > MAX_BODY {
        return Err(RowError::Content);
    }
    Ok(framed(&body))
}

/// The frame that closes a segment.
pub(super) fn seal(last: u64, retained_until: UnixTime) -> Vec<u8> {
    framed(
        &[
            &[SEAL][..],
            &last.to_be_bytes(),
            &retained_until.as_secs().to_be_bytes(),
        ]
        .concat(),
    )
}

fn encode(record: &Record) -> Result<Vec<u8>, RowError> {
    Ok(match record {
        Record::Revoke(revocation) => [&[REVOKE][..], &row::encode(revocation)?].concat(),
        Record::Lift(target) => {
            let carrier = Revocation::new(target.clone(), Reason::Other, &Policy::default(), UnixTime::EPOCH);
            [&[LIFT][..], &row::encode(&carrier)?].concat()
        }
        Record::Forget(until) => [&[FORGET][..], &until.as_secs().to_be_bytes()].concat(),
    })
}

fn decode(bytes: &[u8]) -> Result<Record, RowError> {
    match bytes.split_first() {
        Some((&REVOKE, row)) => row::decode(row).map(Record::Revoke),
        Some((&LIFT, row)) => row::decode(row).map(|carrier| Record::Lift(carrier.target().clone())),
        Some((&FORGET, secs)) => {
            let secs = secs.try_into().map_err(|_| RowError::Content)?;
            Ok(Record::Forget(UnixTime::from_secs(u64::from_be_bytes(secs))))
        }
        _ => Err(RowError::Content),
    }
}

/// Takes the frame at the start of `bytes`: its body, and how long the whole of it is.
pub(super) fn take(bytes: &[u8]) -> Result<(Body<'_>, usize), NotAFrame> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(NotAFrame)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(NotAFrame)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| NotAFrame)?;
    let body = rest.get(..len).filter(|_| len <= MAX_BODY).ok_or(NotAFrame)?;
    // What cannot be a frame is refused before its checksum is reckoned, so that searching a torn one stays cheap.
    let (&kind, content) = body
        .split_first()
        .filter(|(kind, _)| matches!(**kind, GROUP | SEAL | GROUP_AHEAD))
        .ok_or(NotAFrame)?;
    if crc32fast::hash(body).to_be_bytes() != *crc {
        return Err(NotAFrame);
    }
    let (number, rest) = content.split_first_chunk::<8>().ok_or(NotAFrame)?;
    let number = u64::from_be_bytes(*number);
    let body = match kind {
        GROUP => Body::Group {
            first: number,
            synced: number.saturating_sub(1),
            records: rest,
        },
        GROUP_AHEAD => {
            let (synced, records) = rest.split_first_chunk::<8>().ok_or(NotAFrame)?;
            Body::Group {
                first: number,
                synced: u64::from_be_bytes(*synced),
                records,
            }
        }
        SEAL => {
            let secs = rest.try_into().map_err(|_| NotAFrame)?;
            Body::Seal {
                last: number,
                retained_until: UnixTime::from_secs(u64::from_be_bytes(secs)),
            }
        }
        _ => return Err(NotAFrame),
    };
    Ok((body, HEAD.saturating_add(len)))
}

/// Each record of a group in turn.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<Record, RowError>> {
    core::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let split = bytes
            .split_first_chunk::<2>()
            .and_then(|(len, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*len))));
        let Some((record, rest)) = split else {
            bytes = &[];
            return Some(Err(RowError::Content));
        };
        bytes = rest;
        Some(decode(record))
    })
}

/// The bytes of the frame that `source` is at, not judged yet.
///
/// # Errors
///
/// [`io::ErrorKind::UnexpectedEof`] where it ends before the frame does, and [`io::ErrorKind::InvalidData`] for a length
/// that no frame has.
pub(super) fn read(source: &mut impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; HEAD];
    source.read_exact(&mut bytes)?;
    let len = bytes.first_chunk::<4>().map_or(0, |len| u32::from_be_bytes(*len));
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_BODY);
    bytes.resize(HEAD.saturating_add(len.ok_or(io::ErrorKind::InvalidData)?), 0);
    source.read_exact(bytes.get_mut(HEAD..).unwrap_or_default())?;
    Ok(bytes)
}

/// How often the bytes behind a tear are read for their checksums, at most.
const PASSES: usize = 16;

/// Whether a whole frame begins anywhere in `bytes` that was written when record `number` was on the disk. If so, a frame
/// before it that should have held that record was damaged later; if not, it may be one that never got there.
///
/// Costs one pass, and the checksums of what says that it shows it: so those of whole frames, of which the first ends the
/// search. Bytes that say so again and again were put there by somebody, and are taken for damage (I5).
pub(super) fn any_behind(bytes: &[u8], number: u64) -> bool {
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    // A record takes more than a byte, so the numbers of a segment do not run ahead of its length.
    let is_near = |shown: u64| (number..=number.saturating_add(len)).contains(&shown);
    let mut left = bytes.len().saturating_mul(PASSES);
    for at in 0..bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some((_, body)) = shows(rest).filter(|(shown, _)| is_near(*shown)) else {
            continue;
        };
        let Some(after) = left.checked_sub(body) else {
            return true;
        };
        left = after;
        if take(rest).is_ok() {
            return true;
        }
    }
    false
}

/// What the frame at the start of `bytes`, if it is one, shows to have been on the disk, and the length of its body: told
/// without its checksum.
fn shows(bytes: &[u8]) -> Option<(u64, usize)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len))
        .ok()
        .filter(|len| *len <= MAX_BODY)?;
    let body = rest.get(4..)?.get(..len)?;
    let (&kind, content) = body.split_first()?;
    let (number, rest) = content.split_first_chunk::<8>()?;
    let number = u64::from_be_bytes(*number);
    let shown = match kind {
        GROUP => number.saturating_sub(1),
        GROUP_AHEAD => u64::from_be_bytes(*rest.first_chunk::<8>()?),
        // All before a seal is synced before it is written.
        SEAL if rest.len() == 8 => number,
        _ => return None,
    };
    Some((shown, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tail of heads that each named all behind them for their body took the square of its length.
    #[test]
    fn bytes_that_pretend_to_be_frames_are_damage_before_they_cost_much() {
        let pretended = |len: usize, number: u64| {
            let len = u32::try_from(len).unwrap();
            [&len.to_be_bytes()[..], &[0; 4], &[GROUP], &number.to_be_bytes()].concat()
        };
        let size = 2 << 20;
        let mut bytes = Vec::new();
        while bytes.len() < size {
            bytes.extend(pretended(size.saturating_sub(bytes.len()).saturating_sub(HEAD), 8));
        }
        assert!(any_behind(&bytes, 7));
        // Numbers that no frame there can have are not even reckoned.
        assert!(!any_behind(&bytes, 8));
        assert!(!any_behind(&pretended(9, 1 << 40), 7));
    }

    #[test]
    fn a_frame_behind_shows_what_was_on_the_disk() {
        let records = [Record::Forget(UnixTime::EPOCH)];
        let behind = |frame: &[u8]| [&[0, 0, 1, 7, 1][..], frame, &[0; 9]].concat();
        let group = group(8, 7, &records).unwrap();
        assert!(any_behind(&behind(&group), 7) && !any_behind(&behind(&group), 8));
        let ahead = super::group(9, 5, &records).unwrap();
        assert!(any_behind(&behind(&ahead), 5) && !any_behind(&behind(&ahead), 6));
        let seal = seal(9, UnixTime::EPOCH);
        assert!(any_behind(&behind(&seal), 9) && !any_behind(&behind(&seal), 10));
        let mut damaged = behind(&group);
        damaged[10] ^= 1;
        assert!(!any_behind(&damaged, 7));
    }
}
