//! Sessions that were issued and are still live, for people who want to see them. No decision depends on it.
//!
//! A database of its own, `sessions/`, written behind by one thread: a login or a refresh only hands over what is to be
//! noted. What a crash takes from the last second is noted anew at the next refresh.
//!
//! | tree | key | value |
//! |---|---|---|
//! | `sessions` | digest of the subject (16), digest of the session (16) | format (1), bincode of [`Stored`], in format 1 without `seen`, CRC-32 (4) |
//! | `due` | end in seconds (8, big-endian), key of the session (32) | nothing |

mod survey;

use std::{
    net::{IpAddr, Ipv6Addr},
    path::Path,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
};

use bincode::{Decode, Encode, config};
use ostracon_core::{ClientId, Issuer, Note, SessionId, Subject, TargetRef, UnixTime};

pub(crate) use self::survey::survey;
use crate::{
    digest::DigestKey,
    engine::{LastHandle, fence, set_aside},
    error::StoreError,
    files,
    shared::unpoisoned,
};

const FORMAT: u8 = 2;

/// No row is longer.
const MAX_BYTES: usize = 4096;

/// Notes that may wait for the thread; beyond, the newest are not noted.
const MAX_WAITING: usize = 65_536;

/// Rows in one batch of a sweep.
const SWEEP_BATCH: usize = 512;

/// One login, as far as it is known. Times are whole seconds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Session {
    /// Whose it is.
    pub sub: Subject,
    /// Its identity.
    pub sid: SessionId,
    /// The application that it was issued to.
    pub client_id: ClientId,
    /// What the user would know it by.
    pub device: Option<Note>,
    /// When it began.
    pub created: UnixTime,
    /// When its tokens were last issued.
    pub refreshed: UnixTime,
    /// When it ends if it is not refreshed.
    pub expires: UnixTime,
    /// Who refreshed it last; none before the first time.
    pub seen: Option<Seen>,
}

/// What is known of who refreshed a session: enough to tell whether another one is the same, and no more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// From where.
    pub address: Option<IpAddr>,
    /// A checksum of the name of the program that it was done with.
    pub agent: Option<u32>,
}

#[derive(Encode, Decode)]
struct Stored {
    sub: String,
    sid: String,
    client_id: String,
    device: Option<String>,
    created: u64,
    refreshed: u64,
    expires: u64,
    seen: Option<StoredSeen>,
}

#[derive(Encode, Decode)]
struct StoredSeen {
    /// As IPv6.
    address: Option<u128>,
    agent: Option<u32>,
}

/// The list of live sessions of one issuer.
#[derive(Debug)]
pub struct Registry {
    key: DigestKey,
    iss: Issuer,
    trees: Trees,
    notes: Mutex<Option<mpsc::SyncSender<Order>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Order {
    Note(Key, Box<Session>),
    Settle(mpsc::SyncSender<()>),
}

type Key = [u8; 32];

#[derive(Clone)]
struct Trees {
    db: sled::Db,
    sessions: sled::Tree,
    due: sled::Tree,
    _last: Arc<LastHandle>,
}

impl core::fmt::Debug for Trees {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Trees")
    }
}

impl Registry {
    /// Opens the registry in `dir`, for sessions of `iss`. A damaged one is set aside and begun anew: it is a list for
    /// people, and fills again as sessions are refreshed. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::Engine`].
    pub fn open(dir: &Path, iss: Issuer) -> Result<Self, StoreError> {
        let trees = match Trees::open(dir) {
            Err(StoreError::Engine(cause)) => {
                let aside = set_aside(dir)?;
                tracing::error!(%cause, kept_at = %aside.display(), "the list of sessions is damaged; it begins anew");
                Trees::open(dir)?
            }
            opened => opened?,
        };
        let (notes, orders) = mpsc::sync_channel(MAX_WAITING);
        let writing = trees.clone();
        let writer = thread::Builder::new()
            .name("ostracon-list".into())
            .spawn(move || write_behind(&writing, &orders))
            .map_err(|e| StoreError::io(dir, e))?;
        Ok(Self {
            // Nobody outside chooses what is listed, and no answer rests on it: the names need no secret.
            key: DigestKey::new([0; 16]),
            iss,
            trees,
            notes: Mutex::new(Some(notes)),
            writer: Mutex::new(Some(writer)),
        })
    }

