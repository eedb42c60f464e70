//! Keys that verify.

use core::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{AlgorithmFamily, DecodingKey, crypto::aws_lc::DEFAULT_PROVIDER};

use super::{
    Algorithm, KeyError, der,
    jwk::{Jwk, Material, Use},
    public::{Curve, PublicKey},
    signing,
};
use crate::{compact::Compact, text::KeyId, time::UnixTime};

/// A key that verifies, for exactly one algorithm (RFC 8725 §3.1).
pub struct VerifyingKey {
    kid: KeyId,
    alg: Algorithm,
    key: DecodingKey,
    /// None for a secret.
    public: Option<PublicKey>,
    retired_at: Option<UnixTime>,
}

impl VerifyingKey {
    /// An HMAC key of raw bytes.
    ///
    /// # Errors
    ///
    /// As for [`SigningKey::from_secret`](super::SigningKey::from_secret).
    pub fn from_secret(kid: KeyId, alg: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        signing::check_secret(alg, secret)?;
        Ok(Self {
            kid,
            alg,
            key: DecodingKey::from_secret(secret),
            public: None,
            retired_at: None,
        })
    }

    /// A public key in PEM: `SubjectPublicKeyInfo`, for RSA also PKCS#1. One key and nothing else: of a chain or a
    /// certificate nobody has said which key, and on whose word, is meant.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAPublicKey`], also for a private key; [`KeyError::WrongKind`]; [`KeyError::NotOnCurve`],
    /// [`KeyError::RsaTooShort`], [`KeyError::RsaUnsound`].
    pub fn from_pem(kid: KeyId, alg: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        let not_public = KeyError::NotAPublicKey { alg };
        let read = match alg.engine().family() {
            AlgorithmFamily::Hmac => {
                let takes = "a secret";
                return Err(KeyError::WrongKind { alg, takes });
            }
            AlgorithmFamily::Rsa => DecodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => DecodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => DecodingKey::from_ed_pem(pem),
        };
        let begun = |text: &[u8]| pem.windows(text.len()).filter(|window| *window == text).count();
        if begun(b"-----BEGIN ") != 1 || begun(b"-----BEGIN CERTIFICATE") != 0 {
            return Err(not_public);
        }
        let read = read.map_err(|_| not_public)?;
        let bytes = read.try_get_as_bytes().map_err(|_| not_public)?;
        let public = match alg.engine().family() {
            AlgorithmFamily::Rsa => {
                let components = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(bytes);
                let (n, e) = components.map_err(|_| not_public)?;
                PublicKey::rsa(&n, &e)?
            }
            AlgorithmFamily::Ed => PublicKey::ed(bytes)?,
            _ => {
                let curve = if alg == Algorithm::ES384 {
                    Curve::P384
                } else {
                    Curve::P256
                };
                let point = bytes.strip_prefix(&[4]).ok_or(not_public)?;
                let half = point.len().checked_div(2).unwrap_or(0);
                let (x, y) = point.split_at_checked(half).ok_or(not_public)?;
                PublicKey::ec(curve, x, y)?
            }
        };
        Ok(Self::of_public(kid, alg, public))
    }

    /// A public key in DER: `SubjectPublicKeyInfo`, for RSA also PKCS#1.
    ///
    /// # Errors
    ///
    /// As for [`VerifyingKey::from_pem`].
    pub fn from_der(kid: KeyId, alg: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        match Self::from_pem(kid.clone(), alg, &der::pem("PUBLIC KEY", der)) {
            Err(KeyError::NotAPublicKey { .. }) => Self::from_pem(kid, alg, &der::pem("RSA PUBLIC KEY", der)),
            read => read,
        }
    }

    /// A secret or a key pair, or the public half of one, as a JWK (RFC 7517 §4). Names and algorithms as for
    /// [`SigningKey::from_jwk`](super::SigningKey::from_jwk).
    ///
    /// # Errors
    ///
    /// What is wrong with it, or that it says it is not for verifying.
    pub fn from_jwk(jwk: &[u8], alg: Option<Algorithm>) -> Result<Self, KeyError> {
        let Jwk { kid, alg, material } = Jwk::parse(jwk, Use::Verify, alg)?;
        match material {
            Material::Secret(secret) => Self::from_secret(kid.ok_or(KeyError::JwkMember("kid"))?, alg, &secret),
            Material::Pair(public, _) => {
                let kid = public.name(kid)?;
                Ok(Self::of_public(kid, alg, public))
            }
        }
    }

    pub(super) fn of_public(kid: KeyId, alg: Algorithm, public: PublicKey) -> Self {
        Self {
            kid,
            alg,
            key: public.decoding_key(),
            public: Some(public),
            retired_at: None,
        }
    }

    pub(super) fn is_secret(&self) -> bool {
        self.public.is_none()
    }

    /// With a date of retirement: what it signed up to then it still vouches for, and what says that it was issued later,
    /// or does not say, was not signed by its owner. Since every token ends within the longest lifetime, the key is
    /// worth nothing that long after the date, without a clock to say so.
    #[must_use]
    pub fn retired_at(self, date: UnixTime) -> Self {
        Self {
            retired_at: Some(date),
            ..self
        }
    }

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

    /// The last moment of which it vouches for a token.
    #[must_use]
    pub fn retirement(&self) -> Option<UnixTime> {
        self.retired_at
    }

    /// It as a JWK (RFC 7517 §4); none for a secret.
    #[must_use]
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        self.public.as_ref().map(|public| public.jwk(&self.kid, self.alg))
    }

    /// Its SHA-256 thumbprint (RFC 7638); none for a secret.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        self.public.as_ref().map(PublicKey::thumbprint)
    }

    /// Whether it signed `token`. Says nothing else about it, not even that its header names this key:
    /// [`Keyring::verify`](super::Keyring::verify) does.
    #[must_use]
    pub fn verifies(&self, token: &Compact<'_>) -> bool {
        // One spelling of each signature: unused bits must be zero (RFC 4648 §3.5).
        let Ok(signature) = URL_SAFE_NO_PAD.decode(token.signature()) else {
            return false;
        };
        // Not the process-wide provider, which any other user of the library can exchange.
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.alg.engine(), &self.key);
        verifier.is_ok_and(|v| v.verify(token.signing_input().as_bytes(), &signature).is_ok())
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
