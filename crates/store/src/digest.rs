//! The keys of the denylist.

use core::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use ostracon_core::{Kind, TargetRef};
use siphasher::sip128::{Hasher128, SipHasher24};

/// The key of a target in one store: 128 bits of SipHash-2-4 under the store's secret.
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
    /// As its bytes alone: all digests are of one length, and the prefilter hashes one twice for each check.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    /// The 32 hexadecimal digits that it is written as.
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digits = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| digits);
        number.map(|n| Self(n.to_be_bytes())).ok_or(NotADigest)
    }
}

/// A text that is no [`Digest`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be 32 hexadecimal digits")]
pub struct NotADigest;

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a target that are hashed in one go; names as they are in the field take a third of it.
const JOINED: usize = 192;

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
        let [a, b, c, d] = u32::try_from(iss.len()).unwrap_or(u32::MAX).to_be_bytes();
        let head = [kind_byte(target.kind()), a, b, c, d];
        let name = target.name().as_bytes();
        // Joined first where they fit: hashing them in one go takes half the time of one write after the other.
        let mut joined = [0; JOINED];
        let hash = if let Some(joined) = join(head, iss, name, &mut joined) {
            self.hasher.hash(joined)
        } else {
            let mut hasher = self.hasher;
            hasher.write(&head);
            hasher.write(iss);
            hasher.write(name);
            hasher.finish128()
        };
        Digest(hash.as_bytes())
    }
}

/// The three one behind the other, in `buffer`; none if they do not fit.
fn join<'a>(head: [u8; 5], iss: &[u8], name: &[u8], buffer: &'a mut [u8; JOINED]) -> Option<&'a [u8]> {
    let length = head.len().saturating_add(iss.len()).saturating_add(name.len());
    let joined = buffer.get_mut(..length)?;
    let (first, rest) = joined.split_first_chunk_mut()?;
    *first = head;
    let (before, after) = rest.split_at_mut_checked(iss.len())?;
    before.copy_from_slice(iss);
    after.copy_from_slice(name);
    Some(joined)
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
    fn a_digest_is_that_of_the_bytes_one_behind_the_other_however_long() {
        let key = DigestKey::new([7; 16]);
        for name in [1, 10, JOINED - 6, JOINED - 5 - 1, JOINED - 5, JOINED - 4, 255] {
            let target = Target::Token {
                iss: Issuer::new("i").unwrap(),
                jti: Jti::new("x".repeat(name)).unwrap(),
            };
            let mut hasher = key.hasher;
            hasher.write(&[1, 0, 0, 0, 1, b'i']);
            hasher.write("x".repeat(name).as_bytes());
            assert_eq!(
                key.digest(target.as_ref()),
                Digest(hasher.finish128().as_bytes()),
                "{name}"
            );
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
        assert_eq!(digest(0, &target).to_string(), "20f576ea7b983445473434e5a214a31d");
    }
}
