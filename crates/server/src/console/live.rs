//! `/admin/live`: the fragments of the overview, as they change (server-sent events, WHATWG HTML §9.2).

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response, Sse, sse::Event},
};
use futures_core::Stream;
use tokio::{
    sync::{mpsc, watch},
    time::MissedTickBehavior,
};

use super::{overview::Fragments, page::Failure, session};
use crate::{app::App, limits::Place, listen::Cutter, problem::Problem, serving::Serving};
use axum::http::HeaderMap;

/// How often it is looked whether anything has changed.
const EVERY: Duration = Duration::from_secs(2);

/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// After what time a browser that was cut off asks again.
const RETRY: Duration = Duration::from_secs(2);

/// The overview as it changes, for as long as the session lasts. When its tokens end so does the stream: the browser asks
/// anew, and is given the next ones.
pub(super) async fn stream(State(serving): State<Serving>, request: Request) -> Result<Response, Failure> {
    let (apps, ending) = serving.watch();
    let app = serving.app();
    let place = app
        .kept
        .overviews
        .enter(app.limits.overviews())
        .ok_or_else(Problem::streams_exhausted)?;
    let cutter = request.extensions().get::<Cutter>().cloned();
    let (sender, receiver) = mpsc::channel(1);
    let telling = Telling {
        apps,
        headers: request.headers().clone(),
        events: sender,
        _place: place,
    };
    tokio::spawn(telling.run(ending, cutter));
    Ok(Sse::new(Told(receiver)).into_response())
}

struct Told(mpsc::Receiver<Event>);

impl Stream for Told {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|event| event.map(Ok))
    }
}

struct Telling {
    apps: watch::Receiver<Arc<App>>,
    headers: HeaderMap,
    events: mpsc::Sender<Event>,
    _place: Place,
}

impl Telling {
    async fn run(self, mut ending: watch::Receiver<bool>, cutter: Option<Cutter>) {
        let is_slow = tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => false,
            () = self.events.closed() => false,
            is_slow = self.tell() => is_slow,
        };
        if is_slow && let Some(cutter) = cutter {
            cutter.cut();
        }
    }

    /// Tells until the session or the application ends, or the reader takes nothing more: whether it is that.
    async fn tell(&self) -> bool {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = String::new();
        loop {
            ticks.tick().await;
            let app = self.apps.borrow().clone();
            if !app.console.enabled || !session::is_open(&app, &self.headers).await {
                return false;
            }
            let Ok(Fragments { figures, recent }) = Fragments::of(&app).await else {
                return false;
            };
            let recent = recent.into_string();
            let events = [("figures", figures.into_string()), ("recent", recent.clone())];
            for (name, html) in events {
                if name == "recent" && html == before {
                    continue;
                }
                let event = Event::default().event(name).retry(RETRY).data(html);
                match tokio::time::timeout(PATIENCE, self.events.send(event)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return false,
                    Err(_) => return true,
                }
            }
            before = recent;
        }
    }
}
