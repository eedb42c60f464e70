//! The servers of the comparison over HTTP, each a process of its own that ends with this one.

use core::{net::SocketAddr, time::Duration};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::issuer::SECRET;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that is killed when this is dropped, and by the kernel when this program ends in any other way.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Process {
    /// Starts `command` and reads where it listens off the first line in which `address` finds it.
    ///
    /// # Panics
    ///
    /// When it does not start within a minute.
    #[must_use]
    pub fn start(command: &Command, address: fn(&str) -> Option<&str>) -> Self {
        let mut child = spawn(command);
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let mut started = Self {
            child,
            address: SocketAddr::from(([0; 4], 0)),
        };
        let (tell, told) = mpsc::channel();
        // Reads on to the end: a full pipe would stop it.
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Some(address) = address(&line) {
                    let _ = tell.send(address.parse().expect("an address"));
                }
            }
        });
        started.address = told.recv_timeout(PATIENCE).expect("it says where it listens");
        started
    }

    /// Its processor time so far.
    #[must_use]
    pub fn time(&self) -> Duration {
        crate::load::process_time(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Under `setpriv`, so that the kernel ends it when whoever started it is gone, however that came.
fn spawn(command: &Command) -> Child {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL"]);
    bound.arg(command.get_program()).args(command.get_args());
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OSTRACON_")) {
        bound.env_remove(name); // What a bench is told is no setting of the server.
    }
    for (name, value) in command.get_envs() {
        bound.env(name, value.unwrap_or_default());
    }
    bound
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("setpriv, of util-linux, starts each server: {error}"))
}

/// The server `ostracon` on the store in `home`, which holds a configuration.
#[must_use]
pub fn ostracon(program: &Path, config: &Path, settings: &[(&str, &str)]) -> Process {
    serving(program, config, settings, |line| line.strip_prefix("public  http://"))
}

/// The same, asked at its admin listener.
#[must_use]
pub fn ostracon_admin(program: &Path, config: &Path) -> Process {
    serving(program, config, &[], |line| line.strip_prefix("admin   http://"))
}

fn serving(program: &Path, config: &Path, settings: &[(&str, &str)], address: fn(&str) -> Option<&str>) -> Process {
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(config);
    command.envs(settings.iter().copied());
    Process::start(&command, address)
}

/// A client that may revoke, and its secret.
const CLIENT: (&str, &str) = ("backend", "a secret of a bench, and nothing else");

/// The [client's](configuration_with_client) credentials, as HTTP's Basic scheme has them.
#[must_use]
pub fn credentials() -> String {
    let (id, secret) = CLIENT;
    BASE64_STANDARD.encode(format!("{id}:{secret}"))
}

/// [`configuration`] with a client that may revoke.
#[must_use]
pub fn configuration_with_client(home: &Path) -> PathBuf {
    let path = configuration(home, &SECRET);
    let (id, secret) = CLIENT;
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    let hash = hash
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let client = format!("[[clients]]\nid = \"{id}\"\nsecret_sha256 = \"{hash}\"\nroles = [\"revoke\"]\n");
    let text = fs::read_to_string(&path).expect("the configuration") + &client;
    fs::write(&path, text).expect("the configuration");
    path
}

/// Writes the configuration of a server whose one key is `secret`, and returns where it is.
#[must_use]
pub fn configuration(home: &Path, secret: &[u8]) -> PathBuf {
    let key = home.join("key.secret");
    fs::write(&key, secret).expect("the secret");
    set_private(&key);
    let path = home.join("ostracon.toml");
    let text = r#"data_dir = "denylist"
[listen]
public = "127.0.0.1:0"
admin = "127.0.0.1:0"
[tokens]
issuer = "https://auth.example"
audience = "shop"
[log]
level = "warn"
[[keys]]
kid = "2026-09"
alg = "HS256"
secret_file = "key.secret"
"#;
    fs::write(&path, text).expect("the configuration");
    set_private(&path);
    path
}

fn set_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

/// A program that prints its address as its first line, and takes that of Redis and the file of the secret from its
/// environment.
#[must_use]
pub fn printing(command: &Command) -> Process {
    Process::start(command, |line| line.starts_with("127.0.0.1:").then_some(line))
}

/// The usual answer whose source is in the directory `source` of `benches/peers`: it verifies by the secret in `secret`, lists
/// for who has the [credentials], and asks `redis`. None where there is no Node, or its packages are not installed.
#[must_use]
pub fn usual(source: &str, secret: &Path, redis: &Process) -> Option<Process> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(source);
    if !is_there("node") || !source.join("node_modules").exists() {
        return None;
    }
    let mut command = Command::new("node");
    command
        .arg(source.join("server.js"))
        .env("NODE_ENV", "production")
        .env("SECRET_FILE", secret)
        .env("CLIENT", credentials())
        .env("REDIS_URL", format!("redis://{}", redis.address));
    Some(printing(&command))
}

