//! `POST /auth/refresh` and `GET /auth/session`: what a browser does with its own session.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{FromRequest, Request, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use ostracon_core::{ClientId, SessionId, Subject, TokenType, UnixTime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Json,
    app::{App, thorough},
    body::Parameters,
    cookies,
    credentials::{self, Ambiguous},
    csrf,
    openapi::words::{Name, Seconds},
    problem::Problem,
    rotation::Wish,
    sender::Sender,
    session::Pair,
};

/// Rotates: the token that is sent is exchanged for the next pair, which goes back the way that the token came.
///
/// Again within `tokens.refresh_grace`, the same pair is answered. After that it is reuse, which ends the session.
#[utoipa::path(
    post,
    path = "/auth/refresh",
    tag = "sessions",
    security(("refresh_cookie" = []), ()),
    request_body(content((RefreshRequest = "application/x-www-form-urlencoded"), (RefreshRequest = "application/json")), description = "Where the token does not come by cookie."),
    responses(
        (status = OK, description = "The next pair; as cookies, too, if the token came by cookie.", body = Pair),
        (status = UNAUTHORIZED, description = "`token_missing`, `refresh_expired`, `refresh_reused`, `refresh_superseded`, `session_revoked`, or why the token is none."),
        (status = FORBIDDEN, description = "`csrf_refused`: by cookie, from a page of another site.")
    )
)]
pub(super) async fn refresh(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let sender = Sender::of(&app.trusted_proxies, &headers, request.extensions());
    let cookie = cookies::read(&headers, &app.cookies.refresh).map_err(|_| Problem::credentials_ambiguous())?;
    let body = Parameters::from_request(request, &()).await?;
    let (token, by_cookie) = match (body.value("refresh_token"), cookie) {
        (Some(one), Some(other)) if one != other => return Err(Problem::credentials_ambiguous()),
        (Some(token), _) => (token, false),
        (None, Some(token)) => (token, true),
        (None, None) => return Err(Problem::token_missing()),
    };
    if by_cookie {
        csrf::check(&headers, &app.cookies, true)?;
    }
    let wish = Wish {
        sender: Some(&sender),
        ..Wish::default()
    };
    let pair = app.refresh(token, wish).await?;
    let mut set = HeaderMap::new();
    if by_cookie {
        cookies::append(&mut set, pair.cookies())?;
    }
    Ok((Pair::headers(), set, Json(pair)).into_response())
}

/// What may come in the body.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read as parameters, of which others are not looked at")]
struct RefreshRequest {
    #[schema(required = false)]
    refresh_token: String,
    #[serde(flatten)]
    others: HashMap<String, String>,
}

/// A session as its owner sees it.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnSession)]
pub(super) struct Own<'a> {
    #[schema(value_type = Option<Name>, required)]
    sub: Option<&'a Subject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Name, required = false)]
    sid: Option<&'a SessionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Name, required = false)]
    client_id: Option<&'a ClientId>,
    scope: &'a str,
    #[schema(value_type = Option<Seconds>, required)]
    issued_at: Option<u64>,
    #[schema(value_type = Seconds)]
    expires_at: u64,
}

/// Whose session the access token is of.
#[utoipa::path(
    get,
    path = "/auth/session",
    tag = "sessions",
    security(("bearer" = []), ("access_cookie" = [])),
    responses((status = OK, description = "The caller's own session.", body = Own))
)]
pub(super) async fn own(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let presented = credentials::access_token(&headers, &app.cookies)
        .map_err(|Ambiguous| Problem::credentials_ambiguous())?
        .ok_or_else(Problem::token_missing)?;
    // Whatever it is for: the session is its owner's.
    let token = app.judge(presented.token, TokenType::Access, &thorough()).await?;
    let claims = token.claims();
    Ok(Json(Own {
        sub: claims.sub(),
        sid: claims.sid(),
        client_id: claims.client_id(),
        scope: claims.scope().as_str(),
        issued_at: claims.iat().map(UnixTime::as_secs),
        expires_at: claims.exp().as_secs(),
    })
    .into_response())
}
