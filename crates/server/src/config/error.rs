//! What is wrong with a configuration.

use std::{fmt::Display, io, path::PathBuf};

/// A configuration that cannot be used. Says where, what stands there and what is allowed; the program then exits with
/// status 2. Never a word of a key or a secret (I8).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {cause}; `ostracon init` makes a configuration where there is none", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Others can read it, or change it, and with it who may do what.
    #[error("{}: {told}", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        told: String,
    },
    /// It is not TOML.
    #[error("{} is not valid TOML: {detail}", .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        detail: String,
    },
    /// A member is unknown, absent, or has a value that cannot be.
    #[error("{at}: {problem}")]
    Value {
        /// The member's path, as `tokens.access_ttl` or `keys[0].kid`.
        at: String,
        /// The value and what is allowed.
        problem: String,
    },
}

impl ConfigError {
    /// `at` has `value`, which is not allowed.
    pub(super) fn value(at: impl Into<String>, value: impl Display, allowed: impl Display) -> Self {
        Self::Value {
            at: at.into(),
            problem: format!("{value} is not possible; {allowed}"),
        }
    }
}
