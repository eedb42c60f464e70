//! What the figures were measured on.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::json;

/// Writes `environment.json`. Nothing in it names the machine, its user or a place on it.
pub(crate) fn write(dir: &Path) {
    fs::create_dir_all(dir).expect("the directory of the report");
    let line = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        found.map(|(_, value)| value.trim().to_owned())
    };
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let changed = said("git", &["status", "--porcelain", "--", ":!benches/report"]).is_some();
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    #[expect(
        clippy::disallowed_methods,
        reason = "a report has a date, and no clock is passed to it"
    )]
    let now = std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let told = json!({
        "processor": line("/proc/cpuinfo", "model name"),
        "processors": thread::available_parallelism().map_or(1, usize::from),
        "memory": line("/proc/meminfo", "MemTotal"),
        "kernel": kernel.trim(),
        "file_system": said("findmnt", &["-no", "FSTYPE", "-T", "."]),
        "rustc": said("rustc", &["--version"]),
        "redis": said("redis-server", &["--version"]).and_then(|text| text.split_whitespace().nth(2).map(str::to_owned)),
        "node": said("node", &["--version"]),
        "commit": commit.map(|commit| if changed { commit + ", with changes" } else { commit }),
        "at_secs": now.as_secs(),
        "load_before": load.split_whitespace().next(),
    });
    let text = format!("{told:#}\n");
    fs::write(dir.join("environment.json"), text).expect("written");
}
