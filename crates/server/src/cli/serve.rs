//! `ostracon serve`.

use std::{
    future::Future,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Context;
use ostracon_server::{Address, App, Clock, Config, Listener, Serving};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    DEFAULT_DIR, Usage, config_in, cores,
    init::{self, Made},
    logging, reload,
};

/// What to serve.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration; `ostracon init` makes one. `OSTRACON_SECTION__MEMBER` in the environment goes before it
    #[arg(long, value_name = "FILE", conflicts_with = "dev")]
    config: Option<PathBuf>,
    /// Keep everything in ./ostracon-data, and make it there at the first start
    #[arg(long)]
    dev: bool,
}

pub(super) fn serve(arguments: &Arguments, cores: cores::Before) -> anyhow::Result<()> {
    let (path, made) = configuration(arguments)?;
    let config = Config::load(&path)?;
    if config.core_dumps {
        cores.restore()?;
    }
    let switch_log_level = logging::start(config.log_format, config.log_level);
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let addresses = (config.public.clone(), config.admin.clone());
    let secure = (config.tls.public.is_some(), config.tls.admin.is_some());
    let files = config.files.clone();
    let sweep_every = config.sweep_every;
    let client = config.clients.first().map(|client| client.id().to_owned());
    let app = App::open(config, Clock::system())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // Signals are listened for before anyone is told that the server is there.
        let shutdown = told_to_end()?;
        let public = listen("listen.public", &addresses.0).await?;
        let admin = listen("listen.admin", &addresses.1).await?;
        let at = (public.url(secure.0)?, admin.url(secure.1)?);
        let client = client.as_deref().filter(|_| arguments.dev);
        // Who is not there to read it does not keep the server from running.
        let _ = announce((&at.0, &at.1), &path, made.as_ref(), client);
        let serving = Serving::from(app);
        serving.switch_log_level(switch_log_level);
        let reloading = tokio::spawn(reload::when_told_or_changed(serving.clone(), path, files)?);
        let ended = ostracon_server::run(serving, public, admin, sweep_every, shutdown).await;
        reloading.abort();
        Ok(ended?)
    })
}

fn configuration(arguments: &Arguments) -> anyhow::Result<(PathBuf, Option<Made>)> {
    match (&arguments.config, arguments.dev) {
        (Some(path), _) => Ok((path.clone(), None)),
        (None, false) => Err(Usage(
            "serve needs --config FILE; `ostracon init` makes one, and `ostracon serve --dev` does without".into(),
        )
        .into()),
        (None, true) => {
            let dir = PathBuf::from(DEFAULT_DIR);
            let path = config_in(&dir);
            if path.exists() {
                return Ok((path, None));
            }
            let local = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
            let arguments = init::Arguments::development(dir.clone(), local(8080), local(8081));
            let made = init::make(&arguments, |made| made.show(&dir))?;
            Ok((path, Some(made)))
        }
    }
}

async fn listen(member: &str, address: &Address) -> anyhow::Result<Listener> {
    let told = || format!("cannot listen on {address}; {member} names another address");
    Listener::bind(address).await.with_context(told)
}

/// Ready once the process is asked to end: by SIGTERM, or by SIGINT (Ctrl-C). Asked once more, it ends at once.
pub(super) fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut told = async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(async move {
        told().await;
        // Whoever asks twice does not want to wait. What was acknowledged is on the disk.
        tokio::spawn(async move {
            told().await;
            std::process::exit(1);
        });
    })
}

fn announce(
    (public, admin): (&str, &str),
    config: &std::path::Path,
    made: Option<&Made>,
    client: Option<&str>,
) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "ostracon {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "config  {}", config.display())?;
    writeln!(out, "public  {public}")?;
    writeln!(out, "admin   {admin}")?;
    let Some(client) = client else { return out.flush() };
    let secret = made.map(|made| made.secret.as_str());
    if secret.is_none() {
        writeln!(
            out,
            "client  {client}   (its secret was shown when it was made; `ostracon secret` makes another)"
        )?;
    }
    writeln!(out, "\n{}", curl_lines(public, admin, client, secret))?;
    out.flush()
}

/// The main job in four lines to copy.
fn curl_lines(public: &str, admin: &str, client: &str, secret: Option<&str>) -> String {
    let secret = secret.unwrap_or("$SECRET");
    let log_in = format!(
        r#"TOKEN=$(curl -s -u "{client}:{secret}" -H 'Content-Type: application/json' -d '{{"sub":"user-42"}}' {admin}/v1/sessions | grep -o '"access_token":"[^"]*' | cut -d'"' -f4)"#
    );
    let verify = format!(r#"curl -i -H "Authorization: Bearer $TOKEN" {public}/auth/verify"#);
    let log_out = format!(r#"curl -i -X POST -H "Authorization: Bearer $TOKEN" {public}/auth/logout"#);
    format!("# log in, verify, log out, verify again\n{log_in}\n{verify}\n{log_out}\n{verify}")
}
