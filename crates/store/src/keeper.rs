//! The thread that writes the engine, with a second one while writers wait: empties the overlay into it, makes
//! checkpoints, sweeps, rebuilds shards of the prefilter and saves it, and deletes journal segments that nobody needs any
//! more. Nobody waits for it but who asks it for something.

use std::{
    io,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use ostracon_core::UnixTime;

use crate::{
    digest::Digest,
    engine::{Checkpoint, MOST_THREADS},
    error::StoreError,
    files,
    journal::{self, Sealed},
    mailbox::{Batch, Order},
    overlay::Change,
    prefilter::{Load, SHARDS, saved::SavedFile},
    seam,
    shared::{Shared, unpoisoned},
};

/// A checkpoint is made after so many changes, or so long after the first that is in none yet.
const CHECKPOINT_CHANGES: usize = 8192;
const CHECKPOINT_AFTER: Duration = Duration::from_secs(1);

/// What waits is written to the engine once no writer came for so long, or after so long at the latest.
const PAUSE: Duration = Duration::from_millis(10);
const WRITE_AFTER: Duration = Duration::from_secs(1);

/// Changes that are written before anything else is looked at, and before those who wait for room are let go on.
const WRITTEN_A_TURN: usize = 4096;

/// At how many places a round goes on by turns while writers wait for it, each by a thread of its own.
const LANES: usize = MOST_THREADS;

/// Entries of rebuilt shards after which the overlay is looked at again: at least so many, and for each change that was
/// just written so many. A store that grows by a half between two builds of a shard needs three.
const REBUILT_A_TURN: usize = 32_768;
const REBUILT_A_CHANGE: usize = 4;

/// Changes found waiting that make it a busy time.
const BUSY: usize = 1024;

/// The prefilter is saved after so many records, or so long after the first that the file does not cover: few enough for
/// an opening to replay, and rare enough for a file of 1.8 bytes an entry.
const SAVE_RECORDS: u64 = 1 << 18;
const SAVE_AFTER: Duration = Duration::from_mins(10);

/// A segment that could not be deleted is tried again so much later.
const DELETE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Shards whose entries are counted before the overlay is looked at again.
const COUNTED_A_TURN: usize = 8;

impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared
                .refuse(&StoreError::Engine("the keeping thread panicked".into()));
        }
        self.shared.mailbox.close();
    }
}

/// One way through all shards of the overlay, a few at a time, after which the engine has all up to a record.
#[derive(Clone, Copy, Debug)]
struct Round {
    last: u64,
    /// How many shards have been written.
    past: usize,
    /// At how many places it goes on by turns, so that a turn writes to several parts of the engine: a divisor of their count.
    lanes: usize,
}

impl Round {
    /// The shards that are still to be written, in the order in which they are.
    fn ahead(self) -> impl Iterator<Item = u8> {
        let Self { past, lanes, .. } = self;
        let a_lane = SHARDS.checked_div(lanes).unwrap_or(SHARDS);
        let at = move |place: usize| (0..lanes).map(move |lane| lane.saturating_mul(a_lane).saturating_add(place));
        let all = (0..a_lane).flat_map(at).skip(past);
        all.map(|shard| u8::try_from(shard).unwrap_or(u8::MAX))
    }
}

pub(crate) struct Keeper<'a> {
    shared: &'a Shared,
    /// The last record whose changes are in the engine.
    applied: u64,
    /// The same by the last checkpoint.
    saved: u64,
    /// Changes that no checkpoint covers, and since when.
    unsaved: usize,
    unsaved_since: Option<Instant>,
    /// How many changes were written last.
    drained: usize,
    round: Option<Round>,
    /// When a sweep last left something for the next.
    sweeping_at: Option<Instant>,
    /// Since when something waits for a round to begin.
    waiting_since: Option<Instant>,
    /// The last record that there was, and since when.
    seen: Option<(u64, Instant)>,
    file: SavedFile,
    /// The last record that the prefilter covered when it was saved, if it was, and since when that is not the last.
    filters_saved_at: Option<u64>,
    filters_behind_since: Option<Instant>,
    /// When a segment could not be deleted.
    undeleted_since: Option<Instant>,
}

