//! What the benchmarks share: names and tokens, filled stores, cases that prove which branch they measure, and ratios.
//!
//! Absolute figures move with the machine and with whatever else runs on it. What is compared is therefore measured in
//! turns, round by round, and reported as a ratio; nothing here passes or fails by a time.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a benchmark that cannot be set up stops, and its figures are for the terminal"
)]

pub mod case;
pub mod issuer;
pub mod listing;
pub mod load;
pub mod names;
pub mod peers;
pub mod plan;
pub mod report;
pub mod rounds;
