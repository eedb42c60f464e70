//! The compact serialization of a signed token, taken apart (RFC 7515 §7.1).

use alloc::vec::Vec;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::refusal::{Refusal, Segment};

/// A token split at its two dots, nothing in it trusted yet.
///
/// Invariant: no longer than was asked for, exactly three segments (RFC 7519 §7.2), no character outside the
/// base64url alphabet in them (RFC 7515 §2: no padding, no white space).
#[derive(Clone, Copy)]
pub struct Compact<'a> {
    signing_input: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Compact<'a> {
    /// The longest token that is looked at where nothing else is asked for, in bytes.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Splits `token`. Cost is bounded by [`Compact::MAX_BYTES`] whatever it is.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooLarge`]; [`Refusal::Malformed`] for another number of segments (a JWE has five), for an empty
    /// segment and for any foreign character.
    pub fn split(token: &'a str) -> Result<Self, Refusal> {
        Self::split_within(token, Self::MAX_BYTES)
    }

    /// The same with another bound, in bytes.
    ///
    /// # Errors
    ///
    /// As for [`Compact::split`].
    pub fn split_within(token: &'a str, max_bytes: usize) -> Result<Self, Refusal> {
        if token.len() > max_bytes {
            return Err(Refusal::TooLarge);
        }
        let segments = || Refusal::Malformed(Segment::Token, "not three base64url segments");
        let (signing_input, signature) = token.rsplit_once('.').ok_or_else(segments)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(segments)?;
        let canonical =
            |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if ![header, payload, signature].into_iter().all(canonical) {
            return Err(segments());
        }
        Ok(Self {
            signing_input,
            header,
            payload,
            signature,
        })
    }

    /// What the signature is over: header and payload as they were sent (RFC 7515 §5.2).
    #[must_use]
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// The signature as it was sent.
    #[must_use]
    pub fn signature(&self) -> &'a str {
        self.signature
    }

    /// The bytes of the header.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] when the segment is not the one canonical spelling of any bytes (RFC 4648 §3.5).
    pub fn decode_header(&self) -> Result<Vec<u8>, Refusal> {
        decode(self.header, Segment::Header)
    }

    /// The bytes of the claims set.
    ///
    /// # Errors
    ///
    /// As for [`Compact::decode_header`].
    pub fn decode_payload(&self) -> Result<Vec<u8>, Refusal> {
        decode(self.payload, Segment::Claims)
    }
}

// I8: a token never prints itself.
impl core::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Compact")
            .field("bytes", &self.signing_input.len())
            .finish_non_exhaustive()
    }
}

fn decode(segment: &str, which: Segment) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|_| Refusal::Malformed(which, "not canonical base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(token: &str) -> Refusal {
        Compact::split(token).expect_err("refused")
    }

    #[test]
    fn p001_exactly_two_periods() {
        assert!(Compact::split("a.b.c").is_ok());
        for bad in [
            "",
            "a",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            ".a.b.c",
            "a.b.c.",
            "a..c",
            "..",
            ".b.c",
        ] {
            assert!(matches!(refused(bad), Refusal::Malformed(Segment::Token, _)), "{bad:?}");
        }
    }

    #[test]
    fn p002_p037_foreign_characters() {
        for bad in [
            "a=.b.c",
            "a.b.c==",
            " a.b.c",
            "a.b.c\n",
            "a.+.c",
            "a./.c",
            "a.b.c!!!!",
            "{\"a\".b.c",
            "a.b.\u{e9}",
        ] {
            assert!(matches!(refused(bad), Refusal::Malformed(Segment::Token, _)), "{bad:?}");
        }
    }

    #[test]
    fn a33_a_second_spelling_of_the_same_bytes_is_refused() {
        // "YQ" and "YR" decode to the same byte when the two unused bits are ignored.
        assert_eq!(Compact::split("YQ.YQ.c").unwrap().decode_header().unwrap(), b"a");
        assert!(Compact::split("YR.YQ.c").unwrap().decode_header().is_err());
        assert!(Compact::split("YQ.YR.c").unwrap().decode_payload().is_err());
    }

    #[test]
    fn a37_a38_size_is_looked_at_first() {
        let long = "x".repeat(Compact::MAX_BYTES - 4);
        assert!(Compact::split(&format!("a.b.{long}")).is_ok());
        assert_eq!(refused(&format!("a.b.{long}x")), Refusal::TooLarge);
        assert_eq!(refused(&".".repeat(1_000_000)), Refusal::TooLarge);
        assert!(Compact::split_within("a.b.c", 5).is_ok());
        assert_eq!(
            Compact::split_within("a.b.c", 4).expect_err("refused"),
            Refusal::TooLarge
        );
    }

    #[test]
    fn i8_debug_shows_no_token() {
        let shown = format!(
            "{:?}",
            Compact::split("secretheader.secretpayload.secretsignature").unwrap()
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
