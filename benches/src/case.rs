//! Cases: what is measured, and the proof that it is.

use core::{cell::Cell, fmt, time::Duration};
use std::time::Instant;

use criterion::{Criterion, Throughput};
use ostracon_core::{Targets, UnixTime};
pub use ostracon_figures::rounds::Case as Timed;
use ostracon_store::Denylist;

/// Something to be timed, under a name.
///
/// The timed part and the assertions about it are one: every batch, criterion's own warm-up included, shows that it took
/// the branch it is named for.
pub struct Case<'a> {
    name: &'static str,
    run: Box<dyn Fn(u64) -> Duration + 'a>,
}

impl fmt::Debug for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The branch that a check takes, each time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Branch {
    /// Whether [`Denylist::is_clear`] says so beforehand.
    pub clear: bool,
    /// Whether an entry denies it.
    pub denied: bool,
    /// Look-ups past the prefilter.
    pub lookups: u64,
    /// Of these, those that found no entry.
    pub misses: u64,
}

impl<'a> Case<'a> {
    /// Times `run`, which does so many calls, and panics if they were not what its name says.
    pub fn new(name: &'static str, run: impl Fn(u64) -> Duration + 'a) -> Self {
        Self {
            name,
            run: Box::new(run),
        }
    }

    /// Times `call` on each of `inputs` in turn, round and round; all of them answer true.
    pub fn over<T>(name: &'static str, inputs: &'a [T], call: impl Fn(&'a T) -> bool + 'a) -> Self {
        let turn = Turn::new(inputs);
        Self::new(name, move |calls| {
            let (took, yes) = turn.time(calls, &call);
            assert_eq!(yes, calls, "{name}");
            took
        })
    }

    /// Times [`Denylist::check`] of the `targets` of each of `inputs`, which takes `branch`.
    ///
    /// # Panics
    ///
    /// When one of the inputs, now or in any batch, takes another.
    pub fn check<T>(
        name: &'static str,
        denylist: &'a Denylist,
        inputs: &'a [T],
        targets: impl Fn(&'a T) -> Targets<'a> + 'a,
        now: UnixTime,
        branch: Branch,
    ) -> Self {
        let check = move |input| {
            let facts = denylist.check(&targets(input), now).expect("an answer");
            facts.revocation.is_some()
        };
        let turn = Turn::new(inputs);
        Self::new(name, move |calls| {
            let before = denylist.stats();
            let (took, denied) = turn.time(calls, &check);
            let after = denylist.stats();
            let took_branch = (
                denied,
                after.lookups.saturating_sub(before.lookups),
                after.misses.saturating_sub(before.misses),
            );
            let expected = (
                if branch.denied { calls } else { 0 },
                branch.lookups.saturating_mul(calls),
                branch.misses.saturating_mul(calls),
            );
            assert_eq!(
                took_branch, expected,
                "{name}: denied, look-ups and misses of {calls} calls"
            );
            took
        })
    }

    /// The same, with the proof that each call adds `each` to what `counter` tells.
    ///
    /// # Panics
    ///
    /// When a batch does not.
    #[must_use]
    pub fn counting(self, what: &'static str, counter: impl Fn() -> u64 + 'a, each: u64) -> Self {
        let Self { name, run } = self;
        Self::new(name, move |calls| {
            let before = counter();
            let took = run(calls);
            let more = counter().saturating_sub(before);
            assert_eq!(more, each.saturating_mul(calls), "{name}: {what} of {calls} calls");
            took
        })
    }
}

impl Timed for Case<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, calls: u64) -> Duration {
        (self.run)(calls)
    }
}

/// Asserts that `is_clear` says of each of `inputs` what `branch` has.
pub fn assert_clear<'a, T>(
    name: &str,
    denylist: &Denylist,
    inputs: &'a [T],
    targets: impl Fn(&'a T) -> Targets<'a>,
    branch: Branch,
) {
    assert!(
        inputs
            .iter()
            .all(|input| denylist.is_clear(&targets(input)) == branch.clear),
        "{name}: clear is not {}",
        branch.clear
    );
}

/// Inputs taken in turn, from where the last batch stopped: small batches must not ask for the same few again.
struct Turn<'a, T> {
    inputs: &'a [T],
    next: Cell<usize>,
}

impl<'a, T> Turn<'a, T> {
    fn new(inputs: &'a [T]) -> Self {
        assert!(!inputs.is_empty(), "a case needs inputs");
        Self {
            inputs,
            next: Cell::new(0),
        }
    }

    /// How long `call` took for so many of them, and how often it answered true.
    fn time(&self, calls: u64, call: &impl Fn(&'a T) -> bool) -> (Duration, u64) {
        let many = usize::try_from(calls).expect("a count");
        let (done, ahead) = self.inputs.split_at(self.next.get());
        let in_turn = ahead.iter().chain(done).cycle().take(many);
        let start = Instant::now();
        let yes = in_turn.filter(|input| call(input)).count();
        let took = start.elapsed();
        let next = self.next.get().saturating_add(many);
        self.next.set(next.checked_rem(self.inputs.len()).unwrap_or(0));
        (took, u64::try_from(yes).expect("a count"))
    }
}

/// Lets criterion measure each of `cases` in the group `group`.
pub fn report(criterion: &mut Criterion, group: &str, cases: &[Case<'_>]) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(1));
    for case in cases {
        group.bench_function(case.name(), |bencher| bencher.iter_custom(|calls| case.run(calls)));
    }
    group.finish();
}
