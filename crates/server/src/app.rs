//! What all routes share: configuration, keys, the denylist, the clock.

mod fixed;
mod judging;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use ostracon_core::{
    IssuerKeys, MissingJti, Policy, PolicyBuilder, PolicyError, SigningKey, UnixTime, VerifiedToken, VerifyingKey,
};
use ostracon_store::{Denylist, Receipt, Registry, StoreError};

use self::fixed::Fixed;
pub(crate) use self::judging::{Denial, thorough};
use crate::{
    client::Client,
    clock::Clock,
    config::{AccessLog, Config, ConsoleSettings, Key, Tls, Tokens, signer_at},
    cookies::CookieSettings,
    history::History,
    issuers::{Lifetimes, Ring},
    limits::{Failures, Limits, Streams},
    metrics::Metrics,
    problem::Problem,
    rotation::Successor,
    sender::Sender,
    serving::LevelSwitch,
    terms::Terms,
    trail::{Entry, Trail},
    watch::Watch,
};

/// An application that is running: routes are answered from it, and from nothing else.
#[derive(Debug)]
pub struct App {
    fixed: Fixed,
    pub(crate) kept: Kept,
    pub(crate) tokens: Tokens,
    pub(crate) policy: Policy,
    /// For logout tokens, which need not name a subject.
    pub(crate) logout_policy: Policy,
    pub(crate) trusted_proxies: Vec<IpAddr>,
    pub(crate) keys: Vec<Key>,
    pub(crate) tls: Tls,
    pub(crate) keyring: Ring,
    pub(crate) clients: Vec<Client>,
    pub(crate) cookies: CookieSettings,
    pub(crate) backup_dir: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) failures: Failures,
    pub(crate) access_log: AccessLog,
    pub(crate) console: ConsoleSettings,
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
    /// There would be nothing to sign with.
    #[error("keys: every one of them is retired or does not sign yet; one must be there to sign with now")]
    NoSigningKey,
    /// A member of the configuration that cannot change while the server runs.
    #[error("{0} changes at a restart only")]
    NeedsRestart(&'static str),
    /// Figures cannot be kept.
    #[error("metrics: {0}")]
    Metrics(String),
    /// There is no thread for a key set to be fetched by.
    #[error("the key sets of other issuers cannot be fetched: {0}")]
    Fetching(std::io::Error),
    /// A key of the configuration cannot verify.
    #[error("key {kid:?}: {problem}")]
    Key {
        /// Its name.
        kid: String,
        /// Why.
        problem: ostracon_core::KeyError,
    },
}

/// What stays however the configuration changes.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) registry: Arc<Registry>,
    pub(crate) successor: Arc<Successor>,
    pub(crate) denylist: Arc<Denylist>,
    pub(crate) trail: Arc<Trail>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) history: Arc<History>,
    pub(crate) streams: Arc<Streams>,
    /// Those of the console.
    pub(crate) overviews: Arc<Streams>,
    /// The latest `iat` that was issued, in seconds.
    latest: Arc<AtomicU64>,
    /// Told the level of the log at each reload, if anybody set it.
    pub(crate) log_level: Arc<OnceLock<LevelSwitch>>,
    /// Whether the last configuration that was read could not be used.
    pub(crate) stale: Arc<AtomicBool>,
    clock: Clock,
    /// Whether the clock is to be believed by what forgets.
    pub(crate) watch: Arc<Mutex<Watch>>,
    /// Held by a backup, a sweep on demand, or a rebuild of the prefilter: one at a time.
    pub(crate) maintenance: Arc<tokio::sync::Mutex<()>>,
}

