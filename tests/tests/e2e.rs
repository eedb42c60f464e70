//! The contract of the program, tried over HTTP on the real one.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "e2e/attacks.rs"]
mod attacks;
#[path = "e2e/audit.rs"]
mod audit;
#[path = "e2e/backchannel.rs"]
mod backchannel;
#[path = "e2e/bench.rs"]
mod bench;
#[path = "e2e/book.rs"]
mod book;
#[path = "e2e/browser.rs"]
mod browser;
#[path = "e2e/check_store.rs"]
mod check_store;
#[path = "e2e/clock.rs"]
mod clock;
#[path = "e2e/commands.rs"]
mod commands;
#[path = "e2e/configuration.rs"]
mod configuration;
#[path = "e2e/conformance.rs"]
mod conformance;
#[path = "e2e/console.rs"]
mod console;
#[path = "e2e/crash.rs"]
mod crash;
#[path = "e2e/data.rs"]
mod data;
#[path = "e2e/embedded.rs"]
mod embedded;
#[path = "e2e/events.rs"]
mod events;
#[path = "e2e/hapi.rs"]
mod hapi;
#[path = "e2e/histories.rs"]
mod histories;
#[path = "e2e/interop.rs"]
mod interop;
#[path = "e2e/issuers.rs"]
mod issuers;
#[path = "e2e/key_sets.rs"]
mod key_sets;
#[path = "e2e/keys.rs"]
mod keys;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/logout.rs"]
mod logout;
#[path = "e2e/logs.rs"]
mod logs;
#[path = "e2e/main_job.rs"]
mod main_job;
#[path = "e2e/metrics.rs"]
mod metrics;
#[path = "e2e/model.rs"]
mod model;
#[path = "e2e/oauth.rs"]
mod oauth;
#[path = "e2e/offline.rs"]
mod offline;
#[path = "e2e/openapi.rs"]
mod openapi;
#[path = "e2e/operators.rs"]
mod operators;
#[path = "e2e/others.rs"]
mod others;
#[path = "e2e/packaging.rs"]
mod packaging;
#[path = "e2e/promises.rs"]
mod promises;
#[path = "e2e/proxy.rs"]
mod proxy;
#[path = "e2e/refresh.rs"]
mod refresh;
#[path = "e2e/reload.rs"]
mod reload;
#[path = "e2e/revocations.rs"]
mod revocations;
#[path = "e2e/secrets.rs"]
mod secrets;
#[path = "e2e/tls.rs"]
mod tls;
#[path = "e2e/verify.rs"]
mod verify;
#[path = "e2e/websocket.rs"]
mod websocket;
