//! An issuer with one key, and a verifier that trusts it: by Ostracon and by `jsonwebtoken` alone.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use jsonwebtoken::{DecodingKey, Validation};
use ostracon_core::{Algorithm, IssuerKeys, Keyring, Policy, SigningKey, TokenType, UnixTime};
use serde::Deserialize;

use crate::names;

/// The secret of the HMAC key: in a benchmark, nobody's.
pub const SECRET: [u8; 32] = [
    0x9f, 0x2b, 0x6c, 0x01, 0xd8, 0x7e, 0x44, 0xb3, 0xa5, 0x1f, 0xe6, 0x30, 0x7c, 0xc9, 0x92, 0x58, 0x0b, 0x64, 0xef,
    0xd1, 0x83, 0x3a, 0x7d, 0x15, 0xc2, 0x4e, 0x96, 0xf8, 0x0a, 0x5d, 0xb7, 0xe2,
];

/// One key, and what verifies its tokens.
#[derive(Debug)]
pub struct Party {
    signer: SigningKey,
    ring: Keyring,
    bare: DecodingKey,
    validation: Validation,
}

/// What `jsonwebtoken` alone is asked to make of a token: the claims that [`decide`](ostracon_core::decide) and the
/// targets are made of, each with its type.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "each is the claim of its name")]
pub struct BareClaims {
    pub iss: String,
    pub sub: String,
    pub aud: String,
    pub client_id: String,
    pub sid: String,
    pub jti: String,
    pub scope: String,
    pub iat: u64,
    pub exp: u64,
}

impl Party {
    /// A party that signs with `alg`: HS256, EdDSA, ES256 or RS256, the last with 2048 bits.
    #[must_use]
    pub fn new(alg: Algorithm) -> Self {
        let signer = signing_key(alg);
        let mut keys = IssuerKeys::default();
        keys.insert(signer.verifying_key().expect("a public half"))
            .expect("the only key");
        let mut ring = Keyring::default();
        ring.trust(names::issuer(), keys);
        Self {
            bare: bare_key(&signer),
            validation: validation(alg),
            signer,
            ring,
        }
    }

    /// The keyring that trusts it.
    #[must_use]
    pub fn ring(&self) -> &Keyring {
        &self.ring
    }

    /// The access token number `n`, issued at `now`.
    #[must_use]
    pub fn token(&self, n: u64, now: UnixTime) -> String {
        let claims: serde_json::Value =
            serde_json::from_str(&names::claims_json(n, now.as_secs())).expect("a JSON object");
        self.signer.sign(TokenType::Access, &claims).expect("signed")
    }

    /// Whether `jsonwebtoken` alone accepts `token`, with all the validation that it has and Ostracon does too: `alg`,
    /// `exp` and `nbf` with the same leeway, `iss`, `aud`, and which claims must stand.
    #[must_use]
    pub fn decodes(&self, token: &str) -> bool {
        jsonwebtoken::decode::<BareClaims>(token, &self.bare, &self.validation).is_ok()
    }
}

fn signing_key(alg: Algorithm) -> SigningKey {
    let random = SystemRandom::new();
    let pkcs8 = match alg {
        Algorithm::HS256 => return SigningKey::from_secret(names::kid(), alg, &SECRET).expect("a secret"),
        Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&random)
            .expect("a key")
            .as_ref()
            .to_vec(),
        Algorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .expect("a key")
            .as_ref()
            .to_vec(),
        Algorithm::RS256 => {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
            AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
                .expect("PKCS#8")
                .as_ref()
                .to_vec()
        }
        other => panic!("no key is made for {other} here"),
    };
    let label = |edge| format!("-----{edge} PRIVATE KEY-----\n");
    let pem = [label("BEGIN"), STANDARD.encode(pkcs8), "\n".to_owned(), label("END")].concat();
    SigningKey::from_pem(names::kid(), alg, pem.as_bytes()).expect("a private key")
}

fn bare_key(signer: &SigningKey) -> DecodingKey {
    match signer.public_jwk() {
        None => DecodingKey::from_secret(&SECRET),
        Some(jwk) => {
            let jwk = serde_json::from_value(jwk).expect("a JWK");
            DecodingKey::from_jwk(&jwk).expect("a public key")
        }
    }
}

fn validation(alg: Algorithm) -> Validation {
    let mut validation = Validation::new(match alg {
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        other => panic!("no key is made for {other} here"),
    });
    validation.leeway = Policy::default().leeway().as_secs();
    validation.validate_nbf = true;
    validation.set_issuer(&[names::issuer().as_str()]);
    validation.set_audience(&["shop"]);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    validation
}
