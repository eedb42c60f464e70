//! `/auth/verify`: whether a request may pass, for the proxy in front of an application.

mod shortcut;

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode},
};
use ostracon_core::{Claims, ClientId, Demand, Jti, Scope, SessionId, Subject, Tier, TokenType, VerifiedToken};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use utoipa::ToSchema;

pub(crate) use self::shortcut::{Asked, Shortcut};
use super::guard;
use crate::{
    app::App,
    body::Parameters,
    credentials::{self, Ambiguous},
    fields::Fields,
    listen::Peer,
    problem::Problem,
};

/// Whether a request may pass, for proxies: nginx `auth_request`, Traefik `ForwardAuth`, Caddy `forward_auth`, Envoy `ext_authz`.
///
/// Answers 2xx, 401 and 403, which is all that proxies understand, and 503 when the store fails. Any method; the body is not
/// read. Without credentials the challenge names no error (RFC 6750 §3).
#[utoipa::path(
    method(get, post, put, patch, delete, head),
    path = "/auth/verify",
    tag = "sessions",
    security(("bearer" = []), ("access_cookie" = [])),
    params(
        ("aud" = Option<String>, Query, description = "Whom the token must be for; the configured audience where nothing is said."),
        ("scope" = Option<String>, Query, description = "What it must allow, separated by spaces: all of it."),
        ("tier" = inline(Option<TierWord>), Query, description = "How strictly it is looked at; rules of the configuration can only add to it."),
        ("X-Forwarded-Uri" = Option<String>, Header, description = "From a trusted proxy: where the request goes, for rules by path.")
    ),
    responses(
        (
            status = OK,
            description = "It may. A value that cannot stand in a header is percent-encoded; one that the token has not is empty.",
            headers(
                ("X-Auth-Subject" = String, description = "`sub`"),
                ("X-Auth-Session" = String, description = "`sid`"),
                ("X-Auth-Client" = String, description = "`client_id`"),
                ("X-Auth-Scope" = String, description = "`scope`"),
                ("X-Auth-Token-Id" = String, description = "`jti`"),
                ("X-Auth-Expires" = u64, description = "`exp`, in whole seconds")
            )
        ),
        (status = FORBIDDEN, description = "`scope_insufficient`: it does not allow that much. `request_invalid`: the query is none of this route, so that nothing passes.")
    )
)]
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<HeaderMap, Problem> {
    let presented = credentials::access_token(&headers, &app.cookies)
        .map_err(|Ambiguous| Problem::credentials_ambiguous().with_status(StatusCode::UNAUTHORIZED))?
        .ok_or_else(Problem::token_missing)?;
    let rule = Rule::parse(query.as_deref().unwrap_or("")).map_err(|p| p.with_status(StatusCode::FORBIDDEN))?;
    let token = app.verify(presented.token, TokenType::Access).await?;
    let audience = rule.aud.as_deref().or_else(|| app.usual_audience(&token));
    let path = Some(forwarded_path(&app, Peer::address(&extensions), &headers));
    let demand = Demand {
        audiences: audience.as_slice(),
        scope: rule.scope,
        tier: rule.tier,
        path,
    };
    let token = app.judge_verified(token, &demand).await?;
    Ok(identity(token.claims()))
}

/// The head of the answer, as it goes over the wire up to what is another each time. Written once for each token that is
/// remembered.
fn written(token: &VerifiedToken) -> Cow<'_, [u8]> {
    let write = |claims: &Claims| Written(to_bytes(&guarded(claims)));
    match token.kept(write) {
        Some(Written(bytes)) => Cow::Borrowed(bytes),
        None => Cow::Owned(to_bytes(&guarded(token.claims())).into()),
    }
}

/// See [`written`].
struct Written(Box<[u8]>);

fn to_bytes(headers: &HeaderMap) -> Box<[u8]> {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in headers {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.into()
}

fn guarded(claims: &Claims) -> HeaderMap {
    let mut headers = identity(claims);
    guard(&mut headers);
    headers
}

const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// Where the request that is asked about goes, by the word of a proxy that is trusted. Empty where nobody is, or says
/// nothing: a path that can be read in any way, so that of the rules by path the strictest applies.
fn forwarded_path<'h, F: Fields + ?Sized>(app: &App, address: Option<IpAddr>, fields: &'h F) -> &'h str {
    if !address.is_some_and(|a| app.trusted_proxies.contains(&a.to_canonical())) {
        return "";
    }
    let sent = fields
        .only(&FORWARDED_URI)
        .filter(|uri| uri.iter().copied().all(is_visible));
    let uri = sent.and_then(|uri| str::from_utf8(uri).ok()).unwrap_or("");
    uri.split('?').next().unwrap_or("")
}