    fn key(&self, sub: &Subject, sid: &SessionId) -> Key {
        let iss = &self.iss;
        let subject = self.key.digest(TargetRef::Subject { iss, sub });
        let session = self.key.digest(TargetRef::Session { iss, sid });
        let mut key = [0; 32];
        let (first, second) = key.split_at_mut(16);
        first.copy_from_slice(subject.as_bytes());
        second.copy_from_slice(session.as_bytes());
        key
    }

    /// Notes that `session` was issued or refreshed. Does not block; what cannot be taken in is not noted.
    pub fn note(&self, session: Session) {
        let key = self.key(&session.sub, &session.sid);
        let notes = unpoisoned(self.notes.lock()).clone();
        let taken = notes.is_some_and(|notes| notes.try_send(Order::Note(key, Box::new(session))).is_ok());
        if !taken {
            tracing::warn!("a session is not listed: the list cannot keep up");
        }
    }

    /// The sessions of `sub` that have not expired by `now`, the newest first, at most `limit`. Whether they were revoked
    /// is the denylist's to say. Blocks; costs in proportion to the sessions of the subject.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn of_subject(&self, sub: &Subject, now: UnixTime, limit: usize) -> Result<Vec<Session>, StoreError> {
        let subject = self.key.digest(TargetRef::Subject { iss: &self.iss, sub });
        let sessions = &self.trees.sessions;
        let rows = run(|| {
            sessions
                .scan_prefix(subject.as_bytes())
                .values()
                .collect::<sled::Result<Vec<_>>>()
        })?;
        let decoded = rows.iter().filter_map(|row| decode(row));
        let mut live: Vec<_> = decoded.filter(|s| s.sub == *sub && now < s.expires).collect();
        live.sort_by_key(|session| core::cmp::Reverse(session.refreshed));
        live.truncate(limit);
        Ok(live)
    }

    /// The session `sid` of `sub`, expired or not, if it is listed. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn session(&self, sub: &Subject, sid: &SessionId) -> Result<Option<Session>, StoreError> {
        let row = run(|| self.trees.sessions.get(self.key(sub, sid)))?;
        Ok(row
            .and_then(|row| decode(&row))
            .filter(|s| s.sub == *sub && s.sid == *sid))
    }

    /// Drops what has expired by `now`, in batches. Blocks; costs in proportion to what is due.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`].
    pub fn sweep(&self, now: UnixTime) -> Result<usize, StoreError> {
        let mut dropped = 0_usize;
        loop {
            let end = due_key(now.as_secs(), &[0xff; 32]);
            let due = &self.trees.due;
            let keys = run(|| {
                due.range(..=end)
                    .keys()
                    .take(SWEEP_BATCH)
                    .collect::<sled::Result<Vec<_>>>()
            })?;
            if keys.is_empty() {
                return Ok(dropped);
            }
            for key in keys {
                let session = key.get(8..).unwrap_or_default();
                let row = run(|| self.trees.sessions.get(session))?;
                // A refresh moves the end; the index row that it left behind drops nothing.
                if row
                    .and_then(|row| decode(&row))
                    .is_none_or(|session| session.expires <= now)
                {
                    run(|| self.trees.sessions.remove(session))?;
                    dropped = dropped.saturating_add(1);
                }
                run(|| due.remove(&key))?;
            }
        }
    }

    /// Waits until all that was noted so far is written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Closed`].
    pub fn settle(&self) -> Result<(), StoreError> {
        let (done, settled) = mpsc::sync_channel(1);
        let notes = unpoisoned(self.notes.lock()).clone().ok_or(StoreError::Closed)?;
        notes.send(Order::Settle(done)).map_err(|_| StoreError::Closed)?;
        settled.recv().map_err(|_| StoreError::Closed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Without a sender the thread writes what waits, and ends.
        drop(unpoisoned(self.notes.lock()).take());
        if let Some(writer) = unpoisoned(self.writer.lock()).take() {
            let _ = writer.join();
        }
    }
}

