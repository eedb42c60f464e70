//! `ostracon stats`: how the server fares.

use super::{HELP, Remote, say, shown::figures};

/// Which server.
#[derive(clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct StatsArguments {
    #[command(flatten)]
    remote: Remote,
}

pub(crate) fn stats(arguments: &StatsArguments) -> anyhow::Result<()> {
    let answer = arguments.remote.connect()?.get("/v1/stats")?;
    say(&if arguments.remote.json {
        answer.to_string()
    } else {
        figures(&answer)
    })?;
    Ok(())
}
