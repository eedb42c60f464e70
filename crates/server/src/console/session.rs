//! Who is logged in to the console: a client, in a session that is issued, refreshed, checked and ended like any other.
//!
//! What its tokens say beside that is a badge of the session, which only who has the client's secret hash can make: whoever may
//! issue sessions of any subject still cannot issue one of the console, also not with the badge of another, and a secret that
//! is changed ends those of the old one.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use ostracon_core::{ClientId, Demand, Note, Refusal, SessionId, Subject, TokenType, VerifiedToken};
use serde::Deserialize;

use super::page::Failure;
use crate::{
    app::{App, Denial, thorough},
    client::{Client, Role},
    cookies::{self, CookieName},
    login::Login,
    problem::Problem,
    rotation::{NotRefreshed, Wish},
    sender::Sender,
    session::Pair,
};

/// Whom the tokens of the console are for; no application accepts them.
const AUDIENCE: &str = "ostracon-console";

/// A client that is logged in, and its session.
#[derive(Clone, Debug)]
pub(super) struct Operator {
    client: Client,
    pub(super) sid: SessionId,
}

impl Operator {
    pub(super) fn id(&self) -> &str {
        self.client.id()
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.client.roles().contains(&role)
    }

    /// The client, if it has `role`.
    pub(super) fn with(&self, role: Role) -> Result<&Client, Problem> {
        if self.has(role) {
            Ok(&self.client)
        } else {
            Err(Problem::role_missing(role).to(Some(self.id())))
        }
    }
}

/// The cookies of the console, by the names that they have where they came by TLS and where not.
struct Names {
    access: CookieName,
    refresh: CookieName,
    secure: bool,
}

impl Names {
    fn of(secure: bool) -> Self {
        let prefix = if secure { "__Secure-" } else { "" };
        let name = |name: &str| CookieName::known(&format!("{prefix}{name}"), "/admin");
        Self {
            access: name("OSTRACON_CONSOLE"),
            refresh: name("OSTRACON_CONSOLE_REFRESH"),
            secure,
        }
    }

    /// A `Set-Cookie` value. It lives as long as the browser runs: the token in it has an end of its own.
    fn set(&self, name: &CookieName, value: &str, more: &str) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!(
            "{}={value}; Path=/admin; HttpOnly; SameSite=Lax{secure}{more}",
            name.as_str()
        )
    }

    fn of_pair(&self, pair: &Pair) -> [String; 2] {
        [
            self.set(&self.access, pair.access_token(), ""),
            self.set(&self.refresh, pair.refresh_token(), ""),
        ]
    }

    fn cleared(&self) -> [String; 2] {
        let gone = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        [&self.access, &self.refresh].map(|name| self.set(name, "", gone))
    }
}

/// Logs `client` in: the `Set-Cookie` values, and the session.
pub(super) async fn begin(app: &App, client: &Client, secure: bool) -> Result<([String; 2], SessionId), Problem> {
    let of_us = |text: String| Subject::new(text).map_err(Problem::internal);
    let login = Login::new(of_us(format!("console:{}", client.id()))?)
        .audience(AUDIENCE)
        .client(ClientId::new(client.id()).map_err(Problem::internal)?)
        .device(Note::new("Console").map_err(Problem::internal)?);
    let mut grant = app.grant(login)?;
    let badge = client.badge(&grant.sid);
    grant.claims.insert("console".to_owned(), badge.into());
    let pair = app.log_in_to(grant).await?;
    Ok((Names::of(secure).of_pair(&pair), pair.session().clone()))
}

/// The `Set-Cookie` values that end it in the browser, whichever way it came.
pub(super) fn cleared() -> impl Iterator<Item = String> {
    [true, false].into_iter().flat_map(|secure| Names::of(secure).cleared())
}

/// Why nobody is let in.
enum Outside {
    /// There is no session, or no more.
    LoggedOut,
    /// Whether there is one cannot be told (I5).
    Unknown(Problem),
}

impl From<Denial> for Outside {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(_) => Self::LoggedOut,
            Denial::Unknown(problem) => Self::Unknown(problem),
        }
    }
}

