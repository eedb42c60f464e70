//! What readers, the committer and the keeper share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use ostracon_core::{Revocation, TargetRef, UnixTime};

use crate::{
    committer::Queue,
    digest::{Digest, DigestKey},
    engine::Engine,
    error::StoreError,
    journal::{Reach, Sealed},
    keeper::Mailbox,
    overlay::{Change, Overlay},
    prefilter::Prefilter,
};

/// The value behind a lock whose holder panicked: each critical section here leaves it whole at every step.
pub(crate) fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) key: DigestKey,
    pub(crate) engine: Engine,
    pub(crate) overlay: Overlay,
    pub(crate) prefilter: Option<Prefilter>,
    pub(crate) queue: Queue,
    pub(crate) mailbox: Mailbox,
    pub(crate) sealed: Mutex<Vec<Sealed>>,
    pub(crate) open_segment_bytes: AtomicU64,
    /// How far the journal goes; changes together with `sealed`, under the lock of that.
    pub(crate) reach: Mutex<Reach>,
    /// Backups that are being copied; while there are any, no segment is deleted.
    pub(crate) backups: AtomicUsize,
    /// Notified when the keeper has emptied a generation of the overlay.
    pub(crate) drained: (Mutex<()>, Condvar),
    /// In seconds; see [`Shared::forgotten_until`].
    forgotten_until: AtomicU64,
    refused: OnceLock<Arc<str>>,
    /// Look-ups that went past the prefilter, and those of them that found nothing.
    pub(crate) lookups: AtomicU64,
    pub(crate) misses: AtomicU64,
}

impl core::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DigestKey")
    }
}

impl Shared {
    pub(crate) fn new(key: DigestKey, engine: Engine, prefilter: Option<Prefilter>, sealed: Vec<Sealed>) -> Self {
        Self {
            key,
            engine,
            overlay: Overlay::default(),
            prefilter,
            queue: Queue::default(),
            mailbox: Mailbox::default(),
            sealed: Mutex::new(sealed),
            open_segment_bytes: AtomicU64::new(0),
            reach: Mutex::default(),
            backups: AtomicUsize::new(0),
            drained: Default::default(),
            forgotten_until: AtomicU64::new(0),
            refused: OnceLock::new(),
            lookups: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The digest of `target` unless it is certainly not listed, known from memory alone.
    pub(crate) fn perhaps_listed(&self, target: TargetRef<'_>) -> Option<Digest> {
        let Some(prefilter) = &self.prefilter else {
            return Some(self.key.digest(target));
        };
        if !prefilter.may_contain_any(target.kind()) {
            return None;
        }
        let digest = self.key.digest(target);
        prefilter.may_contain(&digest).then_some(digest)
    }

    /// The entry of `digest`, expired or not.
    pub(crate) fn entry(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        let absent = |prefilter: &Prefilter| !prefilter.may_contain(digest);
        if self.prefilter.as_ref().is_some_and(absent) {
            return Ok(None);
        }
        self.look_up(digest)
    }

    /// The entry of `digest`, expired or not, past the prefilter.
    pub(crate) fn look_up(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        self.lookups.fetch_add(1, Ordering::Relaxed);
        // The overlay first: an entry moves from there to the engine, never back.
        let entry = match self.overlay.get(digest) {
            Some(change) => change,
            None => self.engine.get(digest)?,
        };
        if entry.is_none() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(entry)
    }

    /// Makes `changes`, up to record `last`, count for every check that starts from here on.
    pub(crate) fn publish(&self, changes: HashMap<Digest, Change>, last: u64) {
        self.overlay.publish(changes, last, |changes| {
            if let Some(prefilter) = &self.prefilter {
                changes
                    .iter()
                    .filter_map(|(digest, change)| Some((digest, change.as_ref()?.target().as_ref())))
                    .for_each(|(digest, target)| prefilter.insert(*digest, target.kind()));
            }
        });
    }

    /// What was retained up to this time may have been dropped.
    pub(crate) fn forgotten_until(&self) -> UnixTime {
        UnixTime::from_secs(self.forgotten_until.load(Ordering::SeqCst))
    }

    pub(crate) fn forget_until(&self, until: UnixTime) {
        self.forgotten_until.fetch_max(until.as_secs(), Ordering::SeqCst);
    }

    /// Why no more is written, if so.
    pub(crate) fn refused(&self) -> Option<Arc<str>> {
        self.refused.get().cloned()
    }

    /// Writes nothing more: an earlier failure leaves it open what is on the disk.
    pub(crate) fn refuse(&self, cause: &StoreError) {
        tracing::error!(%cause, "writes are refused from here on");
        self.refused.get_or_init(|| cause.to_string().into());
    }
}
