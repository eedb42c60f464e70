//! Reading the configuration again: at SIGHUP, and when one of its files has changed.
//!
//! Files are looked at twice a second, not watched by the kernel. A look costs microseconds and is right wherever the
//! files are: on a network, in a bind mount, replaced by renaming, or behind symbolic links of which any can be exchanged,
//! as Kubernetes does. What the kernel tells of is one inode, and each of these needs another trick to be told of at all.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use ostracon_server::{Config, Serving};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, MissedTickBehavior},
};

/// How often files are looked at. `ostracon keys` counts on a change being read within its `LEAD`.
const EVERY: Duration = Duration::from_millis(500);

/// How often a configuration that could not be used is tried again: what it lacked may be in a file that it alone names.
const AGAIN: Duration = Duration::from_secs(5);

/// Reads the configuration at `path` again when it should be. One that cannot be used changes nothing.
pub(super) fn when_told_or_changed(
    serving: Serving,
    path: PathBuf,
    files: Vec<PathBuf>,
) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let mut reloading = Reloading::new(serving, path, files);
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                told = hangup.recv() => told.is_some(),
                _ = ticks.tick() => false,
            };
            let look = move || {
                reloading.look(told);
                reloading
            };
            match tokio::task::spawn_blocking(look).await {
                Ok(looked) => reloading = looked,
                Err(error) => return tracing::error!(%error, "reading the configuration panicked; it stays as it is"),
            }
        }
    })
}

/// A configuration and its files as they were when they were last read.
struct Reloading {
    serving: Serving,
    path: PathBuf,
    files: Vec<PathBuf>,
    /// As they were when they were read.
    read: Prints,
    /// As they were at the last look.
    seen: Prints,
    failed: Option<Failed>,
}

struct Failed {
    why: String,
    at: Instant,
}

impl Reloading {
    fn new(serving: Serving, path: PathBuf, files: Vec<PathBuf>) -> Self {
        let read = Prints::of(&files);
        Self {
            serving,
            path,
            files,
            seen: read.clone(),
            read,
            failed: None,
        }
    }

    fn look(&mut self, told: bool) {
        let prints = Prints::of(&self.files);
        // What has just changed may not be written whole yet, nor its neighbours be: it is read once it has come to rest.
        let at_rest = prints == self.seen;
        let changed = prints != self.read;
        let due = self.failed.as_ref().is_some_and(|failed| failed.at.elapsed() >= AGAIN);
        self.seen = prints;
        if told || (at_rest && (changed || due)) {
            self.reload(told || changed);
        }
    }

    fn reload(&mut self, tell: bool) {
        let before = self.seen.clone();
        match self.read_again() {
            Ok(true) => {
                tracing::info!("the configuration is read again");
                self.read = before;
                self.failed = None;
            }
            // It is read at another look, when its files rest.
            Ok(false) => self.read = Prints(Vec::new()),
            Err(error) => {
                self.serving.keep();
                let why = format!("{error:#}");
                if tell || self.failed.as_ref().is_none_or(|failed| failed.why != why) {
                    tracing::error!("the configuration stays as it was: {why}");
                    self.serving.refused(&why);
                }
                self.read = before;
                let at = Instant::now();
                self.failed = Some(Failed { why, at });
            }
        }
    }

    /// Serves by what is read, unless it changed meanwhile: never by half of one and half of another. Whether it does.
    fn read_again(&mut self) -> anyhow::Result<bool> {
        let config = Config::load(&self.path)?;
        if config.files != self.files {
            // Files that were not looked at before they were read are looked at first.
            self.files.clone_from(&config.files);
            self.seen = Prints::of(&self.files);
            return Ok(false);
        }
        if Prints::of(&self.files) != self.seen {
            return Ok(false);
        }
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        self.serving.reload(config)?;
        Ok(true)
    }
}

/// What tells one state of some files from the next; nothing where there is no such file.
#[derive(Clone, Eq, PartialEq)]
struct Prints(Vec<Option<[i128; 5]>>);

impl Prints {
    fn of(files: &[PathBuf]) -> Self {
        Self(files.iter().map(|file| print(file)).collect())
    }
}

/// Which file is at `path`, links followed, and when it was last changed, its mode included.
fn print(path: &Path) -> Option<[i128; 5]> {
    let found = fs::metadata(path).ok()?;
    let time = |secs: i64, nanos: i64| {
        i128::from(secs)
            .saturating_mul(1_000_000_000)
            .saturating_add(i128::from(nanos))
    };
    Some([
        i128::from(found.dev()),
        i128::from(found.ino()),
        i128::from(found.size()),
        time(found.mtime(), found.mtime_nsec()),
        time(found.ctime(), found.ctime_nsec()),
    ])
}
