//! Opening a log: where its chain ends, and what a crash or somebody else has made of it.

use std::{
    fs::{self, File},
    io::Read,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
};

use ostracon_core::UnixTime;

use super::{
    Digest256, Head, Options, Stats,
    frame::{self, HEADER_BYTES, MIN_FRAME, NotAHeader},
    reader::{self, End},
    writer::{Position, Segment, Writer, open},
};
use crate::error::StoreError;

impl Writer {
    pub(super) fn open(dir: &Path, options: Options, now: UnixTime) -> Result<Self, StoreError> {
        let mut segments = Vec::new();
        for (first, path) in reader::list(dir)? {
            let bytes = fs::metadata(&path).map_err(|e| StoreError::io(&path, e))?.len();
            segments.push(Segment {
                first,
                first_at: first_at(&path)?,
                bytes,
                path,
            });
        }
        let (mut gone, mut end) = (0, None);
        // The newest segment that has an end to go on from: the last one, unless it is damaged from its header on.
        for segment in segments.iter().rev() {
            let bytes = fs::read(&segment.path).map_err(|e| StoreError::io(&segment.path, e))?;
            match reader::scan(&bytes, &mut |_| ControlFlow::Continue(())) {
                Ok(scanned) => {
                    end = Some((scanned, bytes.len()));
                    break;
                }
                Err(NotAHeader::Newer(found)) => {
                    return Err(StoreError::Newer {
                        path: segment.path.clone(),
                        found,
                        known: 1,
                    });
                }
                Err(NotAHeader::Damaged) => gone = most_in(bytes.len()).saturating_add(gone),
            }
        }
        let stats = Stats {
            head: Head {
                number: 0,
                hash: Digest256([0; 32]),
            },
            bytes: 0,
            segments: 0,
            lost: 0,
            failing: None,
        };
        let start = Position {
            next: segments.last().map_or(1, |last| last.first),
            hash: [0; 32],
            bytes: 0,
        };
        let mut writer = Self {
            dir: dir.into(),
            options,
            segments,
            file: None,
            at: start,
            synced: start,
            unsynced_since: None,
            untold: 0,
            stats: Arc::new(Mutex::new(stats)),
        };
        writer.resume(end, gone, now)?;
        Ok(writer)
    }

    /// Goes on behind what the log was `found` to end with.
    fn resume(&mut self, found: Option<(reader::Scanned, usize)>, gone: u64, now: UnixTime) -> Result<(), StoreError> {
        let Some((scanned, bytes)) = found else {
            // Two logs must not have a record in common: each begins its chain with a hash of its own.
            getrandom::fill(&mut self.at.hash).map_err(|e| StoreError::io(&self.dir, e.into()))?;
            self.at.next = self.at.next.saturating_add(gone);
            self.untold = gone;
            self.begin()?;
            return self.recovered(now);
        };
        let beyond = most_in(bytes.saturating_sub(scanned.good_bytes)).saturating_add(gone);
        self.at = Position {
            next: scanned.next,
            hash: scanned.hash,
            bytes: u64::try_from(scanned.good_bytes).unwrap_or(u64::MAX),
        };
        let path = self
            .segments
            .last()
            .map(|segment| segment.path.clone())
            .unwrap_or_default();
        match scanned.end {
            End::Open | End::Torn if gone == 0 => {
                let file = open(&path).and_then(|file| file.set_len(self.at.bytes).map(|()| file));
                self.file = Some(file.map_err(|e| StoreError::io(&path, e))?);
                if scanned.end == End::Torn {
                    tracing::warn!(segment = %path.display(), "the last audit record was cut short, as by a crash");
                    self.untold = 1;
                }
            }
            End::Closed if gone == 0 => self.begin()?,
            // What is damaged stays as it is, for whoever has to look into it. Numbers that it may have held are not given
            // again.
            damage => {
                tracing::error!(?damage, segment = %path.display(), "the audit log is damaged; it goes on behind the damage");
                self.at.next = self.at.next.saturating_add(beyond);
                self.untold = beyond;
                self.begin()?;
            }
        }
        self.recovered(now)
    }

    fn recovered(&mut self, now: UnixTime) -> Result<(), StoreError> {
        self.tell_lost(now)?;
        self.sync()
    }
}

/// How many records can have been in so many bytes, at most.
fn most_in(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(MIN_FRAME)).unwrap_or(u64::MAX)
}

/// When the first record of the segment at `path` was written.
fn first_at(path: &Path) -> Result<Option<UnixTime>, StoreError> {
    let most = u64::try_from(
        HEADER_BYTES
            .saturating_add(MIN_FRAME)
            .saturating_add(frame::MAX_TEXT_BYTES),
    );
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most.unwrap_or(0)).read_to_end(&mut head))
        .map_err(|e| StoreError::io(path, e))?;
    let scanned = reader::scan(&head, &mut |_| ControlFlow::Break(()));
    Ok(scanned.ok().and_then(|scanned| scanned.first_at))
}