impl Trees {
    fn open(dir: &Path) -> Result<Self, StoreError> {
        files::create_dir(dir)?;
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(8 << 20)
            .flush_every_ms(Some(1000));
        run(|| {
            let db = crate::engine::open_unlocked(&config)?;
            let (sessions, due) = (db.open_tree("sessions")?, db.open_tree("due")?);
            Ok(Self {
                _last: Arc::new(LastHandle::of(&db)),
                db,
                sessions,
                due,
            })
        })
    }

    fn put(&self, key: &Key, session: &Session) -> sled::Result<()> {
        let Some(row) = encode(session) else { return Ok(()) };
        // The index row first: a session without one would be listed until nobody looks any more.
        self.due.insert(due_key(session.expires.as_secs(), key), &[])?;
        let old = self.sessions.insert(key, row)?.and_then(|row| decode(&row));
        if let Some(old) = old.filter(|old| old.expires != session.expires) {
            self.due.remove(due_key(old.expires.as_secs(), key))?;
        }
        Ok(())
    }
}

fn write_behind(trees: &Trees, orders: &mpsc::Receiver<Order>) {
    for order in orders {
        match order {
            Order::Note(key, session) => {
                if let Err(error) = run(|| trees.put(&key, &session)) {
                    tracing::warn!(%error, "a session is not listed");
                }
            }
            // An asker that went away is no failure.
            Order::Settle(done) => drop(done.send(())),
        }
    }
    if let Err(error) = run(|| trees.db.flush()) {
        tracing::warn!(%error, "the list of sessions was not saved whole");
    }
}

fn run<T>(operation: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
    fence(operation).map_err(|failure| StoreError::Engine(failure.cause().into()))
}

fn due_key(secs: u64, session: &[u8; 32]) -> [u8; 40] {
    let mut key = [0; 40];
    let (at, rest) = key.split_at_mut(8);
    at.copy_from_slice(&secs.to_be_bytes());
    rest.copy_from_slice(session);
    key
}

const fn layout() -> impl config::Config {
    config::standard().with_big_endian().with_limit::<MAX_BYTES>()
}

fn encode(session: &Session) -> Option<Vec<u8>> {
    let stored = Stored {
        sub: session.sub.as_str().to_owned(),
        sid: session.sid.as_str().to_owned(),
        client_id: session.client_id.as_str().to_owned(),
        device: session.device.as_ref().map(|device| device.as_str().to_owned()),
        created: session.created.as_secs(),
        refreshed: session.refreshed.as_secs(),
        expires: session.expires.as_secs(),
        seen: session.seen.map(|Seen { address, agent }| StoredSeen {
            address: address.map(|address| match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
                IpAddr::V6(v6) => v6.to_bits(),
            }),
            agent,
        }),
    };
    let mut bytes = vec![FORMAT];
    bytes.extend(bincode::encode_to_vec(stored, layout()).ok()?);
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    Some(bytes)
}

