//! What belongs to a backup: lines of text, for people too, under a checksum.
//!
//! ```text
//! ostracon-backup 1
//! store 5f0c…            the store's id, 32 hexadecimal digits
//! sequence 4711          the number of the last record
//! file 1c291ca3 48 identity
//! file 9ae0daaf 4096 journal/00000000000000000001.log
//! end 0b8e27d1           CRC-32 of all lines before
//! ```

use std::{fmt::Write, fs, path::Path};

use super::files::Content;
use crate::{
    error::StoreError,
    files::write_new,
    identity::{self, StoreId},
    prefilter::saved,
};

pub(super) const FILE: &str = "manifest";
const FORMAT: u32 = 1;

/// No manifest is longer: room for a journal of some 100,000 segments.
const MAX_BYTES: u64 = 8 << 20;

#[derive(Debug, Eq, PartialEq)]
pub(super) struct Manifest {
    pub(super) store: StoreId,
    pub(super) sequence: u64,
    pub(super) files: Vec<(String, Content)>,
}

impl Manifest {
    pub(super) fn new(store: StoreId, sequence: u64) -> Self {
        Self {
            store,
            sequence,
            files: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &str, content: Content) {
        self.files.push((name.to_owned(), content));
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        write_new(&dir.join(FILE), self.encode().as_bytes())
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let each = self.files.iter().map(|(_, content)| content.bytes);
        each.fold(0, u64::saturating_add)
    }

    fn encode(&self) -> String {
        let mut text = format!(
            "ostracon-backup {FORMAT}\nstore {:032x}\nsequence {}\n",
            u128::from_be_bytes(self.store),
            self.sequence
        );
        for (name, Content { bytes, crc }) in &self.files {
            // Writing to a text does not fail.
            let _ = writeln!(text, "file {crc:08x} {bytes} {name}");
        }
        let crc = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "end {crc:08x}");
        text
    }

    pub(super) fn read(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        let found = fs::metadata(&path).and_then(|found| match found.len() {
            0..=MAX_BYTES => fs::read_to_string(&path),
            _ => Err(std::io::ErrorKind::FileTooLarge.into()),
        });
        let text = found.map_err(|e| StoreError::backup(dir, format!("its manifest cannot be read: {e}")))?;
        if let Some(format) = newer(&text) {
            return Err(StoreError::Newer {
                path,
                found: format,
                known: FORMAT,
            });
        }
        Self::decode(&text).ok_or_else(|| StoreError::backup(dir, "its manifest is damaged"))
    }

    fn decode(text: &str) -> Option<Self> {
        let (body, crc) = text.strip_suffix('\n')?.rsplit_once("\nend ")?;
        let body = text.get(..body.len().checked_add(1)?)?;
        if hex(crc, 8)? != u128::from(crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let mut lines = body.lines();
        let first = lines.next()?.strip_prefix("ostracon-backup ")?;
        if first.parse() != Ok(FORMAT) {
            return None;
        }
        let store = hex(lines.next()?.strip_prefix("store ")?, 32)?.to_be_bytes();
        let sequence = lines.next()?.strip_prefix("sequence ")?.parse().ok()?;
        let files = lines.map(file).collect::<Option<Vec<_>>>()?;
        let complete = files.iter().any(|(name, _)| name == identity::FILE);
        complete.then_some(Self { store, sequence, files })
    }
}

#[doc(hidden)]
/// Reads any bytes as a manifest: no panic, no name that leads elsewhere, and the same bytes when it is written again.
pub fn fuzz_manifest(bytes: &[u8]) {
    let read = core::str::from_utf8(bytes).ok().and_then(Manifest::decode);
    if let Some(manifest) = read {
        assert!(manifest.files.iter().all(|(name, _)| is_name(name)));
        assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Some(&manifest));
    }
}

fn newer(text: &str) -> Option<u32> {
    let format = text.lines().next()?.strip_prefix("ostracon-backup ")?.parse().ok()?;
    (format > FORMAT).then_some(format)
}

fn file(line: &str) -> Option<(String, Content)> {
    let (crc, rest) = line.strip_prefix("file ")?.split_once(' ')?;
    let (bytes, name) = rest.split_once(' ')?;
    let content = Content {
        bytes: bytes.parse().ok()?,
        crc: u32::try_from(hex(crc, 8)?).ok()?,
    };
    is_name(name).then(|| (name.to_owned(), content))
}

/// A file of the directory itself or of its journal, and nothing else: a manifest leads nowhere.
fn is_name(name: &str) -> bool {
    let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    let segment = |name: &str| {
        let digits = name.strip_suffix(".log").unwrap_or_default();
        digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    // Of what opening takes for its own, none comes from a backup.
    let own = [FILE, "lock", saved::FILE];
    plain(name) && !own.contains(&name) || name.strip_prefix("journal/").is_some_and(segment)
}

fn hex(text: &str, digits: usize) -> Option<u128> {
    let all = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    all.then(|| u128::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new([7; 16], 4711);
        manifest.add("identity", Content { bytes: 48, crc: 1 });
        manifest.add("journal/00000000000000000001.log", Content { bytes: 4096, crc: 2 });
        manifest
    }

    #[test]
    fn is_read_as_it_was_written_and_no_flipped_bit_passes() {
        let text = manifest().encode();
        assert_eq!(Manifest::decode(&text), Some(manifest()));
        for at in 0..text.len() {
            let mut flipped = text.clone().into_bytes();
            flipped[at] ^= 1;
            let read = String::from_utf8(flipped).ok().and_then(|text| Manifest::decode(&text));
            assert_eq!(read, None, "byte {at}");
            assert_eq!(Manifest::decode(&text[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn leads_nowhere() {
        for bad in [
            "../x",
            "/etc/passwd",
            "journal/../x",
            "journal/1.log",
            "manifest",
            "lock",
            "prefilter",
            "",
            "journal/",
            "a/b",
            "A",
        ] {
            assert!(!is_name(bad), "{bad}");
        }
        assert!(is_name("successor-key") && is_name("journal/00000000000000000001.log"));
    }
}
