//! Any bytes as a row of the store, as they stand and behind the checksum that would else keep them all out.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    ostracon_store::fuzzing::fuzz_row(bytes);
    let mut summed = bytes.to_vec();
    summed.extend_from_slice(&crc32fast::hash(bytes).to_be_bytes());
    ostracon_store::fuzzing::fuzz_row(&summed);
});
