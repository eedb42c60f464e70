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

/// How full the filters are, and how often they are wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Filters {
    /// The share of their bits that are set, as is to be expected from how many entries set them.
    pub fill: f64,
    /// The share of unlisted targets that they let pass, as is to be expected from that. All pass where a filter is not
    /// built yet.
    pub expected_rate: f64,
    /// The same as it was seen since the opening; none before anything was asked.
    pub measured_rate: Option<f64>,
    /// Targets ruled out by a filter since the opening. Those of kinds of which nothing is listed are not among them: no
    /// filter was asked.
    pub ruled_out: u64,
    /// Targets let pass by a filter since the opening that were not listed.
    pub false_positives: u64,
}

/// A look at a store that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Why writes are refused; none while they succeed.
    pub refused: Option<Arc<str>>,
    /// Whether they are for want of space on the disk, and succeed again by themselves once there is some.
    pub short_of_space: bool,
    /// How far the prefilter is.
    pub prefilter: PrefilterState,
    /// Bytes of its filters.
    pub prefilter_bytes: usize,
    /// How full they are, and how often they are wrong; none when they are left out.
    pub filters: Option<Filters>,
    /// Look-ups so far that went past the prefilter.
    pub lookups: u64,
    /// Of these, those that found no entry: with a prefilter, its false positives.
    pub misses: u64,
    /// Entries that the engine holds, by kind, those that have expired and are not yet swept included; none while they are
    /// counted after an end that was no close.
    pub entries: Option<[(Kind, u64); Kind::ALL.len()]>,
    /// How many times a part of the engine was opened anew, so that the next start has less to read.
    pub reopened: u64,
    /// How many times a part of the engine was written anew, so that it takes less space.
    pub renewed: u64,
    /// What it did since the opening.
    pub activity: Activity,
    /// Changes that are in the journal and not yet in the engine.
    pub waiting: usize,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Its segments, the open one included.
    pub journal_segments: usize,
    /// Why a segment that nobody needs could not be deleted, when that was last tried; it is tried again.
    pub undeleted: Option<Arc<str>>,
    /// What was retained up to this time may have been dropped.
    pub forgotten_until: UnixTime,
}
