//! Claims, revocation targets, policy and verdicts for JSON Web Tokens.
//!
//! Everything here is pure: no I/O, no clock, no async, no globals. Time is an argument, a fact about revocations is an
//! argument, and the answer is a value. The crate is what a resource server needs to decide for itself whether a token
//! is to be accepted, wherever it learns of revocations from.
//!
//! The way of a token through the crate:
//!
//! 1. [`Compact`] splits it: three canonical base64url segments, bounded in size.
//! 2. [`Header`] and [`Claims`] parse it: one strict JSON object each.
//! 3. `Keyring::verify` (feature `jwt`) checks its signature and makes a `VerifiedToken`, the only kind that counts.
//! 4. [`Targets`] names all that a revocation could hit it by.
//! 5. [`decide`] takes the claims, what is known of those targets, the [`Policy`] and the time, and accepts or refuses.
//!
//! A token is what it is whatever else is in the program, but for one thing: `serde_json`'s feature `arbitrary_precision`,
//! turned on by any crate of the tree, makes dates with fractions no numbers, and such tokens are refused.
//!
//! ```
//! use core::time::Duration;
//! use ostracon_core::{Claims, Demand, Facts, Policy, Refusal, UnixTime, decide};
//!
//! let claims = Claims::parse(
//!     br#"{"iss":"https://auth.example","sub":"user-42","aud":"shop","jti":"j1","iat":1790000000,"exp":1790000600}"#,
//! )?;
//! let demand = Demand { audiences: &["shop"], ..Demand::default() };
//!
//! let during = UnixTime::from_secs(1_790_000_300);
//! assert_eq!(decide(&claims, &demand, &Facts::none(), &Policy::default(), during), Ok(()));
//!
//! let after = during.saturating_add(Duration::from_secs(3_600));
//! assert_eq!(decide(&claims, &demand, &Facts::none(), &Policy::default(), after), Err(Refusal::Expired));
//! # Ok::<(), Refusal>(())
//! ```
//!
//! Without features the crate is `no_std` (with `alloc`) and builds on serde, `serde_json`, `base64` and `thiserror`.
//! Feature `jwt` adds signing, verifying and keys, and needs `std`. A whole resource server is in
//! `examples/core-only.rs`.

#![cfg_attr(not(any(test, feature = "jwt")), no_std)]

extern crate alloc;

mod claims;
mod compact;
mod header;
mod json;
mod policy;
mod refusal;
mod revocation;
mod target;
mod text;
mod time;
#[cfg(feature = "jwt")]
mod token;
mod trace;
mod verdict;

pub use claims::{Audience, Claims, Scope};
pub use compact::Compact;
pub use header::{GenericType, Header, TokenType};
pub use policy::{
    ClaimName, MissingJti, Policy, PolicyBuilder, PolicyError, PolicyWarning, StoreFailure, Tier, TierRule,
};
pub use refusal::{Code, Refusal, Segment};
pub use revocation::{Note, Reason, Revocation};
pub use target::{Kind, Target, TargetRef, Targets};
pub use text::{ClientId, Issuer, Jti, KeyId, SessionId, Subject, TextError};
pub use time::UnixTime;
#[cfg(feature = "jwt")]
pub use token::{
    Algorithm, IssuerKeys, KeyError, Keyring, Memory, Remembered, SigningKey, Skipped, Trust, UnknownAlgorithm,
    VerifiedToken, VerifyingKey,
};
pub use trace::{Observer, Step, Trace};
pub use verdict::{Demand, Facts, Known, decide, decide_observed};
