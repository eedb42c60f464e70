//! Logging a subject in.

use std::time::Duration;

use ostracon_core::{Claims, ClientId, Note, Revocation, Scope, SessionId, Subject, Targets, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    app::App,
    problem::Problem,
    random,
    session::{Grant, Pair, RESERVED, Turn},
};

/// Who logs in, and for what. That it is them has been found out before.
///
/// ```
/// use ostracon_server::{Login, Note, Scope, Subject};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Mine {
///     role: &'static str,
/// }
///
/// let login = Login::new(Subject::new("user-42")?)
///     .scope(Scope::new("read write")?)
///     .device(Note::new("Firefox on Linux")?)
///     .claims(Mine { role: "editor" })?;
/// # drop(login);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Login {
    pub(crate) sub: Subject,
    pub(crate) aud: Vec<String>,
    pub(crate) client_id: Option<ClientId>,
    pub(crate) scope: Scope,
    /// What the user would know the session by.
    pub(crate) device: Option<Note>,
    /// What the application wants to read in its tokens.
    pub(crate) claims: Map<String, Value>,
}

/// How far ahead of the clock a cut-off may lie for a login to wait for it.
const AHEAD: Duration = Duration::from_secs(2);

impl Login {
    /// A login of `sub` to the configured audience, with an empty scope.
    #[must_use]
    pub fn new(sub: Subject) -> Self {
        Self {
            sub,
            aud: Vec::new(),
            client_id: None,
            scope: Scope::default(),
            device: None,
            claims: Map::new(),
        }
    }

    /// For `audience`; said again, for that one, too.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.aud.push(audience.into());
        self
    }

    /// Allowing `scope`.
    #[must_use]
    pub fn scope(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    /// At the hands of `client_id`; where it is not said, the configured audience is its own client.
    #[must_use]
    pub fn client(self, client_id: ClientId) -> Self {
        Self {
            client_id: Some(client_id),
            ..self
        }
    }

    /// On `device`, as its user would call it in a list of sessions.
    #[must_use]
    pub fn device(self, device: Note) -> Self {
        Self {
            device: Some(device),
            ..self
        }
    }

    /// With the members of `claims` in its access tokens, to be read by
    /// [`Authenticated::extra`](crate::Authenticated::extra).
    ///
    /// # Errors
    ///
    /// [`Problem`] when it is written as anything but an object.
    pub fn claims(self, claims: impl Serialize) -> Result<Self, Problem> {
        match serde_json::to_value(claims) {
            Ok(Value::Object(claims)) => Ok(Self { claims, ..self }),
            _ => Err(Problem::member_invalid("claims", "an object is needed")),
        }
    }
}

// I8: what an application puts into its tokens may be a secret of its own.
impl core::fmt::Debug for Login {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Login")
            .field("sub", &self.sub)
            .field("aud", &self.aud)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
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
    /// [`Problem`] `member_invalid` for a login that cannot be, else as for [`App::sign_pair`]; `revoked_ahead` when a cut-off in the future would deny it from the start; as for
    /// the denylist when that cannot be asked.
    pub(crate) async fn log_in(&self, login: Login) -> Result<Pair, Problem> {
        self.log_in_to(self.grant(login)?).await
    }

    /// The same for what was [granted](Self::grant) already.
    pub(crate) async fn log_in_to(&self, mut grant: Grant) -> Result<Pair, Problem> {
        let iat = self.past_cutoffs(&grant.sub, &grant.client_id).await?;
        self.begin(&mut grant, iat);
        let pair = self.sign_pair(&grant, &Turn::first(&grant, iat)?)?;
        // The backend asks, not who will refresh.
        self.list(&grant, iat, None);
        tracing::debug!(sid = %grant.sid, "a session begins");
        Ok(pair)
    }

    /// What `login` is granted in a session that is yet to begin.
    ///
    /// # Errors
    ///
    /// [`Problem`] `member_invalid` for a login that cannot be.
    pub(crate) fn grant(&self, login: Login) -> Result<Grant, Problem> {
        let aud = self.audiences(login.aud)?;
        if let Some(name) = RESERVED.into_iter().find(|name| login.claims.contains_key(*name)) {
            return Err(Problem::member_invalid(
                &format!("claims.{name}"),
                "is not the application's to set",
            ));
        }
        let client_id = match login.client_id {
            Some(client_id) => client_id,
            None => ClientId::new(&*self.tokens.audience).map_err(Problem::internal)?,
        };
        let now = self.now();
        Ok(Grant {
            sub: login.sub,
            aud,
            client_id,
            scope: login.scope,
            sid: SessionId::new(random::id().map_err(Problem::internal)?).map_err(Problem::internal)?,
            device: login.device,
            auth_time: now,
            ends: now.saturating_add(self.tokens.session_ttl),
            claims: login.claims,
        })
    }

    /// Has the session of `grant` begin at `iat`.
    pub(crate) fn begin(&self, grant: &mut Grant, iat: UnixTime) {
        grant.auth_time = iat;
        grant.ends = iat.saturating_add(self.tokens.session_ttl);
    }

    fn audiences(&self, aud: Vec<String>) -> Result<Vec<String>, Problem> {
        if aud.is_empty() {
            return Ok(vec![self.tokens.audience.to_string()]);
        }
        let fits = |a: &String| !a.is_empty() && a.len() <= 255 && !a.chars().any(char::is_control);
        if aud.len() > 16 || !aud.iter().all(fits) {
            return Err(Problem::member_invalid(
                "aud",
                "1 to 16 names of 1 to 255 bytes without control characters",
            ));
        }
        Ok(aud)
    }

    /// The time at which tokens of `sub` and `client_id` may be issued so that nothing revoked earlier denies it: now, or where a cut-off lies in
    /// this very second, the beginning of the next. A cut-off covers its whole second, so the old login is not spared and
    /// the new one is not killed (A72). A wait is at most two seconds, and only here.
    pub(crate) async fn past_cutoffs(&self, sub: &Subject, client_id: &ClientId) -> Result<UnixTime, Problem> {
        self.can_issue()?;
        // Should somebody keep cutting off, the last login of each second waits for its turn.
        for _ in 0..5 {
            let now = self.now();
            let Some(cutoff) = self.cutoff(sub, client_id, now).await? else {
                return Ok(UnixTime::from_secs(now.as_secs()));
            };
            let Some(spared) = cutoff.spared_iat(now) else {
                // One that ends what was issued behind another of this second is dated ahead of the clock by as much.
                if let Some(before) = cutoff.cutoff().filter(|before| before.since(now) <= AHEAD) {
                    tokio::time::sleep(before.since(now)).await;
                    continue;
                }
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
