//! The configuration: read from TOML, laid over by the environment, checked as a whole before anything starts.

mod environment;
mod error;
mod raw;

use std::{
    fs,
    net::IpAddr,
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ostracon_core::{Issuer, Policy, SigningKey, TierRule, UnixTime};
use ostracon_store::{FALSE_POSITIVE_RATES, Options};
use zeroize::Zeroizing;

pub use self::error::ConfigError;
use self::raw::{Moment, Raw, Span};
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
    /// The issuer's own keys; the first that is not retired signs, all verify.
    pub keys: Vec<Key>,
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
    /// Variables of the environment that look like settings and are none.
    pub ignored: Vec<String>,
}

/// A key of the issuer's own.
#[derive(Debug)]
pub struct Key {
    /// The key itself.
    pub signing: SigningKey,
    /// From when on it signs nothing, and vouches for nothing that is issued later.
    pub retired_at: Option<UnixTime>,
}

impl Key {
    /// Whether it signs at `now`.
    pub(crate) fn signs_at(&self, now: UnixTime) -> bool {
        self.retired_at.is_none_or(|date| now < date)
    }
}

/// What is issued, and what is accepted.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The `iss` of what is issued.
    pub issuer: Issuer,
    /// The `aud` of what is issued and asked for where nothing else is said.
    pub audience: Box<str>,
    /// How long an access token lives.
    pub access_ttl: Duration,
    /// How long a refresh token lives if it is not used.
    pub refresh_ttl: Duration,
    /// How long a login lives, whatever is refreshed in it.
    pub session_ttl: Duration,
    /// For how long a rotated refresh token is answered with its successor.
    pub refresh_grace: Duration,
    /// How far two clocks may differ.
    pub leeway: Duration,
}

const DAY: Duration = Duration::from_hours(24);
/// No login lasts longer.
const LONGEST_SESSION: Duration = Duration::from_hours(400 * 24);

impl Config {
    /// Reads the file at `path` and the process's environment. Paths in it are relative to the file's directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first thing that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let variables = std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
        Self::load_with(path, variables)
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
        let config = Self::check(raw, path.parent().unwrap_or(Path::new("")))?;
        Ok(Self { ignored, ..config })
    }

    fn check(raw: Raw, base: &Path) -> Result<Self, ConfigError> {
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
            tokens: tokens(raw.tokens)?,
            rules: raw.rules,
            keys: keys(raw.keys, base)?,
            clients: clients(raw.clients)?,
            cookies: cookies(&raw.cookies)?,
            denylist: Options {
                prefilter: denylist.prefilter,
                false_positive_rate: denylist.false_positive_rate,
                cache_bytes,
                ..Options::default()
            },
            sweep_every: within(
                "denylist.sweep_every",
                denylist.sweep_every,
                Duration::from_secs(1)..=DAY,
            )?,
            limits: limits(&raw.limits)?,
            ignored: Vec::new(),
            log_level: raw.log.level.parse().map_err(|_| {
                ConfigError::value(
                    "log.level",
                    format_args!("{:?}", raw.log.level),
                    "error, warn, info, debug or trace is",
                )
            })?,
        })
    }

    /// What is worth a second look, though it is possible.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let recommended = Duration::from_mins(5)..=Duration::from_mins(15);
        let ttl = self.tokens.access_ttl;
        let mut warnings = Vec::new();
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
        for name in &self.ignored {
            warnings.push(format!(
                "{name} is no setting; sections and members are parted by two underscores"
            ));
        }
        warnings
    }
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
    let batch_bytes = raw.batch.as_u64();
    if !(64 << 10..=1 << 40).contains(&batch_bytes) {
        return Err(ConfigError::value("limits.batch", raw.batch, "64 KiB to 1 TiB is"));
    }
    let patience = || Duration::from_secs(1)..=Duration::from_hours(1);
    Ok(Limits {
        connections: raw.connections,
        header_timeout: within("limits.header_timeout", raw.header_timeout, patience())?,
        request_timeout: within("limits.request_timeout", raw.request_timeout, patience())?,
        batch_bytes,
        failures_per_minute: raw.failures_per_minute,
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

fn tokens(raw: raw::Tokens) -> Result<Tokens, ConfigError> {
    let audience = raw.audience;
    if audience.is_empty() || audience.len() > 255 || audience.chars().any(char::is_control) {
        return Err(ConfigError::value(
            "tokens.audience",
            format_args!("{audience:?}"),
            "1 to 255 bytes without control characters are",
        ));
    }
    let second = Duration::from_secs(1);
    let session_ttl = within("tokens.session_ttl", raw.session_ttl, second..=LONGEST_SESSION)?;
    // RFC 6750 §5.3: short-lived, an hour or less.
    let shortest = session_ttl.min(Duration::from_hours(1));
    let access_ttl = within("tokens.access_ttl", raw.access_ttl, second..=shortest)?;
    let refresh_ttl = within("tokens.refresh_ttl", raw.refresh_ttl, access_ttl..=session_ttl)?;
    Ok(Tokens {
        issuer: raw.issuer,
        audience: audience.into(),
        access_ttl,
        refresh_ttl,
        session_ttl,
        refresh_grace: within(
            "tokens.refresh_grace",
            raw.refresh_grace,
            Duration::ZERO..=Duration::from_mins(5),
        )?,
        leeway: within("tokens.leeway", raw.leeway, Duration::ZERO..=Policy::MAX_LEEWAY)?,
    })
}

fn keys(raw: Vec<raw::Key>, base: &Path) -> Result<Vec<Key>, ConfigError> {
    let problem = |at: String, problem: String| ConfigError::Value { at, problem };
    if raw.is_empty() {
        return Err(problem(
            "keys".into(),
            "at least one is needed; `ostracon init` makes one".into(),
        ));
    }
    let mut keys: Vec<Key> = Vec::with_capacity(raw.len());
    for (n, key) in raw.into_iter().enumerate() {
        let (member, file) = match (key.private_key_file, key.secret_file) {
            (Some(file), None) => ("private_key_file", file),
            (None, Some(file)) => ("secret_file", file),
            _ => {
                let needed = "exactly one of private_key_file and secret_file is needed".into();
                return Err(problem(format!("keys[{n}]"), needed));
            }
        };
        let file = base.join(file);
        let at = format!("keys[{n}].{member}");
        let bytes = read_private(&file).map_err(|why| problem(at.clone(), format!("{}: {why}", file.display())))?;
        let signer = match member {
            "private_key_file" => SigningKey::from_pem(key.kid, key.alg, &bytes),
            _ => SigningKey::from_secret(key.kid, key.alg, &bytes),
        }
        .map_err(|e| problem(at, format!("{}: {e}", file.display())))?;
        if keys.iter().any(|k| k.signing.kid() == signer.kid()) {
            return Err(problem(
                format!("keys[{n}].kid"),
                format!("{:?} stands twice", signer.kid()),
            ));
        }
        keys.push(Key {
            signing: signer,
            retired_at: key.retired_at.map(|Moment(at)| at),
        });
    }
    Ok(keys)
}

/// The bytes of a file that nobody but its owner can read.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let told = |e: std::io::Error| e.to_string();
    let mode = fs::metadata(path).map_err(told)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "others can read or write it (mode {mode:04o}); run `chmod 600` on it"
        ));
    }
    fs::read(path).map(Zeroizing::new).map_err(told)
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
