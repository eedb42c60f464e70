//! What is asked to be revoked, checked: the same for one revocation, for a batch of them, and for an import.

use core::time::Duration;

use ostracon_core::{Issuer, Keyring, Note, Policy, Reason, Revocation, Target, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    body,
    openapi::words::{RevocationReason, Seconds, TargetSchema, Text},
    problem::Problem,
};

/// How far ahead a cut-off can lie. What is later was meant in milliseconds.
pub(crate) const FARTHEST_AHEAD: Duration = Duration::from_hours(24 * 400);

/// What a revocation is made by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    /// The issuer of a target that names none.
    pub(crate) own: &'a Issuer,
    /// Those whose tokens are accepted.
    pub(crate) trusted: &'a Keyring,
    pub(crate) policy: &'a Policy,
    /// From when a revocation counts where nothing else is said.
    pub(crate) now: UnixTime,
}

/// What may be said beside a target.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// The cut-off.
    pub(crate) before: Option<UnixTime>,
    /// When the token of the target ends.
    pub(crate) exp: Option<UnixTime>,
    pub(crate) reason: Reason,
    pub(crate) note: Option<Note>,
}

/// A revocation as it is written for others, in an answer or a file.
#[derive(Serialize, ToSchema)]
#[schema(as = RevocationEntry)]
pub(crate) struct Written<'a> {
    #[schema(value_type = TargetSchema)]
    target: &'a Target,
    /// The cut-off, of the kinds that have one: what was issued up to it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Seconds, required = false)]
    before: Option<u64>,
    #[schema(value_type = RevocationReason)]
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Text, required = false)]
    note: Option<&'a Note>,
    /// From when it denies.
    #[schema(value_type = Seconds)]
    effective_at: u64,
    /// Until when it is kept: nothing that it denies is alive any more.
    #[schema(value_type = Seconds)]
    retained_until: u64,
}

impl<'a> From<&'a Revocation> for Written<'a> {
    fn from(entry: &'a Revocation) -> Self {
        Self {
            target: entry.target(),
            before: entry.cutoff().map(UnixTime::as_secs),
            reason: entry.reason(),
            note: entry.note(),
            effective_at: entry.effective_at().as_secs(),
            retained_until: entry.retained_until().as_secs(),
        }
    }
}

impl Terms<'_> {
    /// The target that `members` name.
    pub(crate) fn target(&self, mut members: Map<String, Value>) -> Result<Target, Problem> {
        members.entry("iss").or_insert_with(|| Value::from(self.own.as_str()));
        serde_path_to_error::deserialize(Value::Object(members))
            .map_err(|error| Problem::member_invalid("target", body::without_values(error.inner())))
    }

    /// A revocation of `target` that denies something.
    pub(crate) fn revocation(&self, target: Target, wish: Wish) -> Result<Revocation, Problem> {
        let Self { policy, now, .. } = *self;
        if self.trusted.issuer(target.as_ref().iss()).is_none() {
            return Err(Problem::member_invalid(
                "target.iss",
                "is no issuer that is trusted here, so nothing would be denied",
            ));
        }
        let kind = target.as_ref().kind();
        let mut revocation = Revocation::new(target, wish.reason, policy, now);
        if let Some(before) = wish.before {
            if !kind.has_cutoff() {
                return Err(Problem::member_invalid(
                    "before",
                    format_args!("a {kind} has no cut-off"),
                ));
            }
            if before > now.saturating_add(FARTHEST_AHEAD) {
                return Err(Problem::member_invalid(
                    "before",
                    "more than 400 days ahead; it is in seconds",
                ));
            }
            revocation = revocation.before(before, policy);
        }
        if let Some(exp) = wish.exp {
            revocation = revocation.expiring(self.ending(kind.as_str() == "token", exp)?, policy);
        }
        if revocation.retained_until() <= now {
            return Err(Problem::member_invalid(
                "before",
                "so long ago that no token of that time is alive",
            ));
        }
        Ok(revocation.noted(wish.note))
    }

    /// `exp` of the token of a target: one that policy could accept, so that the entry covers it (I1).
    fn ending(&self, is_token: bool, exp: UnixTime) -> Result<UnixTime, Problem> {
        let refused = |problem: &str| Err(Problem::member_invalid("exp", problem));
        if !is_token {
            return refused("only a token has one");
        }
        let latest = self
            .now
            .saturating_add(self.policy.leeway())
            .saturating_add(self.policy.longest_lifetime());
        if exp > latest {
            return refused("no token that is accepted lives that long; it is in seconds");
        }
        // A69: what has ended is refused anyway; an entry for it would only be swept.
        if self.policy.forgettable(exp) <= self.now {
            return refused("that token has ended, and is refused without a revocation");
        }
        Ok(exp)
    }
}
