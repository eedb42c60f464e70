//! Where the keeper is called, and what it can be asked for.

use std::{sync::mpsc, time::Duration};

use ostracon_core::UnixTime;

use crate::{
    error::StoreError,
    shared::unpoisoned,
    sync::{Condvar, Mutex},
};

/// What the keeper is asked for.
#[derive(Debug)]
pub(crate) enum Order {
    /// Drop what is due by then, in one batch of at most so many entries of the index.
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
    pub(crate) fn wait(&self, patience: Option<Duration>) -> Vec<Order> {
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

    /// Takes in nothing more. Orders that nobody will carry out any more are dropped, which tells whoever waits for them.
    pub(crate) fn close(&self) {
        let mut post = unpoisoned(self.state.lock());
        post.closed = true;
        post.orders.clear();
    }
}
