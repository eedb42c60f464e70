//! The one thread that writes the log: appends all that waits as one group, syncs for those who wait, and closes and
//! drops segments.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use ostracon_core::UnixTime;

use super::{
    Content, Digest256, Head, Options, Stats,
    frame::{self, HEADER_BYTES, Hash, Header},
};
use crate::{error::StoreError, files, shared::unpoisoned};

/// How long what nobody waits for may lie unsynced.
const SYNC_AFTER: Duration = Duration::from_secs(1);

/// Records in one group.
const MAX_GROUP: usize = 1024;

type Done = Box<dyn FnOnce(Result<u64, StoreError>) + Send>;

/// What the writer is asked for.
pub(super) enum Ask {
    Record {
        at: UnixTime,
        text: String,
        done: Option<Done>,
    },
    Retain(UnixTime),
    Settle(mpsc::SyncSender<()>),
}

impl Ask {
    pub(super) fn record(at: UnixTime, text: String, done: Option<Done>) -> Self {
        Self::Record { at, text, done }
    }

    /// Says that it is not done, to whoever waits and to the log for people.
    pub(super) fn refuse(self, error: &StoreError) {
        if let Self::Record { text, done, .. } = self {
            tracing::error!(%error, record = text, "an audit record is lost");
            if let Some(done) = done {
                done(Err(error.clone()));
            }
        }
    }
}

/// A segment, as far as dropping it is concerned.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When its first record was written; what is before it is as old or older.
    pub(super) first_at: Option<UnixTime>,
}

/// Where the chain stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    pub(super) next: u64,
    pub(super) hash: Hash,
    /// Bytes of the open segment.
    pub(super) bytes: u64,
}

pub(super) struct Writer {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    /// Oldest first; the last is the one that is written.
    pub(super) segments: Vec<Segment>,
    /// None after a failure, until another segment could be begun.
    pub(super) file: Option<File>,
    pub(super) at: Position,
    pub(super) synced: Position,
    pub(super) unsynced_since: Option<Instant>,
    /// Records that are gone, and that no record tells of yet.
    pub(super) untold: u64,
    pub(super) stats: Arc<Mutex<Stats>>,
}

impl Writer {
    pub(super) fn stats(&self) -> Arc<Mutex<Stats>> {
        Arc::clone(&self.stats)
    }

