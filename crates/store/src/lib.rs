//! A denylist that survives its process: what is revoked is denied until it would have expired anyway.
//!
//! ```
//! use ostracon_core::{Claims, Issuer, Jti, Policy, Reason, Revocation, Target, Targets, UnixTime};
//! use ostracon_store::{Denylist, Options};
//!
//! # let dir = tempfile::tempdir()?;
//! let denylist = Denylist::open(dir.path(), &Options::default())?;
//! let now = UnixTime::from_secs(1_790_000_000);
//!
//! let target = Target::Token { iss: Issuer::new("https://auth.example")?, jti: Jti::new("j1")? };
//! denylist.revoke(Revocation::new(target, Reason::Logout, &Policy::default(), now))?;
//!
//! let claims = Claims::parse(br#"{"iss":"https://auth.example","jti":"j1","iat":1789999900,"exp":1790000500}"#)?;
//! assert!(denylist.check(&Targets::of(&claims, None), now)?.revocation.is_some());
//! denylist.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it is built
//!
//! A revocation goes through four places, in this order:
//!
//! 1. the **journal**, an append-only file, synced before anyone is told that the revocation stands: the truth;
//! 2. the **prefilter**, Bloom filters in memory: most tokens are not revoked, and it says so without a look at the disk;
//! 3. the **overlay**, a map of what the engine has not got yet, so that no writer waits for the engine;
//! 4. the **engine**, sled, with a row for each entry and an index by end of retention, so that the sweeper walks only
//!    what is due. It is written behind, by one thread, and rebuilt from the journal whenever it is behind or damaged.

pub mod audit;
mod backup;
mod changes;
mod check;
mod commit;
mod committer;
mod denylist;
mod digest;
mod engine;
mod error;
#[cfg(test)]
mod faults;
mod feed;
mod figures;
mod files;
mod identity;
mod journal;
mod keeper;
mod kinds;
mod listing;
mod mailbox;
#[cfg(all(test, loom))]
mod model;
mod opening;
mod options;
mod overlay;
mod prefilter;
mod registry;
mod row;
mod seam;
mod shared;
mod space;
mod stats;
mod sync;
mod tally;

pub use backup::{Backup, Progress, restore, verify_backup};
pub use changes::{Changed, Changes, Event};
pub use check::{ClosedStore, Counts, Finding, Mended, Part, Remedy, Report};
pub use commit::{Commit, Receipt};
pub use denylist::{Denylist, Page, Swept};
pub use digest::{Digest, NotADigest};
pub use error::StoreError;
pub use figures::{Activity, Distribution};
pub use files::write_new;
pub use opening::Took;
pub use options::{Durability, FALSE_POSITIVE_RATES, Options};
pub use registry::{Registry, Seen, Session};
pub use stats::{Filters, PrefilterState, Stats};

#[doc(hidden)]
pub mod fuzzing {
    //! What the fuzz targets reach; no part of the interface.
    pub use crate::{
        audit::fuzzing as audit, backup::fuzz_manifest, journal::fuzz_segment, prefilter::saved::fuzzing as prefilter,
        row::fuzz_row,
    };
}
