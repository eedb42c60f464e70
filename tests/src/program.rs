//! The program, started, killed and looked at.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

use crate::http::{Answer, Ask};

/// For a start, an end or a change that is due.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program as it is in the tree, built if it is not.
pub fn binary() -> &'static Path {
    built("ostracon")
}

/// One of the programs of the tree. They are built together, once.
pub fn built(name: &str) -> &'static Path {
    static BUILT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let all = BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(cargo)
            .args([
                "build",
                "--quiet",
                "--workspace",
                "--bin=ostracon",
                "--bin=embedded-axum",
                "--message-format=json",
            ])
            .args((!cfg!(debug_assertions)).then_some("--release"))
            .current_dir(root)
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo runs");
        assert!(built.status.success(), "the program does not build");
        let messages = String::from_utf8(built.stdout).unwrap();
        let paths = messages.lines().filter_map(|line| {
            let message: Value = serde_json::from_str(line).ok()?;
            Some(PathBuf::from(message.get("executable")?.as_str()?))
        });
        paths.collect()
    });
    let mut named = all.iter().filter(|path| path.file_name().is_some_and(|n| n == name));
    named.next().expect("cargo names the executable")
}

/// Seconds since the epoch.
pub fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Waits until `done`; never for a fixed time.
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A directory with a configuration that `ostracon init` made.
#[derive(Debug)]
pub struct Home {
    dir: TempDir,
    secret: String,
}

impl Home {
    /// A new one, listening on ports that are free.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(binary())
            .args(["init", "--public", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--issuer", "https://auth.example", "--client", "backend", "--dir"])
            .arg(dir.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let told = String::from_utf8(made.stdout).unwrap();
        let secret = told
            .lines()
            .find_map(|line| line.strip_prefix("secret  ")?.split(' ').next());
        Self {
            secret: secret.expect("the secret is shown").to_owned(),
            dir,
        }
    }

    /// A new one, whose client is an administrator, too.
    pub fn administered() -> Self {
        let home = Self::new();
        home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
        home
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The secret of the client `backend`.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.path().join("ostracon.toml")
    }

    /// Changes the configuration.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), change(text)).unwrap();
    }

    /// Key and name of the key that `init` made.
    pub fn key(&self) -> (String, Vec<u8>) {
        let file = fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().path());
        let pem = file
            .filter(|p| p.extension().is_some_and(|e| e == "pem"))
            .max()
            .unwrap();
        (
            pem.file_stem().unwrap().to_str().unwrap().to_owned(),
            fs::read(&pem).unwrap(),
        )
    }

    /// `serve --config` of it, not started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(self.config());
        command
    }

    /// A server on it.
    pub fn start(&self) -> Server {
        self.start_with(&[])
    }

    /// A server on it with `variables` in its environment.
    pub fn start_with(&self, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command();
        command.envs(variables.iter().copied());
        Server::start(command, &self.secret)
    }

    /// A server on it whose public side is the socket at `path`; asked through the admin side only.
    pub fn start_on_socket(&self, path: &Path) -> Server {
        self.start_with(&[("OSTRACON_LISTEN__PUBLIC", &format!("unix:{}", path.display()))])
    }

    /// `program` with the arguments that serve it, to be started under something else.
    pub fn start_under(&self, wrapper: &mut Command) -> Server {
        wrapper.arg(binary()).args(["serve", "--config"]).arg(self.config());
        let mut command = Command::new(wrapper.get_program());
        command.args(wrapper.get_args());
        Server::start(command, &self.secret)
    }

    /// What a start that fails says, and its exit status.
    pub fn refused(&self) -> (String, i32) {
        let mut command = self.command();
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            // One that serves instead does not end.
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
            }
            thread::sleep(Duration::from_millis(10));
        }
        let ended = child.wait_with_output().unwrap();
        let status = ended.status.code().expect("it ends by itself");
        (String::from_utf8(ended.stderr).unwrap(), status)
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

/// A server that answers; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where browsers and proxies ask.
    pub public: Ask,
    /// Where backends ask, as the client with all roles that `init` gives.
    pub admin: Ask,
    /// The public side, as the same client: where it speaks OAuth.
    pub oauth: Ask,
    log: NamedTempFile,
    stdout: BufReader<ChildStdout>,
    announced: String,
}

