//! What is answered where. Handlers are thin: they take the request apart, call, and answer.

mod audit;
mod backchannel;
mod batch;
mod events;
mod explain;
mod health;
mod jwks;
mod listing;
pub(crate) mod logout;
mod maintenance;
mod oauth;
mod observe;
mod refresh;
pub(crate) mod revocations;
mod sessions;
mod stats;
pub(crate) mod verify;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{any, delete, get, post},
};

use crate::{app::App, metrics::VERIFY, problem::Problem, serving::Serving};

/// What browsers, applications and proxies may ask.
pub fn public(serving: impl Into<Serving>) -> Router {
    finish(open_routes(), Router::new(), serving.into())
}

/// The same, to be merged into the router of an application that has a fallback and a health check of its own: `/auth/*`,
/// `/logout`, `/oauth/*` and `/.well-known/*`.
///
/// ```
/// use axum::{Router, routing::get};
/// use ostracon_server::{Authenticated, Serving, router};
///
/// // For whatever state an application has; here for `Serving` alone.
/// fn application(ostracon: Serving) -> Router {
///     Router::new()
///         .route("/me", get(async |me: Authenticated| me.subject().to_string()))
///         .merge(router(ostracon.clone()))
///         .with_state(ostracon)
/// }
/// ```
pub fn router<S: Clone + Send + Sync + 'static>(serving: impl Into<Serving>) -> Router<S> {
    limit(open_routes(), Router::new(), serving.into())
}

fn open_routes() -> Router<Serving> {
    Router::new()
        .route(VERIFY, any(verify::verify))
        .route("/auth/logout", post(logout::logout))
        .route("/logout", post(logout::logout))
        .route("/auth/backchannel-logout", post(backchannel::logout))
        .route("/auth/refresh", post(refresh::refresh))
        .route("/auth/session", get(refresh::own))
        .merge(oauth::routes())
        .route("/.well-known/jwks.json", get(jwks::jwks))
}

/// What operators and trusted backends may ask.
pub fn admin(serving: impl Into<Serving>) -> Router {
    finish(
        Router::new()
            .route("/v1/sessions", post(sessions::create).get(sessions::list))
            .route("/v1/sessions/{sid}", delete(sessions::end))
            .route("/v1/revocations", post(revocations::create).get(listing::list))
            .route("/v1/revocations/{id}", get(listing::show).delete(listing::lift))
            .route("/v1/events", get(events::events))
            .route("/v1/explain", post(explain::explain))
            .route("/v1/stats", get(stats::stats))
            .route("/v1/audit", get(audit::list))
            .route("/metrics", get(stats::metrics)),
        maintenance::routes().route("/v1/revocations/batch", post(batch::create)),
        serving.into(),
    )
}

/// Adds what all have. What is in `slow` takes as long as it takes, and sees to its own limits.
fn finish(router: Router<Serving>, slow: Router<Serving>, serving: Serving) -> Router {
    let router = router
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(async || Problem::not_found());
    limit(router, slow, serving)
}

/// What holds for every route, wherever it is served. Each layer is a boxed service that is cloned for each request, so there
/// are no more of them than must be.
fn limit<S: Clone + Send + Sync + 'static>(
    router: Router<Serving>,
    slow: Router<Serving>,
    serving: Serving,
) -> Router<S> {
    router
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(middleware::from_fn_with_state(serving.clone(), in_time))
        .merge(slow.method_not_allowed_fallback(async || Problem::method_not_allowed()))
        .layer(middleware::from_fn_with_state(serving.clone(), observe::observe))
        .with_state(serving)
}

/// Every answer depends on a token or a moment, unless its route says otherwise; none is what it does not say it is.
fn guard(headers: &mut HeaderMap) {
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// A request that takes too long is given up; what it has submitted to the denylist is written all the same.
async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Problem> {
    let answered = tokio::time::timeout(app.limits.request_timeout, next.run(request)).await;
    answered.map_err(|_| Problem::request_timeout())
}