/// Whether `byte` is of US-ASCII and seen, the tab among them, as the space is.
fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

/// The words of [`Tier`].
#[derive(ToSchema)]
#[schema(as = Tier, rename_all = "snake_case")]
#[expect(dead_code, reason = "the words are looked at as they are")]
enum TierWord {
    Low,
    Standard,
    High,
}

/// What the proxy's configuration asks for. What it does not understand it refuses: a rule with a slip in it would pass
/// more than was meant.
struct Rule {
    aud: Option<String>,
    scope: Scope,
    tier: Option<Tier>,
}

impl Rule {
    fn parse(query: &str) -> Result<Self, Problem> {
        let parameters = Parameters::parse(query.as_bytes())?;
        parameters.only(&["aud", "scope", "tier"])?;
        let scope = Scope::new(parameters.value("scope").unwrap_or(""))
            .map_err(|problem| Problem::request_invalid(format!("scope: {problem}")))?;
        let tier = match parameters.value("tier") {
            None => None,
            Some("low") => Some(Tier::Low),
            Some("standard") => Some(Tier::Standard),
            Some("high") => Some(Tier::High),
            Some(_) => return Err(Problem::request_invalid("tier is low, standard or high")),
        };
        Ok(Self {
            aud: parameters.value("aud").map(str::to_owned),
            scope,
            tier,
        })
    }
}

/// What a header cannot hold, and the percent sign, so that decoding gives back what was encoded.
const NOT_IN_A_LIST: &AsciiSet = &CONTROLS.add(b'%');
/// The same and the space, which is lost at the ends of a header.
const NOT_IN_A_NAME: &AsciiSet = &NOT_IN_A_LIST.add(b' ');

/// Who the token is about. Each header stands, empty where the token does not say, so that a proxy that copies them
/// never leaves the client's own in their place (A81).
fn identity(claims: &Claims) -> HeaderMap {
    let name = |text: Option<&str>| header(text.unwrap_or(""), NOT_IN_A_NAME);
    HeaderMap::from_iter(
        [
            ("x-auth-subject", name(claims.sub().map(Subject::as_str))),
            ("x-auth-session", name(claims.sid().map(SessionId::as_str))),
            ("x-auth-client", name(claims.client_id().map(ClientId::as_str))),
            ("x-auth-scope", header(claims.scope().as_str(), NOT_IN_A_LIST)),
            ("x-auth-token-id", name(claims.jti().map(Jti::as_str))),
            ("x-auth-expires", HeaderValue::from(claims.exp().as_secs())),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), value)),
    )
}

fn header(text: &str, encoded: &'static AsciiSet) -> HeaderValue {
    let text: Cow<'_, str> = utf8_percent_encode(text, encoded).into();
    // Nothing is left that a header cannot hold; if it were, an empty one is safer than none.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a88_values_that_headers_cannot_hold_are_encoded() {
        let json = r#"{"iss":"i","exp":9.5,"sub":" 100% J\u00f6rg","jti":"j","scope":"a b"}"#;
        let headers = identity(&Claims::parse(json.as_bytes()).unwrap());
        let value = |name: &str| headers.get(name).unwrap().to_str().unwrap();
        assert_eq!(value("x-auth-subject"), "%20100%25%20J%C3%B6rg");
        assert_eq!((value("x-auth-scope"), value("x-auth-expires")), ("a b", "9"));
        assert_eq!((value("x-auth-session"), value("x-auth-client")), ("", ""));
    }

    #[test]
    fn a_rule_with_a_slip_in_it_is_refused() {
        assert!(Rule::parse("aud=shop&scope=read%20write&tier=high").is_ok());
        for bad in [
            "teir=high",
            "tier=High",
            "tier=",
            "scope=a%22",
            "aud=a&aud=b",
            "access_token=x",
        ] {
            assert!(Rule::parse(bad).is_err(), "{bad}");
        }
    }
}
