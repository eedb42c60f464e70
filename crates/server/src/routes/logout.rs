//! `POST /auth/logout` and `POST /logout`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use ostracon_core::{Reason, Revocation, Target, TargetRef, TokenType, VerifiedToken};
use ostracon_store::Receipt;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    answer::Json,
    app::{App, Denial},
    body::Parameters,
    cookies,
    credentials::{self, Ambiguous, Presented},
    csrf,
    openapi::words::{RevocationId, Seconds, TargetKind},
    problem::Problem,
    sender::Actor,
    session::Pair,
    trail::Entry,
};

/// Logs out: revokes what was presented, durably, and clears the cookies.
///
/// Tokens that are not good revoke nothing and are no error: a client whose token has died must get out, not loop. `/logout` is
/// the same.
#[utoipa::path(
    post,
    path = "/auth/logout",
    tag = "sessions",
    security(("bearer" = []), ("access_cookie" = []), ("refresh_cookie" = []), ()),
    params(("scope" = Option<ScopeWord>, Query, description = "How much ends; `session` where nothing is said. It may stand in the form.")),
    request_body(content((LogoutRequest = "application/x-www-form-urlencoded"), (LogoutRequest = "application/json"))),
    responses(
        (status = OK, description = "What has ended; with `scope=others` the tokens with which this session goes on, too.", body = Body, headers(("Set-Cookie" = String, description = "Clears both cookies, or sets those of the session that goes on."))),
        (status = UNAUTHORIZED, description = "With `scope=others` only: the refresh token is not good, and nothing has ended."),
        (status = FORBIDDEN, description = "`csrf_refused`: by cookie, from a page of another site.")
    )
)]
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    sender: crate::sender::Sender,
    headers: HeaderMap,
    form: Parameters,
) -> Result<Response, Problem> {
    let query = Parameters::parse(query.as_deref().unwrap_or("").as_bytes())?;
    let by_form = form.value("refresh_token");
    match scope(query.value("scope"), form.value("scope"))? {
        Some(scope) => Ok(out(&app, &headers, scope, by_form, Actor::Bearer(&sender))
            .await?
            .into_response()),
        None => others(&app, by_form, presented(&app, &headers)?.1, Actor::Bearer(&sender)).await,
    }
}

/// The access token and the refresh cookie of a request with `headers`, where its page may act by them.
fn presented<'h>(app: &App, headers: &'h HeaderMap) -> Result<(Option<Presented<'h>>, Option<&'h str>), Problem> {
    let access =
        credentials::access_token(headers, &app.cookies).map_err(|Ambiguous| Problem::credentials_ambiguous())?;
    let refresh_cookie = cookies::read(headers, &app.cookies.refresh).map_err(|_| Problem::credentials_ambiguous())?;
    if !access.is_some_and(|presented| presented.by_bearer) {
        csrf::check(headers, &app.cookies, access.is_some() || refresh_cookie.is_some())?;
    }
    Ok((access, refresh_cookie))
}

/// Ends what a request with `headers`, and perhaps a refresh token in its form, presents. Durable on return (I4).
pub(crate) async fn out(
    app: &App,
    headers: &HeaderMap,
    scope: LogoutScope,
    by_form: Option<&str>,
    actor: Actor<'_>,
) -> Result<LoggedOut, Problem> {
    let (access, refresh_cookie) = presented(app, headers)?;
    let access = access.map(|presented| (presented.token, TokenType::Access));
    // Both, where the form and the cookie have one each: whatever was presented is to end.
    let refresh = by_form
        .into_iter()
        .chain(refresh_cookie.filter(|cookie| Some(*cookie) != by_form));
    let mut revocations: Vec<Revocation> = Vec::new();
    let (mut successors, mut sub) = (Vec::new(), None);
    for (token, typ) in access
        .into_iter()
        .chain(refresh.map(|token| (token, TokenType::Refresh)))
    {
        match app.judge_to_end(app.verify(token, typ).await).await {
            Ok(token) => {
                sub = sub.or_else(|| token.claims().sub().cloned());
                for asked in ending(app, &token, scope) {
                    if revocations.iter().all(|r| r.target() != asked.target()) {
                        revocations.push(asked);
                    }
                }
                if matches!(scope, LogoutScope::Token) {
                    successors.extend(app.successors(&token));
                }
            }
            // I7: what is not proven to be good has no effect.
            Err(Denial::Refused(refusal)) => tracing::debug!(%refusal, "a token at logout revokes nothing"),
            // The cookies stay, so that the client can try again.
            Err(Denial::Unknown(error)) => return Err(error),
        }
    }
    let told = revocations.len();
    revocations.extend(successors);
    let mut receipts = if revocations.is_empty() {
        Vec::new()
    } else {
        // I4: the answer leaves only after this is durable.
        app.kept.denylist.submit(revocations.clone())?.await?
    };
    if matches!(scope, LogoutScope::Everywhere) {
        for (receipt, asked) in receipts.iter_mut().zip(revocations) {
            if !receipt.changed && matches!(asked.target(), Target::Subject { .. }) {
                *receipt = app.end_all(asked).await?;
            }
        }
    }
    receipts.truncate(told);
    if !receipts.is_empty() {
        let targets: Vec<_> = receipts.iter().map(|r| json!(r.revocation.target())).collect();
        let entry = Entry::new("logout").done_by(actor).with("scope", scope.as_str());
        let entry = entry.with("sub", sub.map(|sub| sub.to_string()));
        app.kept
            .trail
            .note(entry.with("targets", targets).outcome("logged_out"));
    }
    Ok(LoggedOut::of(app, &receipts))
}

