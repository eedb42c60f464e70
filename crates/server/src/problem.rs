//! Failures as answers: the one place where status codes are given out (RFC 9457, RFC 6750 §3).
//!
//! What is said outwardly never repeats a token, a key, a secret or a path of this machine (I8); what an operator has to
//! know goes to the log.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use ostracon_core::Refusal;
use ostracon_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{answer, client::Role, heads::MAX_HEAD_BYTES, progress::Progress};

/// A failure as the caller is told of it: a status, a word that programs match on, a sentence for people. As an answer it is
/// `application/problem+json` (RFC 9457) with the challenge that belongs to it (RFC 6750 §3), and nobody keeps it.
///
/// ```
/// use axum::{http::StatusCode, response::IntoResponse};
/// use ostracon_server::Problem;
///
/// // What a handler does that has an answer of its own for those who are logged out.
/// fn answer(problem: Problem) -> axum::response::Response {
///     match problem.code() {
///         "token_missing" | "token_expired" => StatusCode::NOT_FOUND.into_response(),
///         _ => problem.into_response(),
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// `WWW-Authenticate`.
    challenge: Option<String>,
    /// `Retry-After`, in seconds.
    retry_after: Option<u32>,
    /// The client that it is told to, where one was named that there is.
    client: Option<Box<str>>,
    /// How far it went before it failed.
    progress: Option<Box<Progress>>,
}

