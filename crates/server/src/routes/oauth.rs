//! The OAuth endpoints: revocation (RFC 7009), introspection (RFC 7662), refreshing (RFC 6749 §6), metadata (RFC 8414).

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequest, Request, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use ostracon_core::{
    Claims, ClientId, Jti, Reason, Revocation, Scope, SessionId, Subject, TargetRef, TokenType, UnixTime,
};
use serde::Serialize;
use utoipa::{ToSchema, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::sessions::OneOrMany;
use crate::{
    answer::Json,
    app::{App, Denial},
    body::{Form, Parameters},
    client::{Caller, Client, Role},
    openapi::words::Seconds,
    problem::{OauthProblem, Problem},
    rotation::Wish,
    sender::Sender,
    serving::Serving,
    session::Pair,
};

pub(super) fn routes() -> (Router<Serving>, OpenApi) {
    let (router, document) = OpenApiRouter::default()
        .routes(routes!(revoke))
        .routes(routes!(introspect))
        .routes(routes!(token))
        .split_for_parts();
    let router = router.method_not_allowed_fallback(async || OauthProblem(Problem::method_not_allowed()));
    let (behind, about) = OpenApiRouter::default()
        .routes(routes!(metadata))
        // An issuer with a path has its document behind that path (RFC 8414 §3.1).
        .route("/.well-known/oauth-authorization-server/{*path}", get(metadata))
        .split_for_parts();
    (router.merge(behind), document.merge_from(about))
}

/// What the form of revocation and introspection has (RFC 7009 §2.1, RFC 7662 §2.1).
#[derive(ToSchema)]
#[expect(dead_code, reason = "read as parameters, of which others are not looked at")]
struct TokenForm {
    #[schema(min_length = 1)]
    token: String,
    /// Not looked at: a token says itself which kind it is.
    #[schema(value_type = String, required = false)]
    token_type_hint: Option<String>,
}

/// What the form of the token endpoint has (RFC 6749 §6).
#[derive(ToSchema)]
#[expect(dead_code, reason = "read as parameters, of which others are not looked at")]
struct GrantForm {
    #[schema(pattern = "^refresh_token$")]
    grant_type: String,
    refresh_token: String,
    /// What of the granted scope the access token is to have; all where nothing is said.
    #[schema(value_type = String, required = false)]
    scope: Option<String>,
}

/// A call of a client: who it is, and its form, which is looked at only if it is somebody.
async fn called(app: &App, request: Request, role: Option<Role>) -> Result<(&Client, Parameters), Problem> {
    let caller = Caller::of(&request);
    let form = Form::from_request(request, &()).await;
    // Two ways of authentication at once (RFC 6749 §2.3); a secret in the body alone is not offered, and is no client.
    let in_body = form
        .as_ref()
        .is_ok_and(|Form(form)| form.value("client_secret").is_some());
    if in_body && caller.headers().contains_key(axum::http::header::AUTHORIZATION) {
        return Err(Problem::request_invalid(
            "the client authenticates in more than one way",
        ));
    }
    let client = caller.authorize(&app.clients, &app.failures, role)?;
    let Form(form) = form?;
    if form.value("client_id").is_some_and(|id| id != client.id()) {
        return Err(Problem::request_invalid(
            "client_id is not the client that authenticates",
        ));
    }
    Ok((client, form))
}

fn token_of(form: &Parameters) -> Result<&str, Problem> {
    form.value("token")
        .filter(|t| !t.is_empty())
        .ok_or_else(|| Problem::request_invalid("token is missing"))
}

/// Revokes a token of the calling client (RFC 7009).
///
/// Revoked, unknown, expired and malformed are all the same answer. A refresh token takes its whole session along.
#[utoipa::path(
    post,
    path = "/oauth/revoke",
    tag = "oauth",
    security(("client" = ["revoke"])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = OK, description = "It is as dead as its client wants it. No body."),
        (status = BAD_REQUEST, description = "`invalid_request`; `invalid_grant`: the token is another client's, and stays valid.")
    )
)]
async fn revoke(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, OauthProblem> {
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let (client, form) = called(&app, request, Some(Role::Revoke)).await?;
    // Which kind of token it is it says itself, so that a wrong hint costs nothing (P66, P79).
    let token = match app.judge_to_end(app.verify_either(token_of(&form)?).await).await {
        Ok(token) => token,
        Err(Denial::Unknown(problem)) => return Err(problem.into()),
        // What is not good is no error: it is as dead as its client wants it (RFC 7009 §2.2).
        Err(Denial::Refused(_)) => return Ok(StatusCode::OK),
    };
    let claims = token.claims();
    if claims.client_id().is_none_or(|id| id.as_str() != client.id()) {
        return Err(Problem::client_mismatch("the token was issued to another client").into());
    }
    let iss = claims.iss();
    let session = claims.sid().map(|sid| TargetRef::Session { iss, sid });
    let itself = claims.token_id().map(|jti| TargetRef::Token { iss, jti });
    let target = match token.typ() {
        // P68: the access tokens of the same grant go with it.
        TokenType::Refresh => session.or(itself),
        _ => itself,
    };
    if let Some(target) = target {
        let revocation = Revocation::new(target.to_owned(), Reason::Logout, &app.policy, app.revoking_at())
            .expiring(claims.exp(), &app.policy);
        let revoking = app.kept.denylist.submit(vec![revocation]).map_err(Problem::from)?;
        let receipts = revoking.await.map_err(Problem::from)?;
        app.record_revocations(&receipts, client.id(), &sender).await?;
        tracing::info!(client = client.id(), kind = %target.kind(), "revoked by its client");
    }
    Ok(StatusCode::OK)
}

/// Whether a token is good, and what it says (RFC 7662).
#[utoipa::path(
    post,
    path = "/oauth/introspect",
    tag = "oauth",
    security(("client" = ["introspect"])),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = OK, description = "`{\"active\":false}` and nothing else for whatever is not good.", body = Introspection))
)]
async fn introspect(State(app): State<Arc<App>>, request: Request) -> Result<Response, OauthProblem> {
    let (client, form) = called(&app, request, Some(Role::Introspect)).await?;
    match app.judge_either(token_of(&form)?).await {
        // P75, P78: what it could not be presented to is none of its business.
        Ok(token) if !client.may_ask_about(token.claims().aud()) => Ok(Json(Introspection::default()).into_response()),
        Ok(token) => Ok(Json(Introspection::of(token.typ(), token.claims())).into_response()),
        Err(Denial::Unknown(problem)) => Err(problem.into()),
        Err(Denial::Refused(_)) => Ok(Json(Introspection::default()).into_response()),
    }
}

