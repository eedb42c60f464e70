//! The journal: the truth, of which engine and prefilter are views.
//!
//! Records are appended in groups, one write and one sync for all who wait. A group is one frame under one checksum, so
//! what a crash leaves at the end is at most one torn frame, and nothing in it was acknowledged. (Where syncs are put off,
//! a power cut may leave several, and holes between them: each frame says how far the disk was when it was written, so
//! that what never got there is told from what was damaged.) A segment is closed
//! with a seal that says what it holds, so that opening reads only what the engine has not got.

pub(crate) mod first;
mod frame;
mod inspection;
mod reading;
mod recovery;
mod segment;
mod synced;
mod walk;

use std::path::Path;

use ostracon_core::{Revocation, Target, UnixTime};

pub(crate) use self::{
    frame::MAX_GROUP,
    inspection::inspect,
    reading::Reader,
    recovery::{Recovered, begin, is_unwritten, recover},
    segment::{Journal, Reach, Sealed, When},
    synced::Synced,
    walk::walk,
};

/// One change of the denylist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Record {
    /// The target is denied; merged with what stands.
    Revoke(Revocation),
    /// The target is denied no longer.
    Lift(Target),
    /// What is retained up to this time is about to be dropped.
    Forget(UnixTime),
}

impl Record {
    /// Until when the record is needed.
    fn retained_until(&self) -> UnixTime {
        match self {
            Self::Revoke(revocation) => revocation.retained_until(),
            Self::Lift(_) | Self::Forget(_) => UnixTime::EPOCH,
        }
    }
}

#[doc(hidden)]
/// Reads any bytes as a segment: no panic, and no record that was not framed.
pub fn fuzz_segment(bytes: &[u8]) {
    let scanned = segment::scan(Path::new("fuzz"), bytes, &[0; 16], &mut |_, _| Ok(()));
    drop(scanned);
}
