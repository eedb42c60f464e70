//! The issuer's own keys: files, dates, and which of them signs when.

use std::{
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use ostracon_core::{SigningKey, UnixTime};

use super::{
    Config, ConfigError,
    private::read_private,
    raw::{self, Moment},
};

/// A key of the issuer's own. It is published and verifies as long as it is configured; when it signs, its dates say.
#[derive(Debug)]
pub struct Key {
    /// The key itself.
    pub signing: SigningKey,
    /// Where it was read from.
    pub file: PathBuf,
    /// From when on it may sign. Before, others can learn of it.
    pub signs_from: Option<UnixTime>,
    /// From when on it signs nothing, and vouches for nothing that is issued later.
    pub retired_at: Option<UnixTime>,
}

impl Key {
    fn may_sign_at(&self, now: UnixTime) -> bool {
        self.signs_from.is_none_or(|date| date <= now) && self.retired_at.is_none_or(|date| now < date)
    }
}

/// The key of `keys` that signs at `now`: of those that may, the one whose turn began last; of equals, the first.
///
/// A matter of dates alone, so that a key takes over at its time without anybody reading anything again.
pub(crate) fn signer_at(keys: &[Key], now: UnixTime) -> Option<&Key> {
    let may = keys.iter().rev().filter(|key| key.may_sign_at(now));
    may.max_by_key(|key| key.signs_from)
}

/// What a key does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// It is published, and does not sign yet.
    Published,
    /// It signs.
    Signing,
    /// It signs no more, and verifies what it signed.
    Retired,
    /// Nothing that it signed can be alive; it can be removed.
    Ended,
}

impl KeyState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signing => "signing",
            Self::Retired => "retired",
            Self::Ended => "ended",
        }
    }
}

/// A key as it is at some moment.
#[derive(Debug)]
pub struct KeyStatus<'a> {
    /// Which.
    pub key: &'a Key,
    /// What it does.
    pub state: KeyState,
    /// When the last token that it may have signed has ended, if it has a date of retirement.
    pub verifies_until: Option<UnixTime>,
}

impl Config {
    /// The keys as they are at `now`.
    #[must_use]
    pub fn key_statuses(&self, now: UnixTime) -> Vec<KeyStatus<'_>> {
        let signer = signer_at(&self.keys, now).map(|key| key.signing.kid());
        let status = |key: &'_ Key| {
            let verifies_until = key.retired_at.map(|date| self.key_ends(date));
            let state = match (key.retired_at, verifies_until) {
                _ if signer == Some(key.signing.kid()) => KeyState::Signing,
                (_, Some(until)) if until <= now => KeyState::Ended,
                (Some(date), _) if date <= now => KeyState::Retired,
                _ => KeyState::Published,
            };
            (state, verifies_until)
        };
        let keys = self.keys.iter();
        keys.map(|key| {
            let (state, verifies_until) = status(key);
            KeyStatus {
                key,
                state,
                verifies_until,
            }
        })
        .collect()
    }

    /// A moment as a configuration has it.
    #[must_use]
    pub fn date(at: UnixTime) -> String {
        date(at)
    }

    /// When the last token of a key that is retired at `date` has ended.
    #[must_use]
    pub fn key_ends(&self, date: UnixTime) -> UnixTime {
        self.outlived(date)
    }

    /// When, from `now` on, there is first no key to sign with.
    #[must_use]
    pub fn unsigned_from(&self, now: UnixTime) -> Option<UnixTime> {
        let ends = self
            .keys
            .iter()
            .filter_map(|key| key.retired_at)
            .filter(|end| *end > now);
        let unsigned = |at: &UnixTime| signer_at(&self.keys, *at).is_none();
        core::iter::once(now).chain(ends).filter(unsigned).min()
    }

    /// When nothing can be signed any more, if that is certain.
    pub(super) fn signs_until(&self) -> Option<UnixTime> {
        let dates: Option<Vec<_>> = self.keys.iter().map(|key| key.retired_at).collect();
        dates?.into_iter().max()
    }
}

/// A moment as it stands in a configuration.
pub(super) fn date(at: UnixTime) -> String {
    // RFC 3339 has four digits for a year.
    let shown = Duration::from_secs(at.as_secs().min(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH.checked_add(shown).unwrap_or(UNIX_EPOCH)).to_string()
}

/// Reads the keys, and notes their `files`.
pub(super) fn read(raw: Vec<raw::Key>, base: &Path, files: &mut Vec<PathBuf>) -> Result<Vec<Key>, ConfigError> {
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
        files.push(file.clone());
        let date = |moment: Option<Moment>| moment.map(|Moment(at)| at);
        keys.push(Key {
            signing: signer,
            file,
            signs_from: date(key.signs_from),
            retired_at: date(key.retired_at),
        });
    }
    Ok(keys)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers")]
mod tests {
    use ostracon_core::{Algorithm, KeyId};

    use super::*;

    fn key(kid: &str, signs_from: Option<u64>, retired_at: Option<u64>) -> Key {
        let secret: Vec<u8> = (1..65_u64)
            .map(|i| (i * i * i).wrapping_mul(2_654_435_761).to_be_bytes()[4])
            .collect();
        Key {
            signing: SigningKey::from_secret(KeyId::new(kid).unwrap(), Algorithm::HS256, &secret).unwrap(),
            file: PathBuf::new(),
            signs_from: signs_from.map(UnixTime::from_secs),
            retired_at: retired_at.map(UnixTime::from_secs),
        }
    }

    /// At the very moment of a rotation the next key signs and the old one does not.
    #[test]
    fn a_key_signs_by_its_dates_and_of_equals_the_first() {
        let signer = |keys: &[Key], now| {
            let key = signer_at(keys, UnixTime::from_secs(now));
            key.map(|key| key.signing.kid().to_string()).unwrap_or_default()
        };
        let rotation = [key("old", None, Some(100)), key("next", Some(100), None)];
        assert_eq!(
            [99, 100, 101].map(|now| signer(&rotation, now)),
            ["old", "next", "next"]
        );
        let standby = [key("a", None, Some(50)), key("b", None, None), key("c", Some(70), None)];
        assert_eq!([49, 50, 69, 70].map(|now| signer(&standby, now)), ["a", "b", "b", "c"]);
        let gap = [key("a", None, Some(50)), key("b", Some(60), Some(70))];
        assert_eq!(
            [49, 50, 59, 60, 70].map(|now| signer(&gap, now)),
            ["a", "", "", "b", ""]
        );
    }
}
