//! Opening a store: the engine as it was left, and what the journal has beyond it.

use std::{collections::HashMap, path::Path};

use ostracon_core::{Revocation, UnixTime};

use crate::{
    committer::merged,
    digest::{Digest, DigestKey},
    engine::{self, Checkpoint, Engine},
    error::StoreError,
    identity::Identity,
    journal::{self, Record, Recovered},
    options::Options,
    overlay::Change,
    prefilter::{Prefilter, saved::Saved},
};

/// Changes that a replay holds in memory before it hands them to the engine.
const REPLAY_BATCH: usize = 65_536;

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
    pub(crate) engine: Engine,
    /// The last record that the engine has by its own account.
    pub(crate) applied: u64,
    pub(crate) changes: HashMap<Digest, Change>,
    pub(crate) forgotten: UnixTime,
    pub(crate) recovered: Recovered,
    /// Records that the engine had not got.
    pub(crate) replayed: u64,
    /// Whether the engine was damaged and is now rebuilt from the journal.
    pub(crate) rebuilt: bool,
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
        let engine = Engine::open(&dir.join("sled"), identity.id, options.cache_bytes)?;
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
            applied,
            saved.map_or(applied, |saved| saved.covers.0.min(applied)),
            |number, record| replay.apply(number, record),
        )?;
        let replayed = replay.replayed;
        let (changes, forgotten) = replay.end()?;
        Ok(Self {
            engine,
            applied,
            changes,
            forgotten,
            recovered,
            replayed,
            rebuilt: false,
        })
    }
}

/// Records on their way from the journal into the engine, and what of them is still in memory.
pub(crate) struct Replay<'a> {
    key: &'a DigestKey,
    engine: &'a Engine,
    /// The last record that the engine has.
    applied: u64,
    replayed: u64,
    /// Filters that lack what is replayed.
    prefilter: Option<&'a Prefilter>,
    /// What was asked for since the last lift, if there was one, in its order. What stood before is looked up at the end,
    /// in the order of the rows: that is several times as fast as a look-up for each record.
    asked: HashMap<Digest, Vec<Revocation>>,
    /// What stands for certain.
    changes: HashMap<Digest, Change>,
    forgotten: UnixTime,
}

impl<'a> Replay<'a> {
    /// A replay over what `engine` has.
    pub(crate) fn over(engine: &'a Engine, key: &'a DigestKey, forgotten: UnixTime) -> Self {
        Self {
            key,
            engine,
            applied: 0,
            replayed: 0,
            prefilter: None,
            asked: HashMap::new(),
            changes: HashMap::new(),
            forgotten,
        }
    }

    pub(crate) fn apply(&mut self, number: u64, record: Record) -> Result<(), StoreError> {
        if let (Some(prefilter), Record::Revoke(asked)) = (self.prefilter, &record) {
            // I2: bits before rows, here too.
            let target = asked.target().as_ref();
            prefilter.insert(self.key.digest(target), target.kind());
        }
        if number <= self.applied {
            return Ok(());
        }
        self.replayed = self.replayed.saturating_add(1);
        match record {
            Record::Forget(until) => self.forgotten = self.forgotten.max(until),
            Record::Lift(target) => {
                let digest = self.key.digest(target.as_ref());
                self.asked.remove(&digest);
                self.changes.insert(digest, None);
            }
            Record::Revoke(asked) => {
                let digest = self.key.digest(asked.target().as_ref());
                self.asked.entry(digest).or_default().push(asked);
            }
        }
        if self.asked.len().saturating_add(self.changes.len()) >= REPLAY_BATCH {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Merges what was asked for with what stood before it.
    fn resolve(&mut self) -> Result<(), StoreError> {
        let mut asked: Vec<_> = self.asked.drain().collect();
        asked.sort_unstable_by_key(|(digest, _)| *digest);
        for (digest, asked) in asked {
            let mut standing = match self.changes.remove(&digest) {
                Some(change) => change,
                None => self.engine.get(&digest)?,
            };
            for asked in asked {
                standing = Some(match standing {
                    None => asked,
                    standing => merged(&asked, standing).0,
                });
            }
            self.changes.insert(digest, standing);
        }
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), StoreError> {
        self.resolve()?;
        for (digest, change) in self.changes.drain() {
            match change {
                Some(revocation) => self.engine.put(&digest, &revocation)?,
                None => self.engine.remove(&digest)?,
            }
        }
        Ok(())
    }

    /// What is not in the engine yet, and up to when entries may have been forgotten.
    fn end(mut self) -> Result<(HashMap<Digest, Change>, UnixTime), StoreError> {
        self.resolve()?;
        Ok((self.changes, self.forgotten))
    }

    /// Hands over what is left; answers up to when entries may have been forgotten.
    pub(crate) fn finish(mut self) -> Result<UnixTime, StoreError> {
        self.hand_over()?;
        Ok(self.forgotten)
    }
}
