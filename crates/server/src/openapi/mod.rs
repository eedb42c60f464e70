//! The document of the API (OpenAPI 3.1): made of the handlers and of the types that they read and write, so that it says
//! what they do.
//!
//! A handler states what is its own. What follows from what it takes (a client that may not, a body that is none) is the same
//! for all, and is added here.

#![expect(
    clippy::indexing_slicing,
    reason = "of a document: what is not there reads as null, and what is written to is an object"
)]

pub(crate) mod words;

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

use crate::{
    metrics::VERIFY,
    problem::{Details, OauthDetails},
    routes,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ostracon",
        description = "Logs JSON Web Tokens out, and keeps them out.\n\n\
            Two listeners: the public one is for browsers, applications and proxies, the admin one for operators and trusted \
            backends. Times are seconds since 1970 UTC. Answers may get more members; the names of those that are here stay.\n\n\
            Whatever it is for, a request whose head is not HTTP is answered 400 `head_malformed`, one for too long a name 414 \
            `target_too_long`, one with too large a head 431 `head_too_large`, each a problem as below, and the connection is closed.\n\n\
            An answer that comes ahead of a body of over 64 KiB, of unknown length, or still waiting to be asked for, says `Connection: close`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    servers(
        (url = "http://127.0.0.1:8080", description = "The public listener, where nothing else is configured"),
        (url = "http://127.0.0.1:8081", description = "The admin listener, where nothing else is configured")
    ),
    tags(
        (name = "sessions", description = "A browser's or an application's own session. Public listener."),
        (name = "oauth", description = "RFC 7009, RFC 7662, RFC 6749 §6, RFC 8414, RFC 7517, OpenID Connect Back-Channel Logout 1.0. Public listener."),
        (name = "backends", description = "Trusted backends log users in and out. Admin listener."),
        (name = "operators", description = "What goes on, and upkeep. Admin listener."),
        (name = "health", description = "Both listeners.")
    ),
    // Those of parameters alone are not found by themselves.
    components(schemas(Details, OauthDetails, words::Place))
)]
struct About;

/// The document, as it is served.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let mut text = format!("{:#}", document());
    text.push('\n');
    text.into()
});

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operators",
    responses((status = OK, description = "The document (OpenAPI 3.1).", body = Object))
)]
pub(crate) async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], DOCUMENT.clone()).into_response()
}

/// All routes of both listeners, as they answer.
pub(crate) fn document() -> Value {
    let mut about = About::openapi();
    about.merge(routes::documented());
    // Nothing of ours is a number that JSON has not.
    let mut document = serde_json::to_value(about).unwrap_or_default();
    document["info"]["version"] = env!("CARGO_PKG_VERSION").into();
    let paths = document["paths"].as_object_mut();
    for (path, item) in paths.into_iter().flatten() {
        let is_oauth = path.starts_with("/oauth/") || path == "/auth/backchannel-logout";
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            finish(path, method, operation, is_oauth);
        }
    }
    let components = &mut document["components"];
    components["securitySchemes"] = json!({
        "client": {
            "type": "http", "scheme": "basic",
            "description": "Id and secret of a client of the configuration. The roles that it needs stand with the operation."
        },
        "bearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "An access token (RFC 6750 §2.1)."
        },
        "access_cookie": {
            "type": "apiKey", "in": "cookie", "name": "__Host-USER_SESSION",
            "description": "An access token, in the cookie that `cookies.access` names. From pages of other sites it is refused."
        },
        "refresh_cookie": {
            "type": "apiKey", "in": "cookie", "name": "__Secure-USER_REFRESH",
            "description": "A refresh token, in the cookie that `cookies.refresh` names. From pages of other sites it is refused."
        },
    });
    components["headers"] = json!({
        "Request-Id": {
            "description": "Names the request in the log and in the audit log: as it was sent, or made here.",
            "schema": {"type": "string"}
        },
        "Challenge": {
            "description": "How to authenticate (RFC 6750 §3, RFC 7617 §2). A Bearer challenge names an error only if there was a token.",
            "schema": {"type": "string"}
        },
        "Retry-After": {"description": "In seconds.", "schema": {"type": "integer", "minimum": 0}},
    });
    document
}

