//! `ostracon sessions`: the logins of a subject, and their end.

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    HELP, Remote, encoded, say,
    shown::{date, line, member},
};

/// Whose sessions, or which one.
#[derive(clap::Args)]
#[command(after_help = HELP)]
#[group(id = "whose", required = true, args = ["sub", "end", "end_all"])]
pub(crate) struct SessionsArguments {
    /// The subject whose live sessions are shown
    sub: Option<String>,
    /// End this session
    #[arg(long, value_name = "SID", allow_hyphen_values = true)]
    end: Option<String>,
    /// End every session of this subject, up to now
    #[arg(long, value_name = "SUB", allow_hyphen_values = true)]
    end_all: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) fn sessions(arguments: &SessionsArguments) -> anyhow::Result<()> {
    let server = arguments.remote.connect()?;
    let json = arguments.remote.json;
    let ended = match (&arguments.end, &arguments.end_all) {
        (Some(sid), _) => Some(server.delete(&format!("/v1/sessions/{}", encoded(sid)))?),
        (None, Some(sub)) => {
            let body = json!({"target": {"kind": "subject", "sub": sub}, "reason": "admin"});
            Some(server.post("/v1/revocations", &body)?)
        }
        (None, None) => None,
    };
    if let Some(receipt) = ended {
        let words = || {
            format!(
                "ended; revocation {}, kept until {}",
                member(&receipt, "id"),
                date(&receipt, "retained_until")
            )
        };
        say(&if json { receipt.to_string() } else { words() })?;
        return Ok(());
    }
    let sub = arguments.sub.as_deref().unwrap_or_default();
    let answer = server.get(&format!("/v1/sessions?sub={}", encoded(sub)))?;
    let sessions = answer.get("sessions").and_then(Value::as_array);
    let sessions = sessions.context("the server answered no list")?;
    if !json {
        let head = [
            ("sid", 36),
            ("client", 16),
            ("begun", 20),
            ("last refreshed", 20),
            ("until", 20),
            ("device", 0),
        ];
        say(&line(head))?;
    }
    for session in sessions {
        say(&if json {
            session.to_string()
        } else {
            line([
                (&member(session, "sid"), 36),
                (&member(session, "client_id"), 16),
                (&date(session, "created_at"), 20),
                (&date(session, "refreshed_at"), 20),
                (&date(session, "expires_at"), 20),
                (&member(session, "device"), 0),
            ])
        })?;
    }
    Ok(())
}
