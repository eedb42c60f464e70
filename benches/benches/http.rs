//! `GET /auth/verify` beside a bare axum route, the usual answers with Redis, and a bare Redis `GET`, over loopback.
//!
//! What each server does, and what is asserted of it, is told in `benches/README.md`. `OSTRACON_BENCH_SECONDS` says how long
//! each turn takes, `OSTRACON_BENCH_PEERS=required` makes a peer that is missing an error.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use ostracon_benches::{
    issuer::{Party, SECRET},
    load::{self, Load, Protocol, Request},
    names::{self, UNLISTED},
    peers::{self, Process},
    plan, report,
    rounds::{Quartiles, nanos},
};
use ostracon_core::{Algorithm, Policy, Reason, Revocation, UnixTime};
use ostracon_store::{Denylist, Options};
use serde_json::json;

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
const OFF: &str = "Ostracon, prefilter off";
const BARE: &str = "bare axum route";
const HAPI: &str = "hapi + Redis";
const EXPRESS: &str = "Express + Redis";
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
    let (mut servers, missing) = servers(dir.path(), &asked);
    for server in &servers {
        // Warm-up, in which each must already answer as it will have to.
        server.turn(turn.div_f64(2.0));
    }
    for _ in 0..rounds {
        for server in &mut servers {
            server.measure(turn);
        }
    }
    if trial {
        println!("{} servers answered each token as they must", servers.len());
    } else {
        tell(&servers, &missing);
    }
    for (name, need) in &missing {
        println!("missing: {name}; it needs {need}");
    }
    let required = env::var("OSTRACON_BENCH_PEERS").is_ok_and(|value| value == "required");
    assert!(missing.is_empty() || !required, "a peer is missing");
}

/// What is asked of whom.
struct Asked {
    now: UnixTime,
    /// All keys that Redis holds.
    listed: Vec<String>,
    verify: Arc<[Request]>,
    bare: Arc<[Request]>,
    get: Arc<[Request]>,
}

fn is_revoked(n: u64) -> bool {
    n.is_multiple_of(REVOKED)
}

