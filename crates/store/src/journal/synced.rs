//! How far the journal is on the disk: for who makes it so, and for who must not claim more.

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{error::StoreError, seam, shared::unpoisoned};

/// The open end of the journal, as far as syncing it goes. All syncs go through here, since the kernel tells of a failed
/// one only once.
#[derive(Debug)]
pub(crate) struct Synced {
    end: Mutex<End>,
    /// The last record that is on the disk.
    last: AtomicU64,
}

#[derive(Debug)]
struct End {
    file: Arc<File>,
    path: PathBuf,
    /// The last record that was written, to the disk or to the page cache.
    written: u64,
    failed: Option<StoreError>,
}

impl Synced {
    /// An end of which all up to record `last` is on the disk.
    pub(super) fn new(file: Arc<File>, path: PathBuf, last: u64) -> Self {
        let end = End {
            file,
            path,
            written: last,
            failed: None,
        };
        Self {
            end: Mutex::new(end),
            last: AtomicU64::new(last),
        }
    }

    /// The last record that is on the disk.
    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::SeqCst)
    }

    /// Whether every record that was written is on the disk.
    pub(crate) fn is_complete(&self) -> bool {
        // The lock, and not a second atomic: between two loads a group could come in and be missed.
        let end = unpoisoned(self.end.lock());
        end.failed.is_none() && end.written <= self.last()
    }

    /// Notes that all up to record `last` was written.
    pub(super) fn wrote(&self, last: u64) {
        unpoisoned(self.end.lock()).written = last;
    }

    /// Goes on with the segment behind. All of the one before must be on the disk.
    pub(super) fn turn(&self, file: Arc<File>, path: PathBuf) {
        let mut end = unpoisoned(self.end.lock());
        (end.file, end.path) = (file, path);
    }

    /// Returns when all that was written before the call is on the disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], from the first failure on for ever: a second sync after a failed one proves nothing.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let mut end = unpoisoned(self.end.lock());
        if let Some(error) = &end.failed {
            return Err(error.clone());
        }
        if end.written > self.last() {
            if let Err(error) = seam::sync_data(&end.file, &end.path) {
                let error = StoreError::io(&end.path, error);
                end.failed = Some(error.clone());
                return Err(error);
            }
            self.last.store(end.written, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Sees that the file still has a name. Not for each sync: a file whose times somebody has asked for gets new ones with
    /// the next write, which makes a sync a third longer.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when somebody has removed it: what is written to it is gone with the process (I4).
    /// [`StoreError::Io`].
    pub(crate) fn has_a_name(&self) -> Result<(), StoreError> {
        let end = unpoisoned(self.end.lock());
        match end.file.metadata() {
            Ok(metadata) if metadata.nlink() > 0 => Ok(()),
            Ok(_) => Err(StoreError::damaged(
                &end.path,
                "it was removed while it was being written",
            )),
            Err(error) => Err(StoreError::io(&end.path, error)),
        }
    }
}
