//! The server as a library: its routers, its layer and extractor, and data in and out, without a listener.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "server/guard.rs"]
mod guard;
#[path = "server/routers.rs"]
mod routers;
#[path = "server/seen.rs"]
mod seen;
#[path = "server/support.rs"]
mod support;
#[path = "server/transfer.rs"]
mod transfer;
