//! Faults at the seam (`seam.rs`): of a history that is scripted, each call in turn fails, in each way that it can.

#[cfg(not(loom))]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod history;
#[cfg(not(loom))]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{seam::Call, shared::unpoisoned};

/// How a call fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fault {
    /// An error of the device. Of a sync: what was written since the last one never gets to the disk, though it can be read
    /// back for now.
    Error,
    /// The disk is full; what fits is written.
    Full,
    Delay,
    Panic,
}

/// The disk below one directory, one of whose calls fails.
#[derive(Debug)]
pub(crate) struct Plan {
    dir: PathBuf,
    /// Which call, counted from the first; and what of it is to be.
    at: Mutex<Option<(usize, Fault)>>,
    calls: Mutex<Vec<Call>>,
    /// The next call of a kind that fails, and the directory below which.
    next: Mutex<Option<(Call, &'static str)>>,
    /// The call that failed.
    pub(crate) met: Mutex<Option<(Call, PathBuf)>>,
    cache: Mutex<Cache>,
}

/// The bytes of files that the disk has not got: those that a sync would bring there, and those that none will.
#[derive(Debug, Default)]
struct Cache {
    dirty: HashMap<PathBuf, BTreeSet<u64>>,
    lost: HashMap<PathBuf, BTreeSet<u64>>,
}

static PLANS: Mutex<Vec<Arc<Plan>>> = Mutex::new(Vec::new());

impl Plan {
    /// Has call number `at` below `dir` fail, or none.
    pub(crate) fn lay(dir: &Path, at: Option<(usize, Fault)>) -> Arc<Self> {
        let plan = Arc::new(Self {
            dir: dir.into(),
            at: Mutex::new(at),
            calls: Mutex::default(),
            next: Mutex::default(),
            met: Mutex::default(),
            cache: Mutex::default(),
        });
        unpoisoned(PLANS.lock()).push(Arc::clone(&plan));
        plan
    }

    /// Has the next `call` in `part` of the directory fail.
    pub(crate) fn fail_next(&self, call: Call, part: &'static str) {
        *unpoisoned(self.next.lock()) = Some((call, part));
    }

    /// From here on the disk works: a call that was not met yet will not be.
    pub(crate) fn mend(&self) {
        *unpoisoned(self.at.lock()) = None;
    }

    pub(crate) fn lift(&self) {
        unpoisoned(PLANS.lock()).retain(|plan| plan.dir != self.dir);
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        unpoisoned(self.calls.lock()).clone()
    }

    /// Leaves of the files what is on the disk.
    pub(crate) fn cut_the_power(&self) {
        let mut cache = unpoisoned(self.cache.lock());
        let Cache { dirty, lost } = &mut *cache;
        for (path, missing) in dirty.drain().chain(lost.drain()) {
            if let Ok(mut bytes) = fs::read(&path) {
                for at in missing {
                    if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
                        *byte = 0;
                    }
                }
                fs::write(&path, bytes).unwrap();
            }
        }
    }
}

fn plan(path: &Path) -> Option<Arc<Plan>> {
    unpoisoned(PLANS.lock())
        .iter()
        .find(|plan| path.starts_with(&plan.dir))
        .cloned()
}

pub(crate) fn meet(call: Call, path: &Path) -> io::Result<()> {
    let Some(plan) = plan(path) else { return Ok(()) };
    let mut calls = unpoisoned(plan.calls.lock());
    let number = calls.len();
    calls.push(call);
    drop(calls);
    let is_next = |next: &mut (Call, &str)| next.0 == call && path.starts_with(plan.dir.join(next.1));
    if unpoisoned(plan.next.lock()).take_if(is_next).is_some() {
        return Err(io::Error::other("injected"));
    }
    let Some((_, fault)) = unpoisoned(plan.at.lock()).take_if(|(at, _)| *at == number) else {
        return Ok(());
    };
    *unpoisoned(plan.met.lock()) = Some((call, path.into()));
    match fault {
        Fault::Error => Err(io::Error::other("injected")),
        Fault::Full => Err(io::ErrorKind::StorageFull.into()),
        Fault::Delay => {
            thread::sleep(Duration::from_millis(30));
            Ok(())
        }
        Fault::Panic => panic!("injected"),
    }
}

pub(crate) fn wrote(path: &Path, at: u64, len: usize) {
    let Some(plan) = plan(path) else { return };
    let range = at..at.saturating_add(u64::try_from(len).unwrap());
    let mut cache = unpoisoned(plan.cache.lock());
    if let Some(lost) = cache.lost.get_mut(path) {
        lost.retain(|byte| !range.contains(byte));
    }
    cache.dirty.entry(path.into()).or_default().extend(range);
}

pub(crate) fn synced(path: &Path, is_done: bool) {
    let Some(plan) = plan(path) else { return };
    let mut cache = unpoisoned(plan.cache.lock());
    let written = cache.dirty.remove(path).unwrap_or_default();
    if !is_done {
        cache.lost.entry(path.into()).or_default().extend(written);
    }
}
