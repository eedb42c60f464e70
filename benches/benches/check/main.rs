//! What a check of the denylist costs: absent and present targets, prefilter on and off, by size of the store, by the
//! engine's cache and by how many threads ask.
//!
//! The cases and what each asserts are told in `benches/README.md`.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

mod asked;
mod peers;
mod threads;

use asked::{Asked, CLEAR, MISSED, TOKENS, one};
use criterion::Criterion;
use ostracon_benches::{
    case::{self, Case},
    listing::Listing,
    names::{self, NOW},
    peers::{Process, memory_redis},
    plan,
    rounds::{Quartiles, Rounds, print_figures, print_ratios},
};
use ostracon_core::Targets;
use ostracon_store::Options;
use peers::Peers;

/// A cache of the engine that holds next to nothing of it, in bytes.
const LITTLE_CACHE: u64 = 1 << 20;

fn main() {
    let mut criterion = plan::criterion();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let redis = memory_redis(dir.path());
    if redis.is_none() {
        println!("MISSING: Redis, with which this is compared; redis-server is not installed");
    }
    let mut ratios = Vec::new();
    for size in plan::sizes() {
        measure(&mut criterion, size, redis.as_ref(), &mut ratios);
    }
    criterion.final_summary();
    if plan::measures() {
        print_ratios("ratio", &ratios);
    }
}

type Ratios = Vec<(String, Quartiles)>;

fn measure(criterion: &mut Criterion, size: u64, redis: Option<&Process>, ratios: &mut Ratios) {
    let without = Options {
        prefilter: false,
        ..Options::default()
    };
    let with_little = Options {
        cache_bytes: LITTLE_CACHE,
        ..without.clone()
    };
    let (on, off) = Listing::filled(size).copied(&without);
    let (on, little) = on.copied(&with_little);
    let (on, bare) = on.copied(&without);
    let bare = bare.into_dir();

    let asked = Asked::of(&on, size);
    let peers = Peers::of(&on, bare.path(), redis, size, &asked);
    asked.assert_clear(on.denylist(), off.denylist());
    let mut cases = asked.cases(on.denylist(), off.denylist());
    let name = "absent, off, 1 MiB of cache";
    cases.push(Case::check(name, little.denylist(), &asked.absent, one, NOW, MISSED));
    cases.extend(peers.cases(on.denylist(), &asked));
    case::report(criterion, &format!("check/{size}"), &cases);
    if plan::measures() {
        let rounds = Rounds::of(&cases);
        print_figures(&rounds, &format!("{size} entries"));
        for (slow, fast) in [
            ("absent, off", "absent, on"),
            ("present, on", "present, off"),
            ("false positive, on", "false positive, off"),
            ("six absent, on", "absent, on"),
            ("six absent, off", "six absent, on"),
            ("absent, off, 1 MiB of cache", "absent, off"),
            ("absent, on", "absent, hash set"),
            ("absent, off", "absent, sled get"),
            ("absent, Redis GET", "absent, on"),
            ("present, Redis GET", "present, on"),
        ] {
            if rounds.names().any(|name| name == slow) {
                ratios.push((format!("{size}: {slow} / {fast}"), rounds.ratio(slow, fast)));
            }
        }
    }
    alone(size, &on, &off, &asked, ratios);
    threads::measure(size, &on, &off, &asked, ratios);
    asked.assert_clear(on.denylist(), off.denylist());
    every_kind(criterion, size, &on, &asked, ratios);
}

/// One question over and over, as `ostracon bench` asks it: what the processor and the engine keep of it stays there.
fn alone(size: u64, on: &Listing, off: &Listing, asked: &Asked, ratios: &mut Ratios) {
    let cases = [
        Case::check("absent, on", on.denylist(), &asked.absent, one, NOW, CLEAR),
        Case::check("absent, off", off.denylist(), &asked.absent, one, NOW, MISSED),
    ];
    if plan::measures() {
        let rounds = Rounds::of(&cases);
        print_figures(&rounds, &format!("{size} entries, nothing else asked"));
        let ratio = rounds.ratio("absent, off", "absent, on");
        ratios.push((format!("{size}: absent, off / absent, on, nothing else asked"), ratio));
    }
}

/// The worst case of six: entries of every kind, so that none can be passed over.
fn every_kind(criterion: &mut Criterion, size: u64, on: &Listing, asked: &Asked, ratios: &mut Ratios) {
    on.list(names::other_kinds());
    let tokens = on.clear_claims(TOKENS);
    let six = |claims| Targets::of(claims, Some(&asked.kid));
    let (single, all) = ("absent, on", "six absent, on, every kind listed");
    let cases = [
        Case::check(single, on.denylist(), &asked.absent, one, NOW, CLEAR),
        Case::check(all, on.denylist(), &tokens, six, NOW, CLEAR),
    ];
    case::report(criterion, &format!("check-every-kind/{size}"), &cases[1..]);
    if !plan::measures() {
        return;
    }
    let rounds = Rounds::of(&cases);
    print_figures(&rounds, &format!("{size} entries of every kind"));
    ratios.push((format!("{size}: {all} / {single}"), rounds.ratio(all, single)));
    let bytes = on.denylist().stats().prefilter_bytes;
    println!("\nThe prefilter of {size} entries takes {bytes} bytes.");
}
