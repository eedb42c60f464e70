//! `/admin/`: the console, where people look and act.
//!
//! Pages are made here, whole, and do all they do without a script; the one that there is keeps the overview live. They
//! ask no other host for anything, and what they do goes the same ways as the routes of `/v1`, with the same roles, and
//! leaves the same records.

mod assets;
mod audit;
mod chart;
mod explain;
mod live;
mod login;
mod origin;
mod overview;
mod page;
mod recent;
mod revocations;
mod session;
mod sessions;
mod store;
mod traffic;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, Method, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{any, get, post},
};

use self::page::Failure;
use crate::{app::App, problem::Problem, serving::Serving};

/// Nothing but what comes from here, no frame around it, and no form that goes elsewhere (Content Security Policy Level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All of it, below `/admin`.
pub(crate) fn routes(serving: &Serving) -> Router<Serving> {
    let inside = Router::new()
        .route("/admin/", get(overview::page))
        .route("/admin/live", get(live::stream))
        .route("/admin/sessions", get(sessions::page))
        .route("/admin/sessions/end", post(sessions::end))
        .route("/admin/revocations", get(revocations::list))
        .route("/admin/revocations/{id}", get(revocations::show))
        .route("/admin/revocations/{id}/lift", post(revocations::lift))
        .route("/admin/explain", get(explain::form).post(explain::explain))
        .route("/admin/audit", get(audit::page))
        .route("/admin/logout", post(login::out))
        .route_layer(middleware::from_fn_with_state(serving.clone(), session::required));
    Router::new()
        .route("/admin", get(async || Redirect::permanent("/admin/")))
        .route("/admin/login", get(login::form).post(login::log_in))
        .route("/admin/assets/{name}", get(assets::asset))
        .merge(inside)
        .route("/admin/{*other}", any(async || Failure::from(Problem::not_found())))
        .method_not_allowed_fallback(async || Failure::from(Problem::method_not_allowed()))
        .layer(middleware::from_fn_with_state(serving.clone(), around))
}

/// What holds for every page.
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !app.console.enabled {
        return Problem::not_found().into_response();
    }
    let mut response = if *request.method() == Method::POST && !origin::is_own(request.headers()) {
        tracing::info!("a form of another site's page is refused");
        Failure::from(Problem::csrf_refused()).into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: with that, a browser sends `Origin: null` with our own forms (Fetch, "append a request `Origin`
        // header"), and a page that came by http under a name says by no other field where it is from.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
