//! The configuration: read from TOML, laid over by the environment, checked as a whole before anything starts.

mod environment;
mod error;
mod issuers;
mod keys;
mod raw;
mod tls;
mod tokens;

use std::{
    fs,
    net::IpAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use ostracon_core::TierRule;
use ostracon_store::{Durability, FALSE_POSITIVE_RATES, Options, audit};
use serde::Deserialize;

pub(crate) use self::keys::signer_at;
use self::raw::{Raw, Span};
pub use self::{
    error::ConfigError,
    issuers::{ForeignIssuer, KeySetUrl, KeySource},
    keys::{Key, KeyState, KeyStatus, read_private},
    tls::{Identity, Tls},
    tokens::Tokens,
};
use crate::{
    client::Client,
    cookies::{CookieName, CookieSettings, Origin},
    limits::Limits,
    listen::Address,
};

/// A configuration that can be used: every value is in its range, every key was read.
#[derive(Debug)]
pub struct Config {
    /// Where the denylist is.
    pub data_dir: PathBuf,
    /// Where backups are put; without it the server makes none.
    pub backup_dir: Option<PathBuf>,
    /// Where browsers, applications and proxies are answered.
    pub public: Address,
    /// Where operators and trusted backends are answered.
    pub admin: Address,
    /// The proxies whose word for the path of a request is taken.
    pub trusted_proxies: Vec<IpAddr>,
    /// What is issued, and what is accepted.
    pub tokens: Tokens,
    /// What is at stake, by audience, scope or path.
    pub rules: Vec<TierRule>,
    /// The issuer's own keys: one of them signs, by their dates and their order, and all verify.
    pub keys: Vec<Key>,
    /// Who else issues tokens that are accepted.
    pub issuers: Vec<ForeignIssuer>,
    /// Whom the listeners prove to be, where they speak TLS.
    pub tls: Tls,
    /// Who may call what.
    pub clients: Vec<Client>,
    /// The cookies, and who may send them.
    pub cookies: CookieSettings,
    /// How the denylist is opened.
    pub denylist: Options,
    /// How often what has expired is swept away.
    pub sweep_every: Duration,
    /// What one caller may take.
    pub limits: Limits,
    /// The least important level that is logged.
    pub log_level: tracing::Level,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// At which level requests are logged.
    pub access_log: AccessLog,
    /// How the audit log is kept.
    pub audit: AuditSettings,
    /// Variables of the environment that look like settings and are none.
    pub ignored: Vec<String>,
    /// The files that it was read from: a change of any of them is a change of the configuration.
    pub files: Vec<PathBuf>,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object of JSON a line, for programs.
    Json,
}

/// The level of the line that each request is logged with.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word that it is written as")]
pub enum AccessLog {
    Info,
    #[default]
    Debug,
}

/// How the audit log is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditSettings {
    /// For how long, and how much of it.
    pub log: audit::Options,
    /// Whether operators are refused what cannot be recorded.
    pub required: bool,
}

