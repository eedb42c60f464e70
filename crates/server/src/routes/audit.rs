//! `GET /v1/audit`: who did what, when and why, as lines of JSON.

use std::{ops::ControlFlow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use ostracon_store::audit::Direction;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    app::App,
    body::{Parameters, number},
    client::{Caller, Role},
    openapi::words::Place,
    problem::Problem,
    trail::Line,
};

/// Records in one answer at most, and where nothing is said.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// Records that one call looks at: with a filter, an answer may be short of its limit and still name a next page.
const SEARCHED: usize = 50_000;

/// Who did what, when and why.
///
/// The newest first unless the order is `oldest`, which is for programs that fetch what is new: a cursor is the number of the
/// last record that was read, and the next page, `Link: …; rel="next"`, begins behind it.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "operators",
    security(("client" = ["read"])),
    params(
        ("order" = inline(Option<Order>), Query, description = "`newest` where nothing is said."),
        ("cursor" = Option<Place>, Query, description = "The number of the last record that was read."),
        ("limit" = Option<u64>, Query, description = "Records of the page at most; 100 where nothing is said.", minimum = 1, maximum = 1000),
        ("kind" = Option<String>, Query, description = "Only of this kind, such as `revocation`, `lift` or `refused`."),
        ("client" = Option<String>, Query, description = "Only what this client did."),
        ("sub" = Option<String>, Query, description = "Only what was about this subject.")
    ),
    responses((
        status = OK,
        description = "Newline-delimited JSON, a record each: its number, the hash of the one before and its own, when, who, what.",
        body = String,
        content_type = "application/x-ndjson",
        headers(("Link" = String, description = "Where there is more: the query of the next page, `rel=\"next\"` (RFC 8288)."))
    ))
)]
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let query = Parameters::parse(request.uri().query().unwrap_or("").as_bytes())?;
    query.only(&["order", "cursor", "limit", "kind", "client", "sub"])?;
    let Page { lines, next } = Wanted::parse(&query)?.read(&app).await?;
    let lines = lines
        .iter()
        .fold(String::new(), |text, line| text + &line.to_string() + "\n");
    let mut response = (
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"))],
        lines,
    )
        .into_response();
    if let Some(next) = next {
        let link = format!("<{next}>; rel=\"next\"");
        let link = HeaderValue::try_from(link).map_err(Problem::internal)?;
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Which end is read first.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "the words are looked at as they are")]
enum Order {
    Newest,
    Oldest,
}

pub(crate) struct Page {
    pub(crate) lines: Vec<Line>,
    /// Where the next one is, relative to this.
    pub(crate) next: Option<String>,
}

pub(crate) struct Wanted {
    direction: Direction,
    pub(crate) cursor: Option<u64>,
    pub(crate) limit: usize,
    /// Members, and what they must be.
    filters: Vec<(&'static str, String)>,
}

impl Wanted {
    pub(crate) fn parse(query: &Parameters) -> Result<Self, Problem> {
        let limit = query.value("limit").map_or(Some(USUAL), number);
        let no_cursor = || Problem::request_invalid("cursor is the number of a record");
        let cursor = query.value("cursor").map(|text| number(text).ok_or_else(no_cursor));
        Ok(Self {
            direction: match query.value("order") {
                None | Some("newest") => Direction::Newest,
                Some("oldest") => Direction::Oldest,
                Some(_) => return Err(Problem::request_invalid("order is newest or oldest")),
            },
            cursor: cursor.transpose()?,
            limit: limit
                .filter(|limit| (1..=MOST).contains(limit))
                .ok_or_else(|| Problem::request_invalid(format!("limit is 1 to {MOST}")))?,
            filters: ["kind", "client", "sub"]
                .into_iter()
                .filter_map(|name| Some((name, query.value(name)?.to_owned())))
                .collect(),
        })
    }

    fn is(&self, line: &Line) -> bool {
        if self.filters.is_empty() {
            return true;
        }
        let content = line.content();
        self.filters
            .iter()
            .all(|(name, wanted)| member(&content, name) == Some(wanted))
    }

    pub(crate) async fn read(self, app: &Arc<App>) -> Result<Page, Problem> {
        let reading = Arc::clone(app);
        let page = tokio::task::spawn_blocking(move || self.page(&reading)).await;
        page.map_err(Problem::internal)?
    }

    /// Blocks.
    fn page(&self, app: &App) -> Result<Page, Problem> {
        let (mut lines, mut searched, mut last, mut full) = (Vec::new(), 0_usize, None, false);
        app.kept.trail.read(self.direction, self.cursor, &mut |record| {
            // There is one more, so there is a next page.
            if lines.len() == self.limit || searched == SEARCHED {
                full = true;
                return ControlFlow::Break(());
            }
            let line = Line::from(record);
            searched = searched.saturating_add(1);
            last = Some(line.number());
            if self.is(&line) {
                lines.push(line);
            }
            ControlFlow::Continue(())
        })?;
        let next = last.filter(|_| full).map(|last| self.behind(last)).transpose()?;
        Ok(Page { lines, next })
    }

    /// The query of the page behind record `last`.
    pub(crate) fn behind(&self, last: u64) -> Result<String, Problem> {
        let order = match self.direction {
            Direction::Oldest => "oldest",
            Direction::Newest => "newest",
        };
        let mut parameters = vec![
            ("order", order.to_owned()),
            ("limit", self.limit.to_string()),
            ("cursor", last.to_string()),
        ];
        parameters.extend(self.filters.iter().cloned());
        let encoded = serde_urlencoded::to_string(parameters).map_err(Problem::internal)?;
        Ok(format!("?{encoded}"))
    }
}

/// The member `name` of a record; a subject may be that of its target.
fn member<'a>(content: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let own = content.get(name).and_then(Value::as_str);
    own.or_else(|| content.get("target")?.get(name).filter(|_| name == "sub")?.as_str())
}
