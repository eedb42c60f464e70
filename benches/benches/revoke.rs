//! What a durable revocation costs: 1, 8 and 64 writers at once, against a bare file with as many records to a sync, and
//! against a Redis that syncs its log before it answers, asked by as many clients over loopback.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    cell::RefCell,
    fs::File,
    io::Write,
    ops::Range,
    path::Path,
    sync::{
        Barrier,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput};
use ostracon_benches::{
    case::{Case, Timed},
    listing::Listing,
    names::{NOW, UNLISTED, token},
    peers::{self, Asking, Process},
    plan,
    rounds::{Quartiles, Rounds, print_figures, print_ratios},
};
use ostracon_core::{Policy, Reason, Revocation, Targets};
use ostracon_store::Denylist;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const WRITERS: [(u64, &str, &str, &str); 3] = [
    (
        1,
        "1 writer",
        "bare file, 1 record a sync",
        "Redis, appendfsync always, 1 client",
    ),
    (
        8,
        "8 writers",
        "bare file, 8 records a sync",
        "Redis, appendfsync always, 8 clients",
    ),
    (
        64,
        "64 writers",
        "bare file, 64 records a sync",
        "Redis, appendfsync always, 64 clients",
    ),
];

/// Entries in the store before the first revocation.
const ENTRIES: u64 = 10_000;
/// About what a revocation of a token takes in the journal.
const RECORD: usize = 120;

fn main() {
    let mut criterion = plan::criterion();
    let listing = small();
    let next = AtomicU64::new(UNLISTED);
    let file = RefCell::new(tempfile::tempfile().expect("a temporary file"));
    let mut ratios = Vec::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (redis, keys) = (peers::durable_redis(dir.path()), AtomicU64::new(UNLISTED));
    if redis.is_none() {
        println!("MISSING: Redis, with which this is compared; redis-server is not installed");
    }
    for (writers, store, bare, peer) in WRITERS {
        let mut cases = vec![
            Case::new(store, |times| revoke(listing.denylist(), writers, times, &next)),
            Case::new(bare, |times| append(&mut file.borrow_mut(), writers, times)),
        ];
        if let Some(redis) = &redis {
            let set = |times| set(redis, dir.path(), writers, times, &keys);
            cases.push(Case::new(peer, set));
        }
        measure(&mut criterion, writers, &cases, &mut ratios);
    }
    criterion.final_summary();
    prove(listing, UNLISTED..next.load(Ordering::Relaxed));
    // Each in a store that is as small as the first was.
    for work in [sustained, bulk] {
        let (listing, from) = (small(), next.load(Ordering::Relaxed));
        work(listing.denylist(), &next);
        prove(listing, from..next.load(Ordering::Relaxed));
    }
    if plan::measures() {
        print_ratios("ratio", &ratios);
    }
}

fn small() -> Listing {
    Listing::filled(if plan::measures() { ENTRIES } else { 2_000 })
}

