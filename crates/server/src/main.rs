//! The program `ostracon`.

mod cli;

use std::process::ExitCode;

/// What the C library's would not give back: sled frees by one thread what another allocated, and in pieces.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::main()
}
