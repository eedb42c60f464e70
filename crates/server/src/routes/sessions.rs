//! `POST /v1/sessions`: a trusted backend logs a subject in.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use ostracon_core::{ClientId, Note, Scope, Subject};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    answer::Json,
    app::App,
    body,
    client::{Caller, Role},
    login::Login,
    problem::Problem,
    session::{Pair, RESERVED},
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    sub: Subject,
    aud: Option<OneOrMany>,
    client_id: Option<ClientId>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    claims: Map<String, Value>,
    /// What the session list will show; checked, and not yet kept.
    device: Option<Note>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let caller = Caller::of(&request);
    // Read first, so that the connection is good for the next request whatever is answered; looked at only then.
    let body = body::Json::<Body>::from_request(request, &()).await;
    let client = caller.authorize(&app.clients, &app.failures, Some(Role::Issue))?;
    let body::Json(body) = body?;
    let login = login(&app, body, client.id())?;
    let pair = app.log_in(login).await?;
    Ok((StatusCode::CREATED, Pair::headers(), Json(pair)).into_response())
}

fn login(app: &App, body: Body, caller: &str) -> Result<Login, Problem> {
    let aud = match body.aud {
        None => vec![app.tokens.audience.to_string()],
        Some(OneOrMany::One(one)) => vec![one],
        Some(OneOrMany::Many(many)) => many,
    };
    let fits = |a: &String| !a.is_empty() && a.len() <= 255 && !a.chars().any(char::is_control);
    if aud.is_empty() || aud.len() > 16 || !aud.iter().all(fits) {
        return Err(Problem::member_invalid(
            "aud",
            "1 to 16 names of 1 to 255 bytes without control characters",
        ));
    }
    if let Some(name) = RESERVED.into_iter().find(|name| body.claims.contains_key(*name)) {
        return Err(Problem::member_invalid(
            &format!("claims.{name}"),
            "is not the application's to set",
        ));
    }
    let _ = body.device;
    Ok(Login {
        sub: body.sub,
        aud,
        client_id: match body.client_id {
            Some(client_id) => client_id,
            None => ClientId::new(caller).map_err(Problem::internal)?,
        },
        scope: Scope::new(&body.scope).map_err(|problem| Problem::member_invalid("scope", problem))?,
        claims: body.claims,
    })
}
