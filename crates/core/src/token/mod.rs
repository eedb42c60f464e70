//! Signing and verifying (feature `jwt`): the signature check is `jsonwebtoken`'s, everything around it is ours.

mod algorithm;
mod key;
mod keyring;

pub use algorithm::Algorithm;
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use keyring::{IssuerKeys, Keyring, VerifiedToken};
