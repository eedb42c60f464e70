//! `ostracon revoke`, `list` and `lift`.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    path::PathBuf,
    time::UNIX_EPOCH,
};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};
use ureq::{SendBody, http::Method};
use zeroize::Zeroizing;

use super::{
    Asked, HELP, Remote, encoded, opened, say,
    shown::{date, figures, line, member},
};
use crate::cli::{Usage, progress};

/// What is revoked, and why.
#[derive(clap::Args)]
#[command(after_help = HELP)]
#[group(id = "what", required = true, args = ["kind", "token_file", "batch"])]
pub(crate) struct RevokeArguments {
    /// What NAME names
    #[arg(value_parser = ["token", "session", "subject", "client", "key", "issuer"], requires = "name")]
    kind: Option<String>,
    #[arg(help = "The jti, sid, sub, client_id, kid or iss; one that begins with a dash stands behind --")]
    name: Option<String>,
    /// Revoke the one token in this file, or coming in where it is `-`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Revoke what each line of this file says, in the words of POST /v1/revocations
    #[arg(long, value_name = "FILE", conflicts_with_all = ["iss", "before", "exp", "reason", "note"])]
    batch: Option<PathBuf>,
    /// The issuer; the server's own where none is named
    #[arg(long)]
    iss: Option<String>,
    /// What was issued up to then: seconds, or a date as 2026-09-21T14:13:20Z; now where nothing is said
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "token_file")]
    before: Option<u64>,
    /// When the token ends; without it the longest lifetime is assumed
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "token_file")]
    exp: Option<u64>,
    /// Why
    #[arg(long, value_parser = ["logout", "admin", "password_change", "permission_change", "account_suspended",
        "account_deleted", "compromised", "other"], default_value = "admin")]
    reason: String,
    /// A word for the record
    #[arg(long, allow_hyphen_values = true)]
    note: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

/// Seconds since the epoch, or a date.
fn moment(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let told = || "seconds since 1970, or a date in UTC as 2026-09-21T14:13:20Z, are a time".to_owned();
    let at = humantime::parse_rfc3339_weak(text).map_err(|_| told())?;
    Ok(at.duration_since(UNIX_EPOCH).map_err(|_| told())?.as_secs())
}

pub(crate) fn revoke(arguments: &RevokeArguments) -> anyhow::Result<()> {
    let server = arguments.remote.connect()?;
    if let Some(path) = &arguments.batch {
        return batch(&server, path, arguments.remote.json);
    }
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.into(), value));
    if let Some(path) = &arguments.token_file {
        put("token", Some(Value::String(token(path)?.to_string())));
    } else {
        put("target", Some(target(arguments)?));
        put("before", arguments.before.map(Value::from));
        put("exp", arguments.exp.map(Value::from));
    }
    put("reason", Some(arguments.reason.clone().into()));
    put("note", arguments.note.clone().map(Value::from));
    let receipt = server.post("/v1/revocations", &Value::Object(body))?;
    if arguments.remote.json {
        return Ok(say(&receipt.to_string())?);
    }
    let durable = receipt.get("durable").and_then(Value::as_bool) == Some(true);
    say(&format!(
        "revoked, {}; kept until {}\n{}",
        if durable {
            "and on the disk"
        } else {
            "not yet on the disk"
        },
        date(&receipt, "retained_until"),
        told(&receipt)
    ))?;
    Ok(())
}

fn target(arguments: &RevokeArguments) -> anyhow::Result<Value> {
    let (Some(kind), Some(name)) = (&arguments.kind, &arguments.name) else {
        return Err(Usage("revoke takes a kind and a name, as in `ostracon revoke subject user-42`".into()).into());
    };
    let called = match kind.as_str() {
        "token" => "jti",
        "session" => "sid",
        "subject" => "sub",
        "client" => "client_id",
        "key" => "kid",
        _ => "iss",
    };
    let mut target = json!({"kind": kind, called: name});
    if let (Some(iss), Some(members)) = (&arguments.iss, target.as_object_mut()) {
        if called == "iss" && iss != name {
            return Err(Usage("an issuer is its own name; --iss is for the others".into()).into());
        }
        members.insert("iss".into(), iss.clone().into());
    }
    Ok(target)
}

