//! Figures kept as JSON, for the page that `scripts/report` makes.
//!
//! Where `OSTRACON_BENCH_REPORT` names a directory, each bench writes one file there, named after itself. The tables of
//! [`rounds`](crate::rounds) go there without being asked to; what else a bench knows it [records](record).

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
};

use serde_json::{Map, Value, json};

use crate::rounds::Quartiles;

/// Set for a process that does a part of a bench: what the parts before it have kept stays.
pub const PART: &str = "OSTRACON_BENCH_PART";

static KEPT: LazyLock<Mutex<Map<String, Value>>> = LazyLock::new(|| {
    let before = env::var_os("OSTRACON_BENCH_REPORT").filter(|_| env::var_os(PART).is_some());
    let before = before.and_then(|dir| fs::read(file_in(&dir)).ok());
    Mutex::new(before.map_or_else(Map::new, |text| serde_json::from_slice(&text).expect("JSON")))
});

fn file_in(dir: &OsStr) -> PathBuf {
    Path::new(dir).join(bench()).with_extension("json")
}

/// Keeps `figures` under `name`, behind what is kept there already, and writes all that is kept.
///
/// Does nothing where `OSTRACON_BENCH_REPORT` is not set.
pub fn record(name: &str, figures: Value) {
    let Some(dir) = env::var_os("OSTRACON_BENCH_REPORT") else {
        return;
    };
    let mut kept = KEPT.lock().expect("not poisoned");
    let list = kept.entry(name).or_insert_with(|| json!([]));
    list.as_array_mut().expect("a list").push(figures);
    fs::create_dir_all(&dir).expect("the directory of the report");
    let path = file_in(&dir);
    let text = serde_json::to_string_pretty(&*kept).expect("JSON");
    fs::write(path, text + "\n").expect("the report is written");
}

/// Keeps a table of figures, each with the quarters below and above.
pub fn record_table<'a>(title: &str, unit: &str, rows: impl IntoIterator<Item = (&'a str, Quartiles)>) {
    let rows: Vec<_> = rows.into_iter().map(|(name, figure)| row(name, figure)).collect();
    record("tables", json!({ "title": title, "unit": unit, "rows": rows }));
}

fn row(name: &str, Quartiles { low, median, high }: Quartiles) -> Value {
    json!({ "name": name, "low": low, "median": median, "high": high })
}

/// The name of the bench that runs: that of its file, without the hash that cargo adds.
fn bench() -> String {
    let program = env::current_exe().expect("this program");
    let name = program.file_stem().expect("a name").to_string_lossy();
    let name = name.rsplit_once('-').map_or(&*name, |(name, _)| name);
    name.to_owned()
}
