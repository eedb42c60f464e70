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
use serde_json::{Map, Value};

use crate::{
    answer::Json,
    app::{App, Denial},
    body,
    client::{Caller, Role},
    problem::Problem,
    strict::Object,
};

/// How far ahead a cut-off can lie. What is later was meant in milliseconds.
const FARTHEST_AHEAD: core::time::Duration = core::time::Duration::from_hours(24 * 400);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Body {
    target: Option<Object>,
    token: Option<String>,
    /// When the token of the target ends, in seconds.
    exp: Option<u64>,
    before: Option<u64>,
    #[serde(default)]
    reason: Reason,
    note: Option<Note>,
}

/// What stands, as it is answered.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    id: String,
    target: &'a Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a Note>,
    effective_at: u64,
    retained_until: u64,
    durable: bool,
}

pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    // Read first, so that the connection is good for the next request whatever is answered; looked at only then.
    let body = body::Json::<Body>::from_request(request, &()).await;
    caller.authorize(&app.clients, &app.failures, Some(Role::Revoke))?;
    let body::Json(body) = body?;
    match asked(&app, body).await? {
        Asked::New(revocation) => carry_out(&app, revocation).await,
        Asked::Stands(receipt) => Ok(Json(answer(receipt.id, &receipt.revocation, receipt.durable)).into_response()),
    }
}

/// Revokes, as durably as is configured, and answers with the receipt: 201, or 200 when it was already so.
pub(super) async fn carry_out(app: &App, revocation: Revocation) -> Result<Response, Problem> {
    let receipt = make_stand(app, revocation).await?;
    let status = if receipt.changed {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(answer(receipt.id, &receipt.revocation, receipt.durable))).into_response())
}

/// Revokes. As durable on return as is configured (I4), and from then on no check passes (I9).
pub(crate) async fn make_stand(app: &App, revocation: Revocation) -> Result<Receipt, Problem> {
    let first = |receipts: Vec<Receipt>| {
        let receipt = receipts.into_iter().next();
        receipt.ok_or_else(|| Problem::internal("a commit without a receipt"))
    };
    // A session has no cut-off, and ends once: to end it again is nothing new, unless what stands has run out.
    let standing = match revocation.target() {
        Target::Session { .. } => Some(first(app.kept.denylist.submit_if_absent(revocation.clone())?.await?)?),
        _ => None,
    };
    let now = app.now();
    let receipt = match standing.filter(|receipt| receipt.changed || now < receipt.revocation.retained_until()) {
        Some(receipt) => receipt,
        None if ends_all_by_now(&revocation) => app.end_all(revocation).await?,
        None => first(app.kept.denylist.submit(vec![revocation])?.await?)?,
    };
    let kind = receipt.revocation.target().as_ref().kind();
    tracing::info!(id = %receipt.id, %kind, changed = receipt.changed, "revoked by a client");
    Ok(receipt)
}

/// Whether a subject is cut off now, and not at another date that somebody chose.
fn ends_all_by_now(revocation: &Revocation) -> bool {
    matches!(revocation.target(), Target::Subject { .. }) && revocation.cutoff() == Some(revocation.effective_at())
}

/// `durable`: whether it is known to be on the disk, and not only with the operating system.
pub(super) fn answer(id: Digest, revocation: &Revocation, durable: bool) -> Answer<'_> {
    Answer {
        id: id.to_string(),
        target: revocation.target(),
        before: revocation.cutoff().map(UnixTime::as_secs),
        reason: revocation.reason(),
        note: revocation.note(),
        effective_at: revocation.effective_at().as_secs(),
        retained_until: revocation.retained_until().as_secs(),
        durable,
    }
}

enum Asked {
    New(Revocation),
    /// The token that was sent is denied already.
    Stands(Receipt),
}

async fn asked(app: &App, body: Body) -> Result<Asked, Problem> {
    match (body.target, &body.token) {
        (Some(Object(target)), None) => {
            let target = target_of(app, target)?;
            let terms = Terms {
                before: body.before.map(UnixTime::from_secs),
                exp: body.exp.map(UnixTime::from_secs),
                reason: body.reason,
                note: body.note,
            };
            terms.of(app, target).map(Asked::New)
        }
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

/// What is said about a revocation beside its target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) before: Option<UnixTime>,
    pub(crate) exp: Option<UnixTime>,
    pub(crate) reason: Reason,
    pub(crate) note: Option<Note>,
}

impl Terms {
    /// The revocation of `target`, from now on.
    ///
    /// # Errors
    ///
    /// [`Problem`] `member_invalid` where it would not do what it says.
    pub(crate) fn of(self, app: &App, target: Target) -> Result<Revocation, Problem> {
        let now = app.revoking_at();
        let kind = target.as_ref().kind();
        if app.keyring.issuer(target.as_ref().iss()).is_none() {
            return Err(Problem::member_invalid(
                "target.iss",
                "is no issuer that is trusted here, so nothing would be denied",
            ));
        }
        let mut revocation = Revocation::new(target, self.reason, &app.policy, now);
        if let Some(before) = self.before {
            if !kind.has_cutoff() {
                return Err(Problem::member_invalid(
                    "before",
                    format_args!("a {kind} has no cut-off"),
                ));
            }
            if before > now.saturating_add(FARTHEST_AHEAD) {
                return Err(Problem::member_invalid(
                    "before",
                    "more than 400 days ahead; it is in seconds",
                ));
            }
            revocation = revocation.before(before, &app.policy);
        }
        if let Some(exp) = self.exp {
            revocation = revocation.expiring(ending(app, kind.as_str() == "token", exp, now)?, &app.policy);
        }
        if revocation.retained_until() <= now {
            return Err(Problem::member_invalid(
                "before",
                "so long ago that no token of that time is alive",
            ));
        }
        Ok(revocation.noted(self.note))
    }
}

/// `exp` of the token of a target: one that policy could accept, so that the entry covers it (I1).
fn ending(app: &App, is_token: bool, exp: UnixTime, now: UnixTime) -> Result<UnixTime, Problem> {
    let refused = |problem: &str| Err(Problem::member_invalid("exp", problem));
    if !is_token {
        return refused("only a token has one");
    }
    let latest = now
        .saturating_add(app.policy.leeway())
        .saturating_add(app.policy.longest_lifetime());
    if exp > latest {
        return refused("no token that is accepted lives that long; it is in seconds");
    }
    // A69: what has ended is refused anyway; an entry for it would only be swept.
    if app.policy.forgettable(exp) <= now {
        return refused("that token has ended, and is refused without a revocation");
    }
    Ok(exp)
}

fn target_of(app: &App, mut target: Map<String, Value>) -> Result<Target, Problem> {
    let own = || Value::from(app.tokens.issuer.as_str());
    target.entry("iss").or_insert_with(own);
    serde_path_to_error::deserialize(Value::Object(target))
        .map_err(|error| Problem::member_invalid("target", body::without_values(error.inner())))
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
