//! Waiting for a write to be durable: by blocking or by awaiting, with no runtime of its own.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Waker},
};

use ostracon_core::Revocation;

use crate::{digest::Digest, error::StoreError, shared::unpoisoned};

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
pub(crate) struct Completion(Arc<Slot>);

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

pub(crate) fn pair() -> (Commit, Completion) {
    let slot = Arc::new(Slot::default());
    (Commit(Arc::clone(&slot)), Completion(slot))
}

impl Commit {
    /// Blocks until the write is durable, or, under [`Durability::Interval`](crate::Durability), written.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is not; whether it survives a restart is unknown after [`StoreError::Io`], and it will not
    /// after any other.
    pub fn wait(self) -> Result<Vec<Receipt>, StoreError> {
        let mut state = unpoisoned(self.0.state.lock());
        loop {
            if let Some(outcome) = state.outcome.take() {
                return outcome;
            }
            state = unpoisoned(self.0.done.wait(state));
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
    pub(crate) fn complete(self, outcome: Outcome) {
        self.set(outcome);
    }

    fn set(&self, outcome: Outcome) {
        let mut state = unpoisoned(self.0.state.lock());
        state.outcome.get_or_insert(outcome);
        let waker = state.waker.take();
        drop(state);
        self.0.done.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        // After `complete` this changes nothing, unless the outcome was taken, when nobody asks again.
        self.set(Err(StoreError::Closed));
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
        let (commit, completion) = pair();
        let waiter = std::thread::spawn(move || commit.wait());
        completion.complete(Ok(Vec::new()));
        assert!(waiter.join().unwrap().unwrap().is_empty());
    }

    #[test]
    fn is_waited_for_by_awaiting() {
        let (commit, completion) = pair();
        let count = Arc::new(Count::default());
        let waker = Arc::clone(&count).into();
        let mut context = Context::from_waker(&waker);
        let mut commit = pin!(commit);
        assert!(commit.as_mut().poll(&mut context).is_pending());
        completion.complete(Ok(Vec::new()));
        assert_eq!(count.0.load(std::sync::atomic::Ordering::SeqCst), 1);
        assert!(commit.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn a_writer_that_dies_leaves_nobody_waiting() {
        let (commit, completion) = pair();
        drop(completion);
        assert!(matches!(commit.wait(), Err(StoreError::Closed)));
    }
}
