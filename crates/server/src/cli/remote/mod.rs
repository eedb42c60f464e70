//! Commands that ask a running server, on its admin listener.

mod fault;
mod revocations;
mod sessions;
mod shown;
mod socket;
mod stats;
mod token;

use std::{
    env,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use ureq::{
    Agent, SendBody,
    config::ConfigBuilder,
    http::{Method, Request, Uri},
    tls::{Certificate, RootCerts, TlsConfig},
    typestate::AgentScope,
    unversioned::resolver::DefaultResolver,
};
use zeroize::Zeroizing;

use self::socket::Socket;
pub(super) use self::{
    fault::Fault,
    revocations::{LiftArguments, ListArguments, RevokeArguments, lift, list, revoke},
    sessions::{SessionsArguments, sessions},
    stats::{StatsArguments, stats},
    token::{ExplainArguments, explain},
};
use super::Usage;

/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// The most that is read of an answer, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// What all of these commands are told, below their own words.
pub(super) const HELP: &str = "The client is named by OSTRACON_CLIENT, and its secret by OSTRACON_CLIENT_SECRET or --client-secret-file; \
neither is ever an argument, which others on the machine could read.

Exit status: 0 when it was done, 1 when it failed, 2 when the command line cannot be used, 3 when there is no such thing, 4 \
when the server refuses the client, 5 when no server answers there, 6 when the server's store cannot answer.";

/// The server, and as whom it is asked.
#[derive(clap::Args)]
pub(super) struct Remote {
    #[arg(
        long,
        value_name = "URL",
        help = "The admin address of the server; OSTRACON_SERVER names it, too [default: http://127.0.0.1:8081]"
    )]
    server: Option<String>,
    /// The certificate authority of a server behind TLS, in PEM; otherwise those of this machine
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A file with the client's secret, that nobody but you can read
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// What the server answers, as JSON; lists as one object a line
    #[arg(long)]
    json: bool,
}

/// A server that is asked.
struct Asked {
    agent: Agent,
    base: String,
    /// As whoever gave the command named it.
    named: String,
    authorization: Zeroizing<String>,
}

impl Remote {
    fn connect(&self) -> anyhow::Result<Asked> {
        let base = match &self.server {
            Some(server) => server.clone(),
            None => env::var("OSTRACON_SERVER").unwrap_or_else(|_| "http://127.0.0.1:8081".into()),
        };
        if let Some(path) = base.strip_prefix("unix:") {
            let config = config().build();
            return Ok(Asked {
                agent: Agent::with_parts(config, Socket(path.into()), DefaultResolver::default()),
                authorization: self.authorization()?,
                // What a request names; where it goes, the socket says.
                base: "http://127.0.0.1".into(),
                named: base,
            });
        }
        let base = base.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base.parse().ok();
        let scheme = uri.as_ref().and_then(Uri::scheme_str);
        if !matches!(scheme, Some("http" | "https")) || base.contains(['?', '#', '@']) {
            let told = "a server is http://HOST:PORT, https://HOST:PORT or unix:PATH";
            return Err(Usage(told.into()).into());
        }
        Ok(Asked {
            agent: self.agent(scheme == Some("https"))?,
            authorization: self.authorization()?,
            named: base.clone(),
            base,
        })
    }

    fn agent(&self, tls: bool) -> anyhow::Result<Agent> {
        if !tls {
            return Ok(config().build().into());
        }
        let roots = match &self.ca_file {
            None => rustls_native_certs::load_native_certs()
                .certs
                .iter()
                .map(|der| Certificate::from_der(der).to_owned())
                .collect(),
            Some(path) => {
                let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
                vec![
                    Certificate::from_pem(&pem)
                        .with_context(|| format!("{}: no certificate in PEM", path.display()))?,
                ]
            }
        };
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .build();
        Ok(config().tls_config(tls).build().into())
    }

    /// As HTTP Basic has it.
    fn authorization(&self) -> anyhow::Result<Zeroizing<String>> {
        let needed = |what: &str| {
            Usage(format!(
                "{what}; a client is made in the configuration, see `ostracon secret`"
            ))
        };
        let id = env::var("OSTRACON_CLIENT").map_err(|_| needed("OSTRACON_CLIENT has to name the client"))?;
        let secret = if let Some(path) = &self.client_secret_file {
            ostracon_server::read_private(path).map_err(|why| Usage(format!("{}: {why}", path.display())))?
        } else {
            let told = "OSTRACON_CLIENT_SECRET or --client-secret-file has to give the client's secret";
            Zeroizing::new(
                env::var("OSTRACON_CLIENT_SECRET")
                    .map_err(|_| needed(told))?
                    .into_bytes(),
            )
        };
        let mut basic = Zeroizing::new(id.into_bytes());
        basic.push(b':');
        basic.extend_from_slice(secret.trim_ascii());
        Ok(Zeroizing::new(format!("Basic {}", STANDARD.encode(&*basic))))
    }
}

impl Asked {
    fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(&Method::GET, path, "", SendBody::none())
    }

    fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(&Method::DELETE, path, "", SendBody::none())
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = Zeroizing::new(body.to_string());
        let mut body = body.as_bytes();
        self.send(
            &Method::POST,
            path,
            "application/json",
            SendBody::from_reader(&mut body),
        )
    }

    /// What is answered.
    ///
    /// # Errors
    ///
    /// [`Fault`] by what can be done about it; the words are the server's own.
    fn send(&self, method: &Method, path: &str, media: &str, body: SendBody<'_>) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("Authorization", self.authorization.as_str());
        if !media.is_empty() {
            request = request.header("Content-Type", media);
        }
        let request = request.body(body).context("a request cannot be made of that")?;
        let (parts, mut body) = self
            .agent
            .run(request)
            .map_err(|error| Fault::no_server(&self.named, &error))?
            .into_parts();
        let media = parts.headers.get("content-type").and_then(|value| value.to_str().ok());
        let media = media.unwrap_or_default();
        let status = parts.status.as_u16();
        if !media.ends_with("json") {
            return Err(Fault::another(&self.named, status).into());
        }
        let text = body.with_config().limit(MOST).read_to_string();
        let text = text.map_err(|error| Fault::no_server(&self.named, &error))?;
        let answer: Value = serde_json::from_str(&text).map_err(|_| Fault::another(&self.named, status))?;
        if parts.status.is_success() {
            return Ok(answer);
        }
        Err(Fault::answered(&self.named, status, &answer))
    }
}

fn config() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(CONNECTING))
        .user_agent(concat!("ostracon/", env!("CARGO_PKG_VERSION")))
        .proxy(None)
}

/// A part of a path or a query, whatever is in it.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A file, or what comes in where it is called `-`.
fn opened(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    Ok(Box::new(file))
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
