//! The keys of the denylist.

use core::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};
use std::sync::OnceLock;

use ostracon_core::{Issuer, Kind, TargetRef};
use siphasher::sip128::{Hasher128, SipHasher13};

/// The key of a target in one store: 128 bits of SipHash-1-3 under the store's secret.
///
/// Of fixed size and evenly spread, whatever the names are; who chooses a `jti` cannot steer it (A71). It is the
/// identity of a revocation towards the outside, too.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct Digest([u8; 16]);

impl Digest {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The shard of the prefilter that it belongs to, and the first byte of its key range in the engine.
    pub(crate) const fn shard(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }
}

impl Hash for Digest {
    /// As its second half alone, which is as uniform as the whole and does not choose the shard: the prefilter hashes a
    /// digest up to twice for each check, and two digests that agree in 64 bits are one more false positive, no more.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [_, _, _, _, _, _, _, _, half @ ..] = self.0;
        state.write_u64(u64::from_be_bytes(half));
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    /// The 32 hexadecimal digits that it is written as, in lower case: it has one spelling.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        let digits = text.len() == 32 && text.bytes().all(digit);
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|n| Self(n.to_be_bytes())).ok_or(NotADigest)
    }
}

/// A text that is no [`Digest`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be 32 hexadecimal digits in lower case")]
pub struct NotADigest;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret that digests are made with.
#[derive(Clone)]
pub(crate) struct DigestKey {
    bytes: [u8; 16],
    hasher: SipHasher13,
    /// The first issuer that was asked about, and mostly the only one: hashed once.
    first: OnceLock<(Issuer, IssuerDigest)>,
}

impl DigestKey {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher13::new_with_key(&bytes),
            bytes,
            first: OnceLock::new(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The digest of `target`: length of issuer, issuer, kind, name. The length keeps `("a", "bc")` and `("ab", "c")`
    /// apart (A65).
    pub(crate) fn digest(&self, target: TargetRef<'_>) -> Digest {
        self.within(target.iss()).digest(target.kind(), target.name())
    }

    /// The digests of targets that lie within `iss`: hashed once for all targets of a token.
    pub(crate) fn within(&self, iss: &Issuer) -> IssuerDigest {
        let (first, digest) = self.first.get_or_init(|| (iss.clone(), self.hashed(iss)));
        if first == iss { *digest } else { self.hashed(iss) }
    }

    fn hashed(&self, iss: &Issuer) -> IssuerDigest {
        let iss = iss.as_str().as_bytes();
        let mut hasher = self.hasher;
        hasher.write(&u32::try_from(iss.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.write(iss);
        IssuerDigest(hasher)
    }
}

/// A [`DigestKey`] that has taken in an issuer.
#[derive(Clone, Copy)]
pub(crate) struct IssuerDigest(SipHasher13);

impl IssuerDigest {
    pub(crate) fn digest(&self, kind: Kind, name: &str) -> Digest {
        let mut hasher = self.0;
        hasher.write_u8(kind_byte(kind));
        hasher.write(name.as_bytes());
        Digest(hasher.finish128().as_bytes())
    }
}

/// The number of a kind on disk; never changed.
pub(crate) const fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Token => 1,
        Kind::Session => 2,
        Kind::Subject => 3,
        Kind::Client => 4,
        Kind::Key => 5,
        Kind::Issuer => 6,
    }
}

#[cfg(test)]
mod tests {
    use ostracon_core::{Issuer, Jti, SessionId, Target};

    use super::*;

    fn digest(key: u8, target: &Target) -> Digest {
        DigestKey::new([key; 16]).digest(target.as_ref())
    }

    /// A64, A65, A71.
    #[test]
    fn a64_a65_names_kinds_and_issuers_do_not_run_together() {
        let token = |iss: &str, jti: &str| Target::Token {
            iss: Issuer::new(iss).unwrap(),
            jti: Jti::new(jti).unwrap(),
        };
        let session = Target::Session {
            iss: Issuer::new("a").unwrap(),
            sid: SessionId::new("bc").unwrap(),
        };
        let all = [
            token("a", "bc"),
            token("ab", "c"),
            token("b", "bc"),
            session,
            Target::Issuer {
                iss: Issuer::new("abc").unwrap(),
            },
        ];
        for (i, one) in all.iter().enumerate() {
            for (j, other) in all.iter().enumerate() {
                assert_eq!(digest(1, one) == digest(1, other), i == j);
            }
        }
        assert_ne!(digest(1, &all[0]), digest(2, &all[0]), "the key counts");
    }

    #[test]
    fn a_digest_is_that_of_the_bytes_one_behind_the_other_however_long() {
        let key = DigestKey::new([7; 16]);
        for (iss, name) in [(1, 1), (4, 10), (20, 32), (255, 255)] {
            let target = Target::Token {
                iss: Issuer::new("i".repeat(iss)).unwrap(),
                jti: Jti::new("x".repeat(name)).unwrap(),
            };
            let length = u32::try_from(iss).unwrap().to_be_bytes();
            let bytes = [
                &length[..],
                "i".repeat(iss).as_bytes(),
                &[1],
                "x".repeat(name).as_bytes(),
            ]
            .concat();
            let expected = Digest(key.hasher.hash(&bytes).as_bytes());
            assert_eq!(key.digest(target.as_ref()), expected, "{iss}, {name}");
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let digest = Digest::from_bytes([0x0a; 16]);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in [
            "",
            "0a",
            &"0".repeat(33),
            &"g".repeat(32),
            &"0A".repeat(16),
            &format!("+{}", "0".repeat(31)),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(NotADigest), "{bad}");
        }
    }

    #[test]
    fn is_stable_across_versions() {
        let target = Target::Issuer {
            iss: Issuer::new("https://auth.example").unwrap(),
        };
        assert_eq!(digest(0, &target).to_string(), "59a037a3a202216dcb294987a6e09917");
    }
}
