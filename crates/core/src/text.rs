//! The names that tokens and revocations go by: short strings, compared byte for byte.

use alloc::{boxed::Box, string::String};
use core::fmt;

use serde::{Deserialize, Serialize};

/// Why a string is not the name that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// It has no characters.
    #[error("must not be empty")]
    Empty,
    /// It is longer than the limit.
    #[error("must be at most {max} bytes")]
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
    /// It has a control character (C0, DEL or C1).
    #[error("must not contain control characters")]
    Control,
}

pub(crate) fn check(text: &str, max: usize) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    if text.len() > max {
        return Err(TextError::TooLong { max });
    }
    if text.chars().any(char::is_control) {
        return Err(TextError::Control);
    }
    Ok(())
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $max:literal) => {
        $(#[$doc])*
        ///
        /// Compared byte for byte, never normalised (RFC 7519 §4.1). Invariant: 1 to
        #[doc = concat!("[`", stringify!($name), "::MAX_BYTES`] bytes without control characters;")]
        /// parsing is the only way to make one.
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest there is, in bytes.
            pub const MAX_BYTES: usize = $max;

            /// Checks and keeps `text`.
            pub fn new(text: impl Into<Box<str>>) -> Result<Self, TextError> {
                let text = text.into();
                check(&text, Self::MAX_BYTES)?;
                Ok(Self(text))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;
            fn try_from(text: String) -> Result<Self, TextError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl core::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text!(
    /// Who issued a token (`iss`, RFC 7519 §4.1.1).
    Issuer,
    512
);
text!(
    /// Whom a token is about (`sub`, RFC 7519 §4.1.2).
    Subject,
    255
);
text!(
    /// The identity of one token (`jti`, RFC 7519 §4.1.7); unique within its issuer.
    Jti,
    255
);
text!(
    /// The identity of one login (`sid`, OpenID Connect Front-Channel Logout 1.0 §3); unique within its issuer.
    SessionId,
    255
);
text!(
    /// The application that a token was issued to (`client_id`, RFC 8693 §4.3).
    ClientId,
    255
);
text!(
    /// The identity of a key (`kid`, RFC 7515 §4.1.4); only ever a key of a map.
    KeyId,
    255
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a62_lengths_and_control_characters_are_bounded() {
        assert_eq!(Jti::new(""), Err(TextError::Empty));
        assert!(Jti::new("x".repeat(Jti::MAX_BYTES)).is_ok());
        assert_eq!(
            Jti::new("x".repeat(Jti::MAX_BYTES + 1)),
            Err(TextError::TooLong { max: 255 })
        );
        for bad in ["\0", "a\nb", "a\u{7f}", "\u{85}"] {
            assert_eq!(Subject::new(bad), Err(TextError::Control), "{bad:?}");
        }
    }

    #[test]
    fn a62_unicode_forms_stay_distinct() {
        assert_ne!(Subject::new("\u{e9}").unwrap(), Subject::new("e\u{301}").unwrap());
    }
}
