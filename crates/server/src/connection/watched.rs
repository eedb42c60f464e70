//! The stream of a connection, watched.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::{activity::Activity, ahead::Ahead};
use crate::{heads::Answers, listen::Stream};

/// For how long the other side may do nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From when a request could be sent to the end of its head.
    pub(super) head: Duration,
    /// Taking nothing of what is written.
    pub(super) writing: Duration,
}

/// A stream that answers what can be answered [ahead](Ahead) of hyper, tells when the other side does not take what is written, and
/// fails once it has taken nothing, or sent no whole head, for too long.
pub(super) struct Watched {
    stream: Box<dyn Stream>,
    activity: Arc<Activity>,
    answers: Answers,
    ahead: Ahead,
    /// What was answered ahead, and how much of it was written.
    answered: Vec<u8>,
    written: usize,
    patience: Patience,
    /// When [`Patience::writing`] is over, while it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Since when a head is waited for, behind so many requests.
    since: Option<(u64, Instant)>,
    /// Wakes the connection to see whether [`Patience::head`] is over; not set anew with each request, which may make it early.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: Box<dyn Stream>, activity: Arc<Activity>, ahead: Ahead, patience: Patience) -> Self {
        Self {
            stream,
            activity,
            answers: Answers::default(),
            ahead,
            answered: Vec::new(),
            written: 0,
            patience,
            stalled: None,
            since: None,
            alarm: None,
        }
    }

    fn note<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.activity.waits_to_write(written.is_pending());
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience.writing;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Writes what was answered ahead.
    fn poll_answered(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest @ [_, ..]) = self.answered.get(self.written..) {
            let written = Pin::new(&mut self.stream).poll_write(context, rest);
            match ready!(self.note(context, written))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written = self.written.saturating_add(written),
            }
        }
        self.answered.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Waits for the next head, for as long as it may take. While a request is under way, that waits for nothing: it has a time
    /// limit of its own.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_underway() {
            return Poll::Pending;
        }
        let begun = self.activity.begun();
        let since = match self.since {
            Some((behind, since)) if behind == begun => since,
            _ => Instant::now(),
        };
        self.since = Some((begun, since));
        let Some(end) = since.checked_add(self.patience.head) else {
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(alarm.as_mut().poll(context));
            if alarm.deadline() >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            alarm.as_mut().reset(end);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            ready!(this.poll_answered(context))?;
            let before = buf.filled().len();
            if Pin::new(&mut this.stream).poll_read(context, buf)?.is_pending() {
                return this.poll_patience(context);
            }
            let arrived = buf.filled().get(before..).unwrap_or_default();
            if !this.ahead.answers(arrived, &this.activity, &mut this.answered) {
                return Poll::Ready(Ok(()));
            }
            buf.set_filled(before);
            this.since = None;
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, answers, .. } = &mut *self;
        let written = answers.poll_write(stream, context, bytes);
        self.note(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // An answer without a body is in one piece.
        if let [only] = bytes {
            return self.poll_write(context, only);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // While an answer of ours waits for the other side to take it, no head is waited for.
        ready!(self.poll_answered(context))?;
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            let Self { ahead, activity, .. } = &mut *self;
            ahead.written(activity);
            // hyper may have looked for the next head already, and then waits without looking again.
            if let Poll::Ready(Err(error)) = self.poll_patience(context) {
                return Poll::Ready(Err(error));
            }
        }
        self.note(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answered(context))?;
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.note(context, shut)
    }
}
