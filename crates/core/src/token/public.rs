//! The public half of a key pair, checked once for what can be wrong with one.

use aws_lc_rs::{
    digest,
    signature::{self, ParsedPublicKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use super::{Algorithm, KeyError};
use crate::text::KeyId;

/// A public key that is sound. Invariant: what the constructors check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PublicKey {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point (SEC 1 §2.3.3).
    Ec {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed {
        x: Vec<u8>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
        }
    }

    pub(super) fn alg(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
        }
    }

    fn field_bytes(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl PublicKey {
    /// RFC 7518 §3.3: 2048 bits or more.
    pub(super) fn rsa(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let (n, e) = (without_zeros(n), without_zeros(e));
        let bits = bits(n);
        if bits < 2048 {
            return Err(KeyError::RsaTooShort { bits });
        }
        if bits > 8192 {
            return Err(KeyError::RsaUnsound("more than 8192 bits"));
        }
        let odd = |number: &[u8]| number.last().is_some_and(|b| b & 1 == 1);
        if !odd(n) {
            return Err(KeyError::RsaUnsound("even modulus"));
        }
        if !odd(e) || e == [1] || self::bits(e) > 33 {
            return Err(KeyError::RsaUnsound("exponent not odd, from 3 to 33 bits"));
        }
        if has_roca_pattern(n) {
            return Err(KeyError::RsaUnsound("a factor can be found (CVE-2017-15361)"));
        }
        Ok(Self::Rsa {
            n: n.into(),
            e: e.into(),
        })
    }

    /// RFC 7518 §6.2.1.2: each coordinate is as long as the field, leading zeros included.
    pub(super) fn ec(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        let off = KeyError::NotOnCurve(curve.name());
        if x.len() != curve.field_bytes() || y.len() != curve.field_bytes() {
            return Err(off);
        }
        let point = [&[4], x, y].concat();
        let parsed = match curve {
            Curve::P256 => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, &point),
            Curve::P384 => ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, &point),
        };
        parsed.map_err(|_| off)?;
        Ok(Self::Ec { curve, point })
    }

    /// RFC 8032 §5.1.5: 32 bytes, the one spelling of a `y` below the field's prime, and of no point of small order, under
    /// which anybody can sign anything. That they are those of a point at all shows when a signature is verified: under
    /// any other none ever is.
    pub(super) fn ed(x: &[u8]) -> Result<Self, KeyError> {
        let off = KeyError::NotOnCurve("Ed25519");
        if x.len() != 32 {
            return Err(off);
        }
        let canonical = x.last().map(|last| last & 0x7f);
        let y: Vec<u8> = x.iter().copied().take(31).chain(canonical).collect();
        let below_prime = y.iter().rev().copied().lt(ED25519_PRIME.iter().rev().copied());
        if !below_prime || ED25519_SMALL_ORDER.iter().any(|small| **small == *y) {
            return Err(off);
        }
        ParsedPublicKey::new(&signature::ED25519, x).map_err(|_| off)?;
        Ok(Self::Ed { x: x.into() })
    }

    /// The two coordinates of a point, each as long as the field.
    pub(super) fn coordinates(&self) -> Option<(&[u8], &[u8])> {
        match self {
            Self::Ec { curve, point } => point.get(1..)?.split_at_checked(curve.field_bytes()),
            Self::Rsa { .. } | Self::Ed { .. } => None,
        }
    }

    pub(super) fn decoding_key(&self) -> DecodingKey {
        match self {
            Self::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Self::Ec { point, .. } => DecodingKey::from_ec_der(point),
            Self::Ed { x } => DecodingKey::from_ed_der(x),
        }
    }

    /// The members that RFC 7638 §3.2 requires, sorted by name.
    fn required(&self) -> Vec<(&'static str, String)> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Rsa { n, e } => vec![("e", text(e)), ("kty", "RSA".into()), ("n", text(n))],
            Self::Ec { curve, .. } => {
                let (x, y) = self.coordinates().unwrap_or_default();
                let crv = curve.name().into();
                vec![("crv", crv), ("kty", "EC".into()), ("x", text(x)), ("y", text(y))]
            }
            Self::Ed { x } => vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", text(x))],
        }
    }

    /// The name of a key of this: `kid`, or where it has none its thumbprint.
    pub(super) fn name(&self, kid: Option<KeyId>) -> Result<KeyId, KeyError> {
        kid.map_or_else(|| KeyId::new(self.thumbprint()).map_err(|_| KeyError::NotAJwk), Ok)
    }

    /// RFC 7638 §3, with SHA-256.
    pub(super) fn thumbprint(&self) -> String {
        // None of the values needs an escape, so this is the one JSON text that is meant.
        let members: Vec<String> = self
            .required()
            .iter()
            .map(|(k, v)| format!("\"{k}\":\"{v}\""))
            .collect();
        let text = format!("{{{}}}", members.join(","));
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    }

    /// RFC 7517 §4, with nothing in it that is private.
    pub(super) fn jwk(&self, kid: &KeyId, alg: Algorithm) -> Value {
        let mut jwk = json!({ "kid": kid.as_str(), "alg": alg.as_str(), "use": "sig" });
        for (name, value) in self.required() {
            if let Some(members) = jwk.as_object_mut() {
                members.insert(name.to_owned(), value.into());
            }
        }
        jwk
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|b| **b == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// The length of a number without leading zero bytes.
fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |b| b.leading_zeros());
    let leading = usize::try_from(leading).unwrap_or(0);
    number.len().saturating_mul(8).saturating_sub(leading)
}

