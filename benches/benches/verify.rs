//! What verifying a token costs in process, by algorithm: the first time and once it was seen, against a bare
//! `jsonwebtoken::decode`.
//!
//! All of it is: taking apart, strict header and claims, signature, the denylist asked about six targets, the decision. What
//! is remembered spares the first four of these, and no more.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up stops")]

use std::{
    cell::RefCell,
    ptr,
    time::{SystemTime, UNIX_EPOCH},
};

use criterion::Criterion;
use ostracon_benches::{
    case::{self, Case},
    issuer::Party,
    listing::Listing,
    names::{self, UNLISTED},
    plan,
    rounds::{Quartiles, Rounds, print_figures, print_ratios},
};
use ostracon_core::{
    Algorithm, Demand, Keyring, Memory, Policy, Reason, Refusal, Revocation, Scope, Target, TokenType, UnixTime, decide,
};
use ostracon_store::Denylist;

/// Entries in the denylist that is asked.
const ENTRIES: u64 = 100_000;
/// Tokens verified in turn, each as if for the first time.
const TOKENS: u64 = 1_024;

const ALGORITHMS: [Algorithm; 4] = [Algorithm::HS256, Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];

fn main() {
    let mut criterion = plan::criterion();
    let entries = if plan::measures() { ENTRIES } else { 2_000 };
    let listing = Listing::filled(entries);
    let mut ratios = Vec::new();
    for alg in ALGORITHMS {
        measure(&mut criterion, listing.denylist(), alg, &mut ratios);
    }
    criterion.final_summary();
    if plan::measures() {
        print_ratios("ratio", &ratios);
    }
}

/// The time by the system's clock, which is the one that `jsonwebtoken` asks.
#[expect(clippy::disallowed_methods, reason = "`jsonwebtoken` takes no other time")]
fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    UnixTime::from_secs(since.as_secs())
}

/// A whole verification, as a server does it.
struct Verifier<'a> {
    party: &'a Party,
    denylist: &'a Denylist,
    demand: Demand<'a>,
    policy: Policy,
    now: UnixTime,
}

impl Verifier<'_> {
    fn verify(&self, token: &str) -> Result<(), Refusal> {
        self.verify_by(self.party.ring(), token)
    }

    fn verify_by(&self, ring: &Keyring, token: &str) -> Result<(), Refusal> {
        let token = ring.verify(token, TokenType::Access)?;
        let facts = self.denylist.check(&token.targets(), self.now).expect("an answer");
        decide(token.claims(), &self.demand, &facts, &self.policy, self.now)
    }

    /// Shows that nothing is left out: each part refuses what only it can refuse.
    fn prove(&self, listed: u64) {
        let good = self.party.token(UNLISTED, self.now);
        assert_eq!(self.verify(&good), Ok(()));
        assert!(self.party.decodes(&good));

        // Revoked anew: by the clock on the wall, what the store was filled with may be past its retention.
        let revocation = Revocation::new(names::listed(listed), Reason::Logout, &self.policy, self.now);
        self.denylist.revoke(revocation).expect("durable");
        let revoked = self.party.token(listed, self.now);
        assert!(
            matches!(self.verify(&revoked), Err(Refusal::Revoked(_))),
            "the denylist"
        );
        assert!(self.party.decodes(&revoked), "which only the denylist knows");

        let (rest, signature) = good.rsplit_once('.').expect("three segments");
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        let forged = format!("{rest}.{other}{}", signature.get(1..).expect("a signature"));
        assert_eq!(self.verify(&forged), Err(Refusal::SignatureInvalid));
        assert!(!self.party.decodes(&forged));

        let old = self
            .party
            .token(UNLISTED, UnixTime::from_secs(self.now.as_secs().saturating_sub(700)));
        assert_eq!(self.verify(&old), Err(Refusal::Expired));
        assert!(!self.party.decodes(&old));
    }
}

fn measure(criterion: &mut Criterion, denylist: &Denylist, alg: Algorithm, ratios: &mut Vec<(String, Quartiles)>) {
    let party = Party::new(alg);
    let verifier = Verifier {
        party: &party,
        denylist,
        demand: Demand {
            audiences: &["shop"],
            scope: Scope::new("read").expect("a scope"),
            ..Demand::default()
        },
        policy: Policy::default(),
        now: now(),
    };
    let listed = (names::EXPIRED..ENTRIES).find(|n| matches!(names::listed(*n), Target::Token { .. }));
    verifier.prove(listed.expect("a token"));

    let tokens: Vec<_> = (UNLISTED..UNLISTED.saturating_add(TOKENS))
        .map(|n| party.token(n, verifier.now))
        .collect();
    // Room for all of them, as a server has by default.
    let memory = Memory::new(32 << 20);
    let remembering = || party.ring().clone().with_memory(&memory);
    let seen = remembering();
    assert!(tokens.iter().all(|token| verifier.verify_by(&seen, token).is_ok()));
    let first = RefCell::new(remembering());
    let cases = [
        Case::over("first time", &tokens, |token| {
            if tokens.first().is_some_and(|first| ptr::eq(first, token)) {
                // All of them once more: what was kept of them goes.
                first.replace(remembering());
            }
            verifier.verify_by(&first.borrow(), token).is_ok()
        })
        .counting("tokens verified and kept", || memory.stats().misses, 1),
        Case::over("seen before", &tokens, |token| verifier.verify_by(&seen, token).is_ok()).counting(
            "tokens remembered",
            || memory.stats().hits,
            1,
        ),
        Case::over("first time, without a memory", &tokens, |token| {
            verifier.verify(token).is_ok()
        }),
        Case::over("signature and claims", &tokens, |token| {
            party.ring().verify(token, TokenType::Access).is_ok()
        }),
        Case::over("bare decode", &tokens, |token| party.decodes(token)),
    ];
    case::report(criterion, &format!("verify/{alg}"), &cases);
    if !plan::measures() {
        return;
    }
    let rounds = Rounds::of(&cases);
    print_figures(&rounds, &alg.to_string());
    for (slow, fast) in [
        ("first time", "bare decode"),
        ("first time, without a memory", "bare decode"),
        ("signature and claims", "bare decode"),
        ("first time", "seen before"),
        ("bare decode", "seen before"),
    ] {
        ratios.push((format!("{alg}: {slow} / {fast}"), rounds.ratio(slow, fast)));
    }
}
