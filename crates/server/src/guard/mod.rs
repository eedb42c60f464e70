//! An application's own routes: who makes a request, and whether they may.

mod authenticated;
mod require;

use std::sync::Arc;

use axum::{
    extract::OriginalUri,
    http::{Method, header, request::Parts},
};
use ostracon_core::{Demand, Refusal, Scope, Tier, TokenType};

pub use self::{
    authenticated::Authenticated,
    require::{Require, Required, require},
};
use crate::{
    app::App,
    credentials::{self, Ambiguous},
    csrf,
    problem::Problem,
};

/// What is asked of whoever makes a request. Nothing said: a token for the configured audience, by the rules there are.
#[derive(Clone, Debug, Default)]
struct Asked {
    audiences: Vec<Box<str>>,
    scope: Scope,
    tier: Option<Tier>,
    by_any_page: bool,
}

impl Asked {
    /// Who makes the request with `parts`; nobody if it carries no token.
    async fn of(&self, app: &App, parts: &Parts) -> Result<Option<Authenticated>, Problem> {
        // A layer further out has proven whose token it is. What is asked here may be more.
        let known = Authenticated::known(app, parts);
        let presented = match known {
            Some(_) => None,
            None => credentials::access_token(&parts.headers, &app.cookies)
                .map_err(|Ambiguous| Problem::credentials_ambiguous())?,
        };
        let by_cookie = match (&known, &presented) {
            (Some(known), _) => known.is_by_cookie(),
            (None, Some(presented)) => !presented.by_bearer,
            (None, None) => return Ok(None),
        };
        if by_cookie && !self.by_any_page && acts(parts) {
            csrf::check(&parts.headers, &app.cookies, true)?;
        }
        let audiences: Vec<&str> = match &*self.audiences {
            [] => vec![&app.tokens.audience],
            named => named.iter().map(AsRef::as_ref).collect(),
        };
        let demand = Demand {
            audiences: &audiences,
            scope: self.scope.clone(),
            tier: self.tier,
            path: Some(path(parts)),
        };
        let token = match (known, presented) {
            (Some(known), _) => app.judge_verified(known.token().clone(), &demand).await?,
            (None, Some(presented)) => app.judge(presented.token, TokenType::Access, &demand).await?,
            (None, None) => return Ok(None),
        };
        let subject = token.claims().sub().cloned();
        let subject = subject.ok_or(Refusal::ClaimInvalid("sub", "absent"))?;
        Ok(Some(Authenticated::new(
            token,
            subject,
            by_cookie,
            Arc::clone(&app.kept.denylist),
        )))
    }
}

/// Where the request goes, for rules by path: the whole of it, also below a router that is nested.
fn path(parts: &Parts) -> &str {
    let original = parts.extensions.get::<OriginalUri>();
    original.map_or(&parts.uri, |OriginalUri(uri)| uri).path()
}

/// Whether the request may change anything: its method is not safe (RFC 9110 §9.2.1), or it opens a channel on which all
/// that follows is the page's to say.
fn acts(parts: &Parts) -> bool {
    let is_safe = matches!(
        parts.method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
    );
    !is_safe || parts.headers.contains_key(header::UPGRADE)
}
