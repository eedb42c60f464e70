//! What stands in the denylist: page by page, one by one, and lifted.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use ostracon_core::{Kind, Revocation, Target, UnixTime};
use ostracon_store::{Digest, Page};

use super::{
    explain::query,
    page::{self, Failure, Place, notice},
    session::Operator,
    words::{distance, revocation_path, spaced, target, time},
};
use crate::{
    app::App,
    body::Parameters,
    client::Role,
    routes::listing::{self, Wanted},
    sender::Sender,
};

pub(super) async fn list(
    State(app): State<Arc<App>>,
    RawQuery(asked): RawQuery,
    operator: Operator,
) -> Result<Response, Failure> {
    // What a form sends of a field that nobody filled in.
    let asked = Parameters::parse(asked.as_deref().unwrap_or("").as_bytes())?.filled();
    let Page { entries, next } = Wanted::parse(&asked)?.read(&app).await?;
    let (kind, sub) = (asked.value("kind"), asked.value("sub"));
    let next = next.map(|next| {
        let filters = [("kind", kind), ("sub", sub)].into_iter();
        let mut parameters: Vec<_> = filters
            .filter_map(|(name, value)| Some((name, value?.to_owned())))
            .collect();
        parameters.push(("cursor", next.to_string()));
        serde_urlencoded::to_string(parameters).unwrap_or_default()
    });
    let said = html! {
        @if asked.value("done") == Some("lifted") {
            (notice("good", "It is lifted: what it denied and has not ended is let in again."))
        }
    };
    let now = app.now();
    let content = html! {
        h1 { "Revocations" }
        (said)
        form.search method="get" action="/admin/revocations" role="search" {
            label { "Kind" select name="kind" {
                option value="" { "any" }
                @for each in Kind::ALL { option value=(each.as_str()) selected[kind == Some(each.as_str())] { (each.as_str()) } }
            } }
            label { "Subject" input name="sub" value=(sub.unwrap_or("")) autocapitalize="none" spellcheck="false"; }
            button { "Filter" }
        }
        @if entries.is_empty() {
            p { @if next.is_some() { "None on this page." } @else if kind.or(sub).is_some() { "None like that." } @else { "Nothing is listed." } }
        } @else {
            table.list {
                thead { tr { th { "What" } th { "Why" } th { "Since" } th { "Kept" } } }
                tbody { @for (id, entry) in &entries { (row(&app, *id, entry, now)) } }
            }
        }
        @if next.is_some() { p.hint { "In no order of time: what was revoked lately stands on the overview." } }
        @if let Some(next) = next { p { a.next rel="next" href={ "/admin/revocations?" (next) } { "Next page" } } }
    };
    Ok(page::page(&operator, Place::Revocations, &content))
}

fn row(app: &App, id: Digest, entry: &Revocation, now: UnixTime) -> Markup {
    html! {
        tr {
            td data-label="What" { (target(entry.target(), &app.tokens.issuer, Some(&revocation_path(id)))) }
            td data-label="Why" { (spaced(entry.reason().as_str())) @if let Some(note) = entry.note() { span.note { (note.as_str()) } } }
            td data-label="Since" { (time(entry.effective_at())) }
            td data-label="Kept" { (distance(entry.retained_until(), now)) }
        }
    }
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    operator: Operator,
) -> Result<Response, Failure> {
    let (id, entry) = listing::standing(&app, &id).await?;
    let now = app.now();
    let content = html! {
        p.back { a href="/admin/revocations" { "Revocations" } }
        h1 { (target(entry.target(), &app.tokens.issuer, None)) }
        dl.facts {
            dt { "Denies" } dd { (denied(&entry)) }
            dt { "Reason" } dd { (spaced(entry.reason().as_str())) }
            @if let Some(note) = entry.note() { dt { "Note" } dd { (note.as_str()) } }
            dt { "Since" } dd { (time(entry.effective_at())) ", " (distance(entry.effective_at(), now)) }
            dt { "Kept until" } dd { (time(entry.retained_until())) ", " (distance(entry.retained_until(), now)) }
            dt { "Issuer" } dd { code { (entry.target().as_ref().iss()) } }
            @if let Target::Subject { sub, .. } = entry.target() {
                dt { "Sessions" } dd { a href={ "/admin/sessions?" (query("sub", sub.as_str())) } { "of this subject" } }
            }
            dt { "Identity" } dd { code { (id) } }
        }
        @if operator.has(Role::Admin) {
            details.act {
                summary { "Lift it…" }
                form.stacked method="post" action={ (revocation_path(id)) "/lift" } {
                    p { "What it denies and has not ended by itself is " strong { "let in again" } " from the moment this is done. That is recorded under the name of this client." }
                    label.check { input type="checkbox" name="sure" value="yes" required; "Let it in again" }
                    button.danger { "Lift the revocation" }
                }
            }
        } @else {
            p.hint { "This client lifts nothing: it does not have the role " code { "admin" } "." }
        }
    };
    Ok(page::page(&operator, Place::Revocations, &content))
}

/// What `entry` denies, in words.
fn denied(entry: &Revocation) -> Markup {
    let upto = entry.cutoff().map(time);
    html! {
        @match (entry.target(), upto) {
            (Target::Token { .. }, _) => "this token",
            (Target::Session { .. }, _) => "every token of this session",
            (Target::Subject { .. }, Some(upto)) => { "every token of this subject that was issued up to " (upto) },
            (Target::Client { .. }, Some(upto)) => { "every token of this client that was issued up to " (upto) },
            (Target::Key { .. }, Some(upto)) => { "every token under this key that was issued up to " (upto) },
            (Target::Key { .. }, None) => "every token under this key",
            (Target::Issuer { .. }, Some(upto)) => { "every token of this issuer that was issued up to " (upto) },
            (_, None) => "every token of it",
        }
    }
}

/// Lifts it, once that was said twice.
pub(super) async fn lift(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    operator: Operator,
    sender: Sender,
    form: Parameters,
) -> Result<Response, Failure> {
    let client = operator.with(Role::Admin)?;
    if form.value("sure") != Some("yes") {
        return Ok(Redirect::to(&format!("/admin/revocations/{id}")).into_response());
    }
    listing::carry_out(&app, &id, client, &sender).await?;
    Ok(Redirect::to("/admin/revocations?done=lifted").into_response())
}