/// How much of what was presented a logout ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LogoutScope {
    /// The access token, and the refresh token that was presented beside it with what it can be exchanged for.
    Token,
    /// The whole login, on this device.
    #[default]
    Session,
    /// Every login of the user, on every device, up to now.
    Everywhere,
}

impl LogoutScope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Everywhere => "everywhere",
        }
    }
}

/// What a logout is asked to end; none for all sessions of the user but the one that asks.
fn scope(query: Option<&str>, form: Option<&str>) -> Result<Option<LogoutScope>, Problem> {
    match (query, form) {
        (Some(one), Some(other)) if one != other => Err(Problem::request_invalid("query and form differ in scope")),
        (Some(word), _) | (None, Some(word)) => match word {
            "token" => Ok(Some(LogoutScope::Token)),
            "session" => Ok(Some(LogoutScope::Session)),
            "everywhere" => Ok(Some(LogoutScope::Everywhere)),
            "others" => Ok(None),
            _ => Err(Problem::request_invalid(
                "scope is token, session, everywhere or others",
            )),
        },
        (None, None) => Ok(Some(LogoutScope::default())),
    }
}

/// What ends `token` in this `scope`: where it names no session or subject, the token itself.
fn ending(app: &App, token: &VerifiedToken, scope: LogoutScope) -> Vec<Revocation> {
    let claims = token.claims();
    let iss = claims.iss();
    let itself = || claims.token_id().map(|jti| TargetRef::Token { iss, jti });
    let session = || claims.sid().map(|sid| TargetRef::Session { iss, sid });
    let subject = || claims.sub().map(|sub| TargetRef::Subject { iss, sub });
    let now = app.revoking_at();
    let iat = claims.iat().unwrap_or(now);
    // A cut-off in the future would keep the user out until then: one token of a clock that is wrong must not do that. It
    // does not cover that token either, which is ended by what else it names.
    let is_ahead = iat > now.saturating_add(app.policy.leeway());
    let targets = match scope {
        LogoutScope::Token => [itself(), None],
        LogoutScope::Session => [session().or_else(itself), None],
        LogoutScope::Everywhere if is_ahead => [subject(), session().or_else(itself)],
        LogoutScope::Everywhere => [subject().or_else(itself), None],
    };
    let revocation = |target: TargetRef<'_>| {
        let has_cutoff = target.kind().has_cutoff();
        // What ends a token was never before it, whatever the clock says now.
        let at = if is_ahead && has_cutoff { now } else { now.max(iat) };
        let revocation = Revocation::new(target.to_owned(), Reason::Logout, &app.policy, at);
        if has_cutoff && is_ahead {
            revocation
        } else {
            revocation.expiring(claims.exp(), &app.policy)
        }
    };
    targets.into_iter().flatten().map(revocation).collect()
}

