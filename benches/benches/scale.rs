//! A store of many entries: how fast it fills, what it takes, how soon it answers after a close and after a kill, and how
//! long anybody waits while it is written to.
//!
//! `OSTRACON_BENCH_SCALE` says how many entries, a million by default; the figures for ten million are in
//! `benches/README.md`. `OSTRACON_BENCH_DIR` says where, in place of a temporary directory; what is there is removed.
//! Each step is a process of its own: only a process can be killed, and only a fresh one has no cache of its own.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ostracon_benches::{
    names::{EXPIRED, NOW, UNLISTED, issuer, listed, revocation, token},
    plan, report,
    rounds::nanos,
};
use ostracon_core::{Policy, Reason, Revocation, SessionId, Target, Targets, UnixTime};
use ostracon_store::{Denylist, Options, PrefilterState};
use serde_json::{Value, json};

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Revocations handed over at once while the store is filled.
const CHUNK: u64 = 65_536;
/// Durable revocations one by one, which the bulk is compared with.
const SINGLE: u64 = 2_000;
/// Checks of each sort in a step.
const CHECKS: u64 = 4_096;
/// How long the store is written to and asked at once, with each sort of work beside.
const UNDER_LOAD: Duration = Duration::from_secs(20);
/// Entries that the work beside it writes or lets end at a time, and how long it rests in between: 8,000 a second at most.
const BESIDE: u64 = 4_096;
const REST: Duration = Duration::from_millis(500);

const ROLE: &str = "OSTRACON_BENCH_ROLE";
const READY: &str = "ready";

fn main() {
    let size = match env::var("OSTRACON_BENCH_SCALE") {
        _ if !plan::measures() && env::var_os(ROLE).is_none() => 10_000,
        Ok(size) => size.parse().expect("OSTRACON_BENCH_SCALE holds a number"),
        Err(_) => 1_000_000,
    };
    let dir = env::var_os("OSTRACON_BENCH_DIR").map(PathBuf::from);
    match (env::var(ROLE).as_deref(), dir) {
        (Ok("fill"), Some(dir)) => fill(&dir, size),
        (Ok("open"), Some(dir)) => open(&dir, size),
        (Ok("load"), Some(dir)) => load(&dir, size),
        (Ok("replay"), Some(dir)) => replay(&dir),
        (_, dir) => {
            let temporary = tempfile::tempdir().expect("a temporary directory");
            let dir = dir.unwrap_or_else(|| temporary.path().join("store"));
            run(&dir, size);
            fs::remove_dir_all(&dir).expect("removed");
        }
    }
}

/// All steps, each in a process of its own.
fn run(dir: &Path, size: u64) {
    println!("\n{size} entries");
    let step = |role, title, kill| step(role, title, dir, size, kill);
    step("fill", "filled", true);
    step("open", "after a kill, the engine never closed before", false);
    step("open", "after a close", false);
    step("load", "one writer and one reader, with each work beside", true);
    let _ = fs::remove_file(dir.join("prefilter"));
    step(
        "open",
        "after a kill in the middle of writing, and without a saved prefilter",
        false,
    );
    for (path, _) in engine_files(dir).filter(|(_, name)| name.starts_with("snap.")) {
        fs::remove_file(path).expect("removed");
    }
    step("open", "without the engine's snapshots", false);
    step("replay", "from the journal alone", false);
}