/// A Redis that keeps nothing, on a port that was free.
#[must_use]
pub fn redis(dir: &Path) -> Process {
    started_redis(dir, &["--appendonly", "no"])
}

/// A Redis that answers a write once its log, in `dir`, is on the disk; none where there is no Redis.
#[must_use]
pub fn durable_redis(dir: &Path) -> Option<Process> {
    let always = [
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--auto-aof-rewrite-percentage",
        "0",
    ];
    is_there("redis-server").then(|| started_redis(dir, &always))
}

/// A Redis that keeps nothing; none where there is no Redis.
#[must_use]
pub fn memory_redis(dir: &Path) -> Option<Process> {
    is_there("redis-server").then(|| redis(dir))
}

/// Whether `program` can be run.
#[must_use]
pub fn is_there(program: &str) -> bool {
    let run = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    run.is_ok()
}

/// The bytes of the log of a [durable](durable_redis) Redis in `dir`.
#[must_use]
pub fn log_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("appendonlydir")).expect("the log of Redis");
    files
        .map(|file| file.and_then(|file| file.metadata()).expect("a file of it").len())
        .sum()
}

fn started_redis(dir: &Path, more: &[&str]) -> Process {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address");
    drop(free);
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--dir"])
        .arg(dir)
        .args(more)
        .args(["--port", &address.port().to_string()]);
    let mut child = spawn(&command);
    let mut out = child.stdout.take().expect("its output");
    let redis = Process { child, address };
    thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "Redis did not start");
        thread::sleep(Duration::from_millis(10));
    }
    redis
}

/// A connection to a Redis, on which each command waits for its answer.
#[derive(Debug)]
pub struct Asking(TcpStream);

impl Asking {
    /// Connects.
    ///
    /// # Panics
    ///
    /// When it cannot.
    #[must_use]
    pub fn to(redis: &Process) -> Self {
        let stream = TcpStream::connect(redis.address).expect("Redis");
        stream.set_nodelay(true).expect("a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        Self(stream)
    }

    /// Sends `set`, and waits until it is acknowledged.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub fn set(&mut self, set: &[u8]) {
        self.0.write_all(set).expect("sent");
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"+OK\r\n", "it is set");
    }

    /// The same connection for a task of a runtime, in which this is called.
    ///
    /// # Panics
    ///
    /// When it cannot be.
    #[must_use]
    pub fn awaited(self) -> Awaiting {
        self.0.set_nonblocking(true).expect("a socket");
        Awaiting(tokio::net::TcpStream::from_std(self.0).expect("a socket"))
    }

    /// Sends `get`, and says whether there is such a key; its value is `1`.
    ///
    /// # Panics
    ///
    /// When there is no answer, or another value.
    pub fn get(&mut self, get: &[u8]) -> bool {
        self.0.write_all(get).expect("sent");
        // Both answers begin with as many bytes as the shorter has.
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).expect("an answer");
        if &answer == b"$-1\r\n" {
            return false;
        }
        assert_eq!(&answer, b"$1\r\n1", "the value that was set");
        self.0.read_exact(&mut answer[..2]).expect("the end of it");
        true
    }
}

/// A connection to Redis that a task waits at.
#[derive(Debug)]
pub struct Awaiting(tokio::net::TcpStream);

impl Awaiting {
    /// As [`Asking::set`].
    ///
    /// # Panics
    ///
    /// When it is not acknowledged.
    pub async fn set(&mut self, set: &[u8]) {
        self.0.write_all(set).await.expect("sent");
        let mut answer = [0; 5];
        self.0.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"+OK\r\n", "it is set");
    }
}

/// One command in the protocol of Redis.
#[must_use]
pub fn command(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

/// Sets each of `keys` for ten minutes.
///
/// # Panics
///
/// When Redis does not say of each that it was set.
pub fn set_all(redis: &Process, keys: impl Iterator<Item = String>) {
    let mut stream = TcpStream::connect(redis.address).expect("Redis");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let keys: Vec<_> = keys.collect();
    for some in keys.chunks(1_000) {
        let all: Vec<_> = some
            .iter()
            .flat_map(|key| command(&["SETEX", key, "1200", "1"]))
            .collect();
        stream.write_all(&all).expect("sent");
        let mut answers = vec![0; some.len().saturating_mul(b"+OK\r\n".len())];
        stream.read_exact(&mut answers).expect("an answer to each");
        assert!(answers.chunks(5).all(|answer| answer == b"+OK\r\n"), "each is set");
    }
}
