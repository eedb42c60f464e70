//! Files that are copied with their checksum reckoned on the way, and a directory that is there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::Told;
use crate::{error::StoreError, files::sync_dir, identity::StoreId};

const BUFFER: usize = 256 * 1024;

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Content {
    pub(super) bytes: u64,
    pub(super) crc: u32,
}

/// Copies the first `bytes` of `from`, for the owner alone; on the disk when this returns.
pub(super) fn copy(from: &Path, to: &Path, bytes: u64, told: &mut Told<'_>) -> Result<Content, StoreError> {
    let written = |e| StoreError::io(to, e);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(written)?;
    let content = read(from, bytes, told, &mut |part| target.write_all(part).map_err(written))?;
    if content.bytes != bytes {
        return Err(StoreError::damaged(
            from,
            format!("it has {} bytes instead of {bytes}", content.bytes),
        ));
    }
    target.sync_all().map_err(written)?;
    Ok(content)
}

/// Hands over the first `most` bytes of the file at `path`, part by part.
pub(super) fn read(
    path: &Path,
    most: u64,
    told: &mut Told<'_>,
    each: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Content, StoreError> {
    let error = |e| StoreError::io(path, e);
    let mut source = File::open(path).map_err(error)?.take(most);
    let mut buffer = vec![0; BUFFER];
    let (mut crc, mut bytes) = (crc32fast::Hasher::new(), 0_u64);
    loop {
        let read = source.read(&mut buffer).map_err(error)?;
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            let crc = crc.finalize();
            return Ok(Content { bytes, crc });
        }
        each(part)?;
        crc.update(part);
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        bytes = bytes.saturating_add(read);
        told.step(read);
    }
}

/// A directory that is removed again unless it is finished.
pub(super) struct Unfinished(Option<PathBuf>);

impl Unfinished {
    /// Begins one in `into`, in place of what a backup of the same store has left that was killed. Only one process has
    /// a store open, and that one makes one backup at a time: nobody else is at it.
    pub(super) fn begin(into: &Path, store: &StoreId) -> Result<Self, StoreError> {
        let path = into.join(format!(".{:032x}.unfinished", u128::from_be_bytes(*store)));
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|e| StoreError::io(&path, e))?;
        }
        Self::make(path)
    }

    /// Makes the directory at `path`, which is not there.
    pub(super) fn make(path: PathBuf) -> Result<Self, StoreError> {
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|e| StoreError::io(&path, e))?;
        Ok(Self(Some(path)))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// Gives it its name, durably. What has that name is replaced only if it is an empty directory.
    pub(super) fn finish(mut self, name: &Path) -> Result<PathBuf, StoreError> {
        fs::rename(self.path(), name).map_err(|e| StoreError::io(name, e))?;
        self.0 = None;
        name.parent().map_or(Ok(()), sync_dir)?;
        Ok(name.to_owned())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_dir_all(path)
        {
            tracing::warn!(%error, path = %path.display(), "what was not finished could not be removed");
        }
    }
}
