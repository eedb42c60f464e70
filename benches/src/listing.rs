//! Stores with entries in them.

use std::{fs, path::Path};

use ostracon_core::{Revocation, Target, Targets};
use ostracon_store::{Denylist, Options, PrefilterState};
use tempfile::TempDir;

use crate::names::{NOW, UNLISTED, kid, revocation, token};

/// Revocations handed over at once while a store is filled.
const CHUNK: u64 = 65_536;

/// A denylist in a directory that goes when it does.
#[derive(Debug)]
pub struct Listing {
    // Dropped first: the directory is left before it is removed.
    denylist: Denylist,
    dir: TempDir,
    options: Options,
}

fn temporary() -> TempDir {
    tempfile::Builder::new()
        .prefix("ostracon-bench-")
        .tempdir()
        .expect("a temporary directory")
}

impl Listing {
    /// A store without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::open(temporary(), Options::default())
    }

    /// A store of `entries` entries, [`EXPIRED`](crate::names::EXPIRED) of them expired, with its prefilter built.
    #[must_use]
    pub fn filled(entries: u64) -> Self {
        let dir = temporary();
        let denylist = Denylist::open(dir.path(), &Options::default()).expect("a store");
        let mut from = 0;
        while from < entries {
            let to = entries.min(from.saturating_add(CHUNK));
            denylist.revoke_many((from..to).map(revocation)).expect("durable");
            from = to;
        }
        denylist.settle().expect("settled");
        denylist.close().expect("closed");
        drop(denylist);
        // Opened anew: what a store is after a start, its filters sized to what it holds.
        Self::open(dir, Options::default())
    }

    /// The same entries again, in a directory of their own. Closes this one for the time of the copy.
    #[must_use]
    pub fn copied(self, options: &Options) -> (Self, Self) {
        let Self {
            denylist,
            dir,
            options: own,
        } = self;
        denylist.close().expect("closed");
        drop(denylist);
        let copy = temporary();
        copy_dir(dir.path(), copy.path());
        (Self::open(dir, own), Self::open(copy, options.clone()))
    }

    fn open(dir: TempDir, options: Options) -> Self {
        let denylist = Denylist::open(dir.path(), &options).expect("a store");
        denylist.settle().expect("settled");
        let expected = if options.prefilter {
            PrefilterState::Covering
        } else {
            PrefilterState::Off
        };
        assert_eq!(denylist.stats().prefilter, expected);
        Self { denylist, dir, options }
    }

    /// The denylist itself.
    #[must_use]
    pub fn denylist(&self) -> &Denylist {
        &self.denylist
    }

    /// Closes the denylist and leaves its directory.
    #[must_use]
    pub fn into_dir(self) -> TempDir {
        let Self { denylist, dir, .. } = self;
        denylist.close().expect("closed");
        dir
    }

    /// The store opened again, as after a restart.
    #[must_use]
    pub fn reopened(self) -> Self {
        let options = self.options.clone();
        Self::open(self.into_dir(), options)
    }

    /// Adds `targets`, and waits until they are where all others are.
    pub fn list(&self, targets: impl IntoIterator<Item = Target>) {
        let policy = ostracon_core::Policy::default();
        let revocations = targets
            .into_iter()
            .map(|target| Revocation::new(target, ostracon_core::Reason::Admin, &policy, NOW));
        self.denylist.revoke_many(revocations).expect("durable");
        self.denylist.settle().expect("settled");
    }

    /// Unlisted tokens that the prefilter knows to be unlisted, and unlisted ones that it lets pass: so many of each,
    /// found by trying.
    #[must_use]
    pub fn search(&self, clear: usize, passing: usize) -> (Vec<Target>, Vec<Target>) {
        let (mut cleared, mut passed) = (Vec::new(), Vec::new());
        let is_clear = |target: &Target| self.denylist.is_clear(&Targets::one(target.as_ref()));
        for target in (UNLISTED..).map(token) {
            if !is_clear(&target) {
                passed.push(target);
            } else if cleared.len() < clear {
                cleared.push(target);
            }
            if cleared.len() >= clear && passed.len() >= passing {
                break;
            }
        }
        (cleared, passed)
    }

    /// Claims of which no target is listed, and the prefilter knows it: so many.
    #[must_use]
    pub fn clear_claims(&self, count: usize) -> Vec<ostracon_core::Claims> {
        let kid = kid();
        (UNLISTED..)
            .map(crate::names::claims)
            .filter(|claims| self.denylist.is_clear(&Targets::of(claims, Some(&kid))))
            .take(count)
            .collect()
    }
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().expect("readable").is_dir() {
            copy_dir(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}
