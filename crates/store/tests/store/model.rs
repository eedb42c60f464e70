//! The denylist against a map, whatever is done to it and however often it is opened anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use ostracon_core::{Policy, Reason, Revocation, Target, Targets};
use ostracon_store::{ClosedStore, Denylist, Options, StoreError};
use proptest::prelude::*;

use crate::support::{all_kinds, at, harm, options, segments, snapshot, token};

#[derive(Clone, Debug)]
enum Step {
    Revoke {
        target: usize,
        before: u64,
        lives: u64,
    },
    RevokeMany {
        first: usize,
        lives: u64,
    },
    Lift {
        target: usize,
    },
    Advance {
        secs: u64,
    },
    ClockBack {
        secs: u64,
    },
    Sweep,
    Settle,
    Reopen {
        prefilter: bool,
    },
    Kill,
    LoseEngine,
    LoseCheckpoint,
    TearTail {
        bytes: usize,
    },
    /// The end of the journal cut or flipped, and the engine gone that would tell.
    HarmTail {
        at: usize,
        flip: bool,
    },
    Check,
    Repair,
    Rebuild,
    /// An earlier saved prefilter is put in the place of the last one, or one byte of the last one is another.
    OldFilters {
        back: usize,
    },
    SpoilFilters {
        at: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let target = 0..12_usize;
    prop_oneof![
        6 => (target.clone(), 0..8_u64, 0..40_u64).prop_map(|(target, before, lives)| Step::Revoke { target, before, lives }),
        1 => (target.clone(), 0..40_u64).prop_map(|(first, lives)| Step::RevokeMany { first, lives }),
        2 => target.prop_map(|target| Step::Lift { target }),
        2 => (1..200_u64).prop_map(|secs| Step::Advance { secs }),
        1 => (1..200_u64).prop_map(|secs| Step::ClockBack { secs }),
        2 => Just(Step::Sweep),
        1 => Just(Step::Settle),
        1 => any::<bool>().prop_map(|prefilter| Step::Reopen { prefilter }),
        1 => Just(Step::Kill),
        1 => Just(Step::LoseEngine),
        1 => Just(Step::LoseCheckpoint),
        1 => (1..60_usize).prop_map(|bytes| Step::TearTail { bytes }),
        1 => (1..400_usize, any::<bool>()).prop_map(|(at, flip)| Step::HarmTail { at, flip }),
        1 => Just(Step::Check),
        1 => Just(Step::Repair),
        1 => Just(Step::Rebuild),
        1 => (0..4_usize).prop_map(|back| Step::OldFilters { back }),
        1 => (0..60_000_usize).prop_map(|at| Step::SpoilFilters { at }),
    ]
}

fn target(n: usize) -> Target {
    all_kinds().into_iter().nth(n).unwrap_or_else(|| token(n))
}

/// What the model knows: the entry of each target, and what was swept.
struct World {
    dirs: [tempfile::TempDir; 2],
    denylist: Option<Denylist>,
    /// The prefilters that were saved so far, as they were found at closings.
    filters: Vec<Vec<u8>>,
    entries: BTreeMap<usize, Revocation>,
    /// What was lifted ever: a lift that is lost with a damaged journal is undone.
    lifted: BTreeSet<usize>,
    now: u64,
    policy: Policy,
}

impl World {
    fn new() -> Self {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let denylist = Some(Denylist::open(dirs[0].path(), &often(true)).unwrap());
        let policy = Policy::default().with_longest_lifetime(core::time::Duration::from_mins(1));
        Self {
            dirs,
            denylist,
            filters: Vec::new(),
            entries: BTreeMap::new(),
            lifted: BTreeSet::new(),
            now: 1000,
            policy,
        }
    }

    fn list(&self) -> &Denylist {
        self.denylist.as_ref().unwrap()
    }

    fn reopen(&mut self, prefilter: bool) {
        drop(self.denylist.take());
        self.filters.extend(fs::read(self.dirs[0].path().join("prefilter")));
        self.denylist = Some(Denylist::open(self.dirs[0].path(), &often(prefilter)).unwrap());
    }

    /// What a kill leaves, opened after `harm` was done to it.
    fn kill(&mut self, harm: impl FnOnce(&Path)) {
        snapshot(self.dirs[0].path(), self.dirs[1].path());
        harm(self.dirs[1].path());
        drop(self.denylist.take());
        self.dirs.swap(0, 1);
        self.reopen(true);
    }

    fn revocation(&self, n: usize, before: u64, lives: u64) -> Revocation {
        Revocation::new(target(n), Reason::Admin, &self.policy, at(self.now))
            .before(at(self.now + before - 4), &self.policy)
            .expiring(at(self.now + lives), &self.policy)
    }

