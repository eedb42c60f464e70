//! Where the store meets the disk: each call that its promises rest on goes through here, so that the crate's own tests
//! can make any one of them fail (`faults.rs`). In every other build nothing of it is left.

use std::{fs, fs::File, io, os::unix::fs::FileExt, path::Path};

#[cfg(test)]
use crate::faults;

/// What is about to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    /// A file is opened, or read.
    Open,
    /// Bytes are written.
    Write,
    /// What was written is to get to the disk.
    Sync,
    /// A file is cut to a length.
    Cut,
    /// A file gets its name.
    Rename,
    /// A file goes.
    Remove,
    /// The engine is asked for something.
    Engine,
}

#[cfg(not(test))]
#[inline]
#[expect(clippy::unnecessary_wraps, reason = "tests make it fail")]
pub(crate) fn meet(_: Call, _: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) fn meet(call: Call, path: &Path) -> io::Result<()> {
    faults::meet(call, path)
}

pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    meet(Call::Open, path)?;
    fs::read(path)
}

/// Writes `bytes` to `file`, which is at `path`.
pub(crate) fn write_all_at(file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
    if let Err(error) = meet(Call::Write, path) {
        // A disk that is full takes what fits.
        let some = bytes.get(..bytes.len() / 2).unwrap_or_default();
        if error.kind() == io::ErrorKind::StorageFull {
            file.write_all_at(some, at)?;
        }
        return Err(error);
    }
    #[cfg(test)]
    faults::wrote(path, at, bytes.len());
    file.write_all_at(bytes, at)
}

pub(crate) fn sync_data(file: &File, path: &Path) -> io::Result<()> {
    let met = meet(Call::Sync, path);
    #[cfg(test)]
    faults::synced(path, met.is_ok());
    met.and_then(|()| file.sync_data())
}

pub(crate) fn sync_all(file: &File, path: &Path) -> io::Result<()> {
    meet(Call::Sync, path)?;
    file.sync_all()
}

pub(crate) fn set_len(file: &File, path: &Path, len: u64) -> io::Result<()> {
    meet(Call::Cut, path)?;
    file.set_len(len)
}

pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    meet(Call::Rename, to)?;
    fs::rename(from, to)
}

pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    meet(Call::Remove, path)?;
    fs::remove_file(path)
}

pub(crate) fn remove_dir_all(path: &Path) -> io::Result<()> {
    meet(Call::Remove, path)?;
    fs::remove_dir_all(path)
}
