//! The index by end of retention, from which the sweeper learns what is due.
//!
//! A row of it speaks of up to 64 entries that end within four minutes: one for each would take as long to write as the
//! entries themselves, and half of the memory. What is written one by one has rows of its own.
//!
//! A row outlives what it speaks of: an entry that goes, or ends at another time from now on, stays in it until the
//! sweeper comes by and finds it gone.

use std::ops::ControlFlow;

use ostracon_core::UnixTime;

use super::Engine;
use crate::{digest::Digest, error::StoreError};

/// When an entry ends, and which it is.
pub(super) type Due = (UnixTime, Digest);

/// Entries that a row speaks of, at most as it is written first.
const MOST: usize = 64;

/// Bytes of a further entry: seconds behind the first (1), digest (16).
const FURTHER: usize = 17;

/// The key of the row whose first entry is this.
pub(super) fn key((at, digest): &Due) -> [u8; 24] {
    let mut key = [0; 24];
    let (secs, rest) = key.split_at_mut(8);
    secs.copy_from_slice(&at.as_secs().to_be_bytes());
    rest.copy_from_slice(digest.as_bytes());
    key
}

/// Seconds from one to the other, as far as a row can tell them.
fn apart((first, _): &Due, (at, _): &Due) -> Option<u8> {
    at.as_secs().checked_sub(first.as_secs())?.try_into().ok()
}

/// Divides what is in order into what rows can speak of.
fn rows(mut due: &[Due]) -> impl Iterator<Item = (&Due, &[Due])> {
    std::iter::from_fn(move || {
        let (first, more) = due.split_first()?;
        let fits = more.partition_point(|other| apart(first, other).is_some());
        let (further, rest) = more.split_at(fits.min(MOST.saturating_sub(1)));
        due = rest;
        Some((first, further))
    })
}

/// What a row says of `further` entries.
fn value(first: &Due, further: &[Due]) -> Vec<u8> {
    let one = |due: &Due| apart(first, due).into_iter().chain(*due.1.as_bytes());
    further.iter().flat_map(one).collect()
}

/// The entries that a row speaks of, in order; none if it makes no sense.
pub(super) fn read(key: &[u8], value: &[u8]) -> Option<Vec<Due>> {
    let (secs, digest) = key.split_first_chunk::<8>()?;
    let first = u64::from_be_bytes(*secs);
    let (further, rest) = value.as_chunks::<FURTHER>();
    if !rest.is_empty() {
        return None;
    }
    let mut due = vec![(UnixTime::from_secs(first), Digest::from_bytes(digest.try_into().ok()?))];
    for [behind, digest @ ..] in further {
        let at = first.checked_add(u64::from(*behind))?;
        due.push((UnixTime::from_secs(at), Digest::from_bytes(*digest)));
    }
    due.is_sorted().then_some(due)
}

impl Engine {
    /// Has the index speak of `due`.
    pub(super) fn index(&self, mut due: Vec<Due>) -> Result<(), StoreError> {
        due.sort_unstable();
        rows(&due).try_for_each(|(first, further)| self.index_row(first, further))
    }

    fn index_row(&self, first: &Due, further: &[Due]) -> Result<(), StoreError> {
        let (key, mut new) = (key(first), value(first, further));
        let swapped = self.write(|| self.due.compare_and_swap(key, None::<&[u8]>, Some(&*new)))?;
        let Some(there) = swapped.err().and_then(|error| error.current) else {
            return Ok(());
        };
        // One that begins with the same entry, and may speak of others: I3 holds for those, too.
        if *there != *new && !there.is_empty() {
            let mut all = self.decode_due(&key, &there)?;
            all.extend(further);
            all.sort_unstable();
            all.dedup();
            new = value(first, all.get(1..).unwrap_or_default());
        }
        self.write(|| self.due.insert(key, new)).map(drop)
    }

    /// Lets the index forget an entry that is gone, if nothing else is in its row.
    pub(super) fn unindex(&self, due: &Due) -> Result<(), StoreError> {
        self.write(|| self.due.compare_and_swap(key(due), Some(&[]), None::<&[u8]>))
            .map(drop)
    }

    /// Hands over what each row speaks of, in the order of the first in each, up to that which begins behind `until`.
    fn due_rows(&self, until: UnixTime, mut each: impl FnMut(Vec<Due>) -> ControlFlow<()>) -> Result<(), StoreError> {
        let mut rows = self.due.range(..=key(&(until, Digest::from_bytes([0xff; 16]))));
        while let Some((key, value)) = self.run(|| rows.next().transpose())? {
            if each(self.decode_due(&key, &value)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn decode_due(&self, key: &[u8], value: &[u8]) -> Result<Vec<Due>, StoreError> {
        read(key, value).ok_or_else(|| self.damaged("an index row does not make sense"))
    }

    /// The rows that speak of the first `limit` entries that are due by `until`, as far as the first of each tells, and
    /// how many entries of each are due.
    fn due_by(&self, until: UnixTime, limit: usize) -> Result<Vec<(Vec<Due>, usize)>, StoreError> {
        let (mut rows, mut left) = (Vec::new(), limit);
        if left == 0 {
            return Ok(rows);
        }
        self.due_rows(until, |row| {
            let due = row.partition_point(|(at, _)| *at <= until).min(left);
            left = left.saturating_sub(due);
            rows.push((row, due));
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(rows)
    }

    /// The latest end of retention of what [`Engine::sweep`] would take with the same `limit`; none if nothing is due.
    pub(crate) fn due_until(&self, until: UnixTime, limit: usize) -> Result<Option<UnixTime>, StoreError> {
        let rows = self.due_by(until, limit)?;
        let due = rows.iter().flat_map(|(row, due)| row.iter().take(*due));
        Ok(due.map(|(at, _)| *at).max())
    }

    /// Drops what is due by `until`, at most `limit` entries of the index: the digests of what went, and how many entries
    /// were gone before, or end at another time.
    pub(crate) fn sweep(&self, until: UnixTime, limit: usize) -> Result<(Vec<Digest>, usize), StoreError> {
        let (mut dropped, mut stale) = (Vec::new(), 0_usize);
        for (row, due) in self.due_by(until, limit)? {
            let (due, rest) = row.split_at(due);
            for (at, digest) in due {
                if self.drop_due(*at, digest)? {
                    dropped.push(*digest);
                } else {
                    stale = stale.saturating_add(1);
                }
            }
            // I3: what is left gets its row before this one goes. That row is none of those that are still to come: it
            // begins behind `until`, or this one was the last.
            self.index(rest.to_vec())?;
            if let Some(first) = row.first() {
                self.write(|| self.due.remove(key(first)))?;
            }
        }
        Ok((dropped, stale))
    }

    /// The entries that are due first, at most `limit`, in order.
    pub(crate) fn first_due(&self, limit: usize) -> Result<Vec<Due>, StoreError> {
        let mut due: Vec<Due> = Vec::new();
        self.due_rows(UnixTime::from_secs(u64::MAX), |row| {
            // Rows overlap: only behind one that begins after the last of them nothing earlier follows.
            if due.len() >= limit && due.last() < row.first() {
                return ControlFlow::Break(());
            }
            due.extend(row);
            due.sort_unstable();
            due.dedup();
            due.truncate(limit);
            ControlFlow::Continue(())
        })?;
        Ok(due)
    }
}
