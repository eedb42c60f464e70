//! Where the journal begins: what was before was deleted once all of it had ended, and what else is missing was lost.
//!
//! `journal/first`: the number of the first record that is kept (8 bytes, big-endian), and the CRC-32 of the store's id and of
//! it (4). Written before anything is deleted, so that more may be there than it says, and never less; and in place, since to
//! delete must not need space.

use std::{io, ops::RangeInclusive, path::Path};

use super::segment;
use crate::{error::StoreError, files, identity::StoreId, seam};

pub(super) const FILE: &str = "first";

/// States that the journal in `dir` has all from record `number` on. Durable on return.
pub(crate) fn state(dir: &Path, store: &StoreId, number: u64) -> Result<(), StoreError> {
    let (path, bytes) = (dir.join(FILE), encoded(store, number));
    if !path.exists() {
        return files::write_new(&path, &bytes);
    }
    let file = segment::open_to_write(&path)?;
    seam::write_all_at(&file, &path, &bytes, 0)
        .and_then(|()| seam::sync_data(&file, &path))
        .map_err(|e| StoreError::io(path, e))
}

/// What was stated last; none in a journal that an earlier version wrote, and where it makes no sense: then it is stated anew.
pub(super) fn stated(dir: &Path, store: &StoreId) -> Result<Option<u64>, StoreError> {
    let path = dir.join(FILE);
    let bytes = match seam::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::io(path, e)),
    };
    let number = bytes.first_chunk::<8>().map(|number| u64::from_be_bytes(*number));
    // What is written in place makes a longer file no shorter.
    let stated = number.filter(|number| bytes.starts_with(&encoded(store, *number)));
    if stated.is_none() {
        tracing::warn!(path = %path.display(), "where the journal begins does not make sense, and is taken from its segments");
    }
    Ok(stated)
}

fn encoded(store: &StoreId, number: u64) -> Vec<u8> {
    let number = number.to_be_bytes();
    let crc = crc32fast::hash(&[&store[..], &number].concat());
    [&number[..], &crc.to_be_bytes()].concat()
}

/// The records that are missing from a journal whose first segment begins with record `first`, if some are.
pub(super) fn missing(dir: &Path, store: &StoreId, first: u64) -> Result<Option<RangeInclusive<u64>>, StoreError> {
    let stated = stated(dir, store)?.filter(|stated| *stated < first);
    Ok(stated.map(|stated| stated..=first.saturating_sub(1)))
}

/// What is wrong with a journal that lacks its first records.
pub(super) fn problem(dir: &Path, missing: &RangeInclusive<u64>) -> StoreError {
    let (from, to) = (missing.start(), missing.end());
    StoreError::damaged(dir, format!("records {from} to {to} are missing at its beginning"))
}
