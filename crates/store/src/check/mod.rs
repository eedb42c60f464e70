//! Looking at a store that no server has open, and mending it.
//!
//! Nothing is lost by it: what is replaced is moved aside first, and the new one takes its place whole.

mod look;
mod mend;
mod report;

use std::path::{Path, PathBuf};

pub use self::report::{Counts, Finding, Part, Remedy, Report};
use crate::{error::StoreError, files::DirLock};

/// A store that no server has open, for as long as the value lives.
#[derive(Debug)]
pub struct ClosedStore {
    dir: PathBuf,
    lock: DirLock,
}

/// What a repair or a rebuild did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Mended {
    /// Entries that the engine has now.
    pub entries: u64,
    /// Rows of the old engine that made no sense. What the journal says of them is in the new one.
    pub unreadable: u64,
    /// Records whose numbers are missing from the old journal, and that the rows are not said to have either: what they
    /// said, nobody has.
    pub lost: u64,
    /// Entries that only the engine had, and the journal has now as well.
    pub journaled: u64,
    /// Where that went which was replaced.
    pub set_aside: Vec<PathBuf>,
}

impl ClosedStore {
    /// Takes the store in `dir`, which is not changed by that.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when a server has it open, [`StoreError::Absent`] when there is none, [`StoreError::Io`].
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        if !["identity", "journal", "sled"]
            .iter()
            .any(|part| dir.join(part).exists())
        {
            return Err(StoreError::Absent(dir.into()));
        }
        Ok(Self {
            lock: DirLock::take(dir)?,
            dir: dir.into(),
        })
    }

    /// Walks everything: identity, journal, rows and their index, checkpoint, saved prefilter, list of sessions, audit log. Blocks; costs the reading
    /// of all of it, a look-up for each record of the journal, and 20 bytes of memory for each entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when a directory cannot be read. Whatever else is wrong is a finding of the [`Report`].
    pub fn check(&self) -> Result<Report, StoreError> {
        look::look(&self.dir, &self.lock).map(|look| look.report)
    }

    /// Puts a new engine, with a new index, in the place of the old: from its rows, and from the journal. Where the journal
    /// is damaged, a new one begins with what stands then. What could not be read anywhere stays forgotten: see
    /// [`ClosedStore::check`] first, and restore a backup if there is one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] without an identity, by which alone anything can be read; [`StoreError::Newer`];
    /// [`StoreError::Io`]. The store is then as it was, or can be repaired again.
    pub fn repair(&self) -> Result<Mended, StoreError> {
        mend::repair(&self.dir, &self.lock)
    }

    /// Puts a new engine in the place of the old, from the journal alone.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the journal is, and [`StoreError::WouldForget`] when the engine has entries that it
    /// lacks: nothing was changed then. [`StoreError::Io`]; the next opening then goes on with it.
    pub fn rebuild(self) -> Result<Mended, StoreError> {
        mend::rebuild(&self.dir, self.lock)
    }
}
