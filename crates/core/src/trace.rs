//! The steps of a decision, for whoever wants to see them.

use alloc::vec::Vec;

use crate::refusal::Refusal;

/// One step on the way from a token to a verdict, in the order in which they are taken.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Step {
    /// Size, three segments, their alphabet.
    Form,
    /// One strict JSON object that asks for nothing but a signature check.
    Header,
    /// The use that the token is for.
    Type,
    /// One strict JSON object, each claim of its type.
    Claims,
    /// The issuer is trusted.
    Issuer,
    /// The issuer has a key of that name.
    Key,
    /// The algorithm is that of the key.
    Algorithm,
    /// The signature verifies.
    Signature,
    /// What the issuer is trusted for: its audiences, its longest lifetime, the date of its key.
    Trust,
    /// Claims that the policy requires.
    Required,
    /// The end of its life.
    Expiry,
    /// The beginning of its life.
    Start,
    /// The length of its life.
    Lifetime,
    /// Its age, where much is at stake.
    Age,
    /// Whom it is for.
    Audience,
    /// The denylist.
    Denylist,
    /// What it allows.
    Scope,
}

impl Step {
    /// The word in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Header => "header",
            Self::Type => "type",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Key => "key",
            Self::Algorithm => "algorithm",
            Self::Signature => "signature",
            Self::Trust => "trust",
            Self::Required => "required",
            Self::Expiry => "expiry",
            Self::Start => "start",
            Self::Lifetime => "lifetime",
            Self::Age => "age",
            Self::Audience => "audience",
            Self::Denylist => "denylist",
            Self::Scope => "scope",
        }
    }
}

/// Sees the steps of a decision. `()` sees none, and costs nothing: the calls are compiled away.
pub trait Observer {
    /// Whether the steps after a refusal are taken, too, as far as they can be. The verdict stays the first refusal.
    const GOES_ON: bool;

    /// Sees that `step` was taken, and how it ended.
    fn step(&mut self, step: Step, outcome: Result<(), &Refusal>);
}

impl Observer for () {
    const GOES_ON: bool = false;

    #[inline]
    fn step(&mut self, _: Step, _: Result<(), &Refusal>) {}
}

/// Every step that was taken, and how it ended.
///
/// ```
/// use ostracon_core::{Claims, Demand, Facts, Policy, Step, Trace, UnixTime, decide_observed};
///
/// let claims = Claims::parse(br#"{"iss":"i","sub":"u","jti":"j","iat":1,"exp":600}"#)?;
/// let demand = Demand { audiences: &["shop"], ..Demand::default() };
/// let mut trace = Trace::default();
/// let verdict = decide_observed(&claims, &demand, &Facts::none(), &Policy::default(), UnixTime::from_secs(700), &mut trace);
///
/// let refused: Vec<Step> = trace.steps().filter(|(_, outcome)| outcome.is_err()).map(|(step, _)| step).collect();
/// assert_eq!(refused, [Step::Expiry, Step::Audience]);
/// assert_eq!(verdict, Err(ostracon_core::Refusal::Expired));
/// # Ok::<(), ostracon_core::Refusal>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trace(Vec<(Step, Result<(), Refusal>)>);

impl Trace {
    /// Each step with its outcome, in order.
    pub fn steps(&self) -> impl Iterator<Item = (Step, Result<(), &Refusal>)> {
        self.0.iter().map(|(step, outcome)| (*step, outcome.as_ref().copied()))
    }

    /// The first refusal; none when every step passed.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.iter().find_map(|(_, outcome)| outcome.as_ref().err())
    }
}

impl Observer for Trace {
    const GOES_ON: bool = true;

    fn step(&mut self, step: Step, outcome: Result<(), &Refusal>) {
        self.0.push((step, outcome.map_err(Clone::clone)));
    }
}
