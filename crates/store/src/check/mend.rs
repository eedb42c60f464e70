//! Making anew what is derived, and saving what can be saved.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Mended,
    look::{Look, look},
};
use crate::{
    denylist::{Denylist, SWEEP_BATCH},
    engine::{Checkpoint, Parts, set_aside},
    error::StoreError,
    files::{self, DirLock},
    identity::Identity,
    journal::{self, Journal, MAX_GROUP, Record, When},
    opening::Replay,
    options::Options,
    prefilter::saved::SavedFile,
    registry,
};

pub(super) fn rebuild(dir: &Path, lock: DirLock) -> Result<Mended, StoreError> {
    let Look {
        engine,
        journal_problem,
        identity,
        unjournaled,
        ..
    } = look(dir, &lock)?;
    if identity.is_none() {
        // Says what is wrong with it.
        identity_of(dir)?;
    }
    if let Some(problem) = journal_problem {
        return Err(problem);
    }
    if unjournaled > 0 {
        return Err(StoreError::WouldForget {
            journal: dir.join("journal"),
            entries: unjournaled,
        });
    }
    drop(engine);
    let mut mended = Mended::default();
    let sled = dir.join("sled");
    if sled.exists() {
        mended.set_aside.push(set_aside(&sled)?);
        files::sync_dir(dir)?;
    }
    let options = Options {
        prefilter: false,
        ..Options::default()
    };
    let denylist = Denylist::open_locked(dir, lock, &options)?;
    denylist.settle()?;
    // The journal still has what was dropped, until all of its segment is.
    denylist.sweep(denylist.unlisted().forgotten_until)?;
    mended.entries = denylist.entries()?;
    denylist.close()?;
    Ok(mended)
}

pub(super) fn repair(dir: &Path, lock: &DirLock) -> Result<Mended, StoreError> {
    let looked = look(dir, lock)?;
    let identity = identity_of(dir)?;
    // What is newer, or cannot be read today, is not damaged: it would be given up for nothing.
    if let Some(problem @ (StoreError::Newer { .. } | StoreError::Io { .. })) = &looked.journal_problem {
        return Err(problem.clone());
    }
    let fresh = place_beside(&dir.join("sled"))?;
    let engine = Parts::open(&fresh, identity.id, &Options::default())?;
    let mut mended = Mended {
        unreadable: looked.unreadable_rows,
        lost: looked.lost(),
        ..Mended::default()
    };
    if let Some(old) = &looked.engine {
        old.survey(&identity.key, |digest, entry| engine.put(digest, entry))?;
    }
    // Over the rows comes the journal, from its beginning: what the rows have is merged with what they should have.
    let forgotten = looked.checkpoint.forgotten_until.max(looked.journal.forgotten);
    let mut replay = Replay::over(&engine, &identity.key, forgotten);
    let path = dir.join("journal");
    let segment_bytes = Options::default().segment_bytes;
    let (journal, begun) = if looked.journal_problem.is_none() {
        let recovered = journal::recover(&path, identity.id, segment_bytes, 0, 0, |number, record| {
            replay.apply(number, record)
        })?;
        (recovered.journal, None)
    } else {
        let applied = looked.engine.as_ref().map_or(0, |_| looked.checkpoint.applied);
        journal::walk(&path, identity.id, |number, record| {
            // What the rows are past is not done over again: a lift whose target was revoked once more by a record that
            // is lost would take that away from the rows, too.
            let is_over = match &record {
                Record::Revoke(revocation) => {
                    let digest = identity.key.digest(revocation.target().as_ref());
                    looked.journal.is_lifted_after(&digest, number)
                }
                Record::Lift(_) => true,
                Record::Forget(_) => false,
            };
            if number <= applied && is_over {
                return Ok(());
            }
            replay.apply(number, record)
        })?;
        let begun = place_beside(&path)?;
        files::create_dir(&begun)?;
        // No number is given twice, and one is given to nobody: a prefilter that was saved before, and that somebody puts
        // back, lacks that record and all that the rows had beyond the old journal, and so is not believed (I2).
        let first = looked.journal.last.max(looked.checkpoint.applied).saturating_add(2);
        let journal = Journal::begin(&begun, identity.id, segment_bytes, first)?;
        (journal, Some(begun))
    };
    let forgotten_until = replay.finish()?;
    // The journal still has what was dropped, until all of its segment is.
    while engine.due_until(forgotten_until, SWEEP_BATCH)?.is_some() {
        engine.sweep(forgotten_until, SWEEP_BATCH)?;
    }
    let known = if begun.is_none() { Some(&looked) } else { None };
    let (journal, entries, journaled) = write_missing(journal, &engine, &identity, known, forgotten_until)?;
    (mended.entries, mended.journaled) = (entries, journaled);
    engine.save(Checkpoint {
        applied: journal.last(),
        forgotten_until,
    })?;
    drop((engine, journal));
    let wants_sessions = looked.sessions_want_repair;
    drop(looked);
    // A saved prefilter covers the store as it was.
    SavedFile::of(dir, identity.id, None).take(Options::default().false_positive_rate)?;
    lock.begin()?;
    // The engine first: it has all that there is, so that a death in between leaves a store that can be repaired again.
    mended.set_aside.extend(swap(&dir.join("sled"), &fresh)?);
    if let Some(begun) = begun {
        mended.set_aside.extend(swap(&path, &begun)?);
    }
    if wants_sessions {
        let sessions = dir.join("sessions");
        let fresh = place_beside(&sessions)?;
        registry::survey(&sessions, Some(&fresh))?;
        mended.set_aside.extend(swap(&sessions, &fresh)?);
    }
    Ok(mended)
}

