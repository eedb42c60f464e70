//! Why a server did not do what it was asked, by what can be done about it.

use serde_json::Value;

use super::shown::plain;

/// A failure that has an exit status of its own.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The client is not who it says, or may not.
    #[error("{0}")]
    Refused(String),
    /// Nothing answers, or something else.
    #[error("{0}")]
    NoServer(String),
    /// The store of the server cannot answer.
    #[error("{0}")]
    Unavailable(String),
}

impl Fault {
    /// The exit status, as the help of the commands says it.
    pub(crate) fn status(&self) -> u8 {
        match self {
            Self::NotFound(_) => 3,
            Self::Refused(_) => 4,
            Self::NoServer(_) => 5,
            Self::Unavailable(_) => 6,
        }
    }

    pub(super) fn no_server(base: &str, error: &ureq::Error) -> Self {
        Self::NoServer(format!(
            "no answer from {base}: {error}; is the server running, and is that its admin address? --server and \
             OSTRACON_SERVER name it"
        ))
    }

    /// What answers there is not ours.
    pub(super) fn another(base: &str, status: u16) -> Self {
        Self::NoServer(format!(
            "{base} answers {status}, and not as the admin listener of Ostracon would; --server and OSTRACON_SERVER name it"
        ))
    }

    /// Of a problem (RFC 9457), in its own words.
    pub(super) fn answered(base: &str, status: u16, problem: &Value) -> anyhow::Error {
        let member = |name: &str| problem.get(name).and_then(Value::as_str).map(plain);
        let (Some(code), Some(detail)) = (member("code"), member("detail")) else {
            return Self::another(base, status).into();
        };
        let told = format!("{detail} ({status} {code})");
        match status {
            404 if detail.contains("no such route") => Self::NoServer(format!(
                "{told}; {base} is not the admin listener: --server and OSTRACON_SERVER name it"
            )),
            404 => Self::NotFound(told),
            401 | 403 | 429 => Self::Refused(told),
            503 => Self::Unavailable(told),
            _ => return anyhow::anyhow!(told),
        }
        .into()
    }
}
