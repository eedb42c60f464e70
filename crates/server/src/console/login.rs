//! Logging in and out of the console.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, RawQuery, Request, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use ostracon_core::{Reason, Revocation, Target};

use super::{
    origin,
    page::{Failure, as_told, bare, notice},
    session::{self, Operator},
};
use crate::{
    app::App,
    body::{self, Parameters},
    client::{Caller, Role},
    cookies,
    problem::Problem,
    routes::revocations,
    sender::{Actor, Sender},
    trail::Entry,
};

/// The form.
pub(super) async fn form(RawQuery(query): RawQuery) -> Result<Response, Failure> {
    let query = Parameters::parse(query.as_deref().unwrap_or("").as_bytes())?;
    let said = html! {
        @if query.value("out").is_some() { (notice("good", "You are logged out, and the session has ended.")) }
    };
    Ok(bare(
        StatusCode::OK,
        "Log in",
        &fields(session::next(query.value("next")), &said),
    ))
}

fn fields(next: &str, said: &Markup) -> Markup {
    html! {
        div.login {
            h1 { "Log in" }
            (said)
            form method="post" action="/admin/login" {
                input type="hidden" name="next" value=(next);
                label { "Client" input name="id" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus; }
                label { "Secret" input name="secret" type="password" autocomplete="current-password" required; }
                button { "Log in" }
            }
            p.hint { "A client of the configuration that has the role " code { "read" } ". It ends sessions with the role " code { "revoke" } ", and lifts revocations with " code { "admin" } "." }
        }
    }
}

/// Begins a session for the client whose secret is sent.
pub(super) async fn log_in(State(app): State<Arc<App>>, request: Request) -> Result<Response, Failure> {
    let caller = Caller::of(&request);
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let secure = app.tls.admin.is_some() || origin::is_by_tls(request.headers());
    let body::Form(form) = body::Form::from_request(request, &()).await?;
    let next = session::next(form.value("next"));
    let entered = |name| form.value(name).unwrap_or("").trim();
    let caller = caller.named(entered("id"), entered("secret"));
    let client = match caller.authorize(&app.clients, &app.failures, Some(Role::Read)) {
        Ok(client) => client,
        Err(problem) => return Ok(refused(&problem, next)),
    };
    app.kept.trail.ready()?;
    let (set, sid) = session::begin(&app, client, secure).await?;
    let entry = Entry::new("console_login").by(client.id()).from(&sender);
    app.kept
        .trail
        .record(entry.with("sid", sid.as_str()).outcome("logged_in"))
        .await?;
    let mut response = Redirect::to(next).into_response();
    cookies::append(response.headers_mut(), &set)?;
    Ok(response)
}

fn refused(problem: &Problem, next: &str) -> Response {
    let text = match problem.code() {
        "client_unauthorized" => "There is no client with this name and secret.",
        "role_missing" => "This client may not look: it does not have the role read.",
        _ => "Too many logins have failed. Wait a minute.",
    };
    let content = fields(next, &html! { p.notice.bad role="alert" { (text) } });
    as_told(problem, bare(problem.status(), "Log in", &content))
}

/// Ends the session, here and in the browser.
pub(super) async fn out(State(app): State<Arc<App>>, operator: Operator, sender: Sender) -> Result<Response, Failure> {
    let target = Target::Session {
        iss: app.tokens.issuer.clone(),
        sid: operator.sid.clone(),
    };
    let ended = Revocation::new(target, Reason::Logout, &app.policy, app.revoking_at());
    revocations::make_stand(&app, ended, Actor::Client(operator.id(), &sender)).await?;
    let mut response = Redirect::to("/admin/login?out=1").into_response();
    cookies::append(response.headers_mut(), &session::cleared().collect::<Vec<_>>())?;
    Ok(response)
}