    /// Runs until nobody can ask any more.
    pub(super) fn run(mut self, asked: &mpsc::Receiver<Ask>) {
        loop {
            let first = match self.unsynced_since {
                None => asked.recv().ok(),
                Some(since) => match asked.recv_timeout(SYNC_AFTER.saturating_sub(since.elapsed())) {
                    Ok(ask) => Some(ask),
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        self.sync_unwaited();
                        continue;
                    }
                    Err(mpsc::RecvTimeoutError::Disconnected) => None,
                },
            };
            let Some(first) = first else { break };
            let group: Vec<_> = std::iter::once(first).chain(asked.try_iter().take(MAX_GROUP)).collect();
            self.group(group);
        }
        self.sync_unwaited();
    }

    /// Nobody waits; that it failed is told by [`Writer::fail`].
    fn sync_unwaited(&mut self) {
        let _ = self.sync_or_fail();
    }

    fn group(&mut self, group: Vec<Ask>) {
        let (mut waiting, mut settled, mut retain) = (Vec::new(), Vec::new(), None);
        for ask in group {
            match ask {
                Ask::Retain(now) => retain = Some(now),
                Ask::Settle(done) => settled.push(done),
                Ask::Record { at, text, done } => {
                    let content = Content::Text(text.into());
                    let written = self
                        .ready(at)
                        .and_then(|()| self.write(at, &content))
                        .inspect_err(|error| {
                            if let Content::Text(text) = &content {
                                tracing::error!(%error, record = &**text, "an audit record is lost");
                            }
                        });
                    match (written, done) {
                        (Ok(number), Some(done)) => waiting.push((number, done)),
                        (Ok(_), None) => {}
                        (Err(error), done) => {
                            self.fail(&error, 1);
                            if let Some(done) = done {
                                done(Err(error));
                            }
                        }
                    }
                }
            }
        }
        if let Some(Err(error)) = retain.map(|now| self.drop_old(now)) {
            self.fail(&error, 0);
        }
        let outcome = if waiting.is_empty() && settled.is_empty() {
            Ok(())
        } else {
            self.sync_or_fail()
        };
        for (number, done) in waiting {
            // Numbers that were rolled back with a failure between the writing and the sync are lost as well.
            let is_synced = number < self.synced.next;
            let lost = || StoreError::Engine("the audit log could not be written".into());
            done(
                outcome
                    .clone()
                    .and_then(|()| is_synced.then_some(number).ok_or_else(lost)),
            );
        }
        // Whoever settles and has gone is no failure.
        for done in settled {
            let _ = done.send(());
        }
    }

    /// Makes sure that there is a segment to write the next record to.
    fn ready(&mut self, at: UnixTime) -> Result<(), StoreError> {
        if self.file.is_none() {
            self.begin_anew(at)?;
        }
        let Some(open) = self.segments.last() else {
            return Ok(());
        };
        let too_old = open
            .first_at
            .is_some_and(|first| at.since(first) >= self.options.retention.div_f64(10.0));
        if self.at.bytes >= self.options.segment_bytes || too_old {
            let end = frame::end(self.at.next, at, &self.at.hash);
            self.append(&end)?;
            // The end is on the disk before the next segment is there: without it, the next one was taken away.
            self.sync()?;
            self.begin()?;
            self.drop_old(at)?;
        }
        Ok(())
    }

    fn write(&mut self, at: UnixTime, content: &Content) -> Result<u64, StoreError> {
        let number = self.at.next;
        let (frame, hash) = frame::record(number, at, content, &self.at.hash)?;
        self.append(&frame)?;
        self.at.next = number.saturating_add(1);
        self.at.hash = hash;
        if let Some(open) = self.segments.last_mut() {
            open.first_at.get_or_insert(at);
        }
        Ok(number)
    }

    fn append(&mut self, frame: &[u8]) -> Result<(), StoreError> {
        let path = self.segments.last().map(|open| &open.path);
        let file = self.file.as_mut().ok_or(StoreError::Closed)?;
        file.write_all(frame)
            .map_err(|e| StoreError::io(path.map_or(&*self.dir, |path| path), e))?;
        self.at.bytes = self
            .at
            .bytes
            .saturating_add(u64::try_from(frame.len()).unwrap_or(u64::MAX));
        self.unsynced_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        if let (Some(file), Some(open)) = (&self.file, self.segments.last_mut()) {
            file.sync_data().map_err(|e| StoreError::io(&open.path, e))?;
            open.bytes = self.at.bytes;
        }
        self.synced = self.at;
        self.unsynced_since = None;
        let mut stats = unpoisoned(self.stats.lock());
        stats.head = Head {
            number: self.synced.next.saturating_sub(1),
            hash: Digest256(self.synced.hash),
        };
        stats.bytes = self.segments.iter().fold(0, |sum, s| s.bytes.saturating_add(sum));
        stats.segments = self.segments.len();
        if self.file.is_some() {
            stats.failing = None;
        }
        Ok(())
    }

    fn sync_or_fail(&mut self) -> Result<(), StoreError> {
        self.sync().inspect_err(|error| self.fail(error, 0))
    }

    /// After a failure nothing about the open file can be believed but what was synced before: what came after it counts as
    /// lost, and the next record begins another segment behind what is sure.
    fn fail(&mut self, error: &StoreError, more: u64) {
        let lost = self.at.next.saturating_sub(self.synced.next).saturating_add(more);
        tracing::error!(%error, lost, "the audit log could not be written");
        self.untold = self.untold.saturating_add(lost);
        self.file = None;
        self.at = self.synced;
        self.unsynced_since = None;
        let mut stats = unpoisoned(self.stats.lock());
        stats.lost = stats.lost.saturating_add(lost);
        stats.failing = Some(error.to_string().into());
    }

    /// Begins another segment behind what was synced last.
    fn begin_anew(&mut self, at: UnixTime) -> Result<(), StoreError> {
        if let Some(open) = self.segments.last_mut() {
            let path = &open.path;
            if open.first == self.at.next {
                // Nothing in it is sure; the next one has its name.
                fs::remove_file(path).map_err(|e| StoreError::io(path, e))?;
                self.segments.pop();
            } else {
                match open_and_cut(path, self.at.bytes) {
                    // Somebody took it away. The chain shows that; to write no more would hide what comes next as well.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        tracing::error!(segment = %path.display(), "a segment of the audit log is gone");
                        self.segments.pop();
                    }
                    cut => cut.map_err(|e| StoreError::io(path, e))?,
                }
            }
        }
        self.begin()?;
        self.tell_lost(at)
    }

    /// Writes down how many records are gone, if any are.
    pub(super) fn tell_lost(&mut self, at: UnixTime) -> Result<(), StoreError> {
        if self.untold > 0 {
            self.write(at, &Content::Lost { most: self.untold })?;
            self.untold = 0;
        }
        Ok(())
    }

    /// Begins the segment of the next record.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        let header = Header {
            first: self.at.next,
            previous: self.at.hash,
        };
        let path = self.dir.join(format!("{:020}.log", header.first));
        // Whole or not at all: a segment never has half a header.
        files::write_new(&path, &header.encode())?;
        self.file = Some(open(&path).map_err(|e| StoreError::io(&path, e))?);
        self.at.bytes = u64::try_from(HEADER_BYTES).unwrap_or(0);
        self.synced = self.at;
        self.segments.push(Segment {
            first: header.first,
            path,
            bytes: self.at.bytes,
            first_at: None,
        });
        Ok(())
    }

    /// Drops the oldest segments while all in them is past its time at `now`, or there are too many bytes.
    fn drop_old(&mut self, now: UnixTime) -> Result<(), StoreError> {
        let mut bytes = self.segments.iter().fold(0_u64, |sum, s| s.bytes.saturating_add(sum));
        let mut below = None;
        for (oldest, next) in self.segments.iter().zip(self.segments.iter().skip(1)) {
            // What is in a segment is no younger than what begins the next.
            let is_old = next
                .first_at
                .is_some_and(|at| at.saturating_add(self.options.retention) <= now);
            if !is_old && bytes <= self.options.max_bytes {
                break;
            }
            bytes = bytes.saturating_sub(oldest.bytes);
            below = Some(next.first);
        }
        let Some(below) = below else { return Ok(()) };
        // Said, durably, before it is done: what is missing without a word was taken away.
        if self.file.is_none() {
            self.begin_anew(now)?;
        }
        self.write(now, &Content::Dropped { below })?;
        self.sync()?;
        while let Some(oldest) = self.segments.first().filter(|oldest| oldest.first < below) {
            fs::remove_file(&oldest.path).map_err(|e| StoreError::io(&oldest.path, e))?;
            self.segments.remove(0);
        }
        files::sync_dir(&self.dir)
    }
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).mode(0o600).open(path)
}

