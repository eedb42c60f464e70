//! Where the committer tells what has changed: a bounded ring of the latest groups, and who listens.
//!
//! The committer never waits here: it moves a group into the ring and lets go of the oldest. Whoever is too slow for the
//! ring reads the journal. While nobody listens nothing is kept.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex},
    task::Waker,
};

use crate::{
    identity::StoreId,
    journal::{Reader, Record},
    shared::unpoisoned,
};

/// Records that the ring holds at most.
const RECENT: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Feed {
    state: Mutex<State>,
    moved: Condvar,
    journal: PathBuf,
    store: StoreId,
}

#[derive(Debug, Default)]
struct State {
    /// The last record that is durable and visible.
    last: u64,
    /// The groups after record `from`, up to `last`.
    recent: VecDeque<Arc<Group>>,
    from: u64,
    held: usize,
    /// Who listens, and whom to wake.
    listeners: HashMap<u64, Option<Waker>>,
    next_listener: u64,
    closed: bool,
}

/// Records that became durable together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) first: u64,
    pub(crate) records: Vec<Record>,
}

impl Group {
    fn last(&self) -> u64 {
        let len = u64::try_from(self.records.len()).unwrap_or(u64::MAX);
        self.first.saturating_add(len).saturating_sub(1)
    }
}

/// What the feed has for who has all up to a position.
#[derive(Debug)]
pub(crate) enum Recent {
    /// The group that the next record is in.
    Group(Arc<Group>),
    /// Nothing new.
    Nothing,
    /// The next record is not in memory.
    Elsewhere,
}

/// Listeners that are to be told.
#[must_use = "nobody is told before this is woken"]
pub(crate) struct Listening(Vec<Waker>);

impl Listening {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl Feed {
    /// The feed of a store whose journal, in `journal`, ends with record `last`.
    pub(crate) fn new(journal: PathBuf, store: StoreId, last: u64) -> Self {
        let state = State {
            last,
            from: last,
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
            moved: Condvar::new(),
            journal,
            store,
        }
    }

    /// A reader of the journal behind it.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(self.journal.clone(), self.store)
    }

    /// Tells that `records`, the first of them number `first`, are durable and visible.
    pub(crate) fn publish(&self, first: u64, records: Vec<Record>) -> Listening {
        let group = Group { first, records };
        if group.records.is_empty() {
            return Listening(Vec::new());
        }
        let mut state = unpoisoned(self.state.lock());
        state.last = group.last();
        if state.listeners.is_empty() {
            state.from = state.last;
            // Freed outside the lock, like all that is let go of.
            drop(state);
            return Listening(Vec::new());
        }
        state.held = state.held.saturating_add(group.records.len());
        state.recent.push_back(Arc::new(group));
        let mut gone = Vec::new();
        while state.held > RECENT
            && let Some(oldest) = state.recent.pop_front()
        {
            state.held = state.held.saturating_sub(oldest.records.len());
            state.from = oldest.last();
            gone.push(oldest);
        }
        let wakers = state.listeners.values_mut().filter_map(Option::take).collect();
        drop(state);
        self.moved.notify_all();
        drop(gone);
        Listening(wakers)
    }

    /// Lets in a listener: its number, and the last record so far. From here on the ring is kept for it.
    pub(crate) fn enter(&self) -> (u64, u64) {
        let mut state = unpoisoned(self.state.lock());
        let number = state.next_listener;
        state.next_listener = number.wrapping_add(1);
        state.listeners.insert(number, None);
        (number, state.last)
    }

    pub(crate) fn leave(&self, listener: u64) {
        let mut state = unpoisoned(self.state.lock());
        state.listeners.remove(&listener);
        if state.listeners.is_empty() {
            let recent = std::mem::take(&mut state.recent);
            (state.held, state.from) = (0, state.last);
            drop(state);
            drop(recent);
        }
    }

    /// The last record that is durable and visible.
    pub(crate) fn last(&self) -> u64 {
        unpoisoned(self.state.lock()).last
    }

    /// What comes after record `position`.
    pub(crate) fn after(&self, position: u64) -> Recent {
        let state = unpoisoned(self.state.lock());
        if position == state.last {
            return Recent::Nothing;
        }
        let at = state.recent.partition_point(|group| group.last() <= position);
        match state.recent.get(at).filter(|_| position >= state.from) {
            Some(group) => Recent::Group(Arc::clone(group)),
            None => Recent::Elsewhere,
        }
    }

    /// Whether there is something for who has all up to `position`; none if there never will be. Otherwise `waker` is
    /// woken once there is.
    pub(crate) fn poll(&self, listener: u64, position: u64, waker: &Waker) -> Option<bool> {
        let mut state = unpoisoned(self.state.lock());
        if position != state.last {
            return Some(true);
        }
        if state.closed {
            return None;
        }
        state.listeners.insert(listener, Some(waker.clone()));
        Some(false)
    }

    /// Blocks until there is something for who has all up to `position`; false if there never will be.
    pub(crate) fn wait(&self, position: u64) -> bool {
        let mut state = unpoisoned(self.state.lock());
        while position == state.last && !state.closed {
            state = unpoisoned(self.moved.wait(state));
        }
        position != state.last
    }

    /// Nothing more will be told.
    pub(crate) fn close(&self) {
        let mut state = unpoisoned(self.state.lock());
        state.closed = true;
        let wakers = state.listeners.values_mut().filter_map(Option::take).collect();
        drop(state);
        self.moved.notify_all();
        Listening(wakers).wake();
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::UnixTime;

    use super::*;

    fn records(n: usize) -> Vec<Record> {
        vec![Record::Forget(UnixTime::EPOCH); n]
    }

    fn first_after(feed: &Feed, position: u64) -> Option<u64> {
        match feed.after(position) {
            Recent::Group(group) => Some(group.first),
            Recent::Nothing | Recent::Elsewhere => None,
        }
    }

    #[test]
    fn the_ring_is_bounded_and_kept_only_while_somebody_listens() {
        let feed = Feed::new("nowhere".into(), [0; 16], 10);
        feed.publish(11, records(5)).wake();
        assert!(matches!(feed.after(10), Recent::Elsewhere), "nobody listened");
        let (listener, last) = feed.enter();
        assert_eq!(last, 15);
        assert!(matches!(feed.after(15), Recent::Nothing));
        feed.publish(16, records(2)).wake();
        feed.publish(18, records(3)).wake();
        assert_eq!(
            [15, 16, 17, 19].map(|at| first_after(&feed, at)),
            [Some(16), Some(16), Some(18), Some(18)]
        );
        assert!(matches!(feed.after(14), Recent::Elsewhere), "before the ring");
        assert!(matches!(feed.after(21), Recent::Elsewhere), "ahead of everything");
        feed.publish(21, records(RECENT)).wake();
        assert_eq!(first_after(&feed, 19), None, "pushed out");
        assert_eq!(first_after(&feed, 20), Some(21));
        assert_eq!(unpoisoned(feed.state.lock()).held, RECENT);
        let (second, _) = feed.enter();
        feed.leave(listener);
        assert_eq!(first_after(&feed, 20), Some(21), "somebody still listens");
        feed.leave(second);
        assert_eq!(first_after(&feed, 20), None);
        assert!(unpoisoned(feed.state.lock()).recent.is_empty());
    }
}
