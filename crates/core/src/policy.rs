//! What is accepted: the trade between the cost of a check and the risk of leaving it out, made explicit.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::UnixTime;

/// How much is at stake behind a route.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Signature and expiry are enough, for tokens of a short enough life; longer-lived ones are asked for all the same.
    Low,
    /// The denylist is asked.
    #[default]
    Standard,
    /// The denylist is asked, and whatever else is configured, a failing one refuses.
    High,
}

/// Why a [`Policy`] cannot have a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimeError {
    /// Clocks of one system do not differ by that much (RFC 7519 §4.1.4: "usually no more than a few minutes").
    #[error("leeway must be at most {} seconds", Policy::MAX_LEEWAY.as_secs())]
    Leeway,
}

/// The rules that a token is judged by, beside what a route demands of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    leeway: Duration,
    longest_lifetime: Duration,
    low_tier_lifetime: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            leeway: Duration::from_secs(30),
            longest_lifetime: Duration::from_hours(30 * 24),
            low_tier_lifetime: Duration::from_mins(15),
        }
    }
}

impl Policy {
    /// The largest leeway that can be configured.
    pub const MAX_LEEWAY: Duration = Duration::from_mins(5);

    /// With a leeway for clocks that differ.
    ///
    /// # Errors
    ///
    /// [`LifetimeError::Leeway`] above [`Policy::MAX_LEEWAY`].
    pub fn with_leeway(self, leeway: Duration) -> Result<Self, LifetimeError> {
        if leeway > Self::MAX_LEEWAY {
            return Err(LifetimeError::Leeway);
        }
        Ok(Self { leeway, ..self })
    }

    /// With a longest life of any token, refresh tokens included; one that lasts longer is refused.
    #[must_use]
    pub fn with_longest_lifetime(self, longest_lifetime: Duration) -> Self {
        Self {
            longest_lifetime,
            ..self
        }
    }

    /// With a longest life of tokens that [`Tier::Low`] accepts without asking the denylist.
    #[must_use]
    pub fn with_low_tier_lifetime(self, low_tier_lifetime: Duration) -> Self {
        Self {
            low_tier_lifetime,
            ..self
        }
    }

    /// How far two clocks may differ.
    #[must_use]
    pub fn leeway(&self) -> Duration {
        self.leeway
    }

    /// The longest life of any token.
    #[must_use]
    pub fn longest_lifetime(&self) -> Duration {
        self.longest_lifetime
    }

    /// The longest life of a token that [`Tier::Low`] does not ask the denylist about.
    #[must_use]
    pub fn low_tier_lifetime(&self) -> Duration {
        self.low_tier_lifetime
    }

    /// From when on a revocation may be forgotten that concerns tokens up to `exp`, in whole seconds.
    ///
    /// I1: it outlives not the configured leeway but the largest that can be, so that a leeway raised later revives
    /// nothing.
    #[must_use]
    pub fn forgettable(&self, exp: UnixTime) -> UnixTime {
        UnixTime::from_secs(exp.saturating_add(Self::MAX_LEEWAY).as_secs_ceil())
    }
}
