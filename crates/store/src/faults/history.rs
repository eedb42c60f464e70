//! What is done to a store while one call fails, and what has to be true of it then.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use ostracon_core::{Issuer, Jti, Policy, Reason, Revocation, Target, Targets, UnixTime};

use crate::{Denylist, Options, StoreError};

const NOW: u64 = 1_790_000_000;

/// What is known of each token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Known {
    /// It was acknowledged that it is denied.
    Denied,
    /// It was acknowledged that it is denied no longer.
    Lifted,
    /// What was asked failed: either may be.
    Either,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    tokens: BTreeMap<usize, Known>,
    /// Failures that whoever runs the store has to be told of.
    failures: Vec<String>,
}

pub(super) fn options() -> Options {
    Options {
        cache_bytes: 1 << 20,
        engine_parts: 2,
        reopen_after: 8,
        reopen_share: u64::MAX,
        renew_after: 4,
        renew_bytes: 0,
        segment_bytes: 600,
        ..Options::default()
    }
}

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

fn token(n: usize) -> Target {
    Target::Token {
        iss: Issuer::new("i").unwrap(),
        jti: Jti::new(format!("jti-{n}")).unwrap(),
    }
}

pub(super) fn revocation(n: usize) -> Revocation {
    Revocation::new(token(n), Reason::Logout, &Policy::default(), at(NOW))
}

/// Whether token `n` is denied; none when that cannot be told.
pub(super) fn is_denied(denylist: &Denylist, n: usize) -> Option<bool> {
    let facts = denylist.check(&Targets::one(token(n).as_ref()), at(NOW));
    facts.map(|facts| facts.revocation.is_some()).ok()
}

impl Ledger {
    fn note<T>(&mut self, outcome: Result<T, StoreError>) -> bool {
        match outcome {
            Ok(_) => true,
            Err(error) => {
                self.failures.push(error.to_string());
                false
            }
        }
    }

    fn revoke(&mut self, denylist: &Denylist, n: usize) {
        // As for whoever waits for it.
        self.tokens.insert(n, Known::Either);
        if self.note(denylist.revoke(revocation(n))) {
            self.tokens.insert(n, Known::Denied);
            // I9.
            assert_ne!(is_denied(denylist, n), Some(false), "{n} was just revoked");
        }
    }

    fn lift(&mut self, denylist: &Denylist, n: usize) {
        let before = self.tokens.insert(n, Known::Either);
        if self.note(denylist.lift(token(n))) && before.is_some() {
            self.tokens.insert(n, Known::Lifted);
        }
    }

    /// Two openings, and between them what a store does in its life. A panic in here is one of a process that has nothing
    /// to catch it: it is killed.
    pub(super) fn live(&mut self, dir: &Path) {
        for start in [0, 100] {
            let lived = catch_unwind(AssertUnwindSafe(|| match Denylist::open(dir, &options()) {
                Ok(denylist) => self.live_once(&denylist, start),
                // Whoever starts it is told.
                Err(error) => assert!(!matches!(error, StoreError::Damaged { .. }), "{error}"),
            }));
            if let Err(panic) = lived {
                let message = panic.downcast_ref::<&str>().copied();
                assert_eq!(message, Some("injected"), "{panic:?}");
            }
        }
    }

    fn live_once(&mut self, denylist: &Denylist, start: usize) {
        self.failures.clear();
        for n in start..start + 6 {
            self.revoke(denylist, n);
        }
        self.lift(denylist, start + 1);
        let won = denylist
            .submit_if_absent(revocation(start + 2))
            .and_then(crate::Commit::wait);
        if let Ok(receipts) = &won
            && self.tokens.get(&(start + 2)) == Some(&Known::Denied)
        {
            assert!(!receipts[0].changed, "I10: it has a successor already");
        }
        self.note(won);
        let settled = denylist.settle();
        self.note(settled);
        let ending = revocation(start + 50).expiring(at(NOW + 1), &Policy::default());
        let ended = denylist.revoke_many([ending]);
        self.note(ended);
        for n in start + 6..start + 9 {
            self.revoke(denylist, n);
        }
        let settled = denylist.settle();
        self.note(settled);
        let swept = denylist.sweep(at(NOW + 50_000));
        self.note(swept);
        self.revoke(denylist, start + 9);
        // Nothing acknowledged is lost, nothing denied passes.
        for (n, known) in &self.tokens {
            let refused = (*known == Known::Denied).then_some(false);
            assert!(
                refused.is_none() || is_denied(denylist, *n) != refused,
                "{n} was denied, and passes"
            );
            let facts = denylist.is_clear(&Targets::one(token(*n).as_ref()));
            assert!(*known != Known::Denied || !facts, "{n} was denied, and is clear");
        }
        if let Some(failure) = self.failures.first() {
            assert!(denylist.stats().refused.is_some(), "nobody is told of: {failure}");
        }
        if let Err(error) = denylist.close() {
            assert!(denylist.stats().refused.is_some(), "nobody is told of: {error}");
        }
    }

    /// A start on a disk that works: all is as it was acknowledged, and goes on.
    pub(super) fn recover(&mut self, dir: &Path) {
        let denylist = Denylist::open(dir, &options()).unwrap_or_else(|error| panic!("it does not recover: {error}"));
        for (n, known) in &self.tokens {
            let denied = is_denied(&denylist, *n).unwrap();
            match known {
                Known::Denied => assert!(denied, "{n} was denied, and passes"),
                Known::Lifted => assert!(!denied, "{n} was lifted, and is denied"),
                Known::Either => {}
            }
        }
        assert_eq!(denylist.stats().refused, None);
        for n in self.tokens.keys().copied().chain([200]).collect::<Vec<_>>() {
            self.failures.clear();
            self.revoke(&denylist, n);
            assert_eq!(self.failures, Vec::<String>::new());
        }
    }

    /// The same once more, of which nothing is left but the journal.
    pub(super) fn recover_from_the_journal(&mut self, dir: &Path) {
        std::fs::remove_dir_all(dir.join("sled")).unwrap();
        let _ = std::fs::remove_file(dir.join("prefilter"));
        self.recover(dir);
    }
}
