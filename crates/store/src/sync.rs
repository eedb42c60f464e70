//! The locks and atomics that queue, mailbox, prefilter and overlay are made of: the standard library's, or loom's, which
//! tries every way in which threads can meet (`model.rs`, `prefilter/model.rs`).

#[cfg(loom)]
pub(crate) use loom::sync::{
    Condvar, Mutex, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Condvar, Mutex, RwLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};
