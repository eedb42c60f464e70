//! Ostracon's HTTP server: sessions are issued, verified and ended on two listeners, over an embedded denylist.
//!
//! [`Config::load`] reads and checks a configuration, [`App::open`] opens what it describes, [`public`] and [`admin`]
//! are the two routers, and [`run`] serves them until it is told to end.

mod answer;
mod app;
mod backup;
mod body;
mod client;
mod clock;
mod config;
mod cookies;
mod credentials;
mod csrf;
mod limits;
mod lines;
mod listen;
mod login;
mod problem;
mod progress;
mod random;
mod rotation;
mod routes;
mod run;
mod serving;
mod session;
mod strict;
mod terms;
pub mod transfer;
mod watch;

pub use app::{App, OpenError};
pub use backup::back_up;
pub use client::{Client, Role, new_secret};
pub use clock::Clock;
pub use config::{Config, ConfigError, Key, Tokens};
pub use cookies::{CookieName, CookieSettings, Origin, SameSite};
pub use limits::Limits;
pub use listen::{Address, Listener};
pub use routes::{admin, public};
pub use run::run;
pub use serving::Serving;
