//! `POST /auth/logout` and `POST /logout`.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{IntoResponse, IntoResponseParts, Response, ResponseParts},
};
use ostracon_core::{Reason, Revocation, TargetRef, TokenType, VerifiedToken};
use ostracon_store::Receipt;
use serde::Serialize;

use crate::{
    answer::Json,
    app::{App, Denial},
    body::Parameters,
    cookies,
    credentials::{self, Ambiguous},
    csrf,
    problem::Problem,
};

/// Revokes what was presented, durably, and clears the cookies. Tokens that are not good revoke nothing and are no
/// error: a client whose token has died must get out, not loop.
pub(super) async fn logout(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    form: Parameters,
) -> Result<Response, Problem> {
    let query = Parameters::parse(query.as_deref().unwrap_or("").as_bytes())?;
    let scope = scope(query.value("scope"), form.value("scope"))?;
    Ok(out(&app, &headers, scope, form.value("refresh_token"))
        .await?
        .into_response())
}

/// Ends what a request with `headers`, and perhaps a refresh token in its form, presents. Durable on return (I4).
pub(crate) async fn out(
    app: &App,
    headers: &HeaderMap,
    scope: LogoutScope,
    by_form: Option<&str>,
) -> Result<LoggedOut, Problem> {
    let access =
        credentials::access_token(headers, &app.cookies).map_err(|Ambiguous| Problem::credentials_ambiguous())?;
    let refresh_cookie = cookies::read(headers, &app.cookies.refresh).map_err(|_| Problem::credentials_ambiguous())?;
    if !access.is_some_and(|presented| presented.by_bearer) {
        csrf::check(headers, &app.cookies, access.is_some() || refresh_cookie.is_some())?;
    }

    let access = access.map(|presented| (presented.token, TokenType::Access));
    // Both, where the form and the cookie have one each: whatever was presented is to end.
    let refresh = by_form
        .into_iter()
        .chain(refresh_cookie.filter(|cookie| Some(*cookie) != by_form));
    let mut revocations: Vec<Revocation> = Vec::new();
    let mut successors = Vec::new();
    for (token, typ) in access
        .into_iter()
        .chain(refresh.map(|token| (token, TokenType::Refresh)))
    {
        match app.judge_to_end(app.keyring.verify(token, typ)).await {
            Ok(token) => {
                let asked = revocation(app, &token, scope);
                let new = asked.filter(|asked| revocations.iter().all(|r| r.target() != asked.target()));
                revocations.extend(new);
                if matches!(scope, LogoutScope::Token) {
                    successors.extend(app.successors(&token));
                }
            }
            // I7: what is not proven to be good has no effect.
            Err(Denial::Refused(refusal)) => tracing::debug!(%refusal, "a token at logout revokes nothing"),
            // The cookies stay, so that the client can try again.
            Err(Denial::Unknown(error)) => return Err(error.into()),
        }
    }
    let told = revocations.len();
    revocations.extend(successors);
    let mut receipts = if revocations.is_empty() {
        Vec::new()
    } else {
        // I4: the answer leaves only after this is durable.
        app.kept.denylist.submit(revocations)?.await?
    };
    receipts.truncate(told);
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

fn scope(query: Option<&str>, form: Option<&str>) -> Result<LogoutScope, Problem> {
    match (query, form) {
        (Some(one), Some(other)) if one != other => Err(Problem::request_invalid("query and form differ in scope")),
        (Some(word), _) | (None, Some(word)) => match word {
            "token" => Ok(LogoutScope::Token),
            "session" => Ok(LogoutScope::Session),
            "everywhere" => Ok(LogoutScope::Everywhere),
            _ => Err(Problem::request_invalid("scope is token, session or everywhere")),
        },
        (None, None) => Ok(LogoutScope::default()),
    }
}

/// What ends `token` in this `scope`: where it names no session or subject, the token itself.
fn revocation(app: &App, token: &VerifiedToken, scope: LogoutScope) -> Option<Revocation> {
    let claims = token.claims();
    let iss = claims.iss();
    let itself = claims.token_id().map(|jti| TargetRef::Token { iss, jti });
    let target = match scope {
        LogoutScope::Token => None,
        LogoutScope::Session => claims.sid().map(|sid| TargetRef::Session { iss, sid }),
        LogoutScope::Everywhere => claims.sub().map(|sub| TargetRef::Subject { iss, sub }),
    };
    let target = target.or(itself)?.to_owned();
    // What ends a token was never before it, whatever the clock says now.
    let now = claims.iat().map_or(app.revoking_at(), |iat| app.revoking_at().max(iat));
    Some(Revocation::new(target, Reason::Logout, &app.policy, now).expiring(claims.exp(), &app.policy))
}

/// What a logout is answered with. Beside a response it clears the cookies; as one of its own it says, too, what was ended.
#[derive(Clone, Debug)]
pub struct LoggedOut {
    body: Body,
    cleared: [String; 2],
}

#[derive(Clone, Debug, Serialize)]
struct Body {
    message: &'static str,
    revoked: Vec<Revoked>,
    effective_at: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Revoked {
    kind: &'static str,
    id: String,
    retained_until: u64,
}

impl LoggedOut {
    fn of(app: &App, receipts: &[Receipt]) -> Self {
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
            body: Body {
                message: "Logged out successfully",
                revoked: revoked.collect(),
                effective_at: effective_at.unwrap_or_else(|| app.now()).as_secs(),
            },
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
