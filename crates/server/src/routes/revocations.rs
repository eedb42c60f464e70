//! `POST /v1/revocations`: a trusted backend or an operator revokes.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ostracon_core::{Note, Reason, Refusal, Revocation, Target, TargetRef, UnixTime};
use ostracon_store::{Digest, Receipt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    answer::Json,
    app::{App, Denial},
    body,
    client::{Caller, Role},
    openapi::words::{RevocationId, RevocationReason, Seconds, TargetSchema, Text, Token},
    problem::Problem,
    sender::{Actor, Sender},
    strict::Object,
    terms::{Terms, Wish, Written},
    trail::Entry,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(
    as = RevocationRequest,
    example = json!({"target": {"kind": "subject", "sub": "user-42"}, "reason": "password_change", "note": "ticket 4711"})
)]
pub(crate) struct Body {
    /// What is to end: this or `token`.
    #[schema(value_type = Option<TargetSchema>)]
    pub(crate) target: Option<Object>,
    /// A token that is to end itself, once it is verified: this or `target`.
    #[schema(value_type = Option<Token>)]
    pub(crate) token: Option<String>,
    /// When the token of the target ends; without it the longest lifetime is assumed.
    #[schema(value_type = Option<Seconds>)]
    exp: Option<u64>,
    /// The cut-off, now where nothing is said: a token passes only if it was issued later.
    #[schema(value_type = Option<Seconds>)]
    before: Option<u64>,
    #[serde(default)]
    #[schema(value_type = RevocationReason)]
    reason: Reason,
    #[schema(value_type = Option<Text>)]
    note: Option<Note>,
}

/// What stands, as it is answered.
#[derive(Serialize, ToSchema)]
#[schema(as = Revocation)]
pub(crate) struct Answer<'a> {
    #[schema(value_type = RevocationId)]
    id: String,
    #[serde(flatten)]
    entry: Written<'a>,
    /// Whether it is known to be on the disk, and not only with the operating system.
    durable: bool,
}

/// Revokes a target, or a token.
///
/// The answer leaves once it is durable. Of two for one target the stricter stands: the later cut-off, the longer retention.
#[utoipa::path(
    post,
    path = "/v1/revocations",
    tag = "backends",
    security(("client" = ["revoke"])),
    request_body = Body,
    responses(
        (status = CREATED, description = "It denies from now on.", body = Answer),
        (status = OK, description = "It was so already; this stands.", body = Answer)
    )
)]
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Revoke))?;
    let body::Json(body) = body::Json::<Body>::from_request(request, &()).await?;
    match asked(&app, body).await? {
        Asked::New(revocation) => carry_out(&app, revocation, Actor::Client(client.id(), &sender)).await,
        Asked::Stands(receipt) => {
            app.record_revocations(std::slice::from_ref(&receipt), client.id(), &sender)
                .await?;
            Ok(Json(answer(receipt.id, &receipt.revocation, receipt.durable)).into_response())
        }
    }
}

/// Revokes at the word of `actor`, as durably as is configured and with a record of it, and answers with the receipt: 201, or 200 when it was
/// already so.
pub(super) async fn carry_out(app: &App, revocation: Revocation, actor: Actor<'_>) -> Result<Response, Problem> {
    let receipt = make_stand(app, revocation, actor).await?;
    let status = if receipt.changed {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(answer(receipt.id, &receipt.revocation, receipt.durable))).into_response())
}

/// Revokes at the word of `actor`, and records it. As durable on return as is configured (I4), and from then on no check passes (I9).
pub(crate) async fn make_stand(app: &App, revocation: Revocation, actor: Actor<'_>) -> Result<Receipt, Problem> {
    app.kept.trail.ready()?;
    let entry = Entry::of_revocation(&revocation).done_by(actor);
    let receipt = match written(app, revocation).await {
        Ok(receipt) => receipt,
        Err(problem) => {
            app.kept.trail.note(entry.outcome("failed"));
            return Err(problem);
        }
    };
    let kind = receipt.revocation.target().as_ref().kind();
    tracing::info!(id = %receipt.id, %kind, changed = receipt.changed, "revoked by a client");
    app.kept.trail.record(entry.revoked(&receipt)).await?;
    Ok(receipt)
}

