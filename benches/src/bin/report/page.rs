//! The page: environment, plots, and every table that was measured.

use std::{
    fs,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use ostracon_benches::rounds::Quartiles;
use serde_json::Value;

use crate::{
    aims,
    figures::{Figures, list, quartiles, round, short, text, time},
    plots,
};

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#faf8f5;--card:#fff;--ink:#1f1b17;--soft:#665e55;--line:#e2dcd3}
@media(prefers-color-scheme:dark){:root{--paper:#171412;--card:#211d1a;--ink:#ece6df;--soft:#a99f94;--line:#38322d}}
body{margin:0 auto;max-width:60rem;padding:2rem 1rem 4rem;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.7rem}h2{font-size:1.2rem;margin-top:2.5rem}
figure{margin:1rem 0;background:var(--card);border:1px solid var(--line);border-radius:.6rem;padding:1rem}
img{display:block;width:100%;max-width:720px;height:auto;margin:0 auto}
figcaption,.soft{color:var(--soft);font-size:.92rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem;background:var(--card)}
th,td{text-align:left;padding:.35rem .75rem;border-bottom:1px solid var(--line)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
";

/// Draws the plots of what lies in `dir`, and writes `index.html` beside them.
pub(crate) fn write(dir: &Path) {
    let figures = Figures::in_dir(dir);
    let mut sections = Vec::new();
    for plot in plots::all(&figures) {
        let path = dir.join(plot.name).with_extension("svg");
        let content = match &plot.svg {
            Ok(svg) => {
                fs::write(&path, svg).expect("written");
                html! { figure { img src={ (plot.name) ".svg" } alt=(plot.title); figcaption { (plot.said) } } }
            }
            Err(problem) => {
                eprintln!("{}: {problem}", plot.name);
                html! { p { "Not measured in this run." } }
            }
        };
        sections.push(html! { h2 { (plot.title) } (content) });
    }
    let environment = figures.of("environment");
    let content = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Ostracon, measured" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Ostracon, measured" }
                p { "What is compared was measured in turns in one run, so that ratios hold where times move with the machine. The raw figures lie beside this page as JSON; " code { "scripts/report" } " makes all of it anew." }
                (told(&environment))
                (aims::table(&figures))
                @for section in sections { (section) }
                h2 { "All tables" }
                @for bench in ["check", "verify", "revoke"] { (tables(bench, &figures.of(bench))) }
                (servers(&figures.of("http"), "servers", "http: GET /auth/verify against each of the others"))
                (servers(&figures.of("http"), "revoking", "http: POST /v1/revocations against each of the others"))
                (engines(&figures.of("engines")))
                (steps(&figures.of("scale")))
            }
        }
    };
    fs::write(dir.join("index.html"), content.into_string() + "\n").expect("written");
}

fn told(environment: &Value) -> Markup {
    let date = environment.get("at_secs").and_then(Value::as_u64).map(|secs| {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(secs)).unwrap_or(UNIX_EPOCH);
        humantime::format_rfc3339_seconds(at).to_string()
    });
    let rows = [
        ("processor", "Processor"),
        ("processors", "Processors"),
        ("memory", "Memory"),
        ("kernel", "Kernel"),
        ("file_system", "File system"),
        ("rustc", "Compiler"),
        ("redis", "Redis"),
        ("node", "Node"),
        ("commit", "Commit"),
        ("load_before", "Load before"),
    ];
    html! {
        dl {
            @if let Some(date) = date { dt { "Measured" } dd { (date) } }
            @for (name, label) in rows {
                @match environment.get(name) {
                    Some(Value::String(value)) => { dt { (label) } dd { (value) } },
                    Some(Value::Number(value)) => { dt { (label) } dd { (value) } },
                    _ => {},
                }
            }
        }
    }
}

