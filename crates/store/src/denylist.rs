//! The denylist.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{self, JoinHandle},
};

use ostracon_core::{Facts, Revocation, Target, TargetRef, Targets, UnixTime};

use crate::{
    changes::Changes,
    commit::{Commit, Receipt},
    committer::{self, Ask, Bearer},
    digest::Digest,
    error::StoreError,
    files::{self, DirLock},
    journal::{Journal, MAX_GROUP, Recovered},
    keeper::Keeper,
    mailbox::Order,
    opening::{self, State, Took},
    options::{Durability, Options},
    prefilter::{
        Prefilter, SHARDS,
        saved::{Saved, SavedFile},
    },
    shared::{Shared, unpoisoned},
    stats::{PrefilterState, Stats},
};

/// Index rows in one batch of a sweep.
pub(crate) const SWEEP_BATCH: usize = 512;

/// What is revoked, and still is after a restart.
///
/// Cheap to share behind an `Arc`; every method takes `&self`. Reads never wait for writes to reach the disk. Dropping
/// it ends its threads as [`Denylist::close`] does.
#[derive(Debug)]
pub struct Denylist {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    pub(crate) dir: PathBuf,
    /// Held while a backup is made.
    pub(crate) backing_up: Mutex<()>,
    /// How the opening went.
    replayed: u64,
    rebuilt: bool,
    prefilter_loaded: bool,
    took: Took,
    /// Held until the threads have ended: fields are dropped in this order, after [`Denylist::drop`].
    _lock: DirLock,
}

#[derive(Debug)]
struct Threads {
    committer: JoinHandle<()>,
    keeper: JoinHandle<()>,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Entries that were past their retention.
    pub entries: usize,
    /// Index rows that a crash or a later revocation had left without an entry.
    pub leftovers: usize,
}

/// Some entries, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Entries by identity.
    pub entries: Vec<(Digest, Revocation)>,
    /// What the next page begins behind; none when there is none.
    pub next: Option<Digest>,
}

impl Denylist {
    /// Opens the denylist in `dir`, or makes an empty one there, readable by its owner alone.
    ///
    /// Brings back all that was ever acknowledged, whatever way the last process ended: what the engine lacks comes from
    /// the journal, and an engine that is damaged is set aside and rebuilt from it. Answers correctly on return. The
    /// prefilter is as it was saved, with what the journal has since; where nothing was saved that can be believed, it is
    /// built in the background. Blocks; costs in proportion to what engine and prefilter lacked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], [`StoreError::Io`], [`StoreError::Newer`]; [`StoreError::Damaged`] when the journal has
    /// lost something that was acknowledged (I5).
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StoreError> {
        let (was_there, is_new) = (dir.exists(), !dir.join("identity").exists());
        files::create_dir(dir)?;
        let opened = Self::open_locked(dir, DirLock::take(dir)?, options)?;
        // An empty directory is also what is left where something was to be mounted.
        match (is_new, was_there) {
            (true, true) => tracing::warn!(
                dir = %dir.display(),
                "the directory was empty, so that a new denylist begins, in which nothing is revoked; is another one missing here?"
            ),
            (true, false) => tracing::info!(dir = %dir.display(), "began a new denylist"),
            _ => {}
        }
        Ok(opened)
    }

    pub(crate) fn open_locked(dir: &Path, lock: DirLock, options: &Options) -> Result<Self, StoreError> {
        let identity = opening::identity(dir)?;
        let file = SavedFile::of(dir, identity.id, lock.last()?);
        // Whether it is wanted or not: it must not outlive what is written from here on.
        let saved = file.take(options.false_positive_rate)?.filter(|_| options.prefilter);
        // I2: from here on, what is written belongs to this opening, and no filters of an earlier one fit.
        let file = SavedFile::of(dir, identity.id, Some(lock.begin()?));
        let State {
            engine,
            applied,
            changes,
            forgotten,
            recovered,
            replayed,
            rebuilt,
            took,
        } = State::open(dir, &identity, options, saved.as_ref())?;
        let Recovered {
            journal,
            sealed,
            cut,
            first,
        } = recovered;
        if cut > 0 {
            tracing::warn!(
                bytes = cut,
                "the journal ended in what is no whole group, which was cut off: what was being written when the process or the \
                 machine stopped, and nobody was told of, unless the disk damaged it since"
            );
        }
        let is_believed = |saved: &Saved| saved.covers.are_continued_by(first, journal.last());
        let saved = saved.filter(is_believed).map(|saved| saved.prefilter);
        let loaded = saved.is_some();
        tracing::info!(
            replayed,
            cut_bytes = cut,
            rebuilt,
            prefilter_loaded = loaded,
            engine_seconds = took.engine.as_secs_f64(),
            journal_seconds = took.journal.as_secs_f64(),
            rows_seconds = took.rows.as_secs_f64(),
            "opened the denylist"
        );

        let prefilter = options
            .prefilter
            .then(|| saved.unwrap_or_else(|| Prefilter::new(options.false_positive_rate)));
        let shared = Shared::new(dir, options, identity, engine, prefilter, sealed, &journal);
        let shared = Arc::new(shared);
        shared.publish(changes, journal.last());
        shared.forget_until(forgotten);
        let threads =
            Threads::start(&shared, journal, applied, options.durability, file).map_err(|e| StoreError::io(dir, e))?;
        Ok(Self {
            shared,
            threads: Mutex::new(Some(threads)),
            dir: dir.into(),
            backing_up: Mutex::new(()),
            replayed,
            rebuilt,
            prefilter_loaded: loaded,
            took,
            _lock: lock,
        })
    }

