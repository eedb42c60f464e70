//! The denylist as its users see it: against a model, and across every way that a process can end.

#![expect(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "store/backup.rs"]
mod backup;
#[path = "store/bounds.rs"]
mod bounds;
#[path = "store/changes.rs"]
mod changes;
#[path = "store/check.rs"]
mod check;
#[path = "store/damage.rs"]
mod damage;
#[path = "store/durability.rs"]
mod durability;
#[path = "store/figures.rs"]
mod figures;
#[path = "store/filters.rs"]
mod filters;
#[path = "store/model.rs"]
mod model;
#[path = "store/parts.rs"]
mod parts;
#[path = "store/promises.rs"]
mod promises;
#[path = "store/stored.rs"]
mod stored;
#[path = "store/support.rs"]
mod support;
#[path = "store/trouble.rs"]
mod trouble;
