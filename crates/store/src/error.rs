//! What can go wrong with a store, and what to do about it.

use std::{io, path::PathBuf, sync::Arc};

/// A store that cannot do as asked. No variant ever means "not revoked" (I5).
///
/// Cheap to clone: one failed commit is told to everyone who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the directory open.
    #[error("{} is in use by another process; stop that one or choose another data_dir", .0.display())]
    Locked(PathBuf),
    /// There is no store in the directory.
    #[error("{} holds no denylist; name the data_dir of the configuration", .0.display())]
    Absent(PathBuf),
    /// A rebuild would forgive what the engine alone denies. Nothing was changed.
    #[error("{} lacks {entries} entries that the engine has, and a rebuild would forgive them; repair the store instead, which keeps both", .journal.display())]
    WouldForget {
        /// Where the journal is.
        journal: PathBuf,
        /// How many it lacks.
        entries: u64,
    },
    /// The operating system refused a file operation.
    #[error("{}: {source}; {}", .path.display(), advice(.source))]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// A file was written by a newer version.
    #[error("{} has format {found}, this version reads up to {known}; upgrade, or restore a backup", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is understood.
        known: u32,
    },
    /// A store was written by an earlier version, and not opened by this one yet. Nothing was changed.
    #[error("{} has format {found}; start the server once, which brings it up to {known}, and then look again", .path.display())]
    Older {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The one that an opening makes of it.
        known: u32,
    },
    /// A file does not say what was once written to it. Nothing was changed.
    #[error("{} is damaged: {detail}; see what `ostracon check-store` says of it, or restore a backup", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A backup is none, or cannot be relied on. Nothing was changed.
    #[error("{} is no backup that can be used: {detail}; take another one", .path.display())]
    Backup {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// Something is where a store is to be made. It stays as it is.
    #[error("{} is there already; choose a directory that is empty or not there yet, or move that one away", .0.display())]
    Occupied(PathBuf),
    /// The engine failed. What is denied stays denied as far as it is in memory; the rest is unknown.
    #[error("the storage engine failed: {0}; restart to rebuild it from the journal")]
    Engine(Arc<str>),
    /// The disk is nearly full. Nothing was written; it goes on by itself once there is space.
    #[error("{}: {free} bytes are free, and below {least} nothing more is revoked; free some space", .path.display())]
    Full {
        /// Where the store is.
        path: PathBuf,
        /// The bytes that are free there.
        free: u64,
        /// [`Options::min_free_bytes`](crate::Options).
        least: u64,
    },
    /// An earlier write failed, so nothing about the file can be believed and no more is written.
    #[error("writes are refused since an earlier failure: {0}; free the cause and restart")]
    ReadOnly(Arc<str>),
    /// More writes are waiting than the disk can take; try again.
    #[error("too many writes are waiting")]
    Busy,
    /// Changes are asked for that the journal does not have any more, or never had.
    #[error("what came after change {0} is not in the journal")]
    Gone(u64),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
}

/// What to do about what the operating system said.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free some space, or allow more, and start again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "mount it writable, or choose another data_dir",
        io::ErrorKind::PermissionDenied => "give the user that runs this the right to it, or choose another data_dir",
        io::ErrorKind::NotFound => "something that belongs there is gone; restore a backup",
        _ => "see to the disk, and start again",
    }
}

impl StoreError {
    pub(crate) fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn backup(path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self::Backup {
            path: path.into(),
            detail: detail.into(),
        }
    }

    pub(crate) fn damaged(path: impl Into<PathBuf>, detail: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.into(),
            detail: detail.into(),
        }
    }
}
