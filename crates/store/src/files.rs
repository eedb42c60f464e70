//! The file operations whose order is what makes them safe.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::{error::StoreError, seam};

/// Makes `dir` and its parents, for the owner alone.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| StoreError::io(dir, e))
}

/// Makes the entries of `dir` durable; the parent of a name alone is the current directory.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    File::open(dir)
        .and_then(|d| seam::sync_all(&d, dir))
        .map_err(|e| StoreError::io(dir, e))
}

/// Writes a file that its owner alone can read, so that it is there with all of `bytes` or as it was before, whenever the
/// power goes. Durable on return; blocks.
///
/// # Errors
///
/// [`StoreError::Io`]; what was there before is still there.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut unfinished: PathBuf = path.into();
    unfinished.add_extension("new");
    let error = |e| StoreError::io(path, e);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.open(&unfinished).map_err(error)?;
    seam::write_all_at(&file, &unfinished, bytes, 0).map_err(error)?;
    seam::sync_all(&file, &unfinished).map_err(error)?;
    seam::rename(&unfinished, path).map_err(error)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes from `dir` what a kill left unfinished, as the `extension` of its name says.
pub(crate) fn remove_unfinished(dir: &Path, extension: &str) -> Result<(), StoreError> {
    let error = |e| StoreError::io(dir, e);
    for file in fs::read_dir(dir).map_err(error)? {
        let path = file.map_err(error)?.path();
        if path.extension().is_some_and(|other| other == extension) {
            seam::remove_file(&path).map_err(|e| StoreError::io(path, e))?;
        }
    }
    Ok(())
}

/// A directory that this process alone has open, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

/// One opening of a directory, told from all others at random. What was written between two openings is one history.
pub(crate) type Run = [u8; 16];

impl DirLock {
    pub(crate) fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|e| StoreError::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path }),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked(dir.into())),
            Err(fs::TryLockError::Error(e)) => Err(StoreError::io(path, e)),
        }
    }

    /// The last opening of which [`DirLock::begin`] has told; none where none has.
    pub(crate) fn last(&self) -> Result<Option<Run>, StoreError> {
        let mut run = Run::default();
        match self.file.read_exact_at(&mut run, 0) {
            Ok(()) => Ok(Some(run)),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(StoreError::io(&self.path, e)),
        }
    }

    /// Begins another. Durable on return.
    pub(crate) fn begin(&self) -> Result<Run, StoreError> {
        let error = |e| StoreError::io(&self.path, e);
        let mut run = Run::default();
        getrandom::fill(&mut run).map_err(|e| error(io::Error::other(e)))?;
        seam::write_all_at(&self.file, &self.path, &run, 0).map_err(error)?;
        seam::sync_all(&self.file, &self.path).map_err(error)?;
        Ok(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ostracon restore --to NAME` failed half-way, since the parent of a name alone is an empty path.
    #[test]
    fn the_parent_of_a_name_alone_is_synced() {
        sync_dir(Path::new("name").parent().unwrap()).unwrap();
    }
}
