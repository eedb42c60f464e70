//! An entry as a JSON object on a line: the members of the receipt, but for `id` and `durable`, which are of one store and
//! one moment. They are read over.

use std::io::{self, Write};

use core::time::Duration;

use ostracon_core::{Note, Policy, Reason, Revocation, Target, UnixTime};
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::Unusable;
use crate::{
    body,
    strict::Object,
    terms::{FARTHEST_AHEAD, Terms, Wish},
};

#[derive(Serialize)]
struct Written<'a> {
    target: &'a Target,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<u64>,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a Note>,
    effective_at: u64,
    retained_until: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct Read {
    target: Object,
    before: Option<u64>,
    exp: Option<u64>,
    #[serde(default)]
    reason: Reason,
    note: Option<Note>,
    effective_at: Option<u64>,
    retained_until: Option<u64>,
    #[serde(rename = "id")]
    _id: Option<IgnoredAny>,
    #[serde(rename = "durable")]
    _durable: Option<IgnoredAny>,
}

/// Writes `entry` and ends the line.
pub(super) fn write(entry: &Revocation, out: &mut dyn Write) -> io::Result<()> {
    let written = Written {
        target: entry.target(),
        before: entry.cutoff().map(UnixTime::as_secs),
        reason: entry.reason(),
        note: entry.note(),
        effective_at: entry.effective_at().as_secs(),
        retained_until: entry.retained_until().as_secs(),
    };
    let mut line = serde_json::to_vec(&written)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads an entry: as it was written if it says how long it is kept, else as `POST /v1/revocations` would make it.
pub(super) fn read(line: &[u8], terms: &Terms<'_>) -> Result<Revocation, Unusable> {
    let read: Read = body::line(line)?;
    let Object(target) = read.target;
    let target = terms.target(target)?;
    let Some(retained_until) = read.retained_until else {
        let wish = Wish {
            before: read.before,
            exp: read.exp,
            reason: read.reason,
            note: read.note,
        };
        return Ok(terms.revocation(target, wish)?);
    };
    if read.exp.is_some() {
        return Err(Unusable::new("exp and retained_until: one of them is enough"));
    }
    let kind = target.as_ref().kind();
    if read.before.is_some() != kind.has_cutoff() {
        let needs = if kind.has_cutoff() { "needs one" } else { "has none" };
        return Err(Unusable::new(format!("before: a {kind} {needs}")));
    }
    let at = UnixTime::from_secs;
    // What is later was meant in milliseconds.
    let cutoff_end = terms.now.saturating_add(FARTHEST_AHEAD);
    let end = cutoff_end
        .saturating_add(Policy::MAX_LIFETIME)
        .saturating_add(LEAST_ROUNDING);
    // A cut-off that was lost counts as one at the end of time, and stays one.
    let is_lost = |before: &u64| at(*before).as_secs() == UnixTime::MAX.as_secs();
    let before_fits = read
        .before
        .is_none_or(|before| at(before) <= cutoff_end || is_lost(&before));
    let effective_at = read.effective_at.map_or(terms.now, at);
    if at(retained_until) > end || effective_at > cutoff_end || !before_fits {
        return Err(Unusable::new("a time lies too far ahead; all are in seconds"));
    }
    let before = read.before.map(at);
    Ok(Revocation::restored(
        target,
        before,
        effective_at,
        at(retained_until),
        read.reason,
        read.note,
    ))
}

/// What retention is longer than a lifetime by: leeways and whole seconds.
const LEAST_ROUNDING: Duration = Policy::MAX_LEEWAY.saturating_mul(3);
