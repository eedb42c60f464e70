//! The program `ostracon`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
