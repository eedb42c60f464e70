//! What a check of the denylist costs: absent and present targets, prefilter on and off, by size of the store.
//!
//! The cases and what each asserts are told in `benches/README.md`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{collections::HashSet, path::Path, sync::RwLock};

use criterion::Criterion;
use ostracon_benches::{
    case::{self, Branch, Case},
    listing::Listing,
    names::{self, EXPIRED, NOW},
    plan,
    rounds::{Quartiles, Rounds, print_figures, print_ratios},
};
use ostracon_core::{Claims, KeyId, Target, TargetRef, Targets};
use ostracon_store::{Denylist, Digest};

/// Single targets asked for in turn: so many that they touch all of a filter of a million entries.
const TARGETS: usize = 4_096;
/// Tokens asked for in turn, six targets each.
const TOKENS: usize = 4_096;
/// False positives: they are searched for, and rare.
const PASSING: usize = 48;

/// What the filter knows to be absent.
const CLEAR: Branch = Branch {
    clear: true,
    denied: false,
    lookups: 0,
    misses: 0,
};
/// What is looked up and not found.
const MISSED: Branch = Branch {
    clear: false,
    denied: false,
    lookups: 1,
    misses: 1,
};
/// What is looked up, found, and denies.
const DENIED: Branch = Branch {
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
/// The parts that the engine is made of unless it is told otherwise.
const PARTS: u64 = 16;

const SIX_MISSED: Branch = Branch {
    clear: false,
    denied: false,
    lookups: 6,
    misses: 6,
};

fn main() {
    let mut criterion = plan::criterion();
    let mut ratios = Vec::new();
    for size in plan::sizes() {
        measure(&mut criterion, size, &mut ratios);
    }
    criterion.final_summary();
    if plan::measures() {
        print_ratios("ratio", &ratios);
    }
}

fn one(target: &Target) -> Targets<'_> {
    Targets::one(target.as_ref())
}

/// What is asked for, at one size.
struct Asked {
    absent: Vec<Target>,
    passing: Vec<Target>,
    present: Vec<Target>,
    expired: Vec<Target>,
    tokens: Vec<Claims>,
    kid: KeyId,
    /// The digest of none of them.
    other: Digest,
}

impl Asked {
    fn of(listing: &Listing, size: u64) -> Self {
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

    fn six<'a>(&'a self) -> impl Fn(&'a Claims) -> Targets<'a> + Copy {
        |claims| Targets::of(claims, Some(&self.kid))
    }

    fn assert_clear(&self, on: &Denylist, off: &Denylist) {
        case::assert_clear("absent", on, &self.absent, one, CLEAR);
        case::assert_clear("false positive", on, &self.passing, one, MISSED);
        case::assert_clear("present", on, &self.present, one, DENIED);
        case::assert_clear("expired", on, &self.expired, one, EXPIRED_ENTRY);
        case::assert_clear("six absent", on, &self.tokens, self.six(), CLEAR);
        case::assert_clear("absent, off", off, &self.absent, one, MISSED);
        case::assert_clear("six absent, off", off, &self.tokens, self.six(), SIX_MISSED);
    }

    fn cases<'a>(&'a self, on: &'a Denylist, off: &'a Denylist) -> Vec<Case<'a>> {
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

/// The peers: an exact set in memory, and the engine without anything around it.
struct Peers {
    set: RwLock<HashSet<Digest>>,
    /// By the first four bits of a digest.
    rows: Vec<sled::Tree>,
    absent: Vec<[u8; 16]>,
    present: Vec<[u8; 16]>,
}

impl Peers {
    fn of(listing: &Listing, rows: Vec<sled::Tree>, size: u64, asked: &Asked) -> Self {
        let id = |target: TargetRef<'_>| listing.denylist().id(target);
        // A digest is shown as its bytes in hexadecimal, and those are its key in the engine.
        let key = |target: &Target| {
            let shown = id(target.as_ref()).to_string();
            u128::from_str_radix(&shown, 16).expect("hexadecimal").to_be_bytes()
        };
        let set = (0..size).map(|n| id(names::listed(n).as_ref())).collect();
        Self {
            set: RwLock::new(set),
            rows,
            absent: asked.absent.iter().map(key).collect(),
            present: asked.present.iter().map(key).collect(),
        }
    }

