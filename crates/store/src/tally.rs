//! How many entries of each kind the engine holds.
//!
//! Kept beside the rows by whichever thread writes them, one at a time, and saved when the store is closed. After any
//! other end the rows are counted anew in the background, a shard at a time: what a crash left of a number nobody could
//! say.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ostracon_core::Kind;

use crate::{digest::Digest, prefilter::SHARDS};

const FORMAT: u8 = 1;

#[derive(Debug)]
pub(crate) struct Tally {
    counts: [AtomicU64; Kind::ALL.len()],
    /// The shards whose entries are in the counts.
    counted: Vec<AtomicBool>,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            counts: Default::default(),
            counted: (0..SHARDS).map(|_| AtomicBool::new(false)).collect(),
        }
    }
}

impl Tally {
    fn count(&self, kind: Kind) -> Option<&AtomicU64> {
        let place = Kind::ALL.into_iter().position(|other| other == kind)?;
        self.counts.get(place)
    }

    fn is_counted(&self, shard: u8) -> bool {
        self.counted
            .get(usize::from(shard))
            .is_some_and(|counted| counted.load(Ordering::Relaxed))
    }

    /// A row of `kind` is there that was not.
    pub(crate) fn added(&self, digest: &Digest, kind: Kind) {
        if let Some(count) = self.count(kind).filter(|_| self.is_counted(digest.shard())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A row of `kind` is gone.
    pub(crate) fn removed(&self, digest: &Digest, kind: Kind) {
        if let Some(count) = self.count(kind).filter(|_| self.is_counted(digest.shard())) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A shard that is not counted yet.
    pub(crate) fn missing(&self) -> Option<u8> {
        (0..=u8::MAX).find(|shard| !self.is_counted(*shard))
    }

    /// Takes in the rows of `shard`, which is then counted; a shard that is counted already stays as it is.
    pub(crate) fn take_in(&self, shard: u8, kinds: impl IntoIterator<Item = Kind>) {
        if self.is_counted(shard) {
            return;
        }
        for count in kinds.into_iter().filter_map(|kind| self.count(kind)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(counted) = self.counted.get(usize::from(shard)) {
            counted.store(true, Ordering::Release);
        }
    }

    /// The counts; none while some shard is not counted.
    pub(crate) fn read(&self) -> Option<[(Kind, u64); Kind::ALL.len()]> {
        let all = self.counted.iter().all(|counted| counted.load(Ordering::Acquire));
        let mut counts = Kind::ALL.map(|kind| (kind, 0));
        for ((_, read), count) in counts.iter_mut().zip(&self.counts) {
            *read = count.load(Ordering::Relaxed);
        }
        all.then_some(counts)
    }

    /// As it is saved: format (1), the last record that it reckons with (8), each count (8), CRC-32 (4).
    pub(crate) fn encode(&self, applied: u64) -> Option<Vec<u8>> {
        let counts = self.read()?;
        let mut bytes = vec![FORMAT];
        bytes.extend(applied.to_be_bytes());
        for (_, count) in counts {
            bytes.extend(count.to_be_bytes());
        }
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        Some(bytes)
    }

    /// Takes over what was saved, if that was of the rows up to `applied`.
    pub(crate) fn restore(&self, bytes: &[u8], applied: u64) -> Option<()> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        (crc32fast::hash(body).to_be_bytes() == *crc).then_some(())?;
        let (&format, rest) = body.split_first()?;
        let (of, rest) = rest.split_first_chunk::<8>()?;
        let (counts, []) = rest.as_chunks::<8>() else {
            return None;
        };
        let fits = format == FORMAT && u64::from_be_bytes(*of) == applied && counts.len() == self.counts.len();
        fits.then_some(())?;
        for (count, saved) in self.counts.iter().zip(counts) {
            count.store(u64::from_be_bytes(*saved), Ordering::Relaxed);
        }
        for counted in &self.counted {
            counted.store(true, Ordering::Release);
        }
        Some(())
    }
}
