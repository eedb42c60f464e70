//! Whether the disk has space for what is still to be written.
//!
//! A write that fails for want of space leaves it open what is on the disk, and then nothing more is written before a restart.
//! So revocations are refused while there still is some, and are taken in again once there is enough; what was taken in goes
//! on its way to the engine meanwhile, and sweeps go on, which make space.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::error::StoreError;

#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    /// Bytes that are to be free at least; zero for whatever there is.
    least: u64,
    was_short: AtomicBool,
}

impl Space {
    pub(crate) fn new(dir: &Path, least: u64) -> Self {
        Self {
            dir: dir.into(),
            least,
            was_short: AtomicBool::new(false),
        }
    }

    /// Why nothing is taken in, while so little is free. Costs a call to the system.
    pub(crate) fn shortage(&self) -> Option<StoreError> {
        if self.least == 0 {
            return None;
        }
        // A file system that does not tell is not known to be full.
        let told = rustix::fs::statvfs(&self.dir).ok()?;
        let free = told.f_bavail.saturating_mul(told.f_frsize);
        let is_short = free < self.least;
        if self.was_short.swap(is_short, Ordering::Relaxed) != is_short {
            let least = self.least;
            if is_short {
                tracing::error!(
                    free,
                    least,
                    "too little space is free: nothing more is revoked until there is more"
                );
            } else {
                tracing::info!(free, "there is space again, and revocations are taken in");
            }
        }
        is_short.then(|| StoreError::Full {
            path: self.dir.clone(),
            free,
            least: self.least,
        })
    }
}
