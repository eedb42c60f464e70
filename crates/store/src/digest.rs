//! The keys of the denylist.

use core::{fmt, hash::Hasher};

use ostracon_core::{Kind, TargetRef};
use siphasher::sip128::{Hasher128, SipHasher24};

/// The key of a target in one store: 128 bits of SipHash-2-4 under the store's secret.
///
/// Of fixed size and evenly spread, whatever the names are; who chooses a `jti` cannot steer it (A71). It is the
/// identity of a revocation towards the outside, too.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
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

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret that digests are made with.
#[derive(Clone)]
pub(crate) struct DigestKey {
    bytes: [u8; 16],
    hasher: SipHasher24,
}

impl DigestKey {
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        Self {
            hasher: SipHasher24::new_with_key(&bytes),
            bytes,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The digest of `target`: kind, length of issuer, issuer, name. The length keeps `("a", "bc")` and `("ab", "c")`
    /// apart (A65).
    pub(crate) fn digest(&self, target: TargetRef<'_>) -> Digest {
        let iss = target.iss().as_str().as_bytes();
        let mut hasher = self.hasher;
        hasher.write(&[kind_byte(target.kind())]);
        hasher.write(&u32::try_from(iss.len()).unwrap_or(u32::MAX).to_be_bytes());
        hasher.write(iss);
        hasher.write(target.name().as_bytes());
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
    fn is_stable_across_versions() {
        let target = Target::Issuer {
            iss: Issuer::new("https://auth.example").unwrap(),
        };
        assert_eq!(digest(0, &target).to_string(), "20f576ea7b983445473434e5a214a31d");
    }
}
