//! Cases measured in turns.

use core::time::Duration;

/// How often each case has its turn.
const ROUNDS: usize = 161;

/// How long a turn is to take: less than what the scheduler gives at once, so that most turns are undisturbed.
const SLICE: Duration = Duration::from_millis(1);

/// The same for cases that begin threads: long enough that it does not matter how long those take to begin and to end.
const LONG_ROUNDS: usize = 21;
const LONG_SLICE: Duration = Duration::from_millis(100);

/// Something to be timed, under a name.
pub trait Case {
    /// Its name.
    fn name(&self) -> &str;

    /// The time of so many calls.
    fn run(&self, calls: u64) -> Duration;
}

/// Nanoseconds a call, of each case in each round.
#[derive(Debug)]
pub struct Rounds(Vec<(String, Vec<f64>)>);

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
    pub fn of(cases: &[impl Case]) -> Self {
        Self::in_turns(cases, ROUNDS, SLICE)
    }

    /// The same in turns of a tenth of a second, for cases that begin threads. Takes two seconds and more a case.
    #[must_use]
    pub fn of_threads(cases: &[impl Case]) -> Self {
        Self::in_turns(cases, LONG_ROUNDS, LONG_SLICE)
    }

    fn in_turns(cases: &[impl Case], rounds: usize, slice: Duration) -> Self {
        let counts: Vec<_> = cases.iter().map(|case| calls_in(slice, case)).collect();
        let mut figures: Vec<_> = cases.iter().map(|case| (case.name().to_owned(), Vec::new())).collect();
        for _ in 0..rounds {
            for ((case, calls), (_, nanos)) in cases.iter().zip(&counts).zip(&mut figures) {
                nanos.push(nanos_a_call(case.run(u64::from(*calls)), *calls));
            }
        }
        Self(figures)
    }

    fn nanos(&self, name: &str) -> &[f64] {
        self.0
            .iter()
            .find(|(case, _)| case == name)
            .map_or(&[], |(_, nanos)| nanos)
    }

    /// The names of the cases, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Nanoseconds a call of the case `name`; no number where there is none.
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

fn calls_in(slice: Duration, case: &impl Case) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many nanoseconds a call.
    struct Steady(&'static str, u64);

    impl Case for Steady {
        fn name(&self) -> &str {
            self.0
        }

        fn run(&self, calls: u64) -> Duration {
            Duration::from_nanos(calls.saturating_mul(self.1))
        }
    }

    #[test]
    fn cases_are_compared_call_by_call() {
        let rounds = Rounds::of(&[Steady("slow", 3_000), Steady("fast", 1_000)]);
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
        near(rounds.of_case("slow").median, 3_000.0);
        near(rounds.ratio("slow", "fast").high, 3.0);
        assert!(rounds.of_case("another").median.is_nan());
        let Quartiles { low, median, high } = Quartiles::of((1..=5).rev().map(f64::from).collect());
        near(low, 2.0);
        near(median, 3.0);
        near(high, 4.0);
        let told = [12.0, 1_500.0, 2_000_000.0].map(nanos);
        assert_eq!(told, ["12 ns", "1.50 µs", "2.00 ms"]);
    }
}
