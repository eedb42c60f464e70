//! Which part is written anew, and when.

use std::sync::{Arc, atomic::Ordering};

use super::{Named, Part, Parts, Place, close, sum};
use crate::{
    engine::{Checkpoint, Engine, places, renewal::Renewal},
    error::StoreError,
    shared::unpoisoned,
};

/// Rows that are copied before anything else is looked at.
const COPIED_A_TURN: usize = 1024;

impl Parts {
    /// How many times a part was written anew.
    pub(crate) fn renewed(&self) -> u64 {
        self.renewed.load(Ordering::Relaxed)
    }

    /// Goes on with the part that is written anew, or begins with one that takes too much; whether there is more to do. Only
    /// for the thread that writes. Once it has all, it claims `checkpoint`, of which the part must have all.
    ///
    /// One that fails is given up, and harms nobody: the part itself goes on.
    pub(crate) fn renew(&self, checkpoint: Checkpoint) -> bool {
        let mut renewing = unpoisoned(self.renewing.lock());
        let Some(place) = renewing.as_ref().map(|(place, _)| *place).or_else(|| self.bloated()) else {
            return false;
        };
        let Some((part, Place::Open(old))) = self.all.get(place).map(|part| (part, part.place())) else {
            return false;
        };
        let mut go_on = || {
            let (_, renewal) = match &mut *renewing {
                Some(under_way) => under_way,
                none => none.insert((place, Renewal::begin(&old, self.cache_bytes)?)),
            };
            let has_all = !renewal.go_on(&old, COPIED_A_TURN)?;
            if has_all {
                renewal.finish(checkpoint)?;
            }
            Ok(has_all)
        };
        let has_all = go_on();
        if let Err(error) = &has_all {
            part.give_up(renewing.take(), error);
        }
        if has_all.is_ok_and(|has_all| has_all)
            && let Some((_, renewal)) = renewing.take()
        {
            part.replace(old, renewal.into_engine());
            self.renewed.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// The place of a part that has come to take too much.
    fn bloated(&self) -> Option<usize> {
        // One alone has no place for a copy.
        let several = self.all.len() > 1;
        self.all.iter().position(|part| several && self.takes_too_much(part))
    }

    fn takes_too_much(&self, part: &Part) -> bool {
        let churned = part.churned.load(Ordering::Relaxed);
        if churned < self.renew_after.max(1) {
            return false;
        }
        let Place::Open(engine) = part.place() else {
            return false;
        };
        // What is not counted yet was opened a moment ago.
        let Some(entries) = engine.entries().map(|all| sum(&all)) else {
            return false;
        };
        let enough = entries.max(self.renew_after).saturating_mul(self.renew_bytes);
        churned.saturating_mul(4) >= entries.saturating_mul(3) && engine.disk_bytes().is_ok_and(|bytes| bytes > enough)
    }

    /// Has the copy that is made of `part`, if there is one, follow what was written to it.
    pub(super) fn follow<'a>(&self, part: &Part, changes: impl Iterator<Item = Named<'a>> + Clone) {
        let mut renewing = unpoisoned(self.renewing.lock());
        let is_copied = |place: usize| self.all.get(place).is_some_and(|other| core::ptr::eq(other, part));
        let followed = match &*renewing {
            Some((place, renewal)) if is_copied(*place) => renewal.follow(changes),
            _ => Ok(()),
        };
        if let Err(error) = followed {
            part.give_up(renewing.take(), &error);
        }
    }
}

impl Part {
    /// Goes on as it is, and is not tried again before it has had as many writes.
    fn give_up(&self, renewal: Option<(usize, Renewal)>, error: &StoreError) {
        tracing::warn!(%error, "could not write a part of the engine anew; it goes on as it is");
        self.churned.store(0, Ordering::Relaxed);
        if let Some((_, renewal)) = renewal {
            renewal.give_up();
        }
    }

    /// Has `new`, which has all that `old` has, answer from here on, and removes `old`.
    fn replace(&self, old: Arc<Engine>, new: Engine) {
        // Its log has all of them: that is what an opening would have to read.
        let written = new.entries().and_then(|all| usize::try_from(sum(&all)).ok());
        *unpoisoned(self.place.write()) = Place::Open(Arc::new(new));
        self.written.store(written.unwrap_or(0), Ordering::Relaxed);
        self.churned.store(0, Ordering::Relaxed);
        places::remove(&close(old));
    }
}
