//! The engine in several parts, each a sled of its own for an even share of the digests.
//!
//! sled writes its snapshot, from which it opens at once, only while it opens; from there on its log has to be read. So
//! that no opening has much to read, each part is opened anew after so many writes. That takes a while, during which
//! its rows are answered from a copy in memory: which is why there are parts.
//!
//! A part that has come to take much more than its rows need is written anew, and serves meanwhile (`renewal.rs`).

mod renewing;

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use ostracon_core::{Kind, Revocation, UnixTime};

use super::{
    Checkpoint, Claim, Engine, Survey,
    copy::Rows,
    places::{self, found, is_a_count, paths},
    renewal::Renewal,
};
use crate::{
    digest::{Digest, DigestKey},
    error::StoreError,
    files,
    identity::StoreId,
    kinds::Kinds,
    options::Options,
    shared::unpoisoned,
};

/// How many entries there are, of each kind.
type Entries = [(Kind, u64); Kind::ALL.len()];

/// Threads that open or write parts, at most: an allocator may keep memory for each that it does not give to others.
pub(crate) const MOST_THREADS: usize = 2;

/// What is to become of an entry.
pub(super) type Named<'a> = (&'a Digest, Option<&'a Revocation>);

/// The parts of an engine, in the order of their digests.
pub(crate) struct Parts {
    all: Vec<Part>,
    cache_bytes: u64,
    /// The fewest writes after which a part is opened anew.
    reopen_after: usize,
    /// While all parts together have had fewer writes than there are entries, divided by this, none is, nor ever with zero; then it is the one
    /// that has had the most. So an opening has little to read, and they never come due together.
    reopen_share: u64,
    /// Held while a part is opened anew.
    reopening: Mutex<()>,
    /// How many times one was.
    reopened: AtomicU64,
    /// Why a part could not be opened anew. Its copy goes on answering.
    failed: OnceLock<Arc<str>>,
    /// The fewest writes after which a part is written anew, and for how many entries its least size is reckoned.
    renew_after: u64,
    /// Bytes an entry; a part that takes more is written anew, once it has had three writes for every four entries.
    renew_bytes: u64,
    /// The part that is, by its place.
    renewing: Mutex<Option<(usize, Renewal)>>,
    /// How many times one was.
    renewed: AtomicU64,
}

struct Part {
    store: StoreId,
    place: RwLock<Place>,
    /// Writes since it was opened.
    written: AtomicUsize,
    /// Writes since it was opened first by this process, or written anew.
    churned: AtomicU64,
}

#[derive(Clone)]
enum Place {
    Open(Arc<Engine>),
    /// What it held when it was closed, to be opened anew.
    Copied(Arc<Rows>, Option<Entries>),
}

/// Whether an engine is in `dir`; what is there need not be whole.
pub(crate) fn is_there(dir: &Path) -> bool {
    !matches!(found(dir), Ok(None))
}

impl Parts {
    /// Opens the engine in `dir`, or makes an empty one of as many parts as `options` says.
    ///
    /// # Errors
    ///
    /// As for [`Engine::open`].
    pub(crate) fn open(dir: &Path, store: StoreId, options: &Options) -> Result<Self, StoreError> {
        let wanted = if is_a_count(options.engine_parts) {
            options.engine_parts
        } else {
            1
        };
        let paths = found(dir)?.unwrap_or_else(|| paths(dir, wanted));
        files::create_dir(dir)?;
        places::remove_others(dir, &paths)?;
        let count = u64::try_from(paths.len()).unwrap_or(1);
        let cache_bytes = options.cache_bytes.checked_div(count).unwrap_or(options.cache_bytes);
        let named: Vec<_> = paths.into_iter().zip(part_ids(store, count)).collect();
        let opened = side_by_side(&named, MOST_THREADS, |(path, store)| {
            Ok(Part {
                place: RwLock::new(Place::Open(Arc::new(Engine::open(path, *store, cache_bytes)?))),
                store: *store,
                written: AtomicUsize::new(0),
                churned: AtomicU64::new(0),
            })
        });
        Ok(Self {
            all: opened?,
            cache_bytes,
            reopen_after: options.reopen_after,
            reopen_share: options.reopen_share,
            reopening: Mutex::default(),
            reopened: AtomicU64::new(0),
            failed: OnceLock::new(),
            renew_after: options.renew_after,
            renew_bytes: options.renew_bytes,
            renewing: Mutex::default(),
            renewed: AtomicU64::new(0),
        })
    }

