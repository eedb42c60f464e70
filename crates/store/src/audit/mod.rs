//! The audit log: who did what, when and why, in files that are only ever appended to and show what was done to them.
//!
//! Of what a record says this module knows nothing: a line of text, and when it was written. It keeps them in order, and
//! chains them: each record's hash is over the hash of the one before, so that a record that is altered or removed breaks
//! every hash behind it. Whoever keeps a [`Head`] elsewhere can tell that the log up to there is the one it was.
//!
//! `audit/<number of the first record, 20 digits>.log`: a header of `"OSTRAUDT"`, format (4 bytes), number of the first
//! record (8), hash of the record before it (32), CRC-32 of these (4); then frames (`frame.rs`). Whole segments go when
//! they are older than the retention or there are too many bytes; that they went is itself a record.

mod frame;
mod reader;
mod recovery;
mod verify;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use ostracon_core::UnixTime;

use self::{
    frame::Hash,
    writer::{Ask, Writer},
};
pub use self::{
    frame::MAX_TEXT_BYTES,
    reader::{Direction, read},
    verify::{Flaw, Verified, verify},
};
use crate::{error::StoreError, files, shared::unpoisoned};

/// Records that may wait for the disk; beyond, they are lost, and counted.
const MAX_WAITING: usize = 16_384;

/// How a log is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// For how long records are kept at least, unless they become too many.
    pub retention: Duration,
    /// The bytes that the log may take; beyond, the oldest segments go before their time.
    pub max_bytes: u64,
    /// The size at which a segment is closed and the next begun.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retention: Duration::from_hours(400 * 24),
            max_bytes: 1 << 30,
            segment_bytes: 4 << 20,
        }
    }
}

/// One record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its number; the first is 1, and none is left out.
    pub number: u64,
    /// When it was written, in whole seconds.
    pub at: UnixTime,
    /// What it says.
    pub content: Content,
    /// The hash over it and, through the hash of the one before, over all before it.
    pub hash: Digest256,
}

/// What a record says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Content {
    /// What it was given.
    Text(Box<str>),
    /// The records below this number were dropped: they were past their time, or too many.
    Dropped {
        /// The first that was kept.
        below: u64,
    },
    /// Up to so many records could not be written, or were lost in a crash.
    Lost {
        /// How many at most.
        most: u64,
    },
}

/// A hash of SHA-256, shown in hexadecimal.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Digest256(Hash);

impl fmt::Display for Digest256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The last record and its hash: whoever writes this down can hold the log against it later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// The number of the last record; zero when there is none.
    pub number: u64,
    /// Its hash.
    pub hash: Digest256,
}

/// A look at a log that is open.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The last record that is on the disk.
    pub head: Head,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Its segments.
    pub segments: usize,
    /// Records that could not be written since the opening.
    pub lost: u64,
    /// Why the last write failed; none when it succeeded.
    pub failing: Option<Arc<str>>,
}

/// A log that is open, and the thread that writes it. Dropping it ends it as [`Audit::close`] does.
#[derive(Debug)]
pub struct Audit {
    dir: PathBuf,
    asks: Mutex<Option<mpsc::SyncSender<Ask>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    stats: Arc<Mutex<Stats>>,
}

impl Audit {
    /// Opens the log in `dir`, or begins one there, readable by its owner alone. Blocks; reads the last segment.
    ///
    /// A record that a crash has cut short is removed, and a segment that is damaged is left as it is and another begun
    /// behind it; either leaves a record of [`Content::Lost`]. The directory is the caller's own: a denylist's lock guards it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::Newer`].
    pub fn open(dir: &Path, options: &Options, now: UnixTime) -> Result<Self, StoreError> {
        files::create_dir(dir)?;
        let writer = Writer::open(dir, options.clone(), now)?;
        let stats = writer.stats();
        let (asks, asked) = mpsc::sync_channel(MAX_WAITING);
        let thread = thread::Builder::new()
            .name("ostracon-audit".into())
            .spawn(move || writer.run(&asked))
            .map_err(|e| StoreError::io(dir, e))?;
        Ok(Self {
            dir: dir.into(),
            asks: Mutex::new(Some(asks)),
            writer: Mutex::new(Some(thread)),
            stats,
        })
    }

    /// Appends `text`, written at `at`, and tells `done` its number once it is on the disk: within one sync that all who
    /// wait share. Does not block.
    pub fn append(&self, at: UnixTime, text: String, done: impl FnOnce(Result<u64, StoreError>) + Send + 'static) {
        self.ask(Ask::record(at, text, Some(Box::new(done))));
    }

    /// Appends `text`, written at `at`. Nobody waits for it: it is handed to the system at once, so that a kill does not
    /// lose it, and synced within a second.
    pub fn note(&self, at: UnixTime, text: String) {
        self.ask(Ask::record(at, text, None));
    }

    fn ask(&self, ask: Ask) {
        let asks = unpoisoned(self.asks.lock()).clone();
        let refused = match asks {
            None => Some((ask, StoreError::Closed)),
            Some(asks) => match asks.try_send(ask) {
                Ok(()) => None,
                Err(mpsc::TrySendError::Full(ask)) => Some((ask, StoreError::Busy)),
                Err(mpsc::TrySendError::Disconnected(ask)) => Some((ask, StoreError::Closed)),
            },
        };
        if let Some((ask, error)) = refused {
            let mut stats = unpoisoned(self.stats.lock());
            stats.lost = stats.lost.saturating_add(1);
            drop(stats);
            ask.refuse(&error);
        }
    }

    /// Drops what is past its time at `now`, or too much. Does not block.
    pub fn retain(&self, now: UnixTime) {
        let asks = unpoisoned(self.asks.lock()).clone();
        // Where the queue is full, it is done at the next turn.
        let _ = asks.map(|asks| asks.try_send(Ask::Retain(now)));
    }

    /// Waits until all that was appended so far is on the disk, or lost.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub fn settle(&self) -> Result<(), StoreError> {
        let (done, settled) = mpsc::sync_channel(1);
        let asks = unpoisoned(self.asks.lock()).clone().ok_or(StoreError::Closed)?;
        asks.send(Ask::Settle(done)).map_err(|_| StoreError::Closed)?;
        settled.recv().map_err(|_| StoreError::Closed)
    }

    /// Hands the records behind (or, in the other direction, before) the number `cursor` to `each` until it breaks.
    /// Blocks; costs a pass over the segments that have them.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`].
    pub fn read(
        &self,
        direction: Direction,
        cursor: Option<u64>,
        each: &mut dyn FnMut(Record) -> std::ops::ControlFlow<()>,
    ) -> Result<(), StoreError> {
        read(&self.dir, direction, cursor, each)
    }

    /// Figures. Cheap.
    #[must_use]
    pub fn stats(&self) -> Stats {
        unpoisoned(self.stats.lock()).clone()
    }

    /// Writes what waits, syncs, and ends; what comes later is lost. Blocks.
    pub fn close(&self) {
        // Without a sender the thread writes what waits, and ends.
        drop(unpoisoned(self.asks.lock()).take());
        if let Some(writer) = unpoisoned(self.writer.lock()).take() {
            // A thread that panicked has said so.
            let _ = writer.join();
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        self.close();
    }
}

#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests;
