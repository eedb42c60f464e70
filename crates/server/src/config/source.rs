//! A configuration as it stands in its file, with the environment laid over it.

use std::{fs, io, path::Path, str};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::{
    ConfigError, environment,
    private::{self, Unread},
};

pub(super) struct Source {
    table: Table,
    /// Variables of the environment that look like settings and are none.
    pub(super) ignored: Vec<String>,
}

impl Source {
    /// What stands in the file at `path`, which others must not be able to read.
    pub(super) fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let bytes = private::read(path).map_err(|why| match why {
            Unread::Failed(cause) => unread(path, cause),
            Unread::Exposed(told) => ConfigError::Exposed {
                path: path.into(),
                told,
            },
        })?;
        let text =
            str::from_utf8(&bytes).map_err(|why| unread(path, io::Error::new(io::ErrorKind::InvalidData, why)))?;
        Self::read(text, path, variables)
    }

    /// What stands in the file at `path`, whoever can read it.
    pub(super) fn load_exposed(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| unread(path, cause))?;
        Self::read(&text, path, variables)
    }

    pub(super) fn read(
        text: &str,
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| ConfigError::Syntax {
            path: path.into(),
            detail: e.to_string(),
        })?;
        let variables: Vec<_> = variables.into_iter().collect();
        let ignored = environment::ignored(variables.iter().map(|(name, _)| name));
        environment::overlay(&mut table, variables)?;
        Ok(Self { table, ignored })
    }

    pub(super) fn member(&self, section: &str, member: &str) -> Option<&Value> {
        self.table.get(section)?.get(member)
    }

    /// All of it as `T`, which says what may stand where.
    pub(super) fn typed<T: DeserializeOwned>(self, path: &Path) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(self.table).map_err(|e| ConfigError::Value {
            at: match e.path().to_string().as_str() {
                // The root has no name of its own.
                "." => path.display().to_string(),
                at => at.to_owned(),
            },
            problem: e.into_inner().message().to_owned(),
        })
    }
}

fn unread(path: &Path, cause: io::Error) -> ConfigError {
    ConfigError::File {
        path: path.into(),
        cause,
    }
}
