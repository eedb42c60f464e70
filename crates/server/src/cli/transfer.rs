//! `ostracon export` and `ostracon import`.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use clap::ValueEnum;
use ostracon_core::Issuer;
use ostracon_server::{
    Clock,
    transfer::{self, Format, Import, Imported},
};
use serde::Serialize;

use super::{
    Usage,
    offline::{self, Offline},
    progress,
};

/// Refused lines that are told of one by one.
const MOST_TOLD: u64 = 1000;

/// What to write, and where to.
#[derive(clap::Args)]
pub(super) struct ExportArguments {
    #[command(flatten)]
    offline: Offline,
    /// Where to write it; without it, to the standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the result as JSON; needs --output
    #[arg(long, requires = "output")]
    json: bool,
}

/// What to read, and how.
#[derive(clap::Args)]
pub(super) struct ImportArguments {
    /// What to read; without it, or for "-", the standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    offline: Offline,
    /// What it is
    #[arg(long, value_enum, default_value_t = Kind::Ndjson)]
    format: Kind,
    /// The `iss` of tokens that the file does not say it of; without it, `tokens.issuer` of the configuration
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// With --format redis: what is before the token in a key
    #[arg(long, value_name = "TEXT", default_value = "blacklist:")]
    prefix: String,
    /// Read and count, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// What `export` writes: a JSON object on each line
    Ndjson,
    /// A key and its PTTL on each line; the key is the prefix and a whole token
    Redis,
    /// jti and exp on each line, in seconds or as 2027-01-31T12:00:00Z; a first line may name the columns
    Csv,
}

#[derive(Serialize)]
struct Exported {
    entries: u64,
}

pub(super) fn export(arguments: &ExportArguments) -> anyhow::Result<()> {
    let denylist = offline::open_store(&arguments.offline.load_store()?, |dir, server| {
        format!(
            "a server has {} open; stop it first, or read page by page, as a client with the role read:\n  \
             curl --user CLIENT '{}'",
            dir.display(),
            server.curl("/v1/revocations?limit=1000")
        )
    })?;
    let bar = progress::entries("exporting");
    let to =
        |out: &mut dyn Write| transfer::export(&denylist, Clock::system().now(), out, &mut |n| bar.set_position(n));
    let entries = match &arguments.output {
        None => to(&mut BufWriter::new(io::stdout().lock()))?,
        Some(path) => written(path, |file| Ok(to(file)?)).with_context(|| path.display().to_string())?,
    };
    bar.finish_and_clear();
    denylist.close()?;
    if let Some(path) = &arguments.output {
        let words = || format!("wrote {entries} revocations to {}", path.display());
        offline::tell(arguments.json, &Exported { entries }, words)?;
    }
    Ok(())
}

/// Writes to `path`: a file is there whole or as it was, where a link leads as well; a device or a pipe takes what comes.
fn written<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    match path.metadata() {
        Ok(found) if !found.is_file() => {
            let mut out = BufWriter::new(OpenOptions::new().write(true).open(path)?);
            let done = write(&mut out)?;
            out.flush()?;
            Ok(done)
        }
        Ok(_) => whole(&path.canonicalize()?, write),
        Err(_) => whole(path, write),
    }
}

/// Writes a file that its owner alone can read, and that is there whole or as it was.
fn whole<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut beside = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
    let mut out = BufWriter::new(&mut beside);
    let done = write(&mut out)?;
    // Dropped, it would keep to itself that the disk was full.
    out.flush()?;
    drop(out);
    beside.as_file().sync_all()?;
    beside.persist(path)?;
    Ok(done)
}

pub(super) fn import(arguments: &ImportArguments) -> anyhow::Result<()> {
    let config = arguments.offline.load()?;
    let issuer = arguments.issuer.clone().map(Issuer::new).transpose();
    let issuer = issuer.map_err(|error| Usage(format!("--issuer {error}")))?;
    let (mut source, bytes): (Box<dyn Read>, _) = match &arguments.file {
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            let found = file.metadata()?;
            (Box::new(file), found.is_file().then_some(found.len()))
        }
        _ => (Box::new(io::stdin().lock()), None),
    };
    let app = offline::open(config, |dir, server| {
        format!(
            "a server has {} open; stop it first, or send it lines of JSON as POST /v1/revocations takes them, as a client with \
             the role revoke; those of an export without two of their times:\n  \
             jq -c 'del(.effective_at, .retained_until)' FILE | \
             curl --user CLIENT -H 'Content-Type: application/x-ndjson' -T - -X POST {}",
            dir.display(),
            server.curl("/v1/revocations/batch")
        )
    })?;
    let import = Import {
        app: &app,
        format: match arguments.format {
            Kind::Ndjson => Format::Ndjson,
            Kind::Csv => Format::Csv,
            Kind::Redis => Format::Redis {
                prefix: arguments.prefix.clone(),
            },
        },
        issuer,
        dry_run: arguments.dry_run,
    };
    let bar = progress::bytes(bytes, "importing");
    let (mut imported, mut told) = (Imported::default(), 0_u64);
    let ended = import.run(
        &mut source,
        &mut imported,
        &mut |so_far| bar.set_position(so_far.bytes),
        &mut |refusal| {
            told = told.saturating_add(1);
            let rest = (told == MOST_TOLD).then_some("; further ones are only counted");
            if told <= MOST_TOLD {
                bar.suspend(|| {
                    let (line, rest) = (refusal.line, rest.unwrap_or_default());
                    let _ = writeln!(io::stderr(), "line {line}: {}: {}{rest}", refusal.code, refusal.detail);
                });
            }
        },
    );
    bar.finish_and_clear();
    offline::tell(arguments.json, &imported, || words(&imported, arguments.dry_run))?;
    ended.context("the rest was not read; what is counted is durable, and the whole can be imported again")?;
    app.denylist().close()?;
    if imported.refused > 0 {
        return Err(anyhow!(
            "{} of {} lines were refused; the others are in",
            imported.refused,
            imported.lines
        ));
    }
    Ok(())
}

fn words(imported: &Imported, dry_run: bool) -> String {
    let Imported {
        lines,
        revoked,
        unchanged,
        expired,
        refused,
        ..
    } = imported;
    let revoked_word = if dry_run { "to be revoked" } else { "revoked" };
    format!(
        "{lines} lines: {revoked} {revoked_word}, {unchanged} were so already, {expired} have expired, {refused} refused"
    )
}
