//! Where the parts of an engine lie.
//!
//! `sled/NN-of-MM` is how a part begins, `sled/NN-of-MM.G` its copy number G (`renewal.rs`). The last that is whole counts;
//! without one, the first there is. One part alone lies in `sled` itself, as all did once, and has no copies.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{error::StoreError, files, seam};

/// In the directory of a copy that has all.
const WHOLE: &str = "whole";

/// What a directory's name says of the part in it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Name {
    place: usize,
    of: usize,
    copy: u32,
}

impl Name {
    fn parse(path: &Path) -> Option<Self> {
        let (place, rest) = path.file_name()?.to_str()?.split_once("-of-")?;
        let (of, copy) = rest.split_once('.').unwrap_or((rest, "0"));
        Some(Self {
            place: place.parse().ok()?,
            of: of.parse().ok()?,
            copy: copy.parse().ok()?,
        })
    }

    fn within(self, dir: &Path) -> PathBuf {
        let Self { place, of, copy } = self;
        let first = format!("{place:02}-of-{of:02}");
        dir.join(if copy == 0 { first } else { format!("{first}.{copy}") })
    }
}

/// The directories of the parts of the engine in `dir`, if there are any: an engine keeps the parts that it was made with.
pub(super) fn found(dir: &Path) -> Result<Option<Vec<PathBuf>>, StoreError> {
    if !dir.exists() || dir.join("db").exists() {
        return Ok(dir.exists().then(|| vec![dir.into()]));
    }
    let names = names(dir)?;
    let Some(Name { of, .. }) = names.first().copied() else {
        return Ok(None);
    };
    if !is_a_count(of) || names.iter().any(|name| name.of != of) {
        return Err(StoreError::Engine("its parts do not belong together".into()));
    }
    let counts = |(place, first): (usize, PathBuf)| {
        let copies = names.iter().filter(|name| name.place == place);
        let is_whole = |name: &&Name| name.within(dir).join(WHOLE).exists();
        let counts = copies.clone().filter(is_whole).max().or_else(|| copies.min());
        // One that is missing is opened empty, and filled again: it says itself that it has nothing.
        counts.map_or(first, |name| name.within(dir))
    };
    Ok(Some(paths(dir, of).into_iter().enumerate().map(counts).collect()))
}

fn names(dir: &Path) -> Result<Vec<Name>, StoreError> {
    let error = |e| StoreError::io(dir, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        names.extend(Name::parse(&entry.map_err(error)?.path()));
    }
    Ok(names)
}

/// Digests are dealt to parts by their first byte.
pub(super) const fn is_a_count(count: usize) -> bool {
    count.is_power_of_two() && count <= 64
}

/// Where so many parts begin.
pub(super) fn paths(dir: &Path, of: usize) -> Vec<PathBuf> {
    match of {
        1 => vec![dir.into()],
        _ => (0..of).map(|place| Name { place, of, copy: 0 }.within(dir)).collect(),
    }
}

/// Removes the copies in `dir` that are none of `counting`.
pub(super) fn remove_others(dir: &Path, counting: &[PathBuf]) -> Result<(), StoreError> {
    let paths = names(dir)?.into_iter().map(|name| name.within(dir));
    paths
        .filter(|path| !counting.contains(path))
        .for_each(|path| remove(&path));
    Ok(())
}

/// Removes a copy. One that cannot be removed takes space, and harms nobody: the next opening tries again.
pub(super) fn remove(path: &Path) {
    match seam::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "could not remove a part of the engine that nobody needs");
        }
        _ => {}
    }
}

/// Where the next copy of the part in `path` goes; none if it has no copies.
pub(super) fn next_copy(path: &Path) -> Option<PathBuf> {
    let name = Name::parse(path)?;
    let copy = name.copy.checked_add(1)?;
    Some(Name { copy, ..name }.within(path.parent()?))
}

/// Makes the copy in `path` the one that counts, for good. It must have all, and all of it, sled's own files included, gets
/// to the disk before.
pub(super) fn mark_whole(path: &Path) -> Result<(), StoreError> {
    sync_all(path)?;
    path.parent().map_or(Ok(()), files::sync_dir)?;
    files::write_new(&path.join(WHOLE), b"")
}

fn sync_all(dir: &Path) -> Result<(), StoreError> {
    let error = |e| StoreError::io(dir, e);
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let path = entry.path();
        if entry.file_type().map_err(error)?.is_dir() {
            sync_all(&path)?;
        } else {
            let synced = fs::File::open(&path).and_then(|file| seam::sync_all(&file, &path));
            synced.map_err(|e| StoreError::io(&path, e))?;
        }
    }
    files::sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        dir
    }

    fn named(dir: &Path) -> Option<Vec<String>> {
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        found(dir).unwrap().map(|paths| paths.iter().map(name).collect())
    }

    #[test]
    fn i4_a_copy_counts_once_it_is_whole() {
        let dir = engine(&["00-of-02", "01-of-02"]);
        assert_eq!(named(dir.path()).unwrap(), ["00-of-02", "01-of-02"]);
        let part = dir.path().join("01-of-02");
        let first = next_copy(&part).unwrap();
        fs::create_dir(&first).unwrap();
        assert_eq!(named(dir.path()).unwrap(), ["00-of-02", "01-of-02"]);
        mark_whole(&first).unwrap();
        assert_eq!(named(dir.path()).unwrap(), ["00-of-02", "01-of-02.1"]);
        let second = next_copy(&first).unwrap();
        fs::create_dir(&second).unwrap();
        assert_eq!(named(dir.path()).unwrap(), ["00-of-02", "01-of-02.1"]);

        let counting = found(dir.path()).unwrap().unwrap();
        remove_others(dir.path(), &counting).unwrap();
        assert!(!part.exists() && first.exists() && !second.exists());
        // In numbers and not in letters.
        let tenth = dir.path().join("01-of-02.10");
        fs::create_dir(&tenth).unwrap();
        mark_whole(&tenth).unwrap();
        fs::create_dir(dir.path().join("01-of-02.9")).unwrap();
        assert_eq!(named(dir.path()).unwrap(), ["00-of-02", "01-of-02.10"]);
    }

    #[test]
    fn what_is_no_part_is_left_alone() {
        let dir = engine(&["01-of-02.x", "x-of-02", "of", "notes"]);
        assert_eq!(named(dir.path()), None);
        remove_others(dir.path(), &[]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
        assert_eq!(next_copy(dir.path()), None, "one part alone has no copies");
    }
}
