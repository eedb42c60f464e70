//! `ostracon check-store`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use ostracon_server::StoreConfig;
use ostracon_store::{ClosedStore, Finding, Mended, Report, StoreError};
use serde_json::{Value, json};

use super::{Usage, config_in, offline::is_ours};

/// What to check, and whether to mend it.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The configuration whose `data_dir` is to be checked
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    config: Option<PathBuf>,
    /// The `data_dir` itself, or a directory that `ostracon init` has made
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    dir: Option<PathBuf>,
    /// Make rows and index anew from the rows and the journal; the old ones are kept beside them
    #[arg(long, conflicts_with = "rebuild")]
    repair: bool,
    /// Make rows and index anew from the journal alone; the old ones are kept beside them
    #[arg(long)]
    rebuild: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A store in which something is wrong; what, has been printed.
#[derive(Debug, thiserror::Error)]
#[error("the store in {0} is not sound; what to do is said above")]
struct Unsound(String);

/// A store that is sound again, and lacks what could not be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "{lost} records of the journal and {unreadable} rows could not be read: what they alone denied is not denied any more. Restore a \
         backup, or end all that was issued before now: ostracon revoke issuer ISSUER"
)]
struct Lossy {
    lost: u64,
    unreadable: u64,
}

pub(super) fn check_store(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = data_dir(arguments)?;
    is_ours(&dir)?;
    let store = take(&dir)?;
    let (store, mended) = if arguments.rebuild {
        let mended = store.rebuild()?;
        (take(&dir)?, Some(mended))
    } else if arguments.repair {
        let mended = store.repair()?;
        (store, Some(mended))
    } else {
        (store, None)
    };
    let report = store.check()?;
    let mut out = io::stdout();
    if arguments.json {
        writeln!(out, "{:#}", as_json(&dir, &report, mended.as_ref()))?;
    } else {
        print(&mut out, &dir, &report, mended.as_ref())?;
    }
    out.flush()?;
    if !report.is_sound() {
        return Err(Unsound(dir.display().to_string()).into());
    }
    match mended {
        Some(Mended { lost, unreadable, .. }) if lost > 0 => Err(Lossy { lost, unreadable }.into()),
        _ => Ok(()),
    }
}

fn take(dir: &Path) -> anyhow::Result<ClosedStore> {
    ClosedStore::take(dir).map_err(|error| match error {
        StoreError::Locked(_) => anyhow::anyhow!("{error}; a store is checked while no server has it open"),
        error => error.into(),
    })
}

fn data_dir(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let config = match (&arguments.config, &arguments.dir) {
        (Some(config), _) => config.clone(),
        (None, Some(dir)) if config_in(dir).is_file() => config_in(dir),
        (None, Some(dir)) => return Ok(dir.clone()),
        (None, None) => return Err(Usage("check-store needs --dir DIR or --config FILE".into()).into()),
    };
    Ok(StoreConfig::load(&config)?.data_dir)
}

fn print(out: &mut impl Write, dir: &Path, report: &Report, mended: Option<&Mended>) -> anyhow::Result<()> {
    let counts = &report.counts;
    writeln!(out, "store     {}", dir.display())?;
    if let Some(mended) = mended {
        writeln!(
            out,
            "mended    {} entries, {} of the old rows unreadable, {} records of the old journal lost, {} written to the journal",
            mended.entries, mended.unreadable, mended.lost, mended.journaled
        )?;
        for path in &mended.set_aside {
            writeln!(out, "kept at   {}", path.display())?;
        }
    }
    writeln!(
        out,
        "journal   {} segments, {} bytes, {} records, {} of them to replay",
        counts.segments, counts.journal_bytes, counts.records, counts.to_replay
    )?;
    writeln!(
        out,
        "engine    {} entries, {} in the index",
        counts.entries, counts.indexed
    )?;
    writeln!(out, "sessions  {}", counts.sessions)?;
    writeln!(out, "audit     {} records", counts.audited)?;
    for (word, all) in [("note", &report.notes), ("FINDING", &report.findings)] {
        for found in all {
            writeln!(out, "\n{word:<9} {}: {}", found.part, found.path.display())?;
            writeln!(out, "          {}", found.problem)?;
            writeln!(out, "          {}", found.remedy)?;
        }
    }
    let verdict = if report.is_sound() { "sound" } else { "NOT SOUND" };
    writeln!(out, "\n{verdict}")?;
    Ok(())
}

fn as_json(dir: &Path, report: &Report, mended: Option<&Mended>) -> Value {
    let counts = &report.counts;
    let all = |found: &[Finding]| found.iter().map(finding).collect::<Vec<_>>();
    json!({
        "store": dir,
        "sound": report.is_sound(),
        "mended": mended.map(|mended| json!({
            "entries": mended.entries,
            "unreadable": mended.unreadable,
            "lost": mended.lost,
            "journaled": mended.journaled,
            "set_aside": mended.set_aside,
        })),
        "counts": {
            "segments": counts.segments,
            "journal_bytes": counts.journal_bytes,
            "records": counts.records,
            "to_replay": counts.to_replay,
            "entries": counts.entries,
            "indexed": counts.indexed,
            "sessions": counts.sessions,
            "audit_records": counts.audited,
        },
        "findings": all(&report.findings),
        "notes": all(&report.notes),
    })
}

fn finding(found: &Finding) -> Value {
    json!({
        "part": found.part.as_str(),
        "path": found.path,
        "problem": found.problem,
        "remedy": found.remedy.as_str(),
        "advice": found.remedy.to_string(),
    })
}
