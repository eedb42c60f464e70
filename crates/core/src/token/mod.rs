//! Signing and verifying (feature `jwt`): the signature check is `jsonwebtoken`'s, everything around it is ours.

mod algorithm;
mod der;
mod error;
mod issuer;
mod jwk;
mod keyring;
mod memory;
mod public;
mod signing;
mod strength;
mod trust;
mod verified;
mod verifying;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use error::KeyError;
pub use issuer::{IssuerKeys, Skipped};
pub use keyring::Keyring;
pub use memory::{Memory, Remembered};
pub use signing::SigningKey;
pub use trust::Trust;
pub use verified::VerifiedToken;
pub use verifying::VerifyingKey;
