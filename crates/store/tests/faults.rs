//! The denylist where things go wrong around it: processes are killed, the power goes, the disk is full.
//!
//! What needs root and loop devices is left out where they are not there, and says so.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

#[path = "faults/crash.rs"]
mod crash;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/ledger.rs"]
mod ledger;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/space.rs"]
mod space;
#[path = "store/support.rs"]
#[expect(dead_code, reason = "shared with the other scenarios, which need more of it")]
mod support;
#[path = "faults/writer.rs"]
mod writer;
