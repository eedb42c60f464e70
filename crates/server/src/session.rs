//! A session's tokens: what stays the same over a login, and the pairs that are signed for it.

use std::time::Duration;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponseParts, ResponseParts},
};
use ostracon_core::{
    Claims, ClientId, Compact, Note, Refusal, Scope, SessionId, SigningKey, Subject, TokenType, UnixTime, VerifiedToken,
};
use ostracon_store::{Seen, Session};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    app::App,
    cookies,
    openapi::words::{Name, Token},
    problem::Problem,
};

/// What a login has granted: it does not change however often its tokens are refreshed (P45, P61, P94).
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) sub: Subject,
    pub(crate) aud: Vec<String>,
    pub(crate) client_id: ClientId,
    pub(crate) scope: Scope,
    pub(crate) sid: SessionId,
    /// What the user would know the session by.
    pub(crate) device: Option<Note>,
    /// When the subject logged in.
    pub(crate) auth_time: UnixTime,
    /// When the session ends, whatever is refreshed.
    pub(crate) ends: UnixTime,
    /// What the application wants to read in its tokens, beside [`RESERVED`].
    pub(crate) claims: Map<String, Value>,
}

/// The claims that are ours to set.
pub(crate) const RESERVED: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "sid",
    "client_id",
    "scope",
    "auth_time",
    "session_exp",
];

/// What only a refresh token says.
#[derive(Deserialize)]
struct Carried {
    auth_time: u64,
    session_exp: u64,
    #[serde(default)]
    device: Option<Note>,
    #[serde(default)]
    claims: Map<String, Value>,
}

impl Grant {
    /// The grant that a refresh token carries.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClaimInvalid`] when it lacks what every refresh token of ours has.
    pub(crate) fn of(refresh: &VerifiedToken) -> Result<Self, Refusal> {
        let claims = refresh.claims();
        let absent = |name| Refusal::ClaimInvalid(name, "absent");
        let carried: Carried = claims.extra()?;
        Ok(Self {
            sub: claims.sub().ok_or(absent("sub"))?.clone(),
            aud: claims.aud().iter().map(str::to_owned).collect(),
            client_id: claims.client_id().ok_or(absent("client_id"))?.clone(),
            scope: claims.scope().clone(),
            sid: claims.sid().ok_or(absent("sid"))?.clone(),
            device: carried.device,
            auth_time: UnixTime::from_secs(carried.auth_time),
            ends: UnixTime::from_secs(carried.session_exp),
            claims: carried.claims,
        })
    }
}

/// What tells one pair of a session from the next.
pub(crate) struct Turn<'a> {
    pub(crate) access_jti: String,
    pub(crate) refresh_jti: String,
    pub(crate) iat: UnixTime,
    /// What the access token allows: all that is granted, or less.
    pub(crate) scope: &'a Scope,
}

/// What a login is answered with: an access token, a refresh token, and the cookies that hold them.
///
/// Beside a response it sets the cookies; as JSON it is the body of the answer to `POST /v1/sessions`. `Debug` shows
/// neither token (I8).
///
/// ```
/// use axum::response::{IntoResponse, Redirect};
/// use ostracon_server::{Login, Problem, Serving, Subject};
///
/// // What a login form is answered with, once name and password are found to be right.
/// async fn welcome(ostracon: Serving, user: Subject) -> Result<impl IntoResponse, Problem> {
///     let pair = ostracon.log_in(Login::new(user)).await?;
///     Ok((pair, Redirect::to("/")))
/// }
/// ```
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = Tokens)]
pub struct Pair {
    #[schema(value_type = Token)]
    access_token: String,
    #[schema(value_type = Token)]
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u64,
    /// Seconds until the refresh token ends.
    refresh_expires_in: u64,
    /// What the access token allows; left out where it is nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    scope: String,
    /// The session that both belong to.
    #[schema(value_type = Name)]
    sid: SessionId,
    /// The identity of the access token.
    jti: String,
    /// `Set-Cookie` values for whoever talks to the browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<String>, required = false)]
    cookies: Option<[String; 2]>,
}

impl Pair {
    /// The same, told to no browser.
    pub(crate) fn without_cookies(self) -> Self {
        Self { cookies: None, ..self }
    }

    /// The access token.
    #[must_use]
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// The refresh token.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    /// The session that both belong to.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.sid
    }

    /// Ready `Set-Cookie` values.
    #[must_use]
    pub fn cookies(&self) -> &[String] {
        self.cookies.as_ref().map_or(&[], |cookies| cookies)
    }

    /// Tokens are stored by nobody on the way (RFC 6749 §5.1); `Cache-Control` stands on every answer.
    pub(crate) fn headers() -> [(header::HeaderName, HeaderValue); 1] {
        [(header::PRAGMA, HeaderValue::from_static("no-cache"))]
    }
}

