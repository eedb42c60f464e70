//! `GET /.well-known/jwks.json`.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use ostracon_core::SigningKey;
use serde_json::json;

use crate::{answer::Json, app::App};

/// The public halves of all keys (RFC 7517 §5); a secret has none and does not show.
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Response {
    let keys: Vec<_> = app.keys.iter().filter_map(SigningKey::public_jwk).collect();
    let mut response = Json(json!({"keys": keys})).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/jwk-set+json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}
