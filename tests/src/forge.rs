//! Tokens that no honest program would make, some of them signed with the right key.

use aws_lc_rs::{
    hmac,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

/// Signs whatever bytes it is given, with the key of a server.
#[derive(Debug)]
pub struct Forge {
    kid: String,
    pair: Ed25519KeyPair,
}

/// The order of the group of Ed25519, little-endian (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// As a segment.
pub fn segment(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Three segments, the last of which is `signature`.
pub fn compact(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>, signature: impl AsRef<[u8]>) -> String {
    format!("{}.{}.{}", segment(header), segment(payload), segment(signature))
}

/// Signed with HMAC-SHA256 and `secret`.
pub fn keyed(secret: impl AsRef<[u8]>, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let input = format!("{}.{}", segment(header), segment(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
    format!("{input}.{}", segment(hmac::sign(&key, input.as_bytes())))
}

impl Forge {
    /// With the key that `ostracon init` has made: its name, and its file.
    pub fn new((kid, pem): (String, Vec<u8>)) -> Self {
        let pem = String::from_utf8(pem).unwrap();
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&STANDARD.decode(body).unwrap()).unwrap();
        Self { kid, pair }
    }

    /// The name of the key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as it is in a JWK.
    pub fn public(&self) -> String {
        segment(self.pair.public_key())
    }

    /// A header that is as it should be, but for what `more` adds, such as `,"crit":[]`.
    pub fn header(&self, more: &str) -> String {
        format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{}"{more}}}"#, self.kid)
    }

    /// `header` and `payload`, properly signed.
    pub fn sign(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = format!("{}.{}", segment(header), segment(payload));
        let signature = self.pair.sign(input.as_bytes());
        format!("{input}.{}", segment(signature))
    }

    /// The same token with another number for the same signature: S and the order of the group together.
    pub fn twin(token: &str) -> String {
        let (input, signature) = token.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let mut carry = 0_u16;
        for (byte, more) in bytes[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte).saturating_add(u16::from(more)).saturating_add(carry);
            *byte = sum.to_be_bytes()[1];
            carry = sum >> 8;
        }
        format!("{input}.{}", segment(bytes))
    }
}
