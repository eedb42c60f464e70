//! What is issued, and what is accepted.

use std::time::Duration;

use bytesize::ByteSize;
use ostracon_core::{Issuer, Policy};

use super::{ConfigError, raw, sections::within};

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
    /// The room for access tokens whose signature was found good, in bytes; less than a mebibyte is none.
    pub cache_bytes: u64,
}

/// No login lasts longer.
pub(super) const LONGEST_SESSION: Duration = Duration::from_hours(400 * 24);

impl Tokens {
    pub(super) fn check(raw: raw::Tokens) -> Result<Self, ConfigError> {
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
        Ok(Self {
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
            cache_bytes: cache(raw.cache)?,
        })
    }
}

fn cache(size: ByteSize) -> Result<u64, ConfigError> {
    match size.as_u64() {
        bytes @ (0 | 0x10_0000..=0x1_0000_0000) => Ok(bytes),
        _ => Err(ConfigError::value(
            "tokens.cache",
            size,
            "1 MiB to 4 GiB, or 0 for none, is",
        )),
    }
}
