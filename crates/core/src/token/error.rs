//! Why a key cannot be used.

use super::Algorithm;

/// Why a key cannot be used. Never a word of the key itself (I8).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// An HMAC key shorter than the hash (RFC 7518 §3.2).
    #[error("the secret has {found} bytes; {alg} needs at least {least}, random ones")]
    SecretTooShort {
        /// What it is for.
        alg: Algorithm,
        /// What it has.
        found: usize,
        /// What it needs.
        least: usize,
    },
    /// An HMAC key longer than anybody makes one.
    #[error("the secret has {found} bytes; at most {most} are taken")]
    SecretTooLong {
        /// What it has.
        found: usize,
        /// What is taken.
        most: usize,
    },
    /// An HMAC key that people thought up, or that repeats itself (RFC 8725 §3.5).
    #[error("the secret can be guessed; it must come from a random generator")]
    SecretGuessable,
    /// An HMAC key that is the text of a key, which may well be a public one.
    #[error("the secret is itself a PEM, DER or JSON Web Key")]
    SecretIsAKey,
    /// An RSA key below 2048 bits (RFC 7518 §3.3).
    #[error("the RSA key has {bits} bits; at least 2048 are needed")]
    RsaTooShort {
        /// What it has.
        bits: usize,
    },
    /// An RSA key that no sound generator makes: above 8192 bits, even, with an exponent that is even, 1 or above 33
    /// bits, or with the pattern of the ROCA flaw (CVE-2017-15361).
    #[error("the RSA key is unsound: {0}")]
    RsaUnsound(&'static str),
    /// Coordinates of no point of the curve (RFC 8725 §3.4), or not as long as its field.
    #[error("the key is no point on {0}")]
    NotOnCurve(&'static str),
    /// Not a private key of the algorithm.
    #[error("not an unencrypted private key for {alg} (PKCS#8; for RSA also PKCS#1)")]
    NotAPrivateKey {
        /// What it was to be for.
        alg: Algorithm,
    },
    /// Not a public key of the algorithm.
    #[error("not a public key for {alg} (SubjectPublicKeyInfo; for RSA also PKCS#1)")]
    NotAPublicKey {
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
    /// Not a JSON Web Key, or not a set of them: one strict JSON object, values in canonical base64url (RFC 7517 §4).
    #[error("not a JSON Web Key or a set of them")]
    NotAJwk,
    /// A member that a key of its type must have is absent.
    #[error("the JSON Web Key has no {0}")]
    JwkMember(&'static str),
    /// A key type, curve or algorithm that is not known here.
    #[error("the JSON Web Key has a {0} that is not supported")]
    Unsupported(&'static str),
    /// The key says that it is for something else (`use`, `key_ops`; RFC 7517 §4.2, §4.3).
    #[error("the JSON Web Key is not for {0}")]
    NotFor(&'static str),
    /// The key is for another algorithm than it was to be used with.
    #[error("the JSON Web Key is for another algorithm")]
    AlgorithmMismatch,
    /// A set of secrets and public keys: whoever may read the one may not read the other.
    #[error("the set has secrets beside public keys")]
    MixedSet,
    /// A set that is published has private or symmetric members: whoever has read it can sign.
    #[error("the set has private or symmetric keys, and is for everyone to read; its keys must not be used any more")]
    PrivateMember,
    /// A set larger than anybody needs.
    #[error("the set has more than {most} keys")]
    TooManyKeys {
        /// What is taken.
        most: usize,
    },
    /// Two keys of one issuer have one name.
    #[error("two keys have this kid")]
    DuplicateKid,
    /// The algorithm could not sign.
    #[error("signing failed")]
    SigningFailed,
}
