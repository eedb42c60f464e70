//! A key set on a server: fetched at the start, from time to time, and when a token names a key that it does not have.
//!
//! A thread of its own fetches, so that no request ever does and at most one fetch is under way. Tokens can ask for one,
//! at most once a minute whatever they name; those that ask meanwhile wait for the same.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use ostracon_core::{Issuer, IssuerKeys};
use tokio::sync::watch;

use super::fetch;
use crate::config::KeySetUrl;

/// Tokens can have the set fetched once in this time. Whether what is not in it is there cannot be told until then.
const COOLDOWN: Duration = Duration::from_mins(1);

/// How soon a fetch that failed is tried again, at first; the pause doubles up to the usual one or a minute.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);

/// The set as it was fetched last. Dropped, it is fetched no more.
#[derive(Debug)]
pub(crate) struct Remote {
    iss: Issuer,
    source: KeySetUrl,
    ask: SyncSender<()>,
    state: watch::Receiver<State>,
    /// Counts the sets that differ from the one before.
    generation: Arc<AtomicU64>,
}

#[derive(Clone, Debug)]
struct State {
    /// The last good set, as it was sent.
    set: Option<Arc<[u8]>>,
    /// Why the last attempt failed.
    failure: Option<Arc<str>>,
    attempts: u64,
    is_fetching: bool,
    /// When a token last had it fetched.
    asked: Option<Instant>,
}

impl State {
    fn may_be_asked(&self) -> bool {
        self.asked.is_none_or(|at| at.elapsed() >= COOLDOWN)
    }
}

impl Remote {
    /// Begins to fetch the set of `iss`, and does not wait for it.
    pub(crate) fn start(iss: Issuer, source: KeySetUrl) -> io::Result<Arc<Self>> {
        let (ask, asked) = sync_channel(1);
        let (told, state) = watch::channel(State {
            set: None,
            failure: None,
            attempts: 0,
            is_fetching: true,
            asked: None,
        });
        let generation = Arc::new(AtomicU64::new(0));
        let worker = Worker {
            iss: iss.clone(),
            source: source.clone(),
            told,
            generation: Arc::clone(&generation),
            retry: FIRST_RETRY,
        };
        thread::Builder::new()
            .name("key-set".into())
            .spawn(move || worker.work(&asked))?;
        Ok(Arc::new(Self {
            iss,
            source,
            ask,
            state,
            generation,
        }))
    }

    /// Whether it is the set that `source` of `iss` describes.
    pub(crate) fn is_of(&self, iss: &Issuer, source: &KeySetUrl) -> bool {
        self.iss == *iss && self.source == *source
    }

    /// A number that changes with the set.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The keys of the last good set; none before there was one.
    pub(crate) fn keys(&self) -> IssuerKeys {
        let set = self.state.borrow().set.clone();
        // It was read before it was kept.
        let keys = set.and_then(|set| IssuerKeys::from_public_jwk_set(&set, &self.source.algorithms).ok());
        keys.map(|(keys, _)| keys).unwrap_or_default()
    }

    /// Whether the last attempt to fetch it succeeded, so that what is not in it is not there.
    pub(crate) fn is_current(&self) -> bool {
        let state = self.state.borrow();
        state.set.is_some() && state.failure.is_none()
    }

    /// Waits for the set that is being fetched, or for a new one. Answers whether there could be one: not where a token
    /// had it fetched within the last minute, and its issuer may have published another since.
    pub(crate) async fn renewed(&self) -> bool {
        let mut state = self.state.clone();
        let attempts = {
            let now = state.borrow();
            if !now.is_fetching {
                if !now.may_be_asked() {
                    return false;
                }
                // Full, somebody has asked already.
                let _ = self.ask.try_send(());
            }
            now.attempts
        };
        let renewed = state.wait_for(|state| state.attempts > attempts);
        let _ = tokio::time::timeout(fetch::PATIENCE.saturating_mul(2), renewed).await;
        true
    }
}

struct Worker {
    iss: Issuer,
    source: KeySetUrl,
    told: watch::Sender<State>,
    generation: Arc<AtomicU64>,
    retry: Duration,
}

impl Worker {
    fn work(mut self, asked: &Receiver<()>) {
        let mut due = self.attempt();
        loop {
            match asked.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(()) if self.told.borrow().may_be_asked() => {
                    let now = Some(Instant::now());
                    self.told.send_modify(|state| {
                        state.asked = now;
                        state.is_fetching = true;
                    });
                }
                // It was asked for while it was fetched.
                Ok(()) => continue,
                Err(RecvTimeoutError::Timeout) => self.told.send_modify(|state| state.is_fetching = true),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            due = self.attempt();
        }
    }

    /// Fetches once, tells what came of it, and when to do it next.
    fn attempt(&mut self) -> Instant {
        let fetched = fetch::fetch(&self.source.url).and_then(|set| {
            let read = IssuerKeys::from_public_jwk_set(&set, &self.source.algorithms);
            read.map(|(keys, skipped)| (set, keys, skipped))
                .map_err(|why| why.to_string())
        });
        let iss = &self.iss;
        let (pause, outcome) = match fetched {
            Ok((set, keys, skipped)) => {
                self.retry = FIRST_RETRY;
                let changed = self.told.borrow().set.as_deref() != Some(&set);
                if changed {
                    for skipped in skipped {
                        tracing::warn!(%iss, at = skipped.at, why = %skipped.why, "a key of the set is not used");
                    }
                    tracing::info!(%iss, keys = keys.keys().count(), "has a new key set");
                }
                (self.source.every, Ok(changed.then(|| Arc::from(set))))
            }
            Err(why) => {
                let pause = self.retry;
                self.retry = pause.saturating_mul(2).min(LAST_RETRY);
                tracing::warn!(%iss, why, "the key set cannot be had; the last good one stays");
                (pause.min(self.source.every), Err(Arc::from(why)))
            }
        };
        self.told.send_modify(|state| {
            state.is_fetching = false;
            state.attempts = state.attempts.saturating_add(1);
            match outcome {
                Ok(set) => {
                    state.failure = None;
                    if set.is_some() {
                        state.set = set;
                        self.generation.fetch_add(1, Ordering::Release);
                    }
                }
                Err(why) => state.failure = Some(why),
            }
        });
        let now = Instant::now();
        now.checked_add(pause).unwrap_or(now)
    }
}
