//! sled, behind one door: nothing of it is seen outside this module, and no panic of it gets out.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `rows` | digest (16 bytes) | row (`row.rs`) |
//! | `due` | end of retention in seconds (8, big-endian), digest (16) | of further entries: seconds after that (1), digest (16) |
//! | `meta` | `checkpoint` | format `02` (1), store id (16), applied sequence number (8), forgotten until (8), CRC-32 (4) |
//! | `meta` | `tally` | format (1), applied sequence number (8), entries of each kind (6 × 8), CRC-32 (4); only while closed |
//!
//! One thread writes at a time; any may read. sled's own flush reaches the page cache only, so a checkpoint adds an
//! fdatasync.

mod copy;
mod counting;
mod due;
mod fence;
mod parts;
mod places;
mod reckoning;
mod renewal;
mod survey;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use ostracon_core::{Revocation, UnixTime};

use self::{fence::Failure, reckoning::Through};
pub(crate) use self::{
    fence::{LastHandle, fence, open_unlocked},
    parts::{MOST_THREADS, Parts, is_there},
    survey::{Claim, Survey},
};
use crate::{
    digest::Digest,
    error::StoreError,
    files,
    identity::StoreId,
    kinds::Kinds,
    row,
    seam::{self, Call},
    tally::Tally,
};

/// Left beside the engine's files once they were seen to be damaged, so that the next opening rebuilds them.
const DAMAGED: &str = "damaged";

/// What sled's file is divided into. A segment is used again once all that still counts in it was moved elsewhere: the
/// smaller it is, the sooner. A node of more than a quarter of it gets a file of its own, so it cannot be smaller still:
/// those of the tree's inside have up to 256 children.
const SEGMENT_BYTES: usize = 64 << 10;

/// What earlier versions made, and sled does not change.
const EARLIER_SEGMENT_BYTES: usize = 512 << 10;

const CHECKPOINT: &[u8] = b"checkpoint";
/// An earlier version would take an index row for one of a single entry, and lose the others of it (I3): this it does not
/// take for a checkpoint, so that it makes an engine of its own, from the journal.
const CHECKPOINT_FORMAT: u8 = 2;

/// What versions wrote whose index rows each spoke of one entry, as this one reads them, too.
const EARLIER_CHECKPOINT_FORMAT: u8 = 1;

/// Up to where the engine holds what the journal has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Checkpoint {
    /// The last record that is in the rows.
    pub(crate) applied: u64,
    /// What was retained up to this time may have been dropped.
    pub(crate) forgotten_until: UnixTime,
}

impl Checkpoint {
    pub(crate) const NONE: Self = Self {
        applied: 0,
        forgotten_until: UnixTime::EPOCH,
    };
}

pub(crate) struct Engine {
    db: sled::Db,
    rows: sled::Tree,
    due: sled::Tree,
    meta: sled::Tree,
    file: File,
    path: PathBuf,
    store: StoreId,
    tally: Tally,
    through: Through,
    /// Why nothing is believed any more that sled says.
    failed: OnceLock<Arc<str>>,
    /// Why nothing is written any more. What was read before is still right: sled takes in only what it could write.
    unwritable: OnceLock<Arc<str>>,
    _last: LastHandle,
}

impl Engine {
    /// Opens the engine in `dir`, or makes an empty one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] when files cannot be reached; [`StoreError::Engine`] when they make no sense to it, in which
    /// case [`set_aside`] and a replay help.
    pub(crate) fn open(dir: &Path, store: StoreId, cache_bytes: u64) -> Result<Self, StoreError> {
        files::create_dir(dir)?;
        if dir.join(DAMAGED).exists() {
            return Err(StoreError::Engine("it was found damaged before".into()));
        }
        // A snapshot that sled was writing, with which it would not open.
        files::remove_unfinished(dir, "generating")?;
        let config = |segment_bytes| {
            sled::Config::new()
                .path(dir)
                .cache_capacity(cache_bytes)
                .flush_every_ms(None)
                .segment_size(segment_bytes)
        };
        let (db, rows, due, meta) = fence(|| {
            seam::meet(Call::Engine, dir)?;
            let db = match open_unlocked(&config(SEGMENT_BYTES)) {
                // Refused before a file was touched: it is not what this one was made with.
                Err(sled::Error::Unsupported(_)) => open_unlocked(&config(EARLIER_SEGMENT_BYTES))?,
                opened => opened?,
            };
            let (rows, due, meta) = (db.open_tree("rows")?, db.open_tree("due")?, db.open_tree("meta")?);
            db.flush()?;
            Ok((db, rows, due, meta))
        })
        .map_err(|failure| failure.into_error(dir))?;
        let path = dir.join("db");
        let file = File::open(&path)
            .and_then(|f| seam::sync_all(&f, &path).map(|()| f))
            .map_err(|e| {
                mark_damaged(dir);
                StoreError::io(&path, e)
            })?;
        files::sync_dir(dir)?;
        let engine = Self {
            _last: LastHandle::of(&db),
            db,
            rows,
            due,
            meta,
            file,
            path: dir.into(),
            store,
            tally: Tally::default(),
            through: Through::default(),
            failed: OnceLock::new(),
            unwritable: OnceLock::new(),
        };
        engine.take_tally()?;
        engine.renew_checkpoint()?;
        Ok(engine)
    }

