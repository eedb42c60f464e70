//! What is asked for, and the way that each of it takes.

use ostracon_benches::{
    case::{self, Branch, Case},
    listing::Listing,
    names::{self, EXPIRED, NOW},
};
use ostracon_core::{Claims, KeyId, Target, Targets};
use ostracon_store::{Denylist, Digest};

/// Single targets asked for in turn: so many that they touch all of a filter of a million entries.
const TARGETS: usize = 4_096;
/// Tokens asked for in turn, six targets each.
pub(crate) const TOKENS: usize = 4_096;
/// False positives: they are searched for, and rare, in a small store one in ten thousand. As many as there are
/// [expired](EXPIRED), since what is asked for again and again is read from nearer by.
const PASSING: usize = 1_024;

/// What the filter knows to be absent.
pub(crate) const CLEAR: Branch = Branch {
    clear: true,
    denied: false,
    lookups: 0,
    misses: 0,
};
/// What is looked up and not found.
pub(crate) const MISSED: Branch = Branch {
    clear: false,
    denied: false,
    lookups: 1,
    misses: 1,
};
/// What is looked up, found, and denies.
pub(crate) const DENIED: Branch = Branch {
    clear: false,
    denied: true,
    lookups: 1,
    misses: 0,
};
/// What is looked up, found, and denies nothing any more.
const EXPIRED_ENTRY: Branch = Branch {
    clear: false,
    denied: false,
    lookups: 1,
    misses: 0,
};
/// Six look-ups, none of which finds anything.
const SIX_MISSED: Branch = Branch {
    clear: false,
    denied: false,
    lookups: 6,
    misses: 6,
};

pub(crate) fn one(target: &Target) -> Targets<'_> {
    Targets::one(target.as_ref())
}

/// What is asked for, at one size.
pub(crate) struct Asked {
    pub(crate) absent: Vec<Target>,
    pub(crate) passing: Vec<Target>,
    pub(crate) present: Vec<Target>,
    pub(crate) expired: Vec<Target>,
    pub(crate) tokens: Vec<Claims>,
    pub(crate) kid: KeyId,
    /// The digest of none of them.
    other: Digest,
}

impl Asked {
    pub(crate) fn of(listing: &Listing, size: u64) -> Self {
        let (absent, passing) = listing.search(TARGETS, PASSING);
        let live = size.saturating_sub(EXPIRED);
        let every = (live / 4_096).max(1);
        let steps = usize::try_from(every).expect("a count");
        Self {
            absent,
            passing,
            present: (EXPIRED..size).step_by(steps).map(names::listed).collect(),
            expired: (0..EXPIRED).map(names::listed).collect(),
            tokens: listing.clear_claims(TOKENS),
            kid: names::kid(),
            other: listing.denylist().id(names::listed(EXPIRED).as_ref()),
        }
    }

    pub(crate) fn six<'a>(&'a self) -> impl Fn(&'a Claims) -> Targets<'a> + Copy {
        |claims| Targets::of(claims, Some(&self.kid))
    }

    pub(crate) fn assert_clear(&self, on: &Denylist, off: &Denylist) {
        case::assert_clear("absent", on, &self.absent, one, CLEAR);
        case::assert_clear("false positive", on, &self.passing, one, MISSED);
        case::assert_clear("present", on, &self.present, one, DENIED);
        case::assert_clear("expired", on, &self.expired, one, EXPIRED_ENTRY);
        case::assert_clear("six absent", on, &self.tokens, self.six(), CLEAR);
        case::assert_clear("absent, off", off, &self.absent, one, MISSED);
        case::assert_clear("six absent, off", off, &self.tokens, self.six(), SIX_MISSED);
    }

    pub(crate) fn cases<'a>(&'a self, on: &'a Denylist, off: &'a Denylist) -> Vec<Case<'a>> {
        let single =
            |name, denylist, inputs: &'a Vec<Target>, branch| Case::check(name, denylist, inputs, one, NOW, branch);
        let tokens = |name, denylist, branch| Case::check(name, denylist, &self.tokens, self.six(), NOW, branch);
        vec![
            single("absent, on", on, &self.absent, CLEAR),
            single("absent, off", off, &self.absent, MISSED),
            single("present, on", on, &self.present, DENIED),
            single("present, off", off, &self.present, DENIED),
            single("expired, on", on, &self.expired, EXPIRED_ENTRY),
            single("expired, off", off, &self.expired, EXPIRED_ENTRY),
            single("false positive, on", on, &self.passing, MISSED),
            single("false positive, off", off, &self.passing, MISSED),
            tokens("six absent, on", on, CLEAR),
            tokens("six absent, off", off, SIX_MISSED),
            Case::over("absent, on, is_clear", &self.absent, |target| on.is_clear(&one(target))),
            // The part of each check that hashes the target; none of the absent is the one listed.
            Case::over("digest alone", &self.absent, |target| {
                on.id(target.as_ref()) != self.other
            }),
        ]
    }
}
