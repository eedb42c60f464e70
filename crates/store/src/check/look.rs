//! The walk through a store.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    path::Path,
};

use ostracon_core::UnixTime;

use super::report::{Part, Remedy, Report};
use crate::{
    audit,
    committer::merged,
    digest::Digest,
    engine::{Checkpoint, Claim, Parts, Survey, is_there},
    error::StoreError,
    files::DirLock,
    identity::Identity,
    journal::{self, Record},
    options::Options,
    prefilter::saved::SavedFile,
    registry,
};

/// A look at a store, and what a repair goes on with.
pub(super) struct Look {
    pub(super) report: Report,
    pub(super) identity: Option<Identity>,
    /// The engine, where it can be read to the end.
    pub(super) engine: Option<Parts>,
    pub(super) checkpoint: Checkpoint,
    pub(super) journal: Journaled,
    /// Numbers of records that the journal lacks.
    missing: Vec<RangeInclusive<u64>>,
    /// Why the journal is not to be built on.
    pub(super) journal_problem: Option<StoreError>,
    /// Entries that are in the engine alone.
    pub(super) unjournaled: u64,
    pub(super) unreadable_rows: u64,
    pub(super) sessions_want_repair: bool,
}

/// What the journal says, as far as rows can be compared with it.
pub(super) struct Journaled {
    /// The first record that there is or will be.
    first: u64,
    /// The last record that could be read.
    pub(super) last: u64,
    /// Of what there is a revocation.
    pub(super) revoked: HashSet<Digest>,
    /// The last lift of each target that was lifted.
    lifted: HashMap<Digest, u64>,
    pub(super) forgotten: UnixTime,
}

/// Looks at all that is in `dir`.
pub(super) fn look(dir: &Path, held: &DirLock) -> Result<Look, StoreError> {
    let mut look = Look {
        report: Report::default(),
        identity: None,
        engine: None,
        checkpoint: Checkpoint::NONE,
        journal: Journaled {
            first: 0,
            last: 0,
            revoked: HashSet::new(),
            lifted: HashMap::new(),
            forgotten: UnixTime::EPOCH,
        },
        missing: Vec::new(),
        journal_problem: None,
        unjournaled: 0,
        unreadable_rows: 0,
        sessions_want_repair: false,
    };
    let path = dir.join("identity");
    match Identity::read(dir) {
        Ok(Some(identity)) => {
            identity.is_current(dir)?;
            look.identity = Some(identity);
        }
        Ok(None) => look.report.find(
            Part::Identity,
            &path,
            "it is missing, though a store is there",
            Remedy::Restore,
        ),
        Err(error) => look.report.find_error(Part::Identity, &path, &error, Remedy::Restore),
    }
    if let Some(identity) = look.identity.clone() {
        look.journal(dir, &identity)?;
        look.engine(dir, &identity);
        let lost = "records are lost: their numbers are missing, and what they said is in no row either";
        let (path, count) = (dir.join("journal"), look.lost());
        look.report
            .find_many(Part::Journal, &path, count, lost, Remedy::Restore);
        look.prefilter(dir, &identity, held);
    }
    look.sessions(dir);
    look.audit(dir);
    Ok(look)
}

impl Journaled {
    /// Whether the target of `digest` was lifted after record `number`.
    pub(super) fn is_lifted_after(&self, digest: &Digest, number: u64) -> bool {
        self.lifted.get(digest).is_some_and(|lift| *lift > number)
    }
}

impl Look {
    fn journal(&mut self, dir: &Path, identity: &Identity) -> Result<(), StoreError> {
        let path = dir.join("journal");
        let journaled = &mut self.journal;
        let walk = journal::walk(&path, identity.id, |number, record| {
            match record {
                Record::Revoke(revocation) => {
                    let digest = identity.key.digest(revocation.target().as_ref());
                    journaled.revoked.insert(digest);
                }
                Record::Lift(target) => {
                    journaled.lifted.insert(identity.key.digest(target.as_ref()), number);
                }
                Record::Forget(until) => journaled.forgotten = journaled.forgotten.max(until),
            }
            Ok(())
        })?;
        (journaled.first, journaled.last) = (walk.first, walk.last);
        let report = &mut self.report;
        report.counts.segments = walk.segments;
        report.counts.journal_bytes = walk.bytes;
        report.counts.records = walk.records;
        for problem in &walk.problems {
            report.find_error(Part::Journal, &path, problem, Remedy::Restore);
        }
        self.missing = walk.missing;
        self.journal_problem = walk.problems.into_iter().next();
        if walk.torn > 0 {
            let torn = format!(
                "{} bytes at its end are no whole group: what was being written, and nobody was told of, unless the disk damaged it since",
                walk.torn
            );
            report.note(Part::Journal, &path, torn);
        }
        if walk.unfinished > 0 {
            report.note(
                Part::Journal,
                &path,
                format!("{} files that were being begun", walk.unfinished),
            );
        }
        Ok(())
    }

