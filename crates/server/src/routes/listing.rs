//! What stands in the denylist: seen one by one or page by page, and lifted.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
};
use ostracon_core::{Kind, Revocation, Subject, Target, UnixTime};
use ostracon_store::{Denylist, Digest, Page, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::revocations::{Answer, answer};
use crate::{
    answer::Json,
    app::App,
    body::{Parameters, number},
    client::{Caller, Client, Role},
    openapi::words::{Name, RevocationId, TargetKind},
    problem::Problem,
    sender::Sender,
    trail::Entry,
};

/// Entries in one answer at most, and where nothing is said.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// Entries that one call looks at: with a filter, an answer may be short of its limit and still have a cursor.
const SEARCHED: usize = 20_000;

/// What stands in the denylist, page by page.
#[utoipa::path(
    get,
    path = "/v1/revocations",
    tag = "operators",
    security(("client" = ["read"])),
    params(
        ("kind" = Option<TargetKind>, Query, description = "Only of this kind."),
        ("sub" = Option<Name>, Query, description = "Only of this subject (RFC 7519 §4.1.2)."),
        ("cursor" = Option<RevocationId>, Query, description = "The cursor of the page before."),
        ("limit" = Option<u64>, Query, description = "Entries of the page at most; 100 where nothing is said.", minimum = 1, maximum = 1000)
    ),
    responses((status = OK, description = "A page; with a filter it may be short of its limit and still have a cursor.", body = Listing))
)]
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let query = Parameters::parse(request.uri().query().unwrap_or("").as_bytes())?;
    query.only(&["kind", "sub", "cursor", "limit"])?;
    let wanted = Wanted::parse(&query)?;
    let Page { entries, next } = wanted.read(&app).await?;
    // Asked after the entries were read: what came in since is not on the list.
    let durable = app.kept.denylist.is_durable();
    Ok(Json(Listing {
        revocations: entries.iter().map(|(id, entry)| answer(*id, entry, durable)).collect(),
        cursor: next.map(|next| next.to_string()),
    })
    .into_response())
}

#[derive(Serialize, ToSchema)]
#[schema(as = RevocationPage)]
pub(super) struct Listing<'a> {
    revocations: Vec<Answer<'a>>,
    /// What the next page is asked for with; null on the last.
    #[schema(value_type = Option<RevocationId>, required)]
    cursor: Option<String>,
}

/// Which entries are meant, by `kind` and `sub` of a query.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) kind: Option<Kind>,
    pub(crate) sub: Option<Subject>,
}

impl Filter {
    pub(super) fn parse(query: &Parameters) -> Result<Self, Problem> {
        let kind = query
            .value("kind")
            .map(|word| Kind::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or(word));
        let unknown = |_| Problem::request_invalid("kind is token, session, subject, client, key or issuer");
        let sub = query.value("sub").map(Subject::new).transpose();
        Ok(Self {
            kind: kind.transpose().map_err(unknown)?,
            sub: sub.map_err(|problem| Problem::request_invalid(format!("sub: {problem}")))?,
        })
    }

    pub(super) fn takes(&self, target: &Target) -> bool {
        let of_subject = |sub: &Subject| matches!(target, Target::Subject { sub: s, .. } if s == sub);
        self.kind.is_none_or(|kind| target.as_ref().kind() == kind) && self.sub.as_ref().is_none_or(of_subject)
    }
}

pub(crate) struct Wanted {
    pub(crate) filter: Filter,
    pub(crate) cursor: Option<Digest>,
    pub(crate) limit: usize,
}

impl Wanted {
    pub(crate) fn parse(query: &Parameters) -> Result<Self, Problem> {
        let cursor = query.value("cursor").map(str::parse).transpose();
        let limit = query.value("limit").map_or(Some(USUAL), number);
        Ok(Self {
            filter: Filter::parse(query)?,
            cursor: cursor.map_err(|_| Problem::request_invalid("cursor is none that was answered"))?,
            limit: limit
                .filter(|limit| (1..=MOST).contains(limit))
                .ok_or_else(|| Problem::request_invalid(format!("limit is 1 to {MOST}")))?,
        })
    }