/// Whether `n` is a power of 65537 modulo each small prime, as products of the flawed library's primes are. One random
/// number in 2^150 is, too.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "no prime is zero, and each number is below 2^24"
)]
fn has_roca_pattern(n: &[u8]) -> bool {
    const PRIMES: [u32; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.into_iter().all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let next = |power: &u32| Some(power * (65_537 % prime) % prime);
        let powers = core::iter::successors(Some(1), next).take(168);
        powers.into_iter().any(|power| power == rest)
    })
}

/// 2^255 − 19, little-endian (RFC 7748 §4.1).
const ED25519_PRIME: [u8; 32] = [
    0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
];

/// The `y` of the points of order 4, 1, 2 and 8: reckoned from the equation of the curve.
const ED25519_SMALL_ORDER: [&[u8; 32]; 5] = [
    &[0; 32],
    &[
        0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ],
    &[
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    &[
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    &[
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;

    /// 2048 bits, without a meaning.
    fn modulus() -> Vec<u8> {
        (0..=255_u8).map(|i| i.wrapping_mul(167) ^ 0xa5 | 1).collect()
    }

    #[test]
    fn p024_a19_rsa_keys_that_no_sound_generator_makes() {
        let n = modulus();
        assert!(PublicKey::rsa(&n, &[1, 0, 1]).is_ok());
        // Leading zeros are no bits, and no other key.
        assert_eq!(
            PublicKey::rsa(&[&[0], &n[..]].concat(), &[0, 1, 0, 1]),
            PublicKey::rsa(&n, &[1, 0, 1])
        );
        let mut short = n.clone();
        short[0] = 0x7f;
        assert_eq!(PublicKey::rsa(&short, &[3]), Err(KeyError::RsaTooShort { bits: 2047 }));
        assert_eq!(
            PublicKey::rsa(&n[..128], &[3]),
            Err(KeyError::RsaTooShort { bits: 1024 })
        );
        assert_eq!(PublicKey::rsa(&[], &[3]), Err(KeyError::RsaTooShort { bits: 0 }));

        let mut even = n.clone();
        even[255] &= 0xfe;
        assert!(matches!(PublicKey::rsa(&even, &[3]), Err(KeyError::RsaUnsound(_))));
        assert!(PublicKey::rsa(&n.repeat(4), &[3]).is_ok());
        assert!(matches!(
            PublicKey::rsa(&[&[1], &n.repeat(4)[..]].concat(), &[3]),
            Err(KeyError::RsaUnsound(_))
        ));
        for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[3, 0, 0, 0, 1]] {
            assert!(matches!(PublicKey::rsa(&n, e), Err(KeyError::RsaUnsound(_))), "{e:?}");
        }
        for e in [&[3][..], &[1, 0, 0, 0, 1]] {
            assert!(PublicKey::rsa(&n, e).is_ok(), "{e:?}");
        }
    }

    #[test]
    fn a19_the_roca_pattern() {
        // One more than a multiple of all the primes is the zeroth power of anything modulo each of them.
        let mut product = vec![1_u8];
        for prime in (3..=167_u32).filter(|n| (2..*n).all(|d| n % d != 0)) {
            let mut carry = 0;
            for byte in product.iter_mut().rev() {
                carry += u32::from(*byte) * prime;
                *byte = carry.to_be_bytes()[3];
                carry >>= 8;
            }
            let front = carry.to_be_bytes();
            product = [without_zeros(&front), &product].concat();
        }
        let mut n = product.clone();
        n.resize(300, 0);
        n[299] = 1;
        assert!(has_roca_pattern(&n));
        assert!(matches!(PublicKey::rsa(&n, &[3]), Err(KeyError::RsaUnsound(_))));
        n[299] = 3;
        assert!(!has_roca_pattern(&n) && !has_roca_pattern(&modulus()));
    }

    #[test]
    fn p030_points_off_the_curve() {
        let decode = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
        // RFC 7515 A.3.
        let x = decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU");
        let y = decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let key = PublicKey::ec(Curve::P256, &x, &y).unwrap();
        assert_eq!(key.coordinates(), Some((&x[..], &y[..])));
        let off = Err(KeyError::NotOnCurve("P-256"));
        let mut other = y.clone();
        other[31] ^= 1;
        assert_eq!(PublicKey::ec(Curve::P256, &x, &other), off);
        assert_eq!(PublicKey::ec(Curve::P256, &[0; 32], &[0; 32]), off);
        assert_eq!(PublicKey::ec(Curve::P256, &x[..31], &y), off);
        assert_eq!(PublicKey::ec(Curve::P256, &[&[0], &x[..]].concat(), &y), off);
        assert_eq!(PublicKey::ec(Curve::P384, &x, &y), Err(KeyError::NotOnCurve("P-384")));
        assert_eq!(PublicKey::ed(&x[..31]), Err(KeyError::NotOnCurve("Ed25519")));
    }

    /// Under the identity, or any other point of small order, some signature fits every text.
    #[test]
    fn p030_ed25519_keys_of_small_order_or_a_second_spelling_are_refused() {
        let off = Err(KeyError::NotOnCurve("Ed25519"));
        for small in ED25519_SMALL_ORDER {
            for sign in [0, 0x80] {
                let mut key = *small;
                key[31] |= sign;
                assert_eq!(PublicKey::ed(&key), off, "{key:?}");
            }
        }
        for above in 0..19_u8 {
            let mut key = ED25519_PRIME;
            key[0] += above;
            assert_eq!(PublicKey::ed(&key), off, "the prime and what lies above it");
        }
        // RFC 8032 §7.1, test 1.
        let good = [
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1,
            0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        assert!(PublicKey::ed(&good).is_ok());
    }
}
