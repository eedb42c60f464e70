//! Around every route: a request is named, counted, and told of, a refused one is recorded, and an answer is guarded.

use std::{net::IpAddr, sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use super::guard;
use crate::{
    app::App,
    config::AccessLog,
    metrics::{VERIFY, method_word},
    problem::Told,
    refusals::Refusal,
    sender::{RequestId, Sender},
};

pub(super) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let address = Sender::address(&app.trusted_proxies, request.headers(), request.extensions());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let method = method_word(request.method());
    // At the highest level, so that every line that is written has it.
    let span = tracing::error_span!("request", %id);
    let mut response = next.run(request).instrument(span.clone()).await;

    let entered = span.enter();
    // Where there is no route, what was asked for is the caller's own text: it goes nowhere.
    let route = matched.as_ref().map_or("none", MatchedPath::as_str);
    let (status, took) = (response.status(), began.elapsed());
    app.kept.metrics.answered(route, method, status, took);
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        refused(&app, route, told, &id, address);
    }
    let (status, address) = (status.as_u16(), address.map(tracing::field::display));
    match app.access_log {
        AccessLog::Info => tracing::info!(method, route, status, ?took, address, "answered"),
        AccessLog::Debug => tracing::debug!(method, route, status, ?took, address, "answered"),
    }
    drop(entered);
    guard(response.headers_mut());
    response.headers_mut().insert(RequestId::HEADER, id.to_header());
    response
}

/// Whether requests are told of one by one, as the log is set.
pub(super) fn tells(access: AccessLog) -> bool {
    match access {
        AccessLog::Info => tracing::enabled!(tracing::Level::INFO),
        AccessLog::Debug => tracing::enabled!(tracing::Level::DEBUG),
    }
}

/// Counts what was refused, and records who called what is not for them.
fn refused(app: &App, route: &str, told: Told, id: &RequestId, address: Option<IpAddr>) {
    let Told { code, client } = told;
    if route == VERIFY {
        app.kept.metrics.denied(code);
    }
    let is_login = matches!(code, "client_unauthorized" | "too_many_failures");
    if is_login {
        app.kept.metrics.login_failed();
    }
    if is_login || code == "role_missing" {
        let refusal = Refusal {
            code,
            route: route.into(),
            client,
        };
        let sender = Sender {
            request: Some(id.clone()),
            address,
            agent: None,
        };
        app.kept.trail.refused(refusal, &sender);
    }
}
