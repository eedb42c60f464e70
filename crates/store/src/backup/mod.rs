//! Copies of a store: taken while it is written to, read back before anyone is told that there is one, and put back.
//!
//! The journal is the truth, and engine and prefilter are views of it; so a backup is the identity, the journal up to the
//! end of a group, and the few small files that the server keeps beside them. A manifest says what belongs to it, with
//! the length and the checksum of each file. It holds the secret that digests are made with: a backup is as secret as the
//! store itself.

mod files;
mod manifest;
mod restore;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

pub use self::manifest::fuzz_manifest;
pub use self::restore::{restore, verify_backup};
use self::{files::Unfinished, manifest::Manifest};
use crate::{
    committer::Ask,
    denylist::Denylist,
    error::StoreError,
    files::{create_dir, sync_dir},
    identity::{self, Identity},
    shared::{Shared, unpoisoned},
};

/// A backup that is whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backup {
    /// The directory that it is.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Records in its journal.
    pub records: u64,
    /// The number of the last of them: all that was acknowledged before is in it.
    pub sequence: u64,
}

/// How far a long piece of work is, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// Of how much.
    pub of: u64,
}

/// Tells whoever watches.
struct Told<'a> {
    progress: Progress,
    watch: &'a mut dyn FnMut(Progress),
}

impl<'a> Told<'a> {
    fn new(of: u64, watch: &'a mut dyn FnMut(Progress)) -> Self {
        let progress = Progress { done: 0, of };
        Self { progress, watch }
    }

    fn step(&mut self, bytes: u64) {
        self.progress.done = self.progress.done.saturating_add(bytes).min(self.progress.of);
        (self.watch)(self.progress);
    }
}

/// A file of a store, and how much of it belongs to a backup.
struct Part {
    path: PathBuf,
    name: String,
    bytes: u64,
}

/// The journal as it was at the end of one group. While this lives, none of its segments is deleted.
pub(crate) struct Held<'a> {
    shared: &'a Shared,
    parts: Vec<Part>,
    last: u64,
}

