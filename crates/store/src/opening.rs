//! Opening a store: the engine as it was left, and what the journal has beyond it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use ostracon_core::{Revocation, UnixTime};

use crate::{
    committer::merged,
    digest::{Digest, DigestKey},
    engine::{self, Checkpoint, Parts},
    error::StoreError,
    identity::Identity,
    journal::{self, Record, Recovered},
    options::Options,
    overlay::Change,
    prefilter::{Prefilter, saved::Saved},
};

/// Records that a replay holds in memory before it hands them to the engine: the more there are, the more of them share a
/// leaf of its trees. Some 200 bytes each. What a kill leaves under [`Options::pending_bytes`] as they are by default fits in,
/// so that an opening waits for none of it to be written.
const REPLAY_BATCH: usize = 3 << 17;

/// The identity of the store in `dir`, which is begun if there is none.
///
/// The journal is begun before the identity is written: an identity says that there is a journal, and if there is none,
/// it was lost, and with it all that was acknowledged (I5). What a crash leaves in between is a journal in which nothing
/// was ever written.
///
/// # Errors
///
/// [`StoreError::Damaged`] when there is no identity and yet something that could only be read with one.
pub(crate) fn identity(dir: &Path) -> Result<Identity, StoreError> {
    if let Some(identity) = Identity::read(dir)? {
        if identity.is_current(dir).is_err() {
            renew(dir, &identity)?;
        }
        return Ok(identity);
    }
    if dir.join("sled").exists() || !journal::is_unwritten(&dir.join("journal"))? {
        return Err(StoreError::damaged(
            dir.join("identity"),
            "it is missing, though a store is there",
        ));
    }
    let identity = Identity::new(dir)?;
    journal::begin(&dir.join("journal"), identity.id)?;
    identity.write(dir)?;
    Ok(identity)
}

/// Brings a store of an earlier format up to this one: its journal is as it always was, and the rest is made from it. The
/// engine goes first, so that a death in between leaves a store that is brought up again.
fn renew(dir: &Path, identity: &Identity) -> Result<(), StoreError> {
    let sled = dir.join("sled");
    if sled.exists() {
        let aside = engine::set_aside(&sled)?;
        tracing::warn!(kept_at = %aside.display(), "the engine is of an earlier format; rebuilding it from the journal");
    }
    identity.write(dir)
}

/// What an opening puts together: the engine, and what the journal has beyond it.
pub(crate) struct State {
    pub(crate) engine: Parts,
    /// The last record that the engine has by its own account.
    pub(crate) applied: u64,
    pub(crate) changes: Vec<Named>,
    pub(crate) forgotten: UnixTime,
    pub(crate) recovered: Recovered,
    /// Records that the engine had not got.
    pub(crate) replayed: u64,
    /// Whether the engine was damaged and is now rebuilt from the journal.
    pub(crate) rebuilt: bool,
    pub(crate) took: Took,
}

/// How long the parts of an opening took.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Took {
    /// Opening the engine.
    pub engine: Duration,
    /// Reading the journal: from the disk to what it comes to, all but what the engine does about it.
    pub journal: Duration,
    /// Writing to the engine what it lacked, and asking it what stood before.
    pub rows: Duration,
}

impl State {
    /// Opens what is in `dir`, and makes `saved` cover what it was saved before. A damaged engine is set aside and rebuilt.
    pub(crate) fn open(
        dir: &Path,
        identity: &Identity,
        options: &Options,
        saved: Option<&Saved>,
    ) -> Result<Self, StoreError> {
        match Self::assemble(dir, identity, options, saved) {
            Err(StoreError::Engine(cause)) => {
                let aside = engine::set_aside(&dir.join("sled"))?;
                tracing::error!(%cause, kept_at = %aside.display(), "the engine is damaged; rebuilding it from the journal");
                let rebuilt = Self::assemble(dir, identity, options, saved)?;
                Ok(Self {
                    rebuilt: true,
                    ..rebuilt
                })
            }
            opened => opened,
        }
    }

