//! The one thread that writes the engine: empties the overlay into it, makes checkpoints, sweeps, rebuilds shards of the
//! prefilter and deletes journal segments that nobody needs any more. Nobody waits for it but who asks it for something.

use std::{
    fs,
    sync::{Condvar, Mutex, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use ostracon_core::UnixTime;

use crate::{
    digest::Digest,
    engine::Checkpoint,
    error::StoreError,
    files,
    journal::Sealed,
    shared::{Shared, unpoisoned},
};

/// A checkpoint is made after so many changes, or so long after the first that is in none yet.
const CHECKPOINT_CHANGES: usize = 8192;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

/// Shards rebuilt before the overlay is looked at again.
const SHARDS_A_TURN: usize = 8;

/// What the keeper is asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Drop what is due by then, in one batch of at most so many index rows.
    Sweep(UnixTime, usize, mpsc::SyncSender<Result<Batch, StoreError>>),
    /// Bring engine, checkpoint and prefilter up to all that was acknowledged so far.
    Settle(mpsc::SyncSender<Result<(), StoreError>>),
    /// Rebuild some shards of the prefilter that want it, and tell whether there are more.
    Rebuild(mpsc::SyncSender<Result<bool, StoreError>>),
    /// The same, and end.
    Close(mpsc::SyncSender<Result<(), StoreError>>),
}

/// What one batch of a sweep did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) entries: usize,
    pub(crate) leftovers: usize,
}

/// Where the keeper is called.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    state: Mutex<Post>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Post {
    nudged: bool,
    closed: bool,
    orders: Vec<Order>,
}

impl Mailbox {
    /// Tells that there is something to do.
    pub(crate) fn nudge(&self) {
        unpoisoned(self.state.lock()).nudged = true;
        self.arrived.notify_one();
    }

    /// Puts an order in and waits for its outcome.
    pub(crate) fn ask<T>(
        &self,
        order: impl FnOnce(mpsc::SyncSender<Result<T, StoreError>>) -> Order,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut post = unpoisoned(self.state.lock());
        if post.closed {
            return Err(StoreError::Closed);
        }
        post.orders.push(order(sender));
        drop(post);
        self.arrived.notify_one();
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The orders so far, once there is anything to do or `patience` is at its end.
    fn wait(&self, patience: Option<Duration>) -> Vec<Order> {
        let mut post = unpoisoned(self.state.lock());
        if !post.nudged && post.orders.is_empty() {
            post = match patience {
                None => unpoisoned(self.arrived.wait(post)),
                Some(patience) => unpoisoned(self.arrived.wait_timeout(post, patience)).0,
            };
        }
        post.nudged = false;
        std::mem::take(&mut post.orders)
    }
}

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared
                .refuse(&StoreError::Engine("the keeping thread panicked".into()));
        }
        // Orders that nobody will carry out any more are dropped, which tells whoever waits for them.
        let mut post = unpoisoned(self.shared.mailbox.state.lock());
        post.closed = true;
        post.orders.clear();
    }
}

pub(crate) struct Keeper<'a> {
    shared: &'a Shared,
    /// The last record whose changes are in the engine.
    applied: u64,
    /// Changes that no checkpoint covers, and since when.
    unsaved: usize,
    unsaved_since: Option<Instant>,
}

impl<'a> Keeper<'a> {
    /// A keeper of an engine that has all up to record `applied`.
    pub(crate) fn new(shared: &'a Shared, applied: u64) -> Self {
        Self {
            shared,
            applied,
            unsaved: 0,
            unsaved_since: None,
        }
    }

    /// Runs until it is told to close.
    pub(crate) fn run(mut self) {
        let mut more = true;
        loop {
            let patience = if more {
                Some(Duration::ZERO)
            } else {
                self.unsaved_since.map(|_| CHECKPOINT_AFTER)
            };
            let orders = self.shared.mailbox.wait(patience);
            more = self.turn().unwrap_or_else(|error| {
                self.shared.refuse(&error);
                false
            });
            for order in orders {
                // An asker that went away is no failure.
                match order {
                    Order::Sweep(until, limit, reply) => drop(reply.send(self.sweep(until, limit))),
                    Order::Settle(reply) => drop(reply.send(self.settle())),
                    Order::Rebuild(reply) => drop(reply.send(self.rebuild(SHARDS_A_TURN))),
                    Order::Close(reply) => return drop(reply.send(self.drain().and_then(|_| self.save()))),
                }
            }
        }
    }

