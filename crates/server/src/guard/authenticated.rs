//! Who makes a request.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts},
    http::request::Parts,
};
use ostracon_core::{Claims, ClientId, Jti, Scope, SessionId, Subject, UnixTime, VerifiedToken};
use ostracon_store::Denylist;
use serde::de::DeserializeOwned;

use super::Asked;
use crate::{app::App, problem::Problem, serving::Serving};

/// Who makes a request, proven by its token: signature, expiry and audience are checked, and the denylist was asked as the
/// rules have it. As an argument of a handler it lets nobody else in; the rest is answered with the [`Problem`] that belongs
/// to it.
///
/// The token is read from `Authorization: Bearer` or from the access cookie. One that came by cookie, with a method that is
/// not safe or to open a WebSocket, must come from a page of the same origin or of `cookies.allowed_origins`; from others
/// it is refused with `403 csrf_refused`. `Option<Authenticated>` is for routes that are for everybody: none without a
/// token, and still a refusal with one that is not good.
///
/// ```
/// use ostracon_server::{Authenticated, Problem};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Mine {
///     role: String,
/// }
///
/// async fn profile(who: Authenticated) -> Result<String, Problem> {
///     let Mine { role } = who.extra()?;
///     Ok(format!("{} is {role} until {}", who.subject(), who.expires_at()))
/// }
///
/// async fn greeting(who: Option<Authenticated>) -> String {
///     who.map_or("Welcome".into(), |who| format!("Welcome back, {}", who.subject()))
/// }
/// # let _: axum::Router<ostracon_server::Serving> = axum::Router::new()
/// #     .route("/profile", axum::routing::get(profile))
/// #     .route("/", axum::routing::get(greeting));
/// ```
///
/// Behind a [`require`](super::require()) layer it is what the layer has found, and nothing is checked twice.
#[derive(Clone)]
pub struct Authenticated(Arc<Who>);

struct Who {
    token: VerifiedToken,
    subject: Subject,
    by_cookie: bool,
    /// By which application: one program may have several, and what one vouches for is nothing to another.
    by: Arc<Denylist>,
}

impl Authenticated {
    pub(super) fn new(token: VerifiedToken, subject: Subject, by_cookie: bool, by: Arc<Denylist>) -> Self {
        Self(Arc::new(Who {
            token,
            subject,
            by_cookie,
            by,
        }))
    }

    /// What a layer of `app` has found.
    pub(super) fn known(app: &App, parts: &Parts) -> Option<Self> {
        let known = parts.extensions.get::<Self>()?;
        Arc::ptr_eq(&known.0.by, &app.kept.denylist).then(|| known.clone())
    }

    pub(super) fn token(&self) -> &VerifiedToken {
        &self.0.token
    }

    /// The user.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    /// The login that the token belongs to.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        self.claims().sid()
    }

    /// The application that the token was issued to.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.claims().client_id()
    }

    /// What the token allows.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        self.claims().scope()
    }

    /// The identity of the token.
    #[must_use]
    pub fn token_id(&self) -> Option<&Jti> {
        self.claims().token_id()
    }

    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> UnixTime {
        self.claims().exp()
    }

    /// Whether the token came in the cookie, as browsers send it by themselves.
    #[must_use]
    pub fn is_by_cookie(&self) -> bool {
        self.0.by_cookie
    }

    /// All that the token says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        self.0.token.claims()
    }

    /// The claims, those of the application included, read as a type of the caller's.
    ///
    /// # Errors
    ///
    /// [`Problem`] `claims_invalid` when they are not of that type: the token was made for something else.
    pub fn extra<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        self.claims().extra().map_err(Problem::from)
    }
}

// I8: what else the token says is the application's.
impl core::fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Authenticated")
            .field("subject", self.subject())
            .field("session", &self.session())
            .field("token_id", &self.token_id())
            .finish_non_exhaustive()
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Authenticated
where
    Serving: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Problem> {
        let app = Serving::from_ref(state).app();
        if let known @ Some(_) = Self::known(&app, parts) {
            return Ok(known);
        }
        let found = Asked::default().of(&app, parts).await?;
        // Asked for twice, it is the same the second time.
        if let Some(found) = &found {
            parts.extensions.insert(found.clone());
        }
        Ok(found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Authenticated
where
    Serving: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        found.ok_or_else(Problem::token_missing)
    }
}
