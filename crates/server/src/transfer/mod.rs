//! Revocations out of a store and into one: as lines of JSON, from a dump of Redis, from a CSV.
//!
//! A file is read line by line, in bounded memory; what is on a line that cannot be used is never repeated, since it may be
//! a token (I8).

mod csv;
mod import;
mod ndjson;
mod redis;

use std::io::{self, Write};

use ostracon_core::{Issuer, UnixTime};
use ostracon_store::{Denylist, StoreError};

pub use self::import::{Import, Imported, Refusal};

/// How a file says what is revoked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Format {
    /// A JSON object on each line, with the members of the receipt of `POST /v1/revocations`.
    Ndjson,
    /// A key and its TTL in milliseconds on each line, with a blank between. Behind `prefix`, the key is a whole token.
    Redis {
        /// What is before the token.
        prefix: String,
    },
    /// A `jti` and the `exp` of its token on each line.
    Csv,
}

/// Why an export or an import ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The store failed. What was counted before is durable, and doing it again does no harm.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Entries in one step of an export.
const PAGE: usize = 1000;

/// Writes each entry of `denylist` that is in force at `now`, one on a line; how many. Blocks; tells `watch` how many so far.
///
/// What changes meanwhile may be among them or not.
///
/// # Errors
///
/// [`TransferError`]; what was written until then stands.
pub fn export(
    denylist: &Denylist,
    now: UnixTime,
    out: &mut dyn Write,
    watch: &mut dyn FnMut(u64),
) -> Result<u64, TransferError> {
    let (mut written, mut after) = (0_u64, None);
    loop {
        let page = denylist.page(after.as_ref(), PAGE)?;
        for (_, entry) in page.entries.iter().filter(|(_, entry)| now < entry.retained_until()) {
            ndjson::write(entry, out)?;
            written = written.saturating_add(1);
        }
        watch(written);
        after = page.next;
        if after.is_none() {
            out.flush()?;
            return Ok(written);
        }
    }
}

/// What stands on a line that is no revocation: why, and never what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Unusable {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
}

impl Unusable {
    fn new(detail: impl Into<String>) -> Self {
        Self {
            code: "line_invalid",
            detail: detail.into(),
        }
    }
}

impl From<crate::problem::Problem> for Unusable {
    fn from(problem: crate::problem::Problem) -> Self {
        let (code, detail) = problem.told();
        Self { code, detail }
    }
}

/// What is assumed where a file does not say it.
#[derive(Clone, Copy, Debug)]
struct Assumed<'a> {
    terms: crate::terms::Terms<'a>,
    iss: &'a Issuer,
}

#[doc(hidden)]
pub mod fuzzing {
    //! What the fuzz target `import` reaches; no part of the interface.
    use ostracon_core::{Issuer, IssuerKeys, Keyring, Policy, Revocation, UnixTime};

    use super::{Assumed, Unusable, csv::Columns, ndjson, redis};
    use crate::{lines::Lines, terms::Terms};

    /// The time at which files are read here.
    pub const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
    /// The issuer that is trusted, and assumed where none is named.
    pub const ISSUER: &str = "https://auth.example";
    /// What is before the token in a key of Redis.
    pub const PREFIX: &str = "blacklist:";

    /// What a line is found to be; none where it names the columns.
    pub type Found = Result<Option<Revocation>, String>;

    /// The terms of the defaults, at [`NOW`], where [`ISSUER`] is trusted.
    pub(crate) fn with_terms<T>(read: impl FnOnce(&Terms<'_>) -> T) -> Option<T> {
        let (own, policy, mut trusted) = (Issuer::new(ISSUER).ok()?, Policy::default(), Keyring::default());
        trusted.trust(own.clone(), IssuerKeys::default());
        Some(read(&Terms {
            own: &own,
            trusted: &trusted,
            policy: &policy,
            now: NOW,
        }))
    }

    /// Each line of a file that arrives in `pieces`, and what it is as NDJSON, as a dump of Redis, as a CSV.
    #[must_use]
    pub fn import(pieces: &[&[u8]]) -> Vec<(Vec<u8>, [Found; 3])> {
        let mut lines = Lines::default();
        let mut all: Vec<_> = pieces.iter().flat_map(|piece| lines.push(piece)).collect();
        all.extend(lines.finish());
        let texts = all.into_iter().filter_map(|line| line.text);
        let told = |unusable: Unusable| unusable.detail;
        let read = |terms: &Terms<'_>| {
            let assumed = Assumed {
                terms: *terms,
                iss: terms.own,
            };
            let mut columns = Columns::default();
            let found = texts.map(|text| {
                let found = [
                    ndjson::read(&text, terms).map(Some).map_err(told),
                    redis::read(&text, PREFIX, &assumed).map(Some).map_err(told),
                    columns.read(&text, &assumed).map_err(told),
                ];
                (text, found)
            });
            found.collect()
        };
        with_terms(read).unwrap_or_default()
    }

    /// The line that `entry` is exported as.
    #[must_use]
    pub fn exported(entry: &Revocation) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        ndjson::write(entry, &mut line).ok()?;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::{IssuerKeys, Keyring, Policy};

    use super::*;
    use crate::terms::Terms;

    pub(super) const NOW: u64 = 1_790_000_000;

    /// Reads something at [`NOW`], by the policy of the defaults, where one issuer is trusted.
    pub(super) fn assumed<T>(read: impl FnOnce(&Assumed<'_>) -> T) -> T {
        let (iss, policy, mut keyring) = (
            Issuer::new("https://auth.example").unwrap(),
            Policy::default(),
            Keyring::default(),
        );
        keyring.trust(iss.clone(), IssuerKeys::default());
        let terms = Terms {
            own: &iss,
            trusted: &keyring,
            policy: &policy,
            now: UnixTime::from_secs(NOW),
        };
        read(&Assumed { terms, iss: &iss })
    }

    #[test]
    fn nothing_that_is_no_format_panics() {
        for bytes in [
            &b"\xff\n\0"[..],
            b"{\n}",
            b"blacklist:a.b.c 5\nblacklist:..",
            b"\"\n\",,,\n",
            b"jti,exp\n",
        ] {
            let lines = fuzzing::import(&[bytes]);
            assert!(
                lines
                    .iter()
                    .all(|(_, [json, redis, _])| json.is_err() && redis.is_err()),
                "{lines:?}"
            );
        }
    }
}