impl<'a> Keeper<'a> {
    /// A keeper of an engine that has all up to record `applied`.
    pub(crate) fn new(shared: &'a Shared, applied: u64, file: SavedFile) -> Self {
        Self {
            shared,
            applied,
            saved: applied,
            unsaved: 0,
            unsaved_since: None,
            drained: 0,
            round: None,
            sweeping_at: None,
            waiting_since: None,
            seen: None,
            file,
            filters_saved_at: None,
            filters_behind_since: None,
            undeleted_since: None,
        }
    }

    /// Runs until it is told to close.
    pub(crate) fn run(mut self) {
        let mut more = true;
        loop {
            let patience = if more {
                Some(Duration::ZERO)
            } else if self.shared.overlay.len() > 0 && self.shared.refused().is_none() {
                Some(PAUSE)
            } else {
                let checkpoint = self.unsaved_since.map(|_| CHECKPOINT_AFTER);
                let delete = self.undeleted_since.map(|_| DELETE_AGAIN_AFTER);
                let save = self.filters_behind_since.map(|_| SAVE_AFTER);
                checkpoint.or(delete).or(save)
            };
            let orders = self.shared.mailbox.wait(patience);
            more = self.turn().unwrap_or_else(|error| {
                self.shared.refuse(&error);
                false
            });
            for order in orders {
                // An asker that went away is no failure.
                match order {
                    Order::Sweep(until, limit, reply) => {
                        let batch = self.sweep(until, limit);
                        drop(reply.send(self.told(batch)));
                    }
                    Order::Settle(reply) => {
                        let settled = self.settle();
                        drop(reply.send(self.told(settled)));
                    }
                    Order::Rebuild(reply) => drop(reply.send(self.rebuild())),
                    Order::Close(reply) => {
                        let closed = self.close();
                        return drop(reply.send(self.told(closed)));
                    }
                }
            }
        }
    }

