//! The one thread that writes the journal: takes all who wait, writes their records as one group, syncs once, and lets
//! them go.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use ostracon_core::{Reason, Revocation, Target, UnixTime};

use crate::{
    commit::{Bell, Commit, Completion, Outcome, Receipt, complete, pair},
    digest::Digest,
    error::StoreError,
    journal::{Journal, MAX_GROUP, Record, When},
    options::Durability,
    overlay::{Change, Changes},
    shared::{Shared, unpoisoned},
    sync::{Condvar, Mutex},
};

/// Records that may wait; beyond, writers are told to come again.
const MAX_WAITING: usize = 16 * MAX_GROUP;

/// How long those who were answered together are waited for: a fraction of a sync.
const A_MOMENT: Duration = Duration::from_micros(25);

/// Writes that wait for the committer.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    state: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    asks: usize,
    /// What those wait at who are in line since jobs were last taken.
    bell: Arc<Bell>,
    /// Whether the committer waits for jobs.
    is_awaited: bool,
    closed: bool,
}

/// What a writer asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The target is denied, by the stricter of this and what stands.
    Revoke(Revocation),
    /// The target is denied by this if nothing stands, expired or not; what stands stays as it is.
    RevokeIfAbsent(Revocation),
    /// The same as `Revoke`, unless a token is denied already, which then is all that is answered.
    RevokeUnlessDenied(Revocation, Bearer),
    /// The target is denied no longer.
    Lift(Target),
    /// What is retained up to this time is about to be dropped.
    Forget(UnixTime),
}

/// A token on whose strength something is asked for.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) targets: Vec<Target>,
    pub(crate) iat: Option<UnixTime>,
    pub(crate) now: UnixTime,
}

/// What becomes durable together, or not at all.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) asks: Vec<Ask>,
    asked: Instant,
    pub(crate) completion: Completion,
}

impl Queue {
    /// Puts `asks`, at most [`MAX_GROUP`], in line.
    pub(crate) fn submit(&self, asks: Vec<Ask>) -> Result<Commit, StoreError> {
        let mut waiting = unpoisoned(self.state.lock());
        if waiting.closed {
            return Err(StoreError::Closed);
        }
        if waiting.asks.saturating_add(asks.len()) > MAX_WAITING {
            return Err(StoreError::Busy);
        }
        let (commit, completion) = pair(&waiting.bell);
        waiting.asks = waiting.asks.saturating_add(asks.len());
        waiting.jobs.push(Job {
            asks,
            asked: Instant::now(),
            completion,
        });
        let is_awaited = std::mem::take(&mut waiting.is_awaited);
        drop(waiting);
        if is_awaited {
            self.filled.notify_one();
        }
        Ok(commit)
    }

    /// Takes in nothing more; what waits is still written.
    pub(crate) fn close(&self) {
        unpoisoned(self.state.lock()).closed = true;
        self.filled.notify_one();
    }

    /// All who wait, up to a group; nobody when `until` has come first; none when closed and empty.
    ///
    /// As many as were answered a moment ago are likely to come again at once, and those who come late would wait for a
    /// sync more: so they are given a moment.
    pub(crate) fn take(&self, until: Option<Instant>, company: usize) -> Option<Vec<Job>> {
        if company > 1 {
            let began = Instant::now();
            while unpoisoned(self.state.lock()).jobs.len() < company && began.elapsed() < A_MOMENT {
                thread::yield_now();
            }
        }
        let mut waiting = unpoisoned(self.state.lock());
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.is_awaited = true;
            waiting = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => unpoisoned(self.filled.wait(waiting)),
                Some(Duration::ZERO) => return Some(Vec::new()),
                Some(patience) => unpoisoned(self.filled.wait_timeout(waiting, patience)).0,
            };
        }
        let mut asks = 0_usize;
        let fit = waiting
            .jobs
            .iter()
            .take_while(|job| {
                asks = asks.saturating_add(job.asks.len());
                asks <= MAX_GROUP
            })
            .count()
            .max(1);
        let jobs: Vec<_> = waiting.jobs.drain(..fit).collect();
        waiting.bell = Arc::default();
        let taken = jobs.iter().map(|job| job.asks.len()).sum();
        waiting.asks = waiting.asks.saturating_sub(taken);
        Some(jobs)
    }
}

/// When the journal is synced.
struct Pace {
    durability: Durability,
    /// When what is written and not synced has to be.
    due: Option<Instant>,
}

impl Pace {
    fn when(&self) -> When {
        match self.durability {
            Durability::Sync => When::Now,
            Durability::Interval(_) => When::Later,
        }
    }

    /// Something may have been written.
    fn note(&mut self, shared: &Shared) {
        if let Durability::Interval(every) = self.durability
            && self.due.is_none()
            && !shared.synced.is_complete()
        {
            // A time beyond all clocks is none.
            self.due = Instant::now().checked_add(every);
        }
    }

    /// Syncs if it is time to, or if it is the last time.
    fn keep(&mut self, shared: &Shared, is_last: bool) {
        if is_last || self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            if let Err(error) = shared.synced.sync() {
                shared.refuse(&error);
            }
        }
    }
}