    /// Runs one operation. After a failure of its own, which is a panic or damage, all of them fail: what sled holds in
    /// memory is not to be believed. After one of the disk, reads go on.
    fn run<T>(&self, operation: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        if let Some(cause) = self.failed.get() {
            return Err(StoreError::Engine(Arc::clone(cause)));
        }
        fence(|| {
            seam::meet(Call::Engine, &self.path)?;
            operation()
        })
        .map_err(|failure| match failure {
            Failure::Error(sled::Error::Io(error)) => self.fail_to_write(error),
            other => self.damaged(other.cause()),
        })
    }

    /// Runs one that writes.
    fn write<T>(&self, operation: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        match self.unwritable.get() {
            Some(cause) => Err(StoreError::ReadOnly(Arc::clone(cause))),
            None => self.run(operation),
        }
    }

    fn fail(&self, cause: String) -> StoreError {
        tracing::error!(%cause, "the storage engine failed");
        StoreError::Engine(Arc::clone(self.failed.get_or_init(|| cause.into())))
    }

    /// The disk's failure, and not a reason to think that the files are damaged.
    fn fail_to_write(&self, cause: io::Error) -> StoreError {
        let error = StoreError::io(&self.path, cause);
        tracing::error!(%error, "the storage engine's disk failed");
        self.unwritable.get_or_init(|| error.to_string().into());
        error
    }

