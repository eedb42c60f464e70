//! How a policy is made, and from what file.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Policy, Tier, TierRule};
use crate::claims::{Claims, Scope};

/// Why a [`Policy`] cannot be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Clocks of one system do not differ by that much.
    #[error("leeway must be at most {} seconds", Policy::MAX_LEEWAY.as_secs())]
    Leeway,
    /// A lifetime is nothing, or longer than anything is kept.
    #[error("{0} must be between one second and {max} seconds", max = Policy::MAX_LIFETIME.as_secs())]
    Lifetime(&'static str),
    /// The first may not outlive the second.
    #[error("{0} must not be longer than {1}")]
    Order(&'static str, &'static str),
    /// A rule for tiers means nothing.
    #[error("tier rule: {0}")]
    Rule(&'static str),
}

/// What a [`Policy`] allows and yet is unwise.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyWarning {
    /// Shorter, and clients do little else than refresh; longer, and what is not asked of a denylist lives too long.
    #[error("access tokens live for {} seconds; 300 to 900 are recommended", .0.as_secs())]
    AccessLifetime(Duration),
    /// What [`Tier::Low`] takes without asking can be revoked for that long to no effect.
    #[error("tier low takes tokens that live for {} seconds without asking; at most 900 are recommended", .0.as_secs())]
    LowTierLifetime(Duration),
    /// While the store fails, [`Tier::Low`] takes long-lived tokens that may be revoked.
    #[error("tier low passes while the denylist cannot be asked")]
    LowPassesWithoutStore,
}

/// A claim that a policy can require. `iss`, `exp` and `iat` always are: without them a revocation could not be kept for
/// long enough. `jti` is for [`MissingJti`] to say.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of claims")]
#[non_exhaustive]
pub enum ClaimName {
    Sub,
    Aud,
    ClientId,
    Sid,
    Nbf,
    Scope,
}

impl ClaimName {
    /// Its spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sub => "sub",
            Self::Aud => "aud",
            Self::ClientId => "client_id",
            Self::Sid => "sid",
            Self::Nbf => "nbf",
            Self::Scope => "scope",
        }
    }

    /// Whether it stands in `claims`; an empty list of audiences and an empty scope do not.
    #[must_use]
    pub fn stands_in(self, claims: &Claims) -> bool {
        match self {
            Self::Sub => claims.sub().is_some(),
            Self::Aud => claims.aud().iter().next().is_some(),
            Self::ClientId => claims.client_id().is_some(),
            Self::Sid => claims.sid().is_some(),
            Self::Nbf => claims.nbf().is_some(),
            Self::Scope => claims.scope().iter().next().is_some(),
        }
    }
}

/// What becomes of a token without `jti`, which nothing can revoke alone.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MissingJti {
    /// It is refused (RFC 9068 §2.2 requires one).
    #[default]
    Refuse,
    /// It goes by the digest of its signing input; see [`Claims::token_id`]. Two tokens of the same claims share it.
    Digest,
}

/// What a store that cannot answer means.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// The token is not accepted.
    #[default]
    Refuse,
    /// The token is accepted for its signature and age alone.
    Accept,
}

/// A [`Policy`] in the making, and its form in a configuration file: durations in whole seconds, what is left out at its
/// default, what is unknown refused.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct PolicyBuilder {
    #[serde(rename = "leeway_secs", with = "secs")]
    pub(super) leeway: Duration,
    #[serde(rename = "access_lifetime_secs", with = "secs")]
    pub(super) access_lifetime: Duration,
    #[serde(rename = "refresh_lifetime_secs", with = "secs")]
    pub(super) refresh_lifetime: Duration,
    #[serde(rename = "session_lifetime_secs", with = "secs")]
    pub(super) session_lifetime: Duration,
    #[serde(rename = "longest_lifetime_secs", with = "secs")]
    pub(super) longest_lifetime: Duration,
    #[serde(rename = "low_tier_lifetime_secs", with = "secs")]
    pub(super) low_tier_lifetime: Duration,
    #[serde(
        rename = "high_tier_age_secs",
        with = "maybe_secs",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) high_tier_age: Option<Duration>,
    pub(super) default_tier: Tier,
    pub(super) tiers: Vec<TierRule>,
    pub(super) low_without_store: StoreFailure,
    pub(super) required_claims: Vec<ClaimName>,
    pub(super) required_scope: Scope,
    pub(super) tokens_without_jti: MissingJti,
}

impl Default for PolicyBuilder {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            access_lifetime: Duration::from_mins(10),
            refresh_lifetime: Duration::from_hours(14 * 24),
            session_lifetime: Duration::from_hours(30 * 24),
            longest_lifetime: Duration::from_hours(30 * 24),
            low_tier_lifetime: Duration::from_mins(15),
            high_tier_age: None,
            default_tier: Tier::Standard,
            tiers: Vec::new(),
            low_without_store: StoreFailure::Refuse,
            required_claims: vec![ClaimName::Sub],
            required_scope: Scope::default(),
            tokens_without_jti: MissingJti::Refuse,
        }
    }
}

impl PolicyBuilder {
    /// See [`Policy::leeway`]; 30 seconds by default.
    pub fn leeway(self, leeway: Duration) -> Self {
        Self { leeway, ..self }
    }

    /// See [`Policy::access_lifetime`]; 10 minutes by default, 5 to 15 recommended.
    pub fn access_lifetime(self, access_lifetime: Duration) -> Self {
        Self {
            access_lifetime,
            ..self
        }
    }

