//! What a denylist asks of a storage engine, asked of three and of the denylist: rows and an index by end of retention, groups that are on the
//! disk when they are answered, look-ups, and expiry through the index.
//!
//! `cargo run --release --manifest-path benches/engines/Cargo.toml [ENTRIES]`; where `OSTRACON_BENCH_REPORT` names a directory,
//! the figures go into its `engines.json`, too.

mod engines;

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use engines::{Engine, Entry, Fjall, Redb, Sled};
use ostracon_store::Denylist;
use serde_json::{Value, json};

/// Bytes of a row: about what a revocation of a token takes.
const ROW: usize = 100;
/// Entries that expire in one batch, as the sweeper has them.
const BATCH: usize = 512;
/// Durable groups of each size, the largest being a bulk load's.
const GROUPS: [(usize, usize); 4] = [(1, 1_000), (8, 500), (64, 200), (8_192, usize::MAX)];
/// Look-ups of each sort.
const LOOKUPS: u64 = 20_000;

fn main() {
    let entries = env::args()
        .nth(1)
        .map_or(200_000, |n| n.parse().expect("a number of entries"));
    println!("{entries} entries, rows of {ROW} bytes\n");
    println!(
        "| engine | durable, groups of 1 | of 8 | of 64 | of 8192 | absent, half / 99 % | present, half / 99 % | expiry | disk, bytes an entry |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    let engines = [
        measure::<Denylist>("Ostracon, on sled", entries),
        measure::<Sled>("sled 0.34", entries),
        measure::<Redb>("redb 4.6", entries),
        measure::<Fjall>("fjall 3.1", entries),
    ];
    if let Some(dir) = env::var_os("OSTRACON_BENCH_REPORT") {
        let text = format!(
            "{:#}\n",
            json!({ "entries": entries, "row_bytes": ROW, "engines": engines })
        );
        fs::create_dir_all(&dir).expect("the directory of the report");
        fs::write(Path::new(&dir).join("engines.json"), text).expect("the report is written");
    }
}

/// Entry number `n`: a key as even as a keyed hash is, one of a hundred ends of retention.
fn entry(n: u64) -> Entry {
    let mix = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let first = mix(n.wrapping_add(0x9e37_79b9_7f4a_7c15));
    let key = [first, mix(first ^ 0x5555)].map(u64::to_be_bytes).concat();
    Entry {
        key: key.try_into().expect("16 bytes"),
        row: [b'r'; ROW],
        due: 1_790_000_000 + n % 100,
    }
}

fn measure<E: Engine>(name: &str, entries: u64) -> Value {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = E::open(dir.path());
    let mut next = 0;
    let rates = GROUPS.map(|(size, times)| {
        let (from, began) = (next, Instant::now());
        for _ in 0..times {
            if next >= entries {
                break;
            }
            let group: Vec<_> = (0..size as u64).map(|n| entry(next + n)).collect();
            engine.put(&group);
            next += size as u64;
        }
        // None where the groups before it have had all there was.
        (next > from).then(|| (next - from) as f64 / began.elapsed().as_secs_f64())
    });
    engine.rest();
    let absent = latencies(|n| assert!(!engine.holds(&entry((1 << 40) + n).key)));
    let step = (next / LOOKUPS).max(1);
    let present = latencies(|n| assert!(engine.holds(&entry(n * step % next).key)));
    let disk = bytes_in(dir.path()) / next;

    let (mut gone, began) = (0, Instant::now());
    loop {
        let dropped = engine.expire(1_790_000_000 + 49, BATCH);
        gone += dropped as u64;
        if dropped == 0 {
            break;
        }
    }
    let expiry = gone as f64 / began.elapsed().as_secs_f64();
    assert_eq!(gone, (0..next).filter(|n| n % 100 < 50).count() as u64);
    assert!(!engine.holds(&entry(0).key) && engine.holds(&entry(50).key));

    // What was answered is there when it is opened again.
    drop(engine);
    let engine = E::open(dir.path());
    assert!(!engine.holds(&entry(0).key) && engine.holds(&entry(next / 100 * 100 - 1).key));

    let shown = rates.map(|rate| rate.map_or("-".to_owned(), |rate| format!("{:.1} k/s", rate / 1e3)));
    let [one, eight, many, bulk] = shown;
    let [told_absent, told_present] =
        [absent, present].map(|[half, most]| format!("{} / {} µs", micros(half), micros(most)));
    println!(
        "| {name} | {one} | {eight} | {many} | {bulk} | {told_absent} | {told_present} | {:.1} k/s | {disk} |",
        expiry / 1e3
    );
    let groups = GROUPS
        .iter()
        .zip(rates)
        .map(|((size, _), rate)| json!({ "entries": size, "a_second": rate }));
    let nanos =
        |[half, most]: [Duration; 2]| json!({ "p50_ns": half.as_nanos() as u64, "p99_ns": most.as_nanos() as u64 });
    json!({
        "name": name, "groups": groups.collect::<Value>(), "absent": nanos(absent), "present": nanos(present),
        "expiry_a_second": expiry, "disk_bytes_an_entry": disk,
    })
}

/// The time that half and that 99 in a hundred of the look-ups stayed within, each of them for the second time: what the
/// first ask for has to be read.
fn latencies(call: impl Fn(u64)) -> [Duration; 2] {
    (0..LOOKUPS).for_each(&call);
    let mut taken: Vec<_> = (0..LOOKUPS)
        .map(|n| {
            let began = Instant::now();
            call(n);
            began.elapsed()
        })
        .collect();
    taken.sort();
    [50, 99].map(|hundredths| taken[(taken.len() - 1) * hundredths / 100])
}

fn micros(took: Duration) -> String {
    format!("{:.1}", took.as_secs_f64() * 1e6)
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir)
        .expect("readable")
        .map(|entry| entry.expect("readable"));
    entries
        .map(|entry| match entry.metadata().expect("readable") {
            data if data.is_dir() => bytes_in(&entry.path()),
            // Blocks that are taken, not lengths: some engines make room ahead.
            data => std::os::unix::fs::MetadataExt::blocks(&data) * 512,
        })
        .sum()
}
