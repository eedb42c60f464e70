//! What all routes share: configuration, keys, the denylist, the clock.

use std::{net::IpAddr, path::Path, sync::Arc, time::Duration};

use ostracon_core::{
    Demand, Facts, IssuerKeys, Keyring, Policy, PolicyBuilder, PolicyError, Refusal, SigningKey, TokenType, UnixTime,
    VerifiedToken, decide,
};
use ostracon_store::{Denylist, Registry, StoreError};

use crate::{
    client::Client,
    clock::Clock,
    config::{Config, Tokens},
    cookies::CookieSettings,
    limits::{Failures, Limits},
    problem::Problem,
    rotation::Successor,
};

/// An application that is running: routes are answered from it, and from nothing else.
#[derive(Debug)]
pub struct App {
    pub(crate) tokens: Tokens,
    pub(crate) policy: Policy,
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) keyring: Keyring,
    pub(crate) clients: Vec<Client>,
    pub(crate) cookies: CookieSettings,
    pub(crate) registry: Arc<Registry>,
    pub(crate) successor: Successor,
    pub(crate) denylist: Arc<Denylist>,
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) failures: Failures,
}

/// Why an application cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The denylist cannot be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lifetimes contradict each other.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A key of the configuration cannot verify.
    #[error("key {kid:?}: {problem}")]
    Key {
        /// Its name.
        kid: String,
        /// Why.
        problem: ostracon_core::KeyError,
    },
}

impl App {
    /// Opens what `config` describes. Blocks for as long as [`Denylist::open`] does.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing is left running then.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<Self>, OpenError> {
        let mut own = IssuerKeys::default();
        for key in &config.keys {
            let inserted = key.verifying_key().and_then(|verifying| own.insert(verifying));
            inserted.map_err(|problem| OpenError::Key {
                kid: key.kid().to_string(),
                problem,
            })?;
        }
        let mut keyring = Keyring::default();
        keyring.trust(config.tokens.issuer.clone(), own);
        let denylist = Denylist::open(&config.data_dir, &config.denylist)?;
        let registry = Registry::open(&config.data_dir.join("sessions"), config.tokens.issuer.clone())?;
        let successor = Successor::open(&config.data_dir)?;
        let longest = longest_lifetime(&config.data_dir, config.tokens.session_ttl)?;
        let tokens = &config.tokens;
        let policy = Policy::builder()
            .leeway(tokens.leeway)
            .access_lifetime(tokens.access_ttl)
            .refresh_lifetime(tokens.refresh_ttl)
            .session_lifetime(tokens.session_ttl)
            .longest_lifetime(longest)
            .low_tier_lifetime(Policy::default().low_tier_lifetime().min(longest));
        let policy = config.rules.into_iter().fold(policy, PolicyBuilder::tier);
        Ok(Arc::new(Self {
            policy: policy.build()?,
            trusted_proxies: config.trusted_proxies,
            tokens: config.tokens,
            keys: config.keys,
            keyring,
            clients: config.clients,
            cookies: config.cookies,
            registry: Arc::new(registry),
            successor,
            denylist: Arc::new(denylist),
            clock,
            failures: Failures::new(config.limits.failures_per_minute),
            limits: config.limits,
        }))
    }

    /// The denylist that it answers from.
    #[must_use]
    pub fn denylist(&self) -> &Arc<Denylist> {
        &self.denylist
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Whether `token` is accepted, as one of type `typ` and under `demand`.
    pub(crate) async fn judge(
        &self,
        token: &str,
        typ: TokenType,
        demand: &Demand<'_>,
    ) -> Result<VerifiedToken, Denial> {
        self.judge_verified(self.keyring.verify(token, typ)?, demand).await
    }

    /// The decision behind every route.
    pub(crate) async fn judge_verified(
        &self,
        token: VerifiedToken,
        demand: &Demand<'_>,
    ) -> Result<VerifiedToken, Denial> {
        let now = self.now();
        let decide = |token: &VerifiedToken, facts: &Facts| decide(token.claims(), demand, facts, &self.policy, now);
        let clear = !demand.asks_denylist(token.claims(), &self.policy) || self.denylist.is_clear(&token.targets());
        match decide(&token, &self.denylist.unlisted()) {
            Ok(()) if clear => return Ok(token),
            // What no revocation can make better is refused without a look at the disk. A scope that is missing could
            // still turn out to be the lesser trouble of a revoked token.
            Err(refusal) if clear || refusal != Refusal::ScopeInsufficient => return Err(refusal.into()),
            _ => {}
        }
        let (token, facts) = self.facts(token, now).await?;
        decide(&token, &facts)?;
        Ok(token)
    }

    /// The facts about `token`, looked up off the async threads.
    pub(crate) async fn facts(
        &self,
        token: VerifiedToken,
        now: UnixTime,
    ) -> Result<(VerifiedToken, Facts), StoreError> {
        let denylist = Arc::clone(&self.denylist);
        let check = move || denylist.check(&token.targets(), now).map(|facts| (token, facts));
        let gone = |_| StoreError::Engine("the look-up panicked".into());
        tokio::task::spawn_blocking(check).await.map_err(gone)?
    }
}

/// Why a request is not let in.
#[derive(Debug)]
pub(crate) enum Denial {
    /// The token is refused.
    Refused(Refusal),
    /// Whether it is to be refused cannot be told (I5).
    Unknown(StoreError),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Denial {
    fn from(error: StoreError) -> Self {
        Self::Unknown(error)
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(refusal) => refusal.into(),
            Denial::Unknown(error) => error.into(),
        }
    }
}

/// The longest lifetime that this store has ever been run with, `configured` included.
///
/// I1 across configurations: a cut-off is kept for as long as any token of its time can live. If the lifetime were
/// lowered and later raised again, entries made in between would be gone before tokens from before them; so the store
/// remembers the longest, for what it keeps and for what it accepts.
fn longest_lifetime(data_dir: &Path, configured: Duration) -> Result<Duration, StoreError> {
    let path = data_dir.join("longest-lifetime");
    let failed = |source| StoreError::Io {
        path: path.clone(),
        source: Arc::new(source),
    };
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text
            .trim()
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| StoreError::Damaged {
                path: path.clone(),
                detail: "it is not a number of seconds".into(),
            })?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Duration::ZERO,
        Err(e) => return Err(failed(e)),
    };
    if configured > before {
        ostracon_store::write_new(&path, format!("{}\n", configured.as_secs()).as_bytes())?;
    }
    Ok(configured.max(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i1_the_longest_lifetime_outlives_a_shorter_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let run = |days: u64| {
            longest_lifetime(dir.path(), Duration::from_hours(days * 24))
                .unwrap()
                .as_secs()
                / 86_400
        };
        assert_eq!([run(30), run(7), run(30), run(31), run(1)], [30, 30, 30, 31, 31]);
        std::fs::write(dir.path().join("longest-lifetime"), "soon").unwrap();
        assert!(matches!(
            longest_lifetime(dir.path(), Duration::ZERO),
            Err(StoreError::Damaged { .. })
        ));
    }
}
