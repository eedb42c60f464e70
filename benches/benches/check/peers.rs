//! The peers: an exact set in memory, the engine without anything around it, and a Redis over loopback.

use std::{cell::RefCell, collections::HashSet, fs, path::Path, sync::RwLock};

use ostracon_benches::{
    case::Case,
    listing::Listing,
    names,
    peers::{self, Asking, Process},
};
use ostracon_core::{Target, TargetRef};
use ostracon_store::{Denylist, Digest};

use crate::asked::Asked;

/// The parts that the engine is made of unless it is told otherwise.
const PARTS: u64 = 16;

/// All of them, with the same entries.
pub(crate) struct Peers {
    set: RwLock<HashSet<Digest>>,
    /// By the first four bits of a digest.
    rows: Vec<sled::Tree>,
    absent: Vec<[u8; 16]>,
    present: Vec<[u8; 16]>,
    redis: Option<Redis>,
}

/// A connection to a Redis that holds the same entries, and what it is asked.
struct Redis {
    connection: RefCell<Asking>,
    absent: Vec<Vec<u8>>,
    present: Vec<Vec<u8>>,
}

impl Peers {
    /// With the rows of `bare`, a copy of the store that is `listing`'s, and the same entries set in `redis`.
    pub(crate) fn of(listing: &Listing, bare: &Path, redis: Option<&Process>, size: u64, asked: &Asked) -> Self {
        let id = |target: TargetRef<'_>| listing.denylist().id(target);
        // A digest is shown as its bytes in hexadecimal, and those are its key in the engine.
        let key = |target: &Target| {
            let shown = id(target.as_ref()).to_string();
            u128::from_str_radix(&shown, 16).expect("hexadecimal").to_be_bytes()
        };
        let set = (0..size).map(|n| id(names::listed(n).as_ref())).collect();
        Self {
            set: RwLock::new(set),
            rows: (0..PARTS).map(|part| rows_of(&bare.join("sled"), part)).collect(),
            absent: asked.absent.iter().map(key).collect(),
            present: asked.present.iter().map(key).collect(),
            redis: redis.map(|redis| Redis::filled(redis, size, asked)),
        }
    }

    pub(crate) fn cases<'a>(&'a self, denylist: &'a Denylist, asked: &'a Asked) -> Vec<Case<'a>> {
        let in_set = |target: &Target| {
            let id = denylist.id(target.as_ref());
            self.set.read().expect("not poisoned").contains(&id)
        };
        let in_rows = |key: &[u8; 16]| {
            let part = self.rows.get(usize::from(key[0] >> 4)).expect("sixteen parts");
            part.get(key).expect("an answer").is_some()
        };
        let mut cases = vec![
            Case::over("absent, hash set", &asked.absent, move |target| !in_set(target)),
            Case::over("present, hash set", &asked.present, in_set),
            Case::over("absent, sled get", &self.absent, move |key| !in_rows(key)),
            Case::over("present, sled get", &self.present, in_rows),
        ];
        if let Some(redis) = &self.redis {
            let get = |command: &[u8]| redis.connection.borrow_mut().get(command);
            let absent = Case::over("absent, Redis GET", &redis.absent, move |command| !get(command));
            let present = Case::over("present, Redis GET", &redis.present, move |command| get(command));
            cases.extend([absent, present]);
        }
        cases
    }
}

impl Redis {
    fn filled(redis: &Process, size: u64, asked: &Asked) -> Self {
        let key = |target: &Target| format!("blacklist:{}", target.as_ref().name());
        peers::set_all(redis, (0..size).map(names::listed).map(|target| key(&target)));
        let get = |target: &Target| peers::command(&["GET", &key(target)]);
        Self {
            connection: RefCell::new(Asking::to(redis)),
            absent: asked.absent.iter().map(get).collect(),
            present: asked.present.iter().map(get).collect(),
        }
    }
}

/// The rows of one part of the engine in `dir`.
fn rows_of(dir: &Path, part: u64) -> sled::Tree {
    // Behind its name there is a number, if it was written anew.
    let name = format!("{part:02}-of-{PARTS}");
    let entries = fs::read_dir(dir)
        .expect("the engine")
        .map(|entry| entry.expect("a file of it"));
    let mut parts = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name));
    let (Some(part), None) = (parts.next(), parts.next()) else {
        panic!("the engine has other parts")
    };
    let engine = sled::Config::new()
        .path(part.path())
        .cache_capacity((64 << 20) / PARTS)
        .segment_size(64 << 10)
        .flush_every_ms(None);
    // The threads of the one that had it open before may have to end first.
    let engine = (0..500).find_map(|_| {
        let opened = engine.open();
        if opened.is_err() {
            std::thread::sleep(core::time::Duration::from_millis(20));
        }
        opened.ok()
    });
    let rows = engine.expect("the engine's files").open_tree("rows").expect("the rows");
    assert_eq!(rows.get([0; 16]).expect("an answer"), None);
    rows
}