    /// How many records the journal lacks that the rows are not said to have, either.
    pub(super) fn lost(&self) -> u64 {
        let applied = self.engine.as_ref().map_or(0, |_| self.checkpoint.applied);
        let beyond = |missing: &RangeInclusive<u64>| {
            let first = applied.saturating_add(1).max(*missing.start());
            missing.end().saturating_add(1).saturating_sub(first)
        };
        self.missing.iter().map(beyond).sum()
    }

    fn engine(&mut self, dir: &Path, identity: &Identity) {
        let path = dir.join("sled");
        self.report.counts.to_replay = self.report.counts.records;
        // Opening would make one.
        if !is_there(&path) {
            self.report
                .note(Part::Engine, &path, "it is missing; it is made anew from the journal");
            return;
        }
        let read = Parts::open(&path, identity.id, &Options::default()).and_then(|engine| {
            let claim = engine.claim()?;
            let reached = if claim == Claim::Damaged { 0 } else { engine.reached()? };
            if let Claim::Made(checkpoint) = claim {
                self.checkpoint = checkpoint;
            }
            let forgotten = self.journal.forgotten.max(self.checkpoint.forgotten_until);
            let (revoked, unjournaled) = (&self.journal.revoked, &mut self.unjournaled);
            let survey = engine.survey(&identity.key, |digest, entry| {
                if entry.retained_until() > forgotten && !revoked.contains(digest) {
                    *unjournaled = unjournaled.saturating_add(1);
                }
                Ok(())
            })?;
            Ok((engine, claim, reached, survey))
        });
        let (engine, claim, reached, survey) = match read {
            Ok(read) => read,
            Err(error) => {
                self.report.find_error(Part::Engine, &path, &error, Remedy::Rebuild);
                return;
            }
        };
        self.rows(&path, survey);
        self.claim(dir, &path, claim, reached);
        self.compare(dir, identity, &engine);
        self.engine = Some(engine);
    }

    /// Whether the filters as they were saved would be believed, if the next opening wants them at their rate. If not,
    /// nothing is wrong: they are made from the rows.
    fn prefilter(&mut self, dir: &Path, identity: &Identity, lock: &DirLock) {
        // A name that cannot be read is none that fits.
        let file = SavedFile::of(dir, identity.id, lock.last().ok().flatten());
        let Journaled { first, last, .. } = self.journal;
        let doubt = match file.look() {
            Ok(None) => return,
            Ok(Some(Ok(covers))) if covers.are_continued_by(first, last) => return,
            Ok(Some(Ok(covers))) => format!(
                "it was saved at record {}, and the journal has {first} to {last}",
                covers.0
            ),
            Ok(Some(Err(reason))) => reason.to_string(),
            Err(error) => error.to_string(),
        };
        let note = format!("it is not believed, and made anew from the rows: {doubt}");
        self.report.note(Part::Prefilter, file.path(), note);
    }

    fn rows(&mut self, path: &Path, survey: Survey) {
        let report = &mut self.report;
        report.counts.entries = survey.rows;
        report.counts.indexed = survey.indexed;
        self.unreadable_rows = survey.damaged.saturating_add(survey.misplaced);
        let repair = Remedy::Repair;
        report.find_many(
            Part::Engine,
            path,
            survey.damaged,
            "rows do not say what was written",
            repair,
        );
        report.find_many(
            Part::Engine,
            path,
            survey.misplaced,
            "rows stand under another's key",
            repair,
        );
        report.find_many(
            Part::Index,
            path,
            survey.unindexed,
            "entries are not in it and would never end",
            repair,
        );
        report.find_many(Part::Index, path, survey.malformed, "of its rows make no sense", repair);
        let missing = "entries are in the rows alone, and would be lost with them";
        report.find_many(Part::Journal, path, self.unjournaled, missing, repair);
        if survey.leftovers > 0 {
            let leftovers = format!(
                "it speaks of {} entries that are gone, or end at another time; the sweeper forgets them",
                survey.leftovers
            );
            report.note(Part::Index, path, leftovers);
        }
    }

