//! Looking at a backup, and putting it back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Backup, Progress, Told,
    files::{self, Unfinished},
    manifest::Manifest,
};
use crate::{
    error::StoreError,
    files::{create_dir, sync_dir},
    identity::Identity,
    journal,
};

/// Reads the backup in `from` as far as it goes: every byte against the manifest, every record of its journal. Changes
/// nothing. Blocks; needs the memory of one segment.
///
/// # Errors
///
/// [`StoreError::Backup`]: it is none, or is damaged. [`StoreError::Newer`], [`StoreError::Io`].
pub fn verify_backup(from: &Path, watch: &mut dyn FnMut(Progress)) -> Result<Backup, StoreError> {
    let bytes = Manifest::read(from)?.bytes();
    verify(from, &mut Told::new(bytes.saturating_mul(2), watch))
}

/// Puts the backup in `from` into `to`, which is not there yet or is an empty directory: a store that denies all that the
/// other one had acknowledged when the backup was begun. It is there only once it is whole, synced, and was read back;
/// the first opening makes the engine from its journal. Blocks.
///
/// # Errors
///
/// As for [`verify_backup`]; [`StoreError::Occupied`] when something is in `to`. Nothing is there then that was not before.
pub fn restore(from: &Path, to: &Path, watch: &mut dyn FnMut(Progress)) -> Result<Backup, StoreError> {
    let occupied = match fs::read_dir(to) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => false,
        Err(e) => return Err(StoreError::io(to, e)),
    };
    if occupied {
        return Err(StoreError::Occupied(to.into()));
    }
    let mut beside: PathBuf = to.into();
    if !beside.add_extension("restoring") {
        return Err(StoreError::Occupied(to.into()));
    }
    if beside.exists() {
        return Err(StoreError::Occupied(beside));
    }
    let manifest = Manifest::read(from)?;
    // It is read to be checked, read to be copied, and the copy is checked.
    let mut told = Told::new(manifest.bytes().saturating_mul(5), watch);
    verify(from, &mut told)?;
    to.parent().map_or(Ok(()), create_dir)?;
    let unfinished = Unfinished::make(beside)?;
    create_dir(&unfinished.path().join("journal"))?;
    for (name, content) in &manifest.files {
        let copied = files::copy(
            &from.join(name),
            &unfinished.path().join(name),
            content.bytes,
            &mut told,
        )?;
        if copied != *content {
            return Err(StoreError::backup(
                from.join(name),
                "it changed while it was read, or the disk cannot be trusted",
            ));
        }
    }
    sync_dir(&unfinished.path().join("journal"))?;
    sync_dir(unfinished.path())?;
    let restored = check(unfinished.path(), &manifest, &mut told)?;
    let path = unfinished.finish(to)?;
    Ok(Backup { path, ..restored })
}

/// Whether the directory at `dir` is all that its manifest says.
pub(super) fn verify(dir: &Path, told: &mut Told<'_>) -> Result<Backup, StoreError> {
    check(dir, &Manifest::read(dir)?, told)
}

fn check(dir: &Path, manifest: &Manifest, told: &mut Told<'_>) -> Result<Backup, StoreError> {
    for (name, content) in &manifest.files {
        let path = dir.join(name);
        let found = files::read(&path, u64::MAX, told, &mut |_| Ok(()));
        if found.map_err(|e| StoreError::backup(dir, e.to_string()))? != *content {
            return Err(StoreError::backup(path, "its checksum does not fit"));
        }
    }
    // Checksums of checksums say that it was copied well; what counts is that it can be read.
    let unreadable = |error| match error {
        StoreError::Damaged { path, detail } => StoreError::Backup { path, detail },
        other => other,
    };
    let identity = Identity::read(dir).map_err(unreadable)?;
    if identity.is_none_or(|identity| identity.id != manifest.store) {
        return Err(StoreError::backup(dir, "its identity is another store's"));
    }
    let mut step = |bytes| told.step(bytes);
    let read = journal::inspect(&dir.join("journal"), manifest.store, &mut step).map_err(unreadable)?;
    let others = manifest.files.iter().filter(|(name, _)| !name.starts_with("journal/"));
    others.for_each(|(_, content)| told.step(content.bytes));
    if read.last != manifest.sequence {
        let detail = format!("it ends at record {} instead of {}", read.last, manifest.sequence);
        return Err(StoreError::backup(dir, detail));
    }
    Ok(Backup {
        path: dir.into(),
        bytes: manifest.bytes(),
        records: read.records,
        sequence: read.last,
    })
}
