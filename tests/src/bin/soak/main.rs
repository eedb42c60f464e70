//! The program under load for long: does it stay as it was?

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a trial, whose failure is its end and whose figures are for people"
)]

mod callers;
mod life;

use std::{
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use ostracon_tests::{Home, Server};

use crate::life::{LIVING, Pool, Work};

/// What is measured at once.
const WINDOW: Duration = Duration::from_secs(30);

/// How much more than in the first half is still the same.
const MEMORY: f64 = 1.15;
const DESCRIPTORS: f64 = 1.1;
const P99: f64 = 2.0;

/// So short that within some minutes as much ends as begins; then nothing has a reason to grow.
const LIFETIMES: [(&str, &str); 5] = [
    ("OSTRACON_TOKENS__ACCESS_TTL", "60s"),
    ("OSTRACON_TOKENS__REFRESH_TTL", "2m"),
    ("OSTRACON_TOKENS__SESSION_TTL", "3m"),
    ("OSTRACON_TOKENS__REFRESH_GRACE", "2s"),
    ("OSTRACON_DENYLIST__SWEEP_EVERY", "10s"),
];

fn main() -> ExitCode {
    let mode = std::env::args().nth(1).unwrap_or_else(|| "30".into());
    let stayed = match mode.as_str() {
        "idle" | "slow" | "half-open" | "flood" | "untaken" => callers::run(&mode),
        minutes => soak(
            minutes
                .parse()
                .expect("minutes, or idle, slow, half-open, flood or untaken"),
        ),
    };
    if stayed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What many threads tell.
#[derive(Default)]
pub(crate) struct Told {
    over: AtomicBool,
    /// How long each verification of this window took, in microseconds.
    latencies: Mutex<Vec<u32>>,
    changes: AtomicU64,
    errors: Mutex<Vec<String>>,
}

impl Told {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, SeqCst);
    }

    pub(crate) fn wrong(&self, what: String) {
        self.errors.lock().unwrap().push(what);
    }

    /// The times since it was last asked, in order.
    pub(crate) fn window(&self) -> Vec<u32> {
        let mut all = std::mem::take(&mut *self.latencies.lock().unwrap());
        all.sort_unstable();
        all
    }
}

/// What stands at `share` of `sorted`.
pub(crate) fn quantile(sorted: &[u32], share: f64) -> u32 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// A line of the table.
#[derive(Clone, Copy)]
struct Sample {
    kib: u64,
    descriptors: usize,
    threads: usize,
    p99: u32,
}

fn soak(minutes: u64) -> bool {
    let home = Home::administered();
    let server = home.start_with(&LIFETIMES);
    let (told, pool) = (Arc::new(Told::default()), Arc::new(Pool::fill(&server, 1000)));
    let windows = (Duration::from_secs(minutes * 60).as_secs() / WINDOW.as_secs()).max(2);
    let work = |work: Work| {
        let (told, pool, public, admin) = (
            Arc::clone(&told),
            Arc::clone(&pool),
            server.public.clone(),
            server.admin.clone(),
        );
        thread::spawn(move || work.run(&pool, &told, &public, &admin))
    };
    let others = [Work::Verify, Work::Verify, Work::Maintain];
    let workers: Vec<_> = (0..LIVING).map(Work::Live).chain(others).map(work).collect();
    println!("   time   verify/s  changes/s   p50 us   p99 us    RSS KiB  descriptors  threads  errors");
    let begun = Instant::now();
    let mut samples = Vec::new();
    for n in 1..=windows {
        let until = begun + WINDOW * u32::try_from(n).unwrap();
        thread::sleep(until.saturating_duration_since(Instant::now()));
        let (window, seconds) = (told.window(), WINDOW.as_secs());
        let sample = look(&server, &window);
        let (verified, changes) = (window.len() as u64 / seconds, told.changes.swap(0, SeqCst) / seconds);
        let (p50, errors) = (quantile(&window, 0.5), told.errors.lock().unwrap().len());
        let Sample {
            kib,
            descriptors,
            threads,
            p99,
        } = sample;
        println!(
            "{:>6}s {verified:>10} {changes:>10} {p50:>8} {p99:>8} {kib:>10} {descriptors:>12} {threads:>8} {errors:>7}",
            begun.elapsed().as_secs()
        );
        samples.push(sample);
    }
    told.end();
    for worker in workers {
        worker.join().unwrap();
    }
    verdict(&samples, &told)
}

fn look(server: &Server, window: &[u32]) -> Sample {
    Sample {
        kib: server.resident_kib(),
        descriptors: server.count("fd"),
        threads: server.count("task"),
        p99: quantile(window, 0.99),
    }
}

/// The second half beside the first.
fn verdict(samples: &[Sample], told: &Told) -> bool {
    let (first, second) = samples.split_at(samples.len() / 2);
    let most = |half: &[Sample], of: fn(&Sample) -> f64| half.iter().map(of).fold(0.0, f64::max);
    let median = |half: &[Sample], of: fn(&Sample) -> f64| {
        let mut all: Vec<_> = half.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let mut stayed = true;
    let mut say = |what: &str, before: f64, after: f64, limit: f64| {
        let is_same = after <= before * limit;
        stayed &= is_same;
        let word = if is_same { "stayed" } else { "GREW" };
        println!("{what:<22} {before:>10.0} {after:>10.0}  {word} (at most {limit} times)");
    };
    println!("\n                       first half     second");
    say(
        "memory, most, KiB",
        most(first, |s| s.kib as f64),
        most(second, |s| s.kib as f64),
        MEMORY,
    );
    say(
        "descriptors, most",
        most(first, |s| s.descriptors as f64),
        most(second, |s| s.descriptors as f64),
        DESCRIPTORS,
    );
    say(
        "threads, most",
        most(first, |s| s.threads as f64),
        most(second, |s| s.threads as f64),
        DESCRIPTORS,
    );
    say(
        "p99, median, us",
        median(first, |s| f64::from(s.p99)),
        median(second, |s| f64::from(s.p99)),
        P99,
    );
    let errors = told.errors.lock().unwrap();
    println!("errors                 {:>10}", errors.len());
    errors.iter().take(10).for_each(|error| println!("  {error}"));
    let stayed = stayed && errors.is_empty();
    println!(
        "{}",
        if stayed {
            "It stayed as it was."
        } else {
            "It did not stay as it was."
        }
    );
    stayed
}