fn measure(criterion: &mut Criterion, writers: u64, cases: &[Case<'_>], ratios: &mut Vec<(String, Quartiles)>) {
    let mut group = criterion.benchmark_group("revoke");
    group.throughput(Throughput::Elements(writers));
    for case in cases {
        group.bench_function(case.name(), |bencher| bencher.iter_custom(|times| case.run(times)));
    }
    group.finish();
    if !plan::measures() {
        return;
    }
    let rounds = Rounds::of_threads(cases);
    print_figures(
        &rounds,
        &format!("{writers} at a time; the time is that of all of them"),
    );
    let (store, others) = cases.split_first().expect("the store");
    let writers = u32::try_from(writers).expect("a count");
    for case in cases {
        let rate = f64::from(writers) * 1e9 / rounds.of_case(case.name()).median;
        println!("{}: {:.1} thousand a second", case.name(), rate / 1e3);
    }
    for other in others {
        // How many times as long the store took; against Redis how many times as many it did.
        let (slow, fast) = if other.name().starts_with("Redis") {
            (other, store)
        } else {
            (store, other)
        };
        let ratio = rounds.ratio(slow.name(), fast.name());
        ratios.push((format!("{} / {}", slow.name(), fast.name()), ratio));
    }
}

/// `writers` threads, each of which revokes a token `times` times and waits until it is durable. The engine has all of it
/// before the next turn, and is given the time for that outside of what is measured: what a burst costs.
fn revoke(denylist: &Denylist, writers: u64, times: u64, next: &AtomicU64) -> Duration {
    let took = revoke_on(denylist, writers, times, next);
    denylist.settle().expect("settled");
    took
}

/// The same for so long that the engine has to keep up with most of it.
fn sustained(denylist: &Denylist, next: &AtomicU64) {
    for (writers, ..) in WRITERS {
        let all: u64 = if plan::measures() { 1_000_000 } else { 10_000 };
        // One by one, it never comes to be more than the engine takes.
        let times = all.checked_div(writers.max(8)).expect("some writers");
        let took = revoke_on(denylist, writers, times, next);
        let waiting = denylist.stats().waiting;
        denylist.settle().expect("settled");
        if plan::measures() {
            let rate = rate(times.saturating_mul(writers), took) / 1e3;
            println!(
                "{writers} writers without a rest: {rate:.1} thousand a second; {waiting} waited for the engine then"
            );
        }
    }
}

fn rate(count: u64, took: Duration) -> f64 {
    let count = u32::try_from(count).expect("a count");
    f64::from(count) / took.as_secs_f64()
}

/// Asserts that each was new, so that nobody was answered without a write, and that the journal has grown by as much.
fn revoke_on(denylist: &Denylist, writers: u64, times: u64, next: &AtomicU64) -> Duration {
    let policy = Policy::default();
    let count = times.saturating_mul(writers);
    let first = next.fetch_add(count, Ordering::Relaxed);
    let writer = |n: u64, start: &Barrier| {
        let from = first.saturating_add(n.saturating_mul(times));
        let asked: Vec<_> = (from..from.saturating_add(times))
            .map(|n| Revocation::new(token(n), Reason::Logout, &policy, NOW))
            .collect();
        start.wait();
        for revocation in asked {
            let receipt = denylist.revoke(revocation).expect("durable");
            assert!(receipt.changed, "it had been revoked before");
        }
    };
    let before = denylist.stats().journal_bytes;
    let took = at_once(writers, writer);
    let grown = denylist.stats().journal_bytes.saturating_sub(before);
    assert!(
        grown >= count.saturating_mul(32),
        "{grown} bytes of journal for {count} revocations"
    );
    took
}

/// The time that `writers` threads take once all of them are ready.
fn at_once(writers: u64, writer: impl Fn(u64, &Barrier) + Sync) -> Duration {
    let start = Barrier::new(usize::try_from(writers).expect("a count").saturating_add(1));
    thread::scope(|scope| {
        let (start, writer) = (&start, &writer);
        let threads: Vec<_> = (0..writers).map(|n| scope.spawn(move || writer(n, start))).collect();
        start.wait();
        let began = Instant::now();
        for thread in threads {
            thread.join().expect("it wrote");
        }
        began.elapsed()
    })
}

/// The usual denylist: `writers` clients, each of which sets a key that is new `times` times and waits for each answer.
///
/// Asserts that each was set, and that the log has grown by as much.
fn set(redis: &Process, dir: &Path, writers: u64, times: u64, next: &AtomicU64) -> Duration {
    let count = times.saturating_mul(writers);
    let first = next.fetch_add(count, Ordering::Relaxed);
    let writer = |n: u64, start: &Barrier| {
        let from = first.saturating_add(n.saturating_mul(times));
        let keys = (from..from.saturating_add(times)).map(|n| format!("blacklist:{}", token(n).as_ref().name()));
        let asked: Vec<_> = keys.map(|key| peers::command(&["SETEX", &key, "1200", "1"])).collect();
        let mut redis = Asking::to(redis);
        start.wait();
        for set in asked {
            redis.set(&set);
        }
    };
    let before = peers::log_bytes(dir);
    let took = at_once(writers, writer);
    let grown = peers::log_bytes(dir).saturating_sub(before);
    assert!(
        grown >= count.saturating_mul(64),
        "{grown} bytes of log for {count} keys"
    );
    took
}

/// Many at once against one after the other, for long enough that the engine has to keep up.
fn bulk(denylist: &Denylist, next: &AtomicU64) {
    let (one_by_one, many) = if plan::measures() {
        (2_000, 400_000)
    } else {
        (10, 10_000)
    };
    let single = revoke(denylist, 1, one_by_one, next);
    let first = next.fetch_add(many, Ordering::Relaxed);
    let policy = Policy::default();
    let asked = (first..first.saturating_add(many)).map(|n| Revocation::new(token(n), Reason::Logout, &policy, NOW));
    let began = Instant::now();
    let receipts = denylist.revoke_many(asked).expect("durable");
    let took = began.elapsed();
    assert!(
        receipts.iter().all(|receipt| receipt.changed),
        "it had been revoked before"
    );
    let (single, bulk) = (rate(one_by_one, single), rate(many, took));
    if plan::measures() {
        println!(
            "in bulk: {:.1} thousand a second, one by one {:.1}: {:.1} times as many",
            bulk / 1e3,
            single / 1e3,
            bulk / single
        );
    }
}

/// `records` records appended to `file` and synced, `times` times.
fn append(file: &mut File, records: u64, times: u64) -> Duration {
    let group = vec![7; RECORD.saturating_mul(usize::try_from(records).expect("a count"))];
    let began = Instant::now();
    for _ in 0..times {
        file.write_all(&group).expect("written");
        file.sync_data().expect("synced");
    }
    began.elapsed()
}

/// Shows that what was acknowledged is there after a restart.
fn prove(listing: Listing, revoked: Range<u64>) {
    assert_eq!(listing.denylist().stats().refused, None);
    let listing = listing.reopened();
    let denied = |n: &u64| {
        let token = token(*n);
        let facts = listing.denylist().check(&Targets::one(token.as_ref()), NOW);
        facts.expect("an answer").revocation.is_some()
    };
    assert!(
        revoked.clone().all(|n| denied(&n)),
        "each that was acknowledged is denied"
    );
    assert!(!denied(&revoked.end), "and no other");
}