/// Runs one step and prints what it says; `kill`s it where it is done, or lets it close.
fn step(role: &str, title: &str, dir: &Path, size: u64, kill: bool) {
    println!("\n{title}");
    let mut command = Command::new(env::current_exe().expect("this program"));
    command
        .env(ROLE, role)
        .env("OSTRACON_BENCH_DIR", dir)
        .env("OSTRACON_BENCH_SCALE", size.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if role != "fill" {
        command.env(report::PART, title);
    }
    let mut child = command.spawn().expect("a process");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    for line in lines.map(|line| line.expect("its output")) {
        if line != READY {
            println!("  {line}");
        } else if kill {
            child.kill().expect("killed");
        } else {
            // Without its input it closes.
            drop(child.stdin.take());
        }
    }
    let ended = child.wait().expect("it ended");
    assert_eq!(ended.success(), !kill, "{role}: {ended}");
}

/// Keeps `figures` of this step.
fn record(name: &str, mut figures: Value) {
    let step = env::var(report::PART).unwrap_or_else(|_| "filled".into());
    if let Some(members) = figures.as_object_mut() {
        members.insert("step".into(), step.into());
    }
    report::record(name, figures);
}

/// Tells that the step is done, and waits for the kill, or for the word to close.
fn ready() {
    println!("{READY}");
    std::io::stdout().flush().expect("told");
    let _ = std::io::stdin().lines().next();
}

fn opened(dir: &Path) -> Denylist {
    Denylist::open(dir, &Options::default()).expect("a store")
}

fn is_denied(denylist: &Denylist, target: &Target) -> bool {
    let facts = denylist.check(&Targets::one(target.as_ref()), NOW);
    facts.expect("an answer").revocation.is_some()
}

/// Entries spread over all that are in force.
fn present(size: u64) -> impl Iterator<Item = Target> {
    let every = (size / CHECKS).max(1);
    (EXPIRED..size)
        .step_by(usize::try_from(every).expect("a count"))
        .map(listed)
}

fn a_second(count: u64, took: Duration) -> f64 {
    f64::from(u32::try_from(count).expect("a count")) / took.as_secs_f64()
}

/// Number `n`, which ends within one hour or the next if it is a token in force: tokens in use end at all times, and what
/// ends together the engine indexes together.
fn ending(n: u64) -> Revocation {
    if n < EXPIRED {
        return revocation(n);
    }
    let hour = 3_600;
    let at = n.wrapping_mul(2_654_435_761) % hour;
    let exp = NOW.saturating_add(Duration::from_secs(hour.saturating_add(at)));
    revocation(n).expiring(exp, &Policy::default())
}

fn fill(dir: &Path, size: u64) {
    let denylist = opened(dir);
    let began = Instant::now();
    for n in 0..SINGLE {
        assert!(denylist.revoke(ending(n)).expect("durable").changed);
    }
    let single = a_second(SINGLE, began.elapsed());
    println!("single durable revocations: {single:.0} a second");
    let began = Instant::now();
    let mut from = SINGLE;
    while from < size {
        let to = size.min(from.saturating_add(CHUNK));
        denylist.revoke_many((from..to).map(ending)).expect("durable");
        from = to;
    }
    let bulk = a_second(size.saturating_sub(SINGLE), began.elapsed());
    record("rates", json!({ "entries": size, "single": single, "bulk": bulk }));
    denylist.settle().expect("settled");
    println!(
        "in bulk: {bulk:.0} a second, {:.1} times as many; settled after {:.0} s",
        bulk / single,
        began.elapsed().as_secs_f64()
    );
    once_full(&denylist);
    let stats = denylist.stats();
    println!(
        "parts opened anew {} times, written anew {} times",
        stats.reopened, stats.renewed
    );
    sizes(&denylist, dir, size);
    ready();
    denylist.close().expect("closed");
}

/// One by one and in one call of `revoke_many`, once all is there and nothing waits.
fn once_full(denylist: &Denylist) {
    let late = |n: u64| {
        let sid = SessionId::new(format!("late-{n}")).expect("a name");
        let target = Target::Session { iss: issuer(), sid };
        Revocation::new(target, Reason::Logout, &Policy::default(), NOW)
    };
    let began = Instant::now();
    for n in 0..SINGLE {
        assert!(denylist.revoke(late(n)).expect("durable").changed);
    }
    let single = a_second(SINGLE, began.elapsed());
    denylist.settle().expect("settled");
    let began = Instant::now();
    let receipts = denylist.revoke_many((SINGLE..SINGLE.saturating_add(CHUNK)).map(late));
    let bulk = a_second(CHUNK, began.elapsed());
    assert!(receipts.expect("durable").iter().all(|receipt| receipt.changed));
    println!(
        "once all is there: single {single:.0} a second, {CHUNK} at once {bulk:.0}, {:.1} times as many",
        bulk / single
    );
    record("rates once full", json!({ "single": single, "bulk": bulk }));
}

fn sizes(denylist: &Denylist, dir: &Path, size: u64) {
    let stats = denylist.stats();
    let filters = stats.filters.expect("they are on");
    let engine = denylist.engine_bytes().expect("an answer");
    println!("memory of the process: {} MB", resident_kib() / 1024);
    record(
        "sizes",
        json!({
            "entries": size, "memory_kib": resident_kib(), "engine_bytes": engine,
            "journal_bytes": stats.journal_bytes, "prefilter_bytes": stats.prefilter_bytes,
        }),
    );
    println!(
        "disk: engine {} MB, journal {} MB, {} bytes an entry",
        engine >> 20,
        stats.journal_bytes >> 20,
        engine
            .saturating_add(stats.journal_bytes)
            .checked_div(size)
            .unwrap_or(0)
    );
    let least = a_second(size, Duration::from_secs(1)) * (1.0 / Options::default().false_positive_rate).log2() / 8.0;
    println!(
        "prefilter: {} bytes, {:.2} times the least; expected rate {:.5}",
        stats.prefilter_bytes,
        f64::from(u32::try_from(stats.prefilter_bytes).expect("a count")) / least,
        filters.expected_rate
    );
    let snapshots = engine_files(dir).filter(|(_, name)| name.starts_with("snap.")).count();
    println!("parts of the engine with a snapshot: {snapshots}");
}

/// The files of the engine's parts, and their names.
fn engine_files(dir: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = |dir: &Path| {
        fs::read_dir(dir)
            .expect("readable")
            .map(|entry| entry.expect("readable").path())
    };
    let parts = entries(&dir.join("sled")).filter(|path| path.is_dir());
    let files: Vec<_> = parts.flat_map(|part| entries(&part)).collect();
    files.into_iter().map(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        (path, name.unwrap_or_default())
    })
}

