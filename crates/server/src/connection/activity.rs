//! What a connection is doing.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::Body;
use hyper::body::{Frame, SizeHint};

/// What a connection is doing. All of it is noted by the one task that the connection has.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests whose head has arrived.
    begun: AtomicU64,
    /// Those whose answer was handed over whole.
    finished: AtomicU64,
    /// Whether what was handed over waits for the other side to take it.
    writing: AtomicBool,
    /// Whether the connection ends behind the answer that is under way.
    ending: AtomicBool,
}

impl Activity {
    /// How many requests have arrived so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Relaxed)
    }

    /// Whether a request has arrived whose answer was not handed over whole.
    pub(super) fn is_underway(&self) -> bool {
        self.begun() != self.finished.load(Relaxed)
    }

    /// Whether anybody waits for something that is on its way.
    pub(super) fn is_answering(&self) -> bool {
        self.is_underway() || self.writing.load(Relaxed)
    }

    /// Notes whether the other side takes what is written.
    pub(super) fn waits_to_write(&self, waits: bool) {
        self.writing.store(waits, Relaxed);
    }

    /// Notes that there will be no other request.
    pub(super) fn end(&self) {
        self.ending.store(true, Relaxed);
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Relaxed)
    }
}

/// Counts as a request as long as it lives.
pub(super) struct Answering(Arc<Activity>);

impl Answering {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Relaxed);
        Self(Arc::clone(activity))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Relaxed);
    }
}

/// A body that is dropped once all of it was handed over.
pub(super) struct Counted {
    pub(super) body: Body,
    pub(super) _guard: Answering,
}

impl hyper::body::Body for Counted {
    type Data = <Body as hyper::body::Body>::Data;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