    /// What an order came to. One that failed to write has failed for all, and not only for who gave it.
    fn told<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        outcome.inspect_err(|error| {
            if self.shared.refused().is_none() {
                self.shared.refuse(error);
            }
        })
    }

    /// A bounded piece of work; whether there is more.
    fn turn(&mut self) -> Result<bool, StoreError> {
        if self.shared.refused().is_some() {
            return Ok(false);
        }
        if self.round.is_none() && self.is_time_to_write() {
            self.begin_round();
        }
        let writes = self.round.is_some();
        self.drained = 0;
        if writes {
            self.go_on()?;
        }
        let due = |since: Instant| since.elapsed() >= CHECKPOINT_AFTER;
        // Between rounds, also when nothing came since the last.
        if self.round.is_none() && (self.unsaved >= CHECKPOINT_CHANGES || self.unsaved_since.is_some_and(due)) {
            self.save()?;
        }
        if self
            .undeleted_since
            .is_some_and(|since| since.elapsed() >= DELETE_AGAIN_AFTER)
        {
            self.delete_segments();
        }
        if writes {
            // Also within a round, which may be longer than it takes for one to come due.
            self.reopen()?;
        }
        let renews = self.renew();
        let more = self.rebuild()? || writes || renews;
        self.save_filters_when_due(more);
        // What readers need goes first, and what only gives memory back goes last.
        Ok(more || self.shared.engine.count(COUNTED_A_TURN)? || self.shared.engine.reckon()?)
    }

    /// Whether what waits is to be written to the engine now. While writers are at it the engine would take their
    /// processors, and gets along faster the more rows it is given at once: so not before they pause, too much waits, or
    /// it has waited for too long.
    fn is_time_to_write(&mut self) -> bool {
        if self.shared.overlay.len() == 0 {
            self.waiting_since = None;
            return false;
        }
        let (now, last) = (Instant::now(), self.shared.overlay.last());
        let since = *self.waiting_since.get_or_insert(now);
        if self.seen.is_none_or(|(seen, _)| seen != last) {
            self.seen = Some((last, now));
        }
        let has_paused = self.seen.is_none_or(|(_, at)| at.elapsed() >= PAUSE);
        has_paused || self.shared.is_pressing() || since.elapsed() >= WRITE_AFTER
    }

    fn begin_round(&mut self) {
        // Before the first shard is looked at: what is published from here on may be missed, and is not claimed.
        let last = self.shared.overlay.last();
        // While writers have to wait for it, they leave it their processors.
        let lanes = if self.shared.is_pressing() { LANES } else { 1 };
        self.round = Some(Round { last, past: 0, lanes });
        self.waiting_since = None;
    }

    /// Writes what waits in some more shards to the engine. Behind the last of them the round is over.
    fn go_on(&mut self) -> Result<(), StoreError> {
        let Some(mut round) = self.round else {
            return Ok(());
        };
        let (mut shards, mut count) = (Vec::new(), 0_usize);
        for shard in round.ahead() {
            round.past = round.past.saturating_add(1);
            let of_shard = self.shared.overlay.turn(shard);
            if of_shard.is_empty() {
                continue;
            }
            count = of_shard.len().saturating_add(count);
            shards.push((shard, of_shard));
            if count >= WRITTEN_A_TURN {
                break;
            }
        }
        let changes = shards.iter().flat_map(|(_, of_shard)| of_shard.iter());
        self.write(changes.collect(), round.lanes)?;
        for (shard, of_shard) in shards {
            // Let go of first, so that it is freed here and not by a reader.
            drop(of_shard);
            self.shared.overlay.clear_old(shard);
        }
        let (lock, drained) = &self.shared.drained;
        // Under its lock, or who is about to wait for room would miss it.
        drop(unpoisoned(lock.lock()));
        drained.notify_all();
        self.round = (round.past < SHARDS).then_some(round);
        if self.round.is_none() {
            self.applied = self.applied.max(round.last);
        }
        Ok(())
    }

    fn write(&mut self, mut changes: Vec<(&Digest, &Change)>, threads: usize) -> Result<(), StoreError> {
        // What is visible after a failed append may not be on the disk: the engine never gets it, or its checkpoint would
        // claim more than the journal has.
        if let Some(cause) = self.shared.refused() {
            return Err(StoreError::ReadOnly(cause));
        }
        self.drained = changes.len();
        if changes.is_empty() {
            return Ok(());
        }
        // In the order of the rows, so that those of one leaf follow each other.
        changes.sort_unstable_by_key(|(digest, _)| **digest);
        let news: Vec<_> = changes
            .iter()
            .map(|(digest, change)| (*digest, change.as_ref()))
            .collect();
        self.unsaved = self.unsaved.saturating_add(news.len());
        self.unsaved_since.get_or_insert_with(Instant::now);
        self.shared.engine.apply(&news, threads)?;
        for (digest, _) in changes.into_iter().filter(|(_, change)| change.is_none()) {
            self.note_gone(digest);
        }
        Ok(())
    }

    /// Writes to the engine all that waits by now.
    fn write_all(&mut self) -> Result<(), StoreError> {
        // A round that is under way may have passed some of it by.
        while self.round.is_some() {
            self.go_on()?;
        }
        self.begin_round();
        while self.round.is_some() {
            self.go_on()?;
        }
        // Nothing is left: from here on it is quiet.
        (self.drained, self.sweeping_at) = (0, None);
        Ok(())
    }

    /// Makes a checkpoint, and deletes the journal segments that it makes superfluous.
    fn save(&mut self) -> Result<(), StoreError> {
        if self.unsaved_since.is_none() {
            return Ok(());
        }
        // I4: never claims more than the journal has. Where syncs are put off it would, after a power cut.
        self.shared.synced.sync()?;
        self.shared.synced.has_a_name()?;
        let forgotten_until = self.shared.forgotten_until();
        self.shared.engine.save(Checkpoint {
            applied: self.applied,
            forgotten_until,
        })?;
        (self.saved, self.unsaved, self.unsaved_since) = (self.applied, 0, None);
        self.shared.figures.checkpointed();
        self.delete_segments();
        Ok(())
    }

    /// Deletes the segments that the last checkpoint makes superfluous. One that cannot be deleted harms nobody: it takes
    /// space, and is tried again.
    fn delete_segments(&mut self) {
        let deleted = self.try_to_delete_segments();
        self.undeleted_since = deleted.is_err().then(Instant::now);
        let cause = deleted.err().map(|error| error.to_string().into());
        let mut undeleted = unpoisoned(self.shared.undeleted.lock());
        if let Some(cause) = cause.as_ref().filter(|cause| undeleted.as_ref() != Some(cause)) {
            tracing::warn!(%cause, "could not delete a journal segment that nobody needs; trying again");
        }
        *undeleted = cause;
    }

    fn try_to_delete_segments(&self) -> Result<(), StoreError> {
        let forgotten_until = self.shared.forgotten_until();
        let mut sealed = unpoisoned(self.shared.sealed.lock());
        // From the oldest on and without gaps: what is left must be replayable. A segment goes when everything in it is
        // past its retention and dropped, so that a rebuild from the rest brings nothing back to life (I1).
        let copied = self.shared.backups.load(Ordering::SeqCst) > 0;
        let needless = |s: &Sealed| !copied && s.last <= self.saved && s.retained_until <= forgotten_until;
        let superfluous = sealed.iter().take_while(|segment| needless(segment)).last();
        if let Some((last, journal)) = superfluous.and_then(|segment| Some((segment.last, segment.path.parent()?))) {
            // Before the first of them goes: what is missing behind this was lost.
            journal::first::state(journal, &self.shared.store, last.saturating_add(1))?;
        }
        while let Some(segment) = sealed.first().filter(|s| needless(s)) {
            match seam::remove_file(&segment.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StoreError::io(&segment.path, error));
                }
                _ => {}
            }
            segment.path.parent().map_or(Ok(()), files::sync_dir)?;
            tracing::debug!(segment = %segment.path.display(), "deleted a journal segment");
            sealed.remove(0);
        }
        Ok(())
    }

    /// Opens a part of the engine anew, if one is due; whether one was.
    fn reopen(&self) -> Result<bool, StoreError> {
        let begun = Instant::now();
        // I4: it makes a checkpoint for itself, which claims what is known to be on the disk.
        let reopened = self.shared.engine.reopen_one(Checkpoint {
            applied: self.saved,
            forgotten_until: self.shared.forgotten_until(),
        })?;
        if reopened {
            tracing::debug!(took = ?begun.elapsed(), "opened a part of the engine anew");
        }
        Ok(reopened)
    }

    /// Goes on with a part of the engine that is written anew, if one takes too much; whether there is more to do.
    fn renew(&self) -> bool {
        // A copy takes space before it gives some back.
        if self.shared.space.shortage().is_some() {
            return false;
        }
        // I4: it claims what is known to be on the disk.
        self.shared.engine.renew(Checkpoint {
            applied: self.saved,
            forgotten_until: self.shared.forgotten_until(),
        })
    }

    fn sweep(&mut self, until: UnixTime, limit: usize) -> Result<Batch, StoreError> {
        let (dropped, leftovers) = self.shared.engine.sweep(until, limit)?;
        for digest in &dropped {
            self.note_gone(digest);
        }
        self.unsaved_since.get_or_insert_with(Instant::now);
        let is_all = dropped.len().saturating_add(leftovers) < limit;
        self.sweeping_at = (!is_all).then(Instant::now);
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

    /// Rebuilds some of the shards that want it; whether there are more.
    fn rebuild(&self) -> Result<bool, StoreError> {
        let Some(prefilter) = &self.shared.prefilter else {
            return Ok(false);
        };
        // While a sweep goes on each filter would be built anew for every few entries that went.
        let sweeps = self.sweeping_at.is_some_and(|at| at.elapsed() < CHECKPOINT_AFTER);
        let load = if sweeps || self.drained > BUSY {
            Load::Busy
        } else {
            Load::Quiet
        };
        let (mut rebuilt, enough) = (0_usize, rebuilt_a_turn(self.drained));
        for shard in prefilter.due_shards(load) {
            if rebuilt >= enough {
                prefilter.look_again();
                return Ok(true);
            }
            let read = |shard| self.shared.engine.shard(shard);
            let begun = Instant::now();
            let entries = prefilter.rebuild(shard, &self.shared.overlay, load, read)?;
            self.shared.figures.rebuilt(begun.elapsed());
            rebuilt = rebuilt.saturating_add(entries);
        }
        Ok(false)
    }

    /// Saves the prefilter if it is time to.
    fn save_filters_when_due(&mut self, busy: bool) {
        let last = self.shared.overlay.last();
        if self.shared.prefilter.is_none() || self.filters_saved_at == Some(last) {
            return;
        }
        let behind = self.filters_behind_since.get_or_insert_with(Instant::now).elapsed();
        if is_time_to_save(self.filters_saved_at, last, behind, busy) {
            self.save_filters();
        }
    }

    /// Saves the prefilter. A failure costs the next opening a rebuild, and nothing else.
    fn save_filters(&mut self) {
        let Some(prefilter) = &self.shared.prefilter else {
            return;
        };
        // I2: read first. What is published up to here has its bits in the filters by now.
        let last = self.shared.overlay.last();
        if self.filters_saved_at == Some(last) {
            return;
        }
        match self.file.write(prefilter, last) {
            // Some shard is not built yet.
            Ok(false) => return,
            Ok(true) => {}
            // As if it were saved: it is not tried again at once, on what is likely a full disk.
            Err(error) => tracing::warn!(%error, "could not save the prefilter; a restart builds it anew"),
        }
        (self.filters_saved_at, self.filters_behind_since) = (Some(last), None);
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        self.write_all()?;
        self.save()?;
        while self.rebuild()? {}
        while self.shared.engine.count(COUNTED_A_TURN)? {}
        while self.reopen()? {}
        while self.renew() {}
        while self.shared.engine.reckon()? {}
        self.save_filters();
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        self.write_all()?;
        self.shared.engine.keep_tally(self.applied)?;
        self.unsaved_since.get_or_insert_with(Instant::now);
        self.save()?;
        self.save_filters();
        Ok(())
    }
}

