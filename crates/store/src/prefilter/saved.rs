//! The prefilter on the disk, so that a start need not read all rows.
//!
//! `prefilter`: `"OSTRBLMF"`, format (4 bytes), store id (16), the opening that saved it (16), rate of false positives (8, as a
//! double), sequence number of the last record that it covers (8), kinds (1); for each shard its capacity (8), how many set bits of it (8), how many of
//! these are gone (8), the length of its filter (4) and the filter; CRC-32 of all before (4).
//!
//! I2: what lets a filter from a file be believed is that its file is whole, is this store's, was saved by the last process
//! that had the store open, and that the journal has every record behind the last one it covers, from which the opening adds
//! what it lacks. Numbers alone would not do: a journal that lost its end gives them once more, to other records. No process
//! does, and each opening has a name of its own (`DirLock::begin`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bloomfilter::Bloom;

use super::{
    Prefilter, SHARDS,
    shard::{LEAST_CAPACITY, SEED, Shard},
};
use crate::{
    error::StoreError,
    files::{self, Run},
    identity::StoreId,
    kinds::Kinds,
    options::FALSE_POSITIVE_RATES,
    seam,
    shared::unpoisoned,
    sync::{AtomicUsize, Ordering},
};

const MAGIC: &[u8; 8] = b"OSTRBLMF";
const FORMAT: u32 = 2;
pub(crate) const FILE: &str = "prefilter";

/// Where the filters of a store are saved.
#[derive(Debug)]
pub(crate) struct SavedFile {
    path: PathBuf,
    store: StoreId,
    run: Option<Run>,
}

/// Filters from a file.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) prefilter: Prefilter,
    /// The last record of the journal that they cover.
    pub(crate) covers: Covers,
    run: Run,
}

/// Why a file is not believed. Nothing is lost by it: the filters are built from the rows.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("it is cut short, or its checksum does not fit")]
    Checksum,
    #[error("it has format {0}, which this version does not know")]
    Format(u32),
    #[error("it belongs to another store")]
    Store,
    #[error("it was not saved by the process that had the store open last")]
    Run,
    #[error("it was made for another rate of false positives")]
    Rate,
    #[error("it does not make sense")]
    Content,
}

impl SavedFile {
    /// The file of the store in `dir`, which `run` saves, or saved if it was the last to have the store open.
    pub(crate) fn of(dir: &Path, store: StoreId, run: Option<Run>) -> Self {
        Self {
            path: dir.join(FILE),
            store,
            run,
        }
    }

    fn decode(&self, bytes: &[u8], rate: f64) -> Result<Saved, Refused> {
        let saved = decode(bytes, &self.store, rate)?;
        if self.run == Some(saved.run) {
            Ok(saved)
        } else {
            Err(Refused::Run)
        }
    }

    /// Takes the file away, and answers what it held if that may be believed. Nothing may have been written to the store
    /// before, and the caller has yet to compare [`Saved::covers`] with the journal.
    pub(crate) fn take(&self, rate: f64) -> Result<Option<Saved>, StoreError> {
        let error = |e| StoreError::io(&self.path, e);
        let bytes = match seam::read(&self.path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(error(e)),
        };
        seam::remove_file(&self.path).map_err(error)?;
        self.path.parent().map_or(Ok(()), files::sync_dir)?;
        match self.decode(&bytes, rate) {
            Ok(saved) => Ok(Some(saved)),
            Err(reason) => {
                tracing::warn!(file = %self.path.display(), %reason, "the saved prefilter is not believed; building it anew");
                Ok(None)
            }
        }
    }

    /// What `take` would answer, with the file left where it is; none where there is no file.
    pub(crate) fn look(&self) -> Result<Option<Result<Covers, Refused>>, StoreError> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(looked(&bytes, |rate| self.decode(&bytes, rate)))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(&self.path, e)),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Saves `prefilter`, which covers all up to record `covers`, unless some shard has no filter yet; whether it was.
    ///
    /// What is inserted meanwhile may be in the file or not: it is behind `covers`.
    pub(crate) fn write(&self, prefilter: &Prefilter, covers: u64) -> Result<bool, StoreError> {
        match encode(prefilter, &self.store, &self.run.unwrap_or_default(), covers) {
            Some(bytes) => files::write_new(&self.path, &bytes).map(|()| true),
            None => Ok(false),
        }
    }
}