/// What an answer with a problem is known by, for whoever counts and records; it goes no further.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) code: &'static str,
    pub(crate) client: Option<Box<str>>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            challenge: None,
            retry_after: None,
            client: None,
            progress: None,
        }
    }

    /// Its HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The same, told to the client `id`.
    pub(crate) fn to(self, id: Option<&str>) -> Self {
        Self {
            client: id.map(Into::into),
            ..self
        }
    }

    /// The word that programs match on, such as `token_revoked`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The word that programs match on, and what people read.
    pub(crate) fn told(self) -> (&'static str, String) {
        (self.code, self.detail)
    }

    /// The same, with how far it went.
    pub(crate) fn after(self, progress: Progress) -> Self {
        Self {
            progress: Some(Box::new(progress)),
            ..self
        }
    }

    fn details(&self) -> Details<'_> {
        Details {
            r#type: format!("urn:ostracon:problem:{}", self.code),
            title: self.code.replace('_', " "),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            progress: self.progress.as_deref(),
        }
    }

    /// What an answer with it has for a body.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut body = serde_json::to_vec(&self.details()).unwrap_or_default();
        body.push(b'\n');
        body
    }

    /// Whether it is no fault of the request.
    pub(crate) fn is_server_error(&self) -> bool {
        self.status.is_server_error()
    }

    /// The same under another status.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    fn bearer(self, error: &'static str) -> Self {
        let challenge = format!(
            "Bearer realm=\"ostracon\", error=\"{error}\", error_description=\"{}\"",
            self.detail
        );
        Self {
            challenge: Some(challenge),
            ..self
        }
    }

    /// No credentials at all: the challenge names no error (RFC 6750 §3.1).
    pub(crate) fn token_missing() -> Self {
        Self {
            challenge: Some("Bearer realm=\"ostracon\"".into()),
            ..Self::new(StatusCode::UNAUTHORIZED, "token_missing", "no token was sent")
        }
    }

    /// Two tokens where one is to be (RFC 6750 §2).
    pub(crate) fn credentials_ambiguous() -> Self {
        let detail = "more than one credential was sent";
        Self::new(StatusCode::BAD_REQUEST, "credentials_ambiguous", detail).bearer("invalid_request")
    }

    pub(crate) fn csrf_refused() -> Self {
        let detail =
            "the request comes from a page of another site; cookies.allowed_origins names those that may send it";
        Self::new(StatusCode::FORBIDDEN, "csrf_refused", detail)
    }

    pub(crate) fn client_unauthorized() -> Self {
        let detail = "HTTP Basic with the id and the secret of a client is needed";
        Self {
            challenge: Some("Basic realm=\"ostracon\", charset=\"UTF-8\"".into()),
            ..Self::new(StatusCode::UNAUTHORIZED, "client_unauthorized", detail)
        }
    }

    pub(crate) fn role_missing(role: Role) -> Self {
        let detail = format!("the client does not have the role {:?}", role.as_str());
        Self::new(StatusCode::FORBIDDEN, "role_missing", detail)
    }

    /// Too many failed logins.
    pub(crate) fn too_many_failures(wait: core::time::Duration) -> Self {
        let seconds = u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(60);
        Self {
            retry_after: Some(seconds),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "too many failed logins; hold off",
            )
        }
    }

    /// As many event streams are open as may be.
    pub(crate) fn streams_exhausted() -> Self {
        let detail = "as many event streams are open as limits.event_streams allows";
        Self {
            retry_after: Some(10),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "streams_exhausted", detail)
        }
    }

    /// The request, or its answer, took too long.
    pub(crate) fn request_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "the request took too long",
        )
    }

    /// The request's query or form does not say what it must.
    pub(crate) fn request_invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request_invalid", detail)
    }

    /// The body is not what its media type says.
    pub(crate) fn body_malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
    }

    /// The body is well-formed, and a member of it is not as it must be.
    pub(crate) fn member_invalid(member: &str, problem: impl core::fmt::Display) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "member_invalid",
            format!("{member}: {problem}"),
        )
    }

    /// A token in a body, which the caller does not present but speaks of, is none that could be accepted.
    pub(crate) fn member_refused(member: &str, refusal: &Refusal) -> Self {
        let detail = format!("{member}: {refusal}");
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, refusal.code().as_str(), detail)
    }

    /// A refresh token that is not exchanged.
    pub(crate) fn refresh_refused(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail).bearer("invalid_token")
    }

    /// A token that is not the asking client's.
    pub(crate) fn client_mismatch(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "client_mismatch", detail)
    }

    pub(crate) fn grant_unsupported() -> Self {
        let detail = "grant_type refresh_token is the only one";
        Self::new(StatusCode::BAD_REQUEST, "grant_unsupported", detail)
    }

    /// What is asked for contradicts what is revoked.
    pub(crate) fn revoked_ahead(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "revoked_ahead", detail)
    }

    /// The head of a request is larger than it may be.
    pub(crate) fn head_too_large() -> Self {
        let detail =
            format!("the head of the request is larger than {MAX_HEAD_BYTES} bytes, or has more than 100 fields");
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail)
    }

    /// The head of a request is none.
    pub(crate) fn head_malformed() -> Self {
        let detail = "the head of the request is not as HTTP has it";
        Self::new(StatusCode::BAD_REQUEST, "head_malformed", detail)
    }

    /// A request is for something of too long a name.
    pub(crate) fn target_too_long() -> Self {
        let detail = "what is asked for has too long a name";
        Self::new(StatusCode::URI_TOO_LONG, "target_too_long", detail)
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// A batch that is larger than it may be.
    pub(crate) fn batch_too_large(limit: u64) -> Self {
        let detail = format!("the batch is larger than {limit} bytes; send the rest as another, or raise limits.batch");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// Something else of its kind is going on.
    pub(crate) fn maintenance_running() -> Self {
        let detail = "a backup, a sweep or a rebuild is running; try again when it is done";
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::CONFLICT, "maintenance_running", detail)
        }
    }

    /// What a wrong clock forgets is lost.
    pub(crate) fn clock_unsettled(wait: core::time::Duration) -> Self {
        let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
        let detail = format!(
            "the clock has not gone evenly for ten minutes since the start or a jump, and what a wrong clock forgets is \
             lost; sweep again in {seconds} seconds. No answer depends on it"
        );
        Self {
            retry_after: Some(seconds),
            ..Self::new(StatusCode::CONFLICT, "clock_unsettled", detail)
        }
    }

    /// What is asked for is switched off by the configuration.
    pub(crate) fn not_configured(detail: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, "not_configured", detail)
    }

    pub(crate) fn backup_failed(error: &StoreError) -> Self {
        tracing::error!(%error, "the backup could not be made");
        let detail = "the backup could not be made, and nothing is left under its name; the log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "backup_failed", detail)
    }

    pub(crate) fn media_type_unsupported(expected: &str) -> Self {
        let detail = format!("a body of type {expected} is needed");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type_unsupported", detail)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is no such route on this listener",
        )
    }

    /// What is asked for by its identity is not there.
    pub(crate) fn absent(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let detail = "the route does not take this method; see Allow";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// The clock shows a time at which everything that could be issued has long ended.
    pub(crate) fn clock_behind(until: ostracon_core::UnixTime) -> Self {
        let detail = format!(
            "revocations up to {until} (seconds since 1970) were forgotten by a clock that ran ahead; \
             until then whatever is issued counts as expired. Set the clock right, or restore a backup"
        );
        Self::not_ready(detail)
    }

    pub(crate) fn not_ready(detail: impl Into<String>) -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", detail)
        }
    }

    pub(crate) fn store_unavailable() -> Self {
        let detail = "the denylist cannot answer at the moment; nothing was decided";
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
        }
    }

    /// What was asked for cannot be recorded, and the configuration says that it must be.
    pub(crate) fn audit_unavailable(what: &'static str) -> Self {
        let detail = format!("the audit log cannot be written, and audit.required is set: {what}");
        Self {
            retry_after: Some(1),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", detail)
        }
    }

    /// The keys of the token's issuer could not be fetched. No 401, on which a client would drop a session that may be
    /// good.
    pub(crate) fn keys_unavailable() -> Self {
        let detail = "the keys of the token's issuer cannot be had at the moment; nothing was decided";
        Self {
            retry_after: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "keys_unavailable", detail)
        }
    }

    /// Something that cannot happen did.
    pub(crate) fn internal(cause: impl core::fmt::Display) -> Self {
        tracing::error!(%cause, "a request could not be answered");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed; its log says why",
        )
    }
}

