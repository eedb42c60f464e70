//! The three, each used as its documentation says, with one durable commit to a group and 64 MB of cache; and the denylist, which
//! puts a journal and a prefilter before one of them.

use std::{fs::File, path::Path};

use fjall::{KeyspaceCreateOptions, PersistMode};
use ostracon_core::{Issuer, Jti, Reason, Revocation, Target, Targets, UnixTime};
use ostracon_store::{Denylist, Options};
use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use crate::ROW;

const CACHE: u64 = 64 << 20;

pub struct Entry {
    pub key: [u8; 16],
    pub row: [u8; ROW],
    pub due: u64,
}

impl Entry {
    fn due_key(&self) -> [u8; 24] {
        due_key(self.due, &self.key)
    }
}

fn due_key(due: u64, key: &[u8; 16]) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&due.to_be_bytes());
    bytes[8..].copy_from_slice(key);
    bytes
}

/// What is due by `until` at the latest lies before this.
fn behind(until: u64) -> [u8; 24] {
    due_key(until + 1, &[0; 16])
}

pub trait Engine {
    fn open(dir: &Path) -> Self;
    /// Writes the entries and their index rows; on the disk on return.
    fn put(&self, group: &[Entry]);
    fn holds(&self, key: &[u8; 16]) -> bool;
    /// Ends what goes on behind, as after a while of rest.
    fn rest(&self) {}
    /// Drops at most `limit` of what is due by `until`, on the disk on return; how many those were.
    fn expire(&self, until: u64, limit: usize) -> usize;
}

pub struct Sled {
    db: sled::Db,
    rows: sled::Tree,
    due: sled::Tree,
    file: File,
}

impl Sled {
    /// sled's own flush reaches the page cache only.
    fn sync(&self) {
        self.db.flush().expect("flushed");
        self.file.sync_data().expect("synced");
    }
}

/// Before the first entry ends.
const BEFORE: UnixTime = UnixTime::from_secs(1_789_999_999);

impl Engine for Denylist {
    fn open(dir: &Path) -> Self {
        let options = Options {
            cache_bytes: CACHE,
            ..Options::default()
        };
        Denylist::open(dir, &options).expect("a store")
    }

    fn put(&self, group: &[Entry]) {
        let revocations = group.iter().map(|entry| {
            let until = UnixTime::from_secs(entry.due);
            Revocation::restored(token(&entry.key), None, BEFORE, until, Reason::Logout, None)
        });
        self.revoke_many(revocations).expect("durable");
    }

    fn holds(&self, key: &[u8; 16]) -> bool {
        let target = token(key);
        let facts = self.check(&Targets::one(target.as_ref()), BEFORE).expect("an answer");
        facts.revocation.is_some()
    }

    fn rest(&self) {
        self.settle().expect("settled");
    }

    /// In batches of its own, all that is due.
    fn expire(&self, until: u64, _: usize) -> usize {
        self.sweep(UnixTime::from_secs(until)).expect("swept").entries
    }
}

/// The token that is named by `key`.
fn token(key: &[u8; 16]) -> Target {
    Target::Token {
        iss: Issuer::new("https://auth.example").expect("a name"),
        jti: Jti::new(format!("{:032x}", u128::from_be_bytes(*key))).expect("a name"),
    }
}

impl Engine for Sled {
    fn open(dir: &Path) -> Self {
        let config = sled::Config::new().path(dir).cache_capacity(CACHE).flush_every_ms(None);
        // It gives up its lock some time after it was dropped.
        let db = std::iter::repeat_with(|| config.open())
            .inspect(|opened| {
                if opened.is_err() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            })
            .take(250)
            .find_map(Result::ok)
            .expect("a store");
        Self {
            rows: db.open_tree("rows").expect("a tree"),
            due: db.open_tree("due").expect("a tree"),
            file: File::open(dir.join("db")).expect("its file"),
            db,
        }
    }

