//! Ending all sessions of a subject but one.
//!
//! The list of sessions may have lost some, so it is not asked: the subject is cut off, which ends every session whether it
//! is listed or not, and the one that stays gets new tokens from behind the cut-off. They are signed before it is
//! written. So either all the others are out and this one has its tokens, or nothing has happened; whoever loses the answer
//! on the way logs in again.

use ostracon_core::{Reason, Refusal, Revocation, Target, TokenType, UnixTime};
use ostracon_store::{Receipt, StoreError};

use crate::{
    app::{App, Denial, thorough},
    login::Login,
    problem::Problem,
    rotation::NotRefreshed,
    session::{Grant, Pair, Turn},
};

impl App {
    /// Ends every session of the subject of the refresh token `token` but that token's own, which goes on with the pair
    /// that is returned. Durable then.
    ///
    /// # Errors
    ///
    /// [`NotRefreshed`]; nothing has ended unless this session, too, was ended meanwhile by somebody else.
    pub(crate) async fn end_others(&self, token: &str) -> Result<(Pair, Receipt), NotRefreshed> {
        let bearer = match self.judge(token, TokenType::Refresh, &thorough()).await {
            Ok(bearer) => bearer,
            Err(Denial::Unknown(error)) => return Err(NotRefreshed::Failed(error)),
            Err(Denial::Refused(Refusal::Revoked(entry))) if entry.reason() == Reason::Rotated => {
                return Err(NotRefreshed::Superseded);
            }
            Err(Denial::Refused(refusal)) => return Err(refusal.into()),
        };
        let grant = Grant::of(&bearer)?;
        self.past_cutoffs(&grant.sub, &grant.client_id)
            .await
            .map_err(NotRefreshed::Failed)?;
        let cutoff = self.cut_off(&grant.sub, Reason::Logout, bearer.claims().iat());
        let iat = behind(&cutoff);
        let turn = Turn::first(&grant, iat).map_err(NotRefreshed::Failed)?;
        let pair = self.sign_pair(&grant, &turn).map_err(NotRefreshed::Failed)?;
        // Of two sessions that end each other at once, the one that comes second is ended, and ends nothing.
        let asked = self
            .kept
            .denylist
            .submit_unless_denied(&bearer.targets(), self.now(), cutoff);
        let receipt = asked?.receipt().await?;
        // A good token was not denied by what stood, so a cut-off behind it is always something new.
        if !receipt.changed || self.is_ended(&pair, iat).await? {
            return Err(NotRefreshed::Revoked);
        }
        self.list(&grant, iat, None);
        Ok((pair, receipt))
    }

    /// Logs in, and ends every other session of the subject. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`Problem`] as for [`App::log_in`].
    pub(crate) async fn log_in_alone(&self, login: Login, reason: Reason) -> Result<(Pair, Receipt), Problem> {
        let mut grant = self.grant(login)?;
        for _ in 0..5 {
            self.past_cutoffs(&grant.sub, &grant.client_id).await?;
            let cutoff = self.cut_off(&grant.sub, reason, None);
            let iat = behind(&cutoff);
            self.begin(&mut grant, iat);
            let pair = self.sign_pair(&grant, &Turn::first(&grant, iat)?)?;
            let receipt = self.kept.denylist.submit(vec![cutoff])?.receipt().await?;
            // Nothing new: somebody else cut off in the same second, and may have issued something behind that since.
            if !receipt.changed {
                continue;
            }
            if self.is_ended(&pair, iat).await? {
                break;
            }
            self.list(&grant, iat, None);
            return Ok((pair, receipt));
        }
        Err(Problem::revoked_ahead("revocations of this subject keep coming in"))
    }

    /// Ends all of a subject's sessions that exist by now, whatever else is going on.
    ///
    /// A cut-off that changes nothing is somebody else's of the same second, and what that one kept alive has tokens from
    /// behind it; so it is done again, behind what has been issued meanwhile.
    pub(crate) async fn end_all(&self, asked: Revocation) -> Result<Receipt, StoreError> {
        let receipt = self.kept.denylist.submit(vec![asked.clone()])?.receipt().await?;
        if receipt.changed {
            return Ok(receipt);
        }
        let again = asked.before(self.revoking_at(), &self.policy);
        self.kept.denylist.submit(vec![again])?.receipt().await
    }

    /// The cut-off of `sub` that ends what was issued by now, and what was issued at `iat`, whatever the clock says.
    fn cut_off(&self, sub: &ostracon_core::Subject, reason: Reason, iat: Option<UnixTime>) -> Revocation {
        let target = Target::Subject {
            iss: self.tokens.issuer.clone(),
            sub: sub.clone(),
        };
        let now = self.revoking_at();
        Revocation::new(target, reason, &self.policy, iat.map_or(now, |iat| now.max(iat)))
    }

    /// Waits until the time has come from which `pair` is dated, and then tells whether it was ended meanwhile (I9).
    async fn is_ended(&self, pair: &Pair, iat: UnixTime) -> Result<bool, StoreError> {
        // There are verifiers that refuse an `iat` of the future.
        tokio::time::sleep(iat.since(self.now())).await;
        let Ok(issued) = self.keyring.verify(pair.refresh_token(), TokenType::Refresh) else {
            return Ok(true);
        };
        Ok(self.session_ended(&issued, self.now()).await?.is_some())
    }
}

/// The first second behind `cutoff`.
fn behind(cutoff: &Revocation) -> UnixTime {
    let second = core::time::Duration::from_secs(1);
    cutoff.cutoff().unwrap_or(cutoff.effective_at()).saturating_add(second)
}

#[cfg(test)]
mod tests {
    use ostracon_core::{Issuer, Subject};

    use super::*;
    use crate::{clock::Clock, config::Config};

    /// I9: two cut-offs of one second merge into one, but what the first of them kept alive came before the second.
    #[tokio::test]
    async fn i9_a_cutoff_that_changes_nothing_is_written_again_behind_what_was_kept_alive() {
        let dir = tempfile::tempdir().unwrap();
        let made: Vec<u8> = (0..64).map(|i: u8| i.wrapping_mul(151) ^ i.rotate_left(3)).collect();
        ostracon_store::write_new(&dir.path().join("k.secret"), &made).unwrap();
        let path = dir.path().join("ostracon.toml");
        let text = "data_dir = \"denylist\"\n[tokens]\nissuer = \"i\"\naudience = \"app\"\n\
            [[keys]]\nkid = \"k\"\nalg = \"HS256\"\nsecret_file = \"k.secret\"\n";
        ostracon_store::write_new(&path, text.as_bytes()).unwrap();
        let now = UnixTime::from_secs(1_790_000_000);
        let clock = Clock::from_fn(|| UnixTime::from_secs(1_790_000_000));
        let app = App::open(Config::load_with(&path, []).unwrap(), clock).unwrap();
        let target = Target::Subject {
            iss: Issuer::new("i").unwrap(),
            sub: Subject::new("u").unwrap(),
        };
        // Dated, and not written yet, when another cuts off the same second and issues something behind it.
        let late = Revocation::new(target.clone(), Reason::Logout, &app.policy, app.revoking_at());
        let other = app.cut_off(&Subject::new("u").unwrap(), Reason::Logout, None);
        let kept_alive = behind(&other);
        app.issued(kept_alive);
        assert!(app.end_all(other).await.unwrap().changed);
        let receipt = app.end_all(late).await.unwrap();
        assert!(kept_alive > now && receipt.changed && receipt.revocation.denies(Some(kept_alive)));
    }
}
