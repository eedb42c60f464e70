//! What a look at a store says.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::error::StoreError;

/// What a look at a store found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What there is.
    pub counts: Counts,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What a process that ended in any way may leave, and the next start clears up by itself.
    pub notes: Vec<Finding>,
}

/// What there is in a store.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Segments of the journal.
    pub segments: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Records in the journal.
    pub records: u64,
    /// Records behind the checkpoint, which the next start replays.
    pub to_replay: u64,
    /// Entries, expired or not.
    pub entries: u64,
    /// Entries that the index by end of retention speaks of.
    pub indexed: u64,
    /// Listed sessions.
    pub sessions: u64,
    /// Records of the audit log that are in order.
    pub audited: u64,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// Which store it is, and the secret of its keys.
    Identity,
    /// The truth.
    Journal,
    /// The rows.
    Engine,
    /// Up to where the rows reach.
    Checkpoint,
    /// The index by end of retention.
    Index,
    /// The list of live sessions.
    Sessions,
    /// The filters as they were saved.
    Prefilter,
    /// The audit log.
    Audit,
}

/// What to do about a finding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing.
    Start,
    /// A new engine from rows and journal.
    Repair,
    /// A new engine from the journal.
    Rebuild,
    /// A backup.
    Restore,
    /// A newer version.
    Upgrade,
    /// See to the disk, or to the rights of the file.
    Access,
    /// Find out who or what changed it: no decision rests on it, and nothing makes it whole again.
    Inquire,
}

/// Something in a store that is not as it was left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// What it is about.
    pub part: Part,
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: Remedy,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn find(&mut self, part: Part, path: &Path, problem: impl Into<String>, remedy: Remedy) {
        self.findings.push(Finding::new(part, path, problem, remedy));
    }

    /// Finds `problem` as often as `count` says, if it does.
    pub(super) fn find_many(&mut self, part: Part, path: &Path, count: u64, problem: &str, remedy: Remedy) {
        if count > 0 {
            self.find(part, path, format!("{count} {problem}"), remedy);
        }
    }

    pub(super) fn note(&mut self, part: Part, path: &Path, problem: impl Into<String>) {
        self.notes.push(Finding::new(part, path, problem, Remedy::Start));
    }

    /// Finds that something could not be read; `remedy` is for what is damaged.
    pub(super) fn find_error(&mut self, part: Part, path: &Path, error: &StoreError, remedy: Remedy) {
        match error {
            StoreError::Damaged { path, detail } => self.find(part, path, detail, remedy),
            StoreError::Newer { path, found, known } => {
                let problem = format!("it has format {found}, and this version reads up to {known}");
                self.find(part, path, problem, Remedy::Upgrade);
            }
            StoreError::Io { path, source } => self.find(part, path, source.to_string(), Remedy::Access),
            StoreError::Engine(cause) => self.find(part, path, &**cause, remedy),
            other => self.find(part, path, other.to_string(), remedy),
        }
    }
}

impl Finding {
    fn new(part: Part, path: &Path, problem: impl Into<String>, remedy: Remedy) -> Self {
        Self {
            part,
            path: path.into(),
            problem: problem.into(),
            remedy,
        }
    }
}

impl Part {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Journal => "journal",
            Self::Engine => "engine",
            Self::Checkpoint => "checkpoint",
            Self::Index => "index",
            Self::Sessions => "sessions",
            Self::Prefilter => "prefilter",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Remedy {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Repair => "repair",
            Self::Rebuild => "rebuild",
            Self::Restore => "restore",
            Self::Upgrade => "upgrade",
            Self::Access => "access",
            Self::Inquire => "inquire",
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "nothing to do: the next start clears it up",
            Self::Repair => {
                "run check-store with --repair: it makes rows and index anew and keeps the old ones beside them"
            }
            Self::Rebuild => {
                "run check-store with --rebuild, or start the server: the rows are made anew from the journal, and the \
                 old ones are kept beside them"
            }
            Self::Restore => {
                "restore a backup; without one, check-store with --repair keeps all that can still be read, and what \
                 cannot is no longer denied"
            }
            Self::Upgrade => "use a newer version of Ostracon, or restore a backup that this version made",
            Self::Inquire => {
                "find out what changed it, and keep it as it is: no decision rests on it, the server goes on behind it, and \
                 nothing makes it whole again (`ostracon audit --verify` tells more)"
            }
            Self::Access => "see to the disk and to the rights of the file, then check again",
        })
    }
}
