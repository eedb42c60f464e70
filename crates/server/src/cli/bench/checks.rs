//! Checks of one token, in turns, each with the proof of what it was.

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{anyhow, ensure};
use ostracon_core::Target;
use ostracon_figures::rounds::{Case, Quartiles, Rounds};
use ostracon_store::Denylist;

use super::store::{NOW, Pair, UNLISTED, one, token};

/// Tokens that are asked for in turn, so many that they touch all of a large filter.
const ASKED: usize = 4_096;
/// How many are tried to find those that are wrongly let through: the larger the filter is for what it holds, the rarer they are.
const TRIED: u64 = 3_000_000;

/// What is asked for, and what becomes of it.
#[derive(Clone, Copy, Debug)]
struct Way {
    denied: bool,
    /// Look-ups of each that go past the prefilter, and those that find nothing.
    lookups: u64,
    misses: u64,
}

/// What was measured of one sort of token.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) on: Quartiles,
    pub(super) off: Quartiles,
    /// How many times as long it took without the prefilter.
    pub(super) ratio: Quartiles,
}

/// All of it, and the share of unlisted tokens that were let through.
#[derive(Debug)]
pub(super) struct Checks {
    pub(super) all: Vec<Check>,
    pub(super) let_through: u64,
    pub(super) tried: u64,
}

pub(super) fn measure(pair: &Pair) -> anyhow::Result<Checks> {
    let (mut absent, mut wrong, mut let_through) = (Vec::new(), Vec::new(), 0_u64);
    for target in (UNLISTED..UNLISTED.saturating_add(TRIED)).map(token) {
        if !pair.on.is_clear(&one(&target)) {
            let_through = let_through.saturating_add(1);
            if wrong.len() < ASKED {
                wrong.push(target);
            }
        } else if absent.len() < ASKED {
            absent.push(target);
        }
    }
    let step = (pair.entries / 4_096).max(1);
    let step = usize::try_from(step)?;
    let listed: Vec<_> = (0..pair.entries).step_by(step).map(token).collect();
    let way = |denied, lookups, misses| Way {
        denied,
        lookups,
        misses,
    };
    let mut all = vec![
        ("not listed", &absent, way(false, 0, 0), way(false, 1, 1)),
        ("listed", &listed, way(true, 1, 0), way(true, 1, 0)),
    ];
    if !wrong.is_empty() {
        all.push((
            "not listed, and let through",
            &wrong,
            way(false, 1, 1),
            way(false, 1, 1),
        ));
    }
    let checks = all.into_iter().map(|(name, targets, on, off)| {
        let turns = [
            Turn::new("on", &pair.on, targets, on),
            Turn::new("off", &pair.off, targets, off),
        ];
        // What a turn finds is in memory, or not there: what a disk takes would be told of the first to ask.
        for turn in &turns {
            let all = u64::try_from(targets.len())?;
            turn.run(all.saturating_mul(2));
        }
        let rounds = Rounds::of(&turns);
        for turn in turns {
            turn.proven(name)?;
        }
        anyhow::Ok(Check {
            name,
            on: rounds.of_case("on"),
            off: rounds.of_case("off"),
            ratio: rounds.ratio("off", "on"),
        })
    });
    Ok(Checks {
        all: checks.collect::<Result<_, _>>()?,
        let_through,
        tried: TRIED,
    })
}

/// One store, asked for some tokens over and over.
struct Turn<'a> {
    name: &'static str,
    denylist: &'a Denylist,
    targets: &'a [Target],
    way: Way,
    next: Cell<usize>,
    /// What was not as it is named.
    wrong: RefCell<Option<anyhow::Error>>,
}

impl<'a> Turn<'a> {
    fn new(name: &'static str, denylist: &'a Denylist, targets: &'a [Target], way: Way) -> Self {
        Self {
            name,
            denylist,
            targets,
            way,
            next: Cell::new(0),
            wrong: RefCell::new(None),
        }
    }

    fn try_run(&self, calls: u64) -> anyhow::Result<Duration> {
        let before = self.denylist.stats();
        let mut targets = self.targets.iter().cycle().skip(self.next.get());
        let mut denied = 0_u64;
        let begun = Instant::now();
        for _ in 0..calls {
            let target = targets.next().ok_or_else(|| anyhow!("nothing to ask for"))?;
            let facts = black_box(self.denylist.check(&one(target), NOW))?;
            denied = denied.saturating_add(u64::from(facts.revocation.is_some()));
        }
        let took = begun.elapsed();
        let next = self.next.get().saturating_add(usize::try_from(calls)?);
        self.next.set(next.checked_rem(self.targets.len()).unwrap_or(0));
        let after = self.denylist.stats();
        let told = [
            denied,
            after.lookups.saturating_sub(before.lookups),
            after.misses.saturating_sub(before.misses),
        ];
        let expected = [u64::from(self.way.denied), self.way.lookups, self.way.misses].map(|n| n.saturating_mul(calls));
        ensure!(
            told == expected,
            "{calls} checks had {told:?} denials, look-ups and misses, and not {expected:?}"
        );
        Ok(took)
    }

    /// An error where a turn was not what it is named.
    fn proven(self, name: &str) -> anyhow::Result<()> {
        match self.wrong.into_inner() {
            Some(wrong) => Err(wrong.context(format!("{name}, {}: not measured", self.name))),
            None => Ok(()),
        }
    }
}

impl Case for Turn<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn run(&self, calls: u64) -> Duration {
        self.try_run(calls).unwrap_or_else(|error| {
            self.wrong.borrow_mut().get_or_insert(error);
            // Long enough that nothing more is asked of it.
            Duration::from_secs(1)
        })
    }
}