    fn claim(&mut self, dir: &Path, path: &Path, claim: Claim, reached: u64) {
        let last = self.journal.last;
        match claim {
            Claim::Made(_) if reached > last => {
                let problem = format!("it ends at record {last}, though {reached} were written");
                let journal = dir.join("journal");
                self.report.find(Part::Journal, &journal, &*problem, Remedy::Restore);
                self.journal_problem
                    .get_or_insert(StoreError::damaged(journal, problem));
            }
            Claim::Made(Checkpoint { applied, .. }) => {
                self.report.counts.to_replay = last.saturating_sub(applied).min(self.report.counts.records);
            }
            Claim::Absent => self.report.note(
                Part::Checkpoint,
                path,
                "there is none yet; the whole journal is replayed",
            ),
            Claim::Damaged => self
                .report
                .find(Part::Checkpoint, path, "it does not make sense", Remedy::Rebuild),
        }
    }

    /// Holds the rows against the records that they are said to have.
    fn compare(&mut self, dir: &Path, identity: &Identity, engine: &Parts) {
        let applied = self.checkpoint.applied;
        let forgotten = self.journal.forgotten.max(self.checkpoint.forgotten_until);
        let (journaled, mut lacking) = (&self.journal, 0_u64);
        let compared = journal::walk(&dir.join("journal"), identity.id, |number, record| {
            let Record::Revoke(asked) = record else { return Ok(()) };
            let digest = identity.key.digest(asked.target().as_ref());
            let is_over = asked.retained_until() <= forgotten || journaled.is_lifted_after(&digest, number);
            if number <= applied && !is_over {
                let standing = engine.sound(&digest)?;
                if standing.is_none() || merged(&asked, standing).1 {
                    lacking = lacking.saturating_add(1);
                }
            }
            Ok(())
        });
        let path = dir.join("sled");
        if let Err(error) = compared {
            self.report.find_error(Part::Engine, &path, &error, Remedy::Rebuild);
        }
        let problem = "records of the journal are not in the rows, though the checkpoint says so";
        self.report
            .find_many(Part::Checkpoint, &path, lacking, problem, Remedy::Repair);
    }

    /// Holds the audit log against its own chain. What a crash leaves at its end, the next start cuts off.
    fn audit(&mut self, dir: &Path) {
        let path = dir.join("audit");
        if !path.exists() {
            return;
        }
        match audit::verify(&path, None) {
            Ok(verified) => {
                self.report.counts.audited = verified.records;
                for flaw in verified.flaws {
                    if flaw.is_torn {
                        self.report.note(Part::Audit, &flaw.path, flaw.detail);
                    } else {
                        self.report.find(Part::Audit, &flaw.path, flaw.detail, Remedy::Inquire);
                    }
                }
            }
            Err(error) => self.report.find_error(Part::Audit, &path, &error, Remedy::Inquire),
        }
    }

    fn sessions(&mut self, dir: &Path) {
        let path = dir.join("sessions");
        if !path.join("db").exists() {
            return;
        }
        match registry::survey(&path, None) {
            Ok(survey) => {
                self.report.counts.sessions = survey.rows;
                let (part, repair) = (Part::Sessions, Remedy::Repair);
                self.report.find_many(
                    part,
                    &path,
                    survey.damaged,
                    "rows are not listed: they make no sense",
                    repair,
                );
                self.report
                    .find_many(part, &path, survey.unindexed, "sessions would be kept for ever", repair);
                self.sessions_want_repair = survey.damaged > 0 || survey.unindexed > 0;
            }
            // No answer rests on it, and opening it begins a new one.
            Err(error) => self.report.note(Part::Sessions, &path, error.to_string()),
        }
    }
}