    fn note(&mut self, n: usize, asked: Revocation) {
        let merged = match self.entries.remove(&n) {
            Some(standing) => standing.merge(asked),
            None => asked,
        };
        self.entries.insert(n, merged);
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Revoke { target, before, lives } => {
                let asked = self.revocation(target, before, lives);
                self.list().revoke(asked.clone()).unwrap();
                self.note(target, asked);
            }
            Step::RevokeMany { first, lives } => {
                let all: Vec<_> = (first..12).map(|n| (n, self.revocation(n, 0, lives))).collect();
                self.list()
                    .revoke_many(all.iter().map(|(_, asked)| asked.clone()))
                    .unwrap();
                for (n, asked) in all {
                    self.note(n, asked);
                }
            }
            Step::Lift { target: n } => {
                let stood = self.list().lift(target(n)).unwrap().is_some();
                let known = self.entries.remove(&n);
                self.lifted.insert(n);
                // What has ended may be swept or not; what has not stands in both.
                let forgotten = self.list().unlisted().forgotten_until;
                if let Some(known) = known.filter(|known| known.retained_until() > forgotten) {
                    assert!(stood, "{known:?}");
                }
            }
            Step::Advance { secs } => self.now += secs,
            Step::ClockBack { secs } => self.now = self.now.saturating_sub(secs).max(1000),
            Step::Sweep => {
                self.list().settle().unwrap();
                self.list().sweep(at(self.now)).unwrap();
                let now = at(self.now);
                assert_eq!(
                    self.list().sweep(now).unwrap().entries,
                    0,
                    "one sweep takes all that is due"
                );
                self.entries.retain(|_, entry| entry.retained_until() > now);
            }
            Step::Settle => self.list().settle().unwrap(),
            Step::Reopen { prefilter } => self.reopen(prefilter),
            Step::Kill => self.kill(|_| {}),
            Step::LoseEngine => self.kill(|dir| fs::remove_dir_all(dir.join("sled")).unwrap()),
            Step::LoseCheckpoint => self.kill(|dir| {
                harm(dir, |_, _, meta| {
                    meta.remove(b"checkpoint").unwrap();
                });
            }),
            Step::HarmTail { at, flip } => self.harm_tail(at, flip),
            Step::Check => self.offline(|store| {
                let report = store.check().unwrap();
                assert!(report.is_sound(), "{report:?}");
            }),
            Step::Repair => self.offline(|store| drop(store.repair().unwrap())),
            Step::Rebuild => self.offline(|store| drop(store.rebuild().unwrap())),
            Step::TearTail { bytes } => self.kill(|dir| {
                let last = segments(dir).pop().unwrap();
                let mut content = fs::read(&last).unwrap();
                content.extend(vec![0x5a; bytes]);
                fs::write(&last, content).unwrap();
            }),
            Step::OldFilters { back } => {
                let old = self.filters.iter().rev().nth(back).cloned();
                self.kill(|dir| {
                    if let Some(old) = old {
                        fs::write(dir.join("prefilter"), old).unwrap();
                    }
                });
            }
            Step::SpoilFilters { at } => self.kill(|dir| {
                if let Ok(mut bytes) = fs::read(dir.join("prefilter")) {
                    let length = bytes.len();
                    bytes.get_mut(at % length).map(|byte| *byte ^= 1).unwrap();
                    fs::write(dir.join("prefilter"), bytes).unwrap();
                }
            }),
        }
    }

    fn offline(&mut self, what: impl FnOnce(ClosedStore)) {
        drop(self.denylist.take());
        what(ClosedStore::take(self.dirs[0].path()).unwrap());
        self.reopen(true);
    }

    /// What is lost from the journal's end is noticed, and the rows have it.
    fn harm_tail(&mut self, back: usize, flip: bool) {
        self.list().settle().unwrap();
        drop(self.denylist.take());
        let dir = self.dirs[0].path();
        let last = segments(dir).pop().unwrap();
        let mut bytes = fs::read(&last).unwrap();
        let at = bytes.len().saturating_sub(back);
        if flip {
            bytes[at] ^= 1;
        } else {
            bytes.truncate(at);
        }
        fs::write(&last, bytes).unwrap();
        let opened = Denylist::open(dir, &often(true));
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "I5");
        ClosedStore::take(dir).unwrap().repair().unwrap();
        self.reopen(true);
        for n in self.lifted.clone() {
            let denylist = self.list();
            if let Some(back) = denylist.entry(target(n).as_ref()).unwrap() {
                let standing = self.entries.get(&n).map_or(back.cutoff(), Revocation::cutoff);
                assert!(standing <= back.cutoff(), "{n}");
                self.entries.insert(n, back);
            } else {
                let forgotten = denylist.unlisted().forgotten_until;
                let gone = self.entries.remove(&n);
                assert!(gone.is_none_or(|gone| gone.retained_until() <= forgotten), "{n}");
            }
        }
    }

    /// Each target is denied exactly when the model says so, for tokens around each cut-off.
    fn compare(&self) {
        for n in 0..12 {
            let (target, now) = (target(n), at(self.now));
            let facts = self.list().check(&Targets::one(target.as_ref()), now).unwrap();
            // I1: what may have been dropped is announced, and its tokens count as ended whatever the list says; a replay
            // may also bring some of it back.
            let counts = |entry: &&Revocation| facts.forgotten_until.max(now) < entry.retained_until();
            let expected = self.entries.get(&n).filter(counts);
            let found = facts.revocation.as_ref().filter(counts);
            assert_eq!(
                found.map(Revocation::cutoff),
                expected.map(Revocation::cutoff),
                "{target:?}"
            );
            assert_eq!(
                found.map(Revocation::retained_until),
                expected.map(Revocation::retained_until),
                "{target:?}"
            );
            assert!(
                expected.is_none() || !self.list().is_clear(&Targets::one(target.as_ref())),
                "I2"
            );
        }
    }
}

/// Parts of the engine are opened anew, and written anew, again and again; with a prefilter each write waits for both parts.
fn often(prefilter: bool) -> Options {
    let usual = Options::default().pending_bytes;
    Options {
        pending_bytes: if prefilter { 0 } else { usual },
        reopen_after: 4,
        renew_after: 6,
        renew_bytes: 0,
        ..options(prefilter)
    }
}

/// How many histories are tried: 80, or what `OSTRACON_MODEL_CASES` says.
fn cases() -> u32 {
    std::env::var("OSTRACON_MODEL_CASES").map_or(80, |cases| cases.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map_through_kills_losses_and_sweeps(steps in proptest::collection::vec(step(), 1..25)) {
        let mut world = World::new();
        for step in steps {
            world.apply(&step);
            world.compare();
        }
    }
}
