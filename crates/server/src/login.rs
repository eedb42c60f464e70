//! Logging a subject in.

use ostracon_core::{Claims, ClientId, Note, Revocation, Scope, SessionId, Subject, Targets, UnixTime};
use serde_json::{Map, Value};

use crate::{
    app::App,
    problem::Problem,
    random,
    session::{Grant, Pair, Turn},
};

/// Who logs in, and for what.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) sub: Subject,
    pub(crate) aud: Vec<String>,
    pub(crate) client_id: ClientId,
    pub(crate) scope: Scope,
    /// What the user would know the session by.
    pub(crate) device: Option<Note>,
    /// What the application wants to read in its tokens.
    pub(crate) claims: Map<String, Value>,
}

impl<'a> Turn<'a> {
    /// One with names of its own, that owes nothing to another.
    pub(crate) fn first(grant: &'a Grant, iat: UnixTime) -> Result<Self, Problem> {
        let new_id = || random::id().map_err(Problem::internal);
        Ok(Self {
            access_jti: new_id()?,
            refresh_jti: new_id()?,
            iat,
            scope: &grant.scope,
        })
    }
}

impl App {
    /// Begins a session for `login` and signs its first pair.
    ///
    /// # Errors
    ///
    /// [`Problem`] as for [`App::pair`]; `revoked_ahead` when a cut-off in the future would deny it from the start; as for
    /// the denylist when that cannot be asked.
    pub(crate) async fn log_in(&self, login: Login) -> Result<Pair, Problem> {
        let iat = self.past_cutoffs(&login.sub, &login.client_id).await?;
        let grant = self.grant(login, iat)?;
        let pair = self.sign_pair(&grant, &Turn::first(&grant, iat)?)?;
        self.list(&grant, iat);
        tracing::debug!(sid = %grant.sid, "a session begins");
        Ok(pair)
    }

    /// What `login` is granted in a session that begins at `iat`.
    pub(crate) fn grant(&self, login: Login, iat: UnixTime) -> Result<Grant, Problem> {
        Ok(Grant {
            sub: login.sub,
            aud: login.aud,
            client_id: login.client_id,
            scope: login.scope,
            sid: SessionId::new(random::id().map_err(Problem::internal)?).map_err(Problem::internal)?,
            device: login.device,
            auth_time: iat,
            ends: iat.saturating_add(self.tokens.session_ttl),
            claims: login.claims,
        })
    }

    /// The time at which tokens of `sub` and `client_id` may be issued so that nothing revoked earlier denies it: now, or where a cut-off lies in
    /// this very second, the beginning of the next. A cut-off covers its whole second, so the old login is not spared and
    /// the new one is not killed (A72). The wait is at most a second, and only here.
    pub(crate) async fn past_cutoffs(&self, sub: &Subject, client_id: &ClientId) -> Result<UnixTime, Problem> {
        self.can_issue()?;
        // Should somebody keep cutting off, the last login of each second waits for its turn.
        for _ in 0..5 {
            let now = self.now();
            let Some(cutoff) = self.cutoff(sub, client_id, now).await? else {
                return Ok(UnixTime::from_secs(now.as_secs()));
            };
            let Some(spared) = cutoff.spared_iat(now) else {
                let until = cutoff.cutoff().unwrap_or(cutoff.retained_until());
                return Err(Problem::revoked_ahead(format!(
                    "what is issued up to {until} is revoked already; lift that revocation first"
                )));
            };
            // Waited for, not set ahead: there are verifiers that refuse an `iat` of the future.
            tokio::time::sleep(spared.since(now)).await;
        }
        Err(Problem::revoked_ahead("revocations of this subject keep coming in"))
    }

    /// Whether it makes sense to issue anything.
    ///
    /// # Errors
    ///
    /// [`Problem`] when the denylist takes no more writes, since what is issued now could not be revoked; when the clock
    /// lies so far behind what was forgotten that what is issued now would count as ended (I1).
    pub(crate) fn can_issue(&self) -> Result<(), Problem> {
        if self.kept.denylist.stats().refused.is_some() {
            return Err(Problem::store_unavailable());
        }
        self.clock_is_ahead_of_what_was_forgotten()
    }

    /// The revocation that denies what is issued for them at `now`, if one does.
    async fn cutoff(&self, sub: &Subject, client_id: &ClientId, now: UnixTime) -> Result<Option<Revocation>, Problem> {
        let kid = self.signer()?.kid();
        let json = serde_json::json!({
            "iss": self.tokens.issuer, "sub": sub, "client_id": client_id,
            "iat": now.as_secs(), "exp": now.as_secs(),
        });
        let claims = Claims::parse(json.to_string().as_bytes())?;
        let targets = Targets::of(&claims, Some(kid));
        if self.kept.denylist.is_clear(&targets) {
            return Ok(None);
        }
        let kid = kid.clone();
        let facts = self.look_up(move |denylist| denylist.check(&Targets::of(&claims, Some(&kid)), now));
        Ok(facts.await?.revocation)
    }
}
