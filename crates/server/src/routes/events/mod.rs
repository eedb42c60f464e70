//! `GET /v1/events`: what is revoked and lifted, told as it takes effect (server-sent events, WHATWG HTML §9.2).
//!
//! A stream begins with a block that has an id and no data: the position that it starts from, which is no event, but is
//! where a client that is cut off before the first one goes on. Heartbeats are the same, so a client that filters keeps
//! up, too, and is not told one day that its position is gone.

mod teller;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response, Sse, sse},
};
use ostracon_core::{Reason, Target};
use ostracon_store::{Denylist, Event};
use serde::Serialize;

use self::teller::Teller;
use super::{listing::Filter, revocations::answer};
use crate::{
    body::{Parameters, number},
    client::{Caller, Role},
    listen::Cutter,
    openapi::words::{Name, Place, TargetKind},
    problem::Problem,
    serving::Serving,
};

/// Each revocation and lift as it takes effect, as server-sent events.
///
/// An event is named `revocation` or `lift`, its data is as `POST /v1/revocations` and `DELETE /v1/revocations/{id}` answer, and
/// its id is the place in the journal: who resumes with it misses nothing and hears nothing twice. `reset` says that a position is
/// gone, so that anything may have been missed. Blocks without an event say up to where all was told.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "backends",
    security(("client" = ["read"])),
    params(
        ("Last-Event-ID" = Option<Place>, Header, description = "The id of the last event that was read; from now on where nothing is said."),
        ("last_event_id" = Option<Place>, Query, description = "The same, for who cannot set headers; the header goes before."),
        ("kind" = Option<TargetKind>, Query, description = "Only of this kind."),
        ("sub" = Option<Name>, Query, description = "Only of this subject."),
        ("rotated" = Option<bool>, Query, description = "Also refresh tokens that were exchanged, which end nothing; not where nothing is said.")
    ),
    responses(
        (status = OK, description = "A stream that does not end by itself.", body = String, content_type = "text/event-stream"),
        (status = SERVICE_UNAVAILABLE, description = "`streams_exhausted`, `store_unavailable`")
    )
)]
pub(super) async fn events(State(serving): State<Serving>, request: Request) -> Result<Response, Problem> {
    // From here on no change of the configuration is missed: a client that loses its role loses its stream.
    let (mut apps, ending) = serving.watch();
    let app = apps.borrow_and_update().clone();
    let caller = Caller::of(&request);
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let query = Parameters::parse(request.uri().query().unwrap_or("").as_bytes())?;
    query.only(&["last_event_id", "kind", "sub", "rotated"])?;
    let wanted = Wanted::parse(&query)?;
    let position = position(caller.headers(), &query)?;
    let place = app
        .kept
        .streams
        .enter(app.limits.streams())
        .ok_or_else(Problem::streams_exhausted)?;

    let (teller, told) = Teller::new(app.denylist(), position, wanted, app.limits.event_heartbeat);
    let cutter = request.extensions().get::<Cutter>().cloned();
    tokio::spawn(teller.run(apps, ending, client.clone(), cutter, place));
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx would else collect events until there are some kilobytes of them.
        (
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    Ok((headers, Sse::new(told)).into_response())
}

/// The change after which to begin; none for from now on. A browser that reconnects sends the header, and the query that
/// its page began with once more: the header is the later of the two.
pub(crate) fn position(headers: &HeaderMap, query: &Parameters) -> Result<Option<u64>, Problem> {
    let invalid = || {
        Problem::request_invalid("the last event id is none that was told; without one, events are told from now on")
    };
    let header = headers.get("last-event-id").map(HeaderValue::to_str).transpose();
    let text = header.map_err(|_| invalid())?.or(query.value("last_event_id"));
    text.filter(|text| !text.is_empty())
        .map(|text| number(text).ok_or_else(invalid))
        .transpose()
}

/// What a listener asked for.
#[derive(Debug)]
struct Wanted {
    filter: Filter,
    rotated: bool,
}

#[derive(Serialize)]
struct Lifted<'a> {
    id: String,
    target: &'a Target,
}

impl Wanted {
    fn parse(query: &Parameters) -> Result<Self, Problem> {
        let rotated = match query.value("rotated") {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(Problem::request_invalid("rotated is true or false")),
        };
        let filter = Filter::parse(query)?;
        Ok(Self { filter, rotated })
    }

    /// `event` as it is told, if it is.
    fn event(&self, denylist: &Denylist, number: u64, event: &Event) -> Option<Result<sse::Event, axum::Error>> {
        let (name, target) = match event {
            // A rotated token ends nothing that an application holds open; its session goes on.
            Event::Revoked(revocation) if revocation.reason() == Reason::Rotated && !self.rotated => return None,
            Event::Revoked(revocation) => ("revocation", revocation.target()),
            Event::Lifted(target) => ("lift", target),
        };
        if !self.filter.takes(target) {
            return None;
        }
        let id = denylist.id(target.as_ref());
        let told = sse::Event::default().id(number.to_string()).event(name);
        Some(match event {
            Event::Revoked(revocation) => told.json_data(answer(id, revocation, denylist.is_durable())),
            Event::Lifted(target) => told.json_data(Lifted {
                id: id.to_string(),
                target,
            }),
        })
    }
}
