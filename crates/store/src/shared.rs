//! What readers, the committer and the keeper share.

use std::{
    path::Path,
    sync::{
        Arc, Condvar, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use ostracon_core::{Issuer, Revocation, TargetRef, UnixTime};

use crate::{
    committer::Queue,
    digest::{Digest, DigestKey, IssuerDigest},
    engine::Parts,
    error::StoreError,
    feed::Feed,
    figures::Figures,
    identity::{Identity, StoreId},
    journal::{Journal, Reach, Sealed, Synced},
    mailbox::Mailbox,
    options::Options,
    overlay::{Change, Overlay},
    prefilter::Prefilter,
    space::Space,
};

/// The value behind a lock whose holder panicked: each critical section here leaves it whole at every step.
pub(crate) fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: StoreId,
    pub(crate) key: DigestKey,
    pub(crate) engine: Parts,
    pub(crate) overlay: Overlay,
    pub(crate) prefilter: Option<Prefilter>,
    pub(crate) queue: Queue,
    pub(crate) feed: Arc<Feed>,
    pub(crate) mailbox: Mailbox,
    pub(crate) sealed: Mutex<Vec<Sealed>>,
    pub(crate) open_segment_bytes: AtomicU64,
    /// How far the journal is on the disk.
    pub(crate) synced: Arc<Synced>,
    /// How far the journal goes; changes together with `sealed`, under the lock of that.
    pub(crate) reach: Mutex<Reach>,
    /// Backups that are being copied; while there are any, no segment is deleted.
    pub(crate) backups: AtomicUsize,
    /// The bytes of changes that may wait for the engine; beyond, the committer waits for the keeper.
    pub(crate) pending_bytes: usize,
    /// What is free on the disk.
    pub(crate) space: Space,
    /// Notified when the keeper has emptied some of the overlay.
    pub(crate) drained: (Mutex<()>, Condvar),
    /// Why a journal segment that nobody needs could not be deleted.
    pub(crate) undeleted: Mutex<Option<Arc<str>>>,
    /// In seconds; see [`Shared::forgotten_until`].
    forgotten_until: AtomicU64,
    refused: OnceLock<Arc<str>>,
    /// Look-ups that went past the prefilter, and those of them that found nothing.
    pub(crate) lookups: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) figures: Figures,
}

impl core::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("DigestKey")
    }
}

impl Shared {
    pub(crate) fn new(
        dir: &Path,
        options: &Options,
        identity: Identity,
        engine: Parts,
        prefilter: Option<Prefilter>,
        sealed: Vec<Sealed>,
        journal: &Journal,
    ) -> Self {
        let feed = Feed::new(dir.join("journal"), identity.id, journal.last());
        Self {
            pending_bytes: options.pending_bytes,
            space: Space::new(dir, options.min_free_bytes),
            store: identity.id,
            key: identity.key,
            engine,
            overlay: Overlay::default(),
            prefilter,
            queue: Queue::default(),
            feed: Arc::new(feed),
            mailbox: Mailbox::default(),
            sealed: Mutex::new(sealed),
            open_segment_bytes: AtomicU64::new(journal.open_bytes()),
            synced: Arc::clone(journal.synced()),
            reach: Mutex::new(journal.reach()),
            backups: AtomicUsize::new(0),
            drained: Default::default(),
            undeleted: Mutex::default(),
            forgotten_until: AtomicU64::new(0),
            refused: OnceLock::new(),
            lookups: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            figures: Figures::default(),
        }
    }

    /// The digest of `target` unless it is certainly not listed, known from memory alone.
    pub(crate) fn perhaps_listed(&self, target: TargetRef<'_>) -> Option<Digest> {
        self.perhaps_listed_within(&mut None, target)
    }

    /// The same for one of several targets: `issuer` is what was hashed for the one before, and mostly serves again.
    pub(crate) fn perhaps_listed_within<'a>(
        &self,
        issuer: &mut Option<(&'a Issuer, IssuerDigest)>,
        target: TargetRef<'a>,
    ) -> Option<Digest> {
        let ruled_out = |prefilter: &Prefilter| !prefilter.may_contain_any(target.kind());
        if self.prefilter.as_ref().is_some_and(ruled_out) {
            return None;
        }
        // All targets of a token borrow the one issuer that it names.
        let within = match issuer {
            Some((iss, within)) if core::ptr::eq(*iss, target.iss()) => within,
            _ => &mut issuer.insert((target.iss(), self.key.within(target.iss()))).1,
        };
        let digest = within.digest(target.kind(), target.name());
        let absent = |prefilter: &Prefilter| !prefilter.may_contain(&digest);
        if self.prefilter.as_ref().is_some_and(absent) {
            return None;
        }
        Some(digest)
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
            if let Some(prefilter) = &self.prefilter {
                prefilter.note_absent(digest);
            }
        }
        Ok(entry)
    }

    /// Makes `changes`, up to record `last`, count for every check that starts from here on; whether nothing waited for the
    /// engine before.
    pub(crate) fn publish(&self, changes: impl IntoIterator<Item = (Digest, Change)>, last: u64) -> bool {
        self.overlay.publish(changes, last, |digest, change| {
            if let Some(prefilter) = &self.prefilter {
                prefilter.cover(digest, change);
            }
        })
    }

    /// What was retained up to this time may have been dropped.
    pub(crate) fn forgotten_until(&self) -> UnixTime {
        UnixTime::from_secs(self.forgotten_until.load(Ordering::SeqCst))
    }

    pub(crate) fn forget_until(&self, until: UnixTime) {
        self.forgotten_until.fetch_max(until.as_secs(), Ordering::SeqCst);
    }

    /// Whether so much waits for the engine that it has to be written now: three quarters of what may.
    pub(crate) fn is_pressing(&self) -> bool {
        self.overlay.bytes() >= self.pending_bytes.saturating_sub(self.pending_bytes / 4)
    }

    /// Why no more is written, if so.
    pub(crate) fn refused(&self) -> Option<Arc<str>> {
        // Also where only a reader came upon it so far: what is written now would wait for an engine that takes nothing.
        self.refused.get().cloned().or_else(|| self.engine.failure())
    }

    /// The same as far as it was noticed: costs a look at a number. The committer looks at all of it for each group.
    pub(crate) fn refused_so_far(&self) -> Option<&Arc<str>> {
        self.refused.get()
    }

    /// Writes nothing more: an earlier failure leaves it open what is on the disk.
    pub(crate) fn refuse(&self, cause: &StoreError) {
        tracing::error!(%cause, "writes are refused from here on");
        self.refused.get_or_init(|| cause.to_string().into());
    }
}
