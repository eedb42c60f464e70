//! `POST /v1/explain`: why a token is refused, or that it is not.

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    response::{IntoResponse, Response},
};
use ostracon_core::{Demand, Facts, Refusal, TokenType, Trace, VerifiedToken, decide_observed};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::revocations::{self, answer};
use crate::{
    answer::Json,
    app::{App, thorough},
    body,
    client::{Caller, Role},
    issuers::Renewed,
    openapi::words::Seconds,
    problem::Problem,
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(as = ExplainRequest)]
pub(super) struct Body {
    /// Whatever it is; it is neither kept nor logged.
    token: String,
    /// As `/auth/verify` would be asked; the configured audience where nothing is said.
    aud: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Explanation<'a> {
    pub(crate) allowed: bool,
    /// The word that the refusal is known by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) code: Option<&'static str>,
    pub(crate) steps: Vec<Taken>,
    /// What the token says of itself, once its signature is known to be good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = About, required = false)]
    pub(crate) token: Option<&'a About>,
    /// What denies it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = revocations::Answer, required = false)]
    revocation: Option<revocations::Answer<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StepTaken)]
pub(crate) struct Taken {
    pub(crate) step: &'static str,
    pub(crate) passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) detail: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AboutToken)]
pub(crate) struct About {
    pub(crate) typ: &'static str,
    pub(crate) kid: String,
    pub(crate) iss: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) sid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    pub(crate) jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seconds, required = false)]
    pub(crate) iat: Option<u64>,
    #[schema(value_type = Seconds)]
    pub(crate) exp: u64,
}

/// Each step of the decision about a token, in order, also those behind the first refusal as far as they can be taken.
#[utoipa::path(
    post,
    path = "/v1/explain",
    tag = "operators",
    security(("client" = ["read"])),
    request_body = Body,
    responses((status = OK, description = "Whether it would pass, and why.", body = Explanation))
)]
pub(super) async fn explain(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    Caller::of(&request).authorize(&app.clients, &app.failures, Some(Role::Read))?;
    let body::Json(Body { token, aud }) = body::Json::from_request(request, &()).await?;
    let explained = Explained::of(&app, &token, aud.as_deref()).await?;
    Ok(Json(explained.told(&app)).into_response())
}

/// A decision, with what it was made from.
pub(crate) struct Explained {
    verdict: Result<(), Refusal>,
    about: Option<About>,
    pub(crate) facts: Facts,
    trace: Trace,
}

impl Explained {
    /// The decision about `token`, as it would be for `aud`. Nothing of it is kept or logged.
    pub(crate) async fn of(app: &App, token: &str, aud: Option<&str>) -> Result<Self, Problem> {
        let mut trace = Trace::default();
        let mut verified = verify(app, token, &mut trace);
        if matches!(verified, Err(Refusal::KeyUnknown)) && app.keyring.renewed_for(token).await != Renewed::Nothing {
            trace = Trace::default();
            verified = verify(app, token, &mut trace);
        }
        let (verdict, about, facts) = match verified {
            Err(refusal) => (Err(refusal), None, Facts::none()),
            Ok(token) => {
                let now = app.now();
                let (token, facts) = app.facts(token, now).await?;
                let audience = aud.or_else(|| app.usual_audience(&token));
                let demand = Demand {
                    audiences: audience.as_slice(),
                    ..thorough()
                };
                let verdict = decide_observed(token.claims(), &demand, &facts, &app.policy, now, &mut trace);
                (verdict, Some(about(&token)), facts)
            }
        };
        Ok(Self {
            verdict,
            about,
            facts,
            trace,
        })
    }

    /// The same, as it is told.
    pub(crate) fn told(&self, app: &App) -> Explanation<'_> {
        let steps = self.trace.steps().map(|(step, outcome)| Taken {
            step: step.as_str(),
            passed: outcome.is_ok(),
            detail: outcome.err().map(ToString::to_string),
        });
        let denylist = &app.kept.denylist;
        Explanation {
            allowed: self.verdict.is_ok(),
            code: self.verdict.as_ref().err().map(|refusal| refusal.code().as_str()),
            steps: steps.collect(),
            token: self.about.as_ref(),
            revocation: self
                .facts
                .revocation
                .as_ref()
                .map(|entry| answer(denylist.id(entry.target().as_ref()), entry, denylist.is_durable())),
        }
    }
}

/// As an access token, or as the refresh token that it says it is.
fn verify(app: &App, token: &str, trace: &mut Trace) -> Result<VerifiedToken, Refusal> {
    match app.keyring.verify_observed(token, TokenType::Access, trace) {
        Err(Refusal::Unsupported("typ")) => {
            let mut again = Trace::default();
            let verified = app.keyring.verify_observed(token, TokenType::Refresh, &mut again);
            if verified.is_ok() {
                *trace = again;
            }
            verified.or(Err(Refusal::Unsupported("typ")))
        }
        verified => verified,
    }
}

fn about(token: &VerifiedToken) -> About {
    let claims = token.claims();
    About {
        typ: token.typ().as_str(),
        kid: token.kid().to_string(),
        iss: claims.iss().to_string(),
        sub: claims.sub().map(ToString::to_string),
        sid: claims.sid().map(ToString::to_string),
        client_id: claims.client_id().map(ToString::to_string),
        jti: claims.token_id().map(ToString::to_string),
        iat: claims.iat().map(ostracon_core::UnixTime::as_secs),
        exp: claims.exp().as_secs(),
    }
}
