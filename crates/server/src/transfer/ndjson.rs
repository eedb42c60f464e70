//! An entry as a JSON object on a line: the members of the receipt, but for `id` and `durable`, which are of one store and
//! one moment. They are read over.

use std::io::{self, Write};

use core::time::Duration;

use ostracon_core::{Note, Policy, Reason, Revocation, Target, UnixTime};
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
    // Of one that was lost nothing is known but that it denies.
    let least = if read.before.as_ref().is_some_and(is_lost) {
        UnixTime::EPOCH
    } else {
        least_retention(&target, before, effective_at, terms.policy)
    };
    Ok(Revocation::restored(
        target,
        before,
        effective_at,
        at(retained_until).max(least),
        read.reason,
        read.note,
    ))
}

/// Until when `policy` keeps what is not of one token, whose end is in what was written. I1: where it was written, tokens may
/// have lived less long than they do here.
fn least_retention(target: &Target, before: Option<UnixTime>, effective_at: UnixTime, policy: &Policy) -> UnixTime {
    if matches!(target, Target::Token { .. }) {
        return UnixTime::EPOCH;
    }
    let made = Revocation::new(target.clone(), Reason::Other, policy, effective_at);
    let made = match before {
        Some(before) => made.before(before, policy),
        None => made,
    };
    made.retained_until()
}

/// What retention is longer than a lifetime by: leeways and whole seconds.
const LEAST_ROUNDING: Duration = Policy::MAX_LEEWAY.saturating_mul(3);

#[cfg(test)]
mod tests {
    use ostracon_core::{ClientId, Issuer, Jti, KeyId, SessionId, Subject};
    use proptest::prelude::*;

    use super::*;
    use crate::transfer::tests::{NOW, assumed};

    fn entry() -> impl Strategy<Value = Revocation> {
        let at = UnixTime::from_secs;
        let name = prop_oneof!["[a-c]", "\\PC{1,40}", Just("\"\\\u{e9}\u{2028}".to_owned())];
        let reasons = prop_oneof![Just(Reason::Logout), Just(Reason::Rotated), Just(Reason::Other)];
        let notes = proptest::option::of("\\PC{1,40}");
        let times = (0..NOW + 100, 0..NOW + 100, 0..400_u64);
        (0..6_u8, name, reasons, notes, times).prop_filter_map(
            "not a name",
            move |(kind, name, reason, note, times)| {
                let (before, effective_at, kept_for) = times;
                // As long as any token can live, since what is kept for less is kept for that.
                let longest = if kind == 0 { 0 } else { 31 * 24 * 60 * 60 };
                let retained_until = [before.max(effective_at), kept_for, longest].into_iter().sum();
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

    /// I1: it was written where tokens lived less long, and would be gone here before those that it denies.
    #[test]
    fn i1_what_has_no_end_of_its_own_is_kept_for_as_long_as_tokens_live_here() {
        let kept = |line: String| {
            assumed(|assumed| read(line.as_bytes(), &assumed.terms))
                .unwrap()
                .retained_until()
        };
        let month = 30 * 24 * 60 * 60;
        let until = NOW + 60;
        for target in [
            r#""kind":"subject","sub":"u"},"before":1790000000"#,
            r#""kind":"key","kid":"k"},"before":1790000000"#,
            r#""kind":"session","sid":"s"},"effective_at":1790000000"#,
        ] {
            let kept = kept(format!(r#"{{"target":{{{target},"retained_until":{until}}}"#));
            assert!(kept.as_secs() > NOW + month, "{target}: {kept:?}");
        }
        // The end of a token is its own.
        let token = format!(r#"{{"target":{{"kind":"token","jti":"j"}},"retained_until":{until}}}"#);
        assert_eq!(kept(token).as_secs(), until);
        // Of a cut-off that was lost nobody knows anything, and no time is made of it that no time is behind.
        let lost = format!(
            r#"{{"target":{{"kind":"subject","sub":"u"}},"before":{},"retained_until":{until}}}"#,
            UnixTime::MAX.as_secs()
        );
        assert!(kept(lost).as_secs() <= NOW + 2 * month);
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