    fn assemble(dir: &Path, identity: &Identity, options: &Options, saved: Option<&Saved>) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let engine = Parts::open(&dir.join("sled"), identity.id, options)?;
        let opened = Instant::now();
        let Checkpoint {
            applied,
            forgotten_until,
        } = engine.checkpoint()?;
        let mut replay = Replay {
            applied,
            prefilter: saved.map(|saved| &saved.prefilter),
            ..Replay::over(&engine, &identity.key, forgotten_until)
        };
        let recovered = journal::recover(
            &dir.join("journal"),
            identity.id,
            options.segment_bytes,
            engine.reached()?,
            saved.map_or(applied, |saved| saved.covers.0.min(applied)),
            |number, record| replay.apply(number, record),
        )?;
        let replayed = replay.replayed;
        let (changes, forgotten, rows) = replay.end()?;
        Ok(Self {
            engine,
            applied,
            changes,
            forgotten,
            recovered,
            replayed,
            rebuilt: false,
            took: Took {
                engine: opened.saturating_duration_since(begun),
                journal: opened.elapsed().saturating_sub(rows),
                rows,
            },
        })
    }
}

/// What stands for a digest.
type Named = (Digest, Change);

/// What a record does to the entry of a target.
enum Step {
    Revoke(Revocation),
    Lift,
}

/// Records on their way from the journal into the engine, and what of them is still in memory.
pub(crate) struct Replay<'a> {
    key: &'a DigestKey,
    engine: &'a Parts,
    /// The last record that the engine has.
    applied: u64,
    replayed: u64,
    /// Filters that lack what is replayed.
    prefilter: Option<&'a Prefilter>,
    /// In the order of the journal. What stood before is looked up at the end, in the order of the rows: that is several
    /// times as fast as a look-up for each record.
    steps: Vec<(Digest, Step)>,
    forgotten: UnixTime,
    in_engine: Duration,
}

impl<'a> Replay<'a> {
    /// A replay over what `engine` has.
    pub(crate) fn over(engine: &'a Parts, key: &'a DigestKey, forgotten: UnixTime) -> Self {
        Self {
            key,
            engine,
            applied: 0,
            replayed: 0,
            prefilter: None,
            steps: Vec::new(),
            forgotten,
            in_engine: Duration::ZERO,
        }
    }

    pub(crate) fn apply(&mut self, number: u64, record: Record) -> Result<(), StoreError> {
        let is_news = number > self.applied;
        let (digest, step) = match record {
            Record::Revoke(asked) => {
                let target = asked.target().as_ref();
                let digest = self.key.digest(target);
                if let Some(prefilter) = self.prefilter {
                    // I2: bits before rows, here too.
                    prefilter.insert(digest, target.kind());
                }
                (digest, Step::Revoke(asked))
            }
            Record::Lift(target) => (self.key.digest(target.as_ref()), Step::Lift),
            Record::Forget(until) => {
                if is_news {
                    self.replayed = self.replayed.saturating_add(1);
                    self.forgotten = self.forgotten.max(until);
                }
                return Ok(());
            }
        };
        if is_news {
            self.replayed = self.replayed.saturating_add(1);
            self.steps.push((digest, step));
            if self.steps.len() >= REPLAY_BATCH {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    /// What stands after all steps so far, by digest: merged with what stood before them.
    fn resolve(&mut self) -> Result<Vec<Named>, StoreError> {
        let mut steps = std::mem::take(&mut self.steps);
        // Those of one target stay in the order of the journal.
        steps.sort_by_key(|(digest, _)| *digest);
        let mut standing: Vec<Named> = Vec::with_capacity(steps.len());
        for (digest, step) in steps {
            let before = standing.pop_if(|(last, _)| *last == digest);
            let change = match step {
                Step::Lift => None,
                Step::Revoke(asked) => {
                    let before = match before {
                        Some((_, before)) => before,
                        None => self.engine.get(&digest)?,
                    };
                    Some(match before {
                        None => asked,
                        before => merged(&asked, before).0,
                    })
                }
            };
            standing.push((digest, change));
        }
        Ok(standing)
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        let begun = Instant::now();
        let standing = self.resolve()?;
        let changes: Vec<_> = standing
            .iter()
            .map(|(digest, change)| (digest, change.as_ref()))
            .collect();
        self.engine.apply(&changes, engine::MOST_THREADS)?;
        self.in_engine = self.in_engine.saturating_add(begun.elapsed());
        Ok(())
    }

    /// What is not in the engine yet, and up to when entries may have been forgotten.
    fn end(mut self) -> Result<(Vec<Named>, UnixTime, Duration), StoreError> {
        let begun = Instant::now();
        let standing = self.resolve()?;
        let in_engine = self.in_engine.saturating_add(begun.elapsed());
        Ok((standing, self.forgotten, in_engine))
    }

    /// Hands over what is left; answers up to when entries may have been forgotten.
    pub(crate) fn finish(mut self) -> Result<UnixTime, StoreError> {
        self.hand_over()?;
        Ok(self.forgotten)
    }
}