    pub(crate) async fn read(self, app: &App) -> Result<Page, StoreError> {
        let now = app.now();
        app.look_up(move |denylist| self.page(denylist, now)).await
    }

    /// What is in force and wanted, and where to go on. Blocks.
    fn page(&self, denylist: &Denylist, now: UnixTime) -> Result<Page, StoreError> {
        let (mut found, mut searched) = (
            Page {
                entries: Vec::new(),
                next: self.cursor,
            },
            0_usize,
        );
        loop {
            let page = denylist.page(found.next.as_ref(), MOST)?;
            searched = searched.saturating_add(MOST);
            for (id, entry) in page.entries {
                if self.filter.takes(entry.target()) && now < entry.retained_until() {
                    found.entries.push((id, entry));
                    if found.entries.len() == self.limit {
                        found.next = Some(id);
                        return Ok(found);
                    }
                }
            }
            found.next = page.next;
            if found.next.is_none() || searched >= SEARCHED {
                return Ok(found);
            }
        }
    }
}

/// The entry `id`, if it is in force.
pub(crate) async fn standing(app: &App, id: &str) -> Result<(Digest, Revocation), Problem> {
    let absent = || Problem::absent("no revocation that is in force has this id");
    let id: Digest = id.parse().map_err(|_| absent())?;
    let entry = app.look_up(move |denylist| denylist.entry_by_id(&id)).await?;
    let now = app.now();
    entry
        .filter(|entry| now < entry.retained_until())
        .map(|entry| (id, entry))
        .ok_or_else(absent)
}

/// One revocation that is in force.
#[utoipa::path(
    get,
    path = "/v1/revocations/{id}",
    tag = "operators",
    security(("client" = ["read"])),
    params(("id" = RevocationId, Path, description = "As it was answered.")),
    responses(
        (status = OK, description = "What stands.", body = Answer),
        (status = NOT_FOUND, description = "`not_found`: no revocation that is in force has this id.")
    )
)]
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let (id, entry) = standing(&app, &id).await?;
    Ok(Json(answer(id, &entry, app.kept.denylist.is_durable())).into_response())
}

/// Lifts a revocation, durably: what it denied and has not ended passes again.
#[utoipa::path(
    delete,
    path = "/v1/revocations/{id}",
    tag = "operators",
    security(("client" = ["admin"])),
    params(("id" = RevocationId, Path, description = "As it was answered.")),
    responses(
        (status = OK, description = "What had stood.", body = Answer),
        (status = NOT_FOUND, description = "`not_found`: no revocation that is in force has this id.")
    )
)]
pub(super) async fn lift(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Admin))?;
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let (id, entry) = carry_out(&app, &id, client, &sender).await?;
    Ok(Json(answer(id, &entry, app.kept.denylist.is_durable())).into_response())
}

/// Lifts the revocation `id` at the word of `client`, with a record of it; what had stood. Durable on return.
pub(crate) async fn carry_out(
    app: &App,
    id: &str,
    client: &Client,
    sender: &Sender,
) -> Result<(Digest, Revocation), Problem> {
    let (id, entry) = standing(app, id).await?;
    app.kept.trail.ready()?;
    let record = Entry::new("lift").by(client.id()).from(sender).about(entry.target());
    let record = record
        .with("id", id.to_string())
        .with("stood_because", serde_json::json!(entry.reason()));
    if let Err(error) = submit_lift(app, entry.target().clone()).await {
        app.kept.trail.note(record.outcome("failed"));
        return Err(error.into());
    }
    tracing::warn!(%id, kind = %entry.target().as_ref().kind(), client = client.id(), "a revocation is lifted");
    app.kept.trail.record(record.outcome("lifted")).await?;
    Ok((id, entry))
}

async fn submit_lift(app: &App, target: Target) -> Result<(), StoreError> {
    app.kept.denylist.submit_lift(target)?.await.map(drop)
}