impl Server {
    /// Starts `command`, whose client has `secret`, and waits until it is ready.
    pub fn start(mut command: Command, secret: &str) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(OpenOptions::new().append(true).open(log.path()).unwrap())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut announced = String::new();
        let mut address = |name: &str| {
            let mut line = String::new();
            while stdout.read_line(&mut line).unwrap() > 0 {
                announced += &line;
                if let Some(address) = line.strip_prefix(name) {
                    return address.trim().to_owned();
                }
                line.clear();
            }
            panic!("it did not start: {}", fs::read_to_string(log.path()).unwrap());
        };
        let public = Ask::new(&address("public"));
        let admin = Ask::new(&address("admin")).as_client("backend", secret);
        let server = Self {
            child,
            oauth: public.as_client("backend", secret),
            public,
            admin,
            log,
            stdout,
            announced,
        };
        wait_for("the server to be ready", || server.admin.get("/readyz").status == 200);
        server
    }

    /// Logs `sub` in.
    pub fn log_in(&self, sub: &str) -> Login {
        self.log_in_with(&json!({"sub": sub}))
    }

    /// Logs in what `body` says.
    pub fn log_in_with(&self, body: &Value) -> Login {
        let answer = self.admin.post_json("/v1/sessions", body);
        assert_eq!(answer.status, 201, "{answer:?}");
        Login::read(&answer)
    }

    /// Exchanges a refresh token.
    pub fn refresh(&self, token: &str) -> Answer {
        self.public.post_json("/auth/refresh", &json!({"refresh_token": token}))
    }

    /// What `/auth/verify` says to `token`.
    pub fn verify(&self, token: &str) -> Answer {
        self.public.bearer(token).get("/auth/verify")
    }

    /// Whether `token` passes; anything but a pass and a refusal fails the test.
    pub fn passes(&self, token: &str) -> bool {
        let answer = self.verify(token);
        match answer.status {
            200 => true,
            401 => false,
            _ => panic!("{answer:?}"),
        }
    }

    /// Sends it SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends it SIGHUP, upon which it reads its configuration again.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    /// Has it crash.
    pub fn abort(&self) {
        self.signal("ABRT");
    }

    /// Its number among the processes.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it where it is, and returns once it has stopped.
    pub fn suspend(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        // Behind the name, which stands in brackets: the state (proc_pid_stat(5)).
        let is_stopped = |stat: &str| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'));
        wait_for("it to be suspended", || is_stopped(&fs::read_to_string(&stat).unwrap()));
    }

    /// Has it go on.
    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let mut status = None;
        wait_for("the server to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        (status.unwrap(), self.log())
    }

    /// Ends it properly: all that it has printed, and all that it has logged.
    pub fn printed(mut self) -> (String, String) {
        self.terminate();
        let mut printed = std::mem::take(&mut self.announced);
        self.stdout.read_to_string(&mut printed).unwrap();
        let (status, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
        (printed, log)
    }

    /// Kills it, without a chance to save anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The most memory that it has had, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.kib("VmHWM:")
    }

    /// The memory that it has, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.kib("VmRSS:")
    }

    fn kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// How many it has of what `/proc` lists of it: of `fd`, or of `task`.
    pub fn count(&self, what: &str) -> usize {
        fs::read_dir(format!("/proc/{}/{what}", self.child.id()))
            .unwrap()
            .count()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Also of one that a test has no other word for: a task that panics takes nobody with it.
        if !thread::panicking() {
            let log = self.log();
            assert!(!log.contains("panicked at"), "{log}");
        }
    }
}

/// What a login is answered with.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "as in the answer; the cookies as name=value")]
pub struct Login {
    pub access: String,
    pub refresh: String,
    pub sid: String,
    pub jti: String,
    pub access_cookie: String,
    pub refresh_cookie: String,
}

impl Login {
    /// Reads the answer to a login or a refresh.
    pub fn read(answer: &Answer) -> Self {
        let json = answer.json();
        let text = |name: &str| {
            json.get(name)
                .unwrap_or_else(|| panic!("{answer:?}"))
                .as_str()
                .unwrap()
                .to_owned()
        };
        let pair = |n: usize| {
            let cookie = json
                .get("cookies")
                .and_then(|all| all.get(n))
                .and_then(Value::as_str)
                .unwrap_or("");
            cookie.split(';').next().unwrap().to_owned()
        };
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            sid: text("sid"),
            jti: text("jti"),
            access_cookie: pair(0),
            refresh_cookie: pair(1),
        }
    }
}
