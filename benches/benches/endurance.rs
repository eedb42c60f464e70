//! What a store comes to in the long run: bytes through cycles of fill and expiry, and the speed of a replay.
//!
//! `-- cycles`, `-- churn` and `-- replay` are its parts. Prints tables; nothing passes or fails by a time. Asserts that what is measured happened, and that nothing was lost.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ostracon_benches::{
    listing::copy_dir,
    names::{NOW, token},
    plan,
};
use ostracon_core::{Policy, Reason, Revocation, Targets, UnixTime};
use ostracon_store::{Denylist, Options};

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Entries that are live at once.
const LIVE: u64 = 100_000;
/// Revocations handed over at once.
const CHUNK: u64 = 2_000;

/// How far this run goes.
struct Scale {
    live: u64,
    cycles: u64,
    replayed: [u64; 2],
    rebuilt: u64,
}

type Part = fn(&Scale);

fn main() {
    let scale = if plan::measures() {
        Scale {
            live: LIVE,
            cycles: 8,
            replayed: [20_000, 60_000],
            rebuilt: 1_000_000,
        }
    } else {
        Scale {
            live: 2_000,
            cycles: 4,
            replayed: [1_000, 2_000],
            rebuilt: 4_000,
        }
    };
    let parts: [(&str, Part); 3] = [("cycles", cycles), ("churn", churn), ("replay", replay)];
    let named: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    for (name, part) in parts {
        if named.is_empty() || named.iter().any(|arg| arg == name) {
            part(&scale);
        }
    }
}

fn options() -> Options {
    Options {
        // As many segments to a cycle as a large store has.
        segment_bytes: 4 << 20,
        ..Options::default()
    }
}

fn open(dir: &Path) -> Denylist {
    Denylist::open(dir, &options()).expect("a store")
}

/// The token number `n`, revoked at `now`, of a token that ends then.
fn ending(n: u64, now: UnixTime) -> Revocation {
    let policy = Policy::default();
    Revocation::new(token(n), Reason::Logout, &policy, now).expiring(now, &policy)
}

/// When [`ending`] of `now` may be dropped.
fn over(now: UnixTime) -> UnixTime {
    Policy::default().forgettable(now)
}

fn later(secs: u64) -> UnixTime {
    NOW.saturating_add(Duration::from_secs(secs))
}

/// Revokes numbers `from` to `to`, ending at `now`.
fn fill(denylist: &Denylist, from: u64, to: u64, now: UnixTime) {
    let mut next = from;
    while next < to {
        let end = to.min(next.saturating_add(CHUNK));
        let receipts = denylist
            .revoke_many((next..end).map(|n| ending(n, now)))
            .expect("durable");
        assert!(receipts.iter().all(|receipt| receipt.changed));
        next = end;
    }
}

/// Prints what the store in `dir` takes for `live` entries; answers with the bytes of all of it.
fn print_size(denylist: &Denylist, dir: &Path, what: &str, live: u64) -> u64 {
    denylist.settle().expect("settled");
    let stats = denylist.stats();
    let (engine, journal) = (bytes(&dir.join("sled")), bytes(&dir.join("journal")));
    let all = engine.saturating_add(journal);
    let per_entry = all.checked_div(live).map_or("-".to_owned(), |bytes| bytes.to_string());
    println!(
        "| {what} | {live} | {:.1} | {:.1} | {} | {per_entry} |",
        mebibytes(engine),
        mebibytes(journal),
        stats.journal_segments
    );
    all
}

fn heading(what: &str) {
    println!(
        "\n{what}\n\n| | live | engine, MiB | journal, MiB | segments | bytes a live entry |\n|---|---:|---:|---:|---:|---:|"
    );
}

/// Fill, let all of it end, sweep; again and again, in one store.
fn cycles(scale: &Scale) {
    heading("cycles of fill and expiry");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let denylist = open(dir.path());
    for cycle in 0..scale.cycles {
        let from = cycle.saturating_mul(scale.live);
        // Far enough apart for each cycle to end before the next begins.
        let now = later(cycle.saturating_mul(100_000));
        fill(&denylist, from, from.saturating_add(scale.live), now);
        print_size(&denylist, dir.path(), &format!("cycle {cycle}, full"), scale.live);
        let swept = denylist.sweep(over(now)).expect("swept");
        assert_eq!(u64::try_from(swept.entries).expect("a count"), scale.live);
        print_size(&denylist, dir.path(), &format!("cycle {cycle}, swept"), 0);
    }
}