fn tables(bench: &str, of: &Value) -> Markup {
    html! {
        @for table in list(of, "tables") {
            h3 { (bench) ": " (text(table, "title")) }
            div.scroll { table {
                thead { tr { th {} th.n { "median" } th.n { "half of the turns lie in" } } }
                tbody {
                    @for row in list(table, "rows") {
                        @let shown = if text(table, "unit") == "ns" { time } else { round };
                        @if let Some(Quartiles { low, median, high }) = quartiles(row) {
                            tr { td { (text(row, "name")) } td.n { (shown(median)) } td.n { (shown(low)) " to " (shown(high)) } }
                        }
                    }
                }
            } }
        }
    }
}

/// What the first of the servers `of` did, against each of the others.
fn servers(http: &Value, of: &str, title: &str) -> Markup {
    let ratios = list(http, &format!("{of}_ratios"));
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
    html! {
        @if !ratios.is_empty() {
            h3 { (title) }
            div.scroll { table {
                thead { tr { th {} th.n { "requests a second, times" } th.n { "middle half" } th.n { "processor time a request, times" } } }
                tbody { @for ratio in ratios {
                    @let (rate, cost) = (&ratio["rate"], &ratio["processor_time"]);
                    tr { td { (text(ratio, "against")) } td.n { (round(number(rate, "median"))) } td.n { (round(number(rate, "low"))) " to " (round(number(rate, "high"))) } td.n { (round(number(cost, "median"))) } }
                } }
            } }
        }
        @for missing in list(http, "missing").iter().filter(|_| of == "servers") { p { "Missing: " (text(missing, "name")) ", which needs " (text(missing, "needs")) } }
    }
}

fn engines(of: &Value) -> Markup {
    let engines = list(of, "engines");
    let number = |of: &Value, name: &str| of.get(name).and_then(Value::as_f64);
    let rate = |of: &Value, name: &str| number(of, name).map_or("-".to_owned(), short);
    let both = |of: &Value| {
        [number(of, "p50_ns"), number(of, "p99_ns")]
            .map(|nanos| nanos.map_or("-".to_owned(), time))
            .join(" / ")
    };
    html! {
        @if let Some(first) = engines.first() {
            h3 { "engines: the same work on " (short(number(of, "entries").unwrap_or(f64::NAN))) " entries" }
            div.scroll { table {
                thead { tr { th {}
                    @for group in list(first, "groups") { th.n { "durable a second, " (short(number(group, "entries").unwrap_or(f64::NAN))) " at once" } }
                    th.n { "not there, half / 99 %" } th.n { "there, half / 99 %" } th.n { "expired a second" } th.n { "bytes an entry" }
                } }
                tbody { @for engine in engines { tr {
                    td { (text(engine, "name")) }
                    @for group in list(engine, "groups") { td.n { (rate(group, "a_second")) } }
                    td.n { (both(&engine["absent"])) } td.n { (both(&engine["present"])) }
                    td.n { (rate(engine, "expiry_a_second")) } td.n { (rate(engine, "disk_bytes_an_entry")) }
                } } }
            } }
        }
    }
}

fn steps(scale: &Value) -> Markup {
    html! {
        @if !list(scale, "sizes").is_empty() {
            h3 { "scale: what a store takes" }
            div.scroll { table {
                thead { tr { th { "step" } th.n { "entries" } th.n { "memory" } th.n { "engine" } th.n { "journal" } th.n { "filter" } } }
                tbody { @for size in list(scale, "sizes") {
                    @let of = |name: &str| size.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
                    tr { td { (text(size, "step")) } td.n { (short(of("entries"))) } td.n { (short(of("memory_kib") * 1024.0)) "B" } td.n { (short(of("engine_bytes"))) "B" } td.n { (short(of("journal_bytes"))) "B" } td.n { (short(of("prefilter_bytes"))) "B" } }
                } }
            } }
        }
        @if !list(scale, "opened").is_empty() {
            h3 { "scale: how soon it answers" }
            div.scroll { table {
                thead { tr { th { "start" } th.n { "seconds" } th.n { "records replayed" } } }
                tbody { @for opened in list(scale, "opened") {
                    @let of = |name: &str| opened.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN);
                    tr { td { (text(opened, "step")) } td.n { (round(of("secs"))) } td.n { (short(of("replayed"))) } }
                } }
            } }
        }
    }
}
