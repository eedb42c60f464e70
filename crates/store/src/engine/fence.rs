//! What keeps sled's panics, and its handles, from getting at anybody else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use crate::error::StoreError;

pub(crate) enum Failure {
    Error(sled::Error),
    Panic,
}

impl Failure {
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Error(error) => error.to_string(),
            Self::Panic => "it panicked".to_owned(),
        }
    }

    pub(super) fn into_error(self, dir: &Path) -> StoreError {
        match self {
            Self::Error(sled::Error::Io(error)) => StoreError::io(dir, error),
            other => StoreError::Engine(other.cause().into()),
        }
    }
}

/// Runs `operation`; a panic inside it is a failure of the engine and nothing more.
pub(crate) fn fence<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    // Unwind safety: after a panic the engine is never used again (`Engine::run`).
    match catch_unwind(AssertUnwindSafe(operation)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::Error(error)),
        Err(_) => Err(Failure::Panic),
    }
}

/// The handle of a database that outlives all others: sled syncs when the last one goes, and panics when it cannot.
///
/// Fields are dropped in their order, so it has to stand behind those that hold the others.
pub(crate) struct LastHandle(Option<sled::Db>);

impl LastHandle {
    pub(crate) fn of(db: &sled::Db) -> Self {
        Self(Some(db.clone()))
    }
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        let dropped = fence(|| {
            drop(self.0.take());
            Ok(())
        });
        if let Err(failure) = dropped {
            tracing::error!(
                cause = failure.cause(),
                "the storage engine was not closed in good order"
            );
        }
    }
}

/// sled gives up its lock some time after it was dropped, when its last background thread has ended. The directory is
/// this process's own (`DirLock`), so a lock that is still held is one of those.
pub(crate) fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let mut tries = 0..2_500;
    loop {
        match config.open() {
            Err(sled::Error::Io(e)) if e.to_string().contains("could not acquire lock") && tries.next().is_some() => {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            other => return other,
        }
    }
}
