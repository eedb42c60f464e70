//! What stands in a denylist, looked at one by one, page by page, or by when it ends.

use ostracon_core::{Revocation, TargetRef, UnixTime};

use crate::{
    denylist::{Denylist, Page},
    digest::Digest,
    error::StoreError,
};

impl Denylist {
    /// The entry of `target`, expired or not. Cost as for one target of [`Denylist::check`].
    ///
    /// # Errors
    ///
    /// As for [`Denylist::check`].
    pub fn entry(&self, target: TargetRef<'_>) -> Result<Option<Revocation>, StoreError> {
        let Some(digest) = self.shared.perhaps_listed(target) else {
            return Ok(None);
        };
        let entry = self.shared.look_up(&digest)?;
        Ok(entry.filter(|entry| entry.target().as_ref() == target))
    }

    /// The entry with the identity `id`, expired or not. Cost as for one target of [`Denylist::check`].
    ///
    /// # Errors
    ///
    /// As for [`Denylist::check`].
    pub fn entry_by_id(&self, id: &Digest) -> Result<Option<Revocation>, StoreError> {
        self.shared.look_up(id)
    }

    /// Up to `limit` entries behind the identity `after`, expired ones too, in the order of their identities. Blocks; costs
    /// a walk along the rows, and a pass over what waits for the engine.
    ///
    /// What is revoked or lifted while pages are turned may be on them or not; all else is, once.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn page(&self, after: Option<&Digest>, limit: usize) -> Result<Page, StoreError> {
        // The overlay first, as everywhere: what moves to the engine in between is seen there.
        let mut changes = self.shared.overlay.behind(after);
        let rows = self.shared.engine.behind(after, limit)?;
        // Behind the last row of a full page, the engine may have rows that come before what waits.
        let mut next = rows.last().filter(|_| rows.len() >= limit).map(|(id, _)| *id);
        if let Some(last) = next {
            changes.retain(|id, _| *id <= last);
        }
        for (id, row) in rows {
            changes.entry(id).or_insert(Some(row));
        }
        let standing = changes.into_iter().filter_map(|(id, change)| Some((id, change?)));
        let mut entries: Vec<_> = standing.collect();
        if entries.len() > limit {
            entries.truncate(limit);
            next = entries.last().map(|(id, _)| *id);
        }
        Ok(Page { entries, next })
    }

    /// The entries that end first, at most `limit` and as far as the engine has them, with when they do: what was revoked a
    /// moment ago may be missing. Blocks; costs `limit` reads of the index of each part of the engine.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn next_expiries(&self, limit: usize) -> Result<Vec<(UnixTime, Revocation)>, StoreError> {
        let mut expiries = Vec::new();
        for (at, digest) in self.shared.engine.first_due(limit)? {
            // An index row without its entry is a leftover.
            let entry = self.shared.look_up(&digest)?;
            expiries.extend(
                entry
                    .filter(|entry| entry.retained_until() <= at)
                    .map(|entry| (at, entry)),
            );
        }
        Ok(expiries)
    }
}