impl App {
    /// Opens what `config` describes. Blocks for as long as [`Denylist::open`] does.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; nothing is left running then.
    pub fn open(config: Config, clock: Clock) -> Result<Arc<Self>, OpenError> {
        // The lock on the directory first: what follows is made in it.
        let denylist = Denylist::open(&config.data_dir, &config.denylist)?;
        let trail = Trail::open(&config.data_dir, &config.audit, clock)?;
        let registry = Registry::open(&config.data_dir.join("sessions"), config.tokens.issuer.clone())?;
        let kept = Kept {
            registry: Arc::new(registry),
            successor: Arc::new(Successor::open(&config.data_dir)?),
            denylist: Arc::new(denylist),
            trail: Arc::new(trail),
            metrics: Arc::new(Metrics::new()?),
            history: Arc::default(),
            streams: Arc::default(),
            overviews: Arc::default(),
            latest: Arc::default(),
            log_level: Arc::default(),
            stale: Arc::default(),
            watch: Arc::new(Mutex::new(Watch::set(clock.now()))),
            maintenance: Arc::default(),
            clock,
        };
        let app = Self::assemble(config, kept, None)?;
        app.kept.trail.note(app.beginning());
        Ok(Arc::new(app))
    }

    /// The same application by another configuration.
    ///
    /// # Errors
    ///
    /// [`OpenError`], also for what cannot change without a restart.
    pub(crate) fn reconfigured(&self, config: Config) -> Result<Self, OpenError> {
        let fixed = Fixed::of(&config);
        if let Some(member) = self.fixed.differs(&fixed) {
            return Err(OpenError::NeedsRestart(member));
        }
        let signer = signer_at(&self.keys, self.now()).map(|key| key.signing.kid());
        let late = config.keys.iter().find(|key| Some(key.signing.kid()) == signer);
        if let Some(date) = late.and_then(|key| key.retired_at).filter(|date| *date < self.now()) {
            tracing::warn!(
                retired_at = Config::date(date),
                "the key that signs was to be retired by now; what it signed since is refused"
            );
        }
        Self::assemble(config, self.kept.clone(), Some(&self.keyring))
    }

    /// `before` is what key sets are kept from.
    fn assemble(config: Config, kept: Kept, before: Option<&Ring>) -> Result<Self, OpenError> {
        let fixed = Fixed::of(&config);
        if signer_at(&config.keys, kept.clock.now()).is_none() {
            return Err(OpenError::NoSigningKey);
        }
        let mut own = IssuerKeys::default();
        for key in &config.keys {
            let retired = |verifying: VerifyingKey| match key.retired_at {
                Some(date) => verifying.retired_at(date),
                None => verifying,
            };
            let inserted = key
                .signing
                .verifying_key()
                .map(retired)
                .and_then(|verifying| own.insert(verifying));
            inserted.map_err(|problem| OpenError::Key {
                kid: key.signing.kid().to_string(),
                problem,
            })?;
        }
        let all_lifetimes = Lifetimes::raised(&config.data_dir, config.longest_lifetime(), kept.clock.now())?;
        let longest = all_lifetimes.longest();
        let missing_jti = if config.issuers.is_empty() {
            MissingJti::Refuse
        } else {
            MissingJti::Digest
        };
        let own = (config.tokens.issuer.clone(), own);
        let room = config.tokens.cache_bytes;
        let keyring = Ring::new(own, config.issuers, &all_lifetimes, room, before).map_err(OpenError::Fetching)?;
        let policy = lifetimes(&config.tokens, longest).tokens_without_jti(missing_jti);
        let logout_policy = policy.clone().required_claims([]).build()?;
        let policy = config.rules.into_iter().fold(policy, PolicyBuilder::tier).build()?;
        all_lifetimes.keep(&config.data_dir)?;
        Ok(Self {
            fixed,
            kept,
            policy,
            logout_policy,
            trusted_proxies: config.trusted_proxies,
            tokens: config.tokens,
            keys: config.keys,
            tls: config.tls,
            keyring,
            clients: config.clients,
            cookies: config.cookies,
            backup_dir: config.backup_dir,
            failures: Failures::new(config.limits.failures_per_minute),
            limits: config.limits,
            access_log: config.access_log,
            console: config.console,
        })
    }

    /// The key that signs now.
    pub(crate) fn signer(&self) -> Result<&SigningKey, Problem> {
        let now = self.now();
        let signer = signer_at(&self.keys, now).map(|key| &key.signing);
        signer.ok_or_else(|| Problem::internal("every key of the configuration is retired, or does not sign yet"))
    }

