//! Reading a whole journal for its own sake: nothing is changed, and damage in one segment does not hide the next.

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use super::{
    Record, first,
    frame::{self, Body},
    segment::{self, End, HEADER_BYTES},
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
    /// Numbers of records before and in between that could not, in order.
    pub(crate) missing: Vec<RangeInclusive<u64>>,
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
    walk.last = walk.first.saturating_sub(1);
    let files = fs::read_dir(dir).map_err(|e| StoreError::io(dir, e))?;
    let unfinished = files
        .filter_map(Result::ok)
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "new"));
    walk.unfinished = u64::try_from(unfinished.count()).unwrap_or(0);
    if !paths.is_empty() {
        let before = first::missing(dir, &store, walk.first)?;
        walk.problems
            .extend(before.as_ref().map(|before| first::problem(dir, before)));
        walk.missing.extend(before);
    }
    for (n, path) in paths.iter().enumerate() {
        let following = paths.get(n.saturating_add(1));
        let mut failed = None;
        let outcome = walk.segment(path, following, &store, &mut |number, record| match &failed {
            None => each(number, record).inspect_err(|error| failed = Some(error.clone())),
            // What looks for more behind damage asks on.
            Some(error) => Err(error.clone()),
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
        self.passed(segment::first_of(path).unwrap_or(0));
        let scanned = segment::scan(path, &bytes, store, &mut |number, record| {
            self.records = self.records.saturating_add(1);
            self.last = self.last.max(number);
            each(number, record)
        });
        if scanned.is_err() && segment::check_header(path, &bytes, store).is_ok() {
            self.go_on_behind(&bytes, each)?;
        }
        let (tail, end) = scanned?;
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

    /// What is behind damage: each group that is whole, in the order of their numbers.
    fn go_on_behind(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(u64, Record) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut at = HEADER_BYTES;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let (group, len) = match frame::take(rest) {
                Ok((Body::Group { first, records, .. }, len)) if first > self.last => (Some((first, records)), len),
                // What was handed over before, and a seal.
                Ok((_, len)) => (None, len),
                Err(frame::NotAFrame) => (None, 1),
            };
            at = at.saturating_add(len);
            let Some((mut number, records)) = group else { continue };
            self.passed(number);
            for record in frame::records(records).map_while(Result::ok) {
                (self.records, self.last) = (self.records.saturating_add(1), number);
                each(number, record)?;
                number = number.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Record `next` is what comes next: those before it that were not read are lost.
    fn passed(&mut self, next: u64) {
        let before = next.saturating_sub(1);
        if before > self.last {
            self.missing.push(self.last.saturating_add(1)..=before);
            self.last = before;
        }
    }
}
