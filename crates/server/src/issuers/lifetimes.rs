//! The longest lifetimes that a store was ever run with.

use std::{fmt::Write, path::Path, sync::Arc, time::Duration};

use ostracon_core::{Policy, Trust, UnixTime};
use ostracon_store::StoreError;

/// The longest lifetimes of tokens that a store was ever run with, each longer than the one before, and since when.
///
/// I1 across configurations: a cut-off is kept for as long as any token of its time can live. If the lifetime were
/// lowered and later raised again, entries made in between would be gone before tokens from before them; so the store
/// remembers the longest, for what it keeps and for what it accepts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Lifetimes(Vec<(Duration, UnixTime)>);

impl Lifetimes {
    /// Those of the store in `data_dir`, once it is run with `configured` from `now` on; see [`Lifetimes::keep`].
    pub(crate) fn raised(data_dir: &Path, configured: Duration, now: UnixTime) -> Result<Self, StoreError> {
        let path = data_dir.join("longest-lifetime");
        let failed = |source| StoreError::Io {
            path: path.clone(),
            source: Arc::new(source),
        };
        let mut all = match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).ok_or_else(|| StoreError::Damaged {
                path: path.clone(),
                detail: "it is not a number of seconds".into(),
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(e) => return Err(failed(e)),
        };
        if all.0.is_empty() || configured > all.longest() {
            // Nothing was kept for a shorter time before the first.
            let since = if all.0.is_empty() { UnixTime::EPOCH } else { now };
            all.0.push((configured, since));
        }
        Ok(all)
    }

    /// Writes them down, after everything else that could keep them from being in force: what is revoked from then on
    /// is kept by them.
    pub(crate) fn keep(&self, data_dir: &Path) -> Result<(), StoreError> {
        let (path, text) = (data_dir.join("longest-lifetime"), self.to_text());
        if std::fs::read_to_string(&path).is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        ostracon_store::write_new(&path, text.as_bytes())
    }

    /// The longest of all.
    pub(crate) fn longest(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |(longest, _)| *longest)
    }

    /// `trust`, so that it does not cover what retention does not: another issuer may have issued tokens that live
    /// longer than was accepted then, and what was revoked then is not kept for as long as they live.
    pub(crate) fn bound(&self, trust: Trust) -> Trust {
        // A token may say that it was issued that much later than it was.
        let ahead = Policy::MAX_LEEWAY.saturating_add(Duration::from_secs(1));
        self.0
            .iter()
            .zip(self.0.iter().skip(1))
            .fold(trust, |trust, ((shorter, _), (_, since))| {
                trust.longer_since(*shorter, since.saturating_add(ahead))
            })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut all: Vec<(Duration, UnixTime)> = Vec::new();
        for line in text.lines() {
            let (secs, since) = line.split_once(' ').unwrap_or((line, "0"));
            let longest = Duration::from_secs(secs.trim().parse().ok()?);
            if all.last().is_some_and(|(before, _)| longest <= *before) {
                return None;
            }
            all.push((longest, UnixTime::from_secs(since.trim().parse().ok()?)));
        }
        (!all.is_empty()).then_some(Self(all))
    }

    fn to_text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, (longest, since)| {
            // Writing into a text does not fail.
            let _ = writeln!(text, "{} {}", longest.as_secs(), since.as_secs());
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: u32) -> Duration {
        Duration::from_hours(24).saturating_mul(days)
    }

    #[test]
    fn i1_the_longest_lifetime_outlives_a_shorter_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let run = |d: u32| {
            let all = Lifetimes::raised(dir.path(), days(d), UnixTime::from_secs(d.into())).unwrap();
            all.keep(dir.path()).unwrap();
            all.longest().as_secs() / 86_400
        };
        assert_eq!([run(30), run(7), run(30), run(31), run(1)], [30, 30, 30, 31, 31]);
        std::fs::write(dir.path().join("longest-lifetime"), "soon").unwrap();
        assert!(matches!(
            Lifetimes::raised(dir.path(), Duration::ZERO, UnixTime::EPOCH),
            Err(StoreError::Damaged { .. })
        ));
    }

    /// I1: what was cut off while tokens lived shorter is forgotten earlier, so a longer one from then is not accepted.
    #[test]
    fn i1_a_longer_life_counts_from_when_it_was_allowed() {
        let dir = tempfile::tempdir().unwrap();
        // As it was written before there were others to issue tokens.
        std::fs::write(dir.path().join("longest-lifetime"), "86400\n").unwrap();
        let at = UnixTime::from_secs;
        assert_eq!(
            Lifetimes::raised(dir.path(), days(1), at(50)).unwrap().0,
            [(days(1), at(0))]
        );
        // What did not come into force was never kept by.
        Lifetimes::raised(dir.path(), days(9), at(500)).unwrap();
        let all = Lifetimes::raised(dir.path(), days(2), at(1_000)).unwrap();
        all.keep(dir.path()).unwrap();
        let all = Lifetimes::raised(dir.path(), days(3), at(2_000)).unwrap();
        assert_eq!(all.0, [(days(1), at(0)), (days(2), at(1_000)), (days(3), at(2_000))]);
        let expected = Trust::default()
            .longer_since(days(1), at(1_301))
            .longer_since(days(2), at(2_301));
        assert_eq!(all.bound(Trust::default()), expected);
    }
}
