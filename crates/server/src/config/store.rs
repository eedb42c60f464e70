//! Of a configuration, what the store alone depends on.

use std::path::{Path, PathBuf};

use ostracon_store::Options;
use serde::Deserialize;
use toml::Value;

use super::{ConfigError, raw, sections, source::Source};
use crate::listen::Address;

/// Where a store is and how it is opened. Of the file nothing else is looked at, and no other file is read: a store can be
/// checked, copied and read while a certificate, a key, the entry of an issuer or the mode of the file is what keeps the
/// server from starting.
#[derive(Debug)]
pub struct StoreConfig {
    /// Where the denylist is.
    pub data_dir: PathBuf,
    /// Where backups are put.
    pub backup_dir: Option<PathBuf>,
    /// How the denylist is opened.
    pub denylist: Options,
    /// Where the server that may have it open is asked, and none if that is not an address.
    pub admin: Option<Address>,
    /// Whether it speaks TLS there.
    pub admin_tls: bool,
}

#[derive(Deserialize)]
struct Raw {
    data_dir: PathBuf,
    backup_dir: Option<PathBuf>,
    #[serde(default)]
    denylist: raw::Denylist,
}

impl StoreConfig {
    /// Reads the file at `path` and the process's environment. Paths in it are relative to the file's directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first thing that is wrong with what it reads.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let source = Source::load_exposed(path, super::variables())?;
        let admin = source
            .member("listen", "admin")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let admin_tls = source.member("tls", "admin").is_some();
        let raw: Raw = source.typed(path)?;
        let base = path.parent().unwrap_or(Path::new(""));
        let admin = admin.unwrap_or_else(|| raw::Listen::default().admin);
        Ok(Self {
            data_dir: base.join(raw.data_dir),
            backup_dir: raw.backup_dir.map(|dir| base.join(dir)),
            denylist: sections::denylist(&raw.denylist)?,
            admin: admin.parse::<Address>().ok().map(|address| address.within(base)),
            admin_tls,
        })
    }
}
