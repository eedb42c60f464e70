//! A subject: the sessions that it has, and their end.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, RawQuery, Request, State},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use ostracon_core::{Note, Reason, Revocation, SessionId, Subject, Target, UnixTime};

use super::{
    explain::query,
    page::{self, Failure, Place, notice},
    session::Operator,
    words::{REASONS, distance, spaced, time},
};
use crate::{
    app::App,
    body::{self, Parameters},
    client::Role,
    problem::Problem,
    routes::{
        revocations,
        sessions::{Listed, of_subject},
    },
    sender::{Actor, Sender},
};

/// Sessions that are shown.
const SHOWN: usize = 200;

pub(super) async fn page(
    State(app): State<Arc<App>>,
    RawQuery(asked): RawQuery,
    operator: Operator,
) -> Result<Response, Failure> {
    let asked = Parameters::parse(asked.as_deref().unwrap_or("").as_bytes())?;
    // As it is: with a space less it would be somebody else.
    let name = asked.value("sub").unwrap_or("");
    let said = match asked.value("done") {
        Some("session") => notice("good", "The session is ended. Its tokens are refused from now on."),
        Some("stood") => notice("good", "It had been ended before; that stands."),
        Some("all") => notice("good", "All sessions are ended: what was issued up to now is refused."),
        _ => html! {},
    };
    let found = match Subject::new(name) {
        Err(_) if name.is_empty() => html! {},
        Err(problem) => notice("bad", &format!("That is no subject: {problem}.")),
        Ok(sub) => subject(&app, &operator, &sub).await?,
    };
    let content = html! {
        h1 { "Sessions" }
        (said)
        form.search method="get" action="/admin/sessions" role="search" {
            label { "Subject" input name="sub" value=(name) required autocapitalize="none" spellcheck="false" autofocus[name.is_empty()]; }
            button { "Search" }
        }
        @if name.is_empty() { p.hint { "The user's name as it stands in the tokens' " code { "sub" } "." } }
        (found)
    };
    Ok(page::page(&operator, Place::Sessions, &content))
}

async fn subject(app: &Arc<App>, operator: &Operator, sub: &Subject) -> Result<Markup, Failure> {
    let all = of_subject(app, sub.clone(), SHOWN).await?;
    let target = Target::Subject {
        iss: app.tokens.issuer.clone(),
        sub: sub.clone(),
    };
    let now = app.now();
    let standing = app.look_up(move |denylist| {
        let entry = denylist.entry(target.as_ref())?;
        Ok(entry.map(|entry| (denylist.id(target.as_ref()), entry)))
    });
    let standing = standing.await?.filter(|(_, entry)| now < entry.retained_until());
    let may_end = operator.has(Role::Revoke);
    Ok(html! {
        section aria-labelledby="subject" {
            div.head { h2 id="subject" { code.name { (sub.as_str()) } } }
            @if let Some((id, entry)) = &standing {
                p.notice.warn {
                    "What was issued up to " (time(entry.cutoff().unwrap_or(entry.effective_at()))) " is revoked ("
                    (spaced(entry.reason().as_str())) "). " a href={ "/admin/revocations/" (id) } { "See it, or lift it" } "."
                }
            }
            @if all.is_empty() {
                p { "No live session. " span.hint { "Sessions that other issuers gave, or whose listing was lost, are not seen here; ending all of them works all the same." } }
            } @else {
                table.list {
                    thead { tr { th { "Device" } th { "Client" } th { "Began" } th { "Last refreshed" } th { "Ends" } th { span.quiet { "End it" } } } }
                    tbody { @for session in &all { (row(session, sub, may_end, now)) } }
                }
                @if all.len() == SHOWN { p.hint { "These are the " (SHOWN) " that were refreshed last." } }
            }
            @if may_end {
                details.act {
                    summary { "End all sessions of this subject…" }
                    (ending(sub, None))
                }
            } @else {
                p.hint { "This client ends no sessions: it does not have the role " code { "revoke" } "." }
            }
        }
    })
}

fn row(session: &Listed, sub: &Subject, may_end: bool, now: UnixTime) -> Markup {
    let at = UnixTime::from_secs;
    html! {
        tr {
            td data-label="Device" { @match &session.device { Some(device) => (device.as_str()), None => span.hint { "not said" } } span.note.whole { code { (session.sid.as_str()) } } }
            td data-label="Client" { code { (session.client_id.as_str()) } }
            td data-label="Began" { (time(at(session.created_at))) }
            td data-label="Last refreshed" { (distance(at(session.refreshed_at), now)) }
            td data-label="Ends" { (distance(at(session.expires_at), now)) }
            td {
                @if may_end {
                    details.act { summary aria-label={ "End session " (session.sid.as_str()) } { "End…" } (ending(sub, Some(&session.sid))) }
                }
            }
        }
    }
}

/// The form that ends one session, or all.
fn ending(sub: &Subject, sid: Option<&SessionId>) -> Markup {
    html! {
        form.stacked method="post" action="/admin/sessions/end" {
            input type="hidden" name="sub" value=(sub.as_str());
            @if let Some(sid) = sid { input type="hidden" name="sid" value=(sid.as_str()); }
            label { "Reason" select name="reason" { @for reason in REASONS { option value=(reason.as_str()) { (spaced(reason.as_str())) } } } }
            label { "Note, for those who look later" input name="note" maxlength=(Note::MAX_BYTES) autocomplete="off"; }
            button.danger { @if sid.is_some() { "End the session" } @else { "End all sessions" } }
        }
    }
}

/// Ends the session that a form names, or all of its subject.
pub(super) async fn end(
    State(app): State<Arc<App>>,
    operator: Operator,
    sender: Sender,
    request: Request,
) -> Result<Response, Failure> {
    let client = operator.with(Role::Revoke)?;
    let body::Form(form) = body::Form::from_request(request, &()).await?;
    let invalid = |name: &str, problem: &dyn core::fmt::Display| Problem::request_invalid(format!("{name}: {problem}"));
    let sub = Subject::new(form.value("sub").unwrap_or("")).map_err(|problem| invalid("sub", &problem))?;
    let sid = form.value("sid").map(SessionId::new).transpose();
    let sid = sid.map_err(|problem| invalid("sid", &problem))?;
    let word = form.value("reason").unwrap_or("");
    let known = REASONS.into_iter().find(|reason| reason.as_str() == word);
    let reason: Reason = known.ok_or_else(|| invalid("reason", &"is none that can be given"))?;
    let note = form.value("note").map(str::trim).filter(|note| !note.is_empty());
    let note = note
        .map(Note::new)
        .transpose()
        .map_err(|problem| invalid("note", &problem))?;

    let (iss, is_one) = (app.tokens.issuer.clone(), sid.is_some());
    let target = match sid {
        Some(sid) => Target::Session { iss, sid },
        None => Target::Subject { iss, sub: sub.clone() },
    };
    let ended = Revocation::new(target, reason, &app.policy, app.revoking_at()).noted(note);
    let receipt = revocations::make_stand(&app, ended, Actor::Client(client.id(), &sender)).await?;
    let done = match (is_one, receipt.changed) {
        (true, true) => "session",
        (true, false) => "stood",
        (false, _) => "all",
    };
    let to = format!("/admin/sessions?{}&done={done}", query("sub", sub.as_str()));
    Ok(Redirect::to(&to).into_response())
}