impl core::fmt::Debug for Pair {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pair")
            .field("sid", &self.sid)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

impl IntoResponseParts for Pair {
    type Error = Problem;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Problem> {
        cookies::append(parts.headers_mut(), self.cookies())?;
        // What sets a credential is kept by no cache on the way.
        parts
            .headers_mut()
            .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(parts)
    }
}

/// The claims of both kinds of token, in the order in which they are written.
#[derive(Clone, Copy, Serialize)]
struct Issued<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    sid: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_exp: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a Note>,
    /// In an access token beside the others, where applications look for them; in a refresh token, which is read by
    /// nobody but us, under one name, so that the next access token can be given them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    beside: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a Map<String, Value>>,
}

/// One audience is written as a string, several as an array (RFC 7519 §4.1.3).
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

impl App {
    /// Lists the session of `grant`, whose tokens were issued at `iat`, to whom was `seen`.
    pub(crate) fn list(&self, grant: &Grant, iat: UnixTime, seen: Option<Seen>) {
        self.kept.registry.note(Session {
            sub: grant.sub.clone(),
            sid: grant.sid.clone(),
            client_id: grant.client_id.clone(),
            device: grant.device.clone(),
            created: grant.auth_time,
            refreshed: iat,
            expires: iat.saturating_add(self.tokens.refresh_ttl).min(grant.ends),
            seen,
        });
    }

    /// Signs the pair, and lists nothing: for one that may come to nothing.
    pub(crate) fn sign_pair(&self, grant: &Grant, turn: &Turn<'_>) -> Result<Pair, Problem> {
        let now = self.now();
        let ends = |ttl: Duration| turn.iat.saturating_add(ttl).min(grant.ends);
        let (access_ends, refresh_ends) = (ends(self.tokens.access_ttl), ends(self.tokens.refresh_ttl));
        let access = Issued {
            iss: self.tokens.issuer.as_str(),
            sub: grant.sub.as_str(),
            aud: match &*grant.aud {
                [one] => Audience::One(one),
                many => Audience::Many(many),
            },
            client_id: grant.client_id.as_str(),
            scope: turn.scope.as_str(),
            sid: grant.sid.as_str(),
            jti: &turn.access_jti,
            iat: turn.iat.as_secs(),
            exp: access_ends.as_secs(),
            auth_time: grant.auth_time.as_secs(),
            session_exp: None,
            device: None,
            beside: Some(&grant.claims),
            claims: None,
        };
        let refresh = Issued {
            scope: grant.scope.as_str(),
            jti: &turn.refresh_jti,
            exp: refresh_ends.as_secs(),
            session_exp: Some(grant.ends.as_secs()),
            device: grant.device.as_ref(),
            beside: None,
            claims: (!grant.claims.is_empty()).then_some(&grant.claims),
            ..access
        };
        self.issued(turn.iat);
        let signer = self.signer()?;
        let access_token = sign(signer, TokenType::Access, &access)?;
        let refresh_token = sign(signer, TokenType::Refresh, &refresh)?;
        let (expires_in, refresh_expires_in) = (access_ends.since(now), refresh_ends.since(now));
        let set = |cookie, token, max_age| {
            let set = self.cookies.set(cookie, token, max_age);
            set.ok_or_else(|| Problem::member_invalid("claims", "the tokens would not fit into cookies (4096 bytes)"))
        };
        let cookies = Some([
            set(&self.cookies.access, &access_token, expires_in)?,
            set(&self.cookies.refresh, &refresh_token, refresh_expires_in)?,
        ]);
        Ok(Pair {
            token_type: "Bearer",
            expires_in: expires_in.as_secs(),
            refresh_expires_in: refresh_expires_in.as_secs(),
            scope: turn.scope.as_str().to_owned(),
            sid: grant.sid.clone(),
            jti: turn.access_jti.clone(),
            access_token,
            refresh_token,
            cookies,
        })
    }
}

fn sign(signer: &SigningKey, typ: TokenType, issued: &Issued<'_>) -> Result<String, Problem> {
    // What is issued is accepted: the application's claims are held against the same limits as a token that comes in.
    let json = serde_json::to_vec(issued).map_err(Problem::internal)?;
    Claims::parse(&json).map_err(|refusal| Problem::member_invalid("claims", refusal))?;
    let token = signer.sign(typ, issued).map_err(Problem::internal)?;
    if token.len() > Compact::MAX_BYTES {
        return Err(Problem::member_invalid(
            "claims",
            "the tokens would be larger than is accepted",
        ));
    }
    Ok(token)
}
