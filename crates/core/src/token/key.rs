//! Keys: read once, checked, never shown.

use core::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    AlgorithmFamily, DecodingKey, EncodingKey, Header,
    jwk::{AlgorithmParameters, Jwk},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::Algorithm;
use crate::{header::TokenType, text::KeyId};

/// Why a key cannot be used. Never a word of the key itself (I8).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// An HMAC key shorter than the hash, or one that people thought up (RFC 7518 §3.2, RFC 8725 §3.5).
    #[error("the secret has {found} bytes; {alg} needs at least {least}, random ones")]
    SecretTooShort {
        /// What it is for.
        alg: Algorithm,
        /// What it has.
        found: usize,
        /// What it needs.
        least: usize,
    },
    /// An RSA key below 2048 bits (RFC 7518 §3.3).
    #[error("the RSA key has {bits} bits; at least 2048 are needed")]
    RsaTooShort {
        /// What it has.
        bits: usize,
    },
    /// Not a private key of the algorithm.
    #[error("not an unencrypted PEM private key for {alg} (PKCS#8; for RSA also PKCS#1)")]
    NotAPrivateKey {
        /// What it was to be for.
        alg: Algorithm,
    },
    /// The algorithm takes a secret, or takes a key pair, and was given the other.
    #[error("{alg} takes {takes}")]
    WrongKind {
        /// What it was to be for.
        alg: Algorithm,
        /// What it takes.
        takes: &'static str,
    },
    /// Two keys of one issuer have one name.
    #[error("two keys have this kid")]
    DuplicateKid,
    /// The algorithm could not sign.
    #[error("signing failed")]
    SigningFailed,
}

/// A key that signs. Its bytes are zeroised when it is dropped, and it prints its name only.
pub struct SigningKey {
    kid: KeyId,
    alg: Algorithm,
    key: EncodingKey,
    public: Option<Jwk>,
}

impl SigningKey {
    /// An HMAC key of raw bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::SecretTooShort`], [`KeyError::WrongKind`].
    pub fn from_secret(kid: KeyId, alg: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        let least = alg.secret_bytes().ok_or(KeyError::WrongKind {
            alg,
            takes: "a private_key_file",
        })?;
        if secret.len() < least {
            return Err(KeyError::SecretTooShort {
                alg,
                found: secret.len(),
                least,
            });
        }
        Ok(Self {
            kid,
            alg,
            key: EncodingKey::from_secret(secret),
            public: None,
        })
    }

    /// A private key in PEM: PKCS#8, for RSA also PKCS#1.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAPrivateKey`], [`KeyError::RsaTooShort`], [`KeyError::WrongKind`].
    pub fn from_pem(kid: KeyId, alg: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let key = match alg.engine().family() {
            AlgorithmFamily::Hmac => {
                return Err(KeyError::WrongKind {
                    alg,
                    takes: "a secret_file",
                });
            }
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
        };
        // Deriving the public half is also what proves that the private one is on its curve and for this algorithm.
        let not_private = KeyError::NotAPrivateKey { alg };
        let key = key.map_err(|_| not_private)?;
        let mut public = Jwk::from_encoding_key(&key, alg.engine()).map_err(|_| not_private)?;
        if let AlgorithmParameters::RSA(rsa) = &public.algorithm {
            let modulus = URL_SAFE_NO_PAD.decode(&rsa.n).map_err(|_| not_private)?;
            let leading = modulus.first().map_or(0, |b| b.leading_zeros());
            let bits = modulus
                .len()
                .saturating_mul(8)
                .saturating_sub(usize::try_from(leading).unwrap_or(0));
            if bits < 2048 {
                return Err(KeyError::RsaTooShort { bits });
            }
        }
        public.common.key_id = Some(kid.as_str().to_owned());
        public.common.public_key_use = Some(jsonwebtoken::jwk::PublicKeyUse::Signature);
        Ok(Self {
            kid,
            alg,
            key,
            public: Some(public),
        })
    }

    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// What it signs with.
    #[must_use]
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// The public half as a JWK (RFC 7517 §4); none for a secret, which has no public half.
    #[must_use]
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        self.public.as_ref().and_then(|jwk| serde_json::to_value(jwk).ok())
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAPrivateKey`] when there is no public half to be had.
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyError> {
        let key = match &self.public {
            None => DecodingKey::from_secret(&Zeroizing::new(self.key.as_bytes().to_vec())),
            Some(jwk) => DecodingKey::from_jwk(jwk).map_err(|_| KeyError::NotAPrivateKey { alg: self.alg })?,
        };
        Ok(VerifyingKey {
            kid: self.kid.clone(),
            alg: self.alg,
            key,
        })
    }

    /// Signs `claims` as a token of `typ` (RFC 7515 §5.1). RSA costs about a millisecond, the others far less.
    ///
    /// # Errors
    ///
    /// [`KeyError::SigningFailed`] when the claims are no JSON object or the algorithm has no randomness.
    pub fn sign<T: Serialize>(&self, typ: TokenType, claims: &T) -> Result<String, KeyError> {
        let header = Header {
            typ: Some(typ.as_str().to_owned()),
            kid: Some(self.kid.as_str().to_owned()),
            ..Header::new(self.alg.engine())
        };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(|_| KeyError::SigningFailed)
    }
}

/// A key that verifies, for exactly one algorithm.
pub struct VerifyingKey {
    kid: KeyId,
    alg: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    /// Its name.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The one algorithm that it is for.
    #[must_use]
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    pub(super) fn verifies(&self, signing_input: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signing_input.as_bytes(), &self.key, self.alg.engine()).unwrap_or(false)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}