    /// The facts about a token that has `targets`: the first entry in force at `now` that denies it, if there is one,
    /// and up to when entries may have been forgotten.
    ///
    /// Cost: for each target that the prefilter lets pass, which is one in a thousand of those not listed, a walk down
    /// the engine's tree, with a read where a leaf is not in memory. Blocks then; [`Denylist::is_clear`] tells
    /// beforehand.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], or [`StoreError::Io`] of the engine's disk: whether the token is revoked is unknown, and that
    /// is all that may be concluded (I5).
    pub fn check(&self, targets: &Targets<'_>, now: UnixTime) -> Result<Facts, StoreError> {
        let (mut hit, mut issuer) = (None, None);
        for target in targets.iter() {
            let Some(digest) = self.shared.perhaps_listed_within(&mut issuer, target) else {
                continue;
            };
            let entry = self.shared.look_up(&digest)?;
            // I6: in force or not is for the entry to say, whether the sweeper came by or not. It also names its target,
            // which settles what an equal digest would leave open.
            if let Some(entry) = entry.filter(|entry| entry.hits(targets, now)) {
                hit = Some(entry);
                break;
            }
        }
        // Read after the look-ups: what a sweep took away in between is covered by what it announced before (I1).
        Ok(Facts {
            revocation: hit,
            forgotten_until: self.shared.forgotten_until(),
        })
    }

    /// Whether none of `targets` is listed, known without touching the disk or waiting for anything; the facts are
    /// then [`Denylist::unlisted`]. False says nothing: ask [`Denylist::check`].
    ///
    /// Always false without a prefilter, and for the shards that are not built yet.
    #[must_use]
    pub fn is_clear(&self, targets: &Targets<'_>) -> bool {
        let mut issuer = None;
        targets
            .iter()
            .all(|target| self.shared.perhaps_listed_within(&mut issuer, target).is_none())
    }

    /// The facts about a token of which no target is listed.
    #[must_use]
    pub fn unlisted(&self) -> Facts {
        Facts {
            revocation: None,
            forgotten_until: self.shared.forgotten_until(),
        }
    }

    /// The identity that an entry of `target` has, whether there is one or not.
    #[must_use]
    pub fn id(&self, target: TargetRef<'_>) -> Digest {
        self.shared.key.digest(target)
    }

    /// Denies what `revocations` name. They become durable together, within one sync of the journal that all who wait
    /// share. Does not block: wait for the [`Commit`]. Under [`Durability::Interval`] the sync comes later, here and
    /// wherever else something is called durable.
    ///
    /// Once the commit is answered, every check that starts later sees them (I9), and so does every process that opens
    /// the directory after this one, however this one ends (I4). Repeating a revocation keeps the stricter entry and
    /// costs no disk.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] when too much waits or more than 8,192 are given at once; [`StoreError::ReadOnly`],
    /// [`StoreError::Closed`]. Nothing is written then.
    pub fn submit(&self, revocations: Vec<Revocation>) -> Result<Commit, StoreError> {
        self.write(revocations.into_iter().map(Ask::Revoke).collect())
    }

    /// Denies what `revocation` names unless an entry of that target is there already, expired or not. Of all who try,
    /// whatever runs in parallel, exactly one is told [`Receipt::changed`], and all are told the entry that stands (I10).
    /// Otherwise as [`Denylist::submit`].
    ///
    /// # Errors
    ///
    /// As for [`Denylist::submit`].
    pub fn submit_if_absent(&self, revocation: Revocation) -> Result<Commit, StoreError> {
        self.write(vec![Ask::RevokeIfAbsent(revocation)])
    }

