//! `ostracon audit`: the audit log, read from the disk, whether a server is running or not.

use std::{
    io::{self, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::bail;
use ostracon_server::{Line, StoreConfig};
use ostracon_store::audit::{Direction, read, verify};
use serde_json::{Map, Value, json};

use super::{DEFAULT_DIR, Usage, config_in};

/// What to read, and how to show it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration of the server whose log it is
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
    /// The server's `data_dir`, where there is no configuration at hand
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Hold the log against its own chain: exits with 1 where something was altered or is missing
    #[arg(long)]
    verify: bool,
    /// With --verify: what was once seen as the head of the log, as `NUMBER:HASH`; tells a log whose end was cut off, too
    #[arg(long, value_name = "NUMBER:HASH", requires = "verify")]
    expect: Option<String>,
    /// One object of JSON a line, as GET /v1/audit answers
    #[arg(long)]
    json: bool,
    /// Only records behind this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
}

pub(super) fn audit(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = data_dir(arguments)?.join("audit");
    if !dir.is_dir() {
        bail!("{} is not there; no server has run on it yet", dir.display());
    }
    if arguments.verify {
        return verified(&dir, arguments);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    read(&dir, Direction::Oldest, Some(arguments.after), &mut |record| {
        let line = Line::from(record);
        written = if arguments.json {
            writeln!(out, "{line}")
        } else {
            writeln!(out, "{}", told(line.number(), &line.content()))
        };
        if written.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    written.and_then(|()| out.flush())?;
    Ok(())
}

fn data_dir(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    match (&arguments.config, &arguments.data_dir) {
        (_, Some(dir)) => Ok(dir.clone()),
        (Some(path), None) => Ok(StoreConfig::load(path)?.data_dir),
        (None, None) => {
            let path = config_in(Path::new(DEFAULT_DIR));
            if !path.exists() {
                let needed = "audit needs --config FILE or --data-dir DIR: whose log is it?";
                return Err(Usage(needed.into()).into());
            }
            Ok(StoreConfig::load(&path)?.data_dir)
        }
    }
}

fn verified(dir: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let expected = arguments.expect.as_deref().map(|text| {
        let (number, hash) = text.split_once(':')?;
        Some((number.parse().ok()?, hash))
    });
    let expected = match expected {
        Some(None) => {
            return Err(Usage("--expect is NUMBER:HASH, as `ostracon audit --verify` prints it".into()).into());
        }
        other => other.flatten(),
    };
    let verified = verify(dir, expected)?;
    let mut out = io::stdout().lock();
    let head = verified.head;
    if arguments.json {
        let flaws = verified
            .flaws
            .iter()
            .map(|flaw| json!({"path": flaw.path, "detail": flaw.detail}));
        let told = json!({
            "records": verified.records,
            "first": verified.first,
            "head": {"number": head.number, "hash": head.hash.to_string()},
            "flaws": flaws.collect::<Vec<_>>(),
        });
        writeln!(out, "{told}")?;
    } else {
        writeln!(
            out,
            "records  {} ({} to {})",
            verified.records, verified.first, head.number
        )?;
        writeln!(out, "head     {}:{}", head.number, head.hash)?;
        for flaw in &verified.flaws {
            writeln!(out, "flaw     {}: {}", flaw.path.display(), flaw.detail)?;
        }
    }
    out.flush()?;
    match verified.flaws.len() {
        // The chain has nothing to say against that; but each start of a server is a record.
        0 if verified.records == 0 => bail!("{} holds no record: whatever was in it is gone", dir.display()),
        0 => Ok(()),
        1 => bail!("the audit log is not as it was written: 1 flaw"),
        flaws => bail!("the audit log is not as it was written: {flaws} flaws"),
    }
}

/// A record as a line for people: when, what, by whom, on what, why, and what came of it; then all the rest.
fn told(number: u64, content: &Map<String, Value>) -> String {
    let text = |name: &str| content.get(name).and_then(Value::as_str).unwrap_or("-");
    let at = content.get("at").and_then(Value::as_u64).unwrap_or_default();
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(at)).unwrap_or(UNIX_EPOCH);
    let who = content
        .get("client")
        .or_else(|| content.get("sub"))
        .and_then(Value::as_str);
    let shown = ["at", "kind", "client", "address", "outcome", "request"];
    let rest = content.iter().filter(|(name, _)| !shown.contains(&name.as_str()));
    let rest = rest.fold(String::new(), |rest, (name, value)| rest + &format!("  {name}={value}"));
    format!(
        "{number:>8}  {}  {:<15}  {:<16}  {:<15}  {:<14}{rest}",
        humantime::format_rfc3339_seconds(at),
        text("kind"),
        who.unwrap_or("-"),
        text("address"),
        text("outcome"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_told_on_one_line_whatever_is_in_it() {
        let content = json!({"at": 1_790_000_000, "kind": "lift", "client": "ops", "note": "a\nb\u{1b}[2J"});
        let line = told(7, content.as_object().unwrap());
        assert!(
            line.contains("2026-09-21T14:13:20Z  lift") && line.contains("ops"),
            "{line}"
        );
        assert!(line.ends_with(r#"note="a\nb\u001b[2J""#), "{line}");
    }
}