async fn written(app: &App, revocation: Revocation) -> Result<Receipt, Problem> {
    let denylist = &app.kept.denylist;
    // A session has no cut-off, and ends once: to end it again is nothing new, unless what stands has run out.
    let standing = match revocation.target() {
        Target::Session { .. } => Some(denylist.submit_if_absent(revocation.clone())?.receipt().await?),
        _ => None,
    };
    let now = app.now();
    match standing.filter(|receipt| receipt.changed || now < receipt.revocation.retained_until()) {
        Some(receipt) => Ok(receipt),
        None if ends_all_by_now(&revocation) => Ok(app.end_all(revocation).await?),
        None => Ok(denylist.submit(vec![revocation])?.receipt().await?),
    }
}

/// Whether a subject is cut off now, and not at another date that somebody chose.
fn ends_all_by_now(revocation: &Revocation) -> bool {
    matches!(revocation.target(), Target::Subject { .. }) && revocation.cutoff() == Some(revocation.effective_at())
}

/// `durable`: whether it is known to be on the disk, and not only with the operating system.
pub(super) fn answer(id: Digest, revocation: &Revocation, durable: bool) -> Answer<'_> {
    Answer {
        id: id.to_string(),
        entry: revocation.into(),
        durable,
    }
}

pub(super) enum Asked {
    New(Revocation),
    /// The token that was sent is denied already.
    Stands(Receipt),
}

pub(super) async fn asked(app: &App, body: Body) -> Result<Asked, Problem> {
    match (&body.target, &body.token) {
        (Some(_), None) => by_target(&app.terms(), body).map(Asked::New),
        (None, Some(token)) => {
            if body.before.is_some() || body.exp.is_some() {
                return Err(Problem::member_invalid(
                    "token",
                    "says itself when it was issued and when it ends",
                ));
            }
            by_token(app, token, body.reason, body.note).await
        }
        _ => Err(Problem::member_invalid(
            "target",
            "exactly one of target and token is needed",
        )),
    }
}

/// The revocation that is asked for where a target is named and no token.
pub(crate) fn by_target(terms: &Terms<'_>, body: Body) -> Result<Revocation, Problem> {
    let Object(target) = body.target.unwrap_or_default();
    let wish = Wish {
        before: body.before.map(UnixTime::from_secs),
        exp: body.exp.map(UnixTime::from_secs),
        reason: body.reason,
        note: body.note,
    };
    terms.revocation(terms.target(target)?, wish)
}

async fn by_token(app: &App, token: &str, reason: Reason, note: Option<Note>) -> Result<Asked, Problem> {
    let token = match app.judge_to_end(app.verify_either(token).await).await {
        Ok(token) => token,
        Err(Denial::Unknown(problem)) => return Err(problem),
        Err(Denial::Refused(Refusal::Revoked(revocation))) => {
            let id = app.kept.denylist.id(revocation.target().as_ref());
            return Ok(Asked::Stands(Receipt {
                id,
                revocation: *revocation,
                changed: false,
                durable: app.kept.denylist.is_durable(),
            }));
        }
        // The caller is not the one who presents it, so this is no 401.
        Err(Denial::Refused(refusal)) => return Err(Problem::member_refused("token", &refusal)),
    };
    let claims = token.claims();
    let jti = claims
        .token_id()
        .ok_or_else(|| Problem::member_invalid("token", "has no jti"))?;
    let target = TargetRef::Token { iss: claims.iss(), jti }.to_owned();
    let revocation =
        Revocation::new(target, reason, &app.policy, app.revoking_at()).expiring(claims.exp(), &app.policy);
    Ok(Asked::New(revocation.noted(note)))
}