/// The last record that saved filters cover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Covers(pub(crate) u64);

impl Covers {
    /// Whether the journal, which has the records `first` to `last`, has every one behind the last that was covered, and the
    /// last that was covered itself is not beyond it (I2).
    pub(crate) const fn are_continued_by(self, first: u64, last: u64) -> bool {
        self.0 <= last && self.0.saturating_add(1) >= first
    }
}

/// What a file covers, whatever rate it was made for: which one the next opening asks for is not known here.
fn looked(bytes: &[u8], decode: impl FnOnce(f64) -> Result<Saved, Refused>) -> Result<Covers, Refused> {
    rate(bytes).and_then(decode).map(|saved| saved.covers)
}

/// The rate of false positives that the filters in `bytes` are said to be made for.
fn rate(bytes: &[u8]) -> Result<f64, Refused> {
    let mut rest = bytes.get(44..).ok_or(Refused::Checksum)?;
    take(&mut rest).map(f64::from_be_bytes)
}

fn encode(prefilter: &Prefilter, store: &StoreId, run: &Run, covers: u64) -> Option<Vec<u8>> {
    let mut bytes = [
        &MAGIC[..],
        &FORMAT.to_be_bytes(),
        store,
        run,
        &prefilter.false_positive_rate.to_be_bytes(),
        &covers.to_be_bytes(),
        &[prefilter.kinds.now().bits()],
    ]
    .concat();
    bytes.reserve(prefilter.bytes().saturating_add(SHARDS.saturating_mul(32)));
    for slot in &prefilter.slots {
        let shard = unpoisoned(slot.shard.read());
        let filter = shard.filter.as_ref()?.as_slice();
        for count in [shard.capacity, shard.inserted, shard.gone] {
            bytes.extend(u64::try_from(count).ok()?.to_be_bytes());
        }
        bytes.extend(u32::try_from(filter.len()).ok()?.to_be_bytes());
        bytes.extend(filter);
    }
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Some(bytes)
}

pub(super) fn decode(bytes: &[u8], store: &StoreId, rate: f64) -> Result<Saved, Refused> {
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(Refused::Checksum)?;
    if crc32fast::hash(body).to_be_bytes() != *crc {
        return Err(Refused::Checksum);
    }
    let mut rest = body;
    if take(&mut rest)? != *MAGIC {
        return Err(Refused::Content);
    }
    let format = u32::from_be_bytes(take(&mut rest)?);
    if format != FORMAT {
        return Err(Refused::Format(format));
    }
    if take(&mut rest)? != *store {
        return Err(Refused::Store);
    }
    let run = take(&mut rest)?;
    // What a look asks for is what the file says, which may be anything.
    if take(&mut rest)? != rate.to_be_bytes() || !FALSE_POSITIVE_RATES.contains(&rate) {
        return Err(Refused::Rate);
    }
    let covers = Covers(u64::from_be_bytes(take(&mut rest)?));
    let [kinds] = take(&mut rest)?;
    let mut prefilter = Prefilter::new(rate);
    prefilter.kinds.add_all(Kinds::from_bits(kinds));
    for slot in &mut prefilter.slots {
        *unpoisoned(slot.shard.write()) = shard(&mut rest, rate)?;
    }
    prefilter.missing = AtomicUsize::new(0);
    prefilter.due.store(true, Ordering::Relaxed);
    if !rest.is_empty() {
        return Err(Refused::Content);
    }
    Ok(Saved { prefilter, covers, run })
}

fn shard(rest: &mut &[u8], rate: f64) -> Result<Shard, Refused> {
    let mut count = || usize::try_from(u64::from_be_bytes(take(rest)?)).map_err(|_| Refused::Content);
    let (capacity, inserted, gone) = (count()?, count()?, count()?);
    let length = usize::try_from(u32::from_be_bytes(take(rest)?)).map_err(|_| Refused::Content)?;
    let (filter, behind) = rest.split_at_checked(length).ok_or(Refused::Content)?;
    *rest = behind;
    let filter = Bloom::from_slice(filter).map_err(|_| Refused::Content)?;
    // None is made for fewer, and of none the library makes no filter at all: it panics.
    if capacity < LEAST_CAPACITY {
        return Err(Refused::Content);
    }
    // What it says of itself has to be what a filter of that capacity would be made as.
    let length = Bloom::<()>::compute_bitmap_size(capacity, rate);
    let made = filter.seed() == SEED
        && usize::try_from(filter.len() / 8) == Ok(length)
        && Bloom::<()>::new_with_seed(length, capacity, &SEED)
            .is_ok_and(|made| made.number_of_hash_functions() == filter.number_of_hash_functions());
    made.then_some(Shard {
        filter: Some(filter),
        capacity,
        inserted,
        gone,
        aside: None,
    })
    .ok_or(Refused::Content)
}

