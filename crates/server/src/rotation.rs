//! Refreshing: a refresh token is exchanged for the next pair, once.
//!
//! The rotated token is a revoked token with reason `rotated`; that record, written if none is there yet, is what decides
//! who of many is first (I10), and presenting the token again is how reuse shows. The successor is not kept: its
//! identities are a keyed hash of its parent's and its time is the record's, so that whoever asks again within the grace
//! is answered the same pair, also after a crash in between.

use std::{io, path::Path};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ostracon_core::{Jti, Reason, Refusal, Revocation, Scope, Target, TokenType, UnixTime, VerifiedToken, decide};
use ostracon_store::{Denylist, Seen, StoreError};
use zeroize::Zeroizing;

use crate::{
    app::{App, thorough},
    config::read_private,
    problem::Problem,
    reuse::Reuse,
    sender::Sender,
    session::{Grant, Pair, Turn},
};

/// Why a refresh token is not exchanged.
#[derive(Debug)]
pub(crate) enum NotRefreshed {
    /// It is none, or not one of ours.
    Refused(Refusal),
    /// It has ended.
    Expired,
    /// Its session was ended, or it itself was.
    Revoked,
    /// It was exchanged before, too long ago for a retry. Its session has been ended.
    Reused,
    /// It was exchanged for the next one, which is what is asked for.
    Superseded,
    /// More is asked for than was granted (RFC 6749 §6).
    ScopeWider,
    /// It belongs to another client.
    OtherClient,
    /// It could not be decided (I5), or not be signed.
    Failed(Problem),
}

impl From<StoreError> for NotRefreshed {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for NotRefreshed {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Expired => Self::Expired,
            Refusal::Revoked(_) => Self::Revoked,
            other => Self::Refused(other),
        }
    }
}

impl From<NotRefreshed> for Problem {
    fn from(why: NotRefreshed) -> Self {
        match why {
            NotRefreshed::Refused(refusal) => refusal.into(),
            NotRefreshed::Expired => Self::refresh_refused("refresh_expired", "refresh token is expired"),
            NotRefreshed::Revoked => Self::refresh_refused("session_revoked", "session is revoked"),
            NotRefreshed::Reused => {
                Self::refresh_refused("refresh_reused", "refresh token was used before; its session is ended")
            }
            NotRefreshed::Superseded => Self::refresh_refused(
                "refresh_superseded",
                "refresh token was exchanged for the next; send that one",
            ),
            NotRefreshed::ScopeWider => Refusal::ScopeInsufficient.into(),
            NotRefreshed::OtherClient => Self::client_mismatch("refresh token is another client's"),
            NotRefreshed::Failed(problem) => problem,
        }
    }
}

/// What a refresh asks for beside its token.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    /// Less than what was granted, for the access token.
    pub(crate) scope: Option<&'a Scope>,
    /// The client that asks, where it had to say who it is.
    pub(crate) client: Option<&'a str>,
    /// Who sends it, for the records.
    pub(crate) sender: Option<&'a Sender>,
}

impl App {
    /// Exchanges the refresh token `token` for the next pair of its session. Durable when it returns.
    ///
    /// # Errors
    ///
    /// [`NotRefreshed`]. Only after `Reused` is anything changed: the session is ended.
    pub(crate) async fn refresh(&self, token: &str, wish: Wish<'_>) -> Result<Pair, NotRefreshed> {
        let parent = self.keyring.verify(token, TokenType::Refresh)?;
        let now = self.now();
        decide(
            parent.claims(),
            &thorough(),
            &self.kept.denylist.unlisted(),
            &self.policy,
            now,
        )?;
        let grant = Grant::of(&parent)?;
        if wish.client.is_some_and(|client| client != grant.client_id.as_str()) {
            return Err(NotRefreshed::OtherClient);
        }
        let scope = wish.scope.unwrap_or(&grant.scope);
        if !grant.scope.covers(scope) {
            return Err(NotRefreshed::ScopeWider);
        }
        self.session_lives(&parent, now).await?;

        let jti = parent.claims().jti().ok_or(Refusal::ClaimInvalid("jti", "absent"))?;
        // What is issued must not be dead from the start: the parent is not spent for that.
        let now = self
            .past_cutoffs(&grant.sub, &grant.client_id)
            .await
            .map_err(NotRefreshed::Failed)?;
        let turn = |iat| Turn {
            access_jti: self.kept.successor.derive(b"access", jti, scope.as_str()),
            refresh_jti: self.kept.successor.derive(b"refresh", jti, ""),
            iat,
            scope,
        };
        // Signed before the parent is spent: a pair that cannot be had must not cost it.
        let rotated = self.rotation(&parent, jti, now);
        let iat = rotated.effective_at();
        let pair = self.sign_pair(&grant, &turn(iat)).map_err(NotRefreshed::Failed)?;
        let receipt = self.kept.denylist.submit_if_absent(rotated)?.receipt().await?;
        if !receipt.changed {
            self.in_grace(&grant, jti, &receipt.revocation, wish, now).await?;
        }
        // A logout that was acknowledged while the rotation was written must count (I9).
        self.session_lives(&parent, now).await?;
        let standing = receipt.revocation.effective_at();
        let seen = wish.sender.map(|sender| Seen {
            address: sender.address,
            agent: sender.agent,
        });
        self.list(&grant, standing, seen);
        if standing == iat {
            return Ok(pair);
        }
        self.sign_pair(&grant, &turn(standing)).map_err(NotRefreshed::Failed)
    }

