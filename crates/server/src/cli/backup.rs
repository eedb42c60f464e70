//! `ostracon backup` and `ostracon restore`.

use std::path::{Path, PathBuf};

use ostracon_server::{Clock, back_up};
use ostracon_store::{Backup, restore, verify_backup};
use serde::Serialize;

use super::{
    Usage,
    offline::{self, Offline},
    progress,
};

/// What to back up, and where to.
#[derive(clap::Args)]
pub(super) struct BackupArguments {
    #[command(flatten)]
    offline: Offline,
    /// Where to put it, as a new directory in DIR; without it, `backup_dir` of the configuration
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What to restore, and where to.
#[derive(clap::Args)]
pub(super) struct RestoreArguments {
    /// The backup: a directory that `backup` has made
    #[arg(long, value_name = "BACKUP")]
    from: PathBuf,
    /// The new `data_dir`: not there yet, or empty
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    to: Option<PathBuf>,
    /// Only read the backup to its end, and say whether it could be restored
    #[arg(long, conflicts_with = "to")]
    check: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    path: &'a Path,
    bytes: u64,
    records: u64,
    sequence: u64,
}

impl<'a> Told<'a> {
    fn of(backup: &'a Backup) -> Self {
        Self {
            path: &backup.path,
            bytes: backup.bytes,
            records: backup.records,
            sequence: backup.sequence,
        }
    }
}

pub(super) fn backup(arguments: &BackupArguments) -> anyhow::Result<()> {
    let config = arguments.offline.load_store()?;
    let into = arguments.to.clone().or_else(|| config.backup_dir.clone());
    let into = into.ok_or_else(|| Usage("backup needs --to DIR, or backup_dir in the configuration".into()))?;
    let denylist = offline::open_store(&config, |dir, server| {
        format!(
            "a server has {} open; it makes the backup itself, into backup_dir, for a client with the role admin:\n  \
             curl -X POST --user CLIENT {}\n(curl asks for the client's secret)",
            dir.display(),
            server.curl("/v1/maintenance/backup")
        )
    })?;
    let bar = progress::bytes(Some(0), "backing up");
    let made = back_up(&denylist, &into, Clock::system().now(), &mut |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    });
    bar.finish_and_clear();
    let made = made?;
    denylist.close()?;
    offline::tell(arguments.json, &Told::of(&made), || {
        format!(
            "backup   {}\nholds    {} records up to number {}, {} bytes, read back and whole\nsecret   it is as secret as \
             the store: keep it to yourself\nrestore  ostracon restore --from {0} --to DIR",
            made.path.display(),
            made.records,
            made.sequence,
            made.bytes
        )
    })
}

pub(super) fn restore_backup(arguments: &RestoreArguments) -> anyhow::Result<()> {
    let bar = progress::bytes(Some(0), "restoring");
    let mut watch = |progress: ostracon_store::Progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
    };
    let done = match &arguments.to {
        Some(to) => restore(&arguments.from, to, &mut watch),
        None => verify_backup(&arguments.from, &mut watch),
    };
    bar.finish_and_clear();
    let done = done?;
    offline::tell(arguments.json, &Told::of(&done), || match &arguments.to {
        None => format!(
            "whole    {}\nholds    {} records up to number {}, {} bytes",
            done.path.display(),
            done.records,
            done.sequence,
            done.bytes
        ),
        Some(_) => format!(
            "restored {}\nholds    {} records up to number {}\nnext     make it the data_dir of the configuration, and start the \
             server; the first start makes the rest from it\ncaution  what was revoked after the backup was made is not in it. \
             Revoke it again, or end all logins:\n         POST /v1/revocations {{\"target\":{{\"kind\":\"issuer\"}}}}",
            done.path.display(),
            done.records,
            done.sequence
        ),
    })
}
