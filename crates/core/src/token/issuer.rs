//! One issuer: its keys, and what it is trusted for.

use core::time::Duration;
use std::collections::{HashMap, hash_map::Entry};

use serde_json::{Value, json};

use super::{Algorithm, KeyError, Trust, VerifyingKey, jwk::Jwk};
use crate::{claims::Claims, header::TokenType, policy::Policy, refusal::Refusal, text::KeyId, time::UnixTime};

/// The keys of one issuer, each under its own name, and what they are trusted for.
#[derive(Debug, Default)]
pub struct IssuerKeys {
    keys: HashMap<KeyId, VerifyingKey>,
    trust: Trust,
}

/// A key of a set that is not used, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Skipped {
    /// Its place in the set, from zero.
    pub at: usize,
    /// What was wrong.
    pub why: KeyError,
}

impl IssuerKeys {
    /// The most keys that a published set may have.
    pub const MAX_PUBLISHED: usize = 64;

    /// The keys of a JWK Set (RFC 7517 §5). Those of a type, curve or algorithm that is not known here, for another use,
    /// or with a member missing are skipped, and told.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAJwk`] when it is no set; [`KeyError::DuplicateKid`]; [`KeyError::MixedSet`]; and what is wrong with a key that is known
    /// and weak, since leaving it out would hide that its issuer is in trouble.
    pub fn from_jwk_set(json: &[u8]) -> Result<(Self, Vec<Skipped>), KeyError> {
        let mut keys = Self::default();
        let mut skipped = Vec::new();
        for (at, jwk) in Jwk::split(json)?.into_iter().enumerate() {
            match VerifyingKey::from_jwk(jwk.get().as_bytes(), None) {
                Ok(key) => keys.insert(key)?,
                Err(
                    why @ (KeyError::NotAJwk | KeyError::JwkMember(_) | KeyError::Unsupported(_) | KeyError::NotFor(_)),
                ) => skipped.push(Skipped { at, why }),
                Err(error) => return Err(error),
            }
        }
        let secrets = keys.keys().filter(|key| key.is_secret()).count();
        if secrets != 0 && secrets != keys.keys.len() {
            return Err(KeyError::MixedSet);
        }
        Ok((keys, skipped))
    }

    /// The keys of a JWK Set that its issuer publishes, for `algorithms` and no others: a key that does not name its own is
    /// for the first of them that fits it. What is not for them, not known, not for signatures, weak, or without a
    /// member that it must have, is skipped, and told: what it would sign is refused.
    ///
    /// # Errors
    ///
    /// [`KeyError::NotAJwk`] when it is no set; [`KeyError::TooManyKeys`]; [`KeyError::DuplicateKid`];
    /// [`KeyError::PrivateMember`], since nothing that such a set has is worth anything.
    pub fn from_public_jwk_set(json: &[u8], algorithms: &[Algorithm]) -> Result<(Self, Vec<Skipped>), KeyError> {
        let jwks = Jwk::split(json)?;
        if jwks.len() > Self::MAX_PUBLISHED {
            let most = Self::MAX_PUBLISHED;
            return Err(KeyError::TooManyKeys { most });
        }
        let (mut keys, mut skipped) = (Self::default(), Vec::new());
        for (at, jwk) in jwks.into_iter().enumerate() {
            let jwk = jwk.get().as_bytes();
            match Jwk::is_private(jwk) {
                Ok(false) => {}
                Ok(true) => return Err(KeyError::PrivateMember),
                Err(why) => {
                    skipped.push(Skipped { at, why });
                    continue;
                }
            }
            let mut read = Err(KeyError::AlgorithmMismatch);
            for alg in algorithms {
                read = VerifyingKey::from_jwk(jwk, Some(*alg));
                if !matches!(read, Err(KeyError::AlgorithmMismatch)) {
                    break;
                }
            }
            match read {
                Ok(key) => keys.insert(key)?,
                Err(why) => skipped.push(Skipped { at, why }),
            }
        }
        Ok((keys, skipped))
    }

    /// Takes `key` in.
    ///
    /// # Errors
    ///
    /// [`KeyError::DuplicateKid`] when its name is taken; the key that has it stays.
    pub fn insert(&mut self, key: VerifyingKey) -> Result<(), KeyError> {
        match self.keys.entry(key.kid().clone()) {
            Entry::Occupied(_) => Err(KeyError::DuplicateKid),
            Entry::Vacant(slot) => {
                slot.insert(key);
                Ok(())
            }
        }
    }

    /// With what they are trusted for, in place of what they were.
    #[must_use]
    pub fn trusted(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// With audiences; see [`Trust::audiences`].
    #[must_use]
    pub fn with_audiences<A: Into<Box<str>>>(self, audiences: impl IntoIterator<Item = A>) -> Self {
        let trust = self.trust.audiences(audiences);
        Self { trust, ..self }
    }

    /// With a longest lifetime; see [`Trust::longest_lifetime`].
    #[must_use]
    pub fn with_longest_lifetime(self, longest_lifetime: Duration) -> Self {
        let trust = self.trust.longest_lifetime(longest_lifetime);
        Self { trust, ..self }
    }

    /// What they are trusted for.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The key of that name.
    #[must_use]
    pub fn key(&self, kid: &KeyId) -> Option<&VerifyingKey> {
        self.keys.get(kid)
    }

    /// All of them, in no order.
    pub fn keys(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.keys.values()
    }

    /// The public keys as a JWK Set, sorted by name: for others to verify with (RFC 7517 §5). Nothing private or
    /// symmetric is ever in it, and a retired key leaves when no token that it vouches for can be alive at `now`.
    #[must_use]
    pub fn public_jwk_set(&self, policy: &Policy, now: UnixTime) -> Value {
        let over = |retired: UnixTime| policy.forgettable(retired.saturating_add(policy.longest_lifetime())) <= now;
        let mut keys: Vec<_> = self.keys().filter(|key| !key.retirement().is_some_and(over)).collect();
        keys.sort_by_key(|key| key.kid());
        let keys: Vec<Value> = keys.into_iter().filter_map(VerifyingKey::public_jwk).collect();
        json!({ "keys": keys })
    }

    /// The key that a token says it was signed with: by its name, or, where its issuer is trusted to leave that out, the
    /// only one of its algorithm.
    pub(super) fn named(&self, kid: Option<&KeyId>, alg: &str) -> Option<&VerifyingKey> {
        match kid {
            Some(kid) => self.key(kid),
            None if self.trust.takes_nameless_keys() => {
                let alg = alg.parse().ok()?;
                let mut keys = self.keys().filter(|key| key.alg() == alg);
                keys.next().filter(|_| keys.next().is_none())
            }
            None => None,
        }
    }

    /// Whether what the issuer is trusted for covers a token of its with `claims`, signed by `key`.
    pub(super) fn covers(&self, typ: TokenType, claims: &Claims, key: &VerifyingKey) -> Result<(), Refusal> {
        self.trust.covers(typ, claims)?;
        match key.retirement() {
            Some(date) if claims.iat().ok_or(Refusal::KeyUnknown)? > date => Err(Refusal::KeyUnknown),
            _ => Ok(()),
        }
    }
}