/// As many come in as end, all the time.
fn churn(scale: &Scale) {
    heading("steady churn");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let denylist = open(dir.path());
    let tick = scale.live.checked_div(20).expect("a divisor");
    let mut peaks = Vec::new();
    for n in 0..scale.cycles.saturating_mul(20) {
        let from = n.saturating_mul(tick);
        let (now, window) = (later(n.saturating_mul(1000)), 20);
        fill(&denylist, from, from.saturating_add(tick), now);
        if let Some(old) = n.checked_sub(window) {
            let swept = denylist.sweep(over(later(old.saturating_mul(1000)))).expect("swept");
            assert_eq!(u64::try_from(swept.entries).expect("a count"), tick);
        }
        if n % 20 == 19 {
            let passed = n.saturating_add(1).saturating_mul(tick);
            peaks.push(print_size(
                &denylist,
                dir.path(),
                &format!("{passed} passed through"),
                scale.live,
            ));
        }
    }
    let (early, late) = peaks.split_at(peaks.len().div_euclid(2));
    let most = |sizes: &[u64]| sizes.iter().copied().max().unwrap_or(0);
    println!(
        "the most in the second half / in the first half: {:.2}",
        mebibytes(most(late)) / mebibytes(most(early))
    );
}

/// Openings with records behind the checkpoint, and one without an engine.
fn replay(scale: &Scale) {
    println!(
        "\nopening\n\n| records to replay | seconds | of the processor | thousand records a second of the processor, the opening of the engine left out |\n|---|---:|---:|---:|"
    );
    for records in scale.replayed {
        let (dir, before) = (
            tempfile::tempdir().expect("a temporary directory"),
            tempfile::tempdir().expect("a temporary directory"),
        );
        let sled = dir.path().join("sled");
        let denylist = open(dir.path());
        fill(&denylist, 0, scale.live, NOW);
        denylist.close().expect("closed");
        drop(denylist);
        copy_dir(&sled, before.path());
        let none = timed(dir.path(), 0);
        let denylist = open(dir.path());
        let end = scale.live.saturating_add(records);
        fill(&denylist, scale.live, end, NOW);
        denylist.close().expect("closed");
        drop(denylist);
        // The engine as it was before: what a kill leaves, only with more to replay.
        fs::remove_dir_all(&sled).expect("removed");
        copy_dir(before.path(), &sled);
        print_replay(records, timed(dir.path(), records), none);
        assert!(
            open(dir.path())
                .check(&Targets::one(token(end.saturating_sub(1)).as_ref()), NOW)
                .expect("read")
                .revocation
                .is_some()
        );
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let denylist = open(dir.path());
    fill(&denylist, 0, scale.rebuilt, NOW);
    denylist.close().expect("closed");
    let per_record = mebibytes(denylist.stats().journal_bytes) / mebibytes(scale.rebuilt);
    drop(denylist);
    fs::remove_dir_all(dir.path().join("sled")).expect("removed");
    print_replay(scale.rebuilt, timed(dir.path(), scale.rebuilt), Took::default());
    println!("the last is a whole engine, made anew from the journal alone, at {per_record:.1} bytes a record");
}

/// How long something takes: by the clock, and of the processor, which does not count what else the machine has to do.
#[derive(Clone, Copy, Default)]
struct Took {
    clock: Duration,
    processor: Duration,
}

/// How long an opening takes that replays `records`.
fn timed(dir: &Path, records: u64) -> Took {
    let (began, before) = (Instant::now(), processor());
    let denylist = open(dir);
    let took = Took {
        clock: began.elapsed(),
        processor: processor().saturating_sub(before),
    };
    // Each segment says anew what is forgotten.
    let segments = u64::try_from(denylist.stats().journal_segments).expect("a count");
    assert!((records..=records.saturating_add(segments)).contains(&denylist.replayed()));
    took
}

/// What this thread, which is the one that replays, has had of the processor.
fn processor() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux with schedstat");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("a number"))
}

fn print_replay(records: u64, took: Took, engine: Took) {
    let replaying = took.processor.saturating_sub(engine.processor);
    let rate = mebibytes(records) * 1_048.576 / replaying.as_secs_f64();
    let Took { clock, processor } = took;
    println!(
        "| {records} | {:.2} | {:.2} | {rate:.0} |",
        clock.as_secs_f64(),
        processor.as_secs_f64()
    );
}

fn bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry"));
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            // Deleted meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// A number of bytes in MiB; exact below 2^32 of them.
fn mebibytes(bytes: u64) -> f64 {
    let whole = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
    let rest = u32::try_from(bytes & 1023).unwrap_or(0);
    (f64::from(whole) + f64::from(rest) / 1024.0) / 1024.0
}