fn identity_of(dir: &Path) -> Result<Identity, StoreError> {
    let missing = || StoreError::damaged(dir.join("identity"), "it is missing, though a store is there");
    Identity::read(dir)?.ok_or_else(missing)
}

/// Appends each entry of `engine` that is in force and that the journal, as far as it is `known`, lacks. Answers with the
/// journal, how many entries there are, and how many of them were appended.
fn write_missing(
    mut journal: Journal,
    engine: &Parts,
    identity: &Identity,
    known: Option<&Look>,
    forgotten: ostracon_core::UnixTime,
) -> Result<(Journal, u64, u64), StoreError> {
    let mut group = Vec::new();
    if known.is_none() {
        group.push(Record::Forget(forgotten));
    }
    let (mut entries, mut appended) = (0_u64, 0_u64);
    engine.survey(&identity.key, |digest, entry| {
        entries = entries.saturating_add(1);
        let lacks = known.is_none_or(|look| !look.journal.revoked.contains(digest));
        if lacks && entry.retained_until() > forgotten {
            appended = appended.saturating_add(1);
            group.push(Record::Revoke(entry.clone()));
        }
        if group.len() >= MAX_GROUP {
            journal.append(&std::mem::take(&mut group), When::Now)?;
        }
        Ok(())
    })?;
    if !group.is_empty() {
        journal.append(&group, When::Now)?;
    }
    Ok((journal, entries, appended))
}

/// Where the new one of `dir` is made. What an earlier attempt left there is nobody's.
fn place_beside(dir: &Path) -> Result<PathBuf, StoreError> {
    let fresh = dir.with_extension("mending");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(|e| StoreError::io(&fresh, e))?;
    }
    Ok(fresh)
}

/// Moves what is at `old` aside, if anything is, and `new` into its place.
fn swap(old: &Path, new: &Path) -> Result<Option<PathBuf>, StoreError> {
    let aside = if old.exists() { Some(set_aside(old)?) } else { None };
    fs::rename(new, old).map_err(|e| StoreError::io(new, e))?;
    old.parent().map_or(Ok(()), files::sync_dir)?;
    Ok(aside)
}
