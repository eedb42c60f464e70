//! The configuration: read from TOML, laid over by the environment, checked as a whole before anything starts.

mod environment;
mod error;
mod issuers;
mod keys;
mod private;
mod raw;
mod sections;
mod source;
mod store;
mod tls;
mod tokens;

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ostracon_core::TierRule;
use ostracon_store::{Durability, Options, audit};
use serde::Deserialize;

pub(crate) use self::keys::signer_at;
pub use self::{
    error::ConfigError,
    issuers::{ForeignIssuer, KeySetUrl, KeySource},
    keys::{Key, KeyState, KeyStatus},
    private::read_private,
    store::StoreConfig,
    tls::{Identity, Tls},
    tokens::Tokens,
};
use self::{raw::Raw, source::Source};
use crate::{
    client::Client,
    cookies::{CookieName, CookieSettings},
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
    /// Whether there is a console, and for how long one stays logged in to it.
    pub console: ConsoleSettings,
    /// Whether the program lets the system write its memory to a file when it crashes; an application that embeds it sees to
    /// that itself.
    pub core_dumps: bool,
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

/// The console on the admin listener.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ConsoleSettings {
    /// Whether `/admin/` is answered.
    pub enabled: bool,
    /// How long after a login one has to log in again, whatever happens in between.
    pub session_ttl: Duration,
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
        Self::of(
            Source::load(path, variables)?,
            path,
            path.parent().unwrap_or(Path::new("")),
        )
        .map(|mut config| {
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
        let base = path.parent().unwrap_or(Path::new(""));
        Self::of_text(text, path, base, variables())
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
        Self::of_text(text, Path::new("the configuration"), base, [])
    }

    pub(crate) fn of_text(
        text: &str,
        path: &Path,
        base: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::of(Source::read(text, path, variables)?, path, base)
    }

    fn of(mut source: Source, path: &Path, base: &Path) -> Result<Self, ConfigError> {
        let ignored = std::mem::take(&mut source.ignored);
        let config = Self::check(source.typed(path)?, base)?;
        Ok(Self { ignored, ..config })
    }

    fn check(raw: Raw, base: &Path) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        let public = sections::address("listen.public", &raw.listen.public)?.within(base);
        let admin = sections::address("listen.admin", &raw.listen.admin)?.within(base);
        let any_port = matches!(public, Address::Tcp(address) if address.port() == 0);
        if public == admin && !any_port {
            return Err(ConfigError::value(
                "listen.admin",
                admin,
                "it must differ from listen.public",
            ));
        }
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
            clients: sections::clients(raw.clients)?,
            cookies: sections::cookies(&raw.cookies)?,
            sweep_every: sections::within(
                "denylist.sweep_every",
                raw.denylist.sweep_every,
                Duration::from_secs(1)..=DAY,
            )?,
            denylist: sections::denylist(&raw.denylist)?,
            limits: sections::limits(&raw.limits)?,
            ignored: Vec::new(),
            log_format: raw.log.format,
            access_log: raw.log.access,
            audit: sections::audit(&raw.audit)?,
            console: sections::console(&raw.console)?,
            core_dumps: raw.process.core_dumps,
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

#[cfg(test)]
mod tests;
