//! What the fuzz targets in `fuzz/` reach, with plain types around it: the parsers of what strangers and files say. No
//! part of the interface; nothing here has a behaviour of its own, and nothing of the product calls it.

use std::{num::NonZeroU32, path::Path};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use ostracon_core::{ClientId, Note, Revocation};
use serde_json::{Map, Value};

use crate::{
    body::{self, Parameters},
    client::{Caller, Client},
    config::{Config, ConfigError},
    cookies::{CookieName, CookieSettings, SameSite},
    credentials,
    limits::Failures,
    problem::Problem,
    routes::{audit, events, listing, revocations, sessions},
    strict::Members,
    trail::Entry,
};

pub use crate::transfer::fuzzing as transfer;

/// A problem's word and its detail.
pub type Told = (&'static str, String);

/// Header fields as a request has them; none if no request can have one of these.
fn headers(fields: &[(&str, &[u8])]) -> Option<HeaderMap> {
    let field = |(name, value): &(&str, &[u8])| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    };
    let mut headers = HeaderMap::new();
    for read in fields.iter().map(field) {
        let (name, value) = read?;
        headers.append(name, value);
    }
    Some(headers)
}

/// The token of a request with these fields, where the access cookie is named `cookie`, and whether it was a Bearer's; an
/// error where there is more than one. None of all this if no request can have these.
#[must_use]
pub fn access_token(fields: &[(&str, &[u8])], cookie: &str) -> Option<Result<Option<(String, bool)>, ()>> {
    let headers = headers(fields)?;
    let settings = CookieSettings {
        access: CookieName::known(cookie, "/"),
        refresh: CookieName::known("refresh", "/auth"),
        same_site: SameSite::Lax,
        allowed_origins: [].into(),
        allow_same_site_requests: false,
    };
    let found = credentials::access_token(&headers, &settings);
    Some(match found {
        Ok(found) => Ok(found.map(|presented| (presented.token.to_owned(), presented.by_bearer))),
        Err(credentials::Ambiguous) => Err(()),
    })
}

/// Whether who sends these `Authorization` fields is the client `id` with `secret`; none if no request can have these, or no
/// client that name.
#[must_use]
pub fn is_client(authorization: &[&[u8]], id: &str, secret: &str) -> Option<bool> {
    let fields: Vec<_> = authorization
        .iter()
        .map(|value| (header::AUTHORIZATION.as_str(), *value))
        .collect();
    let mut request = Request::new(());
    *request.headers_mut() = headers(&fields)?;
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    let hash = hash
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let clients = [Client::new(id, &hash, &[]).ok()?];
    let known = Caller::of(&request).authorize(&clients, &Failures::new(NonZeroU32::MAX), None);
    Some(known.is_ok())
}

/// Names and values of a form or a query.
///
/// # Errors
///
/// What is answered.
pub fn form(encoded: &[u8]) -> Result<Vec<(String, String)>, Told> {
    Parameters::parse(encoded)
        .map(Parameters::into_pairs)
        .map_err(Problem::told)
}

/// Names and values of a flat object, where one is taken in place of a form.
///
/// # Errors
///
/// What is answered.
pub fn flat_object(json: &[u8]) -> Result<Vec<(String, String)>, Told> {
    let Members(members) = body::json(json).map_err(Problem::told)?;
    Ok(members)
}

/// The revocation that a body asks for, by itself or as one line of many; none if it takes a token.
///
/// # Errors
///
/// What is answered.
pub fn revocation(json: &[u8], is_line: bool) -> Result<Option<Revocation>, Told> {
    let read = if is_line { body::line } else { body::json };
    let body: revocations::Body = read(json).map_err(Problem::told)?;
    if body.target.is_none() || body.token.is_some() {
        return Ok(None);
    }
    let revocation = transfer::with_terms(|terms| revocations::by_target(terms, body));
    revocation.transpose().map_err(Problem::told)
}

/// The record that `revocation` leaves in the audit log.
#[must_use]
pub fn audit_record(revocation: &Revocation, client: &str) -> String {
    Entry::of_revocation(revocation)
        .by(client)
        .outcome("revoked")
        .into_text(transfer::NOW)
}

/// A login as it is asked for.
#[derive(Debug)]
#[expect(missing_docs, reason = "each is the member of that name")]
pub struct Login {
    pub sub: String,
    pub aud: Vec<String>,
    pub client_id: Option<String>,
    pub scope: String,
    pub device: Option<String>,
    pub claims: Map<String, Value>,
}

/// The login that a body asks for, from the client `caller`.
///
/// # Errors
///
/// What is answered.
pub fn login(json: &[u8], caller: &str) -> Result<Login, Told> {
    let login = body::json(json)
        .and_then(|body| sessions::login(body, caller))
        .map_err(Problem::told)?;
    Ok(Login {
        sub: login.sub.as_str().to_owned(),
        aud: login.aud,
        client_id: login.client_id.as_ref().map(ClientId::as_str).map(str::to_owned),
        scope: login.scope.as_str().to_owned(),
        device: login.device.as_ref().map(Note::as_str).map(str::to_owned),
        claims: login.claims,
    })
}

/// The event behind which a listener goes on; none for from now on. None of all this if no request can have the header.
///
/// # Errors
///
/// What is answered.
pub fn resumes_behind(last_event_id: Option<&[u8]>, query: &[u8]) -> Option<Result<Option<u64>, Told>> {
    let fields: Vec<_> = last_event_id
        .map(|value| ("last-event-id", value))
        .into_iter()
        .collect();
    let headers = headers(&fields)?;
    let position = Parameters::parse(query).and_then(|query| events::position(&headers, &query));
    Some(position.map_err(Problem::told))
}

/// Kind, subject, cursor and limit of a page of the listing.
pub type Page = (Option<&'static str>, Option<String>, Option<String>, usize);

/// What a query of the listing asks for.
///
/// # Errors
///
/// What is answered.
pub fn listing(query: &[u8]) -> Result<Page, Told> {
    let wanted = Parameters::parse(query)
        .and_then(|query| listing::Wanted::parse(&query))
        .map_err(Problem::told)?;
    Ok((
        wanted.filter.kind.map(ostracon_core::Kind::as_str),
        wanted.filter.sub.map(|sub| sub.as_str().to_owned()),
        wanted.cursor.map(|cursor| cursor.to_string()),
        wanted.limit,
    ))
}

/// Cursor and limit of a page of the audit log, and the query of the page behind the record `last`.
///
/// # Errors
///
/// What is answered.
pub fn audit(query: &[u8], last: u64) -> Result<(Option<u64>, usize, String), Told> {
    let wanted = Parameters::parse(query)
        .and_then(|query| audit::Wanted::parse(&query))
        .map_err(Problem::told)?;
    let next = wanted.behind(last).map_err(Problem::told)?;
    Ok((wanted.cursor, wanted.limit, next))
}

/// Reads `text` as a configuration with paths relative to `base`, under an environment of `variables`.
///
/// # Errors
///
/// As for [`Config::load`].
pub fn config(text: &str, base: &Path, variables: Vec<(String, String)>) -> Result<Config, ConfigError> {
    Config::of_text(text, Path::new("the configuration"), base, variables)
}
