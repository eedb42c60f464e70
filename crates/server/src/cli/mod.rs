//! The command line.
//!
//! Exit statuses: 0 when all went as told, 1 when something failed, 2 when the command line or the configuration cannot
//! be used; what asks a running server has more of them (`remote::Fault`).

mod audit;
mod backup;
mod bench;
mod check_store;
mod clients;
mod cores;
mod demo;
mod document;
mod help;
mod init;
mod keys;
mod logging;
mod offline;
mod progress;
mod reload;
mod remote;
mod serve;
mod transfer;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use ostracon_server::ConfigError;

/// Logs JSON Web Tokens out, and keeps them out.
#[derive(Parser)]
#[command(name = "ostracon", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What can be done; `help` puts it in groups and adds examples.
#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(serve::Arguments),
    /// See it work: a login, a logout, a crash, and the token still refused; leaves nothing behind
    Demo,
    /// Make a configuration, a signing key and a client
    Init(init::Arguments),
    /// Read the audit log: who did what, when and why
    Audit(audit::Arguments),
    /// Make, list, exchange and retire signing keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Make, list, renew and remove clients
    #[command(subcommand)]
    Clients(clients::Command),
    /// Check the store of a server that is not running, and mend it
    ///
    /// Walks identity, journal, rows, index, checkpoint and the list of sessions, and says for each finding what to do.
    /// Exits with 0 when all is sound, with 1 when anything is not.
    CheckStore(check_store::Arguments),
    /// Copy the store and read the copy back
    Backup(backup::BackupArguments),
    /// Make a store from a backup
    Restore(backup::RestoreArguments),
    /// Write what is revoked as lines of JSON
    Export(transfer::ExportArguments),
    /// Revoke what a file says
    #[command(after_help = IMPORT_HELP)]
    Import(transfer::ImportArguments),
    /// Make a client's secret: prints it, and the hash that goes into the configuration
    Secret,
    /// Revoke a token, a session, a subject, a client, a key or an issuer
    Revoke(remote::RevokeArguments),
    /// Show what is revoked
    List(remote::ListArguments),
    /// Take a revocation back
    Lift(remote::LiftArguments),
    /// Show the logins of a subject, and end them
    Sessions(remote::SessionsArguments),
    /// Say why a token is refused, or that it is not, step by step
    Explain(remote::ExplainArguments),
    /// Show how a running server fares
    Stats(remote::StatsArguments),
    /// Measure what the prefilter is worth on this machine
    Bench(bench::Arguments),
    /// Print what completes the commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

const IMPORT_HELP: &str = r#"A line that cannot be used is told by its number, never by what stands on it, and stops nothing. Importing a file once
more does no harm. Exit status: 0 when every line was used, 1 when some were refused or the store failed, 2 when the
command line or the configuration cannot be used.

The usual denylist in Redis is dumped for --format redis like this; the file has whole tokens in it:
  umask 077
  redis-cli --scan --pattern 'blacklist:*' > keys
  sed 's/.*/PTTL "&"/' keys | redis-cli | paste -d ' ' keys - > dump"#;

/// Where `serve --dev` keeps everything, and `init` puts it unless it is told otherwise.
const DEFAULT_DIR: &str = "ostracon-data";

/// The configuration in a directory that `init` has made.
const CONFIG_FILE: &str = "ostracon.toml";

pub(crate) fn main() -> ExitCode {
    let parsed = Cli::from_arg_matches(&help::taught(Cli::command()).get_matches());
    let command = parsed.unwrap_or_else(|error| error.exit()).command;
    // Most commands hold a key, a secret or a token: before any of them is read.
    let done = match cores::off() {
        Ok(before) => run(command, before),
        Err(error) => Err(anyhow::Error::from(error).context("core dumps cannot be turned off")),
    };
    status(done)
}

fn run(command: Command, cores: cores::Before) -> anyhow::Result<()> {
    match command {
        Command::Serve(arguments) => serve::serve(&arguments, cores),
        Command::Demo => demo::demo(),
        Command::Init(arguments) => init::init(&arguments),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Keys(command) => keys::keys(&command),
        Command::Clients(command) => clients::clients(&command),
        Command::CheckStore(arguments) => check_store::check_store(&arguments),
        Command::Backup(arguments) => backup::backup(&arguments),
        Command::Restore(arguments) => backup::restore_backup(&arguments),
        Command::Export(arguments) => transfer::export(&arguments),
        Command::Import(arguments) => transfer::import(&arguments),
        Command::Secret => secret(),
        Command::Revoke(arguments) => remote::revoke(&arguments),
        Command::List(arguments) => remote::list(&arguments),
        Command::Lift(arguments) => remote::lift(&arguments),
        Command::Sessions(arguments) => remote::sessions(&arguments),
        Command::Explain(arguments) => remote::explain(&arguments),
        Command::Stats(arguments) => remote::stats(&arguments),
        Command::Bench(arguments) => bench::bench(&arguments),
        Command::Completions { shell } => completions(shell),
    }
}

/// What the program ends with; what went wrong is told.
fn status(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read what is printed has gone.
        Err(error)
            if error
                .downcast_ref()
                .is_some_and(|e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe) =>
        {
            ExitCode::FAILURE
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "ostracon: {}", told(&error));
            let unusable = error.is::<ConfigError>() || error.is::<Usage>();
            let fault = error.downcast_ref().map(remote::Fault::status);
            ExitCode::from(fault.unwrap_or(if unusable { 2 } else { 1 }))
        }
    }
}

/// An error with its causes, but for those that it tells itself.
fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| {
            if told.contains(&cause) {
                told
            } else {
                format!("{told}: {cause}")
            }
        })
}

/// A command line that cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn secret() -> anyhow::Result<()> {
    let (secret, hash) = ostracon_server::new_secret()?;
    writeln!(
        io::stdout(),
        "secret         {}\nsecret_sha256  {hash}",
        secret.as_str()
    )?;
    writeln!(
        io::stderr(),
        "the hash goes into the configuration, under [[clients]]; a running server reads it at SIGHUP"
    )?;
    Ok(())
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    // Made whole first: the generator takes no error, and whoever reads may have gone.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ostracon", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}

fn config_in(dir: &std::path::Path) -> PathBuf {
    dir.join(CONFIG_FILE)
}
