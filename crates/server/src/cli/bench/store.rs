//! A store, with the prefilter and without it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use ostracon_core::{Issuer, Jti, Policy, Reason, Revocation, Target, Targets, UnixTime};
use ostracon_store::{Denylist, Options, PrefilterState};

use crate::cli::progress;

/// When all of it happens.
pub(super) const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

/// From this number on nothing is listed by [`Pair::filled`].
pub(super) const UNLISTED: u64 = 1 << 40;

/// Revocations handed over at once.
const CHUNK: u64 = 65_536;

/// The same entries twice.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) on: Denylist,
    pub(super) off: Denylist,
    pub(super) entries: u64,
    /// How long it took to list them all, in bulk.
    pub(super) filled_in: Duration,
    dirs: [PathBuf; 2],
}

/// The token number `n`, with an identity as long and as even as random ones.
pub(super) fn token(n: u64) -> Target {
    let high = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let jti = format!("{high:016x}{:016x}", high.rotate_left(29) ^ n);
    // Neither is empty, or too long.
    match (Issuer::new("https://bench.invalid"), Jti::new(jti)) {
        (Ok(iss), Ok(jti)) => Target::Token { iss, jti },
        _ => unreachable!("names that are allowed"),
    }
}

pub(super) fn revocation(n: u64) -> Revocation {
    Revocation::new(token(n), Reason::Logout, &Policy::default(), NOW)
}

pub(super) fn one(target: &Target) -> Targets<'_> {
    Targets::one(target.as_ref())
}

impl Pair {
    /// Two stores of `entries` entries below `dir`, opened as after a restart.
    pub(super) fn filled(dir: &Path, entries: u64, false_positive_rate: f64) -> anyhow::Result<Self> {
        let dirs = ["on", "off"].map(|name| dir.join(format!("{entries}-{name}")));
        let [with, without] = &dirs;
        let options = Options {
            false_positive_rate,
            ..Options::default()
        };
        let bar = progress::entries("listing");
        bar.set_length(entries);
        let denylist = Denylist::open(with, &options)?;
        let begun = Instant::now();
        let mut from = 0;
        while from < entries {
            let to = entries.min(from.saturating_add(CHUNK));
            denylist.revoke_many((from..to).map(revocation))?;
            bar.set_position(to);
            from = to;
        }
        denylist.settle()?;
        let filled_in = begun.elapsed();
        bar.finish_and_clear();
        denylist.close()?;
        drop(denylist);
        copy(with, without).context("the store cannot be copied")?;
        let open = |dir: &Path, prefilter| -> anyhow::Result<Denylist> {
            let denylist = Denylist::open(
                dir,
                &Options {
                    prefilter,
                    ..options.clone()
                },
            )?;
            denylist.settle()?;
            let expected = if prefilter {
                PrefilterState::Covering
            } else {
                PrefilterState::Off
            };
            ensure!(
                denylist.stats().prefilter == expected,
                "the prefilter is not {expected:?}"
            );
            Ok(denylist)
        };
        Ok(Self {
            on: open(with, true)?,
            off: open(without, false)?,
            entries,
            filled_in,
            dirs,
        })
    }

    pub(super) fn remove(self) -> anyhow::Result<()> {
        let Self { on, off, dirs, .. } = self;
        for denylist in [on, off] {
            denylist.close()?;
        }
        for dir in dirs {
            fs::remove_dir_all(dir)?;
        }
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
