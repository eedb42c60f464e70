//! Telling whether a log is what was written.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    Content, Digest256, Head,
    frame::{Hash, NotAHeader},
    reader::{End, bytes_of, list, scan},
};
use crate::error::StoreError;

/// Something about a log that is not as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Flaw {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub detail: String,
    /// Whether it is what a crash leaves at the end of a log: a record that is cut short.
    pub is_torn: bool,
}

/// What a log is found to be.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Records that are there and in order.
    pub records: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them, and its hash.
    pub head: Head,
    /// What is not as it was written; empty when all is well.
    pub flaws: Vec<Flaw>,
}

/// Reads the whole log in `dir` and holds it against its own chain: altered, removed and reordered records show, and so do
/// missing segments, but for those at the beginning that a later record says were dropped. A log whose end was cut off
/// between two records looks whole to itself: hold it against a [`Head`] that was kept elsewhere, by giving it as `expected`.
///
/// # Errors
///
/// [`StoreError::Io`].
pub fn verify(dir: &Path, expected: Option<(u64, &str)>) -> Result<Verified, StoreError> {
    let segments = list(dir)?;
    let mut verified = Verified {
        records: 0,
        first: 0,
        head: Head {
            number: 0,
            hash: Digest256([0; 32]),
        },
        flaws: Vec::new(),
    };
    let (mut dropped_below, mut found, mut before, mut closed) = (1_u64, None, None::<(u64, Hash)>, false);
    for (first, path) in &segments {
        let mut flaw = |detail: String| {
            verified.flaws.push(Flaw {
                path: path.clone(),
                detail,
                is_torn: false,
            });
        };
        let Some(bytes) = bytes_of(path)? else { continue };
        let (mut records, mut last) = (0_u64, None);
        let scanned = scan(&bytes, &mut |record| {
            if let Content::Dropped { below } = record.content {
                dropped_below = dropped_below.max(below);
            }
            if let Some((number, hash)) = expected.filter(|(number, _)| *number == record.number) {
                found = Some((number, record.hash.to_string().eq_ignore_ascii_case(hash)));
            }
            records = records.saturating_add(1);
            last = Some(Head {
                number: record.number,
                hash: record.hash,
            });
            ControlFlow::Continue(())
        });
        closed = false;
        match scanned {
            Err(NotAHeader::Damaged) => flaw("its header is damaged".into()),
            Err(NotAHeader::Newer(format)) => flaw(format!("it has format {format}, which this version does not know")),
            Ok(scanned) => {
                if scanned.header.first != *first {
                    flaw(format!(
                        "it begins with record {}, not with {first}",
                        scanned.header.first
                    ));
                }
                match before {
                    Some((next, _)) if next != scanned.header.first => {
                        let until = scanned.header.first.saturating_sub(1);
                        flaw(format!("records {next} to {until} are missing before it"));
                    }
                    Some((next, hash)) if hash != scanned.header.previous => {
                        flaw(format!("record {next} does not follow from what is before it"));
                    }
                    _ => {}
                }
                match &scanned.end {
                    End::Damaged(detail) => flaw(detail.clone()),
                    End::Torn => verified.flaws.push(Flaw {
                        path: path.clone(),
                        detail: "its last record is cut short, as by a crash or while it is written".into(),
                        is_torn: segments.last().is_some_and(|(_, last)| last == path),
                    }),
                    End::Closed => closed = true,
                    End::Open => {}
                }
                before = Some((scanned.next, scanned.hash));
            }
        }
        if verified.records == 0 {
            verified.first = *first;
        }
        verified.records = verified.records.saturating_add(records);
        verified.head = last.unwrap_or(verified.head);
    }
    let mut flaw = |detail: String| {
        let path = dir.to_owned();
        verified.flaws.push(Flaw {
            path,
            detail,
            is_torn: false,
        });
    };
    if verified.first > dropped_below {
        flaw(format!(
            "records before {} are missing, and no record says that they were dropped",
            verified.first
        ));
    }
    if closed {
        flaw("the last segment was closed, and the one behind it is missing".into());
    }
    match (expected, found) {
        (Some(_), Some((_, true))) | (None, _) => {}
        (Some((number, _)), Some(_)) => flaw(format!("record {number} is not the one that is expected")),
        (Some((number, _)), None) if number < verified.first => {}
        (Some((number, _)), None) => flaw(format!("record {number} is expected and missing")),
    }
    Ok(verified)
}