impl Asked {
    fn new() -> Self {
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
            };
            tokens.iter().map(request).collect()
        };
        let key = |token: &str| format!("blacklist:{token}");
        let get = |(token, revoked): &(String, bool)| Request {
            bytes: peers::command(&["GET", &key(token)]),
            expected: if *revoked { b"$1\r\n1\r\n" } else { b"$-1\r\n" },
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
    fn fill(&self, dir: &Path) {
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

/// One of those that are compared.
struct Server {
    name: &'static str,
    protocol: Protocol,
    requests: Arc<[Request]>,
    /// What answers, and what that asks in turn.
    processes: Vec<Arc<Process>>,
    turns: Vec<Turn>,
}

struct Turn {
    load: Load,
    server: Duration,
}

impl Server {
    fn turn(&self, duration: Duration) -> Turn {
        let time = || self.processes.iter().map(|process| process.time()).sum::<Duration>();
        let before = time();
        let address = self.processes.first().expect("a process").address;
        let load = load::ask(address, self.protocol, &self.requests, CONNECTIONS, duration);
        Turn {
            load,
            server: time().saturating_sub(before),
        }
    }

    fn measure(&mut self, duration: Duration) {
        let turn = self.turn(duration);
        self.turns.push(turn);
    }

    fn figures(&self, figure: impl Fn(&Turn) -> f64) -> Vec<f64> {
        self.turns.iter().map(figure).collect()
    }

    fn latencies(&self) -> Vec<f64> {
        let all = self.turns.iter().flat_map(|turn| &turn.load.latencies);
        let mut all: Vec<_> = all
            .map(|nanos| Duration::from_nanos(*nanos).as_secs_f64() * 1e9)
            .collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

impl Turn {
    fn count(&self) -> f64 {
        f64::from(u32::try_from(self.load.latencies.len()).expect("a count"))
    }

    fn rate(&self) -> f64 {
        self.count() / self.load.took.as_secs_f64()
    }

    /// Microseconds of the servers' processor time for each answer.
    fn cost(&self) -> f64 {
        self.server.as_secs_f64() * 1e6 / self.count()
    }

    /// The part of one processor that the source of the requests took.
    fn own(&self) -> f64 {
        self.load.own.as_secs_f64() / self.load.took.as_secs_f64()
    }
}

type Missing = Vec<(&'static str, &'static str)>;

fn servers(dir: &Path, asked: &Asked) -> (Vec<Server>, Missing) {
    let program = built();
    let server = |name, protocol, requests: &Arc<[Request]>, processes| Server {
        name,
        protocol,
        requests: Arc::clone(requests),
        processes,
        turns: Vec::new(),
    };
    let mut all = Vec::new();
    for (name, prefilter) in [(OSTRACON, true), (OFF, false)] {
        let home = dir.join(if prefilter { "on" } else { "off" });
        asked.fill(&home.join("denylist"));
        let config = peers::configuration(&home, &SECRET, prefilter);
        let process = Arc::new(peers::ostracon(&program, &config));
        all.push(server(name, Protocol::Http, &asked.verify, vec![process]));
    }
    let bare = Arc::new(peers::printing(&Command::new(env!("CARGO_BIN_EXE_bare-axum"))));
    all.push(server(BARE, Protocol::Http, &asked.bare, vec![bare]));

    let mut missing = Vec::new();
    let there = |program: &str| {
        Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_ok()
    };
    if !there("redis-server") {
        let need = "redis-server (scripts/peers installs it)";
        return (all, vec![(HAPI, need), (EXPRESS, need), (GET, need)]);
    }
    let redis = Arc::new(peers::redis(dir));
    peers::set_all(&redis, asked.listed.iter().cloned());
    for (name, source) in [(HAPI, "hapi-redis"), (EXPRESS, "express-redis")] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(source);
        if !there("node") || !source.join("node_modules").exists() {
            missing.push((name, "Node and its packages (scripts/peers installs them)"));
            continue;
        }
        let mut command = Command::new("node");
        command
            .arg(source.join("server.js"))
            .env("NODE_ENV", "production")
            .env("SECRET_FILE", dir.join("on/key.secret"))
            .env("REDIS_URL", format!("redis://{}", redis.address));
        let process = Arc::new(peers::printing(&command));
        all.push(server(
            name,
            Protocol::Http,
            &asked.verify,
            vec![process, Arc::clone(&redis)],
        ));
    }
    all.push(server(GET, Protocol::Redis, &asked.get, vec![redis]));
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

fn tell(servers: &[Server], missing: &Missing) {
    println!(
        "\n{CONNECTIONS} clients, {TOKENS} tokens, one in {REVOKED} of them revoked; {ENTRIES} others listed\n\n\
         | | requests a second | half / 99 % within | processor time a request | the source took of one processor |\n\
         |---|---:|---:|---:|---:|"
    );
    for server in servers {
        let [rate, cost, own] = [Turn::rate, Turn::cost, Turn::own].map(|figure| Quartiles::of(server.figures(figure)));
        let latencies = server.latencies();
        let within = |part: f64| percentile(&latencies, part);
        println!(
            "| {} | {:.0} ({:.0} to {:.0}) | {} / {} | {:.2} µs | {:.0} % |",
            server.name,
            rate.median,
            rate.low,
            rate.high,
            nanos(within(0.5)),
            nanos(within(0.99)),
            cost.median,
            own.median * 100.0,
        );
        let part = |n: u32| f64::from(n) / 200.0;
        let ends = [0.995, 0.999, 0.9995, 0.9999];
        let parts = (0..200).map(part).chain(ends);
        report::record(
            "servers",
            json!({
                "name": server.name,
                "requests_a_second": server.figures(Turn::rate),
                "server_us_a_request": server.figures(Turn::cost),
                "source_of_one_processor": server.figures(Turn::own),
                "p50_ns": within(0.5),
                "p99_ns": within(0.99),
                "latency_ns": parts.map(|part| [part, within(part)]).collect::<Vec<_>>(),
            }),
        );
    }
    for (name, need) in missing {
        report::record("missing", json!({ "name": name, "needs": need }));
    }
    report::record(
        "setting",
        json!({ "clients": CONNECTIONS, "tokens": TOKENS, "revoked_one_in": REVOKED, "entries": ENTRIES }),
    );
    println!("\n| {OSTRACON} | requests a second | processor time a request |\n|---|---:|---:|");
    let find = |name| servers.iter().find(|server| server.name == name);
    for name in [OFF, BARE, HAPI, EXPRESS, GET] {
        let (Some(ours), Some(theirs)) = (find(OSTRACON), find(name)) else {
            continue;
        };
        let ratio = |figure: fn(&Turn) -> f64| {
            let pairs = ours.turns.iter().zip(&theirs.turns);
            Quartiles::of(pairs.map(|(ours, theirs)| figure(ours) / figure(theirs)).collect())
        };
        let (rate, cost) = (ratio(Turn::rate), ratio(Turn::cost));
        println!(
            "| against {name} | {:.2} × ({:.2} to {:.2}) | 1 / {:.2} |",
            rate.median,
            rate.low,
            rate.high,
            1.0 / cost.median
        );
        let of = |ratio: Quartiles| json!({ "low": ratio.low, "median": ratio.median, "high": ratio.high });
        report::record(
            "ratios",
            json!({ "against": name, "rate": of(rate), "processor_time": of(cost) }),
        );
    }
}

/// The latency that so great a `part` of the answers stayed within.
fn percentile(sorted: &[f64], part: f64) -> f64 {
    let steps = 10_000_u32;
    let place = (1..=steps)
        .take_while(|step| f64::from(*step) <= part * f64::from(steps))
        .count();
    let last = sorted.len().saturating_sub(1);
    let place = last
        .saturating_mul(place)
        .div_euclid(usize::try_from(steps).unwrap_or(1));
    sorted.get(place).copied().unwrap_or(f64::NAN)
}