    /// Whether what is issued now would be accepted: a clock that ran ahead, and had the sweeper forget what was not yet
    /// due, leaves all tokens refused that end before what it forgot (I1). That is safe, and must not go unseen.
    pub(crate) fn clock_is_ahead_of_what_was_forgotten(&self) -> Result<(), Problem> {
        let forgotten = self.kept.denylist.unlisted().forgotten_until;
        let ends = self.now().saturating_add(self.tokens.access_ttl);
        if self.policy.forgettable(ends) <= forgotten {
            tracing::error!(until = %forgotten, "the clock lies behind what was forgotten; nothing can be issued");
            return Err(Problem::clock_behind(forgotten));
        }
        Ok(())
    }

    /// The share of unlisted targets that the prefilter is built to let pass.
    pub(crate) fn prefilter_target(&self) -> f64 {
        self.fixed.denylist.false_positive_rate
    }

    /// Records that `receipts` are what the client `id` was given at the word of `sender`, and waits for that.
    ///
    /// # Errors
    ///
    /// As for [`Trail::record`].
    pub(crate) async fn record_revocations(
        &self,
        receipts: &[Receipt],
        id: &str,
        sender: &Sender,
    ) -> Result<(), Problem> {
        for receipt in receipts {
            let entry = Entry::of_revocation(&receipt.revocation).by(id).from(sender);
            self.kept.trail.record(entry.revoked(receipt)).await?;
        }
        Ok(())
    }

    /// The denylist that it answers from.
    #[must_use]
    pub fn denylist(&self) -> &Arc<Denylist> {
        &self.kept.denylist
    }

    /// Whom `token` must be for where a route does not say: what is configured for its issuer. For others than our own the
    /// keyring has seen to that.
    pub(crate) fn usual_audience(&self, token: &VerifiedToken) -> Option<&str> {
        (*token.claims().iss() == self.tokens.issuer).then_some(&*self.tokens.audience)
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.kept.clock.now()
    }

    /// For how long nothing is forgotten yet, since the clock was not seen to go evenly for long enough.
    pub(crate) fn clock_unsettled(&self) -> Option<Duration> {
        let now = self.now();
        let mut watch = self.kept.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.unsettled(now)
    }

    /// Notes that something is issued at `iat`.
    pub(crate) fn issued(&self, iat: UnixTime) {
        self.kept.latest.fetch_max(iat.as_secs(), Ordering::SeqCst);
    }

    /// From when a revocation counts: now, or, where the clock has stepped back, the latest time at which anything was
    /// issued. What was issued before it must not look as if it came after, nor outlive what denies it.
    pub(crate) fn revoking_at(&self) -> UnixTime {
        self.now()
            .max(UnixTime::from_secs(self.kept.latest.load(Ordering::SeqCst)))
    }

    /// What a revocation is made by that begins now.
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            own: &self.tokens.issuer,
            trusted: self.keyring.trusted(),
            policy: &self.policy,
            now: self.revoking_at(),
        }
    }
}

fn lifetimes(tokens: &Tokens, longest: Duration) -> PolicyBuilder {
    Policy::builder()
        .leeway(tokens.leeway)
        .access_lifetime(tokens.access_ttl)
        .refresh_lifetime(tokens.refresh_ttl)
        .session_lifetime(tokens.session_ttl)
        .longest_lifetime(longest)
        .low_tier_lifetime(Policy::default().low_tier_lifetime().min(longest))
}

impl Config {
    /// When the last token that was issued at `date` has ended, whatever lifetimes there ever were.
    pub(crate) fn outlived(&self, date: UnixTime) -> UnixTime {
        // A store that cannot be read yet has none of an earlier time to tell of.
        let all = Lifetimes::raised(&self.data_dir, self.longest_lifetime(), date).unwrap_or_default();
        let longest = self.longest_lifetime().max(all.longest());
        let policy = lifetimes(&self.tokens, longest).build().unwrap_or_default();
        policy.forgettable(date.saturating_add(longest))
    }
}
