//! A token, pasted, and what becomes of it. It is in no address, no log and no answer.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    response::Response,
};
use maud::{Markup, html};
use ostracon_core::UnixTime;

use super::{
    page::{self, Failure, Place},
    session::Operator,
    words::{distance, revocation_path, spaced, target, time},
};
use crate::{
    app::App,
    body,
    client::Role,
    routes::explain::{About, Explained},
};

pub(super) async fn form(operator: Operator) -> Response {
    page::page(&operator, Place::Explain, &html! { (fields("")) })
}

fn fields(aud: &str) -> Markup {
    html! {
        h1 { "Explain a token" }
        form.stacked method="post" action="/admin/explain" autocomplete="off" {
            label { "Token" textarea name="token" rows="5" required spellcheck="false" autocapitalize="none" autocomplete="off" {} }
            label { "Audience, if it is not the usual one" input name="aud" value=(aud) autocapitalize="none" spellcheck="false"; }
            button { "Explain" }
        }
        p.hint { "It is checked as " code { "/auth/verify" } " would, and neither kept nor logged." }
    }
}

pub(super) async fn explain(
    State(app): State<Arc<App>>,
    operator: Operator,
    request: Request,
) -> Result<Response, Failure> {
    operator.with(Role::Read)?;
    let body::Form(form) = body::Form::from_request(request, &()).await?;
    let token: String = form.value("token").unwrap_or("").split_whitespace().collect();
    let aud = form.value("aud").filter(|aud| !aud.is_empty());
    let token = token.strip_prefix("Bearer").unwrap_or(&token);
    let explained = Explained::of(&app, token, aud).await?;
    let told = explained.told(&app);
    let verdict = match told.code {
        None => html! { p.verdict.good role="status" { strong { "It is let in." } } },
        Some(code) => html! { p.verdict.bad role="status" { strong { "It is refused: " } code { (code) } } },
    };
    let content = html! {
        (fields(aud.unwrap_or("")))
        section aria-labelledby="verdict" {
            h2 id="verdict" { "What becomes of it" }
            (verdict)
            @if let Some(entry) = &explained.facts.revocation {
                @let id = app.denylist().id(entry.target().as_ref());
                p { "Listed: " (target(entry.target(), &app.tokens.issuer, Some(&revocation_path(id)))) ", " (spaced(entry.reason().as_str())) ", since " (time(entry.effective_at())) "." }
            }
            ol.steps {
                @for step in &told.steps {
                    li.(if step.passed { "passed" } else { "failed" }) {
                        span.mark aria-hidden="true" { (if step.passed { "✓" } else { "✗" }) }
                        span.step { (spaced(step.step)) span.outcome { (if step.passed { " passed" } else { " failed" }) } }
                        @if let Some(detail) = &step.detail { span.detail { (detail) } }
                    }
                }
            }
            @match told.token {
                Some(token) => (about(token, app.now())),
                None => p.hint { "Its signature is not proven to be good, so nothing that it says is shown." },
            }
        }
    };
    Ok(page::page(&operator, Place::Explain, &content))
}

fn about(token: &About, now: UnixTime) -> Markup {
    let at = |secs: u64| {
        let at = UnixTime::from_secs(secs);
        html! { (time(at)) ", " (distance(at, now)) }
    };
    let names = [
        ("Subject", token.sub.as_deref()),
        ("Session", token.sid.as_deref()),
        ("Client", token.client_id.as_deref()),
        ("Token", token.jti.as_deref()),
        ("Issuer", Some(&*token.iss)),
        ("Key", Some(&*token.kid)),
        ("Type", Some(token.typ)),
    ];
    html! {
        h3 { "What it says of itself" }
        dl.facts {
            @for (name, value) in names {
                @if let Some(value) = value {
                    dt { (name) }
                    dd {
                        @if name == "Subject" { a href={ "/admin/sessions?" (query("sub", value)) } { code { (value) } } }
                        @else { code { (value) } }
                    }
                }
            }
            @if let Some(iat) = token.iat { dt { "Issued" } dd { (at(iat)) } }
            dt { "Ends" } dd { (at(token.exp)) }
        }
    }
}

/// A parameter of a query.
pub(super) fn query(name: &str, value: &str) -> String {
    serde_urlencoded::to_string([(name, value)]).unwrap_or_default()
}
