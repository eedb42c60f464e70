//! `ostracon demo`: the main job, told against a server of its own.

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use ureq::http::{Request, Response};

use super::{
    config_in,
    init::{self, Made},
    serve::told_to_end,
};

/// For a start, an answer or an end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A line of the story; whoever no longer listens ends it.
macro_rules! say {
    ($($line:tt)*) => { writeln!(io::stdout(), $($line)*)? };
}

pub(super) fn demo() -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("ostracon-demo-").tempdir()?;
    let (path, running) = (dir.path().to_owned(), Running::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let told = runtime.block_on(async {
        let shutdown = told_to_end()?;
        // The terminal is closed, or Ctrl-\\ is pressed.
        let (mut hangup, mut quit) = (signal(SignalKind::hangup())?, signal(SignalKind::quit())?);
        let (path, server) = (path.clone(), running.clone());
        let story = tokio::task::spawn_blocking(move || story(&path, &server));
        tokio::select! {
            told = story => Ok(Some(told??)),
            () = shutdown => anyhow::Ok(None),
            _ = hangup.recv() => Ok(None),
            _ = quit.recv() => Ok(None),
        }
    });
    // Whatever happened, nothing is left behind.
    running.end();
    dir.close()?;
    match told? {
        Some(()) => {
            say!(
                "It ended with status 0. Every step went as told; {} is removed.",
                path.display()
            );
            Ok(())
        }
        // The story is in the middle of something that nobody waits for any more.
        None => std::process::exit(130),
    }
}

fn story(dir: &Path, running: &Running) -> anyhow::Result<()> {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let made = init::make(&init::Arguments::development(dir.into(), any, any), |_| Ok(()))?;
    let mut teller = Teller::new(made);

    say!(
        "A server starts on free ports, over an empty denylist in {}.",
        dir.display()
    );
    let server = Server::start(dir, running)?;
    let token = teller.log_in(&server, "the backend logs a user in")?;
    teller.verify(
        &server,
        &token,
        "the application's proxy asks whether a request with it may pass",
        200,
    )?;
    teller.log_out(&server, &token)?;
    teller.verify(
        &server,
        &token,
        "the same token, copied by somebody, is tried again",
        401,
    )?;

    say!("\nThe server is killed with SIGKILL: no time to save anything. It starts again over what it left.");
    let status = running.kill().context("the server was not there to be killed")?;
    ensure!(!status.success(), "the server ended before it was killed");
    let server = Server::start(dir, running)?;
    teller.verify(&server, &token, "the token that was logged out before the crash", 401)?;
    let fresh = teller.log_in(&server, "the same user logs in again")?;
    teller.verify(
        &server,
        &fresh,
        "the new login is another session, which nobody has ended",
        200,
    )?;

    say!("\nThe server is told to end, with SIGTERM.");
    let status = running.terminate()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// Makes the requests, and shows them.
struct Teller {
    agent: ureq::Agent,
    client: Made,
    step: u32,
}

impl Teller {
    fn new(client: Made) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build();
        Self {
            agent: config.into(),
            client,
            step: 0,
        }
    }

    fn log_in(&mut self, server: &Server, why: &str) -> anyhow::Result<String> {
        let body = r#"{"sub":"user-42","scope":"read write"}"#;
        let basic = STANDARD.encode(format!("{}:{}", self.client.client, self.client.secret.as_str()));
        let request = Request::post(format!("{}/v1/sessions", server.admin))
            .header("Authorization", format!("Basic {basic}"))
            .header("Content-Type", "application/json")
            .body(body.to_owned())?;
        let shown = format!("client {:?} with its secret   {body}", self.client.client);
        let (_, answer) = self.ask(why, request, &shown, 201)?;
        let token = member(&answer, "access_token")?;
        say!("   | access_token {}, sid {}", short(token), member(&answer, "sid")?);
        Ok(token.to_owned())
    }

    fn verify(&mut self, server: &Server, token: &str, why: &str, expected: u16) -> anyhow::Result<()> {
        let request = Request::get(format!("{}/auth/verify", server.public));
        let (response, answer) = self.ask_as_bearer(why, request, token, expected)?;
        if expected == 401 {
            let code = member(&answer, "code")?;
            ensure!(code == "token_revoked", "expected token_revoked, got {code}");
            say!("   | {code}: {}", member(&answer, "detail")?);
        } else {
            let subject = response
                .headers()
                .get("x-auth-subject")
                .context("no subject was answered")?;
            say!("   | X-Auth-Subject: {}", subject.to_str()?);
        }
        Ok(())
    }

    fn log_out(&mut self, server: &Server, token: &str) -> anyhow::Result<()> {
        let request = Request::post(format!("{}/auth/logout", server.public));
        let (_, answer) = self.ask_as_bearer("the user logs out", request, token, 200)?;
        let revoked = answer.get("revoked").and_then(Value::as_array);
        let Some([one]) = revoked.map(Vec::as_slice) else {
            bail!("one revocation was expected: {answer}");
        };
        let kind = member(one, "kind")?;
        say!(
            "   | {}; the {kind} is revoked, and that is on the disk",
            member(&answer, "message")?
        );
        Ok(())
    }

    fn ask_as_bearer(
        &mut self,
        why: &str,
        request: ureq::http::request::Builder,
        token: &str,
        expected: u16,
    ) -> anyhow::Result<(Response<()>, Value)> {
        let request = request
            .header("Authorization", format!("Bearer {token}"))
            .body(String::new())?;
        self.ask(
            why,
            request,
            &format!("Authorization: Bearer {}", short(token)),
            expected,
        )
    }

    fn ask(
        &mut self,
        why: &str,
        request: Request<String>,
        shown: &str,
        expected: u16,
    ) -> anyhow::Result<(Response<()>, Value)> {
        self.step = self.step.saturating_add(1);
        say!("\n{}. {why}", self.step);
        say!("   > {} {}   {shown}", request.method(), request.uri());
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let text = body.read_to_string()?;
        say!("   < {}", parts.status);
        ensure!(
            parts.status == expected,
            "step {}: expected {expected}, got {}: {text}",
            self.step,
            parts.status
        );
        let answer = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text)?
        };
        Ok((Response::from_parts(parts, ()), answer))
    }
}

