//! The denylist as its users see it: against a model, and across every way that a process can end.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "tests")]

#[path = "store/backup.rs"]
mod backup;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/model.rs"]
mod model;
#[path = "store/promises.rs"]
mod promises;
#[path = "store/support.rs"]
mod support;