const DAY: Duration = Duration::from_hours(24);
impl Config {
    /// Reads the file at `path` and the process's environment. Paths in it are relative to the file's directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, variables())
    }

    /// The same with `variables` for an environment.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn load_with(path: &Path, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::File {
            path: path.into(),
            cause,
        })?;
        Self::read(&text, path, path.parent().unwrap_or(Path::new("")), variables).map(|mut config| {
            config.files.push(path.to_owned());
            config
        })
    }

    /// Reads `text` as if it stood in the file at `path`, with the process's environment.
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn check_text(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::read(text, path, path.parent().unwrap_or(Path::new("")), variables())
    }

    /// Reads `text`, written as a configuration file is, for a program that has its own way of being configured. Paths in it
    /// are relative to `base`; the environment is not looked at. What is read can be changed: its members are public.
    ///
    /// ```
    /// use ostracon_server::Config;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let base = dir.path();
    /// ostracon_store::write_new(&base.join("key"), ostracon_server::new_secret()?.0.as_bytes())?;
    /// let config = Config::from_toml(
    ///     r#"
    ///     data_dir = "denylist"
    ///     tokens = { issuer = "https://shop.example", audience = "shop", access_ttl = "5m" }
    ///     keys = [{ kid = "2026-11", alg = "HS256", secret_file = "key" }]
    ///     "#,
    ///     base,
    /// )?;
    /// assert_eq!(config.data_dir, base.join("denylist"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Config::load`].
    pub fn from_toml(text: &str, base: &Path) -> Result<Self, ConfigError> {
        Self::read(text, Path::new("the configuration"), base, [])
    }

    fn read(
        text: &str,
        path: &Path,
        base: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
            path: path.into(),
            detail: e.to_string(),
        })?;
        let variables: Vec<_> = variables.into_iter().collect();
        let ignored = environment::ignored(variables.iter().map(|(name, _)| name));
        environment::overlay(&mut table, variables)?;
        let raw: Raw = serde_path_to_error::deserialize(table).map_err(|e| ConfigError::Value {
            at: match e.path().to_string().as_str() {
                // The root has no name of its own.
                "." => path.display().to_string(),
                at => at.to_owned(),
            },
            problem: e.into_inner().message().to_owned(),
        })?;
        let config = Self::check(raw, base)?;
        Ok(Self { ignored, ..config })
    }

    fn check(raw: Raw, base: &Path) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        let public = address("listen.public", &raw.listen.public)?.within(base);
        let admin = address("listen.admin", &raw.listen.admin)?.within(base);
        let any_port = matches!(public, Address::Tcp(address) if address.port() == 0);
        if public == admin && !any_port {
            return Err(ConfigError::value(
                "listen.admin",
                admin,
                "it must differ from listen.public",
            ));
        }
        let denylist = raw.denylist;
        if !FALSE_POSITIVE_RATES.contains(&denylist.false_positive_rate) {
            return Err(ConfigError::value(
                "denylist.false_positive_rate",
                denylist.false_positive_rate,
                format_args!("{} to {} is", FALSE_POSITIVE_RATES.start(), FALSE_POSITIVE_RATES.end()),
            ));
        }
        let cache_bytes = denylist.cache.as_u64();
        if !(1 << 20..=1 << 40).contains(&cache_bytes) {
            return Err(ConfigError::value(
                "denylist.cache",
                denylist.cache,
                "1 MiB to 1 TiB is",
            ));
        }
        let pending_bytes = usize::try_from(denylist.pending.as_u64()).ok();
        let Some(pending_bytes) = pending_bytes.filter(|bytes| (1 << 20..=1 << 30).contains(bytes)) else {
            return Err(ConfigError::value(
                "denylist.pending",
                denylist.pending,
                "1 MiB to 1 GiB is",
            ));
        };
        let tokens = Tokens::check(raw.tokens)?;
        let issuers = issuers::issuers(raw.issuers, &tokens.issuer, base, &mut files)?;
        let keys = keys::read(raw.keys, base, &mut files)?;
        let tls = Tls::read(raw.tls, (&public, &admin), base, &mut files)?;
        let data_dir = base.join(raw.data_dir);
        let backup_dir = raw.backup_dir.map(|dir| base.join(dir));
        if let Some(within) = backup_dir.as_ref().filter(|dir| dir.starts_with(&data_dir)) {
            let allowed = "a directory outside of data_dir, best on another disk, is";
            return Err(ConfigError::value("backup_dir", within.display(), allowed));
        }
        Ok(Self {
            data_dir,
            backup_dir,
            public,
            admin,
            trusted_proxies: raw.listen.trusted_proxies,
            issuers,
            tokens,
            rules: raw.rules,
            keys,
            tls,
            files,
            clients: clients(raw.clients)?,
            cookies: cookies(&raw.cookies)?,
            denylist: Options {
                prefilter: denylist.prefilter,
                false_positive_rate: denylist.false_positive_rate,
                cache_bytes,
                pending_bytes,
                durability: durability(denylist.durability, denylist.sync_every)?,
                ..Options::default()
            },
            sweep_every: within(
                "denylist.sweep_every",
                denylist.sweep_every,
                Duration::from_secs(1)..=DAY,
            )?,
            limits: limits(&raw.limits)?,
            ignored: Vec::new(),
            log_format: raw.log.format,
            access_log: raw.log.access,
            audit: audit(&raw.audit)?,
            log_level: raw.log.level.parse().map_err(|_| {
                ConfigError::value(
                    "log.level",
                    format_args!("{:?}", raw.log.level),
                    "error, warn, info, debug or trace is",
                )
            })?,
        })
    }

    /// The longest life of any token that is accepted.
    pub(crate) fn longest_lifetime(&self) -> Duration {
        let foreign = self.issuers.iter().map(|issuer| issuer.max_lifetime);
        foreign.fold(self.tokens.session_ttl, Duration::max)
    }

    /// What is worth a second look, though it is possible.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let recommended = Duration::from_mins(5)..=Duration::from_mins(15);
        let ttl = self.tokens.access_ttl;
        let mut warnings = Vec::new();
        if let Durability::Interval(every) = self.denylist.durability {
            warnings.push(format!(
                "denylist.durability is \"interval\": when the machine crashes or loses power, what was revoked in the last {} \
                 may be accepted again, although it was acknowledged; \"sync\" loses nothing",
                humantime::format_duration(every)
            ));
        }
        if !recommended.contains(&ttl) {
            warnings.push(format!(
                "tokens.access_ttl is {}; 5m to 15m is recommended",
                humantime::format_duration(ttl)
            ));
        }
        for cookie in [&self.cookies.access, &self.cookies.refresh].map(CookieName::as_str) {
            if !cookie.starts_with("__Host-") && !cookie.starts_with("__Secure-") {
                warnings.push(format!(
                    "the cookie {cookie} has no __Host- or __Secure- prefix; a sub-domain could set it"
                ));
            }
        }
        warnings.extend(self.issuers.iter().filter_map(|issuer| issuer.warning.clone()));
        if let Some(last) = self.signs_until() {
            warnings.push(format!(
                "keys: each has a retired_at, and nothing can be issued from {} on; `ostracon keys rotate` makes the next",
                keys::date(last)
            ));
        }
        for name in &self.ignored {
            warnings.push(format!(
                "{name} is no setting; sections and members are parted by two underscores"
            ));
        }
        warnings
    }
}