fn open_and_cut(path: &Path, bytes: u64) -> io::Result<()> {
    let file = open(path)?;
    file.set_len(bytes)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::audit::{Direction, read, verify};

    /// What is told to one who waits for `text` to be written.
    fn append(writer: &mut Writer, text: &str) -> Result<u64, StoreError> {
        let (done, told) = mpsc::channel();
        let tell = move |number| done.send(number).unwrap();
        writer.group(vec![Ask::record(
            UnixTime::from_secs(3),
            text.into(),
            Some(Box::new(tell)),
        )]);
        told.recv().unwrap()
    }

    /// A disk that fails takes nothing with it that was acknowledged; once it is mended, the log says how much is missing.
    #[test]
    fn what_cannot_be_written_is_told_to_who_waits_and_later_by_the_log() {
        let dir = tempfile::tempdir().unwrap();
        for kept in [1, 0] {
            let dir = dir.path().join(kept.to_string());
            files::create_dir(&dir).unwrap();
            let mut writer = Writer::open(&dir, Options::default(), UnixTime::from_secs(1)).unwrap();
            let stats = writer.stats();
            let numbers: Vec<_> = (0..kept).map(|_| append(&mut writer, "kept").unwrap()).collect();
            assert_eq!(numbers.len(), kept);
            let unsynced = Content::Text("not synced".into());
            writer.write(UnixTime::from_secs(2), &unsynced).unwrap();
            // Takes nothing, as a disk that is full.
            writer.file = Some(OpenOptions::new().append(true).open("/dev/full").unwrap());
            assert!(matches!(append(&mut writer, "refused"), Err(StoreError::Io { .. })));
            assert!(unpoisoned(stats.lock()).failing.as_ref().unwrap().contains("No space"));
            let next = if kept == 0 { 2 } else { 3 };
            assert_eq!(
                append(&mut writer, "taken").unwrap(),
                next,
                "behind the record of the loss"
            );
            let mut found = Vec::new();
            read(&dir, Direction::Oldest, None, &mut |record| {
                found.push(record.content);
                ControlFlow::Continue(())
            })
            .unwrap();
            let text = |text: &str| Content::Text(text.into());
            assert_eq!(found.split_off(kept), [Content::Lost { most: 2 }, text("taken")]);
            assert!(verify(&dir, None).unwrap().flaws.is_empty());
            let stats = unpoisoned(stats.lock()).clone();
            assert_eq!((stats.lost, stats.failing), (2, None));
        }
    }
}
