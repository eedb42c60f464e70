//! `/v1/sessions`: a trusted backend logs a subject in, sees its sessions, and ends one.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ostracon_core::{Claims, ClientId, Note, Reason, Revocation, Scope, SessionId, Subject, Target, Targets, UnixTime};
use ostracon_store::{Denylist, StoreError};
use serde::{Deserialize, Serialize};

use super::revocations;
use crate::{
    answer::Json,
    app::App,
    body::{self, Parameters},
    client::{Caller, Role},
    login::Login,
    problem::Problem,
    sender::{Actor, Sender},
    session::Pair,
    strict::Object,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Body {
    sub: Subject,
    aud: Option<OneOrMany>,
    client_id: Option<ClientId>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    claims: Object,
    /// What the list of sessions shows.
    device: Option<Note>,
    /// Why every other session of the subject is ended, if they are.
    end_others: Option<Reason>,
}

/// A first pair, and what ended the sessions before it.
#[derive(Serialize)]
struct Alone<'a> {
    #[serde(flatten)]
    pair: Pair,
    ended: revocations::Answer<'a>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    // Read first, so that the connection is good for the next request whatever is answered; looked at only then.
    let body = body::Json::<Body>::from_request(request, &()).await;
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Issue))?;
    let body::Json(body) = body?;
    let end_others = body.end_others;
    let login = login(body, client.id())?;
    if let Some(reason) = end_others {
        caller.authorize(&app.clients, &app.failures, Some(Role::Revoke))?;
        app.kept.trail.ready()?;
        let (pair, receipt) = app.log_in_alone(login, reason).await?;
        app.record_revocations(std::slice::from_ref(&receipt), client.id(), &sender)
            .await?;
        let ended = revocations::answer(receipt.id, &receipt.revocation, receipt.durable);
        return Ok((StatusCode::CREATED, Pair::headers(), Json(Alone { pair, ended })).into_response());
    }
    let pair = app.log_in(login).await?;
    Ok((StatusCode::CREATED, Pair::headers(), Json(pair)).into_response())
}

fn login(body: Body, caller: &str) -> Result<Login, Problem> {
    let aud = match body.aud {
        None => Vec::new(),
        // Nobody is not the same as nothing said.
        Some(OneOrMany::Many(none)) if none.is_empty() => {
            return Err(Problem::member_invalid("aud", "at least one name is needed"));
        }
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    };
    Ok(Login {
        sub: body.sub,
        aud,
        client_id: Some(match body.client_id {
            Some(client_id) => client_id,
            None => ClientId::new(caller).map_err(Problem::internal)?,
        }),
        scope: Scope::new(&body.scope).map_err(|problem| Problem::member_invalid("scope", problem))?,
        device: body.device,
        claims: body.claims.0,
    })
}

/// A live session, as it is answered.
#[derive(Serialize)]
struct Listed {
    sub: Subject,
    sid: SessionId,
    client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Note>,
    created_at: u64,
    refreshed_at: u64,
    expires_at: u64,
}

/// Sessions in one answer, and what is asked for where nothing is said.
const MOST: usize = 1000;

/// Sessions of a subject that are looked at.
const SEARCHED: usize = 10_000;

/// The live sessions of a subject, the one that was refreshed last first.
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let query = Parameters::parse(request.uri().query().unwrap_or("").as_bytes())?;
    query.only(&["sub", "limit"])?;
    let sub = query
        .value("sub")
        .ok_or_else(|| Problem::request_invalid("sub is missing"))?;
    let sub = Subject::new(sub).map_err(|problem| Problem::request_invalid(format!("sub: {problem}")))?;
    let limit = match query.value("limit").map(str::parse) {
        None => MOST,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(Problem::request_invalid(format!("limit is 1 to {MOST}"))),
    };
    let now = app.now();
    let all = Arc::clone(&app);
    let sessions = app
        .look_up(move |denylist| live(&all, denylist, &sub, now, limit))
        .await?;
    Ok(Json(serde_json::json!({"sessions": sessions})).into_response())
}

/// What is listed and not revoked. Blocks.
fn live(app: &App, denylist: &Denylist, sub: &Subject, now: UnixTime, limit: usize) -> Result<Vec<Listed>, StoreError> {
    let mut sessions = Vec::new();
    for session in app.kept.registry.of_subject(sub, now, SEARCHED)? {
        if sessions.len() == limit {
            break;
        }
        let claims = serde_json::json!({
            "iss": app.tokens.issuer, "sub": session.sub, "sid": session.sid, "client_id": session.client_id,
            "iat": session.refreshed.as_secs(), "exp": session.expires.as_secs(),
        });
        let Ok(claims) = Claims::parse(claims.to_string().as_bytes()) else {
            continue;
        };
        if denylist.check(&Targets::of(&claims, None), now)?.revocation.is_none() {
            sessions.push(Listed {
                sub: session.sub,
                sid: session.sid,
                client_id: session.client_id,
                device: session.device,
                created_at: session.created.as_secs(),
                refreshed_at: session.refreshed.as_secs(),
                expires_at: session.expires.as_secs(),
            });
        }
    }
    Ok(sessions)
}

/// Ends a session, listed or not: what is not known here may still be alive somewhere.
pub(super) async fn end(
    State(app): State<Arc<App>>,
    sid: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Revoke))?;
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let Path(sid) = sid.map_err(|_| Problem::request_invalid("sid is not properly encoded"))?;
    let sid = SessionId::new(sid).map_err(|problem| Problem::request_invalid(format!("sid: {problem}")))?;
    let iss = app.tokens.issuer.clone();
    let revocation = Revocation::new(
        Target::Session { iss, sid },
        Reason::Admin,
        &app.policy,
        app.revoking_at(),
    );
    revocations::carry_out(&app, revocation, Actor::Client(client.id(), &sender)).await
}
