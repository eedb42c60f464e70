//! `ostracon bench`: that it measures what it says, and leaves nothing behind. What it measures is the machine's business.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ostracon_tests::binary;
use serde_json::Value;

fn bench(dir: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(binary());
    command
        .args(["bench", "--entries", "1k,2k", "--dir"])
        .arg(dir)
        .args(arguments);
    let done = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

#[test]
fn the_trade_off_is_measured_told_and_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let plot = dir.path().join("plot.svg");
    let (status, told, _) = bench(dir.path(), &["--json", "--plot", plot.to_str().unwrap()]);
    assert_eq!(status, 0);
    let told: Value = serde_json::from_str(&told).unwrap();
    let sizes = told["sizes"].as_array().unwrap();
    assert_eq!(sizes.len(), 2);
    for size in sizes {
        for (check, name) in size["checks"].as_array().unwrap().iter().zip(["not listed", "listed"]) {
            assert_eq!(check["name"], name);
            for figure in ["on_ns", "off_ns", "off_by_on"] {
                let figure = &check[figure];
                let [low, median, high] = ["low", "median", "high"].map(|part| figure[part].as_f64().unwrap());
                assert!(0.0 < low && low <= median && median <= high, "{figure}");
            }
        }
        let rate = size["false_positive_rate"]["measured"].as_f64().unwrap();
        assert!(rate < 0.002, "twice what it is built for: {rate}");
        let writers = size["durable_writes"].as_array().unwrap().iter();
        let writers: Vec<_> = writers
            .map(|by| (&by["writers"], by["a_second"].as_f64().unwrap() > 0.0))
            .collect();
        assert_eq!(writers, [(&1.into(), true), (&8.into(), true)]);
    }
    let plot = fs::read_to_string(&plot).unwrap();
    assert!(plot.starts_with("<svg ") && plot.contains("not listed, on") && plot.contains("prefers-color-scheme"));
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "the plot is all that is left"
    );
}

#[test]
fn people_get_a_table_and_what_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (status, told, _) = bench(dir.path(), &[]);
    assert_eq!(status, 0);
    for part in ["not listed", "off / on", "durable revocations a second", "2 k"] {
        assert!(told.contains(part), "{told}");
    }
    for (arguments, problem) in [
        (&["--entries", "12"][..], "1k to 100M is possible"),
        (&["--false-positive-rate", "0.5"], "0.000001 to 0.1 is possible"),
        (&["--dir", "/proc/nowhere"], "--dir: no directory can be made there"),
    ] {
        let done = Command::new(binary()).arg("bench").args(arguments).output().unwrap();
        let said = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{said}");
        assert!(said.contains(problem), "{said}");
    }
}

#[test]
fn who_is_told_to_end_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command.args(["bench", "--entries", "1M", "--dir"]).arg(dir.path());
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // Until there is an engine, far from all of its entries.
    let is_filling = || {
        let made = fs::read_dir(dir.path()).unwrap().next();
        made.is_some_and(|made| made.unwrap().path().join("1000000-on/sled").is_dir())
    };
    while !is_filling() {
        assert!(begun.elapsed() < Duration::from_mins(1), "no store was made");
        thread::sleep(Duration::from_millis(10));
    }
    let told = Command::new("kill")
        .args(["-s", "TERM", &running.id().to_string()])
        .status();
    assert!(told.unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(1));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
