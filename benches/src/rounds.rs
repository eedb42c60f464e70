//! Cases measured in turns, so that what disturbs one disturbs the others, and told as ratios.

use core::time::Duration;

use crate::{case::Case, report};

/// How often each case has its turn.
const ROUNDS: usize = 161;

/// How long a turn is to take: less than what the scheduler gives at once, so that most turns are undisturbed.
const SLICE: Duration = Duration::from_millis(1);

/// The same for cases that begin threads: long enough that it does not matter how long those take to begin and to end.
const LONG_ROUNDS: usize = 21;
const LONG_SLICE: Duration = Duration::from_millis(100);

/// Nanoseconds a call, of each case in each round.
#[derive(Debug)]
pub struct Rounds(Vec<(&'static str, Vec<f64>)>);

/// A figure of which half of the rounds had no more, with the quarters below and above.
#[derive(Clone, Copy, Debug)]
pub struct Quartiles {
    /// A quarter of the rounds had no more.
    pub low: f64,
    /// Half of them.
    pub median: f64,
    /// Three quarters of them.
    pub high: f64,
}

impl Rounds {
    /// Gives each of `cases` its turn, round after round. Takes about a fifth of a second a case.
    #[must_use]
    pub fn of(cases: &[Case<'_>]) -> Self {
        Self::in_turns(cases, ROUNDS, SLICE)
    }

    /// The same in turns of a tenth of a second, for cases that begin threads. Takes two seconds and more a case.
    #[must_use]
    pub fn of_threads(cases: &[Case<'_>]) -> Self {
        Self::in_turns(cases, LONG_ROUNDS, LONG_SLICE)
    }

    fn in_turns(cases: &[Case<'_>], rounds: usize, slice: Duration) -> Self {
        let counts: Vec<_> = cases.iter().map(|case| calls_in(slice, case)).collect();
        let mut figures: Vec<_> = cases.iter().map(|case| (case.name(), Vec::new())).collect();
        for _ in 0..rounds {
            for ((case, calls), (_, nanos)) in cases.iter().zip(&counts).zip(&mut figures) {
                nanos.push(nanos_a_call(case.run(u64::from(*calls)), *calls));
            }
        }
        Self(figures)
    }

    fn nanos(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|(case, _)| *case == name);
        &found.unwrap_or_else(|| panic!("no case {name}")).1
    }

    /// Nanoseconds a call of the case `name`.
    #[must_use]
    pub fn of_case(&self, name: &str) -> Quartiles {
        Quartiles::of(self.nanos(name).to_vec())
    }

    /// How many times as long the case `slow` took as the case `fast`, compared round by round.
    #[must_use]
    pub fn ratio(&self, slow: &str, fast: &str) -> Quartiles {
        let pairs = self.nanos(slow).iter().zip(self.nanos(fast));
        Quartiles::of(pairs.map(|(slow, fast)| slow / fast).collect())
    }

    /// Prints a row for each case: its name, and the nanoseconds of a call.
    pub fn print_figures(&self, heading: &str) {
        println!("\n| {heading} | median | half of the rounds lie in |\n|---|---:|---:|");
        for (name, _) in &self.0 {
            let Quartiles { low, median, high } = self.of_case(name);
            println!("| {name} | {} | {} to {} |", nanos(median), nanos(low), nanos(high));
        }
        let figures = self.0.iter().map(|(name, _)| (*name, self.of_case(name)));
        report::record_table(heading, "ns", figures);
    }
}

impl Quartiles {
    /// Of these figures.
    #[must_use]
    pub fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            let last = figures.len().saturating_sub(1);
            let place = last.saturating_mul(quarter) / 4;
            figures.get(place).copied().unwrap_or(f64::NAN)
        };
        Self {
            low: at(1),
            median: at(2),
            high: at(3),
        }
    }
}

fn nanos_a_call(took: Duration, calls: u32) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(calls)
}

fn calls_in(slice: Duration, case: &Case<'_>) -> u32 {
    let mut calls = 1_u32;
    loop {
        let took = case.run(u64::from(calls));
        if took >= slice || calls > u32::MAX / 2 {
            return calls;
        }
        calls = calls.saturating_mul(2);
    }
}

/// `nanos` in the unit that reads best.
#[must_use]
pub fn nanos(nanos: f64) -> String {
    match nanos {
        ..1e3 => format!("{nanos:.0} ns"),
        1e3..1e6 => format!("{:.2} µs", nanos / 1e3),
        _ => format!("{:.2} ms", nanos / 1e6),
    }
}

/// Prints a table of ratios: what, how many times, and the middle half of the rounds.
pub fn print_ratios(heading: &str, rows: &[(String, Quartiles)]) {
    println!("\n| {heading} | ratio | half of the rounds lie in |\n|---|---:|---:|");
    for (what, Quartiles { low, median, high }) in rows {
        println!("| {what} | {median:.2} | {low:.2} to {high:.2} |");
    }
    println!();
    report::record_table(
        heading,
        "ratio",
        rows.iter().map(|(what, ratio)| (what.as_str(), *ratio)),
    );
}
