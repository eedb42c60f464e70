//! Reading a whole journal without changing anything.

use std::{fs, path::Path};

use super::segment::{self, End};
use crate::{error::StoreError, identity::StoreId};

/// What a journal holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Inspected {
    pub(crate) records: u64,
    /// The number of the last record.
    pub(crate) last: u64,
}

/// Reads every record of the journal in `dir`, which nobody writes to, and tells `each` the bytes of a segment.
///
/// # Errors
///
/// [`StoreError::Damaged`] for anything that does not make sense, a torn end included.
pub(crate) fn inspect(dir: &Path, store: StoreId, each: &mut dyn FnMut(u64)) -> Result<Inspected, StoreError> {
    let paths = segment::list(dir)?;
    let (mut records, mut next) = (0_u64, paths.first().and_then(|path| segment::first_of(path)));
    for (n, path) in paths.iter().enumerate() {
        if segment::first_of(path) != next {
            return Err(StoreError::damaged(path, "the segment before it is missing"));
        }
        let bytes = fs::read(path).map_err(|e| StoreError::io(path, e))?;
        let (tail, end) = segment::scan(path, &bytes, &store, &mut |_, _| {
            records = records.saturating_add(1);
            Ok(())
        })?;
        let is_last = n.saturating_add(1) == paths.len();
        match end {
            End::Sealed(_) => {}
            End::Clean if is_last => {}
            End::Clean => return Err(StoreError::damaged(path, "its seal is missing")),
            End::Torn(_) => return Err(StoreError::damaged(path, "it ends in the middle of a group")),
        }
        next = Some(tail.next);
        each(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
    let next = next.ok_or_else(|| StoreError::damaged(dir, "the journal is missing"))?;
    Ok(Inspected {
        records,
        last: next.saturating_sub(1),
    })
}
