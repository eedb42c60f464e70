//! How records lie in a segment.
//!
//! A frame is its body's length (4 bytes), the CRC-32 of body and hash (4), the body, and the record's hash (32), which is
//! SHA-256 over the hash of the record before and the body. All integers are big-endian. A body is a kind (1), the
//! record's number (8), its time in seconds (8), and by kind: `1` a text, `2` the number below which records were dropped
//! (8), `3` how many records were lost at most (8). A frame of kind `9` is no record and has no hash of its own (it repeats
//! the last one): it ends a segment that was closed, and its number is that of the record that begins the next.

use ostracon_core::UnixTime;
use sha2::{Digest, Sha256};

use super::{Content, Digest256, Record};
use crate::error::StoreError;

pub(super) type Hash = [u8; 32];

/// The longest text of a record, in bytes.
pub const MAX_TEXT_BYTES: usize = 8192;

const TEXT: u8 = 1;
const DROPPED: u8 = 2;
const LOST: u8 = 3;
const END: u8 = 9;

const BODY_HEAD: usize = 17;
const MAX_BODY: usize = BODY_HEAD + MAX_TEXT_BYTES;
/// No frame is shorter.
pub(super) const MIN_FRAME: usize = 8 + BODY_HEAD + 32;

const MAGIC: &[u8; 8] = b"OSTRAUDT";
const FORMAT: u32 = 1;
pub(super) const HEADER_BYTES: usize = 56;

/// What a segment begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) first: u64,
    /// The hash of the record before the first.
    pub(super) previous: Hash,
}

/// Why bytes are no header.
#[derive(Debug)]
pub(super) enum NotAHeader {
    Damaged,
    Newer(u32),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [
            &MAGIC[..],
            &FORMAT.to_be_bytes(),
            &self.first.to_be_bytes(),
            &self.previous,
        ]
        .concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotAHeader> {
        let decoded = || {
            let (body, crc) = bytes.get(..HEADER_BYTES)?.split_last_chunk::<4>()?;
            (crc32fast::hash(body).to_be_bytes() == *crc).then_some(())?;
            let (magic, rest) = body.split_first_chunk::<8>()?;
            let (format, rest) = rest.split_first_chunk::<4>()?;
            let (first, previous) = rest.split_first_chunk::<8>()?;
            let header = Self {
                first: u64::from_be_bytes(*first),
                previous: previous.try_into().ok()?,
            };
            (magic == MAGIC).then_some((u32::from_be_bytes(*format), header))
        };
        match decoded() {
            None => Err(NotAHeader::Damaged),
            Some((format, _)) if format > FORMAT => Err(NotAHeader::Newer(format)),
            Some((_, header)) => Ok(header),
        }
    }
}

fn body(kind: u8, number: u64, at: UnixTime, content: &[u8]) -> Vec<u8> {
    [&[kind][..], &number.to_be_bytes(), &at.as_secs().to_be_bytes(), content].concat()
}

pub(super) fn framed(body: &[u8], hash: &Hash) -> Vec<u8> {
    let mut crc = crc32fast::Hasher::new();
    crc.update(body);
    crc.update(hash);
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes()[..], &crc.finalize().to_be_bytes(), body, hash].concat()
}

/// The hash of a record with `body` behind one with the hash `previous`.
pub(super) fn chained(previous: &Hash, body: &[u8]) -> Hash {
    Sha256::new()
        .chain_update(previous)
        .chain_update(body)
        .finalize()
        .into()
}

/// The frame of a record behind one with the hash `previous`, and its hash.
///
/// # Errors
///
/// [`StoreError::Engine`] for a text that is too long.
pub(super) fn record(
    number: u64,
    at: UnixTime,
    content: &Content,
    previous: &Hash,
) -> Result<(Vec<u8>, Hash), StoreError> {
    let body = match content {
        Content::Text(text) if text.len() > MAX_TEXT_BYTES => {
            return Err(StoreError::Engine("an audit record is too long".into()));
        }
        Content::Text(text) => body(TEXT, number, at, text.as_bytes()),
        Content::Dropped { below } => body(DROPPED, number, at, &below.to_be_bytes()),
        Content::Lost { most } => body(LOST, number, at, &most.to_be_bytes()),
    };
    let hash = chained(previous, &body);
    Ok((framed(&body, &hash), hash))
}

/// The frame that ends a segment; record `next` begins the one behind it.
pub(super) fn end(next: u64, at: UnixTime, last: &Hash) -> Vec<u8> {
    framed(&body(END, next, at, &[]), last)
}

/// What a frame holds.
pub(super) enum Framed<'a> {
    Record {
        record: Record,
        /// What its hash is over.
        body: &'a [u8],
    },
    End {
        next: u64,
    },
}

/// Where reading stopped making sense.
#[derive(Debug)]
pub(super) struct NotAFrame;

/// Takes the frame at the start of `bytes`, and how long the whole of it is. Whether its hash fits is not looked at.
pub(super) fn take(bytes: &[u8]) -> Result<(Framed<'_>, usize), NotAFrame> {
    let (len, rest) = bytes.split_first_chunk::<4>().ok_or(NotAFrame)?;
    let (crc, rest) = rest.split_first_chunk::<4>().ok_or(NotAFrame)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| NotAFrame)?;
    if !(BODY_HEAD..=MAX_BODY).contains(&len) {
        return Err(NotAFrame);
    }
    let both = rest.get(..len.saturating_add(32)).ok_or(NotAFrame)?;
    if crc32fast::hash(both).to_be_bytes() != *crc {
        return Err(NotAFrame);
    }
    let (body, hash) = both.split_last_chunk::<32>().ok_or(NotAFrame)?;
    let (&kind, rest) = body.split_first().ok_or(NotAFrame)?;
    let (number, rest) = rest.split_first_chunk::<8>().ok_or(NotAFrame)?;
    let (at, content) = rest.split_first_chunk::<8>().ok_or(NotAFrame)?;
    let number = u64::from_be_bytes(*number);
    let count = || content.try_into().map(u64::from_be_bytes).map_err(|_| NotAFrame);
    let content = match kind {
        TEXT => Content::Text(core::str::from_utf8(content).map_err(|_| NotAFrame)?.into()),
        DROPPED => Content::Dropped { below: count()? },
        LOST => Content::Lost { most: count()? },
        END => return Ok((Framed::End { next: number }, both.len().saturating_add(8))),
        _ => return Err(NotAFrame),
    };
    let secs = u64::from_be_bytes(*at);
    let at = UnixTime::from_secs(secs);
    if at.as_secs() != secs {
        // No clock of ours says that.
        return Err(NotAFrame);
    }
    let record = Record {
        number,
        at,
        content,
        hash: Digest256(*hash),
    };
    Ok((Framed::Record { record, body }, both.len().saturating_add(8)))
}

/// Whether a whole frame begins anywhere in `bytes`: then what lies before it was damaged, and not torn by a crash.
pub(super) fn any_in(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| bytes.get(at..).is_some_and(|rest| take(rest).is_ok()))
}
