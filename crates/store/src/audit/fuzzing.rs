//! What the fuzz target `audit` reaches: a segment as it is written, and what is read of one.
use std::ops::ControlFlow;

use super::{
    Content, Record,
    frame::{self, Hash, Header},
    reader::{self, End},
};

/// The number of the first record of each segment here, and the hash before it.
const FIRST: Header = Header {
    first: 7,
    previous: [0x5a; 32],
};

/// A segment of `records`, and a frame that ends it if it is `closed`; none if one of them cannot be written.
#[must_use]
pub fn written(records: &[(ostracon_core::UnixTime, Content)], closed: bool) -> Option<Vec<u8>> {
    let (mut bytes, mut hash, mut number) = (FIRST.encode(), FIRST.previous, FIRST.first);
    for (at, content) in records {
        let (frame, next) = frame::record(number, *at, content, &hash).ok()?;
        bytes.extend(frame);
        (hash, number) = (next, number.saturating_add(1));
    }
    if closed {
        bytes.extend(frame::end(number, ostracon_core::UnixTime::EPOCH, &hash));
    }
    Some(bytes)
}

/// A segment of `bodies` whatever they are, under the checksums and the chain that they should have.
#[must_use]
pub fn chained(bodies: &[&[u8]]) -> Vec<u8> {
    let (mut bytes, mut hash): (_, Hash) = (FIRST.encode(), FIRST.previous);
    for body in bodies {
        hash = frame::chained(&hash, body);
        bytes.extend(frame::framed(body, &hash));
    }
    bytes
}

/// What was read.
#[derive(Debug)]
pub struct Read {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Bytes up to the end of the last frame that is good.
    pub good_bytes: usize,
    /// Whether nothing is said to be wrong.
    pub whole: bool,
    /// Those bytes, written anew from what was read.
    pub again: Option<Vec<u8>>,
}

/// Reads `bytes` as a segment; none if it has no header.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Read> {
    let mut records = Vec::new();
    let scanned = reader::scan(bytes, &mut |record| {
        records.push(record);
        ControlFlow::Continue(())
    })
    .ok()?;
    let (mut again, mut hash, mut fits) = (scanned.header.encode(), scanned.header.previous, true);
    for record in &records {
        match frame::record(record.number, record.at, &record.content, &hash) {
            Ok((frame, next)) => {
                again.extend(frame);
                hash = next;
            }
            Err(_) => fits = false,
        }
    }
    Some(Read {
        records,
        good_bytes: scanned.good_bytes,
        whole: matches!(scanned.end, End::Open | End::Closed),
        again: fits.then_some(again),
    })
}
