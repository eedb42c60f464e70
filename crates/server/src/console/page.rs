//! What all pages have around them.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use ostracon_store::StoreError;

use super::{assets, session::Operator, words::sentence};
use crate::problem::Problem;

/// The pages, as they are found from each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    Overview,
    Sessions,
    Revocations,
    Explain,
    Audit,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Overview,
        Self::Sessions,
        Self::Revocations,
        Self::Explain,
        Self::Audit,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Sessions => "Sessions",
            Self::Revocations => "Revocations",
            Self::Explain => "Explain",
            Self::Audit => "Audit",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Overview => "/admin/",
            Self::Sessions => "/admin/sessions",
            Self::Revocations => "/admin/revocations",
            Self::Explain => "/admin/explain",
            Self::Audit => "/admin/audit",
        }
    }
}

/// A page for who is logged in.
pub(super) fn page(operator: &Operator, here: Place, content: &Markup) -> Response {
    let header = html! {
        nav aria-label="Console" {
            @for place in Place::ALL {
                a href=(place.path()) aria-current=[(place == here).then_some("page")] { (place.name()) }
            }
        }
        form.logout method="post" action="/admin/logout" {
            span.who title="The client that is logged in" { (operator.id()) }
            button.plain { "Log out" }
        }
    };
    Html(document(here.name(), &header, content).into_string()).into_response()
}

/// A page for everybody.
pub(super) fn bare(status: StatusCode, title: &str, content: &Markup) -> Response {
    (status, Html(document(title, &html! {}, content).into_string())).into_response()
}

fn document(title: &str, header: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Ostracon" }
                link rel="icon" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                script src=(assets::SCRIPT.path()) defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.top {
                    a.brand href="/admin/" { img src=(assets::ICON.path()) alt="" width="24" height="24"; "Ostracon" }
                    (header)
                }
                main id="content" tabindex="-1" { (content) }
            }
        }
    }
}

/// A line above the content that says how something went.
pub(super) fn notice(kind: &str, text: &str) -> Markup {
    html! { p.notice.(kind) role="status" { (text) } }
}

/// A failure, as a page tells it.
pub(super) struct Failure(Problem);

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let content = html! {
            h1 { "That did not work" }
            p.notice.bad role="alert" { (sentence(&problem.to_string())) }
            p { a href="/admin/" { "Back to the overview" } }
        };
        as_told(&problem, bare(problem.status(), "Failed", &content))
    }
}

/// `response` in place of the answer to `problem`: counted and recorded as that would be. Without the challenge, on which a browser
/// would ask for a password by itself.
pub(super) fn as_told(problem: &Problem, mut response: Response) -> Response {
    let mut told = problem.clone().into_response();
    *response.extensions_mut() = std::mem::take(told.extensions_mut());
    if let Some(seconds) = told.headers_mut().remove(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Who is logged in, as [`required`](super::session::required) has found.
impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let found = parts.extensions.get().cloned();
        found.ok_or_else(|| Problem::internal("a page of the console without a login").into())
    }
}