/// Lets in who has a session, refreshes its tokens where they have ended, and sends everybody else to the login.
pub(super) async fn required(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    match enter(&app, request.headers(), &sender).await {
        Ok((operator, refreshed)) => {
            request.extensions_mut().insert(operator);
            let mut response = next.run(request).await;
            match cookies::append(response.headers_mut(), &refreshed) {
                Ok(()) => response,
                Err(problem) => Failure::from(problem).into_response(),
            }
        }
        Err(Outside::Unknown(problem)) => Failure::from(problem).into_response(),
        // A script is told, and not shown a page.
        Err(Outside::LoggedOut) if is_script(request.headers()) => StatusCode::UNAUTHORIZED.into_response(),
        Err(Outside::LoggedOut) => to_login(request.method(), request.uri()),
    }
}

fn is_script(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "text/event-stream")
}

fn to_login(method: &Method, uri: &Uri) -> Response {
    let next = uri.path_and_query().map_or("/admin/", |path| path.as_str());
    let to = match serde_urlencoded::to_string([("next", next)]) {
        Ok(query) if *method == Method::GET && next != "/admin/" => Cow::from(format!("/admin/login?{query}")),
        _ => "/admin/login".into(),
    };
    Redirect::to(&to).into_response()
}

/// Who sends `headers`, and the `Set-Cookie` values of tokens that are new.
async fn enter(app: &App, headers: &HeaderMap, sender: &Sender) -> Result<(Operator, Vec<String>), Outside> {
    let names = [true, false].map(Names::of);
    let two_of_one = |_| Outside::LoggedOut;
    for names in names {
        let access = cookies::read(headers, &names.access).map_err(two_of_one)?;
        let refresh = cookies::read(headers, &names.refresh).map_err(two_of_one)?;
        let judged = match access {
            Some(token) => judge(app, token).await,
            None => Err(Refusal::Expired.into()),
        };
        match (judged, refresh) {
            (Ok(token), _) => return Ok((operator(app, &token).ok_or(Outside::LoggedOut)?, Vec::new())),
            (Err(Denial::Refused(Refusal::Expired)), Some(refresh)) => {
                let wish = Wish {
                    sender: Some(sender),
                    ..Wish::default()
                };
                let pair = app.refresh(refresh, wish).await.map_err(|why| match why {
                    NotRefreshed::Failed(problem) => Outside::Unknown(problem),
                    _ => Outside::LoggedOut,
                })?;
                let token = judge(app, pair.access_token()).await?;
                let operator = operator(app, &token).ok_or(Outside::LoggedOut)?;
                return Ok((operator, names.of_pair(&pair).into()));
            }
            (Err(Denial::Refused(Refusal::Expired)), None) => {}
            (Err(denial), _) => return Err(denial.into()),
        }
    }
    Err(Outside::LoggedOut)
}

/// Whether who sends `headers` is still logged in, without another token.
pub(super) async fn is_open(app: &App, headers: &HeaderMap) -> bool {
    for names in [true, false].map(Names::of) {
        if let Ok(Some(token)) = cookies::read(headers, &names.access) {
            let judged = judge(app, token).await;
            return judged.is_ok_and(|token| operator(app, &token).is_some());
        }
    }
    false
}

async fn judge(app: &App, token: &str) -> Result<VerifiedToken, Denial> {
    let audience = [AUDIENCE];
    let demand = Demand {
        audiences: &audience,
        ..thorough()
    };
    app.judge(token, TokenType::Access, &demand).await
}

/// What only the tokens of the console say.
#[derive(Deserialize)]
struct Carried {
    console: String,
    auth_time: u64,
}

/// The client that `token` was issued to, if it is one of the console and the client is still the same.
fn operator(app: &App, token: &VerifiedToken) -> Option<Operator> {
    let claims = token.claims();
    let Carried { console, auth_time } = claims.extra().ok()?;
    let id = claims.client_id()?;
    let client = app.clients.iter().find(|client| client.id() == id.as_str())?;
    let ends = ostracon_core::UnixTime::from_secs(auth_time).saturating_add(app.console.session_ttl);
    let sid = claims.sid()?.clone();
    let is_its_own = *claims.iss() == app.tokens.issuer && client.wears(&console, &sid);
    (is_its_own && app.now() < ends && client.roles().contains(&Role::Read)).then(|| Operator {
        client: client.clone(),
        sid,
    })
}

/// The page to go to after the login: one of the console.
pub(super) fn next(asked: Option<&str>) -> &str {
    let fits = |next: &&str| next.starts_with("/admin/") && HeaderValue::from_str(next).is_ok();
    asked.filter(fits).unwrap_or("/admin/")
}
