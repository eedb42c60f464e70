//! Which kinds of target are listed at all: most stores list no client, no key and no issuer, and then nobody need ask.

use ostracon_core::Kind;

use crate::{
    digest::kind_byte,
    sync::{AtomicU8, Ordering},
};

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const ALL: Self = Self(u8::MAX);

    /// As they are kept on disk: a bit for each.
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// One alone.
    pub(crate) const fn of(kind: Kind) -> Self {
        Self(1 << kind_byte(kind))
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The kinds that are, or since the opening were, listed. It only grows: what it knows too much costs a look, what it
/// knew too little would let a revoked token through (I2).
#[derive(Debug, Default)]
pub(crate) struct ListedKinds(AtomicU8);

impl ListedKinds {
    pub(crate) fn add(&self, kind: Kind) {
        let kinds = Kinds::of(kind).0;
        // Mostly there already, and then no reader's cache line is taken away.
        if self.0.load(Ordering::Relaxed) & kinds == 0 {
            self.0.fetch_or(kinds, Ordering::Release);
        }
    }

    pub(crate) fn add_all(&self, kinds: Kinds) {
        self.0.fetch_or(kinds.0, Ordering::Release);
    }

    /// Those of this moment.
    pub(crate) fn now(&self) -> Kinds {
        Kinds(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn contain(&self, kind: Kind) -> bool {
        self.0.load(Ordering::Acquire) & Kinds::of(kind).0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_counts_for_itself() {
        for kind in Kind::ALL {
            let (one, listed) = (ListedKinds::default(), ListedKinds::default());
            one.add(kind);
            listed.add_all(Kinds::of(kind));
            for other in Kind::ALL {
                assert_eq!(
                    (one.contain(other), listed.contain(other)),
                    (other == kind, other == kind)
                );
            }
        }
        let all = ListedKinds::default();
        all.add_all(Kinds::ALL);
        assert!(Kind::ALL.into_iter().all(|kind| all.contain(kind)));
    }
}
