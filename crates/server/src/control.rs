//! What a program that embeds the server does by itself: its logins, its logouts, and whatever it has to end. The routes do
//! the same by the same functions.

use axum::http::HeaderMap;
use ostracon_core::{Note, Reason, SessionId, Subject, Target, UnixTime};
use ostracon_store::Receipt;

use crate::{
    login::Login,
    problem::Problem,
    rotation::Wish,
    routes::{
        logout::{self, LoggedOut, LogoutScope},
        revocations,
    },
    sender::Actor,
    serving::Serving,
    session::Pair,
    terms,
};

/// Something to revoke, and why.
///
/// ```
/// use ostracon_server::{ClientId, Issuer, Note, Reason, Revoke, Target};
///
/// // An application that was broken into: all that it holds is dead.
/// let iss = Issuer::new("https://shop.example")?;
/// let target = Target::Client { iss, client_id: ClientId::new("old-app")? };
/// let revoke = Revoke::new(target, Reason::Compromised).note(Note::new("ticket 4711")?);
/// # drop(revoke);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is revoked until Serving::revoke is given it"]
pub struct Revoke {
    target: Target,
    wish: terms::Wish,
}

impl Revoke {
    /// `target`, from now on.
    pub fn new(target: Target, reason: Reason) -> Self {
        Self {
            target,
            wish: terms::Wish {
                reason,
                ..terms::Wish::default()
            },
        }
    }

    /// What was issued up to `before`, and not up to now. For targets that have a cut-off.
    pub fn before(mut self, before: UnixTime) -> Self {
        self.wish.before = Some(before);
        self
    }

    /// A token that ends at `exp`; without it, it is taken to live for as long as any can.
    pub fn expiring(mut self, exp: UnixTime) -> Self {
        self.wish.exp = Some(exp);
        self
    }

    /// With a remark for people.
    pub fn note(mut self, note: Note) -> Self {
        self.wish.note = Some(note);
        self
    }
}

/// What the program does itself. Each is durable once it returns, and counts from then on, as over HTTP.
impl Serving {
    /// Begins a session, as `POST /v1/sessions` does.
    ///
    /// ```
    /// # use ostracon_server::Config;
    /// use ostracon_server::{Clock, Login, Reason, Serving, Subject};
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # ostracon_store::write_new(&dir.path().join("key"), ostracon_server::new_secret()?.0.as_bytes())?;
    /// # let text = r#"
    /// # data_dir = "denylist"
    /// # tokens = { issuer = "https://shop.example", audience = "shop" }
    /// # keys = [{ kid = "k", alg = "HS256", secret_file = "key" }]
    /// # "#;
    /// # let config = Config::from_toml(text, dir.path())?;
    /// # let ostracon = Serving::open(config, Clock::system()).await?;
    /// let user = Subject::new("user-42")?;
    /// let pair = ostracon.log_in(Login::new(user.clone())).await?;
    /// assert!(pair.cookies()[0].starts_with("__Host-USER_SESSION="));
    ///
    /// // This login is over, or all that the user has.
    /// ostracon.end_session(pair.session().clone(), Reason::Admin).await?;
    /// let receipt = ostracon.end_all_sessions(user, Reason::PasswordChange).await?;
    /// assert!(receipt.changed);
    /// # ostracon.close().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Problem`]: `member_invalid` for a login that cannot be, `revoked_ahead` where a cut-off in the future denies it,
    /// `store_unavailable` when what is issued now could not be revoked.
    pub async fn log_in(&self, login: Login) -> Result<Pair, Problem> {
        self.app().log_in(login).await
    }

    /// Ends what a request with `headers` presents, as `POST /auth/logout` does: by the cookies, after a look at which page
    /// sent them, or by the bearer. Tokens that are not good end nothing and are no error.
    ///
    /// ```
    /// use axum::{extract::State, http::HeaderMap, response::{IntoResponse, Redirect}};
    /// use ostracon_server::{LogoutScope, Problem, Serving};
    ///
    /// async fn leave(State(ostracon): State<Serving>, headers: HeaderMap) -> Result<impl IntoResponse, Problem> {
    ///     let out = ostracon.log_out(&headers, LogoutScope::Session).await?;
    ///     Ok((out, Redirect::to("/")))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Problem`]: `csrf_refused`, `credentials_ambiguous`, `store_unavailable`; nothing has ended then, and the cookies
    /// are to stay.
    pub async fn log_out(&self, headers: &HeaderMap, scope: LogoutScope) -> Result<LoggedOut, Problem> {
        logout::out(&self.app(), headers, scope, None, Actor::Program).await
    }

    /// Exchanges a refresh token for the next pair of its session, as `POST /auth/refresh` does.
    ///
    /// # Errors
    ///
    /// [`Problem`]: `refresh_expired`, `session_revoked`, `refresh_reused`, or as for a token that is refused.
    pub async fn refresh(&self, token: &str) -> Result<Pair, Problem> {
        Ok(self.app().refresh(token, Wish::default()).await?)
    }

    /// Ends one session that this server has begun, as `DELETE /v1/sessions/{sid}` does.
    ///
    /// # Errors
    ///
    /// [`Problem`] `store_unavailable`.
    pub async fn end_session(&self, sid: SessionId, reason: Reason) -> Result<Receipt, Problem> {
        let iss = self.app().tokens.issuer.clone();
        self.revoke(Revoke::new(Target::Session { iss, sid }, reason)).await
    }

    /// Ends all sessions of a user up to now; a login that comes later is not hit.
    ///
    /// # Errors
    ///
    /// [`Problem`] `store_unavailable`.
    pub async fn end_all_sessions(&self, sub: Subject, reason: Reason) -> Result<Receipt, Problem> {
        let iss = self.app().tokens.issuer.clone();
        self.revoke(Revoke::new(Target::Subject { iss, sub }, reason)).await
    }

    /// Revokes, as `POST /v1/revocations` does. Where a stricter revocation stands already, that one is in the receipt.
    ///
    /// # Errors
    ///
    /// [`Problem`]: `member_invalid` where it would not do what it says, `store_unavailable`.
    pub async fn revoke(&self, revoke: Revoke) -> Result<Receipt, Problem> {
        let app = self.app();
        let revocation = app.terms().revocation(revoke.target, revoke.wish)?;
        revocations::make_stand(&app, revocation, Actor::Program).await
    }
}
