//! Listening to what changes: from memory while one keeps up, from the journal while one does not.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ostracon_core::{Revocation, Target};

use crate::{
    error::StoreError,
    feed::{Feed, Recent},
    journal::{Reader, Record},
};

/// A change of the denylist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The target is denied, by what was asked for: what stands is the stricter of that and what stood before.
    Revoked(Revocation),
    /// The target is denied no longer.
    Lifted(Target),
}

impl Event {
    /// The event that a record is; what only says that something is about to be forgotten is none.
    fn of(record: Record) -> Option<Self> {
        match record {
            Record::Revoke(revocation) => Some(Self::Revoked(revocation)),
            Record::Lift(target) => Some(Self::Lifted(target)),
            Record::Forget(_) => None,
        }
    }
}

/// The changes after a position, each with its number, once and in the order of the journal, whichever way they are got.
///
/// A change is told once it is durable and every check sees it, not before; one that made nothing stricter is none. A
/// listener that is slow costs writers nothing: it finds what it missed in the journal. Numbers have gaps.
///
/// It can outlive its [`Denylist`](crate::Denylist), and then hears of nothing more.
#[derive(Debug)]
pub struct Changes {
    feed: Arc<Feed>,
    listener: u64,
    position: u64,
    reader: Option<Reader>,
}

impl Changes {
    pub(crate) fn new(feed: Arc<Feed>, position: Option<u64>) -> Self {
        let (listener, last) = feed.enter();
        Self {
            feed,
            listener,
            position: position.unwrap_or(last),
            reader: None,
        }
    }

    /// What it has told all up to: a listener that goes on from here, in whatever process, misses nothing and hears
    /// nothing twice.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Skips all there is; answers the position that leaves.
    pub fn skip_all(&mut self) -> u64 {
        self.position = self.feed.last();
        self.position
    }

    /// The next events, of at most `limit` records, as far as they are in memory; none when [`Changes::read_back`] has to be asked.
    /// Does not block. An empty answer may have got further; when it has not, there is nothing new.
    #[must_use]
    pub fn ready(&mut self, limit: usize) -> Option<Vec<(u64, Event)>> {
        let group = match self.feed.after(self.position) {
            Recent::Group(group) => group,
            Recent::Nothing => return Some(Vec::new()),
            Recent::Elsewhere => return None,
        };
        self.reader = None;
        let mut events = Vec::new();
        let known = |(number, _): &(u64, &Record)| *number <= self.position;
        let news = (group.first..).zip(&group.records).skip_while(known).take(limit);
        let mut reached = self.position;
        for (number, record) in news {
            events.extend(Event::of(record.clone()).map(|event| (number, event)));
            reached = number;
        }
        self.position = reached;
        Some(events)
    }

    /// The next events from the journal, `limit` of its records or a little more. Blocks for reading; keep it off async
    /// threads. An empty answer may have got further.
    ///
    /// # Errors
    ///
    /// [`StoreError::Gone`] when they are not there: what denied has expired, or the position is none of this store's.
    /// [`StoreError::Io`], [`StoreError::Damaged`] when they cannot be read. The position stays what it was;
    /// [`Changes::skip_all`] goes on behind the gap.
    pub fn read_back(&mut self, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
        let upto = self.feed.last();
        if self.position > upto {
            return Err(StoreError::Gone(self.position));
        }
        let mut events = Vec::new();
        let reader = self.reader.get_or_insert_with(|| self.feed.reader());
        self.position = reader.read(self.position, upto, limit, |number, record| {
            events.extend(Event::of(record).map(|event| (number, event)));
        })?;
        Ok(events)
    }

    /// Waits until there is something new, by blocking or by awaiting.
    #[must_use = "nothing is waited for before this is"]
    pub fn changed(&self) -> Changed<'_> {
        Changed(self)
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.feed.leave(self.listener);
    }
}

/// Something new; see [`Changes::changed`]. [`StoreError::Closed`] when there will be nothing more.
#[must_use = "nothing is waited for before this is"]
#[derive(Debug)]
pub struct Changed<'a>(&'a Changes);

impl Changed<'_> {
    /// Blocks until there is something new.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`] when the store is, and all was told.
    pub fn wait(self) -> Result<(), StoreError> {
        let Self(changes) = self;
        let more = changes.feed.wait(changes.position);
        more.then_some(()).ok_or(StoreError::Closed)
    }
}

impl Future for Changed<'_> {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self(changes) = *self;
        match changes.feed.poll(changes.listener, changes.position, context.waker()) {
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => Poll::Pending,
            None => Poll::Ready(Err(StoreError::Closed)),
        }
    }
}