    fn part(&self, shard: u8) -> Result<&Part, StoreError> {
        let place = usize::from(shard).saturating_mul(self.all.len()) / 256;
        self.all.get(place).ok_or(StoreError::Closed)
    }

    /// The engine of `part`, once it is open.
    fn opened(&self, part: &Part) -> Result<Arc<Engine>, StoreError> {
        if let Place::Open(engine) = part.place() {
            return Ok(engine);
        }
        let _reopened = unpoisoned(self.reopening.lock());
        match part.place() {
            Place::Open(engine) => Ok(engine),
            Place::Copied(..) => Err(StoreError::ReadOnly(self.failed.get().cloned().unwrap_or_default())),
        }
    }

    /// Why it takes nothing any more, if so.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        let of_part = |part: &Part| match part.place() {
            Place::Open(engine) => engine.failure(),
            Place::Copied(..) => None,
        };
        self.failed.get().cloned().or_else(|| self.all.iter().find_map(of_part))
    }

    /// The row of `digest`. Costs a walk down a tree, and a read where the leaf is not in memory; waits for no write, and
    /// for no part that is opened anew.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        match self.part(digest.shard())?.place() {
            Place::Open(engine) => engine.get(digest),
            Place::Copied(rows, _) => rows.get(digest),
        }
    }

    /// See [`Engine::apply`]; `changes` must be in the order of their digests. Up to so many `threads` write parts side by
    /// side.
    pub(crate) fn apply(&self, changes: &[Named<'_>], threads: usize) -> Result<(), StoreError> {
        let (mut shares, mut rest) = (Vec::new(), changes);
        while let Some((first, _)) = rest.first() {
            let part = self.part(first.shard())?;
            let of_part = |(digest, _): &Named<'_>| self.part(digest.shard()).is_ok_and(|p| core::ptr::eq(p, part));
            let (here, behind) = rest.split_at(rest.partition_point(of_part));
            shares.push((part, here));
            rest = behind;
        }
        side_by_side(&shares, threads, |(part, here)| {
            self.opened(part)?.apply(here.iter().copied())?;
            part.wrote(here.len());
            self.follow(part, here.iter().copied());
            Ok(())
        })
        .map(drop)
    }

    /// Writes the row of `digest` and its index row.
    pub(crate) fn put(&self, digest: &Digest, revocation: &Revocation) -> Result<(), StoreError> {
        self.apply(&[(digest, Some(revocation))], 1)
    }

    /// See [`Engine::due_until`]; of a part that has anything which is due.
    pub(crate) fn due_until(&self, until: UnixTime, limit: usize) -> Result<Option<UnixTime>, StoreError> {
        for part in &self.all {
            if let Some(until) = self.opened(part)?.due_until(until, limit)? {
                return Ok(Some(until));
            }
        }
        Ok(None)
    }

    /// See [`Engine::first_due`].
    pub(crate) fn first_due(&self, limit: usize) -> Result<Vec<(UnixTime, Digest)>, StoreError> {
        let mut due = Vec::new();
        for part in &self.all {
            due.extend(self.opened(part)?.first_due(limit)?);
        }
        due.sort_unstable();
        due.truncate(limit);
        Ok(due)
    }

    /// See [`Engine::sweep`].
    pub(crate) fn sweep(&self, until: UnixTime, limit: usize) -> Result<(Vec<Digest>, usize), StoreError> {
        let (mut dropped, mut stale) = (Vec::new(), 0_usize);
        for part in &self.all {
            let left = limit.saturating_sub(dropped.len()).saturating_sub(stale);
            if left == 0 {
                break;
            }
            let (digests, leftovers) = self.opened(part)?.sweep(until, left)?;
            part.wrote(digests.len().saturating_add(leftovers));
            self.follow(part, digests.iter().map(|digest| (digest, None)));
            dropped.extend(digests);
            stale = stale.saturating_add(leftovers);
        }
        Ok((dropped, stale))
    }

    /// See [`Engine::shard`].
    pub(crate) fn shard(&self, shard: u8) -> Result<(Vec<Digest>, Kinds), StoreError> {
        self.opened(self.part(shard)?)?.shard(shard)
    }

    /// Up to `limit` rows behind `after`, in the order of their digests.
    pub(crate) fn behind(&self, after: Option<&Digest>, limit: usize) -> Result<Vec<(Digest, Revocation)>, StoreError> {
        let mut rows = Vec::new();
        let ahead = after.map_or(Ok(None), |after| self.part(after.shard()).map(Some))?;
        for part in self
            .all
            .iter()
            .skip_while(|part| ahead.is_some_and(|ahead| !core::ptr::eq(*part, ahead)))
        {
            let left = limit.saturating_sub(rows.len());
            if left == 0 {
                break;
            }
            rows.extend(self.opened(part)?.behind(after, left)?);
        }
        Ok(rows)
    }

    /// Up to where all parts hold what the journal has, by their own account. Some may have more.
    pub(crate) fn checkpoint(&self) -> Result<Checkpoint, StoreError> {
        let all = self.all.iter().map(|part| self.opened(part)?.checkpoint());
        Ok(common(all.collect::<Result<Vec<_>, _>>()?))
    }

    /// The last record that any part claims to have.
    pub(crate) fn reached(&self) -> Result<u64, StoreError> {
        let mut last = 0;
        for part in &self.all {
            last = self.opened(part)?.checkpoint()?.applied.max(last);
        }
        Ok(last)
    }

    /// Makes all rows so far durable, together with the statement that they reach up to `checkpoint`.
    pub(crate) fn save(&self, checkpoint: Checkpoint) -> Result<(), StoreError> {
        self.all.iter().try_for_each(|part| self.opened(part)?.save(checkpoint))
    }

    /// Bytes that its files take, without those of a copy that is being made.
    pub(crate) fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.all.iter().map(|part| self.opened(part)?.disk_bytes()).sum()
    }

    /// Saves, with the next checkpoint, how many entries of each kind there are up to record `applied`.
    pub(crate) fn keep_tally(&self, applied: u64) -> Result<(), StoreError> {
        self.all
            .iter()
            .try_for_each(|part| self.opened(part)?.keep_tally(applied))
    }

    /// Counts the entries of up to `limit` shards that are not counted yet; whether there are more.
    pub(crate) fn count(&self, limit: usize) -> Result<bool, StoreError> {
        for part in &self.all {
            if self.opened(part)?.count(limit)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has the cache of a part reckon with what went through it; whether one had to. See [`Engine::reckon`].
    pub(crate) fn reckon(&self) -> Result<bool, StoreError> {
        for part in &self.all {
            if self.opened(part)?.reckon()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many entries of each kind there are; none while they are counted.
    pub(crate) fn entries(&self) -> Option<Entries> {
        let mut sum = Kind::ALL.map(|kind| (kind, 0_u64));
        for part in &self.all {
            let entries = match part.place() {
                Place::Open(engine) => engine.entries(),
                Place::Copied(_, entries) => entries,
            };
            for ((_, sum), (_, count)) in sum.iter_mut().zip(entries?) {
                *sum = sum.saturating_add(count);
            }
        }
        Some(sum)
    }

    /// How many rows there are. Walks all of them.
    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.all.iter().map(|part| self.opened(part)?.len()).sum()
    }

    /// The entry of `digest` if there is a sound one.
    pub(crate) fn sound(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        self.opened(self.part(digest.shard())?)?.sound(digest)
    }

    /// What the checkpoints say.
    pub(crate) fn claim(&self) -> Result<Claim, StoreError> {
        let mut made = Vec::new();
        for part in &self.all {
            match self.opened(part)?.claim()? {
                Claim::Made(checkpoint) => made.push(checkpoint),
                Claim::Damaged => return Ok(Claim::Damaged),
                Claim::Absent => {}
            }
        }
        let whole = made.len() == self.all.len();
        Ok(if whole {
            Claim::Made(common(made))
        } else {
            Claim::Absent
        })
    }

    /// Walks all rows and the index; see [`Engine::survey`].
    pub(crate) fn survey(
        &self,
        key: &DigestKey,
        mut each: impl FnMut(&Digest, &Revocation) -> Result<(), StoreError>,
    ) -> Result<Survey, StoreError> {
        let mut sum = Survey::default();
        for part in &self.all {
            sum.add(self.opened(part)?.survey(key, &mut each)?);
        }
        Ok(sum)
    }

    /// How many times a part was opened anew.
    pub(crate) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }

    /// Opens a part anew if one is due, and has it claim `checkpoint`, of which it must have all; whether one was. Only for the thread that writes. Blocks for as long as it takes, during which the part is read from a copy.
    ///
    /// # Errors
    ///
    /// What it was closed or opened with. The copy goes on answering then, and nothing is written any more.
    pub(crate) fn reopen_one(&self, checkpoint: Checkpoint) -> Result<bool, StoreError> {
        let written = |part: &&Part| part.written.load(Ordering::Relaxed);
        let Some(part) = self.all.iter().max_by_key(written) else {
            return Ok(false);
        };
        if written(&part) < self.reopen_after.max(1) {
            return Ok(false);
        }
        // What is not counted yet was opened a moment ago.
        let entries = self.entries().map(|all| sum(&all));
        let share = entries.and_then(|entries| usize::try_from(entries.checked_div(self.reopen_share)?).ok());
        let all = self.all.iter().map(|part| written(&part)).sum::<usize>();
        if share.is_none_or(|share| all < share) {
            return Ok(false);
        }
        self.reopen(part, checkpoint)?;
        Ok(true)
    }

    fn reopen(&self, part: &Part, checkpoint: Checkpoint) -> Result<(), StoreError> {
        let _reopening = unpoisoned(self.reopening.lock());
        let Place::Open(engine) = part.place() else {
            return Err(StoreError::ReadOnly(self.failed.get().cloned().unwrap_or_default()));
        };
        engine.keep_tally(checkpoint.applied)?;
        engine.save(checkpoint)?;
        // I5: whole, or not at all. Whoever asks from here on is answered from it; whoever asked before still has the
        // engine, which closes behind the last of them.
        let rows = Arc::new(engine.copy()?);
        *unpoisoned(part.place.write()) = Place::Copied(rows, engine.entries());
        let path = close(engine);
        let engine = Engine::open(&path, part.store, self.cache_bytes).and_then(|engine| {
            // It has all that it had, by its own account: one that lost something, or opened empty, is not believed.
            if engine.checkpoint()? == checkpoint {
                Ok(engine)
            } else {
                Err(engine.damaged("opened anew, it has lost something"))
            }
        });
        let engine = engine.inspect_err(|error| {
            tracing::error!(%error, part = %path.display(), "could not open a part of the engine anew");
            self.failed.get_or_init(|| error.to_string().into());
        })?;
        *unpoisoned(part.place.write()) = Place::Open(Arc::new(engine));
        part.written.store(0, Ordering::Relaxed);
        self.reopened.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Part {
    fn wrote(&self, rows: usize) {
        self.written.fetch_add(rows, Ordering::Relaxed);
        self.churned
            .fetch_add(u64::try_from(rows).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn place(&self) -> Place {
        unpoisoned(self.place.read()).clone()
    }
}

/// Closes an engine that nobody is given any more, behind the last who was; where it is.
fn close(engine: Arc<Engine>) -> PathBuf {
    while Arc::strong_count(&engine) > 1 {
        thread::sleep(Duration::from_millis(1));
    }
    let path = engine.path.clone();
    drop(engine);
    path
}

fn sum(entries: &Entries) -> u64 {
    entries.iter().map(|(_, count)| *count).sum()
}

/// What a checkpoint says that all parts keep.
fn common(made: impl IntoIterator<Item = Checkpoint>) -> Checkpoint {
    let both = |a: Checkpoint, b: Checkpoint| Checkpoint {
        applied: a.applied.min(b.applied),
        // I1: what any of them may have dropped.
        forgotten_until: a.forgotten_until.max(b.forgotten_until),
    };
    made.into_iter().reduce(both).unwrap_or(Checkpoint::NONE)
}

/// What each part takes for the store's identity, so that none is taken for another, whatever its directory is called.
fn part_ids(store: StoreId, count: u64) -> impl Iterator<Item = StoreId> {
    (0..count).map(move |part| {
        let mark = part | count.saturating_sub(1).saturating_mul(1 << 32);
        (u128::from_be_bytes(store) ^ u128::from(mark)).to_be_bytes()
    })
}

/// What `work` makes of each of `items`, in their order, by up to so many `threads`, and no more than there are processors.
fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<R, StoreError> + Sync,
) -> Result<Vec<R>, StoreError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(threads);
    if threads <= 1 || items.len() <= 1 {
        return items.iter().map(work).collect();
    }
    let share = items.len().div_ceil(threads).max(1);
    let by_one = |share: &[T]| share.iter().map(&work).collect::<Result<Vec<_>, _>>();
    thread::scope(|scope| {
        let (own, others) = items.split_at(share.min(items.len()));
        let workers: Vec<_> = others
            .chunks(share)
            .map(|share| {
                let spawned = thread::Builder::new().spawn_scoped(scope, || by_one(share));
                spawned.map_err(|_| share)
            })
            .collect();
        let mut results = by_one(own)?;
        for worker in workers {
            results.extend(match worker {
                Ok(worker) => {
                    let panicked = |_| StoreError::Engine("a part of it panicked".into());
                    worker.join().map_err(panicked)??
                }
                // The system gives no more threads.
                Err(share) => by_one(share)?,
            });
        }
        Ok(results)
    })
}

impl core::fmt::Debug for Parts {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parts")
            .field("count", &self.all.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}
