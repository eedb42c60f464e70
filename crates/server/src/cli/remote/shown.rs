//! Answers, as people read them.

use core::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;

/// `text` with what a terminal would obey, or would show in another order, written out.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A member as text; a dash where there is none.
pub(super) fn member(of: &Value, name: &str) -> String {
    match of.get(name) {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => plain(text),
        Some(other) => plain(&other.to_string()),
    }
}

/// A member that holds seconds, as a date in UTC.
pub(super) fn date(of: &Value, name: &str) -> String {
    let seconds = of
        .get(name)
        .and_then(Value::as_u64)
        .filter(|seconds| *seconds < YEAR_10000);
    let at = seconds.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    at.map_or_else(|| "-".into(), |at| humantime::format_rfc3339_seconds(at).to_string())
}

/// The first second that cannot be written with four digits of a year.
const YEAR_10000: u64 = 253_402_300_800;

/// A line of a table: all but the last of its columns are as wide as is said.
pub(super) fn line<const N: usize>(columns: [(&str, usize); N]) -> String {
    let mut line = String::new();
    for (text, width) in columns {
        let _ = write!(line, "{text:<width$}  ");
    }
    line.trim_end().to_owned()
}

/// Each figure of an answer on a line, by its path.
pub(super) fn figures(of: &Value) -> String {
    let mut all = Vec::new();
    collect(of, String::new(), &mut all);
    let width = all
        .iter()
        .map(|(path, _)| path.chars().count())
        .max()
        .unwrap_or_default();
    let lines = all.iter().map(|(path, value)| format!("{path:<width$}  {value}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn collect(of: &Value, path: String, all: &mut Vec<(String, String)>) {
    let below = |name: &str| {
        if path.is_empty() {
            plain(name)
        } else {
            format!("{path}.{}", plain(name))
        }
    };
    match of {
        Value::Object(members) => members
            .iter()
            .for_each(|(name, value)| collect(value, below(name), all)),
        Value::Array(values) if !values.is_empty() => {
            let numbered = values.iter().enumerate();
            numbered.for_each(|(n, value)| collect(value, below(&n.to_string()), all));
        }
        // A moment is a number of seconds; people read dates.
        Value::Number(_) if path.ends_with("_at") => all.push((path, date(&serde_json::json!({"at": of}), "at"))),
        Value::String(text) => all.push((path, plain(text))),
        other => all.push((path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_a_server_says() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(plain("\u{202e}gnp"), "\\u{202e}gnp");
        assert_eq!(plain("Zoë 😀"), "Zoë 😀");
        assert_eq!(member(&json!({"note": "\u{7}"}), "note"), "\\u{7}");
        assert_eq!(figures(&json!({"\u{1b}a": "\u{1b}"})), "\\u{1b}a  \\u{1b}");
    }

    #[test]
    fn each_figure_has_its_path() {
        let told = figures(&json!({"entries": {"token": 2, "total": 2}, "last_at": 1_790_000_000, "all": []}));
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(
            lines,
            [
                "all            []",
                "entries.token  2",
                "entries.total  2",
                "last_at        2026-09-21T14:13:20Z"
            ]
        );
    }

    #[test]
    fn a_moment_that_no_calendar_has_is_a_dash() {
        assert_eq!(date(&json!({"at": u64::MAX}), "at"), "-");
        assert_eq!(date(&json!({"at": 253_402_300_800_u64}), "at"), "-");
        assert_eq!(date(&json!({"at": 253_402_300_799_u64}), "at"), "9999-12-31T23:59:59Z");
    }
}
