//! Durable revocations over HTTP, beside the usual answers that have a Redis keep them with `appendfsync always`, and that Redis
//! alone.

use std::{path::Path, sync::Arc, time::Duration};

use ostracon_benches::{
    load::{Protocol, Request},
    peers,
};
use ostracon_store::{Denylist, Options};

use crate::{
    ENTRIES, USUAL,
    asked::Asked,
    turns::{self, Server},
};

/// The digits that are others in each request.
const SERIAL: &str = "0000000000000000";

/// Asks both to revoke tokens that are new, in turns, and shows that each that was acknowledged is kept through a kill.
pub(crate) fn measured(program: &Path, dir: &Path, asked: &Asked, rounds: usize, turn: Duration) -> Vec<Server> {
    let home = dir.join("revoking");
    let store = home.join("denylist");
    asked.fill(&store);
    let before = entries(&store);
    let config = peers::configuration_with_client(&home);
    let process = Arc::new(peers::ostracon_admin(program, &config));
    let ask: Arc<[Request]> = Arc::from([revocation(asked)]);
    let mut servers = vec![Server::new("Ostracon", Protocol::Http, &ask, vec![process])];
    let log = dir.join("durable-redis");
    std::fs::create_dir(&log).expect("a directory");
    if let Some(redis) = peers::durable_redis(&log).map(Arc::new) {
        for (name, source) in USUAL {
            if let Some(usual) = peers::usual(source, &home.join("key.secret"), &redis) {
                let processes = vec![Arc::new(usual), Arc::clone(&redis)];
                servers.push(Server::new(name, Protocol::Http, &ask, processes));
            }
        }
        let key = format!("blacklist:{SERIAL}");
        let set = request(peers::command(&["SETEX", &key, "1200", "1"]), b"+OK\r\n");
        servers.push(Server::new(
            "Redis SETEX, appendfsync always",
            Protocol::Redis,
            &Arc::from([set]),
            vec![redis],
        ));
    }
    turns::take(&mut servers, rounds, turn);
    let answered = |server: &Server| server.turns.iter().map(|turn| turn.load.latencies.len()).sum::<usize>();
    let ours = servers.first().map_or(0, answered);
    let theirs = servers.iter().skip(1).map(answered).sum::<usize>();
    // Ended by the kernel, with whatever it had not written.
    for server in &mut servers {
        server.processes.clear();
    }
    let listed = entries(&store).saturating_sub(before);
    assert!(
        listed >= u64::try_from(ours).expect("a count"),
        "{listed} listed of {ours}"
    );
    if theirs > 0 {
        let grown = peers::log_bytes(&log);
        assert!(
            grown >= u64::try_from(theirs).expect("a count").saturating_mul(64),
            "{grown} bytes of log for {theirs}"
        );
    }
    servers
}

fn entries(store: &Path) -> u64 {
    let denylist = Denylist::open(store, &Options::default()).expect("a store");
    denylist.settle().expect("settled");
    let kinds = denylist.stats().entries.expect("counted");
    let entries = kinds.iter().map(|(_, count)| count).sum();
    denylist.close().expect("closed");
    assert!(entries >= ENTRIES, "{entries} entries");
    entries
}

fn revocation(asked: &Asked) -> Request {
    let exp = asked.now.as_secs().saturating_add(1_200);
    let body = format!(r#"{{"target":{{"kind":"token","jti":"{SERIAL}"}},"exp":{exp},"reason":"logout"}}"#);
    let head = format!(
        "POST /v1/revocations HTTP/1.1\r\nhost: shop\r\nauthorization: Basic {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        peers::credentials(),
        body.len()
    );
    request((head + &body).into_bytes(), b"HTTP/1.1 201 ")
}

fn request(bytes: Vec<u8>, expected: &'static [u8]) -> Request {
    let serial = bytes
        .windows(SERIAL.len())
        .position(|window| window == SERIAL.as_bytes());
    Request {
        bytes,
        expected,
        serial,
    }
}
