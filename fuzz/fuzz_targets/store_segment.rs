//! Any bytes as a segment of the journal.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ostracon_store::fuzzing::fuzz_segment(bytes));