/// RFC 7662 §2.2; times as whole seconds, whatever the token has (P77).
#[derive(Default, Serialize, ToSchema)]
struct Introspection<'a> {
    active: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    scope: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    client_id: Option<&'a str>,
    /// `Bearer` for an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    jti: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    sid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seconds, required = false)]
    exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seconds, required = false)]
    iat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seconds, required = false)]
    nbf: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = OneOrMany, required = false)]
    aud: Option<OneOrMany>,
}

impl<'a> Introspection<'a> {
    fn of(typ: TokenType, claims: &'a Claims) -> Self {
        let mut audiences: Vec<_> = claims.aud().iter().map(str::to_owned).collect();
        Self {
            active: true,
            scope: Some(claims.scope().as_str()).filter(|scope| !scope.is_empty()),
            client_id: claims.client_id().map(ClientId::as_str),
            token_type: (typ == TokenType::Access).then_some("Bearer"),
            sub: claims.sub().map(Subject::as_str),
            iss: Some(claims.iss().as_str()),
            jti: claims.jti().map(Jti::as_str),
            sid: claims.sid().map(SessionId::as_str),
            exp: Some(claims.exp().as_secs()),
            iat: claims.iat().map(UnixTime::as_secs),
            nbf: claims.nbf().map(UnixTime::as_secs),
            aud: match audiences.len() {
                0 => None,
                1 => audiences.pop().map(OneOrMany::One),
                _ => Some(OneOrMany::Many(audiences)),
            },
        }
    }
}

