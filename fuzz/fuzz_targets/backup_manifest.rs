//! A manifest is read from any bytes without a panic, leads nowhere outside its directory, and is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ostracon_store::fuzzing::fuzz_manifest(bytes));
