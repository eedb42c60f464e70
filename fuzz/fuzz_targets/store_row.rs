//! Any bytes as a row of the store.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ostracon_store::fuzzing::fuzz_row(bytes));