    /// Denies what `revocation` names on the strength of a token that has `targets`, unless something denies that token at
    /// `now`: decided where records are merged, so that of two tokens that would end each other exactly one does. The
    /// receipt is [`Receipt::changed`] if the token was good and ended something; else it may show what denies the token.
    /// Otherwise as [`Denylist::submit`].
    ///
    /// # Errors
    ///
    /// As for [`Denylist::submit`].
    pub fn submit_unless_denied(
        &self,
        targets: &Targets<'_>,
        now: UnixTime,
        revocation: Revocation,
    ) -> Result<Commit, StoreError> {
        let bearer = Bearer {
            targets: targets.iter().map(|target| target.to_owned()).collect(),
            iat: targets.iat(),
            now,
        };
        self.write(vec![Ask::RevokeUnlessDenied(revocation, bearer)])
    }

    /// The changes from now on, in the order of the journal.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.shared.feed), None)
    }

    /// The changes after `position`, which may be of an earlier process: the journal has them for as long as anything
    /// in their segment denies.
    #[must_use]
    pub fn changes_since(&self, position: u64) -> Changes {
        Changes::new(Arc::clone(&self.shared.feed), Some(position))
    }

    pub(crate) fn write(&self, asks: Vec<Ask>) -> Result<Commit, StoreError> {
        if let Some(cause) = self.shared.refused_so_far() {
            return Err(StoreError::ReadOnly(Arc::clone(cause)));
        }
        if asks.len() > MAX_GROUP {
            return Err(StoreError::Busy);
        }
        self.shared.queue.submit(asks)
    }

    /// Denies what `revocation` names, from the moment this returns until its retention ends. Blocks for a sync of the
    /// journal; keep it off async threads, or await [`Denylist::submit`].
    ///
    /// # Errors
    ///
    /// As for [`Denylist::submit`]; [`StoreError::Io`] when the sync failed: whether the entry survives a restart is
    /// unknown then, and until then this process denies it. [`StoreError::Engine`] when what stands could not be read;
    /// nothing was written.
    pub fn revoke(&self, revocation: Revocation) -> Result<Receipt, StoreError> {
        let receipts = self.submit(vec![revocation])?.wait()?;
        receipts.into_iter().next().ok_or(StoreError::Closed)
    }

    /// Denies what each of `revocations` names, a sync of the journal for each 8,192. Blocks.
    ///
    /// # Errors
    ///
    /// As for [`Denylist::revoke`]. Those before the group that failed are durable.
    pub fn revoke_many(&self, revocations: impl IntoIterator<Item = Revocation>) -> Result<Vec<Receipt>, StoreError> {
        let mut revocations = revocations.into_iter().peekable();
        let mut receipts = Vec::new();
        while revocations.peek().is_some() {
            receipts.extend(self.submit(revocations.by_ref().take(MAX_GROUP).collect())?.wait()?);
        }
        Ok(receipts)
    }

    /// Denies `target` no longer, once the [`Commit`] is answered: with what had stood, if anything. Does not block.
    ///
    /// # Errors
    ///
    /// As for [`Denylist::submit`], except that when the sync fails the target stays denied until a restart tells.
    pub fn submit_lift(&self, target: Target) -> Result<Commit, StoreError> {
        self.write(vec![Ask::Lift(target)])
    }

    /// Denies `target` no longer, durably; answers what had stood, if anything. Blocks for a sync of the journal.
    ///
    /// # Errors
    ///
    /// As for [`Denylist::submit_lift`].
    pub fn lift(&self, target: Target) -> Result<Option<Revocation>, StoreError> {
        let receipts = self.submit_lift(target)?.wait()?;
        Ok(receipts.into_iter().next().map(|receipt| receipt.revocation))
    }

    /// Drops the entries whose retention has ended by `now`, in batches, between which writes go on. Blocks; costs in
    /// proportion to what is due, whatever else is listed. What the engine has not got yet is left to the next one.
    ///
    /// Only a broom: no answer depends on it (I6). That entries go is written to the journal before they do, so that a
    /// clock that steps back finds their tokens ended (I1).
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], [`StoreError::ReadOnly`]; what is left to drop is dropped by the next one.
    pub fn sweep(&self, now: UnixTime) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        while let Some(until) = self.shared.engine.due_until(now, SWEEP_BATCH)? {
            if until > self.shared.forgotten_until() {
                self.write(vec![Ask::Forget(until)])?.wait()?;
            }
            let batch = self
                .shared
                .mailbox
                .ask(|reply| Order::Sweep(until, SWEEP_BATCH, reply))?;
            swept.entries = swept.entries.saturating_add(batch.entries);
            swept.leftovers = swept.leftovers.saturating_add(batch.leftovers);
        }
        self.shared.figures.swept(swept.entries);
        Ok(swept)
    }

    /// Whether all that was acknowledged so far is on the disk. Always so under [`Durability::Sync`]; otherwise
    /// [`Denylist::settle`] makes it so.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.shared.synced.is_complete()
    }

    /// Waits until the disk and the engine have all that was acknowledged, a checkpoint says so, and the prefilter covers
    /// it, in memory and as it is saved.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], [`StoreError::ReadOnly`].
    pub fn settle(&self) -> Result<(), StoreError> {
        self.shared.mailbox.ask(Order::Settle)
    }

    /// How far the prefilter is. Costs a look at a number.
    #[must_use]
    pub fn prefilter(&self) -> PrefilterState {
        match self.shared.prefilter.as_ref().map(Prefilter::missing) {
            None => PrefilterState::Off,
            Some(0) => PrefilterState::Covering,
            Some(missing) => PrefilterState::Building { missing },
        }
    }

    /// Makes the prefilter anew from what is listed, shard by shard, each serving until its new filter takes its place;
    /// writes go on in between. Answers how many shards there are, none without a prefilter. Blocks; costs a read of all
    /// rows.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], [`StoreError::Closed`]; the shards that are left serve as before.
    pub fn rebuild_prefilter(&self) -> Result<Option<usize>, StoreError> {
        let Some(prefilter) = &self.shared.prefilter else {
            return Ok(None);
        };
        prefilter.rebuild_all();
        while self.shared.mailbox.ask(Order::Rebuild)? {}
        Ok(Some(SHARDS))
    }

    /// Figures. Cheap; takes no lock that a reader or writer holds for long.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let sealed = unpoisoned(shared.sealed.lock());
        let sealed_bytes = sealed.iter().fold(0_u64, |sum, s| sum.saturating_add(s.bytes));
        let refused = shared.refused();
        let shortage = shared.space.shortage().filter(|_| refused.is_none());
        Stats {
            short_of_space: shortage.is_some(),
            refused: refused.or_else(|| Some(shortage?.to_string().into())),
            prefilter: self.prefilter(),
            prefilter_bytes: shared.prefilter.as_ref().map_or(0, Prefilter::bytes),
            filters: shared.prefilter.as_ref().map(Prefilter::figures),
            lookups: shared.lookups.load(Ordering::Relaxed),
            misses: shared.misses.load(Ordering::Relaxed),
            entries: shared.engine.entries(),
            reopened: shared.engine.reopened(),
            renewed: shared.engine.renewed(),
            activity: shared.figures.read(),
            waiting: shared.overlay.len(),
            journal_bytes: sealed_bytes.saturating_add(shared.open_segment_bytes.load(Ordering::Relaxed)),
            journal_segments: sealed.len().saturating_add(1),
            undeleted: unpoisoned(shared.undeleted.lock()).clone(),
            forgotten_until: shared.forgotten_until(),
        }
    }

    /// How many rows the engine has. Walks all of them.
    pub(crate) fn entries(&self) -> Result<u64, StoreError> {
        self.shared.engine.len()
    }

    /// Bytes that the engine's files take.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn engine_bytes(&self) -> Result<u64, StoreError> {
        self.shared.engine.disk_bytes()
    }

    /// How many records the opening took from the journal.
    #[must_use]
    pub fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Whether the opening found the engine damaged and rebuilt it from the journal.
    #[must_use]
    pub fn was_rebuilt(&self) -> bool {
        self.rebuilt
    }

    /// How long the parts of the opening took.
    #[must_use]
    pub fn took(&self) -> Took {
        self.took
    }

    /// Whether the opening took the prefilter from where it was saved.
    #[must_use]
    pub fn prefilter_was_loaded(&self) -> bool {
        self.prefilter_loaded
    }

    /// Writes what waits, makes a checkpoint, saves the prefilter, and ends. Calls that come later are refused. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] of the checkpoint. All that was acknowledged is in the journal either way.
    pub fn close(&self) -> Result<(), StoreError> {
        let Some(threads) = unpoisoned(self.threads.lock()).take() else {
            return Ok(());
        };
        self.shared.queue.close();
        // A thread that panicked has said so, and refused what waited.
        let _ = threads.committer.join();
        self.shared.feed.close();
        let saved = self.shared.mailbox.ask(Order::Close);
        let _ = threads.keeper.join();
        saved
    }
}

impl Drop for Denylist {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "closed without a checkpoint; the journal has everything");
        }
    }
}

impl Threads {
    fn start(
        shared: &Arc<Shared>,
        journal: Journal,
        applied: u64,
        durability: Durability,
        file: SavedFile,
    ) -> std::io::Result<Self> {
        let (for_committer, for_keeper) = (Arc::clone(shared), Arc::clone(shared));
        Ok(Self {
            keeper: thread::Builder::new()
                .name("ostracon-keep".into())
                .spawn(move || Keeper::new(&for_keeper, applied, file).run())?,
            committer: thread::Builder::new()
                .name("ostracon-commit".into())
                .spawn(move || committer::run(&for_committer, journal, durability))?,
        })
    }
}
