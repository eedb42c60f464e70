//! What is read of the audit log is what was written, up to where something is wrong; and something is wrong wherever a
//! byte was changed.
//!
//! Input: records, each a length (two bytes) and a text, up to a length of zero; behind it changes, each a place (two
//! bytes) and what is flipped there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostracon_core::UnixTime;
use ostracon_fuzz::take;
use ostracon_store::{
    audit::{Content, Record},
    fuzzing::audit::{chained, read, written},
};

fuzz_target!(|bytes: &[u8]| {
    is_what_was_written(bytes);
    let (mut parts, mut rest) = (Vec::new(), bytes);
    loop {
        let (length, behind) = take(rest);
        let (part, behind) = behind.split_at(behind.len().min(usize::from(length)));
        rest = behind;
        if part.is_empty() {
            break;
        }
        parts.push(part);
    }
    // Whatever stands in them, under all the checksums that there are.
    is_what_was_written(&chained(&parts));

    let texts = parts.iter().filter_map(|part| core::str::from_utf8(part).ok());
    let records: Vec<_> = (1_790_000_000..)
        .map(UnixTime::from_secs)
        .zip(texts.map(|text| Content::Text(text.into())))
        .collect();
    let Some(good) = written(&records, rest.len() % 3 == 1) else {
        return;
    };
    let said = |found: &[Record]| {
        found
            .iter()
            .map(|record| (record.at, record.content.clone()))
            .collect::<Vec<_>>()
    };
    let found = read(&good).expect("a header");
    assert!(found.whole && found.good_bytes == good.len());
    assert_eq!(said(&found.records), records);

    let mut changed = good.clone();
    while let [_, _, flipped, ..] = rest {
        let (place, _) = take(rest);
        if let Some(byte) = changed.get_mut(usize::from(place)) {
            *byte ^= flipped;
        }
        rest = &rest[3..];
    }
    if changed != good {
        let first = changed.iter().zip(&good).position(|(one, other)| one != other);
        if let Some(found) = read(&changed) {
            assert!(!found.whole, "a changed byte shows");
            assert!(records.starts_with(&said(&found.records)), "nothing is made up");
            assert!(found.good_bytes <= first.expect("a change"));
        }
    }
    // Cut short as by a crash, it is what was written before.
    let cut = &good[..good.len() - rest.len().min(good.len())];
    if let Some(found) = read(cut) {
        assert!(records.starts_with(&said(&found.records)));
        assert_eq!(found.whole, found.good_bytes == cut.len());
    }
});

/// What is good of a segment is, byte for byte, what its records would be written as.
fn is_what_was_written(bytes: &[u8]) {
    if let Some(found) = read(bytes) {
        let again = found.again.expect("records that can be written");
        // Only the frame that ends a segment is not a record.
        assert!(bytes[..found.good_bytes].starts_with(&again));
        assert!(found.records.iter().map(|record| record.number).is_sorted());
    }
}