/// Has the system forget what it holds of the engine's files, as long as they are not written to.
fn chill(dir: &Path) {
    for (path, _) in engine_files(dir).filter(|(path, _)| path.is_file()) {
        let file = format!("if={}", path.display());
        let done = Command::new("dd")
            .args([&file, "iflag=nocache", "count=0", "status=none"])
            .status();
        assert!(done.expect("dd").success(), "dd");
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("its size");
    let number = line.split_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

fn open(dir: &Path, size: u64) {
    let began = Instant::now();
    let denylist = opened(dir);
    let to_open = began.elapsed();
    assert!(is_denied(&denylist, &listed(size.saturating_sub(1))));
    assert!(!is_denied(&denylist, &token(UNLISTED)));
    println!(
        "opened in {:.2} s (the engine {:.2} s), answered after {:.2} s; {} records replayed",
        to_open.as_secs_f64(),
        denylist.took().engine.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        denylist.replayed()
    );
    let opened = json!({ "entries": size, "secs": to_open.as_secs_f64(), "replayed": denylist.replayed() });
    record("opened", opened);
    if denylist.stats().prefilter == PrefilterState::Covering {
        println!("the prefilter was loaded");
    } else {
        denylist.settle().expect("settled");
        println!("the prefilter was built after {:.1} s", began.elapsed().as_secs_f64());
    }
    let (listed, unlisted): (Vec<_>, Vec<_>) = (
        present(size).collect(),
        (UNLISTED..UNLISTED.saturating_add(CHECKS)).map(token).collect(),
    );
    for (what, targets, denies) in [("listed", listed, true), ("unlisted", unlisted, false)] {
        for time in ["with nothing of the engine in memory", "and again"] {
            if time != "and again" {
                chill(dir);
            }
            let mut latencies = Latencies::default();
            for target in &targets {
                assert_eq!(latencies.time(|| is_denied(&denylist, target)), denies);
            }
            latencies.print("Nothing", &format!("{what}, {time}"));
        }
    }
    sizes(&denylist, dir, size);
    ready();
    let began = Instant::now();
    denylist.close().expect("closed");
    println!("closed in {:.2} s", began.elapsed().as_secs_f64());
}

/// Opens a store of which the journal alone is left.
fn replay(dir: &Path) {
    fs::remove_dir_all(dir.join("sled")).expect("removed");
    let began = (Instant::now(), processor());
    let denylist = opened(dir);
    let (whole, busy) = (began.0.elapsed(), processor().saturating_sub(began.1));
    let (took, records) = (denylist.took(), denylist.replayed());
    println!(
        "{records} records replayed in {:.1} s, {:.1} s of it of the processor",
        whole.as_secs_f64(),
        busy.as_secs_f64()
    );
    println!(
        "of it the journal {:.2} s, {:.0} records a second; the engine {:.1} s, {:.0} entries a second",
        took.journal.as_secs_f64(),
        a_second(records, took.journal),
        took.rows.as_secs_f64(),
        a_second(records, took.rows)
    );
    ready();
    denylist.close().expect("closed");
}

/// What this thread has had of the processor.
fn processor() -> Duration {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let first = statistics.split_whitespace().next().expect("a number");
    Duration::from_nanos(first.parse().expect("a number"))
}

/// What goes on while one thread writes and one asks.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Nothing,
    /// Entries that have ended are written and swept.
    Sweep,
    /// The filters are built anew.
    Rebuild,
    /// Parts of the engine are opened anew, more often than they are by themselves.
    Reopen,
}

impl Beside {
    fn work(self, denylist: &Denylist, over: &AtomicBool) {
        let mut from = UNLISTED << 4;
        let ended = UnixTime::from_secs(NOW.as_secs().saturating_sub(3_600));
        let mut times = 0_u64;
        while !over.load(Ordering::Relaxed) {
            let targets = (from..from.saturating_add(BESIDE)).map(token);
            let revoked = targets.map(|target| Revocation::new(target, Reason::Logout, &Policy::default(), NOW));
            match self {
                Self::Nothing => return,
                Self::Sweep => {
                    let ended: Vec<_> = revoked.map(|one| one.expiring(ended, &Policy::default())).collect();
                    denylist.revoke_many(ended).expect("durable");
                    denylist.settle().expect("settled");
                    denylist.sweep(NOW).expect("swept");
                }
                Self::Rebuild => drop(denylist.rebuild_prefilter().expect("rebuilt")),
                Self::Reopen => {
                    denylist.revoke_many(revoked).expect("durable");
                }
            }
            from = from.saturating_add(BESIDE);
            times = times.saturating_add(1);
            thread::sleep(REST);
        }
        println!("{self:?}: {times} times");
    }
}

fn load(dir: &Path, size: u64) {
    let often = Options {
        // With what `Beside::Reopen` writes, each part several times.
        reopen_after: 1_024,
        reopen_share: u64::MAX,
        ..Options::default()
    };
    let mut numbers = UNLISTED << 1..;
    for beside in [Beside::Nothing, Beside::Sweep, Beside::Rebuild, Beside::Reopen] {
        let options = if matches!(beside, Beside::Reopen) {
            &often
        } else {
            &Options::default()
        };
        let denylist = Denylist::open(dir, options).expect("a store");
        denylist.settle().expect("settled");
        println!("{beside:?}");
        let over = AtomicBool::new(false);
        let policy = Policy::default();
        let (writes, listed, unlisted) = thread::scope(|scope| {
            scope.spawn(|| beside.work(&denylist, &over));
            let reader = scope.spawn(|| {
                let (mut on, mut off) = (Latencies::default(), Latencies::default());
                let entries: Vec<_> = present(size).collect();
                let mut turn = entries.iter().cycle().zip(UNLISTED.saturating_add(CHECKS)..);
                while !over.load(Ordering::Relaxed) {
                    let (entry, n) = turn.next().expect("without end");
                    let other = token(n);
                    assert!(on.time(|| is_denied(&denylist, entry)));
                    off.time(|| is_denied(&denylist, &other));
                }
                (on, off)
            });
            let mut writes = Latencies::default();
            let began = Instant::now();
            while began.elapsed() < UNDER_LOAD {
                let asked = Revocation::new(
                    token(numbers.next().expect("without end")),
                    Reason::Logout,
                    &policy,
                    NOW,
                );
                assert!(writes.time(|| denylist.revoke(asked)).expect("durable").changed);
            }
            over.store(true, Ordering::Relaxed);
            let (on, off) = reader.join().expect("it read");
            (writes, on, off)
        });
        let beside = format!("{beside:?}");
        writes.print(&beside, "  durable revocation");
        listed.print(&beside, "  check, listed");
        unlisted.print(&beside, "  check, unlisted");
        println!("  parts opened anew: {}", denylist.stats().reopened);
        if beside == "Reopen" {
            ready();
        }
    }
}

/// How long each call of some sort took, in nanoseconds.
#[derive(Default)]
struct Latencies(Vec<u64>);

impl Latencies {
    fn time<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let answer = call();
        let took = u64::try_from(began.elapsed().as_nanos()).expect("a while");
        self.0.push(took);
        answer
    }

    /// What is going on `beside`, and `what` it was that took as long.
    fn print(mut self, beside: &str, what: &str) {
        self.0.sort_unstable();
        let last = self.0.len().saturating_sub(1);
        let of_thousand = |thousandths: usize| {
            let place = last.saturating_mul(thousandths) / 1000;
            let took = self.0.get(place).copied().unwrap_or_default();
            Duration::from_nanos(took).as_secs_f64() * 1e9
        };
        let parts = [500, 750, 900, 950, 990, 995, 998, 999, 1000].map(|part| (part, of_thousand(part)));
        record(
            "latencies",
            json!({ "beside": beside, "what": what.trim(), "ns_of_thousand": parts }),
        );
        let at = |thousandths| nanos(of_thousand(thousandths));
        println!(
            "{what}: half within {}, 99 % within {}, 99.9 % within {}, longest {} ({} of them)",
            at(500),
            at(990),
            at(999),
            at(1000),
            self.0.len()
        );
    }
}
