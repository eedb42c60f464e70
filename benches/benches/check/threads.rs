//! The same check by one thread and by two.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use ostracon_benches::{
    case::{Branch, Case, Timed},
    listing::Listing,
    names::NOW,
    plan,
    rounds::{Rounds, print_figures},
};
use ostracon_core::Target;
use ostracon_store::Denylist;

use crate::{
    Ratios,
    asked::{Asked, CLEAR, DENIED, MISSED, one},
};

/// What is asked, by one thread and by two.
const NAMES: [[&str; 2]; 3] = [
    ["absent, on, 1 thread", "absent, on, 2 threads"],
    ["absent, off, 1 thread", "absent, off, 2 threads"],
    ["present, on, 1 thread", "present, on, 2 threads"],
];

pub(crate) fn measure(size: u64, on: &Listing, off: &Listing, asked: &Asked, ratios: &mut Ratios) {
    let [on, off] = [on, off].map(Listing::denylist);
    let asking = [
        (on, &asked.absent, CLEAR),
        (off, &asked.absent, MISSED),
        (on, &asked.present, DENIED),
    ];
    let cases: Vec<_> = NAMES
        .into_iter()
        .zip(asking)
        .flat_map(|(names, (denylist, inputs, branch))| {
            let case = |name, threads| Case::new(name, move |calls| ask(denylist, inputs, branch, threads, calls));
            [case(names[0], 1), case(names[1], 2)]
        })
        .collect();
    if !plan::measures() {
        // Tried, but not timed.
        for case in &cases {
            case.run(64);
        }
        return;
    }
    let rounds = Rounds::of_threads(&cases);
    print_figures(&rounds, &format!("{size} entries, for each of the threads"));
    for [one, two] in NAMES {
        ratios.push((format!("{size}: {two} / {one}"), rounds.ratio(two, one)));
    }
}

/// The time in which each of so many threads, at once, does so many checks that take `branch`.
fn ask(denylist: &Denylist, inputs: &[Target], branch: Branch, threads: usize, calls: u64) -> Duration {
    let start = Barrier::new(threads.saturating_add(1));
    let many = usize::try_from(calls).expect("a count");
    let before = denylist.stats();
    let took = thread::scope(|scope| {
        let start = &start;
        let apart = inputs.len().checked_div(threads).expect("some threads");
        let asking: Vec<_> = (0..threads)
            .map(|n| {
                let first = n.saturating_mul(apart);
                scope.spawn(move || {
                    let inputs = inputs.iter().cycle().skip(first).take(many);
                    start.wait();
                    let denies = |target: &&Target| {
                        let facts = denylist.check(&one(target), NOW).expect("an answer");
                        facts.revocation.is_some()
                    };
                    inputs.filter(denies).count()
                })
            })
            .collect();
        start.wait();
        let began = Instant::now();
        let denied: usize = asking.into_iter().map(|thread| thread.join().expect("it asked")).sum();
        let took = began.elapsed();
        let asked = if branch.denied { many.saturating_mul(threads) } else { 0 };
        assert_eq!(denied, asked, "those that were denied");
        took
    });
    let after = denylist.stats();
    let all = calls.saturating_mul(u64::try_from(threads).expect("a count"));
    assert_eq!(
        (
            after.lookups.saturating_sub(before.lookups),
            after.misses.saturating_sub(before.misses)
        ),
        (branch.lookups.saturating_mul(all), branch.misses.saturating_mul(all)),
        "look-ups and misses of {all} calls"
    );
    took
}
