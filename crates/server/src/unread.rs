//! What becomes of a body that a request was answered ahead of.
//!
//! hyper closes a connection behind such a request, without a word: maybe under the client's next request, and with a reset
//! that may overtake the answer on its way. So what is left of a short body is read and forgotten; of any other the answer
//! says that the connection ends (RFC 9112 §9.6), and what still comes is read for a while, so that the answer arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderValue, Request, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::body::MAX_BODY_BYTES;

/// For how long, and how many bytes, what nobody wants is read. Behind it whoever is still sending is cut off.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 << 20;

/// A body that comes back when who has it lets go of it ahead of its end.
pub(crate) struct Lent<B> {
    body: Option<B>,
    /// Whether it was asked for: who waits for 100 (Continue) begins then.
    asked: bool,
    back: Option<oneshot::Sender<(B, bool)>>,
}

/// What may come back.
pub(crate) struct Unread<B> {
    back: oneshot::Receiver<(B, bool)>,
    /// Whether it is sent once it is asked for, and maybe not before (RFC 9110 §10.1.1).
    awaits: bool,
}

/// Lends the body of `request`, if it has one.
pub(crate) fn lend<B: Body>(request: Request<B>) -> (Request<Lent<B>>, Option<Unread<B>>) {
    let (mut back, mut unread) = (None, None);
    if !request.body().is_end_stream() {
        let (giver, taker) = oneshot::channel();
        let awaits = request.headers().contains_key(header::EXPECT);
        (back, unread) = (Some(giver), Some(Unread { back: taker, awaits }));
    }
    let lent = |body| Lent {
        body: Some(body),
        asked: false,
        back,
    };
    (request.map(lent), unread)
}

impl<B> Unread<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Send,
{
    /// Sees to it that `answer` arrives, and that its connection is good for the next request or said not to be.
    pub(crate) fn settle(mut self, answer: &mut Response) {
        // Read to its end, or read on beside the answer.
        let Ok((body, asked)) = self.back.try_recv() else {
            return;
        };
        let is_coming = (asked || !self.awaits) && answer.status() != StatusCode::REQUEST_TIMEOUT;
        let limit = u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX);
        let is_short = body.size_hint().upper().is_some_and(|left| left <= limit);
        if !(is_coming && is_short) {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        if is_coming {
            tokio::spawn(tokio::time::timeout(LINGER, forget(body)));
        }
    }
}

/// Reads `body`, as far as it is.
async fn forget<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            break;
        }
    }
}

impl<B: Body + Unpin> Body for Lent<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        self.asked = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        // Of one that has ended, or broke off, nothing is left to be read.
        if !matches!(frame, Some(Ok(_))) {
            self.back = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B> Drop for Lent<B> {
    fn drop(&mut self) {
        if let (Some(back), Some(body)) = (self.back.take(), self.body.take()) {
            // Nobody takes it back whose answer is on its way.
            drop(back.send((body, self.asked)));
        }
    }
}
