//! A header that is read is one JSON object to `serde_json` too, and says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::Header;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = Header::parse(bytes) else { return };
    let json: Value = serde_json::from_slice(bytes).expect("JSON");
    assert_eq!(json["alg"].as_str(), Some(header.alg()));
    assert_eq!(json["kid"].as_str(), header.kid().map(|kid| kid.as_str()));
    for member in ["crit", "b64", "zip", "enc", "cty"] {
        assert!(json.get(member).is_none(), "{member}");
    }
});
