//! What is answered where. Handlers are thin: they take the request apart, call, and answer.

pub(crate) mod audit;
mod backchannel;
mod batch;
pub(crate) mod events;
pub(crate) mod explain;
mod health;
mod jwks;
pub(crate) mod listing;
pub(crate) mod logout;
mod maintenance;
mod oauth;
mod observe;
mod refresh;
pub(crate) mod revocations;
pub(crate) mod sessions;
pub(crate) mod stats;
pub(crate) mod verify;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::{self, Next},
    response::Response,
    routing::{any, post},
};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, console, metrics::VERIFY, openapi, problem::Problem, serving::Serving};

/// What browsers, applications and proxies may ask.
pub fn public(serving: impl Into<Serving>) -> Router {
    finish(open_routes().0, Router::new(), serving.into())
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
    limit(open_routes().0, Router::new(), serving.into())
}

fn open_routes() -> (Router<Serving>, OpenApi) {
    let (router, mut document) = OpenApiRouter::default()
        .routes(routes!(logout::logout))
        .route("/logout", post(logout::logout))
        .routes(routes!(backchannel::logout))
        .routes(routes!(refresh::refresh))
        .routes(routes!(refresh::own))
        .routes(routes!(jwks::jwks))
        .split_for_parts();
    let (oauth, its) = oauth::routes();
    document.merge(its);
    // Of methods there are more than a document can name.
    document.merge(
        OpenApiRouter::<Serving>::default()
            .routes(routes!(verify::verify))
            .into_openapi(),
    );
    (router.route(VERIFY, any(verify::verify)).merge(oauth), document)
}

/// What operators and trusted backends may ask.
pub fn admin(serving: impl Into<Serving>) -> Router {
    let [(quick, _), (slow, _)] = closed_routes();
    let serving = serving.into();
    finish(quick.merge(console::routes(&serving)), slow, serving)
}

/// Those that are answered in time, and those that take as long as they take.
fn closed_routes() -> [(Router<Serving>, OpenApi); 2] {
    let quick = OpenApiRouter::default()
        .routes(routes!(sessions::create, sessions::list))
        .routes(routes!(sessions::end))
        .routes(routes!(revocations::create, listing::list))
        .routes(routes!(listing::show, listing::lift))
        .routes(routes!(events::events))
        .routes(routes!(explain::explain))
        .routes(routes!(stats::stats))
        .routes(routes!(audit::list))
        .routes(routes!(stats::metrics))
        .routes(routes!(openapi::openapi));
    let slow = maintenance::routes().routes(routes!(batch::create));
    [quick.split_for_parts(), slow.split_for_parts()]
}

fn health_routes() -> OpenApiRouter<Serving> {
    OpenApiRouter::default()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// All routes, as their handlers describe them.
pub(crate) fn documented() -> OpenApi {
    let mut document = health_routes().into_openapi();
    document.merge(open_routes().1);
    for (_, its) in closed_routes() {
        document.merge(its);
    }
    // The other name of the same handler.
    if let Some(logout) = document.paths.paths.get("/auth/logout").cloned() {
        document.paths.paths.insert("/logout".into(), logout);
    }
    document
}

/// Adds what all have. What is in `slow` takes as long as it takes, and sees to its own limits.
fn finish(router: Router<Serving>, slow: Router<Serving>, serving: Serving) -> Router {
    let router = router
        .merge(health_routes().split_for_parts().0)
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
pub(crate) fn guard(headers: &mut HeaderMap) {
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
