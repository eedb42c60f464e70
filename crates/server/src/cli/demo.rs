//! `ostracon demo`: the main job, told against a server of its own.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use ureq::http::{Request, Response};

use super::{
    config_in,
    init::{self, Made},
};

/// For a start, an answer or an end.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn demo() -> anyhow::Result<()> {
    let dir = tempfile::Builder::new().prefix("ostracon-demo-").tempdir()?;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let made = init::make(&init::Arguments::development(dir.path().into(), any, any))?;
    let mut teller = Teller::new(made);

    println!(
        "A server starts on free ports, over an empty denylist in {}.",
        dir.path().display()
    );
    let server = Server::start(dir.path())?;
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

    println!("\nThe server is killed with SIGKILL: no time to save anything. It starts again over what it left.");
    let status = server.kill()?;
    ensure!(!status.success(), "the server ended before it was killed");
    let server = Server::start(dir.path())?;
    teller.verify(&server, &token, "the token that was logged out before the crash", 401)?;
    let fresh = teller.log_in(&server, "the same user logs in again")?;
    teller.verify(
        &server,
        &fresh,
        "the new login is another session, which nobody has ended",
        200,
    )?;

    println!("\nThe server is told to end, with SIGTERM.");
    let status = server.terminate()?;
    ensure!(status.success(), "it ended with {status}");
    println!(
        "It ended with status 0. Every step went as told; {} is removed.",
        dir.path().display()
    );
    dir.close()?;
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
        let basic = STANDARD.encode(format!("{}:{}", self.client.client, self.client.secret));
        let request = Request::post(format!("{}/v1/sessions", server.admin))
            .header("Authorization", format!("Basic {basic}"))
            .header("Content-Type", "application/json")
            .body(body.to_owned())?;
        let shown = format!("client {:?} with its secret   {body}", self.client.client);
        let (_, answer) = self.ask(why, request, &shown, 201)?;
        let token = member(&answer, "access_token")?;
        println!("   | access_token {}, sid {}", short(token), member(&answer, "sid")?);
        Ok(token.to_owned())
    }

    fn verify(&mut self, server: &Server, token: &str, why: &str, expected: u16) -> anyhow::Result<()> {
        let request = Request::get(format!("{}/auth/verify", server.public));
        let (response, answer) = self.ask_as_bearer(why, request, token, expected)?;
        if expected == 401 {
            let code = member(&answer, "code")?;
            ensure!(code == "token_revoked", "expected token_revoked, got {code}");
            println!("   | {code}: {}", member(&answer, "detail")?);
        } else {
            let subject = response
                .headers()
                .get("x-auth-subject")
                .context("no subject was answered")?;
            println!("   | X-Auth-Subject: {}", subject.to_str()?);
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
        println!(
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
        println!("\n{}. {why}", self.step);
        println!("   > {} {}   {shown}", request.method(), request.uri());
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let text = body.read_to_string()?;
        println!("   < {}", parts.status);
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

/// A server in a process of its own; killed if it is still there at the end.
struct Server {
    child: Child,
    public: String,
    admin: String,
    /// Kept open for as long as the server may write to it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config"]).arg(config_in(dir));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OSTRACON_")) {
            command.env_remove(name);
        }
        let mut child = command
            .env("OSTRACON_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().context("the server has no output")?);
        let mut address = |name: &str| loop {
            let mut line = String::new();
            if stdout.read_line(&mut line)? == 0 {
                bail!("the server did not start; it says why above");
            }
            if let Some(address) = line.strip_prefix(name) {
                return Ok(address.trim().to_owned());
            }
        };
        let addresses = address("public").and_then(|public| Ok((public, address("admin")?)));
        match addresses {
            Ok((public, admin)) => Ok(Self {
                child,
                public,
                admin,
                _stdout: stdout,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn kill(mut self) -> anyhow::Result<ExitStatus> {
        self.child.kill()?;
        Ok(self.child.wait()?)
    }

    fn terminate(mut self) -> anyhow::Result<ExitStatus> {
        // The standard library sends SIGKILL only.
        let sent = Command::new("kill").arg(self.child.id().to_string()).status()?;
        ensure!(sent.success(), "the server could not be told to end");
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not end")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
