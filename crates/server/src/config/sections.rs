//! What each section of the configuration comes to.

use std::{ops::RangeInclusive, time::Duration};

use ostracon_store::{Durability, FALSE_POSITIVE_RATES, Options, audit};

use super::{
    AuditSettings, ConfigError, ConsoleSettings, DAY,
    raw::{self, Span},
};
use crate::{
    client::Client,
    cookies::{CookieName, CookieSettings, Origin},
    limits::Limits,
    listen::Address,
};

pub(super) fn address(at: &str, text: &str) -> Result<Address, ConfigError> {
    text.parse()
        .map_err(|allowed| ConfigError::value(at, format_args!("{text:?}"), allowed))
}

pub(super) fn limits(raw: &raw::Limits) -> Result<Limits, ConfigError> {
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

pub(super) fn audit(raw: &raw::Audit) -> Result<AuditSettings, ConfigError> {
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

pub(super) fn console(raw: &raw::Console) -> Result<ConsoleSettings, ConfigError> {
    let range = Duration::from_mins(5)..=Duration::from_hours(30 * 24);
    Ok(ConsoleSettings {
        enabled: raw.enabled,
        session_ttl: within("console.session_ttl", raw.session_ttl, range)?,
    })
}

pub(super) fn within(at: &str, span: Span, range: RangeInclusive<Duration>) -> Result<Duration, ConfigError> {
    let shown = humantime::format_duration;
    if range.contains(&span.0) {
        return Ok(span.0);
    }
    let allowed = format_args!("{} to {} is", shown(*range.start()), shown(*range.end()));
    Err(ConfigError::value(at, shown(span.0), allowed))
}

pub(super) fn denylist(raw: &raw::Denylist) -> Result<Options, ConfigError> {
    if !FALSE_POSITIVE_RATES.contains(&raw.false_positive_rate) {
        return Err(ConfigError::value(
            "denylist.false_positive_rate",
            raw.false_positive_rate,
            format_args!("{} to {} is", FALSE_POSITIVE_RATES.start(), FALSE_POSITIVE_RATES.end()),
        ));
    }
    let cache_bytes = raw.cache.as_u64();
    if !(1 << 20..=1 << 40).contains(&cache_bytes) {
        return Err(ConfigError::value("denylist.cache", raw.cache, "1 MiB to 1 TiB is"));
    }
    let pending_bytes = usize::try_from(raw.pending.as_u64()).ok();
    let Some(pending_bytes) = pending_bytes.filter(|bytes| (1 << 20..=1 << 30).contains(bytes)) else {
        return Err(ConfigError::value("denylist.pending", raw.pending, "1 MiB to 1 GiB is"));
    };
    let min_free_bytes = raw.min_free.as_u64();
    if min_free_bytes > 1 << 50 {
        return Err(ConfigError::value("denylist.min_free", raw.min_free, "0 to 1 PiB is"));
    }
    Ok(Options {
        prefilter: raw.prefilter,
        false_positive_rate: raw.false_positive_rate,
        cache_bytes,
        pending_bytes,
        min_free_bytes,
        durability: durability(raw.durability, raw.sync_every)?,
        ..Options::default()
    })
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

pub(super) fn clients(raw: Vec<raw::Client>) -> Result<Vec<Client>, ConfigError> {
    let mut clients: Vec<Client> = Vec::with_capacity(raw.len());
    for (
        n,
        raw::Client {
            id,
            secret_sha256,
            roles,
            audiences,
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
        clients.push(client.asking_for(audiences));
    }
    Ok(clients)
}

pub(super) fn cookies(raw: &raw::Cookies) -> Result<CookieSettings, ConfigError> {
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
