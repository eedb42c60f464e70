//! What an opener can choose.

use core::ops::RangeInclusive;

/// The rates of false positives that a prefilter can be built for.
pub const FALSE_POSITIVE_RATES: RangeInclusive<f64> = 1e-6..=0.1;

/// How a [`Denylist`](crate::Denylist) is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Whether Bloom filters answer for what is not listed. Without them each check reads the engine, with the same
    /// answers.
    pub prefilter: bool,
    /// The share of unlisted targets that the prefilter sends to the engine all the same, within
    /// [`FALSE_POSITIVE_RATES`].
    pub false_positive_rate: f64,
    /// The bytes of rows that the engine keeps in memory. Its page table comes on top, some 80 bytes an entry.
    pub cache_bytes: u64,
    /// The size at which a journal segment is closed and the next begun, in bytes.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefilter: true,
            false_positive_rate: 0.001,
            cache_bytes: 64 << 20,
            segment_bytes: 64 << 20,
        }
    }
}