/// A row that does not say what was written is not listed.
fn decode(bytes: &[u8]) -> Option<Session> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let body = (crc32fast::hash(body).to_be_bytes() == *crc).then_some(body)?;
    let (&format, body) = body.split_first()?;
    let body = match format {
        // As it was before anybody was noted: as if nobody was.
        1 => [body, &[0]].concat().into(),
        FORMAT => std::borrow::Cow::Borrowed(body),
        _ => return None,
    };
    let (stored, _): (Stored, usize) = bincode::decode_from_slice(&body, layout()).ok()?;
    Some(Session {
        sub: Subject::new(stored.sub).ok()?,
        sid: SessionId::new(stored.sid).ok()?,
        client_id: ClientId::new(stored.client_id).ok()?,
        device: stored.device.map(Note::new).transpose().ok()?,
        created: UnixTime::from_secs(stored.created),
        refreshed: UnixTime::from_secs(stored.refreshed),
        expires: UnixTime::from_secs(stored.expires),
        seen: stored.seen.map(|StoredSeen { address, agent }| Seen {
            address: address.map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical()),
            agent,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(sub: &str, sid: &str, refreshed: u64, expires: u64) -> Session {
        Session {
            sub: Subject::new(sub).unwrap(),
            sid: SessionId::new(sid).unwrap(),
            client_id: ClientId::new("web").unwrap(),
            device: Some(Note::new("Firefox").unwrap()),
            created: UnixTime::from_secs(1),
            refreshed: UnixTime::from_secs(refreshed),
            expires: UnixTime::from_secs(expires),
            seen: Some(Seen {
                address: Some([192, 0, 2, 1].into()),
                agent: Some(7),
            }),
        }
    }

    /// The bytes of format 1 end where the new member begins.
    #[test]
    fn a_row_of_the_first_format_is_read_as_of_nobody_seen() {
        let new = Session {
            seen: None,
            ..session("u", "a", 10, 100)
        };
        let bytes = encode(&new).unwrap();
        let mut old = vec![1];
        old.extend(&bytes[1..bytes.len() - 5]);
        old.extend(crc32fast::hash(&old).to_be_bytes());
        assert_eq!(decode(&old), Some(new));
        let seen = session("u", "a", 10, 100);
        assert_eq!(decode(&encode(&seen).unwrap()), Some(seen));
    }

    fn open(dir: &Path) -> Registry {
        Registry::open(dir, Issuer::new("i").unwrap()).unwrap()
    }

    fn listed(registry: &Registry, sub: &str, now: u64) -> Vec<String> {
        let sessions = registry
            .of_subject(&Subject::new(sub).unwrap(), UnixTime::from_secs(now), 10)
            .unwrap();
        sessions.iter().map(|session| session.sid.to_string()).collect()
    }

    #[test]
    fn a_subjects_sessions_are_listed_until_they_expire_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let registry = open(dir.path());
        for noted in [
            session("u", "a", 10, 100),
            session("u", "b", 20, 50),
            session("v", "c", 10, 100),
        ] {
            registry.note(noted);
        }
        registry.settle().unwrap();
        assert_eq!(listed(&registry, "u", 49), ["b", "a"], "the newest first");
        assert_eq!(listed(&registry, "u", 50), ["a"], "at its end it is over");
        // A refresh moves the end.
        registry.note(session("u", "b", 30, 120));
        registry.settle().unwrap();
        assert_eq!(listed(&registry, "u", 100), ["b"]);
        drop(registry);
        let registry = open(dir.path());
        assert_eq!(listed(&registry, "u", 49), ["b", "a"]);
        let found = registry
            .of_subject(&Subject::new("u").unwrap(), UnixTime::EPOCH, 1)
            .unwrap();
        assert_eq!(found, [session("u", "b", 30, 120)]);
        // Two of three are due; the index row that the refresh replaced is gone.
        assert_eq!(registry.sweep(UnixTime::from_secs(100)).unwrap(), 2);
        assert_eq!((registry.trees.sessions.len(), registry.trees.due.len()), (1, 1));
    }

    #[test]
    fn a_damaged_list_begins_anew_and_a_damaged_row_is_not_listed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        let registry = open(&path);
        registry.note(session("u", "a", 10, 100));
        registry.settle().unwrap();
        let key = registry.key(&Subject::new("u").unwrap(), &SessionId::new("a").unwrap());
        let mut row = registry.trees.sessions.get(key).unwrap().unwrap().to_vec();
        row[5] ^= 1;
        registry.trees.sessions.insert(key, row).unwrap();
        assert!(listed(&registry, "u", 1).is_empty());
        drop(registry);
        std::fs::write(path.join("conf"), b"not a configuration of any engine").unwrap();
        assert!(listed(&open(&path), "u", 1).is_empty());
        assert!(dir.path().join("sessions.damaged-1").is_dir());
    }
}
