//! The denylist.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, atomic::Ordering},
    thread::{self, JoinHandle},
};

use ostracon_core::{Facts, Revocation, Target, TargetRef, Targets, UnixTime};

use crate::{
    commit::{Commit, Receipt},
    committer::{self, Ask},
    digest::Digest,
    error::StoreError,
    files::{self, DirLock},
    journal::{Journal, MAX_GROUP, Recovered},
    keeper::{Keeper, Order},
    opening::{self, State},
    options::Options,
    prefilter::{Prefilter, SHARDS},
    shared::{Shared, unpoisoned},
    stats::{PrefilterState, Stats},
};

/// Index rows in one batch of a sweep.
const SWEEP_BATCH: usize = 512;

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
    /// the journal, and an engine that is damaged is set aside and rebuilt from it. Answers correctly on return; the
    /// prefilter is filled in the background. Blocks; costs in proportion to what the engine lacked.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`], [`StoreError::Io`], [`StoreError::Newer`]; [`StoreError::Damaged`] when the journal has
    /// lost something that was acknowledged (I5).
    pub fn open(dir: &Path, options: &Options) -> Result<Self, StoreError> {
        files::create_dir(dir)?;
        let lock = DirLock::take(dir)?;
        let identity = opening::identity(dir)?;
        let State {
            engine,
            applied,
            changes,
            forgotten,
            recovered,
            rebuilt,
        } = State::open(dir, &identity, options)?;
        let Recovered {
            journal,
            sealed,
            cut,
            replayed,
        } = recovered;
        tracing::info!(replayed, cut_bytes = cut, rebuilt, "opened the denylist");

        let prefilter = options.prefilter.then(|| Prefilter::new(options.false_positive_rate));
        let shared = Arc::new(Shared::new(identity.key, engine, prefilter, sealed));
        shared.publish(changes, journal.last());
        shared.forget_until(forgotten);
        shared.open_segment_bytes.store(journal.open_bytes(), Ordering::Relaxed);
        *unpoisoned(shared.reach.lock()) = journal.reach();
        let threads = Threads::start(&shared, journal, applied).map_err(|e| StoreError::io(dir, e))?;
        Ok(Self {
            shared,
            threads: Mutex::new(Some(threads)),
            dir: dir.into(),
            backing_up: Mutex::new(()),
            replayed,
            rebuilt,
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
    /// [`StoreError::Engine`]: whether the token is revoked is unknown, and that is all that may be concluded (I5).
    pub fn check(&self, targets: &Targets<'_>, now: UnixTime) -> Result<Facts, StoreError> {
        let mut hit = None;
        for target in targets.iter() {
            let Some(digest) = self.shared.perhaps_listed(target) else {
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
        targets
            .iter()
            .all(|target| self.shared.perhaps_listed(target).is_none())
    }

    /// The facts about a token of which no target is listed.
    #[must_use]
    pub fn unlisted(&self) -> Facts {
        Facts {
            revocation: None,
            forgotten_until: self.shared.forgotten_until(),
        }
    }

    /// The entry of `target`, expired or not. Cost as for one target of [`Denylist::check`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], as for [`Denylist::check`].
    pub fn entry(&self, target: TargetRef<'_>) -> Result<Option<Revocation>, StoreError> {
        let Some(digest) = self.shared.perhaps_listed(target) else {
            return Ok(None);
        };
        let entry = self.shared.look_up(&digest)?;
        Ok(entry.filter(|entry| entry.target().as_ref() == target))
    }

    /// The entry with the identity `id`, expired or not. Cost as for one target of [`Denylist::check`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], as for [`Denylist::check`].
    pub fn entry_by_id(&self, id: &Digest) -> Result<Option<Revocation>, StoreError> {
        self.shared.look_up(id)
    }

    /// Up to `limit` entries behind the identity `after`, expired ones too, in the order of their identities. Blocks; costs
    /// a walk along the rows, and a pass over what waits for the engine.
    ///
    /// What is revoked or lifted while pages are turned may be on them or not; all else is, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Page, StoreError> {
        // The overlay first, as everywhere: what moves to the engine in between is seen there.
        let mut changes = self.shared.overlay.behind(after);
        let rows = self.shared.engine.behind(after, limit)?;
        // Behind the last row of a full page, the engine may have rows that come before what waits.
        let mut next = rows.last().filter(|_| rows.len() >= limit).map(|(id, _)| *id);
        if let Some(last) = next {
            changes.retain(|id, _| *id <= last);
        }
        for (id, row) in rows {
            changes.entry(id).or_insert(Some(row));
        }
        let standing = changes.into_iter().filter_map(|(id, change)| Some((id, change?)));
        let mut entries: Vec<_> = standing.collect();
        if entries.len() > limit {
            entries.truncate(limit);
            next = entries.last().map(|(id, _)| *id);
        }
        Ok(Page { entries, next })
    }

    /// The identity that an entry of `target` has, whether there is one or not.
    #[must_use]
    pub fn id(&self, target: TargetRef<'_>) -> Digest {
        self.shared.key.digest(target)
    }

    /// Denies what `revocations` name. They become durable together, within one sync of the journal that all who wait
    /// share. Does not block: wait for the [`Commit`].
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

    pub(crate) fn write(&self, asks: Vec<Ask>) -> Result<Commit, StoreError> {
        if let Some(cause) = self.shared.refused() {
            return Err(StoreError::ReadOnly(cause));
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
    /// proportion to what is due, whatever else is listed.
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
        Ok(swept)
    }

    /// Waits until the engine has all that was acknowledged, a checkpoint says so, and the prefilter covers it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`], [`StoreError::ReadOnly`].
    pub fn settle(&self) -> Result<(), StoreError> {
        self.shared.mailbox.ask(Order::Settle)
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
        let prefilter = match shared.prefilter.as_ref().map(Prefilter::missing) {
            None => PrefilterState::Off,
            Some(0) => PrefilterState::Covering,
            Some(missing) => PrefilterState::Building { missing },
        };
        let sealed = unpoisoned(shared.sealed.lock());
        let sealed_bytes = sealed.iter().fold(0_u64, |sum, s| sum.saturating_add(s.bytes));
        Stats {
            refused: shared.refused(),
            prefilter,
            prefilter_bytes: shared.prefilter.as_ref().map_or(0, Prefilter::bytes),
            lookups: shared.lookups.load(Ordering::Relaxed),
            misses: shared.misses.load(Ordering::Relaxed),
            waiting: shared.overlay.len(),
            journal_bytes: sealed_bytes.saturating_add(shared.open_segment_bytes.load(Ordering::Relaxed)),
            journal_segments: sealed.len().saturating_add(1),
            forgotten_until: shared.forgotten_until(),
        }
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

    /// Writes what waits, makes a checkpoint, and ends. Calls that come later are refused. Blocks.
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
    fn start(shared: &Arc<Shared>, journal: Journal, applied: u64) -> std::io::Result<Self> {
        let (for_committer, for_keeper) = (Arc::clone(shared), Arc::clone(shared));
        Ok(Self {
            keeper: thread::Builder::new()
                .name("ostracon-keep".into())
                .spawn(move || Keeper::new(&for_keeper, applied).run())?,
            committer: thread::Builder::new()
                .name("ostracon-commit".into())
                .spawn(move || committer::run(&for_committer, journal))?,
        })
    }
}
