//! Commands that work on a store that no server has open.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use ostracon_server::{Address, App, Clock, Config, OpenError};
use ostracon_store::StoreError;
use serde::Serialize;

/// Where the configuration is.
#[derive(clap::Args)]
pub(super) struct Offline {
    /// The configuration, which says where the store is; no server may have it open
    #[arg(long, value_name = "FILE", default_value = "ostracon-data/ostracon.toml")]
    config: PathBuf,
}

impl Offline {
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        // Nobody has asked for a log; what goes wrong is said all the same.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_writer(io::stderr)
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init();
        Ok(Config::load(&self.config)?)
    }
}

/// Opens the store of `config`; while a server has it open, says what can be done `instead`.
pub(super) fn open(config: Config, instead: impl FnOnce(&Path, &Address) -> String) -> anyhow::Result<Arc<App>> {
    let (dir, admin) = (config.data_dir.clone(), config.admin.clone());
    App::open(config, Clock::system()).map_err(|error| match error {
        OpenError::Store(StoreError::Locked(_)) => anyhow!(instead(&dir, &admin)),
        other => other.into(),
    })
}

/// The arguments of curl for a route of the admin listener at `address`.
pub(super) fn curl(address: &Address, path: &str) -> String {
    match address {
        Address::Tcp(address) => format!("http://{address}{path}"),
        Address::Unix(socket) => format!("--unix-socket {} http://localhost{path}", socket.display()),
    }
}

/// Prints what was done, for programs or for people.
pub(super) fn tell(json: bool, done: &impl Serialize, words: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string(done)? } else { words() };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
