//! The audit trail: what the server writes into the audit log, and when it waits for that.
//!
//! A record says who did what, to what, when, why, and what came of it. It never holds a token or a secret (I8). Whoever is
//! told that something was revoked or lifted by an operator has been waiting for its record, too; users who log out or
//! refresh do not wait for theirs, which is synced within a second: it is in the journal that their logout is durable.

use std::path::Path;

use ostracon_core::{Note, Reason, Revocation, Target, UnixTime};
use ostracon_store::{
    Receipt, StoreError,
    audit::{Audit, Content, Direction, Record, Stats},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use crate::{
    clock::Clock,
    config::AuditSettings,
    problem::Problem,
    refusals::{Refusal, Refusals},
    sender::{Actor, Sender},
};

/// One record, as it is put together.
#[derive(Clone, Debug)]
#[must_use = "it is to be recorded"]
pub(crate) struct Entry(Map<String, Value>);

impl Entry {
    /// Of the kind that `kind` names, in snake case.
    pub(crate) fn new(kind: &str) -> Self {
        Self(Map::from_iter([("kind".to_owned(), kind.into())]))
    }

    /// Of what was revoked, and why.
    pub(crate) fn of_revocation(revocation: &Revocation) -> Self {
        Self::new("revocation")
            .about(revocation.target())
            .with("before", revocation.cutoff().map(UnixTime::as_secs))
            .because(revocation.reason())
            .with("note", revocation.note().map(Note::as_str))
    }

    /// Done by the client `id`.
    pub(crate) fn by(self, id: &str) -> Self {
        self.with("client", id)
    }

    /// Asked for by a request of `sender`.
    pub(crate) fn from(self, sender: &Sender) -> Self {
        self.with("address", sender.address.map(|address| address.to_string()))
            .with("request", sender.request.as_ref().map(|id| id.as_str().to_owned()))
    }

    /// Done at the word of `actor`.
    pub(crate) fn done_by(self, actor: Actor<'_>) -> Self {
        match actor {
            Actor::Client(id, sender) => self.by(id).from(sender),
            Actor::Bearer(sender) => self.from(sender),
            Actor::Program => self.with("by", "program"),
        }
    }

    /// Done to `target`.
    pub(crate) fn about(self, target: &Target) -> Self {
        self.with("target", json!(target))
    }

    /// Done for `reason`.
    pub(crate) fn because(self, reason: Reason) -> Self {
        self.with("reason", json!(reason))
    }

    /// What came of it, in a word.
    pub(crate) fn outcome(self, word: &str) -> Self {
        self.with("outcome", word)
    }

    /// What came of a revocation, which is what `receipt` says.
    pub(crate) fn revoked(self, receipt: &Receipt) -> Self {
        let word = if receipt.changed { "revoked" } else { "stood" };
        self.with("id", receipt.id.to_string()).outcome(word)
    }

    /// With the member `name`, unless `value` is none.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
        self
    }

    #[cfg(test)]
    pub(crate) fn members(self) -> Map<String, Value> {
        self.0
    }

    /// As it is written at `at`.
    pub(crate) fn into_text(self, at: UnixTime) -> String {
        Value::Object(self.with("at", at.as_secs()).0).to_string()
    }
}

/// Where records go.
#[derive(Debug)]
pub(crate) struct Trail {
    log: Audit,
    /// Whether what cannot be recorded is refused.
    required: bool,
    clock: Clock,
    refusals: Refusals,
}

impl Trail {
    /// The trail in `data_dir`, whose lock this process holds. Blocks.
    pub(crate) fn open(data_dir: &Path, settings: &AuditSettings, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self {
            log: Audit::open(&data_dir.join("audit"), &settings.log, clock.now())?,
            required: settings.required,
            clock,
            refusals: Refusals::default(),
        })
    }

    /// Records `entry`; nobody waits for it.
    pub(crate) fn note(&self, entry: Entry) {
        let now = self.clock.now();
        self.log.note(now, entry.into_text(now));
    }

    /// Records `entry` and returns once it is on the disk.
    ///
    /// # Errors
    ///
    /// [`Problem`] 503 when it cannot be and records are required; what it tells of is done all the same.
    pub(crate) async fn record(&self, entry: Entry) -> Result<(), Problem> {
        let now = self.clock.now();
        let (tell, told) = oneshot::channel();
        self.log.append(now, entry.into_text(now), move |outcome| {
            // Whoever does not wait any more has gone.
            let _ = tell.send(outcome);
        });
        match told.await {
            Ok(Ok(_)) => Ok(()),
            _ if self.required => Err(Problem::audit_unavailable(
                "it is done and in effect, but could not be recorded",
            )),
            // The log has the record.
            _ => Ok(()),
        }
    }

    /// Whether what has to be recorded can be, as far as is known beforehand. Asked before an operator changes anything.
    ///
    /// # Errors
    ///
    /// [`Problem`] 503 while the log fails and records are required.
    pub(crate) fn ready(&self) -> Result<(), Problem> {
        if self.required && self.log.stats().failing.is_some() {
            // Tried again: without a record nothing is done, and without a try no record would ever succeed.
            self.note(Entry::new("audit_resumed"));
            return Err(Problem::audit_unavailable("nothing was done"));
        }
        Ok(())
    }

    /// Records a refused call: the first of its sort at once, those of the same minute together.
    pub(crate) fn refused(&self, refusal: Refusal, sender: &Sender) {
        for entry in self.refusals.note(refusal, sender, self.clock.now()) {
            self.note(entry);
        }
    }

    /// Records what was counted of refused calls.
    pub(crate) fn flush(&self) {
        for entry in self.refusals.flush() {
            self.note(entry);
        }
    }

    /// Drops what is past its time at `now`.
    pub(crate) fn retain(&self, now: UnixTime) {
        self.log.retain(now);
    }

    /// Ends, with all that was noted on the disk. Blocks.
    pub(crate) fn close(&self) {
        self.flush();
        self.note(Entry::new("server_stop"));
        self.log.close();
    }

    pub(crate) fn stats(&self) -> Stats {
        self.log.stats()
    }

    /// Hands records over as [`Audit::read`] does. Blocks.
    pub(crate) fn read(
        &self,
        direction: Direction,
        cursor: Option<u64>,
        each: &mut dyn FnMut(Record) -> std::ops::ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.log.read(direction, cursor, each)
    }
}

