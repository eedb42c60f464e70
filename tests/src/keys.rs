//! Keys of each kind, and tokens that no honest program would make.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::KeySize,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ostracon_core::{Algorithm, KeyId, SigningKey, TokenType};
use serde_json::Value;

fn pem(der: &[u8]) -> String {
    labelled("PRIVATE KEY", der)
}

fn labelled(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

/// A certificate for 127.0.0.1, signed by itself, and its key.
pub fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = made.signing_key.serialize_der();
    (labelled("CERTIFICATE", made.cert.der()), pem(&key))
}

/// A fresh key for ES256.
pub fn es256_pem() -> String {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    pem(pair.to_pkcs8v1().unwrap().as_ref())
}

/// A fresh key for RS256.
pub fn rs256_pem() -> String {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    pem(der.as_ref())
}

/// A fresh secret for HS256.
pub fn hs256_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).unwrap();
    secret
}

/// The bytes of a segment of a token.
pub fn decoded(segment: &str) -> Vec<u8> {
    base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(segment)
        .unwrap()
}

/// `claims` signed with the server's own key.
pub fn signed((kid, pem): &(String, Vec<u8>), typ: TokenType, claims: &Value) -> String {
    let kid = KeyId::new(kid.as_str()).unwrap();
    SigningKey::from_pem(kid, Algorithm::EdDSA, pem)
        .unwrap()
        .sign(typ, claims)
        .unwrap()
}

/// `token` with another last character, which changes its signature.
pub fn forged(token: &str) -> String {
    // The last character but one: all of its bits count.
    let at = token.len().checked_sub(2).unwrap();
    let (start, end) = token.split_at(at);
    let other = if end.starts_with('A') { 'B' } else { 'A' };
    let last = end.chars().next_back().unwrap();
    format!("{start}{other}{last}")
}