    fn cases<'a>(&'a self, denylist: &'a Denylist, asked: &'a Asked) -> Vec<Case<'a>> {
        let in_set = |target: &Target| {
            let id = denylist.id(target.as_ref());
            self.set.read().expect("not poisoned").contains(&id)
        };
        let in_rows = |key: &[u8; 16]| {
            let part = self.rows.get(usize::from(key[0] >> 4)).expect("sixteen parts");
            part.get(key).expect("an answer").is_some()
        };
        vec![
            Case::over("absent, hash set", &asked.absent, move |target| !in_set(target)),
            Case::over("present, hash set", &asked.present, in_set),
            Case::over("absent, sled get", &self.absent, move |key| !in_rows(key)),
            Case::over("present, sled get", &self.present, in_rows),
        ]
    }
}

/// The rows of one part of the engine.
fn rows_of(part: &Path) -> sled::Tree {
    assert!(part.is_dir(), "the engine has other parts");
    let engine = sled::Config::new()
        .path(part)
        .cache_capacity((64 << 20) / PARTS)
        .segment_size(64 << 10)
        .flush_every_ms(None);
    // The threads of the one that had it open before may have to end first.
    let engine = (0..500).find_map(|_| {
        let opened = engine.open();
        if opened.is_err() {
            std::thread::sleep(core::time::Duration::from_millis(20));
        }
        opened.ok()
    });
    let rows = engine.expect("the engine's files").open_tree("rows").expect("the rows");
    assert_eq!(rows.get([0; 16]).expect("an answer"), None);
    rows
}

fn measure(criterion: &mut Criterion, size: u64, ratios: &mut Vec<(String, Quartiles)>) {
    let (on, off) = Listing::filled(size).copied(false);
    let (on, bare) = on.copied(false);
    let dir = bare.into_dir();
    let rows: Vec<_> = (0..PARTS)
        .map(|part| rows_of(&dir.path().join(format!("sled/{part:02}-of-{PARTS}"))))
        .collect();

    let asked = Asked::of(&on, size);
    let peers = Peers::of(&on, rows, size, &asked);
    asked.assert_clear(on.denylist(), off.denylist());
    let mut cases = asked.cases(on.denylist(), off.denylist());
    cases.extend(peers.cases(on.denylist(), &asked));
    case::report(criterion, &format!("check/{size}"), &cases);
    let rounds = plan::measures().then(|| Rounds::of(&cases));
    asked.assert_clear(on.denylist(), off.denylist());

    // The worst case of six: entries of every kind, so that none can be passed over.
    on.list(names::other_kinds());
    let tokens = on.clear_claims(TOKENS);
    let six = |claims| Targets::of(claims, Some(&asked.kid));
    let worst = [
        Case::check("absent, on", on.denylist(), &asked.absent, one, NOW, CLEAR),
        Case::check(
            "six absent, on, every kind listed",
            on.denylist(),
            &tokens,
            six,
            NOW,
            CLEAR,
        ),
    ];
    case::report(criterion, &format!("check-every-kind/{size}"), &worst[1..]);
    let Some(rounds) = rounds else { return };
    let worst = Rounds::of(&worst);

    print_figures(&rounds, &format!("{size} entries"));
    print_figures(&worst, &format!("{size} entries of every kind"));
    let stats = on.denylist().stats();
    println!(
        "\nThe prefilter of {size} entries takes {} bytes.",
        stats.prefilter_bytes
    );
    for (slow, fast) in [
        ("absent, off", "absent, on"),
        ("present, on", "present, off"),
        ("false positive, on", "false positive, off"),
        ("six absent, on", "absent, on"),
        ("six absent, off", "six absent, on"),
        ("absent, on", "absent, hash set"),
        ("absent, off", "absent, sled get"),
    ] {
        ratios.push((format!("{size}: {slow} / {fast}"), rounds.ratio(slow, fast)));
    }
    let (six, single) = ("six absent, on, every kind listed", "absent, on");
    ratios.push((format!("{size}: {six} / {single}"), worst.ratio(six, single)));
}
