//! What was measured in turns, printed and kept.

pub use ostracon_figures::rounds::{Quartiles, Rounds, nanos};

use crate::report;

/// Prints a row for each case: its name, and the nanoseconds of a call.
pub fn print_figures(rounds: &Rounds, heading: &str) {
    println!("\n| {heading} | median | half of the rounds lie in |\n|---|---:|---:|");
    for name in rounds.names() {
        let Quartiles { low, median, high } = rounds.of_case(name);
        println!("| {name} | {} | {} to {} |", nanos(median), nanos(low), nanos(high));
    }
    let figures = rounds.names().map(|name| (name, rounds.of_case(name)));
    report::record_table(heading, "ns", figures);
}

/// Prints a table of ratios: what, how many times, and the middle half of the rounds.
pub fn print_ratios(heading: &str, rows: &[(String, Quartiles)]) {
    println!("\n| {heading} | ratio | half of the rounds lie in |\n|---|---:|---:|");
    for (what, Quartiles { low, median, high }) in rows {
        println!("| {what} | {median:.2} | {low:.2} to {high:.2} |");
    }
    println!();
    report::record_table(
        heading,
        "ratio",
        rows.iter().map(|(what, ratio)| (what.as_str(), *ratio)),
    );
}
