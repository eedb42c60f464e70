//! Keys that sign.

use core::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{AlgorithmFamily, EncodingKey, crypto::aws_lc::DEFAULT_PROVIDER, jwk::EllipticCurve};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    Algorithm, KeyError, VerifyingKey, der,
    jwk::{Jwk, Material, Private, Use},
    public::{Curve, PublicKey},
    strength,
};
use crate::{header::TokenType, text::KeyId};

/// A key that signs. Its bytes are zeroised when it is dropped, and it prints its name only.
///
/// ```
/// use ostracon_core::{Algorithm, KeyId, SigningKey, TokenType};
/// # let secret: Vec<u8> = (1..65_u32).map(|i| (i * i * i).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
///
/// let key = SigningKey::from_secret(KeyId::new("2026-11")?, Algorithm::HS256, &secret)?;
/// let token = key.sign(TokenType::Access, &serde_json::json!({ "iss": "https://auth.example", "exp": 1_790_000_600 }))?;
/// assert_eq!(token.split('.').count(), 3);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct SigningKey {
    kid: KeyId,
    alg: Algorithm,
    key: EncodingKey,
    /// None for a secret.
    public: Option<PublicKey>,
}

/// Checks a secret for `alg`: as long as the hash (RFC 7518 §3.2), and none that people think up (RFC 8725 §3.5).
pub(super) fn check_secret(alg: Algorithm, secret: &[u8]) -> Result<(), KeyError> {
    let takes = "a key pair";
    let least = alg.secret_bytes().ok_or(KeyError::WrongKind { alg, takes })?;
    let found = secret.len();
    if found < least {
        return Err(KeyError::SecretTooShort { alg, found, least });
    }
    if found > MOST_SECRET_BYTES {
        return Err(KeyError::SecretTooLong {
            found,
            most: MOST_SECRET_BYTES,
        });
    }
    strength::check(secret)
}

/// No generator makes longer ones, and what looks at a secret takes the square of its length.
const MOST_SECRET_BYTES: usize = 1024;

impl SigningKey {
    /// An HMAC key of raw bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::SecretTooShort`], [`KeyError::SecretTooLong`], [`KeyError::SecretGuessable`], [`KeyError::SecretIsAKey`], [`KeyError::WrongKind`].
    pub fn from_secret(kid: KeyId, alg: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        check_secret(alg, secret)?;
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
    /// [`KeyError::NotAPrivateKey`], [`KeyError::WrongKind`], and for RSA [`KeyError::RsaTooShort`] and
    /// [`KeyError::RsaUnsound`].
    pub fn from_pem(kid: KeyId, alg: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let key = match alg.engine().family() {
            AlgorithmFamily::Hmac => {
                let takes = "a secret";
                return Err(KeyError::WrongKind { alg, takes });
            }
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
        };
        Self::of_pair(kid, alg, key.map_err(|_| KeyError::NotAPrivateKey { alg })?)
    }

    /// A private key in DER: PKCS#8, for RSA also PKCS#1.
    ///
    /// # Errors
    ///
    /// As for [`SigningKey::from_pem`].
    pub fn from_der(kid: KeyId, alg: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        match Self::from_pem(kid.clone(), alg, &der::pem("PRIVATE KEY", der)) {
            Err(KeyError::NotAPrivateKey { .. }) => Self::from_pem(kid, alg, &der::pem("RSA PRIVATE KEY", der)),
            read => read,
        }
    }

    /// A secret or a private key as a JWK (RFC 7517 §4). Without `kid` it is named by its thumbprint. `alg` is for a key
    /// that does not name its own; without either, RSA is for RS256 and a curve for its one algorithm.
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that it says it is not for signing.
    pub fn from_jwk(jwk: &[u8], alg: Option<Algorithm>) -> Result<Self, KeyError> {
        let Jwk { kid, alg, material } = Jwk::parse(jwk, Use::Sign, alg)?;
        match material {
            Material::Secret(secret) => Self::from_secret(kid.ok_or(KeyError::JwkMember("kid"))?, alg, &secret),
            Material::Pair(public, private) => {
                let key = encoding_key(alg, &public, &private.ok_or(KeyError::JwkMember("d"))?)?;
                let kid = public.name(kid)?;
                let read = Self::of_pair(kid, alg, key)?;
                // The halves of an RSA key could be of two pairs; the library has checked those of a curve.
                if read.public.as_ref() == Some(&public) {
                    Ok(read)
                } else {
                    Err(KeyError::NotAPrivateKey { alg })
                }
            }
        }
    }

    /// Deriving the public half is also what proves that the private one is on its curve and for this algorithm.
    fn of_pair(kid: KeyId, alg: Algorithm, key: EncodingKey) -> Result<Self, KeyError> {
        // Not the process-wide provider, which any other user of the library can exchange.
        let utils = &DEFAULT_PROVIDER.key_utils;
        let not_private = |_| KeyError::NotAPrivateKey { alg };
        let public = match alg.engine().family() {
            AlgorithmFamily::Rsa => {
                let (n, e) = (utils.rsa_pub_components_from_private_key)(key.as_bytes()).map_err(not_private)?;
                PublicKey::rsa(&n, &e)?
            }
            AlgorithmFamily::Ec => {
                let curve = if alg == Algorithm::ES384 {
                    Curve::P384
                } else {
                    Curve::P256
                };
                let components = (utils.ec_pub_components_from_private_key)(key.as_bytes(), alg.engine());
                let (_, x, y) = components.map_err(not_private)?;
                PublicKey::ec(curve, &x, &y)?
            }
            AlgorithmFamily::Ed => {
                let x = (utils.ed_pub_components_from_private_key)(key.as_bytes(), &EllipticCurve::Ed25519);
                PublicKey::ed(&x.map_err(not_private)?)?
            }
            AlgorithmFamily::Hmac => return Err(KeyError::NotAPrivateKey { alg }),
        };
        let public = Some(public);
        Ok(Self { kid, alg, key, public })
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
        self.public.as_ref().map(|public| public.jwk(&self.kid, self.alg))
    }

    /// The SHA-256 thumbprint of the public half (RFC 7638), a name that needs no invention; none for a secret, whose
    /// digest had better not be told.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        self.public.as_ref().map(PublicKey::thumbprint)
    }

