//! `POST /auth/backchannel-logout`: an identity provider says that a session of its has ended (OpenID Connect Back-Channel
//! Logout 1.0 §2.5).

use std::sync::Arc;

use axum::{
    extract::{FromRequest, Request, State},
    http::StatusCode,
};
use ostracon_core::{Facts, Kind, Reason, Refusal, Revocation, TargetRef, TokenType, VerifiedToken, decide};
use utoipa::ToSchema;

use crate::{
    app::{App, Denial, thorough},
    body::Form,
    problem::{OauthProblem, Problem},
    sender::Sender,
    trail::Entry,
};

/// An identity provider says that a session of its has ended.
///
/// Ends what the logout token names, durably. Whatever is wrong with it is a 400 (OpenID Connect Back-Channel Logout 1.0
/// §2.8); that it cannot be decided, a 503.
#[utoipa::path(
    post,
    path = "/auth/backchannel-logout",
    tag = "oauth",
    request_body(content = LogoutToken, content_type = "application/x-www-form-urlencoded"),
    responses((status = OK, description = "It has ended, now or when the token came first."))
)]
pub(super) async fn logout(State(app): State<Arc<App>>, request: Request) -> Result<StatusCode, OauthProblem> {
    let sender = Sender::of(&app.trusted_proxies, request.headers(), request.extensions());
    let bad = |problem: Problem| problem.with_status(StatusCode::BAD_REQUEST);
    let Form(form) = Form::from_request(request, &()).await.map_err(bad)?;
    let token = form
        .value("logout_token")
        .ok_or_else(|| Problem::request_invalid("logout_token is missing"))?;
    let token = app.verify(token, TokenType::Logout).await.map_err(told)?;
    match accepted(&app, &token).await? {
        // It was carried out when it came first. To do so again would end what began since; to refuse it would have a
        // provider that missed the answer believe that the user is still in.
        Accepted::Again => tracing::debug!("a logout token is presented again"),
        Accepted::New => carry_out(&app, &token, &sender).await?,
    }
    Ok(StatusCode::OK)
}

/// What the form has.
#[derive(ToSchema)]
#[expect(dead_code, reason = "read as parameters, of which others are not looked at")]
struct LogoutToken {
    logout_token: String,
}

fn told(denial: Denial) -> Problem {
    match denial {
        Denial::Refused(refusal) => refused(&refusal),
        Denial::Unknown(problem) => problem,
    }
}

fn refused(refusal: &Refusal) -> Problem {
    tracing::info!(%refusal, "a logout token is refused");
    Problem::request_invalid(format!("logout_token: {refusal}"))
}

enum Accepted {
    New,
    Again,
}

/// Its age, and what is revoked of it: one that was carried out is known by its `jti`, and one of a key or issuer that
/// is cut off is nobody's word.
async fn accepted(app: &App, token: &VerifiedToken) -> Result<Accepted, Problem> {
    let now = app.now();
    let looked_up = token.clone();
    let standing = app
        .look_up(move |denylist| {
            let targets = looked_up.targets();
            let mut standing = Vec::new();
            for target in targets.iter() {
                standing.extend(denylist.entry(target)?.filter(|entry| entry.hits(&targets, now)));
            }
            Ok(standing)
        })
        .await?;
    let kind = |entry: &Revocation| entry.target().as_ref().kind();
    let again = standing.iter().any(|entry| kind(entry) == Kind::Token);
    let distrusted = |entry: &Revocation| matches!(kind(entry), Kind::Key | Kind::Issuer | Kind::Client);
    let facts = Facts {
        revocation: standing.into_iter().find(distrusted),
        ..app.kept.denylist.unlisted()
    };
    decide(token.claims(), &thorough(), &facts, &app.logout_policy, now).map_err(|refusal| refused(&refusal))?;
    Ok(if again { Accepted::Again } else { Accepted::New })
}

/// Both at once, what ends and that this token said so: neither stands without the other.
async fn carry_out(app: &App, token: &VerifiedToken, sender: &Sender) -> Result<(), Problem> {
    let claims = token.claims();
    let iss = claims.iss();
    let session = claims.sid().map(|sid| TargetRef::Session { iss, sid });
    let subject = claims.sub().map(|sub| TargetRef::Subject { iss, sub });
    let target = if app.keyring.logout_ends_subject(iss) {
        subject.or(session)
    } else {
        session.or(subject)
    };
    let itself = claims.token_id().map(|jti| TargetRef::Token { iss, jti });
    let (Some(target), Some(itself)) = (target, itself) else {
        return Err(Problem::internal("a logout token without a subject or an identity"));
    };
    // The provider's clock may be ahead of ours; what it issued before the logout is not spared for that.
    let now = claims.iat().map_or(app.revoking_at(), |iat| app.revoking_at().max(iat));
    let revocation = |target: TargetRef<'_>| {
        Revocation::new(target.to_owned(), Reason::Logout, &app.policy, now).expiring(claims.exp(), &app.policy)
    };
    app.kept
        .denylist
        .submit(vec![revocation(target), revocation(itself)])?
        .await?;
    let entry = Entry::new("logout").from(sender).with("scope", "backchannel");
    let entry = entry.with("by_issuer", iss.as_str()).about(&target.to_owned());
    app.kept.trail.note(entry.outcome("logged_out"));
    tracing::info!(%iss, kind = %target.kind(), "logged out by its identity provider");
    Ok(())
}