/// Runs until the queue is closed and empty.
pub(crate) fn run(shared: &Shared, mut journal: Journal, durability: Durability) {
    // A panic in here must not leave writers waiting for nobody.
    let guard = RefuseOnPanic(shared);
    let mut pace = Pace { durability, due: None };
    let mut company = 0;
    while let Some(jobs) = shared.queue.take(pace.due, company) {
        company = jobs.len();
        pace.keep(shared, false);
        if jobs.is_empty() {
            continue;
        }
        wait_for_keeper(shared);
        if let Some(cause) = shared.refused() {
            let refused = |job: Job| (job.completion, Err(StoreError::ReadOnly(Arc::clone(&cause))));
            complete(jobs.into_iter().map(refused));
            continue;
        }
        let jobs = admitted(shared, jobs);
        if jobs.is_empty() {
            continue;
        }
        let mut group = Group::new(shared);
        if journal.is_full() {
            // I1: each segment begins with what is forgotten, so that deleting the ones before it loses nothing, however
            // little is in it yet.
            group.records.push(Record::Forget(shared.forgotten_until()));
        }
        let done: Vec<_> = jobs
            .into_iter()
            .map(|job| {
                group.asked.push(job.asked);
                (job.completion, group.stage(job.asks))
            })
            .collect();
        let pressed = shared.is_pressing();
        let was_empty = group.write(&mut journal, pace.when(), done);
        pace.note(shared);
        // In between the keeper looks by itself.
        if was_empty || (!pressed && shared.is_pressing()) {
            shared.mailbox.nudge();
        }
    }
    pace.keep(shared, true);
    core::mem::forget(guard);
}

struct RefuseOnPanic<'a>(&'a Shared);

impl Drop for RefuseOnPanic<'_> {
    fn drop(&mut self) {
        self.0.refuse(&StoreError::Engine("the writing thread panicked".into()));
        self.0.queue.close();
        unpoisoned(self.0.queue.state.lock()).jobs.clear();
    }
}

fn wait_for_keeper(shared: &Shared) {
    let (lock, drained) = &shared.drained;
    let mut held = unpoisoned(lock.lock());
    // However little may wait, one group always may: the keeper makes no room where nothing waits.
    while shared.overlay.len() > 0 && shared.overlay.bytes() >= shared.pending_bytes && shared.refused().is_none() {
        shared.mailbox.nudge();
        held = unpoisoned(drained.wait_timeout(held, Duration::from_millis(50))).0;
    }
}

/// All of `jobs` while there is space on the disk; else those that make some, and the others are told.
fn admitted(shared: &Shared, jobs: Vec<Job>) -> Vec<Job> {
    let Some(full) = shared.space.shortage() else {
        return jobs;
    };
    let makes_space = |job: &Job| job.asks.iter().all(|ask| matches!(ask, Ask::Forget(_)));
    let (admitted, refused): (Vec<_>, Vec<_>) = jobs.into_iter().partition(makes_space);
    complete(refused.into_iter().map(|job| (job.completion, Err(full.clone()))));
    admitted
}

/// What stood in a group before a job changed it.
type Undo = Vec<(Digest, Option<Change>)>;

/// What one append makes durable.
struct Group<'a> {
    shared: &'a Shared,
    records: Vec<Record>,
    changes: Changes,
    forget: UnixTime,
    /// When each of its jobs was asked for.
    asked: Vec<Instant>,
}

