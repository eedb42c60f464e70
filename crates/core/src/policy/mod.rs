//! What is accepted: the trade between the cost of a check and the risk of leaving it out, made explicit.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    claims::{Claims, Scope},
    time::UnixTime,
};

mod builder;
mod tier;

pub use builder::{ClaimName, MissingJti, PolicyBuilder, PolicyError, PolicyWarning, StoreFailure};
pub use tier::{Tier, TierRule};

/// The rules that a token is judged by, beside what a route demands of it.
///
/// Made by a [`PolicyBuilder`], or read from a configuration file in the builder's form; either way what contradicts
/// itself is refused. Invariant: access ≤ refresh ≤ session ≤ longest lifetime, so that what is retained for the
/// longest covers each of them (I1).
///
/// ```
/// use core::time::Duration;
/// use ostracon_core::{Policy, Tier, TierRule};
///
/// let policy = Policy::builder()
///     .access_lifetime(Duration::from_mins(5))
///     .tier(TierRule::path("/payments", Tier::High)?)
///     .high_tier_age(Duration::from_mins(2))
///     .build()?;
/// assert_eq!(policy.warnings().count(), 0);
///
/// // The same from a file; what is left out keeps its default.
/// let json = r#"{"access_lifetime_secs":300,"tiers":[{"path":"/payments","tier":"high"}],"high_tier_age_secs":120}"#;
/// assert_eq!(serde_json::from_str::<Policy>(json)?, policy);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "PolicyBuilder", into = "PolicyBuilder")]
pub struct Policy(PolicyBuilder);

impl TryFrom<PolicyBuilder> for Policy {
    type Error = PolicyError;
    fn try_from(builder: PolicyBuilder) -> Result<Self, PolicyError> {
        builder.build()
    }
}

impl From<Policy> for PolicyBuilder {
    fn from(policy: Policy) -> Self {
        policy.0
    }
}

impl Policy {
    /// The largest leeway that can be configured: RFC 7519 §4.1.4 speaks of "no more than a few minutes".
    pub const MAX_LEEWAY: Duration = Duration::from_mins(5);

    /// The longest life that can be configured for anything: a denylist that forgets nothing within it stays bounded.
    pub const MAX_LIFETIME: Duration = Duration::from_hours(10 * 366 * 24);

    /// A builder with the defaults.
    pub fn builder() -> PolicyBuilder {
        PolicyBuilder::default()
    }

    /// With a leeway for clocks that differ.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Leeway`] above [`Policy::MAX_LEEWAY`].
    pub fn with_leeway(self, leeway: Duration) -> Result<Self, PolicyError> {
        self.0.leeway(leeway).build()
    }

    /// With a longest life of any token, refresh tokens included; one that lasts longer is refused.
    ///
    /// Between a second and [`Policy::MAX_LIFETIME`]; the lifetimes of access, refresh and session are cut to it.
    #[must_use]
    pub fn with_longest_lifetime(mut self, longest_lifetime: Duration) -> Self {
        self.0.cut_to(longest_lifetime);
        self
    }

    /// With a longest life of tokens that [`Tier::Low`] accepts without asking the denylist; between a second
    /// and the longest of all.
    #[must_use]
    pub fn with_low_tier_lifetime(mut self, low_tier_lifetime: Duration) -> Self {
        let least = Duration::from_secs(1);
        self.0.low_tier_lifetime = low_tier_lifetime.clamp(least, self.0.longest_lifetime.max(least));
        self
    }

    /// How far two clocks may differ.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        self.0.leeway
    }

    /// How long an access token is issued for.
    #[must_use]
    pub fn access_lifetime(&self) -> Duration {
        self.0.access_lifetime
    }

    /// How long a refresh token is issued for.
    #[must_use]
    pub fn refresh_lifetime(&self) -> Duration {
        self.0.refresh_lifetime
    }

    /// How long a login lasts, however often it is refreshed.
    #[must_use]
    pub fn session_lifetime(&self) -> Duration {
        self.0.session_lifetime
    }

    /// The longest life of any token. Revocations are retained by it: raised later, it may let a token live on whose
    /// revocation was made, and forgotten, under the shorter one. Whoever raises it keeps the longest there ever was.
    #[must_use]
    pub fn longest_lifetime(&self) -> Duration {
        self.0.longest_lifetime
    }

    /// The longest life of a token that [`Tier::Low`] does not ask the denylist about.
    #[must_use]
    pub fn low_tier_lifetime(&self) -> Duration {
        self.0.low_tier_lifetime
    }

    /// How long after its issue [`Tier::High`] still takes a token.
    #[must_use]
    pub fn high_tier_age(&self) -> Option<Duration> {
        self.0.high_tier_age
    }

    /// The claims that a token must have beside `iss`, `exp` and `iat`.
    #[must_use]
    pub fn required_claims(&self) -> &[ClaimName] {
        &self.0.required_claims
    }

    /// What each token must allow, whatever the route.
    #[must_use]
    pub fn required_scope(&self) -> &Scope {
        &self.0.required_scope
    }

    /// What becomes of a token without `jti`.
    #[must_use]
    pub fn tokens_without_jti(&self) -> MissingJti {
        self.0.tokens_without_jti
    }

    /// What the failure of the store means behind a route of `tier`. For [`Tier::Standard`] and [`Tier::High`] it is
    /// always a refusal (I5).
    #[must_use]
    pub fn on_store_failure(&self, tier: Tier) -> StoreFailure {
        match tier {
            Tier::Low => self.0.low_without_store,
            Tier::Standard | Tier::High => StoreFailure::Refuse,
        }
    }

    /// How much is at stake for a token with `claims` at `path`: the highest tier of all rules that apply, whatever
    /// their order, else the default tier.
    #[must_use]
    pub fn tier(&self, claims: &Claims, path: Option<&str>) -> Tier {
        self.rules(claims, path).unwrap_or(self.0.default_tier)
    }

    /// The highest tier of the rules that apply; none when none does.
    pub(crate) fn rules(&self, claims: &Claims, path: Option<&str>) -> Option<Tier> {
        let applying = self.0.tiers.iter().filter(|rule| rule.applies(claims, path));
        let strictest = applying.map(TierRule::tier).max();
        // A path that could be read as any other could be one that no rule is for: a lax rule does not get it.
        let unclear =
            path.is_some_and(|path| !tier::has_one_reading(path)) && self.0.tiers.iter().any(TierRule::is_by_path);
        strictest.max(unclear.then_some(self.0.default_tier))
    }

    /// From when on a revocation may be forgotten that concerns tokens up to `exp`, in whole seconds.
    ///
    /// I1: it outlives not the configured leeway but the largest that can be, so that a leeway raised later revives
    /// nothing.
    #[must_use]
    pub fn forgettable(&self, exp: UnixTime) -> UnixTime {
        exp.saturating_add(Self::MAX_LEEWAY).ceil_to_second()
    }

    /// What is allowed and yet unwise, for a start-up to say.
    pub fn warnings(&self) -> impl Iterator<Item = PolicyWarning> {
        self.0.warnings()
    }
}
