//! What was measured, for people, for programs, and as a plot.

use core::fmt::Write as _;

use bytesize::ByteSize;
use ostracon_figures::{
    plot::{Axis, Lines, Series},
    rounds::{Quartiles, nanos},
};
use serde_json::{Value, json};

use super::{
    checks::{Check, Checks},
    store::Pair,
    writes::Writes,
};

/// One size.
#[derive(Debug)]
pub(super) struct Measured {
    entries: u64,
    checks: Checks,
    writes: Vec<Writes>,
    bulk_a_second: f64,
    filter_bytes: u64,
    disk_bytes: u64,
}

impl Measured {
    pub(super) fn new(pair: &Pair, checks: Checks, writes: Vec<Writes>) -> anyhow::Result<Self> {
        let stats = pair.on.stats();
        Ok(Self {
            entries: pair.entries,
            checks,
            writes,
            bulk_a_second: float(pair.entries) / pair.filled_in.as_secs_f64(),
            filter_bytes: u64::try_from(stats.prefilter_bytes)?,
            disk_bytes: stats.journal_bytes.saturating_add(pair.on.engine_bytes()?),
        })
    }

    fn let_through(&self) -> f64 {
        float(self.checks.let_through) / float(self.checks.tried)
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// In few digits, with the unit that people count in.
fn short(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{} M", n / 1e6),
        n if n >= 1e3 => format!("{} k", n / 1e3),
        n => format!("{n}"),
    }
}

pub(super) fn table(all: &[Measured], rate: f64) -> String {
    let mut told = String::new();
    if cfg!(debug_assertions) {
        told.push_str("This is a debug build: the figures of a release build are others.\n\n");
    }
    let _ = writeln!(
        told,
        "{:>9}  {:28} {:>10} {:>10}  off / on, half of the turns",
        "listed", "a check of a token", "on", "off"
    );
    for size in all {
        let mut first = short(float(size.entries));
        for Check { name, on, off, ratio } in &size.checks.all {
            let Quartiles { low, median, high } = ratio;
            let (on, off) = (nanos(on.median), nanos(off.median));
            let _ = writeln!(
                told,
                "{first:>9}  {name:28} {on:>10} {off:>10}  {median:.2}  ({low:.2} to {high:.2})"
            );
            first.clear();
        }
    }
    let _ = writeln!(
        told,
        "\n{:>9}  {:>11} {:>22}  {:>11}   durable revocations a second",
        "listed", "filter", "lets through", "disk"
    );
    for size in all {
        let by = size
            .writes
            .iter()
            .fold(String::new(), |told, Writes { writers, a_second }| {
                told + &format!("{:.0} k by {writers}, ", a_second / 1e3)
            });
        let _ = writeln!(
            told,
            "{:>9}  {:>11} {:>22}  {:>11}   {by}{:.0} k in bulk",
            short(float(size.entries)),
            bytes(size.filter_bytes),
            format!("{:.4} % of {:.4} %", size.let_through() * 100.0, rate * 100.0),
            bytes(size.disk_bytes),
            size.bulk_a_second / 1e3,
        );
    }
    told
}

fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

pub(super) fn json(all: &[Measured], rate: f64) -> String {
    let quartiles = |Quartiles { low, median, high }: Quartiles| json!({"low": low, "median": median, "high": high});
    let check = |check: &Check| {
        json!({
            "name": check.name, "on_ns": quartiles(check.on), "off_ns": quartiles(check.off),
            "off_by_on": quartiles(check.ratio),
        })
    };
    let sizes = all.iter().map(|size| {
        json!({
            "entries": size.entries,
            "checks": size.checks.all.iter().map(check).collect::<Value>(),
            "false_positive_rate": {
                "asked_for": rate, "measured": size.let_through(),
                "let_through": size.checks.let_through, "tried": size.checks.tried,
            },
            "filter_bytes": size.filter_bytes,
            "disk_bytes": size.disk_bytes,
            "durable_writes": size.writes.iter().map(|Writes { writers, a_second }| {
                json!({"writers": writers, "a_second": a_second})
            }).collect::<Value>(),
            "bulk_writes_a_second": size.bulk_a_second,
        })
    });
    let told = json!({
        "version": env!("CARGO_PKG_VERSION"), "debug_build": cfg!(debug_assertions), "sizes": sizes.collect::<Value>(),
    });
    format!("{told:#}\n")
}

/// What a check costs against how much is listed.
pub(super) fn plot(all: &[Measured]) -> anyhow::Result<String> {
    let sorts = ["not listed", "listed"];
    let series: Vec<_> = sorts
        .into_iter()
        .flat_map(|sort| [(sort, true), (sort, false)])
        .map(|(sort, is_on)| {
            let of_size = |size: &Measured| {
                let check = size.checks.all.iter().find(|check| check.name == sort)?;
                let cost = if is_on { check.on } else { check.off };
                Some((float(size.entries), cost.median))
            };
            Series {
                name: format!("{sort}, {}", if is_on { "on" } else { "off" }),
                points: all.iter().filter_map(of_size).collect(),
            }
        })
        .collect();
    let lines = Lines {
        title: "A check of a token, with the prefilter on and off",
        x: Axis {
            label: "revocations listed",
            is_log: true,
            shown: short,
        },
        y: Axis {
            label: "time",
            is_log: true,
            shown: nanos,
        },
        series: &series,
    };
    Ok(lines.svg()?)
}
