//! Makes the page of the report from what the benches have kept; `scripts/report` runs it.
//!
//! `report environment DIR` writes down where and on what they run, before they do; `report page DIR` draws the plots and writes the
//! page, from whatever of it is there.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a report that cannot be made stops"
)]

mod aims;
mod environment;
mod figures;
mod page;
mod plots;

use std::{env, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    match (arguments.next().as_deref(), arguments.next().map(PathBuf::from)) {
        (Some("environment"), Some(dir)) => environment::write(&dir),
        (Some("page"), Some(dir)) => page::write(&dir),
        _ => {
            eprintln!("report environment DIR, or report page DIR");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
