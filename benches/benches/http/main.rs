//! `GET /auth/verify` beside a bare axum route, the usual answers with Redis, and a bare Redis `GET`, over loopback; and
//! `POST /v1/revocations` beside a Redis that syncs its log before it answers.
//!
//! What each server does, and what is asserted of it, is told in `benches/README.md`. `OSTRACON_BENCH_SECONDS` says how long
//! each turn takes, `OSTRACON_BENCH_PEERS=required` makes a peer that is missing an error; `-- verifying` and `-- revoking` measure one
//! of both alone.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

mod asked;
mod revoking;
mod turns;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use asked::Asked;
use ostracon_benches::{issuer::SECRET, load::Protocol, peers, plan, report};
use serde_json::json;
use turns::Server;

/// Tokens asked for in turn.
const TOKENS: u64 = 4_096;
/// Of these, one in so many is revoked.
const REVOKED: u64 = 64;
/// What is listed besides: in Redis, too.
const ENTRIES: u64 = 100_000;
/// Clients at once.
const CONNECTIONS: usize = 32;
/// Rounds in which each server has a turn.
const ROUNDS: usize = 7;

const OSTRACON: &str = "Ostracon, prefilter on";
/// Where nothing is remembered, each signature is checked, as by the usual answers.
const FORGETFUL: &str = "Ostracon, no token remembered";
const OFF: &str = "Ostracon, prefilter off";
const BARE: &str = "bare axum route";
const HAPI: &str = "hapi + Redis";
const EXPRESS: &str = "Express + Redis";
/// The usual answers, and where they are.
const USUAL: [(&str, &str); 2] = [(HAPI, "hapi-redis"), (EXPRESS, "express-redis")];
const GET: &str = "bare Redis GET";

fn main() {
    if !plan::measures() && !env::args().any(|arg| arg == "--test") {
        return;
    }
    let trial = !plan::measures();
    let seconds = match env::var("OSTRACON_BENCH_SECONDS") {
        Ok(seconds) => seconds.parse().expect("OSTRACON_BENCH_SECONDS holds a number"),
        Err(_) => 2.0,
    };
    let (rounds, turn) = if trial {
        (1, Duration::from_millis(200))
    } else {
        (ROUNDS, Duration::from_secs_f64(seconds))
    };
    let asked = Asked::new();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = built();
    if plan::wants("verifying") {
        let servers = verifying(&program, dir.path(), &asked, rounds, turn);
        if trial {
            println!("{} servers answered each token as they must", servers.len());
        } else {
            turns::tell(&servers, "GET /auth/verify", "servers");
        }
    }
    if plan::wants("revoking") {
        let servers = revoking::measured(&program, dir.path(), &asked, rounds, turn);
        if !trial {
            turns::tell(&servers, "POST /v1/revocations", "revoking");
        }
    }
}

fn verifying(program: &Path, dir: &Path, asked: &Asked, rounds: usize, turn: Duration) -> Vec<Server> {
    let (mut verifying, missing) = servers(program, dir, asked);
    turns::take(&mut verifying, rounds, turn);
    println!("{CONNECTIONS} clients, {TOKENS} tokens, one in {REVOKED} of them revoked; {ENTRIES} others listed");
    report::record(
        "setting",
        json!({ "clients": CONNECTIONS, "tokens": TOKENS, "revoked_one_in": REVOKED, "entries": ENTRIES }),
    );
    for (name, need) in &missing {
        println!("missing: {name}; it needs {need}");
        report::record("missing", json!({ "name": name, "needs": need }));
    }
    let required = env::var("OSTRACON_BENCH_PEERS").is_ok_and(|value| value == "required");
    assert!(missing.is_empty() || !required, "a peer is missing");
    verifying
}

type Missing = Vec<(&'static str, &'static str)>;

fn servers(program: &Path, dir: &Path, asked: &Asked) -> (Vec<Server>, Missing) {
    let mut all = Vec::new();
    for (name, home, settings) in [
        (OSTRACON, "on", &[][..]),
        (FORGETFUL, "forgetful", &[("OSTRACON_TOKENS__CACHE", "0 B")]),
        (OFF, "off", &[("OSTRACON_DENYLIST__PREFILTER", "false")]),
    ] {
        let home = dir.join(home);
        asked.fill(&home.join("denylist"));
        let config = peers::configuration(&home, &SECRET);
        let process = Arc::new(peers::ostracon(program, &config, settings));
        all.push(Server::new(name, Protocol::Http, &asked.verify, vec![process]));
    }
    let bare = Arc::new(peers::printing(&Command::new(env!("CARGO_BIN_EXE_bare-axum"))));
    all.push(Server::new(BARE, Protocol::Http, &asked.bare, vec![bare]));

    let mut missing = Vec::new();
    if !peers::is_there("redis-server") {
        let need = "redis-server (scripts/peers installs it)";
        return (all, vec![(HAPI, need), (EXPRESS, need), (GET, need)]);
    }
    let redis = Arc::new(peers::redis(dir));
    peers::set_all(&redis, asked.listed.iter().cloned());
    for (name, source) in USUAL {
        let Some(process) = peers::usual(source, &dir.join("on/key.secret"), &redis) else {
            missing.push((name, "Node and its packages (scripts/peers installs them)"));
            continue;
        };
        all.push(Server::new(
            name,
            Protocol::Http,
            &asked.verify,
            vec![Arc::new(process), Arc::clone(&redis)],
        ));
    }
    all.push(Server::new(GET, Protocol::Redis, &asked.get, vec![redis]));
    (all, missing)
}

/// The program `ostracon`, built as it is released.
fn built() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--package",
            "ostracon-server",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the program does not build");
    let bare = Path::new(env!("CARGO_BIN_EXE_bare-axum"));
    bare.with_file_name("ostracon")
}
