//! Keys and tokens to test with.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ostracon_core::{Algorithm, Issuer, IssuerKeys, KeyId, Keyring, Refusal, SigningKey, TokenType};
use serde_json::Value;

pub(crate) const HEADER: &str = r#"{"alg":"HS256","typ":"at+jwt","kid":"k"}"#;
pub(crate) const CLAIMS: &str = r#"{"iss":"i","sub":"u","jti":"j","aud":"shop","iat":1000,"exp":1600}"#;

/// 64 bytes that look random, others for each seed.
pub(crate) fn secret(seed: u32) -> [u8; 64] {
    let mut state = seed.wrapping_add(0x9e37_79b9);
    core::array::from_fn(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
}

pub(crate) fn kid(name: &str) -> KeyId {
    KeyId::new(name).unwrap()
}

pub(crate) fn issuer(name: &str) -> Issuer {
    Issuer::new(name).unwrap()
}

pub(crate) fn hs256(name: &str, seed: u32) -> SigningKey {
    SigningKey::from_secret(kid(name), Algorithm::HS256, &secret(seed)).unwrap()
}

pub(crate) fn keys(signers: &[&SigningKey]) -> IssuerKeys {
    let mut keys = IssuerKeys::default();
    for signer in signers {
        keys.insert(signer.verifying_key().unwrap()).unwrap();
    }
    keys
}

pub(crate) fn ring(issuers: impl IntoIterator<Item = (&'static str, IssuerKeys)>) -> Keyring {
    let mut ring = Keyring::default();
    for (name, keys) in issuers {
        ring.trust(issuer(name), keys);
    }
    ring
}

/// A ring with one key `k` of one issuer `i`, that [`signed`] signs for.
pub(crate) fn one() -> Keyring {
    ring([("i", keys(&[&hs256("k", 7)]))])
}

/// `header` and `claims` as they stand, with an HS256 signature of the key of seed 7.
pub(crate) fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_with(&secret(7), header, claims)
}

pub(crate) fn signed_with(secret: &[u8], header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

pub(crate) fn refusal(ring: &Keyring, token: &str) -> Refusal {
    ring.verify(token, TokenType::Access).expect_err("refused")
}

/// The public vectors, each where it comes from.
pub(crate) fn vector(name: &str) -> Value {
    let path = format!("{}/tests/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A JWK of RFC 7515, with a name: 0 is HS256, 1 RS256, 2 ES256, 3 ES512, 5 the Ed25519 of RFC 8037.
pub(crate) fn rfc_jwk(at: usize) -> Value {
    let mut jwk = vector("rfc")["jws"][at]["jwk"].clone();
    jwk["kid"] = "k".into();
    jwk
}

pub(crate) fn bytes(jwk: &Value) -> Vec<u8> {
    serde_json::to_vec(jwk).unwrap()
}

/// The same without its private members.
pub(crate) fn public(jwk: &Value) -> Value {
    let mut public = jwk.clone();
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        public.as_object_mut().unwrap().remove(name);
    }
    public
}

/// How many points the curve of ES256 has.
pub(crate) const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The other spelling of an ES256 signature: `(r, n - s)` of `(r, s)`.
pub(crate) fn ecdsa_twin(signature: &[u8]) -> Vec<u8> {
    let mut twin = signature.to_vec();
    let mut borrow = 0;
    for at in (0..32).rev() {
        let digit = i32::from(P256_ORDER[at]) - i32::from(signature[32 + at]) - borrow;
        borrow = i32::from(digit < 0);
        twin[32 + at] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    twin
}