/// The process's environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)))
}

fn address(at: &str, text: &str) -> Result<Address, ConfigError> {
    text.parse()
        .map_err(|allowed| ConfigError::value(at, format_args!("{text:?}"), allowed))
}

fn limits(raw: &raw::Limits) -> Result<Limits, ConfigError> {
    if !(1..=1_000_000).contains(&raw.connections) {
        return Err(ConfigError::value(
            "limits.connections",
            raw.connections,
            "1 to 1000000 is",
        ));
    }
    if !(1..=100_000).contains(&raw.event_streams) {
        return Err(ConfigError::value(
            "limits.event_streams",
            raw.event_streams,
            "1 to 100000 is",
        ));
    }
    let batch_bytes = raw.batch.as_u64();
    if !(64 << 10..=1 << 40).contains(&batch_bytes) {
        return Err(ConfigError::value("limits.batch", raw.batch, "64 KiB to 1 TiB is"));
    }
    let patience = || Duration::from_secs(1)..=Duration::from_hours(1);
    Ok(Limits {
        connections: raw.connections,
        header_timeout: within("limits.header_timeout", raw.header_timeout, patience())?,
        request_timeout: within("limits.request_timeout", raw.request_timeout, patience())?,
        event_streams: raw.event_streams,
        event_heartbeat: within(
            "limits.event_heartbeat",
            raw.event_heartbeat,
            Duration::from_secs(1)..=Duration::from_mins(5),
        )?,
        batch_bytes,
        failures_per_minute: raw.failures_per_minute,
    })
}

