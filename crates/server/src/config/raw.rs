//! The configuration as it is written: names and types, nothing compared with anything else yet.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use bytesize::ByteSize;
use ostracon_core::{Algorithm, Issuer, KeyId, TierRule, UnixTime};
use serde::{Deserialize, Deserializer, de::Error};

use super::{AccessLog, LogFormat, issuers};
use crate::{client::Role, cookies::SameSite};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) data_dir: PathBuf,
    pub(super) backup_dir: Option<PathBuf>,
    #[serde(default)]
    pub(super) listen: Listen,
    pub(super) tokens: Tokens,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) issuers: Vec<issuers::Raw>,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default)]
    pub(super) clients: Vec<Client>,
    #[serde(default)]
    pub(super) cookies: Cookies,
    #[serde(default)]
    pub(super) denylist: Denylist,
    #[serde(default)]
    pub(super) rules: Vec<TierRule>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) log: Log,
    #[serde(default)]
    pub(super) audit: Audit,
    #[serde(default)]
    pub(super) console: Console,
    #[serde(default)]
    pub(super) process: Process,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Listen {
    pub(super) public: String,
    pub(super) admin: String,
    pub(super) trusted_proxies: Vec<IpAddr>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            public: "127.0.0.1:8080".into(),
            admin: "127.0.0.1:8081".into(),
            trusted_proxies: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tokens {
    pub(super) issuer: Issuer,
    pub(super) audience: String,
    #[serde(default = "Span::mins::<10>")]
    pub(super) access_ttl: Span,
    #[serde(default = "Span::days::<14>")]
    pub(super) refresh_ttl: Span,
    #[serde(default = "Span::days::<30>")]
    pub(super) session_ttl: Span,
    #[serde(default = "Span::secs::<10>")]
    pub(super) refresh_grace: Span,
    #[serde(default = "Span::secs::<30>")]
    pub(super) leeway: Span,
    #[serde(default = "token_cache")]
    pub(super) cache: ByteSize,
}

fn token_cache() -> ByteSize {
    ByteSize::mib(32)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) kid: KeyId,
    pub(super) alg: Algorithm,
    pub(super) private_key_file: Option<PathBuf>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) signs_from: Option<Moment>,
    pub(super) retired_at: Option<Moment>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) public: Option<Identity>,
    pub(super) admin: Option<Identity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) certificate_file: PathBuf,
    pub(super) private_key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret_sha256: String,
    pub(super) roles: Vec<Role>,
    #[serde(default)]
    pub(super) audiences: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cookies {
    pub(super) access: String,
    pub(super) refresh: String,
    pub(super) same_site: SameSite,
    pub(super) allowed_origins: Vec<String>,
    pub(super) allow_same_site_requests: bool,
}

impl Default for Cookies {
    fn default() -> Self {
        Self {
            access: "__Host-USER_SESSION".into(),
            refresh: "__Secure-USER_REFRESH".into(),
            same_site: SameSite::Lax,
            allowed_origins: Vec::new(),
            allow_same_site_requests: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Denylist {
    pub(super) prefilter: bool,
    pub(super) false_positive_rate: f64,
    pub(super) cache: ByteSize,
    pub(super) pending: ByteSize,
    pub(super) min_free: ByteSize,
    pub(super) sweep_every: Span,
    pub(super) durability: Durability,
    pub(super) sync_every: Option<Span>,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Durability {
    Sync,
    Interval,
}

impl Default for Denylist {
    fn default() -> Self {
        Self {
            prefilter: true,
            false_positive_rate: 0.001,
            cache: ByteSize::mib(64),
            pending: ByteSize::mib(32),
            min_free: ByteSize::mib(64),
            sweep_every: Span::mins::<1>(),
            durability: Durability::Sync,
            sync_every: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) connections: usize,
    pub(super) header_timeout: Span,
    pub(super) request_timeout: Span,
    pub(super) event_streams: usize,
    pub(super) event_heartbeat: Span,
    pub(super) batch: ByteSize,
    pub(super) failures_per_minute: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Span::mins::<1>(),
            request_timeout: Span::secs::<30>(),
            event_streams: 64,
            event_heartbeat: Span::secs::<15>(),
            batch: ByteSize::mib(256),
            failures_per_minute: NonZeroU32::MIN.saturating_add(29),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: String,
    pub(super) format: LogFormat,
    pub(super) access: AccessLog,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: LogFormat::default(),
            access: AccessLog::default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Audit {
    pub(super) retention: Span,
    pub(super) max_size: ByteSize,
    pub(super) required: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            retention: Span::days::<400>(),
            max_size: ByteSize::gib(1),
            required: false,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Console {
    pub(super) enabled: bool,
    pub(super) session_ttl: Span,
}

impl Default for Console {
    fn default() -> Self {
        Self {
            enabled: true,
            session_ttl: Span::mins::<{ 12 * 60 }>(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Process {
    pub(super) core_dumps: bool,
}

/// A duration as people write it.
#[derive(Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = "a duration is written in quotes, such as \"30s\", \"10m\" or \"14d\"";
        let text = String::deserialize(deserializer).map_err(|e| D::Error::custom(format_args!("{e}; {written}")))?;
        let parsed = humantime::parse_duration(&text);
        parsed
            .map(Self)
            .map_err(|_| D::Error::custom(format_args!("{text:?} is none; {written}")))
    }
}

impl Span {
    const fn secs<const N: u64>() -> Self {
        Self(Duration::from_secs(N))
    }
    const fn mins<const N: u64>() -> Self {
        Self(Duration::from_mins(N))
    }
    const fn days<const N: u64>() -> Self {
        Self(Duration::from_hours(N.saturating_mul(24)))
    }
}

/// A point in time as people write it.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Moment(pub(super) UnixTime);

impl TryFrom<String> for Moment {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a time such as \"2027-01-31T12:00:00Z\"");
        let time = humantime::parse_rfc3339(&text).map_err(|_| wrong())?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
        Ok(Self(UnixTime::EPOCH.saturating_add(since)))
    }
}
