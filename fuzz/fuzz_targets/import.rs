//! Files of any bytes are imported without a panic; what is read is written and read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| ostracon_server::transfer::fuzzing::fuzz_import(bytes));