/// A record as a line of JSON: its number, its hash, and behind them what was written.
#[derive(Debug)]
pub struct Line {
    number: u64,
    hash: String,
    content: String,
}

impl From<Record> for Line {
    fn from(record: Record) -> Self {
        let own = |kind: &str, name: &str, number: u64| {
            let entry = Entry::new(kind).with(name, number);
            entry.into_text(record.at)
        };
        Self {
            number: record.number,
            hash: record.hash.to_string(),
            content: match &record.content {
                Content::Text(text) => text.to_string(),
                Content::Dropped { below } => own("records_dropped", "below", *below),
                Content::Lost { most } => own("records_lost", "at_most", *most),
            },
        }
    }
}

impl Line {
    /// What was written.
    #[must_use]
    pub fn content(&self) -> Map<String, Value> {
        serde_json::from_str(&self.content).unwrap_or_default()
    }

    /// Its number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The text stands as it was hashed, behind its first brace.
        let rest = self.content.strip_prefix('{').unwrap_or("}");
        let comma = if rest.starts_with('}') { "" } else { "," };
        write!(
            f,
            "{{\"number\":{},\"hash\":\"{}\"{comma}{rest}",
            self.number, self.hash
        )
    }
}

/// What of the log is told with the figures of the server.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditStats)]
pub(crate) struct Told {
    records: u64,
    head: String,
    bytes: u64,
    segments: usize,
    lost: u64,
    pub(crate) failing: bool,
}

impl From<Stats> for Told {
    fn from(stats: Stats) -> Self {
        Self {
            records: stats.head.number,
            head: stats.head.hash.to_string(),
            bytes: stats.bytes,
            segments: stats.segments,
            lost: stats.lost,
            // The cause may hold a path; the log has it.
            failing: stats.failing.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_what_was_written_behind_its_number_and_hash() {
        let dir = tempfile::tempdir().unwrap();
        let log = Audit::open(dir.path(), &ostracon_store::audit::Options::default(), UnixTime::EPOCH).unwrap();
        let written = Entry::new("x")
            .with("none", None::<u64>)
            .with("b", "\"é")
            .into_text(UnixTime::from_secs(7));
        assert_eq!(written, r#"{"at":7,"b":"\"é","kind":"x"}"#);
        log.note(UnixTime::from_secs(7), written.clone());
        log.settle().unwrap();
        let mut lines = Vec::new();
        log.read(Direction::Newest, None, &mut |record| {
            lines.push(Line::from(record));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let line = lines[0].to_string();
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&json["number"], &json["b"], &json["at"]),
            (&json!(1), &json!("\"é"), &json!(7))
        );
        assert_eq!(json["hash"].as_str().unwrap().len(), 64);
        assert!(line.ends_with(&written[1..]), "byte for byte: {line}");
    }
    /// What time it is for the trail below.
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    /// With records required, nothing is done that could not be recorded; without, it is done all the same. Once the disk
    /// is mended, neither stays behind.
    #[tokio::test]
    async fn what_cannot_be_recorded_is_refused_where_records_are_required() {
        let clock = Clock::from_fn(|| UnixTime::from_secs(NOW.load(std::sync::atomic::Ordering::SeqCst)));
        for required in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let settings = AuditSettings {
                log: ostracon_store::audit::Options {
                    retention: std::time::Duration::from_secs(10),
                    ..Default::default()
                },
                required,
            };
            NOW.store(0, std::sync::atomic::Ordering::SeqCst);
            let trail = Trail::open(dir.path(), &settings, clock).unwrap();
            trail.record(Entry::new("good")).await.unwrap();
            // The segment is old enough to be closed, and the next one has nowhere to be.
            NOW.store(2, std::sync::atomic::Ordering::SeqCst);
            std::fs::remove_dir_all(dir.path().join("audit")).unwrap();
            let recorded = trail.record(Entry::new("bad")).await;
            let status = recorded.err().map(|problem| problem.status().as_u16());
            assert_eq!(status, required.then_some(503));
            assert!(trail.stats().failing.is_some());
            assert_eq!(trail.ready().is_err(), required);
            std::fs::create_dir(dir.path().join("audit")).unwrap();
            // The first that is refused is also the first that is tried again.
            let _ = trail.ready();
            trail.note(Entry::new("good"));
            trail.log.settle().unwrap();
            assert!(trail.ready().is_ok() && trail.stats().failing.is_none());
            assert!(trail.stats().lost >= 1);
        }
    }
}
