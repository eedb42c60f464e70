//! What a durable revocation costs: 1, 8 and 64 writers at once, threads that block and tasks that await, against a bare file
//! with as many records to a sync, and against a Redis that syncs its log before it answers, asked by as many clients over
//! loopback, threads and tasks as well.

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
use futures_util::future::join_all;
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
use tokio::runtime::Builder;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// So many at once, and the names of the cases: the store's threads, the bare file, Redis's threads; and, where they are more
/// than one, tasks of one thread each.
struct Writers {
    count: u64,
    threads: &'static str,
    bare: &'static str,
    redis_threads: &'static str,
    tasks: Option<(&'static str, &'static str)>,
}

const WRITERS: [Writers; 3] = [
    Writers {
        count: 1,
        threads: "1 writer",
        bare: "bare file, 1 record a sync",
        redis_threads: "Redis, appendfsync always, 1 client",
        tasks: None,
    },
    Writers {
        count: 8,
        threads: "8 writers",
        bare: "bare file, 8 records a sync",
        redis_threads: "Redis, appendfsync always, 8 clients",
        tasks: Some(("8 tasks", "Redis, appendfsync always, 8 tasks")),
    },
    Writers {
        count: 64,
        threads: "64 writers",
        bare: "bare file, 64 records a sync",
        redis_threads: "Redis, appendfsync always, 64 clients",
        tasks: Some(("64 tasks", "Redis, appendfsync always, 64 tasks")),
    },
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
    for writers in WRITERS {
        let (count, denylist, file) = (writers.count, listing.denylist(), &file);
        let mut cases = vec![
            Case::new(writers.threads, |times| {
                revoke(denylist, count, times, &next, by_threads)
            }),
            Case::new(writers.bare, move |times| append(&mut file.borrow_mut(), count, times)),
        ];
        if let Some((store, _)) = writers.tasks {
            cases.push(Case::new(store, |times| {
                revoke(denylist, count, times, &next, by_tasks)
            }));
        }
        if let Some(redis) = &redis {
            let set = |how: fn(&Process, Vec<Vec<Vec<u8>>>) -> Duration| {
                let (dir, keys) = (dir.path(), &keys);
                move |times| set(redis, dir, count, times, keys, how)
            };
            cases.push(Case::new(writers.redis_threads, set(redis_by_threads)));
            if let Some((_, peer)) = writers.tasks {
                cases.push(Case::new(peer, set(redis_by_tasks)));
            }
        }
        measure(&mut criterion, &writers, &cases, &mut ratios);
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

fn measure(criterion: &mut Criterion, writers: &Writers, cases: &[Case<'_>], ratios: &mut Vec<(String, Quartiles)>) {
    let mut group = criterion.benchmark_group("revoke");
    group.throughput(Throughput::Elements(writers.count));
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
        &format!("{} at a time; the time is that of all of them", writers.count),
    );
    let count = u32::try_from(writers.count).expect("a count");
    for case in cases {
        let rate = f64::from(count) * 1e9 / rounds.of_case(case.name()).median;
        println!("{}: {:.1} thousand a second", case.name(), rate / 1e3);
    }
    // Against the bare file how many times as long the store took; against Redis how many times as many it did.
    let mut pairs = vec![
        (writers.threads, writers.bare),
        (writers.redis_threads, writers.threads),
    ];
    if let Some((store, redis)) = writers.tasks {
        pairs.extend([(store, writers.bare), (redis, store)]);
    }
    for (slow, fast) in pairs {
        if [slow, fast].iter().all(|name| rounds.names().any(|case| case == *name)) {
            ratios.push((format!("{slow} / {fast}"), rounds.ratio(slow, fast)));
        }
    }
}

/// How so many writers, each of which has these revocations to make one after the other, make them.
type How = fn(&Denylist, Vec<Vec<Revocation>>) -> Duration;

/// `writers`, each of which revokes a token `times` times and waits until it is durable. The engine has all of it
/// before the next turn, and is given the time for that outside of what is measured: what a burst costs.
fn revoke(denylist: &Denylist, writers: u64, times: u64, next: &AtomicU64, how: How) -> Duration {
    let took = revoke_on(denylist, writers, times, next, how);
    denylist.settle().expect("settled");
    took
}

/// The same for so long that the engine has to keep up with most of it.
fn sustained(denylist: &Denylist, next: &AtomicU64) {
    for writers in WRITERS.map(|writers| writers.count) {
        let all: u64 = if plan::measures() { 1_000_000 } else { 10_000 };
        // One by one, it never comes to be more than the engine takes.
        let times = all.checked_div(writers.max(8)).expect("some writers");
        let took = revoke_on(denylist, writers, times, next, by_threads);
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

/// Asserts that the journal has grown by as much.
fn revoke_on(denylist: &Denylist, writers: u64, times: u64, next: &AtomicU64, how: How) -> Duration {
    let policy = Policy::default();
    let revocation = |n| Revocation::new(token(n), Reason::Logout, &policy, NOW);
    let asked = shares(writers, times, next, revocation);
    let before = denylist.stats().journal_bytes;
    let took = how(denylist, asked);
    let grown = denylist.stats().journal_bytes.saturating_sub(before);
    let count = times.saturating_mul(writers);
    assert!(
        grown >= count.saturating_mul(32),
        "{grown} bytes of journal for {count} revocations"
    );
    took
}

/// What each of `writers` is to ask for `times` times, of numbers that were not used before.
fn shares<T>(writers: u64, times: u64, next: &AtomicU64, ask: impl Fn(u64) -> T) -> Vec<Vec<T>> {
    let first = next.fetch_add(times.saturating_mul(writers), Ordering::Relaxed);
    let share = |n: u64| {
        let from = first.saturating_add(n.saturating_mul(times));
        (from..from.saturating_add(times)).map(&ask).collect()
    };
    (0..writers).map(share).collect()
}

/// Each by a thread of its own. Asserts that each was new, so that nobody was answered without a write.
fn by_threads(denylist: &Denylist, asked: Vec<Vec<Revocation>>) -> Duration {
    at_once(asked, |share, start| {
        start.wait();
        for revocation in share {
            let receipt = denylist.revoke(revocation).expect("durable");
            assert!(receipt.changed, "it had been revoked before");
        }
    })
}

/// All by one thread, as a server does.
fn by_tasks(denylist: &Denylist, asked: Vec<Vec<Revocation>>) -> Duration {
    let writer = async |share: Vec<Revocation>| {
        for revocation in share {
            let commit = denylist.submit(vec![revocation]).expect("taken in");
            let receipt = commit.receipt().await.expect("durable");
            assert!(receipt.changed, "it had been revoked before");
        }
    };
    in_turns(|| async { drop(join_all(asked.into_iter().map(writer)).await) })
}

/// The time that it takes on a runtime of one thread.
fn in_turns<F: Future<Output = ()>>(all: impl FnOnce() -> F) -> Duration {
    let runtime = Builder::new_current_thread().enable_io().build().expect("a runtime");
    runtime.block_on(async {
        let began = Instant::now();
        all().await;
        began.elapsed()
    })
}

/// The time that as many threads take as there are `shares`, once all of them are ready.
fn at_once<T: Send>(shares: Vec<T>, writer: impl Fn(T, &Barrier) + Sync) -> Duration {
    let start = Barrier::new(shares.len().saturating_add(1));
    thread::scope(|scope| {
        let (start, writer) = (&start, &writer);
        let spawn = |share| scope.spawn(move || writer(share, start));
        let threads: Vec<_> = shares.into_iter().map(spawn).collect();
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
fn set(
    redis: &Process,
    dir: &Path,
    writers: u64,
    times: u64,
    next: &AtomicU64,
    how: fn(&Process, Vec<Vec<Vec<u8>>>) -> Duration,
) -> Duration {
    let set = |n| {
        let key = format!("blacklist:{}", token(n).as_ref().name());
        peers::command(&["SETEX", &key, "1200", "1"])
    };
    let asked = shares(writers, times, next, set);
    let before = peers::log_bytes(dir);
    let took = how(redis, asked);
    let grown = peers::log_bytes(dir).saturating_sub(before);
    let count = times.saturating_mul(writers);
    assert!(
        grown >= count.saturating_mul(64),
        "{grown} bytes of log for {count} keys"
    );
    took
}

fn redis_by_threads(redis: &Process, asked: Vec<Vec<Vec<u8>>>) -> Duration {
    at_once(asked, |share, start| {
        let mut redis = Asking::to(redis);
        start.wait();
        for set in share {
            redis.set(&set);
        }
    })
}

fn redis_by_tasks(redis: &Process, asked: Vec<Vec<Vec<u8>>>) -> Duration {
    let connect = |share| (share, Asking::to(redis));
    let clients: Vec<_> = asked.into_iter().map(connect).collect();
    let client = async |(share, redis): (Vec<Vec<u8>>, Asking)| {
        let mut redis = redis.awaited();
        for set in share {
            redis.set(&set).await;
        }
    };
    in_turns(|| async { drop(join_all(clients.into_iter().map(client)).await) })
}

/// Many at once against one after the other, for long enough that the engine has to keep up.
fn bulk(denylist: &Denylist, next: &AtomicU64) {
    let (one_by_one, many) = if plan::measures() {
        (2_000, 400_000)
    } else {
        (10, 10_000)
    };
    let single = revoke(denylist, 1, one_by_one, next, by_threads);
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
