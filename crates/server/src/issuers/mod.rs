//! Whose tokens count: the issuer's own, and those of others.

mod fetch;
mod lifetimes;
mod remote;

use std::{
    collections::HashSet,
    io,
    sync::{Arc, PoisonError, RwLock},
};

use ostracon_core::{
    Claims, Compact, Issuer, IssuerKeys, Keyring, Memory, Observer, Refusal, Remembered, TokenType, Trust,
    VerifiedToken,
};

pub(crate) use self::lifetimes::Lifetimes;
use self::remote::Remote;
use crate::{
    app::{App, Denial},
    config::{ForeignIssuer, KeySource},
    problem::Problem,
};

/// The keys of all issuers that are trusted, those that are fetched as they were fetched last.
#[derive(Debug)]
pub(crate) struct Ring {
    /// All of them; of those that are fetched, without keys.
    fixed: Keyring,
    fetched: Vec<Fetched>,
    current: RwLock<Current>,
    /// Whose logout tokens end all sessions of a subject.
    logout_ends_subject: HashSet<Issuer>,
}

#[derive(Debug)]
struct Fetched {
    iss: Issuer,
    trust: Trust,
    remote: Arc<Remote>,
}

#[derive(Debug)]
struct Current {
    generation: u64,
    ring: Arc<Keyring>,
}

impl Ring {
    /// The keys of `own` and of `foreign`, whose key sets are those of `before` where they are the same. Of the tokens that
    /// those of `before` have found good nothing is remembered; of those that these will, `memory` bytes.
    ///
    /// # Errors
    ///
    /// When there is no thread to be had that fetches.
    pub(crate) fn new(
        (issuer, own): (Issuer, IssuerKeys),
        foreign: Vec<ForeignIssuer>,
        lifetimes: &Lifetimes,
        memory: u64,
        before: Option<&Self>,
    ) -> io::Result<Self> {
        let mut fixed = Keyring::default();
        fixed.trust(issuer, own);
        let (mut fetched, mut logout_ends_subject) = (Vec::new(), HashSet::new());
        for ForeignIssuer {
            iss,
            trust,
            keys,
            unnamed,
            logout_ends_subject: ends_subject,
            ..
        } in foreign
        {
            let trust = lifetimes.bound(trust);
            if ends_subject {
                logout_ends_subject.insert(iss.clone());
            }
            let keys = match keys {
                KeySource::Read(keys) => keys,
                KeySource::Fetched(source) => {
                    let kept = before.and_then(|ring| ring.fetched.iter().find(|f| f.remote.is_of(&iss, &source)));
                    let remote = match kept {
                        Some(kept) => Arc::clone(&kept.remote),
                        None => Remote::start(iss.clone(), source)?,
                    };
                    fetched.push(Fetched {
                        iss: iss.clone(),
                        trust: trust.clone(),
                        remote,
                    });
                    IssuerKeys::default()
                }
            };
            if unnamed {
                fixed = fixed.with_unnamed(iss.clone());
            }
            fixed.trust(iss, keys.trusted(trust));
        }
        let room = usize::try_from(memory).unwrap_or(usize::MAX);
        let memory = before.map_or_else(|| Memory::new(room), |ring| ring.fixed.memory().resized(room));
        let fixed = fixed.with_memory(&memory);
        let current = RwLock::new(Current {
            generation: 0,
            ring: Arc::new(fixed.clone()),
        });
        Ok(Self {
            fixed,
            fetched,
            current,
            logout_ends_subject,
        })
    }

    /// As [`Keyring::verify`], with the keys that are there.
    pub(crate) fn verify(&self, token: &str, typ: TokenType) -> Result<VerifiedToken, Refusal> {
        if self.fetched.is_empty() {
            return self.fixed.verify(token, typ);
        }
        self.current().verify(token, typ)
    }

    /// As [`Keyring::recall`], with the keys that are there.
    pub(crate) fn recall(&self, token: &str) -> Option<VerifiedToken> {
        if self.fetched.is_empty() {
            return self.fixed.recall(token);
        }
        self.current().recall(token)
    }

