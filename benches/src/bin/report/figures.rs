//! What the benches have kept, found by its names.

use std::{fs, path::Path};

use ostracon_benches::rounds::Quartiles;
use serde_json::Value;

/// The JSON of each bench, by its name; null where it did not run.
pub(crate) struct Figures {
    dir: std::path::PathBuf,
}

impl Figures {
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    pub(crate) fn of(&self, bench: &str) -> Value {
        let text = fs::read(self.dir.join(bench).with_extension("json"));
        text.map_or(Value::Null, |text| serde_json::from_slice(&text).expect("JSON"))
    }
}

/// The items of a list; none where it is none.
pub(crate) fn list<'v>(of: &'v Value, name: &str) -> &'v [Value] {
    of.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or("")
}

pub(crate) fn number(of: &Value, name: &str) -> Option<f64> {
    of.get(name).and_then(Value::as_f64)
}

pub(crate) fn quartiles(of: &Value) -> Option<Quartiles> {
    Some(Quartiles {
        low: number(of, "low")?,
        median: number(of, "median")?,
        high: number(of, "high")?,
    })
}

/// The row `name` of the table `title` of a bench.
pub(crate) fn row(bench: &Value, title: &str, name: &str) -> Option<Quartiles> {
    let table = list(bench, "tables")
        .iter()
        .find(|table| text(table, "title") == title)?;
    quartiles(list(table, "rows").iter().find(|row| text(row, "name") == name)?)
}

/// The tables of `bench` whose titles are a number and `rest`, by that number.
pub(crate) fn by_number<'v>(bench: &'v Value, rest: &'static str) -> impl Iterator<Item = (f64, &'v str)> {
    list(bench, "tables").iter().filter_map(move |table| {
        let title = text(table, "title");
        Some((title.strip_suffix(rest)?.trim().parse().ok()?, title))
    })
}

/// In few digits, with the unit that people count in.
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n >= 1e9 => format!("{} G", round(n / 1e9)),
        n if n >= 1e6 => format!("{} M", round(n / 1e6)),
        n if n >= 1e3 => format!("{} k", round(n / 1e3)),
        n => round(n),
    }
}

/// To three figures.
pub(crate) fn round(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 => format!("{number:.0}"),
        n if n >= 10.0 => trimmed(&format!("{number:.1}")),
        n if n >= 1.0 => trimmed(&format!("{number:.2}")),
        _ => trimmed(&format!("{number:.4}")),
    }
}

fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A time of so many nanoseconds.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        n if n >= 1e9 => format!("{} s", round(n / 1e9)),
        n if n >= 1e6 => format!("{} ms", round(n / 1e6)),
        n if n >= 1e3 => format!("{} µs", round(n / 1e3)),
        n => format!("{} ns", round(n)),
    }
}
