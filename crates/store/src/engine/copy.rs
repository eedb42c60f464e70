//! The rows of a part of the engine, in memory for as long as it is opened anew.

use ostracon_core::Revocation;

use super::Engine;
use crate::{digest::Digest, error::StoreError, row};

/// Rows in the order of their digests, each where the one before it ends.
#[derive(Default)]
pub(super) struct Rows {
    ends: Vec<(Digest, u32)>,
    bytes: Vec<u8>,
}

impl Rows {
    /// The row of `digest`.
    pub(super) fn get(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        let Ok(place) = self.ends.binary_search_by_key(digest, |(digest, _)| *digest) else {
            return Ok(None);
        };
        let end = |place: usize| self.ends.get(place).and_then(|(_, end)| usize::try_from(*end).ok());
        let begin = place.checked_sub(1).map_or(Some(0), end);
        let row = begin
            .zip(end(place))
            .and_then(|(begin, end)| self.bytes.get(begin..end));
        // I5: a row that does not say what was written is no answer, here as in the engine.
        row.and_then(|row| row::decode(row).ok())
            .map(Some)
            .ok_or_else(|| StoreError::Engine("a row's checksum does not fit".into()))
    }
}

impl Engine {
    /// A copy of all rows, as they are on the disk. For the thread that writes: what is written meanwhile may lack.
    pub(super) fn copy(&self) -> Result<Rows, StoreError> {
        let mut rows = Rows::default();
        let mut all = self.rows.iter();
        while let Some((key, row)) = self.run(|| all.next().transpose())? {
            let Ok(digest) = key.as_ref().try_into().map(Digest::from_bytes) else {
                return Err(self.damaged("a row has a key of another size"));
            };
            rows.bytes.extend_from_slice(&row);
            let end = u32::try_from(rows.bytes.len());
            rows.ends
                .push((digest, end.map_err(|_| self.fail("too much to copy".into()))?));
        }
        Ok(rows)
    }
}
