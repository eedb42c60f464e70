//! What a check costs by the rate of false positives that the prefilter is built for, and by how much is written meanwhile.
//!
//! `check` tells it by size, by the engine's cache and by threads.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use ostracon_benches::{
    case::Case,
    listing::Listing,
    names::{EXPIRED, NOW, UNLISTED, listed, token},
    plan, report,
    rounds::{Quartiles, Rounds, nanos},
};
use ostracon_core::{Policy, Reason, Revocation, Target, Targets};
use ostracon_store::{Denylist, Options};
use serde_json::json;

/// What a prefilter is built for: its name, and the share of unlisted targets that it may let pass.
const RATES: [(&str, f64); 5] = [
    ("1 in 10", 1e-1),
    ("1 in 100", 1e-2),
    ("1 in 1,000", 1e-3),
    ("1 in 10,000", 1e-4),
    ("1 in 100,000", 1e-5),
];
/// Unlisted tokens, taken as they come: in proportion as many are let pass as of any.
const ASKED: u64 = 65_536;

/// Writers beside the checks, and how many revocations a second each makes; none is as many as it can.
const WRITES: [(usize, Option<u64>); 6] = [
    (1, Some(0)),
    (1, Some(10)),
    (1, Some(100)),
    (1, Some(1_000)),
    (1, None),
    (8, None),
];
/// How long each of them is asked beside.
const WHILE: Duration = Duration::from_secs(3);

fn main() {
    let (entries, duration) = if plan::measures() {
        (1_000_000, WHILE)
    } else {
        (10_000, Duration::from_millis(20))
    };
    by_rate(entries);
    by_writes(entries, duration);
}

fn by_rate(entries: u64) {
    let mut filled = Listing::filled(entries);
    let mut stores = Vec::new();
    for (name, rate) in RATES {
        let (first, copy) = filled.copied(&Options {
            false_positive_rate: rate,
            ..Options::default()
        });
        filled = first;
        stores.push((name, rate, copy));
    }
    let tokens: Vec<_> = (UNLISTED..UNLISTED.saturating_add(ASKED)).map(token).collect();
    let cases: Vec<_> = stores
        .iter()
        .map(|(name, _, store)| {
            let denylist = store.denylist();
            let unlisted = move |target: &Target| {
                let facts = denylist.check(&Targets::one(target.as_ref()), NOW).expect("an answer");
                facts.revocation.is_none()
            };
            Case::over(name, &tokens, unlisted)
        })
        .collect();
    if !plan::measures() {
        return;
    }
    let rounds = Rounds::of(&cases);
    println!(
        "\n| {entries} entries, built for | a check of an unlisted token | half of the rounds lie in | by the formula | measured | bytes of filters |\n\
         |---|---:|---:|---:|---:|---:|"
    );
    for (name, rate, store) in &stores {
        let stats = store.denylist().stats();
        let filters = stats.filters.expect("filters");
        let measured = filters.measured_rate.expect("it was asked");
        let Quartiles { low, median, high } = rounds.of_case(name);
        println!(
            "| {name} | {} | {} to {} | {:.6} | {measured:.6} | {} |",
            nanos(median),
            nanos(low),
            nanos(high),
            filters.expected_rate,
            stats.prefilter_bytes,
        );
        report::record(
            "rates",
            json!({
                "entries": entries, "asked_for": rate, "expected": filters.expected_rate, "measured": measured,
                "filter_bytes": stats.prefilter_bytes, "check_ns": { "low": low, "median": median, "high": high },
            }),
        );
        // Of so few as the smallest rates let pass, chance has half as many more.
        let by_chance = 4.0 * (rate / rate_of(ASKED)).sqrt();
        assert!(
            measured <= rate * 1.5 + by_chance,
            "{name}: {measured} is more than it was built for"
        );
    }
}

