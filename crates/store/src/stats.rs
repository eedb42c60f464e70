//! Figures about a store.

use std::sync::Arc;

use ostracon_core::{Kind, UnixTime};

use crate::figures::Activity;

/// How far the prefilter is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PrefilterState {
    /// It is left out by configuration.
    Off,
    /// Checks of so many of its shards go to the engine until they are built.
    Building {
        /// Shards without a filter.
        missing: usize,
    },
    /// It covers the store.
    Covering,
}

/// A look at a store that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Why writes are refused; none while they succeed.
    pub refused: Option<Arc<str>>,
    /// How far the prefilter is.
    pub prefilter: PrefilterState,
    /// Bytes of its filters.
    pub prefilter_bytes: usize,
    /// Look-ups so far that went past the prefilter.
    pub lookups: u64,
    /// Of these, those that found no entry: with a prefilter, its false positives.
    pub misses: u64,
    /// Entries that the engine holds, by kind, those that have expired and are not yet swept included; none while they are
    /// counted after an end that was no close.
    pub entries: Option<[(Kind, u64); Kind::ALL.len()]>,
    /// What it did since the opening.
    pub activity: Activity,
    /// Changes that are in the journal and not yet in the engine.
    pub waiting: usize,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Its segments, the open one included.
    pub journal_segments: usize,
    /// What was retained up to this time may have been dropped.
    pub forgotten_until: UnixTime,
}
