//! One shard: a Bloom filter, and how full and how stale it is.

use bloomfilter::Bloom;

use crate::digest::Digest;

/// Digests are uniform and secret already, so the filters' own hashing needs no secret. Its two halves seed two hash
/// functions, which must differ: with one twice, the rate of false positives is a multiple of what was asked for.
pub(super) const SEED: [u8; 32] = *b"ostracon shard: one and another.";

/// No filter is built for fewer.
pub(super) const LEAST_CAPACITY: usize = 64;

/// How much the engine's keeper has to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Load {
    /// Little: filters are kept as small as their rate allows, though that means building them anew more often.
    Quiet,
    /// A flood of writes: filters are made with room, so that they need not be built anew again and again.
    Busy,
}

impl Load {
    /// What a filter of so many is built for. 1.44 times the least that any filter could take, times this, stays under
    /// 1.5 when it is quiet.
    fn capacity(self, held: usize) -> usize {
        let room = match self {
            Self::Quiet => held / 50,
            Self::Busy => held / 2,
        };
        held.saturating_add(room).max(LEAST_CAPACITY)
    }
}

#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) filter: Option<Bloom<Digest>>,
    pub(super) capacity: usize,
    /// How many have set bits of it.
    pub(super) inserted: usize,
    /// Of these, those whose entries are gone; at most about so many.
    pub(super) gone: usize,
    /// What is inserted while a new filter is made.
    pub(super) aside: Option<Vec<Digest>>,
}

impl Shard {
    /// A shard whose filter holds `held`; none if no such filter can be.
    pub(super) fn holding(held: &[Digest], rate: f64, load: Load) -> Option<Self> {
        let capacity = load.capacity(held.len());
        let mut filter = Bloom::new_for_fp_rate_with_seed(capacity, rate, &SEED).ok()?;
        for digest in held {
            filter.set(digest);
        }
        Some(Self {
            filter: Some(filter),
            capacity,
            inserted: held.len(),
            gone: 0,
            aside: None,
        })
    }

    pub(super) fn insert(&mut self, digest: &Digest) {
        let Some(filter) = &mut self.filter else { return };
        // One that set no bit, mostly because it was there before, does not fill the filter.
        if !filter.check_and_set(digest) {
            self.inserted = self.inserted.saturating_add(1);
        }
    }

    pub(super) fn may_contain(&self, digest: &Digest) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.check(digest))
    }

    pub(super) fn wants_rebuild(&self, load: Load) -> bool {
        let live = self.inserted.saturating_sub(self.gone);
        let overfull = self.inserted > self.capacity;
        let stale = self.gone > LEAST_CAPACITY && self.gone > self.inserted / 2;
        // Above what `Load::capacity` leaves by so much that a shard which was just built does not come by it at once.
        let enough = live.saturating_add(live / 36).saturating_add(8);
        let roomy = load == Load::Quiet && self.capacity > enough.max(LEAST_CAPACITY);
        self.filter.is_none() || overfull || stale || roomy
    }

    /// Bytes of its filter.
    pub(super) fn bytes(&self) -> usize {
        self.filter.as_ref().map_or(0, |filter| filter.as_slice().len())
    }

    /// The share of its bits that are set, and of the unlisted that therefore pass, as they are to be expected from what
    /// was inserted; without a filter all pass.
    pub(super) fn expected(&self) -> Expected {
        let Some(filter) = &self.filter else {
            return Expected {
                bits: 0.0,
                fill: 1.0,
                rate: 1.0,
            };
        };
        let (hashes, bits) = (filter.number_of_hash_functions(), float(filter.len()));
        let inserted = float(u64::try_from(self.inserted).unwrap_or(u64::MAX));
        let fill = 1.0 - (-f64::from(hashes) * inserted / bits).exp();
        Expected {
            bits,
            fill,
            rate: fill.powf(f64::from(hashes)),
        }
    }
}

/// What a shard's filter comes to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) bits: f64,
    pub(super) fill: f64,
    pub(super) rate: f64,
}

/// A count as a number to reckon with.
#[expect(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    reason = "figures for people; 53 bits of them are enough"
)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