/// Adds what follows from what an operation takes.
fn finish(path: &str, method: &str, operation: &mut Value, is_oauth: bool) {
    let by_client = operation["security"].to_string().contains("\"client\"");
    let by_token = !by_client && operation["security"].is_array();
    let has_role = operation["security"][0]["client"]
        .as_array()
        .is_some_and(|r| !r.is_empty());
    let has_body = operation.get("requestBody").is_some();
    let takes = operation["parameters"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["in"] != "header"));
    let json_only = operation["requestBody"]["content"].get("application/json").is_some();
    if !by_client && has_body && !is_oauth {
        // A cookie says it, too.
        operation["requestBody"]["required"] = false.into();
    }
    // utoipa names an operation as its handler, and one handler may answer several methods.
    operation["operationId"] = operation_id(path, method).into();
    let Some(answers) = operation["responses"].as_object_mut() else {
        return;
    };
    let asks_nobody =
        matches!(path, "/healthz" | "/readyz" | "/openapi.json" | "/metrics") || path.starts_with("/.well-known/");
    let follows = [
        (
            (takes || has_body || by_token) && path != VERIFY,
            "400",
            "`request_invalid`, `body_malformed`, `credentials_ambiguous`: the request is not well-formed.",
        ),
        (by_client, "401", "`client_unauthorized`: no client, or not its secret."),
        (by_token, "401", "No good token; `code` says why."),
        (has_role, "403", "`role_missing`: the client may not."),
        (
            !asks_nobody && !path.starts_with("/v1/maintenance/"),
            "408",
            "`request_timeout`: the request, or its answer, took too long.",
        ),
        (has_body, "413", "`body_too_large`"),
        (has_body, "415", "`media_type_unsupported`"),
        (
            has_body && json_only && !is_oauth,
            "422",
            "`member_invalid`, or the code of a token's refusal: a member is not as it must be; `detail` names it.",
        ),
        (
            by_client,
            "429",
            "`too_many_failures`: too many failed logins, of this client or from this address.",
        ),
        (true, "500", "`internal`: the server failed, and its log says why."),
        (
            !asks_nobody,
            "503",
            "`store_unavailable`, `audit_unavailable`, `keys_unavailable`, `not_ready`: nothing was decided.",
        ),
    ];
    for (holds, status, description) in follows {
        if holds && !answers.contains_key(status) {
            answers.insert(status.to_owned(), json!({"description": description}));
        }
    }
    for (status, answer) in answers {
        finish_answer(status, answer, is_oauth, by_client || by_token);
    }
}

fn finish_answer(status: &str, answer: &mut Value, is_oauth: bool, is_challenged: bool) {
    let is_error = status >= "400";
    if is_error && answer.get("content").is_none() {
        let (media_type, schema) = if is_oauth {
            ("application/json", "OauthProblem")
        } else {
            ("application/problem+json", "Problem")
        };
        answer["content"] = json!({media_type: {"schema": {"$ref": format!("#/components/schemas/{schema}")}}});
    }
    let own = answer["headers"].take();
    let mut headers = own.as_object().cloned().unwrap_or_else(Map::new);
    let reference = |name: &str| json!({"$ref": format!("#/components/headers/{name}")});
    headers.insert("X-Request-Id".into(), reference("Request-Id"));
    if status == "401" && is_challenged {
        headers.insert("WWW-Authenticate".into(), reference("Challenge"));
    }
    if matches!(status, "429" | "503") {
        headers.insert("Retry-After".into(), reference("Retry-After"));
    }
    answer["headers"] = headers.into();
}

/// `GET /v1/revocations/{id}` is `get_v1_revocations_id`.
fn operation_id(path: &str, method: &str) -> String {
    let words = path
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    words.fold(method.to_owned(), |id, word| format!("{id}_{word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `OSTRACON_WRITE_OPENAPI=1` writes it anew, where the change is meant.
    #[test]
    fn the_document_is_the_one_that_is_committed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        if std::env::var_os("OSTRACON_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &*DOCUMENT).unwrap();
        }
        let committed = std::fs::read(path).unwrap();
        assert!(*DOCUMENT == committed, "docs/openapi.json is not what the handlers say");
    }

    /// What a reference points to is there, and what is there is pointed to.
    #[test]
    fn references_and_components_are_in_step() {
        let document = document();
        let text = document.to_string();
        let mut unused = Vec::new();
        for part in ["schemas", "headers"] {
            for name in document["components"][part].as_object().unwrap().keys() {
                let reference = format!("\"#/components/{part}/{name}\"");
                if !text.contains(&reference) {
                    unused.push(reference);
                }
            }
        }
        assert_eq!(unused, Vec::<String>::new());
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn each_operation_says_what_it_is_for_and_what_may_become_of_it() {
        let document = document();
        let mut ids = std::collections::BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["tags"].is_array(), "{method} {path}");
                assert!(operation["responses"]["500"].is_object(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].to_string()), "{method} {path}");
            }
        }
        assert!(ids.len() > 30);
    }
}
