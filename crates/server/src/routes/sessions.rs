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
use utoipa::ToSchema;

use super::revocations;
use crate::{
    answer::Json,
    app::App,
    body::{self, Parameters},
    client::{Caller, Role},
    login::Login,
    openapi::words::{Name, RevocationReason, Seconds, Text},
    problem::Problem,
    sender::{Actor, Sender},
    session::Pair,
    strict::Object,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(
    as = LoginRequest,
    example = json!({"sub": "user-42", "aud": "shop", "client_id": "web", "scope": "read write", "claims": {"role": "editor"}, "device": "Firefox"})
)]
pub(crate) struct Body {
    /// The user.
    #[schema(value_type = Name)]
    sub: Subject,
    /// Whom the access token is for; the configured audience where nothing is said.
    aud: Option<OneOrMany>,
    /// The application that logs in; the calling client where nothing is said.
    #[schema(value_type = Option<Name>)]
    client_id: Option<ClientId>,
    /// What the access token allows, separated by spaces (RFC 6749 §3.3).
    #[serde(default)]
    #[schema(pattern = r"^([\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*)?$")]
    scope: String,
    /// The application's own claims, at the top level of the access token; none that is registered.
    #[serde(default)]
    #[schema(value_type = HashMap<String, Value>)]
    claims: Object,
    /// What the list of sessions shows.
    #[schema(value_type = Option<Text>)]
    device: Option<Note>,
    /// Why every other session of the subject is ended, if they are. Needs the role `revoke`, too.
    #[schema(value_type = Option<RevocationReason>)]
    end_others: Option<Reason>,
}

/// A first pair.
#[derive(Serialize, ToSchema)]
pub(super) struct LoggedIn<'a> {
    #[serde(flatten)]
    pair: Pair,
    /// What ended the other sessions, where `end_others` asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = revocations::Answer, required = false)]
    ended: Option<revocations::Answer<'a>>,
}

#[derive(Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Audience)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Logs a subject in.
///
/// Whoever calls has seen the password, or whatever else proves who it is.
#[utoipa::path(
    post,
    path = "/v1/sessions",
    tag = "backends",
    security(("client" = ["issue"])),
    request_body = Body,
    responses((status = CREATED, description = "The first tokens of the session.", body = LoggedIn))
)]
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Issue))?;
    let body::Json(body) = body::Json::<Body>::from_request(request, &()).await?;
    let end_others = body.end_others;
    let login = login(body, client.id())?;
    if let Some(reason) = end_others {
        caller.authorize(&app.clients, &app.failures, Some(Role::Revoke))?;
        app.kept.trail.ready()?;
        let (pair, receipt) = app.log_in_alone(login, reason).await?;
        app.record_revocations(std::slice::from_ref(&receipt), client.id(), &sender)
            .await?;
        let ended = revocations::answer(receipt.id, &receipt.revocation, receipt.durable);
        return Ok((
            StatusCode::CREATED,
            Pair::headers(),
            Json(LoggedIn {
                pair,
                ended: Some(ended),
            }),
        )
            .into_response());
    }
    let pair = app.log_in(login).await?;
    Ok((
        StatusCode::CREATED,
        Pair::headers(),
        Json(LoggedIn { pair, ended: None }),
    )
        .into_response())
}

pub(crate) fn login(body: Body, caller: &str) -> Result<Login, Problem> {
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
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct Listed {
    #[schema(value_type = Name)]
    pub(crate) sub: Subject,
    #[schema(value_type = Name)]
    pub(crate) sid: SessionId,
    #[schema(value_type = Name)]
    pub(crate) client_id: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Text, required = false)]
    pub(crate) device: Option<Note>,
    #[schema(value_type = Seconds)]
    pub(crate) created_at: u64,
    #[schema(value_type = Seconds)]
    pub(crate) refreshed_at: u64,
    #[schema(value_type = Seconds)]
    pub(crate) expires_at: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
pub(super) struct List {
    sessions: Vec<Listed>,
}

/// Sessions in one answer, and what is asked for where nothing is said.
const MOST: usize = 1000;

/// Sessions of a subject that are looked at.
const SEARCHED: usize = 10_000;

/// The live sessions of a subject, the one that was refreshed last first.
#[utoipa::path(
    get,
    path = "/v1/sessions",
    tag = "operators",
    security(("client" = ["read"])),
    params(
        ("sub" = Name, Query, description = "The subject."),
        ("limit" = Option<u64>, Query, description = "Sessions at most; 1000 where nothing is said.", minimum = 1, maximum = 1000)
    ),
    responses((status = OK, description = "Those that this server issued and that were not ended.", body = List))
)]
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
    let sessions = of_subject(&app, sub, limit).await?;
    Ok(Json(List { sessions }).into_response())
}

/// Up to `limit` live sessions of `sub`, the one that was refreshed last first.
pub(crate) async fn of_subject(app: &Arc<App>, sub: Subject, limit: usize) -> Result<Vec<Listed>, StoreError> {
    let (now, all) = (app.now(), Arc::clone(app));
    app.look_up(move |denylist| live(&all, denylist, &sub, now, limit))
        .await
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
#[utoipa::path(
    delete,
    path = "/v1/sessions/{sid}",
    tag = "operators",
    security(("client" = ["revoke"])),
    params(("sid" = Name, Path, description = "As it was answered at login.")),
    responses(
        (status = CREATED, description = "It is ended from now on.", body = revocations::Answer),
        (status = OK, description = "It was ended already; this stands.", body = revocations::Answer)
    )
)]
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
