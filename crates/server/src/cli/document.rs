//! A configuration that is changed where it stands: comments and order stay, and it is exchanged whole or not at all.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use ostracon_core::UnixTime;
use ostracon_server::{Config, ConfigError};
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use super::{
    Usage,
    keys::{Material, date, give_to, sync_dir},
};

/// A configuration file that nobody else of us changes as long as this lives.
pub(super) struct Document {
    /// As it was named; paths in it are relative to this one's directory.
    named: PathBuf,
    /// Where the file is, links followed: they stay links.
    real: PathBuf,
    metadata: fs::Metadata,
    before: String,
    edited: DocumentMut,
    _lock: File,
}

impl Document {
    /// The file at `path`, of which the list `section` is to be changed.
    pub(super) fn open(path: &Path, section: &str) -> anyhow::Result<Self> {
        let variables = format!("OSTRACON_{}__", section.to_ascii_uppercase());
        let unreadable = |cause| ConfigError::File {
            path: path.into(),
            cause,
        };
        if let Some(name) = std::env::vars_os().find_map(|(name, _)| {
            let name = name.into_string().ok()?;
            name.starts_with(&variables).then_some(name)
        }) {
            let told = format!("{name} goes before what the file says of its {section}; change them where it is set");
            return Err(Usage(told).into());
        }
        let real = fs::canonicalize(path).map_err(unreadable)?;
        let (lock, metadata) = lock(&real).with_context(|| real.display().to_string())?;
        let private = ostracon_server::read_private(&real);
        let bytes = private.map_err(|why| Usage(format!("{}: {why}", path.display())))?;
        let before = String::from_utf8(bytes.to_vec()).map_err(|why| unreadable(io::Error::other(why)))?;
        let edited = before.parse().map_err(|e: toml_edit::TomlError| ConfigError::Syntax {
            path: path.into(),
            detail: e.to_string(),
        })?;
        Ok(Self {
            named: path.into(),
            real,
            metadata,
            before,
            edited,
            _lock: lock,
        })
    }

    /// The tables of a list, `[[section]]`.
    pub(super) fn tables(&mut self, section: &str) -> anyhow::Result<&mut ArrayOfTables> {
        let tables = self
            .edited
            .entry(section)
            .or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let told = || {
            Usage(format!(
                "{section} is written as a list; write each as a table of its own, [[{section}]]"
            ))
        };
        Ok(tables.as_array_of_tables_mut().ok_or_else(told)?)
    }

    fn key(&mut self, kid: &str) -> anyhow::Result<&mut Table> {
        let mut keys = self.tables("keys")?.iter_mut();
        let found = keys.find(|key| key.get("kid").and_then(Item::as_str) == Some(kid));
        Ok(found.ok_or_else(|| Usage(format!("no key is called {kid:?}; `ostracon keys list` shows them")))?)
    }

    /// Adds a key as the last one.
    pub(super) fn add(&mut self, made: &Material, file: &Path, signs_from: Option<UnixTime>) -> anyhow::Result<()> {
        let mut key = Table::new();
        key.decor_mut().set_prefix("\n");
        key.insert("kid", value(made.kid().as_str()));
        key.insert("alg", value(made.key().alg().as_str()));
        let member = if made.is_secret() {
            "secret_file"
        } else {
            "private_key_file"
        };
        let file = file.to_str().context("the path of the key's file is no text")?;
        key.insert(member, value(file));
        if let Some(at) = signs_from {
            key.insert("signs_from", value(date(at)));
        }
        self.tables("keys")?.push(key);
        Ok(())
    }

    /// Gives a key a date.
    pub(super) fn set(&mut self, kid: &str, member: &str, at: UnixTime) -> anyhow::Result<()> {
        self.key(kid)?.insert(member, value(date(at)));
        Ok(())
    }

    /// Takes a date from a key.
    pub(super) fn unset(&mut self, kid: &str, member: &str) -> anyhow::Result<()> {
        self.key(kid)?.remove(member);
        Ok(())
    }

    /// The directory that paths in it are relative to.
    pub(super) fn base(&self) -> &Path {
        self.named.parent().unwrap_or(Path::new(""))
    }

    /// To whom it belongs.
    pub(super) fn metadata(&self) -> &fs::Metadata {
        &self.metadata
    }

    /// Puts it in the place of what was there, if a server can use it, from `now` on for good. Durable on return; on an
    /// error all is as it was.
    pub(super) fn save(self, now: UnixTime) -> anyhow::Result<()> {
        let after = self.edited.to_string();
        let config = Config::check_text(&after, &self.named);
        let config = config.context("the change would make a configuration that cannot be used")?;
        if let Some(at) = config.unsigned_from(now) {
            let told = format!(
                "from {} on no key would sign; `ostracon keys generate` makes one",
                date(at)
            );
            return Err(Usage(told).into());
        }
        let dir = self.real.parent().context("it has no directory")?;
        let told = || self.real.display().to_string();
        let mut next = tempfile::Builder::new()
            .prefix(".ostracon-")
            .tempfile_in(dir)
            .with_context(|| format!("{}: it cannot be exchanged there", self.real.display()))?;
        next.write_all(after.as_bytes()).with_context(told)?;
        give_to(next.as_file(), Some(&self.metadata)).with_context(told)?;
        next.as_file()
            .set_permissions(self.metadata.permissions())
            .with_context(told)?;
        next.as_file().sync_all().with_context(told)?;
        if fs::read_to_string(&self.real).with_context(told)? != self.before {
            bail!(
                "{}: somebody else has changed it meanwhile; it stays as it is, try again",
                self.real.display()
            );
        }
        next.persist(&self.real).with_context(told)?;
        sync_dir(&self.real).with_context(told)
    }
}

/// Locks the file that is at `path`, and not one that was exchanged for it while we waited.
fn lock(path: &Path) -> anyhow::Result<(File, fs::Metadata)> {
    let file = File::open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("another command is changing it; try again"),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let (locked, there) = (file.metadata()?, fs::metadata(path)?);
    if (locked.dev(), locked.ino()) != (there.dev(), there.ino()) {
        bail!("another command has just changed it; try again");
    }
    Ok((file, locked))
}
