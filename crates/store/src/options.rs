//! What an opener can choose.

use core::{ops::RangeInclusive, time::Duration};

/// The rates of false positives that a prefilter can be built for.
pub const FALSE_POSITIVE_RATES: RangeInclusive<f64> = 1e-6..=0.1;

/// When a write is told to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// When it is on the disk: it survives whatever becomes of process and machine.
    #[default]
    Sync,
    /// When it is with the operating system, which is told to put it on the disk within this time. It survives whatever
    /// becomes of the process. **When the machine crashes or loses power, what was acknowledged within this time before,
    /// and the time of one sync, may be forgotten, and then those tokens are accepted again.**
    ///
    /// [`Receipt::durable`](crate::Receipt::durable) tells which of the two a write has got to.
    Interval(Duration),
}

/// How a [`Denylist`](crate::Denylist) is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Whether Bloom filters answer for what is not listed. Without them each check reads the engine, with the same
    /// answers.
    pub prefilter: bool,
    /// The share of unlisted targets that the prefilter sends to the engine all the same, within
    /// [`FALSE_POSITIVE_RATES`].
    pub false_positive_rate: f64,
    /// The bytes of rows that the engine keeps in memory. Its page table comes on top, some 30 bytes an entry.
    pub cache_bytes: u64,
    /// About how many bytes of changes may be in memory alone, durable in the journal and not in the engine yet; a change
    /// takes some 250. So much is written at the journal's pace, in one go; beyond it writers wait for the engine. A start
    /// after a kill replays at most about twice as much.
    pub pending_bytes: usize,
    /// How many parts a new engine has: a power of two up to 64, or else one; an engine that is there keeps those that it
    /// has. Each opens by itself, several at once, and is opened anew by itself; each takes a megabyte of disk and memory.
    pub engine_parts: usize,
    /// The fewest writes after which a part of the engine is opened anew in the background, so that the next start has
    /// less to read.
    pub reopen_after: usize,
    /// None is opened anew while the writes that all have had since are fewer than the entries divided by this: each is then
    /// read whole once for about half of it that was written.
    pub reopen_share: u64,
    /// The fewest writes after which a part of the engine is written anew in the background, and the fewest entries that its
    /// size is held against.
    pub renew_after: u64,
    /// The bytes an entry beyond which a part is written anew, once it has had three writes for every four entries. Freshly
    /// written it takes some 350, and 900 in steady churn, were it never written anew.
    pub renew_bytes: u64,
    /// The size at which a journal segment is closed and the next begun, in bytes.
    pub segment_bytes: u64,
    /// The bytes that are to stay free on the disk: with fewer, what is asked for is refused with
    /// [`StoreError::Full`](crate::StoreError) until there are more. Enough for what was taken in before to be written, so that
    /// no write fails, after which nothing would be written before a restart. Zero to go on to the last byte.
    pub min_free_bytes: u64,
    /// When a write is told to be done.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefilter: true,
            false_positive_rate: 0.001,
            cache_bytes: 64 << 20,
            pending_bytes: 32 << 20,
            engine_parts: 16,
            reopen_after: 1 << 16,
            reopen_share: 4,
            renew_after: 4096,
            renew_bytes: 400,
            segment_bytes: 64 << 20,
            min_free_bytes: 64 << 20,
            durability: Durability::Sync,
        }
    }
}