    /// See [`Policy::refresh_lifetime`]; 14 days by default.
    pub fn refresh_lifetime(self, refresh_lifetime: Duration) -> Self {
        Self {
            refresh_lifetime,
            ..self
        }
    }

    /// See [`Policy::session_lifetime`]; 30 days by default.
    pub fn session_lifetime(self, session_lifetime: Duration) -> Self {
        Self {
            session_lifetime,
            ..self
        }
    }

    /// See [`Policy::longest_lifetime`]; 30 days by default.
    pub fn longest_lifetime(self, longest_lifetime: Duration) -> Self {
        Self {
            longest_lifetime,
            ..self
        }
    }

    /// See [`Policy::low_tier_lifetime`]; 15 minutes by default.
    pub fn low_tier_lifetime(self, low_tier_lifetime: Duration) -> Self {
        Self {
            low_tier_lifetime,
            ..self
        }
    }

    /// See [`Policy::high_tier_age`]; no cap by default.
    pub fn high_tier_age(self, age: Duration) -> Self {
        Self {
            high_tier_age: Some(age),
            ..self
        }
    }

    /// The tier where no rule applies; [`Tier::Standard`] by default.
    pub fn default_tier(self, default_tier: Tier) -> Self {
        Self { default_tier, ..self }
    }

    /// One more rule; see [`Policy::tier`].
    pub fn tier(mut self, rule: TierRule) -> Self {
        self.tiers.push(rule);
        self
    }

    /// See [`Policy::on_store_failure`]; the other tiers always refuse.
    pub fn low_without_store(self, low_without_store: StoreFailure) -> Self {
        Self {
            low_without_store,
            ..self
        }
    }

    /// See [`Policy::required_claims`]; `sub` by default. Replaces what was required before.
    pub fn required_claims(self, required_claims: impl Into<Vec<ClaimName>>) -> Self {
        let required_claims = required_claims.into();
        Self {
            required_claims,
            ..self
        }
    }

    /// See [`Policy::required_scope`]; none by default.
    pub fn required_scope(self, required_scope: Scope) -> Self {
        Self { required_scope, ..self }
    }

    /// See [`Policy::tokens_without_jti`]; refused by default.
    pub fn tokens_without_jti(self, tokens_without_jti: MissingJti) -> Self {
        Self {
            tokens_without_jti,
            ..self
        }
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] of the first thing that contradicts another or a bound.
    pub fn build(self) -> Result<Policy, PolicyError> {
        if self.leeway > Policy::MAX_LEEWAY {
            return Err(PolicyError::Leeway);
        }
        let lifetimes = [
            ("access_lifetime", self.access_lifetime),
            ("refresh_lifetime", self.refresh_lifetime),
            ("session_lifetime", self.session_lifetime),
            ("longest_lifetime", self.longest_lifetime),
        ];
        let others = [
            ("low_tier_lifetime", self.low_tier_lifetime),
            ("high_tier_age", self.high_tier_age.unwrap_or(self.longest_lifetime)),
        ];
        let bounds = Duration::from_secs(1)..=Policy::MAX_LIFETIME;
        if let Some((name, _)) = lifetimes.iter().chain(&others).find(|(_, span)| !bounds.contains(span)) {
            return Err(PolicyError::Lifetime(name));
        }
        for ((name, span), (longer_name, longer)) in lifetimes.iter().zip(lifetimes.iter().skip(1)) {
            if span > longer {
                return Err(PolicyError::Order(name, longer_name));
            }
        }
        if let Some((name, _)) = others.iter().find(|(_, span)| *span > self.longest_lifetime) {
            return Err(PolicyError::Order(name, "longest_lifetime"));
        }
        Ok(Policy(self))
    }

    /// Makes `longest` the longest lifetime, and no other longer than that.
    pub(super) fn cut_to(&mut self, longest: Duration) {
        self.longest_lifetime = longest.clamp(Duration::from_secs(1), Policy::MAX_LIFETIME);
        let spans = [
            &mut self.access_lifetime,
            &mut self.refresh_lifetime,
            &mut self.session_lifetime,
            &mut self.low_tier_lifetime,
        ];
        for span in spans.into_iter().chain(self.high_tier_age.as_mut()) {
            *span = (*span).min(self.longest_lifetime);
        }
    }

    pub(super) fn warnings(&self) -> impl Iterator<Item = PolicyWarning> {
        let (shortest, longest) = (Duration::from_mins(5), Duration::from_mins(15));
        let access = self.access_lifetime;
        [
            (!(shortest..=longest).contains(&access)).then_some(PolicyWarning::AccessLifetime(access)),
            (self.low_tier_lifetime > longest).then_some(PolicyWarning::LowTierLifetime(self.low_tier_lifetime)),
            (self.low_without_store == StoreFailure::Accept).then_some(PolicyWarning::LowPassesWithoutStore),
        ]
        .into_iter()
        .flatten()
    }
}

/// Durations in whole seconds.
mod secs {
    use super::{Deserialize, Duration, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        span.as_secs().serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_secs)
    }
}

/// The same, where there may be none.
mod maybe_secs {
    use super::{Deserialize, Duration, Serialize};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: serde::Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        span.map(|s| s.as_secs()).serialize(to)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(from)?.map(Duration::from_secs))
    }
}
