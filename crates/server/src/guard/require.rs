//! A guard in front of a whole router.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    http::Request,
    response::{IntoResponse, Response},
};
use ostracon_core::{Scope, Tier};
use tower::{Layer, Service};

use super::Asked;
use crate::{problem::Problem, serving::Serving};

/// A layer that lets only requests through that carry a good token, and leaves [`Authenticated`](super::Authenticated) with
/// them. Layers add up: what is inside asks for more of the same token, which is verified once.
///
/// ```
/// use axum::{Router, routing::{get, post}};
/// use ostracon_server::{Authenticated, Scope, Serving, Tier, require};
///
/// fn application(ostracon: Serving) -> Result<Router, Box<dyn std::error::Error>> {
///     let admin = Router::new()
///         .route("/users", get(async |who: Authenticated| format!("asked by {}", who.subject())))
///         .layer(require(ostracon.clone()).scope(Scope::new("admin")?).tier(Tier::High));
///     let members = Router::new()
///         .route("/orders", post(async || "ordered"))
///         .nest("/admin", admin)
///         .layer(require(ostracon.clone()));
///     Ok(members.route("/", get(async || "for everybody")).with_state(ostracon))
/// }
/// ```
pub fn require(serving: impl Into<Serving>) -> Require {
    Require {
        serving: serving.into(),
        asked: Asked::default(),
    }
}

/// What [`require`] makes: a token for the configured audience is asked for, and what is said beside it.
#[derive(Clone, Debug)]
#[must_use = "it guards only what it is a layer of"]
pub struct Require {
    serving: Serving,
    asked: Asked,
}

impl Require {
    /// For `audience` instead of the configured one; said again, for any of them.
    pub fn audience(mut self, audience: impl Into<Box<str>>) -> Self {
        self.asked.audiences.push(audience.into());
        self
    }

    /// All of `scope`; who has less is answered `403 scope_insufficient`.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.asked.scope = scope;
        self
    }

    /// At least as strict as `tier`; `[[rules]]` of the configuration can only add to it. [`Tier::Low`] is signature and
    /// expiry alone, for short-lived tokens: a logout is not seen.
    pub fn tier(mut self, tier: Tier) -> Self {
        self.asked.tier = Some(tier);
        self
    }

    /// From pages of whatever origin, also with a cookie and a method that is not safe: for routes that have a protection of
    /// their own against what other sites make a browser send (RFC 6265bis §8.8.1).
    pub fn without_csrf_check(mut self) -> Self {
        self.asked.by_any_page = true;
        self
    }
}

impl<S> Layer<S> for Require {
    type Service = Required<S>;

    fn layer(&self, inner: S) -> Required<S> {
        Required {
            inner,
            serving: self.serving.clone(),
            asked: Arc::new(self.asked.clone()),
        }
    }
}

/// A service behind [`Require`].
#[derive(Clone, Debug)]
pub struct Required<S> {
    inner: S,
    serving: Serving,
    asked: Arc<Asked>,
}

impl<S, B> Service<Request<B>> for Required<S>
where
    S: Service<Request<B>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was found ready is called; its clone takes its place.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let (app, asked) = (self.serving.app(), Arc::clone(&self.asked));
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let who = match asked.of(&app, &parts).await {
                Ok(Some(who)) => who,
                Ok(None) => return Ok(Problem::token_missing().into_response()),
                Err(problem) => return Ok(problem.into_response()),
            };
            // A request may be long; what it began with need not be kept for it.
            drop((app, asked));
            parts.extensions.insert(who);
            let answered = inner.call(Request::from_parts(parts, body)).await?;
            Ok(answered.into_response())
        })
    }
}