/// A token, without the ends of lines around it.
pub(super) fn token(path: &std::path::Path) -> anyhow::Result<Zeroizing<String>> {
    // More than any server takes; what is longer is no token.
    const MOST: u64 = 1024 * 1024;
    let mut text = Zeroizing::new(String::new());
    let read = opened(path)?.take(MOST).read_to_string(&mut text);
    read.with_context(|| format!("{} holds no token", path.display()))?;
    let token = text.trim();
    if token.is_empty() {
        bail!("{} holds no token", path.display());
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn batch(server: &Asked, path: &std::path::Path, json: bool) -> anyhow::Result<()> {
    let of = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
    let bar = progress::bytes(of.map(|of| of.len()), "revoking");
    let mut lines = bar.wrap_read(opened(path)?);
    let body = SendBody::from_reader(&mut lines);
    let answer = server.send(&Method::POST, "/v1/revocations/batch", "application/x-ndjson", body)?;
    bar.finish_and_clear();
    say(&if json { answer.to_string() } else { figures(&answer) })?;
    match answer.get("refused").and_then(Value::as_u64) {
        None | Some(0) => Ok(()),
        Some(refused) => bail!("{refused} lines were refused; the others stand"),
    }
}

/// Which revocations.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct ListArguments {
    /// Only of this kind
    #[arg(long, value_parser = ["token", "session", "subject", "client", "key", "issuer"])]
    kind: Option<String>,
    /// Only of this subject
    #[arg(long, allow_hyphen_values = true)]
    sub: Option<String>,
    /// Only the one with this id
    #[arg(long, conflicts_with_all = ["kind", "sub", "limit", "all"])]
    id: Option<String>,
    /// So many, at most 1000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// All there are, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) fn list(arguments: &ListArguments) -> anyhow::Result<()> {
    let server = arguments.remote.connect()?;
    let json = arguments.remote.json;
    if !json {
        say(&line([
            ("id", 32),
            ("kind", 7),
            ("revoked", 20),
            ("kept until", 20),
            ("reason", 17),
            ("what", 0),
        ]))?;
    }
    let show = |entry: &Value| say(&if json { entry.to_string() } else { told(entry) });
    if let Some(id) = &arguments.id {
        return Ok(show(&server.get(&format!("/v1/revocations/{}", encoded(id)))?)?);
    }
    let mut left = if arguments.all {
        usize::MAX
    } else {
        arguments.limit.into()
    };
    let mut cursor: Option<String> = None;
    loop {
        let mut path = format!("/v1/revocations?limit={}", left.min(1000));
        let cursor_now = cursor.take();
        let filters = [
            ("kind", &arguments.kind),
            ("sub", &arguments.sub),
            ("cursor", &cursor_now),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                path = format!("{path}&{name}={}", encoded(value));
            }
        }
        let page = server.get(&path)?;
        let entries = page.get("revocations").and_then(Value::as_array);
        let entries = entries.context("the server answered no list")?;
        for entry in entries {
            show(entry)?;
        }
        left = left.saturating_sub(entries.len());
        cursor = page.get("cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(());
        }
        if left == 0 {
            // To stderr, so that what is printed can be piped.
            writeln!(io::stderr(), "there are more; --all shows them")?;
            return Ok(());
        }
    }
}

/// A revocation as a line of the table.
fn told(entry: &Value) -> String {
    let target = entry.get("target").cloned().unwrap_or_default();
    let members = target.as_object().into_iter().flatten();
    let mut what: Vec<_> = members
        .filter(|(name, _)| *name != "kind" && *name != "iss")
        .map(|(name, _)| member(&target, name))
        .collect();
    what.push(format!("of {}", member(&target, "iss")));
    if entry.get("note").is_some() {
        what.push(format!("({})", member(entry, "note")));
    }
    line([
        (&member(entry, "id"), 32),
        (&member(&target, "kind"), 7),
        (&date(entry, "effective_at"), 20),
        (&date(entry, "retained_until"), 20),
        (&member(entry, "reason"), 17),
        (&what.join(" "), 0),
    ])
}

/// Which revocation is taken back.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct LiftArguments {
    /// As `ostracon list` shows it
    id: String,
    /// Without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) fn lift(arguments: &LiftArguments) -> anyhow::Result<()> {
    let server = arguments.remote.connect()?;
    let path = format!("/v1/revocations/{}", encoded(&arguments.id));
    if !arguments.yes {
        if !io::stdin().is_terminal() {
            return Err(Usage("lift asks first, on a terminal; --yes goes without".into()).into());
        }
        write!(
            io::stderr(),
            "{}\nWhat it denies will pass again. Lift it? [y/N] ",
            told(&server.get(&path)?)
        )?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            bail!("nothing was lifted");
        }
    }
    let lifted = server.delete(&path)?;
    say(&if arguments.remote.json {
        lifted.to_string()
    } else {
        format!("lifted; what it denied passes again\n{}", told(&lifted))
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn a_time_is_seconds_or_a_date() {
        assert_eq!(moment("1790000000"), Ok(1_790_000_000));
        assert_eq!(moment("2026-09-21T14:13:20Z"), Ok(1_790_000_000));
        assert_eq!(moment("2026-09-21 14:13:20"), Ok(1_790_000_000));
        for bad in ["", "tomorrow", "-1", "1e9", "1969-12-31T23:59:59Z"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
