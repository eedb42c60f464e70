//! What the contracts are tried with: the real program in a directory of its own, and requests to it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "a test that cannot go on fails"
)]

mod application;
mod browser;
mod dice;
mod events;
mod example;
mod forge;
mod http;
mod keys;
mod program;
mod provider;
mod proxy;
mod reference;
mod tls;
mod websocket;

pub use application::{Application, Arrived, Reply};
pub use browser::{Browser, KeptCookie};
pub use dice::Dice;
pub use events::{Block, Events};
pub use example::Example;
pub use forge::{Forge, compact, keyed, segment};
pub use http::{Answer, Ask, raw};
pub use keys::{certificate, decoded, es256_pem, forged, hs256_secret, rs256_pem, signed};
pub use program::{Home, Login, Server, binary, built, now, wait_for};
pub use provider::{Minter, Mood, Provider, foreign_claims};
pub use proxy::Proxy;
pub use reference::reference;
pub use tls::SecureServer;
pub use websocket::{Heard, WebSocket};