    /// The pair that a refresh token is exchanged for, whether it was yet or not: to end them with it.
    pub(crate) fn successors(&self, token: &VerifiedToken) -> Vec<Revocation> {
        let claims = token.claims();
        let Some(jti) = claims.jti().filter(|_| token.typ() == TokenType::Refresh) else {
            return Vec::new();
        };
        [("access", claims.scope().as_str()), ("refresh", "")]
            .into_iter()
            .filter_map(|(of, scope)| Jti::new(self.kept.successor.derive(of.as_bytes(), jti, scope)).ok())
            .map(|jti| Target::Token {
                iss: claims.iss().clone(),
                jti,
            })
            .map(|target| Revocation::new(target, Reason::Logout, &self.policy, self.revoking_at()))
            .collect()
    }

    fn rotation(&self, parent: &VerifiedToken, jti: &Jti, now: UnixTime) -> Revocation {
        let claims = parent.claims();
        let target = Target::Token {
            iss: claims.iss().clone(),
            jti: jti.clone(),
        };
        Revocation::new(target, Reason::Rotated, &self.policy, now).expiring(claims.exp(), &self.policy)
    }

    /// Whether all that `token` hangs on, but for itself, is not revoked.
    async fn session_lives(&self, token: &VerifiedToken, now: UnixTime) -> Result<(), NotRefreshed> {
        let ended = self.session_ended(token, now).await?;
        ended.map_or(Ok(()), |_| Err(NotRefreshed::Revoked))
    }

    /// Whether a token that was exchanged before, as `standing` says, is answered its successor once more: for a while
    /// after the exchange, and only as long as the successor itself was not exchanged (A75). Parallel tabs and retried
    /// requests look like that; everything else looks like theft, and ends the session (P93).
    async fn in_grace(
        &self,
        grant: &Grant,
        jti: &Jti,
        standing: &Revocation,
        wish: Wish<'_>,
        now: UnixTime,
    ) -> Result<(), NotRefreshed> {
        if standing.reason() != Reason::Rotated {
            return Err(NotRefreshed::Revoked);
        }
        let iss = standing.target().as_ref().iss().clone();
        let grace = self.tokens.refresh_grace;
        // Records have whole seconds: a retry is given the benefit of the one it happened in.
        let until = standing
            .effective_at()
            .saturating_add(grace)
            .saturating_add(core::time::Duration::from_secs(1));
        let child = Jti::new(self.kept.successor.derive(b"refresh", jti, ""))
            .map_err(|e| NotRefreshed::Failed(Problem::internal(e)))?;
        let child = Target::Token {
            iss: iss.clone(),
            jti: child,
        };
        let is_listed = move |denylist: &Denylist| denylist.entry(child.as_ref()).map(|entry| entry.is_some());
        let is_older = self.look_up(is_listed).await?;
        if !grace.is_zero() && now < until && !is_older {
            return Ok(());
        }
        let session = Target::Session {
            iss,
            sid: grant.sid.clone(),
        };
        let ended = Revocation::new(session, Reason::ReuseDetected, &self.policy, self.revoking_at());
        self.kept.denylist.submit(vec![ended])?.await?;
        let reuse = Reuse {
            after: now.since(standing.effective_at()),
            is_older,
        };
        self.raise_alarm(grant, &reuse, wish).await;
        Err(NotRefreshed::Reused)
    }
}

/// Names successors: whoever knows a parent cannot tell what its child is called, and whoever asks twice gets one child.
pub(crate) struct Successor(hmac::Key);

impl Successor {
    const FILE: &str = "successor-key";

    /// The key in `data_dir`, made at the first start. Were it lost, retries would be answered another pair.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(Self::FILE);
        let failed = |source| StoreError::Io {
            path: path.clone(),
            source: std::sync::Arc::new(source),
        };
        if !path.try_exists().map_err(failed)? {
            let mut bytes = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *bytes).map_err(|e| failed(io::Error::other(e)))?;
            ostracon_store::write_new(&path, &*bytes)?;
        }
        let bytes = read_private(&path).map_err(|why| failed(io::Error::other(why)))?;
        if bytes.len() != 32 {
            return Err(StoreError::Damaged {
                path,
                detail: "it does not have 32 bytes".into(),
            });
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// 128 bits of HMAC-SHA256 over use, parent and scope, each with its length.
    fn derive(&self, of: &[u8], parent: &Jti, scope: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [of, parent.as_str().as_bytes(), scope.as_bytes()] {
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        URL_SAFE_NO_PAD.encode(tag.as_ref().get(..16).unwrap_or_default())
    }
}

impl core::fmt::Debug for Successor {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Successor")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_successor_is_the_same_after_a_restart_and_another_elsewhere() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let jti = |s: &str| Jti::new(s).unwrap();
        let first = Successor::open(dir.path()).unwrap();
        let again = Successor::open(dir.path()).unwrap();
        let elsewhere = Successor::open(other.path()).unwrap();
        let name = first.derive(b"access", &jti("j"), "read");
        assert_eq!((name.len(), &name), (22, &again.derive(b"access", &jti("j"), "read")));
        for different in [
            elsewhere.derive(b"access", &jti("j"), "read"),
            first.derive(b"refresh", &jti("j"), "read"),
            first.derive(b"access", &jti("jr"), "ead"),
            first.derive(b"access", &jti("j"), ""),
        ] {
            assert_ne!(name, different);
        }
        std::fs::write(dir.path().join(Successor::FILE), b"short").unwrap();
        assert!(matches!(Successor::open(dir.path()), Err(StoreError::Damaged { .. })));
    }

    /// Whoever has the key can tell what the child of a token is called, and whether it was exchanged.
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        Successor::open(dir.path()).unwrap();
        let path = dir.path().join(Successor::FILE);
        for (mode, is_taken) in [(0o600, true), (0o644, false), (0o604, false), (0o600, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(Successor::open(dir.path()).is_ok(), is_taken, "{mode:o}");
        }
    }
}
