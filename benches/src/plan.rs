//! What a run is to do.

use core::time::Duration;

use criterion::Criterion;

/// The sizes that the denylist is measured at, in entries, unless `OSTRACON_BENCH_SIZES` names others.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// The size at which a run that measures nothing tries its cases out, and the least that can be measured: in a smaller
/// store the shards of the prefilter are so empty that a search for its false positives does not end.
const TRIAL: u64 = 10_000;

/// Whether figures are wanted: `cargo bench` asks for them, `cargo test --benches` and `-- --list` do not.
#[must_use]
pub fn measures() -> bool {
    let given = |name: &str| std::env::args().any(|arg| arg == name);
    given("--bench") && !given("--test") && !given("--list")
}

/// Whether `part` of a bench is wanted: where none is named, all are.
#[must_use]
pub fn wants(part: &str) -> bool {
    let named = || std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    named().next().is_none() || named().any(|name| name == part)
}

/// The sizes to measure at, in entries: `OSTRACON_BENCH_SIZES`, numbers with commas between them, or each power of ten
/// from 10^4 to 10^6.
#[must_use]
pub fn sizes() -> Vec<u64> {
    if !measures() {
        return vec![TRIAL];
    }
    let Ok(sizes) = std::env::var("OSTRACON_BENCH_SIZES") else {
        return SIZES.to_vec();
    };
    sizes
        .split(',')
        .map(|size| {
            let size = size.trim().parse().expect("OSTRACON_BENCH_SIZES holds numbers");
            assert!(size >= TRIAL, "OSTRACON_BENCH_SIZES: at least {TRIAL} entries");
            size
        })
        .collect()
}

/// Criterion, told to be brief: the ratios are measured on their own, in turns.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_200))
        .configure_from_args()
}