fn audit(raw: &raw::Audit) -> Result<AuditSettings, ConfigError> {
    let max_bytes = raw.max_size.as_u64();
    if !(16 << 20..=1 << 40).contains(&max_bytes) {
        let allowed = "16 MiB to 1 TiB is";
        return Err(ConfigError::value("audit.max_size", raw.max_size, allowed));
    }
    let range = DAY..=Duration::from_hours(3660 * 24);
    Ok(AuditSettings {
        log: audit::Options {
            retention: within("audit.retention", raw.retention, range)?,
            max_bytes,
            ..audit::Options::default()
        },
        required: raw.required,
    })
}

fn within(at: &str, span: Span, range: RangeInclusive<Duration>) -> Result<Duration, ConfigError> {
    let shown = humantime::format_duration;
    if range.contains(&span.0) {
        return Ok(span.0);
    }
    let allowed = format_args!("{} to {} is", shown(*range.start()), shown(*range.end()));
    Err(ConfigError::value(at, shown(span.0), allowed))
}

fn durability(mode: raw::Durability, every: Option<Span>) -> Result<Durability, ConfigError> {
    match (mode, every) {
        (raw::Durability::Sync, None) => Ok(Durability::Sync),
        (raw::Durability::Sync, Some(every)) => Err(ConfigError::value(
            "denylist.sync_every",
            humantime::format_duration(every.0),
            "it counts only beside durability = \"interval\", and no value otherwise",
        )),
        (raw::Durability::Interval, every) => {
            let every = every.unwrap_or(Span(Duration::from_millis(100)));
            // A checkpoint of the engine, which syncs as well, is made a second after the first change.
            let range = Duration::from_millis(1)..=Duration::from_secs(1);
            within("denylist.sync_every", every, range).map(Durability::Interval)
        }
    }
}

fn clients(raw: Vec<raw::Client>) -> Result<Vec<Client>, ConfigError> {
    let mut clients: Vec<Client> = Vec::with_capacity(raw.len());
    for (
        n,
        raw::Client {
            id,
            secret_sha256,
            roles,
        },
    ) in raw.into_iter().enumerate()
    {
        if clients.iter().any(|c| c.id() == id) {
            let problem = format!("{id:?} stands twice");
            return Err(ConfigError::Value {
                at: format!("clients[{n}].id"),
                problem,
            });
        }
        let client = Client::new(&id, &secret_sha256, &roles).map_err(|(member, problem)| ConfigError::Value {
            at: format!("clients[{n}].{member}"),
            problem,
        })?;
        clients.push(client);
    }
    Ok(clients)
}

fn cookies(raw: &raw::Cookies) -> Result<CookieSettings, ConfigError> {
    let name = |member: &str, text: &str, path| {
        CookieName::new(text, path)
            .map_err(|allowed| ConfigError::value(format!("cookies.{member}"), format_args!("{text:?}"), allowed))
    };
    let (access, refresh) = (
        name("access", &raw.access, "/")?,
        name("refresh", &raw.refresh, "/auth")?,
    );
    if access.as_str() == refresh.as_str() {
        return Err(ConfigError::value(
            "cookies.refresh",
            refresh.as_str(),
            "it must differ from cookies.access",
        ));
    }
    let origins = raw.allowed_origins.iter().enumerate().map(|(n, text)| {
        Origin::new(text).map_err(|allowed| {
            ConfigError::value(
                format!("cookies.allowed_origins[{n}]"),
                format_args!("{text:?}"),
                allowed,
            )
        })
    });
    Ok(CookieSettings {
        access,
        refresh,
        same_site: raw.same_site,
        allowed_origins: origins.collect::<Result<_, _>>()?,
        allow_same_site_requests: raw.allow_same_site_requests,
    })
}

#[cfg(test)]
mod tests;