    /// The same key under the name of its [thumbprint](SigningKey::thumbprint); a secret keeps the name it has.
    #[must_use]
    pub fn named_by_thumbprint(self) -> Self {
        match self.thumbprint().map(KeyId::new) {
            Some(Ok(kid)) => Self { kid, ..self },
            _ => self,
        }
    }

    /// The key that verifies what this one signs.
    ///
    /// # Errors
    ///
    /// None that are known: what signs has been checked.
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyError> {
        match &self.public {
            Some(public) => Ok(VerifyingKey::of_public(self.kid.clone(), self.alg, public.clone())),
            None => VerifyingKey::from_secret(self.kid.clone(), self.alg, self.key.as_bytes()),
        }
    }

    /// Signs `claims` as a token of `typ` (RFC 7515 §5.1). RSA costs about a millisecond, the others far less.
    ///
    /// # Errors
    ///
    /// [`KeyError::SigningFailed`] when the claims are no JSON object or the algorithm has no randomness.
    pub fn sign<T: Serialize>(&self, typ: TokenType, claims: &T) -> Result<String, KeyError> {
        #[derive(Serialize)]
        struct Header<'a> {
            typ: &'static str,
            alg: &'static str,
            kid: &'a str,
        }
        let header = Header {
            typ: typ.as_str(),
            alg: self.alg.as_str(),
            kid: self.kid.as_str(),
        };
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::SigningFailed)?;
        let claims = serde_json::to_vec(claims).map_err(|_| KeyError::SigningFailed)?;
        if !claims.starts_with(b"{") {
            return Err(KeyError::SigningFailed);
        }
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.alg.engine(), &self.key);
        let signer = signer.map_err(|_| KeyError::SigningFailed)?;
        let signature = signer.try_sign(token.as_bytes()).map_err(|_| KeyError::SigningFailed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// A private JWK in the form that the library takes.
fn encoding_key(alg: Algorithm, public: &PublicKey, private: &Private) -> Result<EncodingKey, KeyError> {
    let d = private.0.first().map(|d| &d.0[..]).unwrap_or_default();
    let pkcs8 = match public {
        PublicKey::Rsa { n, e } => {
            let numbers = [&n[..], &e[..]].into_iter().chain(private.0.iter().map(|b| &b.0[..]));
            return Ok(EncodingKey::from_rsa_der(&der::rsa_private_key(numbers)));
        }
        PublicKey::Ec { curve, point } => {
            let signing = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
            };
            let pair = EcdsaKeyPair::from_private_key_and_public_key(signing, d, point);
            pair.ok().and_then(|pair| pair.to_pkcs8v1().ok())
        }
        PublicKey::Ed { x } => {
            let pair = Ed25519KeyPair::from_seed_and_public_key(d, x);
            pair.ok().and_then(|pair| pair.to_pkcs8v1().ok())
        }
    };
    let pkcs8 = pkcs8.ok_or(KeyError::NotAPrivateKey { alg })?;
    let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
    Ok(match public {
        PublicKey::Ed { .. } => EncodingKey::from_ed_der(&pkcs8),
        _ => EncodingKey::from_ec_der(&pkcs8),
    })
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}
