//! What the crate promises, seen from outside: one binary, a module for each subject.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[cfg(feature = "jwt")]
#[path = "core/foreign.rs"]
mod foreign;
#[cfg(feature = "jwt")]
#[path = "core/gaps.rs"]
mod gaps;
#[cfg(feature = "jwt")]
#[path = "core/keyring.rs"]
mod keyring;
#[cfg(feature = "jwt")]
#[path = "core/keys.rs"]
mod keys;
#[cfg(feature = "jwt")]
#[path = "core/memory.rs"]
mod memory;
#[path = "core/policy.rs"]
mod policy;
#[cfg(feature = "jwt")]
#[path = "core/support.rs"]
mod support;
#[path = "core/surface.rs"]
mod surface;
#[path = "core/tree.rs"]
mod tree;
#[cfg(feature = "jwt")]
#[path = "core/vectors.rs"]
mod vectors;
#[path = "core/verdict.rs"]
mod verdict;
#[cfg(feature = "jwt")]
#[path = "core/weak.rs"]
mod weak;