    fn put(&self, group: &[Entry]) {
        for entry in group {
            self.due.insert(entry.due_key(), &[]).expect("written");
            self.rows.insert(entry.key, &entry.row[..]).expect("written");
        }
        self.sync();
    }

    fn holds(&self, key: &[u8; 16]) -> bool {
        self.rows.get(key).expect("an answer").is_some()
    }

    fn expire(&self, until: u64, limit: usize) -> usize {
        let due = self.due.range(..behind(until)).keys().take(limit);
        let due: Vec<_> = due.map(|key| key.expect("an answer")).collect();
        for key in &due {
            self.rows.remove(&key[8..]).expect("removed");
            self.due.remove(key).expect("removed");
        }
        self.sync();
        due.len()
    }
}

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("rows");
const DUE: TableDefinition<&[u8], ()> = TableDefinition::new("due");

pub struct Redb(redb::Database);

impl Redb {
    fn write<T>(&self, change: impl FnOnce(&mut redb::Table<&[u8], &[u8]>, &mut redb::Table<&[u8], ()>) -> T) -> T {
        let transaction = self.0.begin_write().expect("a transaction");
        let answer = {
            let mut rows = transaction.open_table(ROWS).expect("a table");
            let mut due = transaction.open_table(DUE).expect("a table");
            change(&mut rows, &mut due)
        };
        transaction.commit().expect("committed");
        answer
    }
}

impl Engine for Redb {
    fn open(dir: &Path) -> Self {
        let cache = usize::try_from(CACHE).expect("a size");
        let db = redb::Builder::new()
            .set_cache_size(cache)
            .create(dir.join("redb"))
            .expect("a store");
        let this = Self(db);
        this.write(|_, _| ());
        this
    }

    fn put(&self, group: &[Entry]) {
        self.write(|rows, due| {
            for entry in group {
                due.insert(&entry.due_key()[..], ()).expect("written");
                rows.insert(&entry.key[..], &entry.row[..]).expect("written");
            }
        });
    }

    fn holds(&self, key: &[u8; 16]) -> bool {
        let transaction = self.0.begin_read().expect("a transaction");
        let rows = transaction.open_table(ROWS).expect("a table");
        rows.get(&key[..]).expect("an answer").is_some()
    }

    fn expire(&self, until: u64, limit: usize) -> usize {
        self.write(|rows, due| {
            let keys: Vec<_> = due
                .range::<&[u8]>(..&behind(until)[..])
                .expect("an answer")
                .take(limit)
                .map(|row| row.expect("an answer").0.value().to_vec())
                .collect();
            for key in &keys {
                rows.remove(&key[8..]).expect("removed");
                due.remove(&key[..]).expect("removed");
            }
            keys.len()
        })
    }
}

pub struct Fjall {
    db: fjall::Database,
    rows: fjall::Keyspace,
    due: fjall::Keyspace,
}

impl Engine for Fjall {
    fn open(dir: &Path) -> Self {
        let db = fjall::Database::builder(dir).cache_size(CACHE).open().expect("a store");
        Self {
            rows: db.keyspace("rows", KeyspaceCreateOptions::default).expect("a keyspace"),
            due: db.keyspace("due", KeyspaceCreateOptions::default).expect("a keyspace"),
            db,
        }
    }

    fn put(&self, group: &[Entry]) {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for entry in group {
            batch.insert(&self.due, entry.due_key(), []);
            batch.insert(&self.rows, entry.key, entry.row);
        }
        batch.commit().expect("committed");
    }

    fn holds(&self, key: &[u8; 16]) -> bool {
        self.rows.get(key).expect("an answer").is_some()
    }

    fn expire(&self, until: u64, limit: usize) -> usize {
        let due = self.due.range(..behind(until)).take(limit);
        let due: Vec<_> = due.map(|row| row.key().expect("an answer")).collect();
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for key in &due {
            batch.remove(&self.rows, &key[8..]);
            batch.remove(&self.due, key.clone());
        }
        batch.commit().expect("committed");
        due.len()
    }
}
