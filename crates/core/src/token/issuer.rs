//! One issuer: its keys, and what it is trusted for.

use core::time::Duration;
use std::collections::{HashMap, hash_map::Entry};

use serde_json::{Value, json};

use super::{KeyError, VerifyingKey, jwk::Jwk};
use crate::{claims::Claims, policy::Policy, refusal::Refusal, text::KeyId, time::UnixTime};

/// The keys of one issuer, each under its own name, and what they are trusted for.
#[derive(Debug, Default)]
pub struct IssuerKeys {
    keys: HashMap<KeyId, VerifyingKey>,
    /// None for any.
    audiences: Option<Vec<Box<str>>>,
    longest_lifetime: Option<Duration>,
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

    /// With audiences: a token of this issuer must be for one of them, whatever a route demands (RFC 8725 §3.9). Where
    /// there is none among them, no token is.
    #[must_use]
    pub fn with_audiences<A: Into<Box<str>>>(mut self, audiences: impl IntoIterator<Item = A>) -> Self {
        self.audiences = Some(audiences.into_iter().map(Into::into).collect());
        self
    }

    /// With a longest lifetime of this issuer's tokens, beside that of the policy.
    #[must_use]
    pub fn with_longest_lifetime(mut self, longest_lifetime: Duration) -> Self {
        self.longest_lifetime = Some(longest_lifetime);
        self
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

    /// Whether what the issuer is trusted for covers a token of its with `claims`, signed by `key`.
    pub(super) fn covers(&self, claims: &Claims, key: &VerifyingKey) -> Result<(), Refusal> {
        let is_for = |audiences: &Vec<Box<str>>| audiences.iter().any(|audience| claims.aud().contains(audience));
        if !self.audiences.as_ref().is_none_or(is_for) {
            return Err(Refusal::AudienceMismatch);
        }
        let issued = |otherwise| claims.iat().ok_or(otherwise);
        if let Some(longest) = self.longest_lifetime {
            let iat = issued(Refusal::ClaimInvalid("iat", "absent"))?;
            if claims.exp().since(iat) > longest {
                return Err(Refusal::ClaimInvalid(
                    "exp",
                    "later than its issuer's longest lifetime allows",
                ));
            }
        }
        match key.retirement() {
            Some(date) if issued(Refusal::KeyUnknown)? > date => Err(Refusal::KeyUnknown),
            _ => Ok(()),
        }
    }
}
