//! Who did what, when and why.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use maud::{Markup, html};
use ostracon_core::UnixTime;
use serde_json::{Map, Value};

use super::{
    page::{self, Failure, Place},
    session::Operator,
    words::{count, spaced, time},
};
use crate::{
    app::App,
    body::Parameters,
    routes::audit::{Page, Wanted},
    trail::Line,
};

pub(super) async fn page(
    State(app): State<Arc<App>>,
    RawQuery(asked): RawQuery,
    operator: Operator,
) -> Result<Response, Failure> {
    let asked = Parameters::parse(asked.as_deref().unwrap_or("").as_bytes())?.filled();
    let Page { lines, next } = Wanted::parse(&asked)?.read(&app).await?;
    let head = app.kept.trail.stats().head;
    let filter = |name: &str, label: &str| {
        html! { label { (label) input name=(name) value=(asked.value(name).unwrap_or("")) autocapitalize="none" spellcheck="false"; } }
    };
    let content = html! {
        h1 { "Audit" }
        form.search method="get" action="/admin/audit" role="search" {
            (filter("kind", "Kind")) (filter("client", "Client")) (filter("sub", "Subject"))
            button { "Filter" }
        }
        @if lines.is_empty() {
            p { @if next.is_some() { "None on this page." } @else { "None like that." } }
        } @else {
            table.list {
                thead { tr { th { "When" } th { "What" } th { "Who" } th { "To what" } th { "Outcome" } } }
                tbody { @for line in &lines { (row(line)) } }
            }
        }
        @if let Some(next) = next { p { a.next rel="next" href={ "/admin/audit" (next) } { "Older" } } }
        p.hint { (count(head.number)) " records in a chain of hashes, which ends with " code { (head.hash) } ". " code { "ostracon audit --verify" } " goes through all of it." }
    };
    Ok(page::page(&operator, Place::Audit, &content))
}

/// Members that have a column of their own.
const SHOWN: [&str; 9] = [
    "at", "kind", "client", "address", "target", "targets", "outcome", "reason", "by",
];

fn row(line: &Line) -> Markup {
    let content = line.content();
    let text = |name: &str| content.get(name).and_then(Value::as_str);
    let at = content.get("at").and_then(Value::as_u64).map(UnixTime::from_secs);
    html! {
        tr {
            td data-label="When" { @if let Some(at) = at { (time(at)) } span.note { "#" (line.number()) } }
            td data-label="What" { (spaced(text("kind").unwrap_or("?"))) }
            td data-label="Who" {
                @if let Some(client) = text("client").or(text("by")) { code { (client) } }
                @if let Some(address) = text("address") { span.note.whole { (address) } }
            }
            td data-label="To what" { (about(&content)) }
            td data-label="Outcome" { (spaced(text("outcome").unwrap_or(""))) @if let Some(reason) = text("reason") { span.note { (spaced(reason)) } } }
        }
    }
}

/// What it was done to, and all else that the record says.
fn about(content: &Map<String, Value>) -> Markup {
    let several = content.get("targets").and_then(Value::as_array);
    let targets = content.get("target").into_iter().chain(several.into_iter().flatten());
    let others: Vec<_> = content
        .iter()
        .filter(|(name, _)| !SHOWN.contains(&name.as_str()))
        .collect();
    html! {
        @for target in targets { div { (named(target)) } }
        @for (name, value) in others {
            span.note {
                (spaced(name)) ": "
                @match (name.as_str(), value) {
                    ("before", Value::Number(at)) => (time(UnixTime::from_secs(at.as_u64().unwrap_or(0)))),
                    (_, Value::String(text)) => (text),
                    (_, other) => (other),
                }
            }
        }
    }
}

/// The target that a record names.
fn named(target: &Value) -> Markup {
    let text = |name: &str| target.get(name).and_then(Value::as_str);
    let name = ["jti", "sid", "sub", "client_id", "kid", "iss"]
        .into_iter()
        .find_map(text);
    html! { span.kind { (text("kind").unwrap_or("")) } " " code.name { (name.unwrap_or("")) } }
}
