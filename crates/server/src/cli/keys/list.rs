//! `ostracon keys list`.

use std::io::{self, Write};

use ostracon_core::UnixTime;
use ostracon_server::{Config, KeyStatus};
use serde::Serialize;

use super::date;

/// A key, as it is printed.
#[derive(Serialize)]
struct Listed<'a> {
    kid: &'a str,
    alg: &'a str,
    state: &'a str,
    signs_from: Option<String>,
    retired_at: Option<String>,
    verifies_until: Option<String>,
    thumbprint: Option<String>,
    file: String,
}

impl<'a> From<&KeyStatus<'a>> for Listed<'a> {
    fn from(status: &KeyStatus<'a>) -> Self {
        let key = status.key;
        Self {
            kid: key.signing.kid().as_str(),
            alg: key.signing.alg().as_str(),
            state: status.state.as_str(),
            signs_from: key.signs_from.map(date),
            retired_at: key.retired_at.map(date),
            verifies_until: status.verifies_until.map(date),
            thumbprint: key.signing.thumbprint(),
            file: key.file.display().to_string(),
        }
    }
}

/// Prints the keys as they are at `now`.
pub(super) fn list(config: &Config, now: UnixTime, json: bool) -> anyhow::Result<()> {
    let statuses = config.key_statuses(now);
    let listed: Vec<_> = statuses.iter().map(Listed::from).collect();
    let mut out = io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string(&listed)?)?;
        return Ok(());
    }
    for key in listed {
        writeln!(out, "{:<9}  {:<5}  {}", key.state, key.alg, key.kid)?;
        let details = [
            ("signs from", key.signs_from),
            ("retired at", key.retired_at),
            ("verifies until", key.verifies_until),
            ("thumbprint", key.thumbprint),
            ("file", Some(key.file)),
        ];
        for (name, value) in details {
            if let Some(value) = value {
                writeln!(out, "           {name:<15}{value}")?;
            }
        }
        if key.state == "ended" {
            writeln!(
                out,
                "           nothing of it is alive; its table and its file can be removed"
            )?;
        }
    }
    Ok(())
}