/// After how many entries of rebuilt shards a turn that wrote `drained` changes ends.
pub(crate) fn rebuilt_a_turn(drained: usize) -> usize {
    drained.saturating_mul(REBUILT_A_CHANGE).max(REBUILT_A_TURN)
}

/// Whether to save a prefilter that covers record `last`, and covered `saved` when it was last saved.
fn is_time_to_save(saved: Option<u64>, last: u64, behind: Duration, busy: bool) -> bool {
    match saved {
        // There is no file: the opening has taken it away.
        None => !busy || behind >= SAVE_AFTER,
        Some(saved) => last.saturating_sub(saved) >= SAVE_RECORDS || behind >= SAVE_AFTER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_comes_by_each_shard_once_and_by_several_places_in_turn() {
        let all = |lanes| {
            let round = Round {
                last: 0,
                past: 0,
                lanes,
            };
            round.ahead().map(usize::from).collect::<Vec<_>>()
        };
        assert_eq!(all(1), (0..SHARDS).collect::<Vec<_>>());
        let mut by_turns = all(LANES);
        assert_eq!(by_turns[..4], [0, SHARDS / LANES, 1, SHARDS / LANES + 1]);
        by_turns.sort_unstable();
        assert_eq!(by_turns, all(1));
        let last = Round {
            last: 0,
            past: SHARDS - 1,
            lanes: LANES,
        };
        assert_eq!(last.ahead().collect::<Vec<_>>(), [u8::MAX]);
    }

    #[test]
    fn the_prefilter_is_saved_soon_after_an_opening_and_then_by_records_and_by_time() {
        let minute = Duration::from_mins(1);
        assert!(is_time_to_save(None, 5, Duration::ZERO, false));
        assert!(!is_time_to_save(None, 5, minute, true) && is_time_to_save(None, 5, SAVE_AFTER, true));
        for busy in [true, false] {
            assert!(!is_time_to_save(Some(5), 4 + SAVE_RECORDS, minute, busy));
            assert!(is_time_to_save(Some(5), 5 + SAVE_RECORDS, minute, busy));
            assert!(is_time_to_save(Some(5), 6, SAVE_AFTER, busy));
        }
    }
}
