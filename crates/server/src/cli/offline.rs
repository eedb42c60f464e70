//! Commands that work on a store that no server has open.

use std::{
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{anyhow, bail};
use ostracon_server::{Address, App, Clock, Config, OpenError, StoreConfig};
use ostracon_store::{Denylist, StoreError};
use serde::Serialize;

use super::Usage;

/// Where the configuration is.
#[derive(clap::Args)]
pub(super) struct Offline {
    /// The configuration, which says where the store is; no server may have it open
    #[arg(long, value_name = "FILE", default_value = "ostracon-data/ostracon.toml")]
    config: PathBuf,
}

impl Offline {
    /// All that the configuration says.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        log_to_people();
        Ok(Config::load(&self.config)?)
    }

    /// What it says of the store, whatever else is wrong with it.
    pub(super) fn load_store(&self) -> anyhow::Result<StoreConfig> {
        log_to_people();
        Ok(StoreConfig::load(&self.config)?)
    }
}

/// Nobody has asked for a log; what goes wrong is said all the same.
fn log_to_people() {
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .try_init();
}

/// Opens all that `config` describes; while a server has it open, says what can be done `instead`.
pub(super) fn open(config: Config, instead: impl FnOnce(&Path, &Running) -> String) -> anyhow::Result<Arc<App>> {
    is_ours(&config.data_dir)?;
    let dir = config.data_dir.clone();
    let server = Running {
        admin: Some(config.admin.clone()),
        tls: config.tls.admin.is_some(),
    };
    App::open(config, Clock::system()).map_err(|error| match error {
        OpenError::Store(StoreError::Locked(_)) => anyhow!(instead(&dir, &server)),
        other => other.into(),
    })
}

/// Opens a store that is there, and nothing beside it; while a server has it open, says what can be done `instead`.
pub(super) fn open_store(
    config: &StoreConfig,
    instead: impl FnOnce(&Path, &Running) -> String,
) -> anyhow::Result<Denylist> {
    let dir = &config.data_dir;
    // Opening one that is not there would make it, and what was asked of it would be told of nothing.
    if !dir.is_dir() {
        bail!("{} is not there; no server has run on it yet", dir.display());
    }
    is_ours(dir)?;
    Denylist::open(dir, &config.denylist).map_err(|error| match error {
        StoreError::Locked(_) => {
            let (admin, tls) = (config.admin.clone(), config.admin_tls);
            anyhow!(instead(dir, &Running { admin, tls }))
        }
        other => other.into(),
    })
}

/// Opening a store writes files, and those of another user could not be read by the server.
pub(super) fn is_ours(dir: &Path) -> anyhow::Result<()> {
    let Ok(owner) = dir.metadata().map(|metadata| metadata.uid()) else {
        // What is not there is said by who takes it.
        return Ok(());
    };
    if owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Usage(format!(
        "{} belongs to user {owner}; do this as that user, or what is written there could not be read by the server",
        dir.display()
    ))
    .into())
}

/// The server that has a store open.
pub(super) struct Running {
    admin: Option<Address>,
    tls: bool,
}

impl Running {
    /// The arguments of curl for a route of its admin listener.
    pub(super) fn curl(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.admin {
            Some(Address::Tcp(address)) => format!("{scheme}://{address}{path}"),
            Some(Address::Unix(socket)) => format!("--unix-socket {} http://localhost{path}", socket.display()),
            None => format!("{scheme}://ADDRESS{path}"),
        }
    }
}

/// Prints what was done, for programs or for people.
pub(super) fn tell(json: bool, done: &impl Serialize, words: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(done)? } else { words() };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
