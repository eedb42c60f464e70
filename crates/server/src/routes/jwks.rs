//! `GET /.well-known/jwks.json`.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use ostracon_core::SigningKey;
use serde_json::json;

use crate::app::App;

/// The public halves of all keys (RFC 7517 §5); a secret has none and does not show.
pub(super) async fn jwks(State(app): State<Arc<App>>) -> Response {
    let keys: Vec<_> = app.keys.iter().filter_map(SigningKey::public_jwk).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    (headers, Json(json!({"keys": keys}))).into_response()
}