    /// Why it takes nothing any more, if so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failed.get().or_else(|| self.unwritable.get()).cloned()
    }

    /// Its files do not say what was written to them: a failure that the next opening mends.
    fn damaged(&self, cause: impl Into<String>) -> StoreError {
        mark_damaged(&self.path);
        self.fail(cause.into())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Revocation, StoreError> {
        row::decode(bytes).map_err(|e| self.damaged(e.to_string()))
    }

    /// The row of `digest`. Costs a walk down a tree, and a read where the leaf is not in memory.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        self.run(|| self.rows.get(digest.as_bytes()))?
            .map(|bytes| self.decode(&bytes))
            .transpose()
    }

    /// Writes the rows of `changes` and indexes them, and removes those that are none any more. Fastest by far in the order
    /// of the digests, since rows of one leaf then follow each other.
    pub(crate) fn apply<'a>(
        &self,
        changes: impl IntoIterator<Item = (&'a Digest, Option<&'a Revocation>), IntoIter: Clone>,
    ) -> Result<(), StoreError> {
        let changes = changes.into_iter();
        let put = changes.clone().filter_map(|(digest, change)| Some((digest, change?)));
        let due: Vec<_> = put.map(|(digest, entry)| (entry.retained_until(), *digest)).collect();
        self.through.note(due.len());
        // I3: the index first. A crash in between leaves it speaking of what is no entry, which the sweeper finds; the
        // other order would leave an entry that never ends.
        self.index(due)?;
        for (digest, change) in changes {
            match change {
                Some(revocation) => self.put_row(digest, revocation)?,
                None => self.remove(digest)?,
            }
        }
        Ok(())
    }

    /// Writes the row of `digest`, whose index row is there.
    fn put_row(&self, digest: &Digest, revocation: &Revocation) -> Result<(), StoreError> {
        let bytes = row::encode(revocation).map_err(|e| self.fail(e.to_string()))?;
        let old = self.write(|| self.rows.insert(digest.as_bytes(), bytes))?;
        if let Some(old) = old {
            let ended = self.decode(&old)?.retained_until();
            if ended != revocation.retained_until() {
                self.unindex(&(ended, *digest))?;
            }
        } else {
            self.tally.added(digest, revocation.target().as_ref().kind());
        }
        Ok(())
    }

    /// Removes the row of `digest` and its index row.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<(), StoreError> {
        // I3: the entry first, for the same reason.
        if let Some(old) = self.write(|| self.rows.remove(digest.as_bytes()))? {
            let old = self.decode(&old)?;
            self.tally.removed(digest, old.target().as_ref().kind());
            self.unindex(&(old.retained_until(), *digest))?;
        }
        Ok(())
    }

    /// Removes the row of `digest` if it ends at `at` or before; whether it did.
    fn drop_due(&self, at: UnixTime, digest: &Digest) -> Result<bool, StoreError> {
        // I6: the row itself says when it ends; an index that speaks of an earlier end is left over.
        let Some(entry) = self.get(digest)?.filter(|entry| entry.retained_until() <= at) else {
            return Ok(false);
        };
        self.write(|| self.rows.remove(digest.as_bytes()))?;
        self.tally.removed(digest, entry.target().as_ref().kind());
        Ok(true)
    }

    /// The digests of all rows of a shard, and the kinds of target that they are about; counts them along the way, where
    /// they are not yet. Only for the thread that writes.
    pub(crate) fn shard(&self, shard: u8) -> Result<(Vec<Digest>, Kinds), StoreError> {
        let mut kinds = Vec::new();
        let keys = self.run(|| {
            let rows = self.rows.scan_prefix([shard]);
            rows.map(|row| {
                let (key, row) = row?;
                kinds.push(row::kind(&row).ok());
                Ok(key)
            })
            .collect::<sled::Result<Vec<_>>>()
        })?;
        self.has_read(keys.len())?;
        let digests = keys
            .iter()
            .map(|key| key.as_ref().try_into().map(Digest::from_bytes).ok())
            .collect::<Option<_>>()
            .ok_or_else(|| self.damaged("a row has a key of another size"))?;
        let mut listed = Kinds::default();
        for kind in &kinds {
            // A row that cannot tell may be of any kind: whoever reads it learns that it is damaged (I5).
            listed.add_all(kind.map_or(Kinds::ALL, Kinds::of));
        }
        self.tally.take_in(shard, kinds.into_iter().flatten());
        Ok((digests, listed))
    }

    /// Up to `limit` rows behind `after`, in the order of their digests.
    pub(crate) fn behind(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<(Digest, Revocation)>, StoreError> {
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes().to_vec()));
        let rows = self.run(|| {
            let range = (start, Bound::Unbounded::<Vec<u8>>);
            self.rows.range(range).take(limit).collect::<sled::Result<Vec<_>>>()
        })?;
        self.has_read(rows.len())?;
        let damaged = || self.damaged("a row has a key of another size");
        rows.iter()
            .map(|(key, row)| {
                let digest = key.as_ref().try_into().map(Digest::from_bytes).map_err(|_| damaged())?;
                Ok((digest, self.decode(row)?))
            })
            .collect()
    }

    /// Up to where the rows hold what the journal has, by the engine's own account.
    pub(crate) fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let Some(bytes) = self.run(|| self.meta.get(CHECKPOINT))? else {
            return Ok(Checkpoint::NONE);
        };
        self.decode_checkpoint(&bytes)
            .ok_or_else(|| self.damaged("its checkpoint does not make sense"))
    }

    fn decode_checkpoint(&self, bytes: &[u8]) -> Option<Checkpoint> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let (&format, rest) = body.split_first()?;
        let (store, rest) = rest.split_first_chunk::<16>()?;
        let (applied, forgotten) = rest.split_first_chunk::<8>()?;
        let is_known = [CHECKPOINT_FORMAT, EARLIER_CHECKPOINT_FORMAT].contains(&format);
        let fits = crc32fast::hash(body).to_be_bytes() == *crc && is_known && *store == self.store;
        fits.then_some(Checkpoint {
            applied: u64::from_be_bytes(*applied),
            forgotten_until: UnixTime::from_secs(u64::from_be_bytes(forgotten.try_into().ok()?)),
        })
    }

    /// Says over again what an earlier version said, before there is anything that it would not understand.
    fn renew_checkpoint(&self) -> Result<(), StoreError> {
        let there = self.run(|| self.meta.get(CHECKPOINT))?;
        match there.filter(|bytes| bytes.first() == Some(&EARLIER_CHECKPOINT_FORMAT)) {
            Some(bytes) => self
                .decode_checkpoint(&bytes)
                .map_or(Ok(()), |checkpoint| self.save(checkpoint)),
            None => Ok(()),
        }
    }

    /// Makes all rows so far durable, together with the statement that they reach up to `checkpoint`.
    pub(crate) fn save(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let mut bytes = vec![CHECKPOINT_FORMAT];
        bytes.extend(self.store);
        bytes.extend(checkpoint.applied.to_be_bytes());
        bytes.extend(checkpoint.forgotten_until.as_secs().to_be_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        self.write(|| self.meta.insert(CHECKPOINT, bytes))?;
        self.write(|| self.db.flush())?;
        seam::sync_data(&self.file, &self.path).map_err(|e| {
            // What the kernel could not write it takes for written, and the next opening would read it as if it were.
            mark_damaged(&self.path);
            self.fail_to_write(e)
        })
    }

    /// Bytes that its files take.
    pub(crate) fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.run(|| self.db.size_on_disk())
    }
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine")
            .field("path", &self.path)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Has the next opening make the engine in `dir` anew.
fn mark_damaged(dir: &Path) {
    if let Err(error) = files::write_new(&dir.join(DAMAGED), b"") {
        tracing::error!(%error, "could not mark the engine as damaged");
    }
}

/// Moves a damaged engine out of the way, to be looked at by whoever wants to; answers where it went.
pub(crate) fn set_aside(dir: &Path) -> Result<PathBuf, StoreError> {
    let aside = (1..1000)
        .map(|n| dir.with_extension(format!("damaged-{n}")))
        .find(|path| !path.exists())
        .ok_or_else(|| StoreError::damaged(dir, "it was damaged a thousand times"))?;
    fs::rename(dir, &aside).map_err(|e| StoreError::io(dir, e))?;
    dir.parent().map_or(Ok(()), files::sync_dir)?;
    Ok(aside)
}
