//! `ostracon explain`: why a token is refused, or that it is not.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{
    HELP, Remote,
    revocations::token,
    say,
    shown::{figures, line, member},
};

/// Which token.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct ExplainArguments {
    /// The file that holds the token; what comes in where none is named
    #[arg(default_value = "-")]
    file: PathBuf,
    /// For which audience; the server's usual one where none is named
    #[arg(long)]
    aud: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) fn explain(arguments: &ExplainArguments) -> anyhow::Result<()> {
    let server = arguments.remote.connect()?;
    let token = token(&arguments.file)?;
    let mut body = json!({"token": token.as_str()});
    if let (Some(aud), Some(members)) = (&arguments.aud, body.as_object_mut()) {
        members.insert("aud".into(), aud.clone().into());
    }
    let answer = server.post("/v1/explain", &body)?;
    if arguments.remote.json {
        return Ok(say(&answer.to_string())?);
    }
    for step in answer.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let passed = step.get("passed").and_then(Value::as_bool) == Some(true);
        let detail = if passed { String::new() } else { member(step, "detail") };
        let word = if passed { "passed" } else { "REFUSED" };
        say(&line([(word, 7), (&member(step, "step"), 12), (&detail, 0)]))?;
    }
    let allowed = answer.get("allowed").and_then(Value::as_bool) == Some(true);
    say(&if allowed {
        "\nallowed".into()
    } else {
        format!("\nrefused: {}", member(&answer, "code"))
    })?;
    for part in ["token", "revocation"] {
        if let Some(about) = answer.get(part) {
            say(&format!("\n{}", figures(&json!({part: about}))))?;
        }
    }
    Ok(())
}