/// Ends every other session of the user; this one goes on with the tokens that are answered, the way the old one came. A
/// token that is not good is refused here: nobody shall be told that the others are out when they are not.
async fn others(app: &App, by_form: Option<&str>, cookie: Option<&str>, actor: Actor<'_>) -> Result<Response, Problem> {
    let (token, by_cookie) = match (by_form, cookie) {
        (Some(one), Some(other)) if one != other => return Err(Problem::credentials_ambiguous()),
        (Some(token), _) => (token, false),
        (None, Some(token)) => (token, true),
        (None, None) => {
            return Err(Problem::request_invalid(
                "scope=others needs the refresh token, which browsers send to /auth/logout alone",
            ));
        }
    };
    let (pair, receipt) = app.end_others(token).await?;
    let entry = Entry::new("logout").done_by(actor).with("scope", "others");
    app.kept
        .trail
        .note(entry.about(receipt.revocation.target()).outcome("logged_out"));
    let mut set = HeaderMap::new();
    if by_cookie {
        cookies::append(&mut set, pair.cookies())?;
    }
    let told = OthersOut {
        told: Body::of("Logged out everywhere else", app, &[receipt]),
        pair,
    };
    Ok((Pair::headers(), set, Json(told)).into_response())
}

#[derive(Serialize)]
struct OthersOut {
    #[serde(flatten)]
    told: Body,
    #[serde(flatten)]
    pair: Pair,
}

/// What may come in the body.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read as parameters, of which others are not looked at")]
struct LogoutRequest {
    #[schema(required = false)]
    scope: ScopeWord,
    #[schema(required = false)]
    refresh_token: String,
    #[serde(flatten)]
    others: HashMap<String, String>,
}

/// How much ends.
#[derive(ToSchema)]
#[schema(as = LogoutScope, rename_all = "snake_case")]
#[expect(dead_code, reason = "the words are looked at as they are")]
enum ScopeWord {
    /// The access token, and the refresh token beside it with what it can be exchanged for.
    Token,
    /// The whole login.
    Session,
    /// Every login of the user.
    Everywhere,
    /// Every login of the user but this one.
    Others,
}

/// What a logout is answered with. Beside a response it clears the cookies; as one of its own it says, too, what was ended.
#[derive(Clone, Debug)]
pub struct LoggedOut {
    body: Body,
    cleared: [String; 2],
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LoggedOut)]
struct Body {
    message: &'static str,
    /// Empty where no token was good any more.
    revoked: Vec<Revoked>,
    #[schema(value_type = Seconds)]
    effective_at: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct Revoked {
    #[schema(value_type = TargetKind)]
    kind: &'static str,
    #[schema(value_type = RevocationId)]
    id: String,
    #[schema(value_type = Seconds)]
    retained_until: u64,
}

impl Body {
    fn of(message: &'static str, app: &App, receipts: &[Receipt]) -> Self {
        let revoked = receipts.iter().map(|receipt| {
            let kind = receipt.revocation.target().as_ref().kind();
            tracing::info!(id = %receipt.id, %kind, "logged out");
            Revoked {
                kind: kind.as_str(),
                id: receipt.id.to_string(),
                retained_until: receipt.revocation.retained_until().as_secs(),
            }
        });
        let effective_at = receipts.iter().map(|r| r.revocation.effective_at()).max();
        Self {
            message,
            revoked: revoked.collect(),
            effective_at: effective_at.unwrap_or_else(|| app.now()).as_secs(),
        }
    }
}

impl LoggedOut {
    fn of(app: &App, receipts: &[Receipt]) -> Self {
        Self {
            body: Body::of("Logged out successfully", app, receipts),
            cleared: [&app.cookies.access, &app.cookies.refresh].map(|cookie| app.cookies.clear(cookie)),
        }
    }

    /// Whether anything was ended; nothing is where no token was good any more.
    #[must_use]
    pub fn has_ended_anything(&self) -> bool {
        !self.body.revoked.is_empty()
    }

    /// The `Set-Cookie` values that clear the cookies.
    #[must_use]
    pub fn cookies(&self) -> &[String] {
        &self.cleared
    }
}

impl IntoResponseParts for LoggedOut {
    type Error = Problem;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Problem> {
        cookies::append(parts.headers_mut(), &self.cleared)?;
        Ok(parts)
    }
}

impl IntoResponse for LoggedOut {
    fn into_response(self) -> Response {
        let mut response = Json(&self.body).into_response();
        match cookies::append(response.headers_mut(), &self.cleared) {
            Ok(()) => response,
            Err(problem) => problem.into_response(),
        }
    }
}
