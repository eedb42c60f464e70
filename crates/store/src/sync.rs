//! The locks and atomics that prefilter and overlay are made of: the standard library's, or loom's, which tries every
//! way in which threads can meet (`prefilter/model.rs`).

#[cfg(loom)]
pub(crate) use loom::sync::{
    RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};
