//! What was acknowledged, held against a store.

use std::{collections::BTreeMap, path::Path};

use ostracon_store::{ClosedStore, Denylist, StoreError};

use crate::{
    support::{denied, options, token},
    writer::Event,
};

/// What must be so of each token that was told of; none where either is right.
#[derive(Debug, Default)]
pub(crate) struct Ledger(BTreeMap<usize, Option<bool>>);

impl Ledger {
    pub(crate) fn note(&mut self, event: Event) {
        let (n, denied) = match event {
            Event::Revoked(n) => (n, Some(true)),
            Event::Lifting(n) => (n, None),
            Event::Lifted(n) => (n, Some(false)),
        };
        self.0.insert(n, denied);
    }

    /// Notes what was told when nobody could know any more whether it is so.
    pub(crate) fn doubt(&mut self, event: Event) {
        let (Event::Revoked(n) | Event::Lifting(n) | Event::Lifted(n)) = event;
        self.0.insert(n, None);
    }

    /// How many tokens of which more than a guess is known.
    pub(crate) fn len(&self) -> usize {
        self.0.values().flatten().count()
    }

    /// The number that nobody has used.
    pub(crate) fn next(&self) -> usize {
        // Writers are some way ahead of what they told.
        self.0.last_key_value().map_or(1, |(last, _)| last + 101)
    }

    /// Opens the store in `dir` and counts what is not as it was acknowledged.
    pub(crate) fn lost(&self, dir: &Path, prefilter: bool) -> usize {
        let denylist = unlocked(|| Denylist::open(dir, &options(prefilter)));
        let lost = self.lost_in(&denylist);
        denylist.close().unwrap();
        lost
    }

    /// Counts what is not as it was acknowledged.
    pub(crate) fn lost_in(&self, denylist: &Denylist) -> usize {
        let lost = self
            .0
            .iter()
            .filter(|(n, known)| known.is_some_and(|known| denied(denylist, &token(**n)) != known));
        lost.count()
    }
}

/// Walks the store in `dir`.
pub(crate) fn check(dir: &Path) {
    let report = unlocked(|| ClosedStore::take(dir)).check().unwrap();
    assert!(report.is_sound(), "{report:?}");
}

/// What `open` opens, once no process holds its lock that another test of this one is about to start: until it has become
/// another program, it has inherited all files.
pub(crate) fn unlocked<T>(open: impl Fn() -> Result<T, StoreError>) -> T {
    tried(open).unwrap()
}

/// What comes of `open`, likewise.
pub(crate) fn tried<T>(open: impl Fn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..500 {
        match open() {
            Err(StoreError::Locked(_)) => std::thread::sleep(std::time::Duration::from_millis(10)),
            opened => return opened,
        }
    }
    open()
}

/// A number below `end`.
pub(crate) fn random(end: u32) -> u32 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).unwrap();
    u32::from_be_bytes(bytes) % end
}

/// How many rounds are asked for: `few`, or what `OSTRACON_CRASH_ROUNDS` says.
pub(crate) fn rounds(few: u32) -> u32 {
    let asked = std::env::var("OSTRACON_CRASH_ROUNDS");
    asked.map_or(few, |asked| asked.parse().unwrap())
}
