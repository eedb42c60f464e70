//! Waiting for a write to be durable: by blocking or by awaiting, with no runtime of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use ostracon_core::Revocation;

use crate::{
    digest::Digest,
    error::StoreError,
    shared::unpoisoned,
    sync::{Condvar, Mutex},
};

/// What stands once a revocation counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// The identity of the entry: the same for every revocation of its target.
    pub id: Digest,
    /// What is in force: the stricter of what was asked for and what stood before.
    pub revocation: Revocation,
    /// Whether that is more than what stood before.
    pub changed: bool,
    /// Whether it is on the disk, and so are all before it. Always so under [`Durability::Sync`](crate::Durability).
    pub durable: bool,
}

pub(crate) type Outcome = Result<Vec<Receipt>, StoreError>;

/// A write on its way. Dropping it does not stop the write.
#[must_use = "nothing is durable until this has been waited for"]
#[derive(Debug)]
pub struct Commit(Arc<Slot>);

/// The other end of a [`Commit`]; dropped without an outcome it tells that the store is closed.
#[derive(Debug)]
pub(crate) struct Completion(Option<Arc<Slot>>);

#[derive(Debug)]
struct Slot {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

/// What those who are in line together wait at. Rung once for all of them: to wake one after the other would take the
/// committer longer than to write what they wrote, and the processors would fall idle in between.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    held: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    fn ring(&self) {
        // Under its lock, or who has just found no outcome would miss it.
        drop(unpoisoned(self.held.lock()));
        self.rung.notify_all();
    }
}

pub(crate) fn pair(bell: &Arc<Bell>) -> (Commit, Completion) {
    let slot = Arc::new(Slot {
        state: Mutex::default(),
        bell: Arc::clone(bell),
    });
    (Commit(Arc::clone(&slot)), Completion(Some(slot)))
}

/// Gives each its outcome, and then wakes all who wait.
pub(crate) fn complete(all: impl IntoIterator<Item = (Completion, Outcome)>) {
    let mut unrung: Option<Arc<Bell>> = None;
    for (mut completion, outcome) in all {
        let Some(bell) = completion.set(outcome) else { continue };
        if let Some(other) = unrung.replace(bell)
            && !unrung.as_ref().is_some_and(|bell| Arc::ptr_eq(bell, &other))
        {
            other.ring();
        }
    }
    if let Some(bell) = unrung {
        bell.ring();
    }
}

impl Commit {
    /// Blocks until the write is durable, or, under [`Durability::Interval`](crate::Durability), written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is not; whether it survives a restart is unknown after [`StoreError::Io`], and it will not
    /// after any other.
    pub fn wait(self) -> Result<Vec<Receipt>, StoreError> {
        let mut held = unpoisoned(self.0.bell.held.lock());
        loop {
            if let Some(outcome) = unpoisoned(self.0.state.lock()).outcome.take() {
                return outcome;
            }
            held = unpoisoned(self.0.bell.rung.wait(held));
        }
    }

    /// The receipt of a write of one thing, as the commit is awaited; of several, the first.
    ///
    /// # Errors
    ///
    /// As for [`Commit::wait`].
    pub async fn receipt(self) -> Result<Receipt, StoreError> {
        self.await?.into_iter().next().ok_or(StoreError::Closed)
    }
}

impl Future for Commit {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = unpoisoned(self.0.state.lock());
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Completion {
    /// Takes the first outcome, and wakes who awaits it; answers the bell to ring for who blocks.
    fn set(&mut self, outcome: Outcome) -> Option<Arc<Bell>> {
        let slot = self.0.take()?;
        let mut state = unpoisoned(slot.state.lock());
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(Arc::clone(&slot.bell))
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(bell) = self.set(Err(StoreError::Closed)) {
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }

    #[test]
    fn is_waited_for_by_blocking() {
        let (commit, completion) = pair(&Arc::default());
        let waiter = std::thread::spawn(move || commit.wait());
        complete([(completion, Ok(Vec::new()))]);
        assert!(waiter.join().unwrap().unwrap().is_empty());
    }

    #[test]
    fn is_waited_for_by_awaiting() {
        let (commit, completion) = pair(&Arc::default());
        let count = Arc::new(Count::default());
        let waker = Arc::clone(&count).into();
        let mut context = Context::from_waker(&waker);
        let mut commit = pin!(commit);
        assert!(commit.as_mut().poll(&mut context).is_pending());
        complete([(completion, Ok(Vec::new()))]);
        assert_eq!(count.0.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(commit.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_writer_that_dies_leaves_nobody_waiting() {
        let (commit, completion) = pair(&Arc::default());
        drop(completion);
        assert!(matches!(commit.wait(), Err(StoreError::Closed)));
    }
}
