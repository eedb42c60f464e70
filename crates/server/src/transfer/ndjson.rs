//! An entry as a JSON object on a line: the members of the receipt, but for `id` and `durable`, which are of one store and
//! one moment. They are read over.

use std::io::{self, Write};

use core::time::Duration;

use ostracon_core::{Note, Policy, Reason, Revocation, UnixTime};
use serde::{Deserialize, de::IgnoredAny};

use super::Unusable;
use crate::{
    body,
    strict::Object,
    terms::{FARTHEST_AHEAD, Terms, Wish, Written},
};

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
    let mut line = serde_json::to_vec(&Written::from(entry))?;
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
            before: read.before.map(UnixTime::from_secs),
            exp: read.exp.map(UnixTime::from_secs),
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
    let is_lost = |before: &u64| *before == UnixTime::MAX.as_secs();
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

#[cfg(test)]
mod tests {
    use ostracon_core::{ClientId, Issuer, Jti, KeyId, SessionId, Subject, Target};
    use proptest::prelude::*;

    use super::*;
    use crate::transfer::tests::{NOW, assumed};

    fn entry() -> impl Strategy<Value = Revocation> {
        let at = UnixTime::from_secs;
        let name = prop_oneof!["[a-c]", "\\PC{1,40}", Just("\"\\\u{e9}\u{2028}".to_owned())];
        let reasons = prop_oneof![Just(Reason::Logout), Just(Reason::Rotated), Just(Reason::Other)];
        let notes = proptest::option::of("\\PC{1,40}");
        let times = (0..NOW + 100, 0..NOW + 100, NOW..NOW + 400);
        (0..6_u8, name, reasons, notes, times).prop_filter_map(
            "not a name",
            move |(kind, name, reason, note, times)| {
                let (before, effective_at, retained_until) = times;
                let iss = Issuer::new("https://auth.example").ok()?;
                let target = match kind {
                    0 => Target::Token {
                        iss,
                        jti: Jti::new(name).ok()?,
                    },
                    1 => Target::Session {
                        iss,
                        sid: SessionId::new(name).ok()?,
                    },
                    2 => Target::Subject {
                        iss,
                        sub: Subject::new(name).ok()?,
                    },
                    3 => Target::Client {
                        iss,
                        client_id: ClientId::new(name).ok()?,
                    },
                    4 => Target::Key {
                        iss,
                        kid: KeyId::new(name).ok()?,
                    },
                    _ => Target::Issuer {
                        iss: Issuer::new(name).ok()?,
                    },
                };
                let note = note.map(Note::new).transpose().ok()?;
                Some(Revocation::restored(
                    target,
                    Some(at(before)),
                    at(effective_at),
                    at(retained_until),
                    reason,
                    note,
                ))
            },
        )
    }

    proptest! {
        #[test]
        fn an_entry_is_read_as_it_was_written(entry in entry()) {
            let mut line = Vec::new();
            write(&entry, &mut line).unwrap();
            prop_assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
            let read = assumed(|assumed| read(line.trim_ascii(), &assumed.terms));
            prop_assert_eq!(read, Ok(entry));
        }
    }

    #[test]
    fn what_does_not_say_how_long_it_is_kept_is_made_as_the_route_makes_it() {
        let made = |line: &str| assumed(|assumed| read(line.as_bytes(), &assumed.terms));
        let entry = made(r#"{"target":{"kind":"token","jti":"j"},"exp":1790000600}"#).unwrap();
        assert_eq!(entry.retained_until().as_secs(), NOW + 600 + 300);
        assert_eq!(entry.target().as_ref().iss().as_str(), "https://auth.example");
        for bad in [
            r#"{"target":{"kind":"token","iss":"https://other.example","jti":"j"}}"#,
            r#"{"target":{"kind":"token","jti":"j"},"exp":1790000600000}"#,
            r#"{"target":{"kind":"token","jti":"j"},"exp":1790000600,"retained_until":1790000600}"#,
            r#"{"target":{"kind":"token","jti":"j"},"before":1,"retained_until":1790000600}"#,
            r#"{"target":{"kind":"subject","sub":"u"},"retained_until":1790000600}"#,
            r#"{"target":{"kind":"token","jti":"j"},"retained_until":1790000600000}"#,
            r#"{"target":{"kind":"token","jti":"j"},"effective_at":1790000600000,"retained_until":1790000600}"#,
            r#"{"target":{"kind":"subject","sub":"u"},"before":1790000600000,"retained_until":1790000600}"#,
            r#"{"target":{"kind":"token","jti":"j"},"retained_untill":1790000600}"#,
            r#"{"target":{"kind":"token","jti":"j","jti":"k"},"retained_until":1790000600}"#,
            r#"{"retained_until":1790000600}"#,
            r#"{"target":{"kind":"token","jti":"j"}} {}"#,
            "[]",
        ] {
            assert!(made(bad).is_err(), "{bad}");
        }
    }
}
