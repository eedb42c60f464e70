//! What the crate promises, seen from outside: one binary, a module for each subject.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "core/policy.rs"]
mod policy;
#[path = "core/verdict.rs"]
mod verdict;
