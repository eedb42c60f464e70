//! Reading a whole journal for its own sake: nothing is changed, and damage in one segment does not hide the next.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Record,
    segment::{self, End},
};
use crate::{error::StoreError, identity::StoreId};

/// What a journal holds.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    /// Records that could be read.
    pub(crate) records: u64,
    /// The number of the first record that there is or will be.
    pub(crate) first: u64,
    /// The number of the last record that could be read.
    pub(crate) last: u64,
    /// Bytes behind the last whole group, which the next opening cuts off.
    pub(crate) torn: u64,
    /// Files that a crash left unfinished.
    pub(crate) unfinished: u64,
    /// What does not say what was once written.
    pub(crate) problems: Vec<StoreError>,
}

/// Reads the journal in `dir` and hands over each record that can be read, with its number.
///
/// # Errors
///
/// [`StoreError::Io`] when the directory cannot be listed, and what `each` fails with.
pub(crate) fn walk(
    dir: &Path,
    store: StoreId,
    mut each: impl FnMut(u64, Record) -> Result<(), StoreError>,
) -> Result<Walk, StoreError> {
    let mut walk = Walk::default();
    if !dir.is_dir() {
        walk.problems.push(StoreError::damaged(dir, "the journal is missing"));
        return Ok(walk);
    }
    let paths = segment::list(dir)?;
    if paths.is_empty() {
        walk.problems.push(StoreError::damaged(dir, "it has no segment"));
    }
    walk.first = paths.first().and_then(|path| segment::first_of(path)).unwrap_or(1);
    let files = fs::read_dir(dir).map_err(|e| StoreError::io(dir, e))?;
    walk.unfinished = u64::try_from(files.count().saturating_sub(paths.len())).unwrap_or(0);
    for (n, path) in paths.iter().enumerate() {
        let following = paths.get(n.saturating_add(1));
        let mut failed = None;
        let outcome = walk.segment(path, following, &store, &mut |number, record| {
            each(number, record).inspect_err(|error| failed = Some(error.clone()))
        });
        if let Some(error) = failed {
            return Err(error);
        }
        walk.problems.extend(outcome.err());
    }
    Ok(walk)
}

impl Walk {
    fn segment(
        &mut self,
        path: &Path,
        following: Option<&PathBuf>,
        store: &StoreId,
        each: &mut dyn FnMut(u64, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let damaged = |detail| Err(StoreError::damaged(path, detail));
        let bytes = fs::read(path).map_err(|e| StoreError::io(path, e))?;
        self.segments = self.segments.saturating_add(1);
        let (tail, end) = segment::scan(path, &bytes, store, &mut |number, record| {
            self.records = self.records.saturating_add(1);
            self.last = self.last.max(number);
            each(number, record)
        })?;
        self.last = self.last.max(tail.next.saturating_sub(1));
        self.bytes = self.bytes.saturating_add(match &end {
            End::Sealed(seal) => seal.bytes,
            End::Clean => tail.bytes,
            End::Torn(torn) => tail.bytes.saturating_add(*torn),
        });
        match (end, following.and_then(|path| segment::first_of(path))) {
            (End::Sealed(_), Some(first)) if first != tail.next => damaged("the segment behind it is missing"),
            (End::Sealed(_), _) | (End::Clean, None) => Ok(()),
            (End::Torn(torn), None) => {
                self.torn = torn;
                Ok(())
            }
            (End::Clean | End::Torn(_), Some(_)) => damaged("its seal is missing"),
        }
    }
}
