//! Files that others must not read.

use std::{fs::File, io, io::Read, os::unix::fs::MetadataExt, path::Path};

use zeroize::Zeroizing;

/// Why the bytes of a file cannot be had.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system says so.
    Failed(io::Error),
    /// Others can read or change it; in words for its owner.
    Exposed(String),
}

/// The bytes of the file at `path`, which its owner and its group alone can open.
///
/// # Errors
///
/// Why it cannot be read or is not private, in words for its owner and with nothing of it.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    read(path).map_err(|why| match why {
        Unread::Failed(error) => error.to_string(),
        Unread::Exposed(told) => told,
    })
}

pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let mut file = File::open(path).map_err(Unread::Failed)?;
    // Of the file that was opened: another may be at this path by now.
    let found = file.metadata().map_err(Unread::Failed)?;
    let mode = found.mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(Unread::Exposed(format!(
            "others can read or change it (mode {mode:04o}); run `chmod o-rwx {}`",
            path.display()
        )));
    }
    // With room for all of it, so that no shorter copy is left behind where it would have been moved from.
    let room = usize::try_from(found.size())
        .unwrap_or(0)
        .min(1 << 20)
        .saturating_add(64);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.read_to_end(&mut bytes).map_err(Unread::Failed)?;
    Ok(bytes)
}