    /// A bounded piece of work; whether there is more.
    fn turn(&mut self) -> Result<bool, StoreError> {
        if self.shared.refused().is_some() {
            return Ok(false);
        }
        let drained = self.drain()?;
        let due = self
            .unsaved_since
            .is_some_and(|since| since.elapsed() >= CHECKPOINT_AFTER);
        if due || self.unsaved >= CHECKPOINT_CHANGES {
            self.save()?;
        }
        Ok(self.rebuild(SHARDS_A_TURN)? || drained)
    }

    /// Writes what the overlay holds to the engine; whether there was anything.
    fn drain(&mut self) -> Result<bool, StoreError> {
        // What is visible after a failed append may not be on the disk: the engine never gets it, or its checkpoint would
        // claim more than the journal has.
        if let Some(cause) = self.shared.refused() {
            return Err(StoreError::ReadOnly(cause));
        }
        let (changes, last) = self.shared.overlay.turn();
        // In the order of the keys: neighbours share pages, and many at once touch each page once.
        let mut in_order: Vec<_> = changes.iter().collect();
        in_order.sort_unstable_by_key(|(digest, _)| **digest);
        for (digest, change) in in_order {
            if let Some(revocation) = change {
                self.shared.engine.put(digest, revocation)?;
            } else {
                self.shared.engine.remove(digest)?;
                self.note_gone(digest);
            }
        }
        self.shared.overlay.clear_old();
        self.shared.drained.1.notify_all();
        if last > self.applied {
            self.applied = last;
            self.unsaved = self.unsaved.saturating_add(changes.len());
            self.unsaved_since.get_or_insert_with(Instant::now);
        }
        Ok(!changes.is_empty())
    }

    /// Makes a checkpoint, and deletes the journal segments that it makes superfluous.
    fn save(&mut self) -> Result<(), StoreError> {
        if self.unsaved_since.is_none() {
            return Ok(());
        }
        let forgotten_until = self.shared.forgotten_until();
        self.shared.engine.save(Checkpoint {
            applied: self.applied,
            forgotten_until,
        })?;
        (self.unsaved, self.unsaved_since) = (0, None);
        let mut sealed = unpoisoned(self.shared.sealed.lock());
        // From the oldest on and without gaps: what is left must be replayable. A segment goes when everything in it is
        // past its retention and dropped, so that a rebuild from the rest brings nothing back to life (I1).
        let copied = self.shared.backups.load(Ordering::SeqCst) > 0;
        let needless = |s: &Sealed| !copied && s.last <= self.applied && s.retained_until <= forgotten_until;
        while let Some(segment) = sealed.first().filter(|s| needless(s)) {
            fs::remove_file(&segment.path).map_err(|e| StoreError::io(&segment.path, e))?;
            segment.path.parent().map_or(Ok(()), files::sync_dir)?;
            tracing::debug!(segment = %segment.path.display(), "deleted a journal segment");
            sealed.remove(0);
        }
        Ok(())
    }

    fn sweep(&mut self, until: UnixTime, limit: usize) -> Result<Batch, StoreError> {
        let (dropped, leftovers) = self.shared.engine.sweep(until, limit)?;
        for digest in &dropped {
            self.note_gone(digest);
        }
        self.unsaved_since.get_or_insert_with(Instant::now);
        Ok(Batch {
            entries: dropped.len(),
            leftovers,
        })
    }

    fn note_gone(&self, digest: &Digest) {
        if let Some(prefilter) = &self.shared.prefilter {
            prefilter.note_gone(digest);
        }
    }

    /// Rebuilds up to `limit` shards that want it; whether there are more.
    fn rebuild(&self, limit: usize) -> Result<bool, StoreError> {
        let Some(prefilter) = &self.shared.prefilter else {
            return Ok(false);
        };
        let due = prefilter.due_shards();
        for (done, shard) in due.iter().enumerate() {
            if done >= limit {
                prefilter.look_again();
                return Ok(true);
            }
            let waiting = self
                .shared
                .overlay
                .list_shard(*shard, || prefilter.begin_rebuild(*shard));
            match self.shared.engine.shard(*shard) {
                Ok((mut held, kinds)) => {
                    held.extend(waiting);
                    prefilter.finish_rebuild(*shard, &held, kinds);
                }
                Err(error) => {
                    prefilter.abandon_rebuild(*shard);
                    return Err(error);
                }
            }
        }
        Ok(false)
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        while self.drain()? {}
        self.save()?;
        while self.rebuild(SHARDS_A_TURN)? {}
        Ok(())
    }
}