    /// How what is remembered of tokens fares.
    pub(crate) fn remembered(&self) -> Remembered {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.ring.memory().stats()
    }

    /// As [`Keyring::verify_observed`], with the keys that are there.
    pub(crate) fn verify_observed<O: Observer>(
        &self,
        token: &str,
        typ: TokenType,
        observer: &mut O,
    ) -> Result<VerifiedToken, Refusal> {
        if self.fetched.is_empty() {
            return self.fixed.verify_observed(token, typ, observer);
        }
        self.current().verify_observed(token, typ, observer)
    }

    /// All issuers that are trusted, without the keys that are fetched.
    pub(crate) fn trusted(&self) -> &Keyring {
        &self.fixed
    }

    /// Whether a logout token of `issuer` ends all sessions of its subject.
    pub(crate) fn logout_ends_subject(&self, issuer: &Issuer) -> bool {
        self.logout_ends_subject.contains(issuer)
    }

    /// The issuers whose keys could not be fetched the last time.
    pub(crate) fn failing(&self) -> impl Iterator<Item = &Issuer> {
        let failing = self.fetched.iter().filter(|fetched| !fetched.remote.is_current());
        failing.map(|fetched| &fetched.iss)
    }

    fn current(&self) -> Arc<Keyring> {
        let generation = self
            .fetched
            .iter()
            .fold(0, |sum, f| f.remote.generation().wrapping_add(sum));
        {
            let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
            if current.generation == generation {
                return Arc::clone(&current.ring);
            }
        }
        let mut ring = self.fixed.clone();
        for fetched in &self.fetched {
            ring.trust(
                fetched.iss.clone(),
                fetched.remote.keys().trusted(fetched.trust.clone()),
            );
        }
        let ring = Arc::new(ring);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Each set only grows newer, so the larger number has seen all that the smaller has.
        if current.generation < generation {
            *current = Current {
                generation,
                ring: Arc::clone(&ring),
            };
        }
        ring
    }

    /// The key set that would verify `token`, if it is one that is fetched. What the token says of itself chooses among
    /// those that are configured, and has no other effect (I7).
    fn source_of(&self, token: &str) -> Option<&Remote> {
        if self.fetched.is_empty() {
            return None;
        }
        let payload = Compact::split(token).and_then(|token| token.decode_payload()).ok()?;
        let claims = Claims::parse(&payload).ok()?;
        let fetched = self.fetched.iter().find(|fetched| fetched.iss == *claims.iss());
        fetched.map(|fetched| fetched.remote.as_ref())
    }

    /// After `token` was refused for its key: waits for the keys of its issuer, if they are fetched. Answers whether
    /// what is not among them then is not there.
    pub(crate) async fn renewed_for(&self, token: &str) -> Renewed {
        let Some(remote) = self.source_of(token) else {
            return Renewed::Nothing;
        };
        if remote.renewed().await && remote.is_current() {
            Renewed::Current
        } else {
            Renewed::Failed
        }
    }
}

/// What came of fetching keys anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewed {
    /// They are not fetched.
    Nothing,
    /// They are as their issuer publishes them.
    Current,
    /// They could not be had, or not that often.
    Failed,
}

impl App {
    /// Whether `token` is proven to be one of type `typ`. A key that is not there is asked for where its issuer
    /// publishes keys, as often as may be.
    pub(crate) async fn verify(&self, token: &str, typ: TokenType) -> Result<VerifiedToken, Denial> {
        let refusal = match self.keyring.verify(token, typ) {
            Ok(token) => return Ok(token),
            Err(refusal @ Refusal::KeyUnknown) => refusal,
            Err(refusal) => return Err(refusal.into()),
        };
        let renewed = self.keyring.renewed_for(token).await;
        match (renewed, self.keyring.verify(token, typ)) {
            (Renewed::Nothing, _) => Err(refusal.into()),
            // Whether its issuer has such a key cannot be told: no answer never reads as a no, or a client would drop a
            // good session for it.
            (Renewed::Failed, Err(Refusal::KeyUnknown)) => Err(Denial::Unknown(Problem::keys_unavailable())),
            (_, verified) => verified.map_err(Denial::from),
        }
    }
}