fn by_writes(entries: u64, duration: Duration) {
    let store = Listing::filled(entries);
    let denylist = store.denylist();
    let (absent, _) = store.search(4_096, 0);
    let step = usize::try_from((entries / 4_096).max(1)).expect("a count");
    let present: Vec<_> = (EXPIRED..entries).step_by(step).map(listed).collect();
    let next = AtomicU64::new(UNLISTED << 1);
    if plan::measures() {
        println!(
            "\n| {entries} entries, revocations a second beside | unlisted, half / 99 / 99.9 % within | listed, half / 99 / 99.9 % within |\n\
             |---:|---:|---:|"
        );
    }
    for (writers, rate) in WRITES {
        let is_over = AtomicBool::new(false);
        let (written, asked) = thread::scope(|scope| {
            let write = || write(denylist, rate, &next, &is_over);
            let writers: Vec<_> = (0..writers).map(|_| scope.spawn(write)).collect();
            let asked = ask(denylist, &absent, &present, duration);
            is_over.store(true, Ordering::Relaxed);
            let written: f64 = writers.into_iter().map(|writer| writer.join().expect("it wrote")).sum();
            (written, asked)
        });
        denylist.settle().expect("settled");
        if !plan::measures() {
            continue;
        }
        let [unlisted, listed] = asked.map(|mut all| {
            all.sort_unstable();
            [0.5, 0.99, 0.999].map(|part| within(&all, part))
        });
        let shown =
            |[half, most, nearly_all]: [f64; 3]| format!("{} / {} / {}", nanos(half), nanos(most), nanos(nearly_all));
        println!("| {written:.0} | {} | {} |", shown(unlisted), shown(listed));
        report::record(
            "writes",
            json!({ "entries": entries, "a_second": written, "unlisted_ns": unlisted, "listed_ns": listed }),
        );
    }
    assert_eq!(denylist.stats().refused, None);
}

/// Revokes at that rate until it is over; how many a second it came to.
fn write(denylist: &Denylist, rate: Option<u64>, next: &AtomicU64, is_over: &AtomicBool) -> f64 {
    let policy = Policy::default();
    let began = Instant::now();
    let mut written = 0_u32;
    while !is_over.load(Ordering::Relaxed) {
        let ahead = rate.map(|rate| f64::from(written) - began.elapsed().as_secs_f64() * rate_of(rate));
        if ahead.is_some_and(|ahead| ahead >= 0.0) {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        let target = token(next.fetch_add(1, Ordering::Relaxed));
        let receipt = denylist.revoke(Revocation::new(target, Reason::Logout, &policy, NOW));
        assert!(receipt.expect("durable").changed, "it had been revoked before");
        written = written.saturating_add(1);
    }
    f64::from(written) / began.elapsed().as_secs_f64()
}

fn rate_of(rate: u64) -> f64 {
    f64::from(u32::try_from(rate).expect("a rate"))
}

/// What each check took, in nanoseconds, those of unlisted and those of listed targets.
fn ask(denylist: &Denylist, absent: &[Target], present: &[Target], duration: Duration) -> [Vec<u64>; 2] {
    let timed = |target: &Target, denied: bool| {
        let asked = Instant::now();
        let facts = denylist.check(&Targets::one(target.as_ref()), NOW).expect("an answer");
        let took = asked.elapsed();
        assert_eq!(facts.revocation.is_some(), denied, "{target:?}");
        u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)
    };
    let (mut of_absent, mut of_present) = (Vec::new(), Vec::new());
    let began = Instant::now();
    for (absent, present) in absent.iter().cycle().zip(present.iter().cycle()) {
        of_absent.push(timed(absent, false));
        of_present.push(timed(present, true));
        if began.elapsed() >= duration {
            break;
        }
    }
    [of_absent, of_present]
}

/// The time that so great a `part` of them stayed within.
fn within(sorted: &[u64], part: f64) -> f64 {
    let place = Duration::from_nanos(u64::try_from(sorted.len()).expect("a count")).mul_f64(part);
    let place = usize::try_from(place.as_nanos()).expect("a count");
    let nanos = sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default();
    Duration::from_nanos(nanos).as_secs_f64() * 1e9
}