fn member<'a>(answer: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    let text = answer.get(name).and_then(Value::as_str);
    text.with_context(|| format!("the answer has no {name:?}"))
}

fn short(token: &str) -> String {
    format!("{}... ({} bytes)", token.get(..12).unwrap_or_default(), token.len())
}

/// A server in a process of its own.
struct Server {
    public: String,
    admin: String,
    /// Kept open for as long as the server may write to it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(dir: &Path, running: &Running) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config"]).arg(config_in(dir));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OSTRACON_")) {
            command.env_remove(name);
        }
        command
            .env("OSTRACON_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let stdout = running.spawn(&mut command)?;
        let mut stdout = BufReader::new(stdout.context("the server has no output")?);
        let mut address = |name: &str| loop {
            let mut line = String::new();
            if stdout.read_line(&mut line)? == 0 {
                bail!("the server did not start; it says why above");
            }
            if let Some(address) = line.strip_prefix(name) {
                return Ok(address.trim().to_owned());
            }
        };
        let (public, admin) = (address("public")?, address("admin")?);
        Ok(Self {
            public,
            admin,
            _stdout: stdout,
        })
    }
}

/// The server's process, to be ended by whoever has to.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<Process>>);

#[derive(Default)]
struct Process {
    child: Option<Child>,
    /// Nothing is started any more.
    over: bool,
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, Process> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, command: &mut Command) -> anyhow::Result<Option<ChildStdout>> {
        let mut process = self.lock();
        ensure!(!process.over, "the story is over");
        let mut child = command.spawn()?;
        let stdout = child.stdout.take();
        process.child = Some(child);
        Ok(stdout)
    }

    /// Kills it; how it ended, if it was there.
    fn kill(&self) -> Option<ExitStatus> {
        let mut child = self.lock().child.take()?;
        let _ = child.kill();
        child.wait().ok()
    }

    /// The same, for good.
    fn end(&self) {
        self.lock().over = true;
        self.kill();
    }

    fn terminate(&self) -> anyhow::Result<ExitStatus> {
        for turn in 0..PATIENCE.as_millis() / 20 {
            if let Some(child) = &mut self.lock().child {
                if turn == 0 {
                    kill_process(Pid::from_child(child), Signal::TERM)?;
                }
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not end")
    }
}
