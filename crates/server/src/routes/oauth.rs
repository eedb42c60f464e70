//! The OAuth endpoints: revocation (RFC 7009), introspection (RFC 7662), refreshing (RFC 6749 §6), metadata (RFC 8414).

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequest, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use ostracon_core::{Claims, ClientId, Jti, Reason, Revocation, Scope, SessionId, Subject, TargetRef, TokenType};
use serde_json::{Map, Value, json};

use crate::{
    answer::Json,
    app::{App, Denial},
    body::{Form, Parameters},
    client::{Caller, Client, Role},
    problem::{OauthProblem, Problem},
    rotation::Wish,
    sender::Sender,
    serving::Serving,
    session::Pair,
};

pub(super) fn routes() -> Router<Serving> {
    Router::new()
        .route("/oauth/revoke", post(revoke))
        .route("/oauth/introspect", post(introspect))
        .route("/oauth/token", post(token))
        .method_not_allowed_fallback(async || OauthProblem(Problem::method_not_allowed()))
        .route("/.well-known/oauth-authorization-server", get(metadata))
        // An issuer with a path has its document behind that path (RFC 8414 §3.1).
        .route("/.well-known/oauth-authorization-server/{*path}", get(metadata))
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

async fn introspect(State(app): State<Arc<App>>, request: Request) -> Result<Response, OauthProblem> {
    let (_, form) = called(&app, request, Some(Role::Introspect)).await?;
    match app.judge_either(token_of(&form)?).await {
        Ok(token) => Ok(Json(active(token.typ(), token.claims())).into_response()),
        Err(Denial::Unknown(problem)) => Err(problem.into()),
        Err(Denial::Refused(_)) => Ok(Json(json!({"active": false})).into_response()),
    }
}

/// RFC 7662 §2.2; times as whole seconds, whatever the token has (P77).
fn active(typ: TokenType, claims: &Claims) -> Value {
    let audiences: Vec<_> = claims.aud().iter().collect();
    let mut members = Map::new();
    members.insert("active".into(), true.into());
    let token_type = (typ == TokenType::Access).then_some("Bearer");
    let scope = Some(claims.scope().as_str()).filter(|scope| !scope.is_empty());
    let texts = [
        ("scope", scope),
        ("client_id", claims.client_id().map(ClientId::as_str)),
        ("token_type", token_type),
        ("sub", claims.sub().map(Subject::as_str)),
        ("iss", Some(claims.iss().as_str())),
        ("jti", claims.jti().map(Jti::as_str)),
        ("sid", claims.sid().map(SessionId::as_str)),
    ];
    members.extend(
        texts
            .into_iter()
            .filter_map(|(name, text)| Some((name.to_owned(), text?.into()))),
    );
    let times = [
        ("exp", Some(claims.exp())),
        ("iat", claims.iat()),
        ("nbf", claims.nbf()),
    ];
    members.extend(
        times
            .into_iter()
            .filter_map(|(name, time)| Some((name.to_owned(), time?.as_secs().into()))),
    );
    let aud = match audiences.as_slice() {
        [] => None,
        [one] => Some(Value::from(*one)),
        many => Some(Value::from(many)),
    };
    members.extend(aud.map(|aud| ("aud".to_owned(), aud)));
    Value::Object(members)
}

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

/// RFC 8414 §2. There is no authorization endpoint, so no response type that anyone could ask for.
async fn metadata(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let issuer = app.tokens.issuer.as_str();
    let path = issuer
        .split_once("://")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map_or("", |(_, path)| path);
    let asked = request
        .uri()
        .path()
        .trim_start_matches("/.well-known/oauth-authorization-server");
    if asked.trim_matches('/') != path.trim_matches('/') {
        return Err(Problem::not_found());
    }
    let at = |path: &str| format!("{}{path}", issuer.trim_end_matches('/'));
    let methods = ["client_secret_basic"];
    Ok(Json(json!({
        "issuer": issuer,
        "token_endpoint": at("/oauth/token"),
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": at("/oauth/revoke"),
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint": at("/oauth/introspect"),
        "introspection_endpoint_auth_methods_supported": methods,
        "jwks_uri": at("/.well-known/jwks.json"),
        "grant_types_supported": ["refresh_token"],
        "response_types_supported": ["none"],
    }))
    .into_response())
}