impl core::fmt::Display for Problem {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl core::error::Error for Problem {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, error) = match refusal {
            Refusal::StoreUnavailable => return Self::store_unavailable(),
            Refusal::ScopeInsufficient => (StatusCode::FORBIDDEN, "insufficient_scope"),
            _ => (StatusCode::UNAUTHORIZED, "invalid_token"),
        };
        Self::new(status, refusal.code().as_str(), refusal.to_string()).bearer(error)
    }
}

/// I5: a store that cannot answer is neither a pass nor a 401, on which a client would drop a good session.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the denylist could not answer");
        match error {
            // What is denied is known; the path, which the log has, is nobody's business.
            StoreError::Full { .. } => Self {
                detail: "the disk of the denylist is nearly full, so that nothing is written; it goes on once there is space".into(),
                ..Self::store_unavailable()
            },
            _ => Self::store_unavailable(),
        }
    }
}

/// The members of RFC 9457 §3.1, and the word that programs match on. That of a batch has the members of its progress, too.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Details<'a> {
    /// `urn:ostracon:problem:` and the code.
    r#type: String,
    /// The code in words.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong, for people. Never a token, a key or a secret.
    detail: &'a str,
    /// What is wrong, for programs: a stable word.
    code: &'static str,
    /// Of a batch: how far it went.
    #[serde(flatten)]
    #[schema(ignore)]
    progress: Option<&'a Progress>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, answer::Json(self.details())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge.and_then(|c| HeaderValue::try_from(c).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let (code, client) = (self.code, self.client);
        response.extensions_mut().insert(Told { code, client });
        response
    }
}

/// The same, as the OAuth endpoints tell it (RFC 6749 §5.2).
#[derive(Debug)]
pub(crate) struct OauthProblem(pub(crate) Problem);

impl From<Problem> for OauthProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = OauthProblem)]
pub(crate) struct OauthDetails {
    /// One of RFC 6749 §5.2 and RFC 7009 §2.2.1, or `temporarily_unavailable` and `server_error`.
    error: &'static str,
    /// What is wrong, for people.
    error_description: String,
}

impl IntoResponse for OauthProblem {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let (error, status) = match (problem.code, problem.status) {
            ("client_unauthorized", status) => ("invalid_client", status),
            ("role_missing", status) => ("unauthorized_client", status),
            ("grant_unsupported", status) => ("unsupported_grant_type", status),
            ("scope_insufficient", _) => ("invalid_scope", StatusCode::BAD_REQUEST),
            ("client_mismatch", status) => ("invalid_grant", status),
            // Whatever a resource would answer 401 to, is here a grant that is not good.
            (_, StatusCode::UNAUTHORIZED) => ("invalid_grant", StatusCode::BAD_REQUEST),
            (_, status @ StatusCode::SERVICE_UNAVAILABLE) => ("temporarily_unavailable", status),
            (_, status) if status.is_server_error() => ("server_error", status),
            (_, status) => ("invalid_request", status),
        };
        let body = answer::Json(OauthDetails {
            error,
            // The characters that RFC 6749 §5.2 allows have no quotation mark.
            error_description: problem.detail.replace('"', "'"),
        });
        let challenge = problem.challenge.filter(|_| error == "invalid_client");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
        if let Some(challenge) = challenge.and_then(|c| HeaderValue::try_from(c).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = problem.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let (code, client) = (problem.code, problem.client);
        response.extensions_mut().insert(Told { code, client });
        response
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::Segment;

    use super::*;

    /// P48, P52: an error stands once, in characters that a quoted string can hold.
    #[test]
    fn p048_p052_challenges_are_well_formed() {
        for refusal in [
            Refusal::TooLarge,
            Refusal::Malformed(Segment::Token, "not three base64url segments"),
            Refusal::Unsupported("typ"),
            Refusal::ClaimInvalid("exp", "absent"),
            Refusal::Expired,
            Refusal::ScopeInsufficient,
        ] {
            let response = Problem::from(refusal.clone()).into_response();
            let challenge = response
                .headers()
                .get(header::WWW_AUTHENTICATE)
                .unwrap()
                .to_str()
                .unwrap();
            assert_eq!(challenge.matches("error=").count(), 1);
            let description = challenge
                .split("error_description=\"")
                .nth(1)
                .unwrap()
                .strip_suffix('"')
                .unwrap();
            let fits = |b: u8| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(description.bytes().all(fits), "{description}");
            let status = if refusal == Refusal::ScopeInsufficient {
                403
            } else {
                401
            };
            assert_eq!(response.status(), status);
        }
    }

    #[test]
    fn i5_a_failing_store_is_a_503_with_retry_after() {
        let response = Problem::from(StoreError::Engine("disk on fire at /var/lib/x".into())).into_response();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
        assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
    }
}