impl<'a> Group<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            records: Vec::new(),
            changes: Changes::default(),
            forget: UnixTime::EPOCH,
            asked: Vec::new(),
        }
    }

    /// Takes in one job: what it comes to, given what stands. On an error nothing of it is taken in.
    fn stage(&mut self, asks: Vec<Ask>) -> Result<Vec<Receipt>, StoreError> {
        let (records, forget) = (self.records.len(), self.forget);
        // One alone that fails has changed nothing.
        let mut undo = (asks.len() > 1).then(Vec::new);
        let mut receipts = Vec::with_capacity(asks.len());
        for ask in asks {
            match self.stage_one(ask, &mut undo) {
                Ok(receipt) => receipts.extend(receipt),
                Err(error) => {
                    self.records.truncate(records);
                    self.forget = forget;
                    for (id, before) in undo.into_iter().flatten().rev() {
                        match before {
                            Some(before) => self.changes.insert(id, before),
                            None => self.changes.remove(&id),
                        };
                    }
                    return Err(error);
                }
            }
        }
        Ok(receipts)
    }

    fn stage_one(&mut self, ask: Ask, undo: &mut Option<Undo>) -> Result<Option<Receipt>, StoreError> {
        let keep = matches!(ask, Ask::RevokeIfAbsent(_));
        match ask {
            Ask::Forget(until) => {
                self.forget = self.forget.max(until);
                self.records.push(Record::Forget(until));
                Ok(None)
            }
            Ask::Lift(target) => {
                let id = self.shared.key.digest(target.as_ref());
                let Some(revocation) = self.standing(&id)? else {
                    return Ok(None);
                };
                self.change(id, None, undo);
                self.records.push(Record::Lift(target));
                Ok(Some(receipt(id, revocation, true)))
            }
            Ask::RevokeUnlessDenied(asked, bearer) => match self.denied(&bearer)? {
                Some(denied) => Ok(Some(denied)),
                None => self.stage_one(Ask::Revoke(asked), undo),
            },
            Ask::Revoke(asked) | Ask::RevokeIfAbsent(asked) => {
                let id = self.shared.key.digest(asked.target().as_ref());
                let (revocation, stricter) = match self.standing(&id)? {
                    Some(standing) if keep => (standing, false),
                    standing => merged(&asked, standing),
                };
                if stricter {
                    self.change(id, Some(revocation.clone()), undo);
                    self.records.push(Record::Revoke(asked));
                }
                Ok(Some(receipt(id, revocation, stricter)))
            }
        }
    }

    fn change(&mut self, id: Digest, change: Change, undo: &mut Option<Undo>) {
        let before = self.changes.insert(id, change);
        if let Some(undo) = undo {
            undo.push((id, before));
        }
    }

    /// What denies `bearer` before the next record, if something does.
    fn denied(&self, bearer: &Bearer) -> Result<Option<Receipt>, StoreError> {
        for target in &bearer.targets {
            let id = self.shared.key.digest(target.as_ref());
            let denies = |entry: &Revocation| {
                entry.target() == target && bearer.now < entry.retained_until() && entry.denies(bearer.iat)
            };
            if let Some(revocation) = self.standing(&id)?.filter(denies) {
                return Ok(Some(receipt(id, revocation, false)));
            }
        }
        Ok(None)
    }

    /// What stands for `digest` before the next record: from this group, or before.
    fn standing(&self, digest: &Digest) -> Result<Option<Revocation>, StoreError> {
        match self.changes.get(digest) {
            Some(change) => Ok(change.clone()),
            None => self.shared.entry(digest),
        }
    }

    /// Makes it durable, or written, as `when` says; then visible, then known to those who wait. Whether the keeper, which had
    /// nothing to write, now has.
    fn write(self, journal: &mut Journal, when: When, done: Vec<(Completion, Outcome)>) -> bool {
        let Self {
            shared,
            records,
            mut changes,
            forget,
            asked,
        } = self;
        let begun = Instant::now();
        let first = journal.last().saturating_add(1);
        // I1: that something is forgotten is on the disk before it is.
        let when = if forget > UnixTime::EPOCH { When::Now } else { when };
        let appended = if records.is_empty() {
            Ok(None)
        } else {
            journal.append(&records, when)
        };
        match appended {
            Ok(closed) => {
                if !records.is_empty() {
                    shared.figures.committed(records.len(), begun.elapsed());
                }
                let mut sealed = unpoisoned(shared.sealed.lock());
                sealed.extend(closed);
                *unpoisoned(shared.reach.lock()) = journal.reach();
                drop(sealed);
                shared.open_segment_bytes.store(journal.open_bytes(), Ordering::Relaxed);
                // I9: visible before acknowledged.
                let was_empty = shared.publish(changes, journal.last());
                shared.forget_until(forget);
                for asked in asked {
                    shared.figures.in_effect(asked);
                }
                // Listeners hear of what is as durable as a receipt says, and visible; of nothing else, in the order of the journal.
                let listening = shared.feed.publish(first, records);
                // Also of what stood before: it may be what is not synced yet.
                let durable = shared.synced.is_complete();
                let told = |outcome: Outcome| outcome.map(|receipts| told(receipts, durable));
                complete(
                    done.into_iter()
                        .map(|(completion, outcome)| (completion, told(outcome))),
                );
                listening.wake();
                was_empty
            }
            Err(error) => {
                // Whether it survives a restart is unknown; until then this process denies what was asked to be denied,
                // and the keeper, which is told first, hands none of it to the engine.
                shared.figures.failed();
                shared.refuse(&error);
                changes.retain(|_, change| change.is_some());
                shared.publish(changes, journal.last());
                complete(
                    done.into_iter()
                        .map(|(completion, outcome)| (completion, outcome.and(Err(error.clone())))),
                );
                false
            }
        }
    }
}

/// A receipt of what is not written yet.
fn receipt(id: Digest, revocation: Revocation, changed: bool) -> Receipt {
    Receipt {
        id,
        revocation,
        changed,
        durable: false,
    }
}

fn told(mut receipts: Vec<Receipt>, durable: bool) -> Vec<Receipt> {
    for receipt in &mut receipts {
        receipt.durable = durable;
    }
    receipts
}

/// What is in force once `asked` is, and whether that is more than what stood.
pub(crate) fn merged(asked: &Revocation, standing: Option<Revocation>) -> (Revocation, bool) {
    let Some(standing) = standing else {
        return (asked.clone(), true);
    };
    let merged = standing.clone().merge(asked.clone());
    // A token that was rotated and is then revoked for another reason has no grace any more.
    let firmer = standing.reason() == Reason::Rotated && merged.reason() != Reason::Rotated;
    if firmer || merged.cutoff() != standing.cutoff() || merged.retained_until() != standing.retained_until() {
        (merged, true)
    } else {
        (standing, false)
    }
}
