//! Which store this is, and the secret that its keys are made with.
//!
//! One file, written once: `"OSTRACON"`, format (4 bytes), store id (16), digest key (16), CRC-32 of all before (4).

use std::{io, path::Path};

use crate::{digest::DigestKey, error::StoreError, files, seam};

const MAGIC: &[u8; 8] = b"OSTRACON";
/// Up to format 1, the digests of an engine were made otherwise.
const FORMAT: u32 = 2;
pub(crate) const FILE: &str = "identity";

/// Ties journal and engine together: files of another store are not taken for this one's.
pub(crate) type StoreId = [u8; 16];

#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) id: StoreId,
    pub(crate) key: DigestKey,
    format: u32,
}

impl Identity {
    /// Reads the identity of the store in `dir`; none if it has none.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = dir.join(FILE);
        match seam::read(&path) {
            Ok(bytes) => Self::decode(&bytes, &path).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io(path, e)),
        }
    }

    /// One that no other store has, not yet written.
    pub(crate) fn new(dir: &Path) -> Result<Self, StoreError> {
        Self::random().map_err(|e| StoreError::io(dir.join(FILE), e))
    }

    /// Whether engine and prefilter are of this version, too.
    ///
    /// # Errors
    ///
    /// [`StoreError::Older`] if they are not.
    pub(crate) fn is_current(&self, dir: &Path) -> Result<(), StoreError> {
        if self.format == FORMAT {
            return Ok(());
        }
        Err(StoreError::Older {
            path: dir.join(FILE),
            found: self.format,
            known: FORMAT,
        })
    }

    /// Writes it into `dir`, as one of this version.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        files::write_new(&dir.join(FILE), &self.encode())
    }

    fn random() -> io::Result<Self> {
        let (mut id, mut key) = ([0; 16], [0; 16]);
        getrandom::fill(&mut id).map_err(io::Error::other)?;
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Ok(Self {
            id,
            key: DigestKey::new(key),
            format: FORMAT,
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &FORMAT.to_be_bytes(), &self.id, self.key.as_bytes()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8], path: &Path) -> Result<Self, StoreError> {
        let damaged = || StoreError::damaged(path, "its checksum does not fit");
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body).to_be_bytes() != *crc {
            return Err(damaged());
        }
        let (magic, rest) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (format, rest) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
        let format = u32::from_be_bytes(*format);
        if magic == MAGIC && format > FORMAT {
            return Err(StoreError::Newer {
                path: path.into(),
                found: format,
                known: FORMAT,
            });
        }
        let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        let (key, rest) = rest.split_first_chunk::<16>().ok_or_else(damaged)?;
        if magic != MAGIC || !rest.is_empty() {
            return Err(damaged());
        }
        Ok(Self {
            id: *id,
            key: DigestKey::new(*key),
            format,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Identity::read(dir.path()).unwrap().is_none());
        let made = Identity::new(dir.path()).unwrap();
        made.write(dir.path()).unwrap();
        let read = Identity::read(dir.path()).unwrap().unwrap();
        assert_eq!(made.encode(), read.encode());
        assert_ne!(made.encode(), Identity::random().unwrap().encode());
    }

    #[test]
    fn a_flipped_or_newer_one_stops_the_opening() {
        let dir = tempfile::tempdir().unwrap();
        let good = Identity::random().unwrap().encode();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(
                matches!(Identity::decode(&bad, dir.path()), Err(StoreError::Damaged { .. })),
                "byte {at}"
            );
        }
        let mut newer = [&MAGIC[..], &3_u32.to_be_bytes(), &[0; 99]].concat();
        newer.extend(crc32fast::hash(&newer).to_be_bytes());
        assert!(matches!(
            Identity::decode(&newer, dir.path()),
            Err(StoreError::Newer { found: 3, known: 2, .. })
        ));
    }
}
