//! Ostracon's HTTP server: sessions are issued, verified and ended on two listeners, over an embedded denylist.
//!
//! [`Config::load`] reads and checks a configuration, [`App::open`] opens what it describes, [`public`] and [`admin`]
//! are the two routers, and [`run`](run()) serves them until it is told to end.
//!
//! # Inside an axum application
//!
//! The denylist needs no process of its own. [`Serving::open`] opens it, [`router`] is what browsers ask it, to be merged
//! into the application's router, [`Authenticated`] is who makes a request, and [`require`] guards a whole router:
//!
//! ```
//! use axum::{Router, routing::get};
//! use ostracon_server::{Authenticated, Serving, require, router};
//!
//! fn application(ostracon: Serving) -> Router {
//!     Router::new()
//!         .route("/me", get(async |who: Authenticated| format!("You are {}", who.subject())))
//!         .layer(require(ostracon.clone()))
//!         .route("/", get(async || "for everybody"))
//!         .merge(router(ostracon.clone())) // /auth/logout, /auth/refresh, …
//!         .with_state(ostracon)
//! }
//! ```
//!
//! [`Serving::log_in`], [`Serving::log_out`], [`Serving::end_all_sessions`] and [`Serving::revoke`] are what the application
//! does itself, with the guarantees of the routes. `examples/embedded-axum` is a whole application. Without the default feature `cli` the crate builds on nothing that only
//! the program needs.

mod answer;
mod app;
mod backup;
mod body;
mod changes;
mod client;
mod clock;
mod config;
mod connection;
mod console;
mod control;
mod cookies;
mod credentials;
mod csrf;
mod fields;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod heads;
mod history;
mod issuers;
mod limits;
mod lines;
mod listen;
mod login;
mod metrics;
mod openapi;
mod others;
mod problem;
mod progress;
mod random;
mod refusals;
mod reuse;
mod rotation;
mod routes;
mod run;
mod scrape;
mod sender;
mod serving;
mod session;
mod strict;
mod terms;
mod trail;
pub mod transfer;
mod unread;
mod watch;

pub use app::{App, OpenError};
pub use backup::back_up;
pub use client::{Client, Role, new_secret};
pub use clock::Clock;
pub use config::{
    AccessLog, AuditSettings, Config, ConfigError, ConsoleSettings, ForeignIssuer, Identity, Key, KeySetUrl, KeySource,
    KeyState, KeyStatus, LogFormat, StoreConfig, Tls, Tokens, read_private,
};
pub use control::Revoke;
pub use cookies::{CookieName, CookieSettings, Origin, SameSite};
pub use guard::{Authenticated, Require, Required, require};
pub use limits::Limits;
pub use listen::{Address, Listener};
pub use login::Login;
/// What a login, a route or a revocation is told in: names, scopes, tiers, targets.
pub use ostracon_core::{
    Claims, ClientId, Issuer, Jti, Note, Reason, Scope, SessionId, Subject, Target, Tier, TierRule, UnixTime,
};
pub use ostracon_store::{Receipt, StoreError};
pub use problem::Problem;
pub use routes::{
    admin,
    logout::{LoggedOut, LogoutScope},
    public, router,
};
pub use run::run;
pub use serving::Serving;
pub use session::Pair;
pub use trail::Line;
