//! Whether a token is accepted: the decision behind every route.

use std::sync::Arc;

use ostracon_core::{Demand, Facts, Reason, Refusal, Revocation, Tier, TokenType, UnixTime, VerifiedToken, decide};
use ostracon_store::{Denylist, PrefilterState, StoreError};

use super::App;
use crate::{metrics::Check, problem::Problem};

/// What is asked of a token where no route is guarded, but somebody acts by it: the denylist, whatever rules there are.
pub(crate) fn thorough() -> Demand<'static> {
    Demand {
        tier: Some(Tier::Standard),
        ..Demand::default()
    }
}

impl App {
    /// Whether `token` is accepted, as one of type `typ` and under `demand`.
    pub(crate) async fn judge(
        &self,
        token: &str,
        typ: TokenType,
        demand: &Demand<'_>,
    ) -> Result<VerifiedToken, Denial> {
        self.judge_verified(self.verify(token, typ).await?, demand).await
    }

    /// The decision behind every route.
    pub(crate) async fn judge_verified(
        &self,
        token: VerifiedToken,
        demand: &Demand<'_>,
    ) -> Result<VerifiedToken, Denial> {
        let now = self.now();
        match self.judge_at_once(&token, demand, now) {
            Some(Ok(())) => return Ok(token),
            Some(Err(refusal)) => return Err(refusal.into()),
            None => {}
        }
        let look = move |denylist: &Denylist| {
            let targets = token.targets();
            let facts = denylist.check(&targets, now)?;
            // Who logged in after a cut-off is listed, and let in: the filter was right to ask.
            let mut is_listed = facts.revocation.is_some();
            for target in targets.iter() {
                is_listed = is_listed || denylist.entry(target)?.is_some();
            }
            Ok((token, facts, is_listed))
        };
        let (token, facts, is_listed) = self.look_up(look).await?;
        self.kept
            .metrics
            .checked(match (is_listed, self.kept.denylist.prefilter()) {
                (_, PrefilterState::Off | PrefilterState::Building { .. }) => Check::Unfiltered,
                (true, PrefilterState::Covering) => Check::Hit,
                (false, PrefilterState::Covering) => Check::FalsePositive,
            });
        decide(token.claims(), demand, &facts, &self.policy, now)?;
        Ok(token)
    }

    /// The same without a look at the disk; none where only that can tell.
    pub(crate) fn judge_at_once(
        &self,
        token: &VerifiedToken,
        demand: &Demand<'_>,
        now: UnixTime,
    ) -> Option<Result<(), Refusal>> {
        let asks = demand.asks_denylist(token.claims(), &self.policy);
        let clear = !asks || self.kept.denylist.is_clear(&token.targets());
        match decide(
            token.claims(),
            demand,
            &self.kept.denylist.unlisted(),
            &self.policy,
            now,
        ) {
            Ok(()) if clear => {
                if asks {
                    self.kept.metrics.checked(Check::Skipped);
                }
                Some(Ok(()))
            }
            // What no revocation can make better is refused without a look at the disk. A scope that is missing could
            // still turn out to be the lesser trouble of a revoked token.
            Err(refusal) if clear || refusal != Refusal::ScopeInsufficient => Some(Err(refusal)),
            _ => None,
        }
    }

    /// The same for an access or a refresh token; which of them it says itself.
    pub(crate) async fn judge_either(&self, token: &str) -> Result<VerifiedToken, Denial> {
        self.judge_verified(self.verify_either(token).await?, &thorough()).await
    }

    /// A token that is proven to be one of either type; which of them it says itself.
    pub(crate) async fn verify_either(&self, token: &str) -> Result<VerifiedToken, Denial> {
        match self.verify(token, TokenType::Access).await {
            Err(Denial::Refused(Refusal::Unsupported("typ"))) => self.verify(token, TokenType::Refresh).await,
            verified => verified,
        }
    }

    /// Whether a token may end what it belongs to, once it is `verified`. A refresh token that was exchanged for the next still names its
    /// session: whoever logs out with it, late in a race of tabs, must be out.
    pub(crate) async fn judge_to_end(&self, verified: Result<VerifiedToken, Denial>) -> Result<VerifiedToken, Denial> {
        let token = verified?;
        let ended = match self.judge_verified(token.clone(), &thorough()).await {
            Err(Denial::Refused(Refusal::Revoked(entry))) if entry.reason() == Reason::Rotated => {
                self.session_ended(&token, self.now()).await?
            }
            // A clock that has stepped back must not keep anybody in.
            Err(Denial::Refused(Refusal::NotYetValid)) => self.facts(token.clone(), self.now()).await?.1.revocation,
            judged => return judged,
        };
        match ended {
            Some(entry) => Err(Refusal::Revoked(Box::new(entry)).into()),
            None => Ok(token),
        }
    }

    /// The facts about `token`.
    pub(crate) async fn facts(
        &self,
        token: VerifiedToken,
        now: UnixTime,
    ) -> Result<(VerifiedToken, Facts), StoreError> {
        self.look_up(move |denylist| denylist.check(&token.targets(), now).map(|facts| (token, facts)))
            .await
    }

    /// What ends all that `token` hangs on, but for itself.
    pub(crate) async fn session_ended(
        &self,
        token: &VerifiedToken,
        now: UnixTime,
    ) -> Result<Option<Revocation>, StoreError> {
        if self.kept.denylist.is_clear(&token.targets().without_token()) {
            return Ok(None);
        }
        let token = token.clone();
        let facts = self.look_up(move |denylist| denylist.check(&token.targets().without_token(), now));
        Ok(facts.await?.revocation)
    }

    /// Asks the denylist what may need the disk, off the async threads.
    pub(crate) async fn look_up<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Denylist) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let denylist = Arc::clone(&self.kept.denylist);
        let gone = |_| StoreError::Engine("the look-up panicked".into());
        tokio::task::spawn_blocking(move || look(&denylist))
            .await
            .map_err(gone)?
    }
}

/// Why a request is not let in.
#[derive(Debug)]
pub(crate) enum Denial {
    /// The token is refused.
    Refused(Refusal),
    /// Whether it is to be refused cannot be told (I5): the store, or whoever has its keys, does not answer.
    Unknown(Problem),
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Denial {
    fn from(error: StoreError) -> Self {
        Self::Unknown(error.into())
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Refused(refusal) => refusal.into(),
            Denial::Unknown(problem) => problem,
        }
    }
}