impl<'a> Held<'a> {
    pub(crate) fn take(shared: &'a Shared) -> Self {
        // Both under the lock that the keeper deletes segments under, and that the committer closes one under.
        let sealed = unpoisoned(shared.sealed.lock());
        shared.backups.fetch_add(1, Ordering::SeqCst);
        let reach = unpoisoned(shared.reach.lock()).clone();
        let segments = sealed.iter().map(|s| (s.path.clone(), s.bytes));
        let parts = segments.chain([(reach.path, reach.bytes)]).map(|(path, bytes)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("journal/{name}");
            Part { path, name, bytes }
        });
        Self {
            shared,
            parts: parts.collect(),
            last: reach.last,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.backups.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Denylist {
    /// Copies the store into a new directory below `into`, while everything goes on: all that was acknowledged before this
    /// is called, and all or nothing of each group that is written meanwhile. The directory is named `label` and the
    /// number of the last record, and is there under that name only once it is whole, synced, and was read back.
    ///
    /// Of the small files that are kept beside the denylist, those in `also` that are there come along. Blocks, for as long
    /// as it takes to write the journal once and to read it twice; needs the memory of one segment. One runs at a time,
    /// the next one waits.
    ///
    /// # Errors
    ///
    /// [`StoreError::ReadOnly`]: the denylist writes no more. [`StoreError::Io`], [`StoreError::Backup`]; nothing is left
    /// under the name of a backup.
    pub fn backup(
        &self,
        into: &Path,
        label: &str,
        also: &[&str],
        watch: &mut dyn FnMut(Progress),
    ) -> Result<Backup, StoreError> {
        let _one = unpoisoned(self.backing_up.lock());
        // I1: what was forgotten stands in the journal, also where the segments that said so are gone.
        let forgotten = self.shared.forgotten_until();
        self.write(vec![Ask::Forget(forgotten)])?.wait()?;
        let mut held = Held::take(&self.shared);
        for name in [identity::FILE].iter().chain(also) {
            let path = self.dir.join(name);
            match fs::metadata(&path) {
                Ok(found) => held.parts.push(Part {
                    path,
                    name: (*name).to_owned(),
                    bytes: found.len(),
                }),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(StoreError::io(path, e)),
            }
        }
        let store = Identity::read(&self.dir)?.ok_or_else(|| StoreError::damaged(&self.dir, "its identity is gone"))?;
        create_dir(into)?;
        let unfinished = Unfinished::begin(into, &store.id)?;
        let bytes = held
            .parts
            .iter()
            .fold(0_u64, |sum, part| sum.saturating_add(part.bytes));
        let mut told = Told::new(bytes.saturating_mul(3), watch);
        let mut manifest = Manifest::new(store.id, held.last);
        create_dir(&unfinished.path().join("journal"))?;
        for part in &held.parts {
            let to = unfinished.path().join(&part.name);
            manifest.add(&part.name, files::copy(&part.path, &to, part.bytes, &mut told)?);
        }
        drop(held);
        manifest.write(unfinished.path())?;
        sync_dir(&unfinished.path().join("journal"))?;
        sync_dir(unfinished.path())?;
        let verified = restore::verify(unfinished.path(), &mut told)?;
        let name = format!("{label}-{:020}", verified.sequence);
        let path = unfinished.finish(&into.join(name))?;
        Ok(Backup { path, ..verified })
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::{Issuer, Jti, Note, Policy, Reason, Revocation, Target, UnixTime};

    use super::*;
    use crate::options::Options;

    fn revocation(n: u64) -> Revocation {
        let target = Target::Token {
            iss: Issuer::new("i").unwrap(),
            jti: Jti::new(n.to_string()).unwrap(),
        };
        Revocation::new(target, Reason::Logout, &Policy::default(), UnixTime::from_secs(1_000))
    }

    /// I1: a segment whose last record says what was forgotten is deleted, and the next says it from its second group on.
    /// A backup in between lost it: whatever the sweeper had dropped, a clock that steps back would have let in again.
    #[test]
    fn i1_what_was_forgotten_is_in_a_backup_when_the_segment_that_said_so_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            segment_bytes: 2048,
            ..Options::default()
        };
        let denylist = Denylist::open(&dir.path().join("store"), &options).unwrap();
        let reached = || unpoisoned(denylist.shared.reach.lock()).bytes;
        // The segment is filled so that what is forgotten is the last thing that fits in.
        let before = reached();
        denylist.revoke(revocation(1_000)).unwrap();
        let each = reached() - before;
        for n in 1_001.. {
            let padding = 2_030 - reached() - each - 1;
            let note = usize::try_from(padding).ok().filter(|length| *length <= 250);
            let note = note.map(|length| Note::new("x".repeat(length)).unwrap());
            let last = note.is_some();
            denylist.revoke(revocation(n).noted(note)).unwrap();
            if last {
                break;
            }
        }
        assert_eq!(reached(), 2_030);
        let end = UnixTime::from_secs(1_000_000_000);
        denylist.settle().unwrap();
        denylist.sweep(end).unwrap();
        let forgotten = denylist.unlisted().forgotten_until;
        let later = revocation(2_000).target().clone();
        denylist
            .revoke(Revocation::new(later, Reason::Logout, &Policy::default(), end))
            .unwrap();
        denylist.settle().unwrap();
        assert_eq!(denylist.stats().journal_segments, 1, "the one that said so is gone");

        let backup = denylist.backup(dir.path(), "backup", &[], &mut |_| ()).unwrap();
        let to = dir.path().join("restored");
        restore(&backup.path, &to, &mut |_| ()).unwrap();
        let restored = Denylist::open(&to, &options).unwrap();
        assert!(forgotten > UnixTime::EPOCH);
        assert_eq!(restored.unlisted().forgotten_until, forgotten);
    }

    /// While a backup copies, the keeper deletes none of the segments that it is made of; once it is done, they go.
    #[test]
    fn segments_stay_while_they_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            segment_bytes: 512,
            ..Options::default()
        };
        let denylist = Denylist::open(dir.path(), &options).unwrap();
        for n in 0..40 {
            denylist.revoke(revocation(n)).unwrap();
        }
        denylist.settle().unwrap();
        let held = Held::take(&denylist.shared);
        assert!(held.parts.len() > 3);
        let end = UnixTime::from_secs(1_000_000_000);
        assert_eq!(denylist.sweep(end).unwrap().entries, 40);
        denylist.settle().unwrap();
        assert!(held.parts.iter().all(|part| part.path.exists()));
        let first = held.parts.first().map(|part| part.path.clone()).unwrap();
        drop(held);
        denylist.revoke(revocation(50)).unwrap();
        denylist.settle().unwrap();
        assert!(!first.exists(), "the same segments go once nobody copies them");
    }
}
