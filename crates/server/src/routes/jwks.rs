//! `GET /.well-known/jwks.json`.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use serde_json::Value;
use utoipa::ToSchema;

use crate::{answer::Json, app::App};

/// A JWK set, as a document has it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "ostracon-core writes it")]
struct KeySet {
    /// RFC 7517 §4; none with a private or secret part.
    keys: Vec<HashMap<String, Value>>,
}

/// The public keys.
///
/// The public halves of all keys (RFC 7517 §5), also of those that do not sign yet, and of retired ones for as long as
/// tokens of theirs may live. A secret has none and does not show.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "oauth",
    responses((
        status = OK,
        description = "A JWK set (RFC 7517 §5).",
        body = KeySet,
        content_type = "application/jwk-set+json",
        headers(("Cache-Control" = String, description = "For how long it may be kept."))
    ))
)]
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Response {
    let own = app.keyring.trusted().issuer(&app.tokens.issuer);
    let set = own.map(|keys| keys.public_jwk_set(&app.policy, app.now()));
    let mut response = Json(set).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