/// The first bytes of `rest`, which is shortened by them.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Refused> {
    let (taken, behind) = rest.split_first_chunk::<N>().ok_or(Refused::Content)?;
    *rest = behind;
    Ok(*taken)
}

pub mod fuzzing {
    //! What the fuzz target `prefilter` reaches: a file as it is saved, and what is believed of one.
    use ostracon_core::Kind;

    use super::{Bloom, Prefilter, decode, encode};
    use crate::{
        digest::Digest,
        kinds::Kinds,
        prefilter::shard::{Load, Shard},
        shared::unpoisoned,
        sync::AtomicUsize,
    };

    /// The store that all files here belong to.
    pub const STORE: [u8; 16] = *b"a store of fuzz.";
    /// The rate of false positives that its filters are made for.
    pub const RATE: f64 = 0.01;

    /// A file that covers `digests`, tokens all, and the journal up to `covers`.
    #[must_use]
    pub fn saved(digests: &[[u8; 16]], covers: u64) -> Option<Vec<u8>> {
        let mut prefilter = Prefilter::new(RATE);
        for (n, slot) in (0..).zip(&prefilter.slots) {
            let held: Vec<_> = digests.iter().copied().map(Digest::from_bytes).collect();
            let held: Vec<_> = held
                .into_iter()
                .filter(|digest| usize::from(digest.shard()) == n)
                .collect();
            *unpoisoned(slot.shard.write()) = Shard::holding(&held, RATE, Load::Quiet)?;
        }
        prefilter.missing = AtomicUsize::new(0);
        if !digests.is_empty() {
            prefilter.kinds.add_all(Kinds::of(Kind::Token));
        }
        encode(&prefilter, &STORE, &super::Run::default(), covers)
    }

    /// Filters that were believed.
    #[derive(Debug)]
    pub struct Believed {
        prefilter: Prefilter,
        run: super::Run,
        covers: u64,
    }

    impl Believed {
        /// Reads a file; none if it is not believed.
        #[must_use]
        pub fn read(bytes: &[u8]) -> Option<Self> {
            let saved = decode(bytes, &STORE, RATE).ok()?;
            Some(Self {
                covers: saved.covers.0,
                run: saved.run,
                prefilter: saved.prefilter,
            })
        }

        /// Up to where a look at a file says that it covers the journal; none if that is not believed.
        #[must_use]
        pub fn look(bytes: &[u8]) -> Option<u64> {
            super::looked(bytes, |rate| decode(bytes, &STORE, rate))
                .ok()
                .map(|covers| covers.0)
        }

        /// Whether the token of `digest` may be listed.
        #[must_use]
        pub fn may_contain(&self, digest: [u8; 16]) -> bool {
            self.prefilter.may_contain_any(Kind::Token) && self.prefilter.may_contain(&Digest::from_bytes(digest))
        }

        /// The most hash functions that any of its filters asks for, and how many one of the least capacity has.
        #[must_use]
        pub fn hashes(&self) -> (u32, u32) {
            let filters = self.prefilter.slots.iter().map(|slot| {
                let shard = unpoisoned(slot.shard.read());
                shard.filter.as_ref().map_or(0, Bloom::number_of_hash_functions)
            });
            let least = Shard::holding(&[], RATE, Load::Quiet).and_then(|shard| shard.filter);
            (
                filters.max().unwrap_or(0),
                least.map_or(0, |filter| filter.number_of_hash_functions()),
            )
        }

        /// The file that it would be saved as.
        #[must_use]
        pub fn save(&self) -> Option<Vec<u8>> {
            encode(&self.prefilter, &STORE, &self.run, self.covers)
        }
    }
}
