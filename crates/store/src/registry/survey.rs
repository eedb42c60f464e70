//! Reading a whole list of sessions for its own sake, and copying what is sound in it.

use std::path::Path;

use super::{Trees, decode, due_key, run};
use crate::error::StoreError;

/// What a list of sessions holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SessionSurvey {
    pub(crate) rows: u64,
    /// Rows that do not say what was written, or are under another's key.
    pub(crate) damaged: u64,
    /// Sessions that would be listed for ever.
    pub(crate) unindexed: u64,
}

/// Walks the list in `dir`, and copies what is sound into a new one in `copy`, if that is wanted.
///
/// # Errors
///
/// [`StoreError::Engine`] when its files cannot be read to the end.
pub(crate) fn survey(dir: &Path, copy: Option<&Path>) -> Result<SessionSurvey, StoreError> {
    let trees = Trees::open(dir)?;
    let copy = copy.map(Trees::open).transpose()?;
    let mut survey = SessionSurvey::default();
    let mut rows = trees.sessions.iter();
    while let Some((key, row)) = run(|| rows.next().transpose())? {
        survey.rows = survey.rows.saturating_add(1);
        let (Some(session), Ok(key)) = (decode(&row), <[u8; 32]>::try_from(&*key)) else {
            survey.damaged = survey.damaged.saturating_add(1);
            continue;
        };
        let due = due_key(session.expires.as_secs(), &key);
        if !run(|| trees.due.contains_key(due))? {
            survey.unindexed = survey.unindexed.saturating_add(1);
        }
        if let Some(copy) = &copy {
            run(|| copy.put(&key, &session))?;
        }
    }
    if let Some(copy) = &copy {
        run(|| copy.db.flush())?;
    }
    Ok(survey)
}
