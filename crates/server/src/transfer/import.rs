//! Reading a file into a store.

use std::io::Read;

use ostracon_core::{Issuer, Revocation, UnixTime};
use ostracon_store::{Commit, StoreError};
use serde::Serialize;

use super::{Assumed, Format, TransferError, Unusable, csv::Columns, ndjson, redis};
use crate::{
    app::App,
    lines::{Line, Lines, MAX_LINE_BYTES},
};

/// Revocations that become durable by one sync.
const CHUNK: usize = 4096;

const BUFFER: usize = 256 * 1024;

/// How a file is read into the store of an application.
#[derive(Debug)]
pub struct Import<'a> {
    /// The application, by whose policy and issuers it is read.
    pub app: &'a App,
    /// What the file is.
    pub format: Format,
    /// The issuer of tokens of which it is not said; none for the application's own.
    pub issuer: Option<Issuer>,
    /// Reads and counts, and writes nothing.
    pub dry_run: bool,
}

/// What has become of the lines of a file. All that is counted as revoked or unchanged is durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Imported {
    /// Lines that were read.
    pub lines: u64,
    /// Those that denied more than was denied before; in a dry run, all that would be written.
    pub revoked: u64,
    /// Those that were so already.
    pub unchanged: u64,
    /// Those whose tokens have ended, and are refused anyway.
    pub expired: u64,
    /// Those that could not be used.
    pub refused: u64,
    /// Bytes that were read.
    #[serde(skip)]
    pub bytes: u64,
}

/// A line that could not be used. Never what stands on it: it may be a token (I8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// Its number, from one.
    pub line: u64,
    /// A word for programs.
    pub code: &'static str,
    /// Why.
    pub detail: String,
}

impl Import<'_> {
    /// Reads `source` to its end, in bounded memory; blocks. A line that cannot be used stops nothing, and reading a file
    /// once more does no harm: the stricter of two entries stands.
    ///
    /// # Errors
    ///
    /// [`TransferError`], and in `imported` what was done until then.
    pub fn run(
        &self,
        source: &mut dyn Read,
        imported: &mut Imported,
        watch: &mut dyn FnMut(&Imported),
        refused: &mut dyn FnMut(Refusal),
    ) -> Result<(), TransferError> {
        let (mut lines, mut columns) = (Lines::default(), Columns::default());
        let mut buffer = vec![0; BUFFER];
        let mut writer = Writer::new(self);
        loop {
            let read = match source.read(&mut buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            let piece = buffer.get(..read).unwrap_or_default();
            let ended = if piece.is_empty() {
                std::mem::take(&mut lines).finish().into_iter().collect()
            } else {
                lines.push(piece)
            };
            for line in ended {
                self.look_at(line, &mut columns, &mut writer, imported, refused)?;
            }
            imported.bytes = imported.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
            watch(imported);
            if piece.is_empty() {
                writer.write(imported)?;
                return Ok(writer.arrive(imported)?);
            }
        }
    }

    fn look_at(
        &self,
        Line { number, text }: Line,
        columns: &mut Columns,
        writer: &mut Writer<'_>,
        imported: &mut Imported,
        refused: &mut dyn FnMut(Refusal),
    ) -> Result<(), StoreError> {
        imported.lines = number;
        let read = match text {
            Some(text) if text.trim_ascii().is_empty() => return Ok(()),
            Some(text) => self.read(&text, columns),
            None => Err(Unusable::new(format!("it is longer than {MAX_LINE_BYTES} bytes"))),
        };
        match read {
            Ok(None) => Ok(()),
            Ok(Some(revocation)) => writer.take(revocation, imported),
            Err(Unusable { code, detail }) => {
                imported.refused = imported.refused.saturating_add(1);
                refused(Refusal {
                    line: number,
                    code,
                    detail,
                });
                Ok(())
            }
        }
    }

    fn read(&self, text: &[u8], columns: &mut Columns) -> Result<Option<Revocation>, Unusable> {
        let terms = self.app.terms();
        let iss = self.issuer.as_ref().unwrap_or(terms.own);
        let assumed = Assumed { terms, iss };
        match &self.format {
            Format::Ndjson => ndjson::read(text, &terms).map(Some),
            Format::Redis { prefix } => redis::read(text, prefix, &assumed).map(Some),
            Format::Csv => columns.read(text, &assumed),
        }
    }
}

/// Writes in chunks, the next of which is read while one is on its way to the disk.
struct Writer<'a> {
    import: &'a Import<'a>,
    now: UnixTime,
    chunk: Vec<Revocation>,
    written: Option<Commit>,
}

impl<'a> Writer<'a> {
    fn new(import: &'a Import<'a>) -> Self {
        Self {
            import,
            now: import.app.now(),
            chunk: Vec::with_capacity(CHUNK),
            written: None,
        }
    }

    fn take(&mut self, revocation: Revocation, imported: &mut Imported) -> Result<(), StoreError> {
        let count = if revocation.retained_until() <= self.now {
            // A69: what has ended is refused anyway; an entry for it would only be swept.
            &mut imported.expired
        } else if self.import.dry_run {
            &mut imported.revoked
        } else {
            self.chunk.push(revocation);
            return if self.chunk.len() < CHUNK {
                Ok(())
            } else {
                self.write(imported)
            };
        };
        *count = count.saturating_add(1);
        Ok(())
    }

    fn write(&mut self, imported: &mut Imported) -> Result<(), StoreError> {
        self.arrive(imported)?;
        if !self.chunk.is_empty() {
            let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
            self.written = Some(self.import.app.denylist().submit(chunk)?);
        }
        Ok(())
    }

    fn arrive(&mut self, imported: &mut Imported) -> Result<(), StoreError> {
        let Some(commit) = self.written.take() else {
            return Ok(());
        };
        for receipt in commit.wait()? {
            let count = if receipt.changed {
                &mut imported.revoked
            } else {
                &mut imported.unchanged
            };
            *count = count.saturating_add(1);
        }
        Ok(())
    }
}
