//! The task behind a stream: takes changes from the denylist and hands them on as fast as they are taken.
//!
//! A stream holds a page of events and no more. Who reads slower than things happen is served from the journal; who does
//! not read at all is cut off, and can go on later from where it was.

use std::{
    convert::Infallible,
    future::ready,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::response::sse;
use futures_core::Stream;
use ostracon_store::{Changes, Denylist, Event, StoreError};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
    time::{Interval, MissedTickBehavior, timeout},
};

use super::Wanted;
use crate::{
    app::App,
    client::{Client, Role},
    limits::Place,
    listen::Cutter,
};

/// Events that are taken from the denylist at once.
const PAGE: usize = 256;

/// Events that may wait for the connection to take them.
const AHEAD: usize = 16;

/// After what time a client that was cut off is asked to come again.
const RETRY: Duration = Duration::from_secs(1);

/// How long a stream that is over may take to be read to its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The body of the answer.
#[derive(Debug)]
pub(super) struct Told {
    events: mpsc::Receiver<sse::Event>,
    /// Goes with the body, so that the task hears of its end.
    _open: oneshot::Sender<()>,
}

impl Stream for Told {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_recv(context).map(|event| event.map(Ok))
    }
}

/// Why a stream is over.
#[derive(Debug)]
enum End {
    /// The client went away.
    Left,
    /// The client takes nothing.
    Slow,
    /// The client may not read any more.
    Withdrawn,
    /// The server, or the denylist, ends.
    Ending,
    /// An event cannot be told.
    Failed,
}

#[derive(Debug)]
pub(super) struct Teller {
    denylist: Arc<Denylist>,
    changes: Changes,
    wanted: Wanted,
    heartbeat: Duration,
    events: mpsc::Sender<sse::Event>,
    closed: oneshot::Receiver<()>,
}

impl Teller {
    /// A task that is to be run, and the body that it fills.
    pub(super) fn new(
        denylist: &Arc<Denylist>,
        position: Option<u64>,
        wanted: Wanted,
        heartbeat: Duration,
    ) -> (Self, Told) {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (open, closed) = oneshot::channel();
        let told = Told {
            events: receiver,
            _open: open,
        };
        let teller = Self {
            denylist: Arc::clone(denylist),
            changes: position.map_or_else(|| denylist.changes(), |position| denylist.changes_since(position)),
            wanted,
            heartbeat,
            events: sender,
            closed,
        };
        (teller, told)
    }

    /// Tells until there is a reason not to; `place` is held until then.
    pub(super) async fn run(
        self,
        mut apps: watch::Receiver<Arc<App>>,
        mut ending: watch::Receiver<bool>,
        client: Client,
        cutter: Option<Cutter>,
        place: Place,
    ) {
        let Self {
            denylist,
            changes,
            wanted,
            heartbeat,
            events,
            mut closed,
        } = self;
        let mut beats = tokio::time::interval(heartbeat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let telling = Telling {
            denylist: &denylist,
            wanted: &wanted,
            patience: heartbeat.saturating_mul(2),
            events,
            beats,
        };
        let end = tokio::select! {
            biased;
            // Also when whoever serves is gone.
            _ = ending.wait_for(|ending| *ending) => End::Ending,
            () = withdrawn(&mut apps, &client) => End::Withdrawn,
            _ = &mut closed => End::Left,
            end = telling.tell(changes) => end,
        };
        // The sender went with `telling`: the body ends once it is read.
        let slow = matches!(end, End::Slow);
        if slow {
            let so_far = place.count_slow();
            tracing::warn!(
                client = client.id(),
                so_far,
                "an event stream is dropped: its reader takes nothing"
            );
        } else {
            tracing::debug!(client = client.id(), ?end, "an event stream is over");
        }
        // Who has left is not waited for: there is nobody to tell that a second time.
        let is_over = matches!(end, End::Left) || !slow && timeout(FAREWELL, &mut closed).await.is_ok();
        if !is_over && let Some(cutter) = cutter {
            cutter.cut();
        }
    }
}

/// Ready once `client` may not read any more.
async fn withdrawn(apps: &mut watch::Receiver<Arc<App>>, client: &Client) {
    while apps.changed().await.is_ok() {
        if !client.is_still_in(&apps.borrow_and_update().clients, Role::Read) {
            return;
        }
    }
}

struct Telling<'a> {
    denylist: &'a Arc<Denylist>,
    wanted: &'a Wanted,
    patience: Duration,
    events: mpsc::Sender<sse::Event>,
    beats: Interval,
}

impl Telling<'_> {
    async fn tell(mut self, changes: Changes) -> End {
        match self.try_tell(changes).await {
            Ok(()) => End::Ending,
            Err(end) => end,
        }
    }

    /// Tells `changes` until there will be no more.
    async fn try_tell(&mut self, mut changes: Changes) -> Result<(), End> {
        // The first beat is due at once.
        self.beats.tick().await;
        self.send(at(changes.position()).retry(RETRY)).await?;
        loop {
            let before = changes.position();
            let (same, page) = page(changes).await?;
            changes = same;
            match page {
                Ok(events) => {
                    for (number, event) in events {
                        if let Some(event) = self.wanted.event(self.denylist, number, &event) {
                            self.send(event.map_err(|_| End::Failed)?).await?;
                        }
                    }
                }
                Err(error) => {
                    if !matches!(error, StoreError::Gone(_)) {
                        tracing::error!(%error, "events cannot be read from the journal");
                    }
                    // What was missed nobody knows, so that it may have been anything.
                    let number = changes.skip_all();
                    self.send(sse::Event::default().id(number.to_string()).event("reset").data("{}"))
                        .await?;
                    continue;
                }
            }
            if changes.position() != before {
                // Where nothing of it was wanted, a beat may be due all the same.
                tokio::select! {
                    biased;
                    _ = self.beats.tick() => self.send(at(changes.position())).await?,
                    () = ready(()) => {}
                }
                continue;
            }
            tokio::select! {
                biased;
                _ = self.beats.tick() => self.send(at(changes.position())).await?,
                news = changes.changed() => if news.is_err() { return Ok(()) },
            }
        }
    }

    async fn send(&mut self, event: sse::Event) -> Result<(), End> {
        let sent = timeout(self.patience, self.events.send(event)).await;
        sent.map_err(|_| End::Slow)?.map_err(|_| End::Left)?;
        self.beats.reset();
        Ok(())
    }
}

/// A block that is no event and says up to where all was told.
fn at(position: u64) -> sse::Event {
    sse::Event::default().comment("").id(position.to_string())
}

/// The next page of `changes`: from memory, or off the async threads from the journal.
async fn page(mut changes: Changes) -> Result<(Changes, Result<Vec<(u64, Event)>, StoreError>), End> {
    if let Some(events) = changes.ready(PAGE) {
        return Ok((changes, Ok(events)));
    }
    let read = spawn_blocking(move || {
        let page = changes.read_back(PAGE);
        (changes, page)
    });
    read.await.map_err(|_| End::Failed)
}