/// The next pair, for a refresh token of the calling client (RFC 6749 §6).
#[utoipa::path(
    post,
    path = "/oauth/token",
    tag = "oauth",
    security(("client" = [])),
    request_body(content = GrantForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = OK, description = "The next pair.", body = Pair),
        (status = BAD_REQUEST, description = "`invalid_request`, `unsupported_grant_type`, `invalid_scope`; `invalid_grant`: the refresh token is not good.")
    )
)]
async fn token(State(app): State<Arc<App>>, request: Request) -> Result<Response, OauthProblem> {
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let (client, form) = called(&app, request, None).await?;
    match form.value("grant_type") {
        Some("refresh_token") => {}
        Some(_) => return Err(Problem::grant_unsupported().into()),
        None => return Err(Problem::request_invalid("grant_type is missing").into()),
    }
    let token = form
        .value("refresh_token")
        .ok_or_else(|| Problem::request_invalid("refresh_token is missing"))?;
    let scope = form.value("scope").map(Scope::new).transpose();
    let scope = scope.map_err(|problem| Problem::request_invalid(format!("scope: {problem}")))?;
    let wish = Wish {
        scope: scope.as_ref(),
        client: Some(client.id()),
        sender: Some(&sender),
    };
    let pair = app.refresh(token, wish).await.map_err(Problem::from)?;
    Ok((Pair::headers(), Json(pair.without_cookies())).into_response())
}

/// What of RFC 8414 §2 there is to say. There is no authorization endpoint, so no response type that anyone could ask for.
#[derive(Serialize, ToSchema)]
#[schema(as = AuthorizationServer)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: String,
    token_endpoint_auth_methods_supported: [&'static str; 1],
    revocation_endpoint: String,
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    introspection_endpoint: String,
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    jwks_uri: String,
    grant_types_supported: [&'static str; 1],
    response_types_supported: [&'static str; 1],
}

/// The path of an issuer that can have metadata (RFC 8414 §2).
fn path_of(issuer: &str) -> Option<&str> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let uri: Uri = issuer.parse().ok()?;
    let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&uri.host()?);
    let is_fit = scheme == "https" || scheme == "http" && is_here;
    (is_fit && !host.is_empty() && !rest.contains(['?', '#'])).then_some(path)
}

/// Where what is (RFC 8414); behind this path that of the issuer, if it has one. Only of an issuer that can have it: a URL
/// with https, or with http on this machine, and without query and fragment (§2).
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "oauth",
    responses(
        (status = OK, description = "The metadata.", body = Metadata),
        (status = NOT_FOUND, description = "`not_found`: the issuer has another path, or can have no metadata.")
    )
)]
async fn metadata(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let issuer = app.tokens.issuer.as_str();
    let Some(path) = path_of(issuer) else {
        return Err(Problem::not_found());
    };
    let asked = request
        .uri()
        .path()
        .trim_start_matches("/.well-known/oauth-authorization-server");
    if asked.trim_matches('/') != path.trim_matches('/') {
        return Err(Problem::not_found());
    }
    let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
    let methods = ["client_secret_basic"];
    Ok(Json(Metadata {
        issuer,
        token_endpoint: at("/oauth/token"),
        token_endpoint_auth_methods_supported: methods,
        revocation_endpoint: at("/oauth/revoke"),
        revocation_endpoint_auth_methods_supported: methods,
        introspection_endpoint: at("/oauth/introspect"),
        introspection_endpoint_auth_methods_supported: methods,
        jwks_uri: at("/.well-known/jwks.json"),
        grant_types_supported: ["refresh_token"],
        response_types_supported: ["none"],
    })
    .into_response())
}
