//! What is asked about tokens, and what is listed beforehand.

use std::{path::Path, sync::Arc, time::UNIX_EPOCH};

use ostracon_benches::{
    issuer::Party,
    load::Request,
    names::{self, UNLISTED},
    peers,
};
use ostracon_core::{Algorithm, Policy, Reason, Revocation, UnixTime};
use ostracon_store::{Denylist, Options};

use crate::{ENTRIES, REVOKED, TOKENS};

/// What is asked of whom.
pub(crate) struct Asked {
    pub(crate) now: UnixTime,
    /// All keys that Redis holds.
    pub(crate) listed: Vec<String>,
    pub(crate) verify: Arc<[Request]>,
    pub(crate) bare: Arc<[Request]>,
    pub(crate) get: Arc<[Request]>,
}

fn is_revoked(n: u64) -> bool {
    n.is_multiple_of(REVOKED)
}

impl Asked {
    pub(crate) fn new() -> Self {
        let now = UnixTime::from_secs(UNIX_EPOCH.elapsed().expect("a clock that is right").as_secs());
        let party = Party::new(Algorithm::HS256);
        let tokens: Vec<_> = (0..TOKENS)
            .map(|n| (party.token(UNLISTED | n, now), is_revoked(n)))
            .collect();
        let http = |refuses: bool| -> Arc<[Request]> {
            let request = |(token, revoked): &(String, bool)| Request {
                bytes: format!("GET /auth/verify HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {token}\r\n\r\n")
                    .into_bytes(),
                expected: if *revoked && refuses {
                    b"HTTP/1.1 401 "
                } else {
                    b"HTTP/1.1 200 "
                },
                serial: None,
            };
            tokens.iter().map(request).collect()
        };
        let key = |token: &str| format!("blacklist:{token}");
        let get = |(token, revoked): &(String, bool)| Request {
            bytes: peers::command(&["GET", &key(token)]),
            expected: if *revoked { b"$1\r\n1\r\n" } else { b"$-1\r\n" },
            serial: None,
        };
        let others = (0..ENTRIES).map(|n| party.token(n, now));
        let revoked = tokens.iter().filter(|(_, revoked)| *revoked);
        Self {
            now,
            listed: others
                .chain(revoked.map(|(token, _)| token.clone()))
                .map(|token| key(&token))
                .collect(),
            verify: http(true),
            bare: http(false),
            get: tokens.iter().map(get).collect(),
        }
    }

    /// Lists the same tokens in the store at `dir` as Redis has.
    pub(crate) fn fill(&self, dir: &Path) {
        let denylist = Denylist::open(dir, &Options::default()).expect("a store");
        let policy = Policy::default();
        let revoked = (0..TOKENS).filter(|n| is_revoked(*n)).map(|n| UNLISTED | n);
        let all = (0..ENTRIES).chain(revoked);
        let all = all.map(|n| Revocation::new(names::token(n), Reason::Logout, &policy, self.now));
        denylist.revoke_many(all).expect("durable");
        denylist.settle().expect("settled");
        denylist.close().expect("closed");
    }
}
