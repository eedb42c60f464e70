//! A saved prefilter is believed as it was saved, or not at all: whatever is changed in it, nothing that it covers is ruled
//! out (I2). What is changed together with its checksum is refused, or is what it would be saved as, and no slower to ask.
//!
//! Input: how many tokens there are, then changes: a place in the file (two bytes, from the front or, with the highest bit,
//! from the back) and what is flipped there.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ostracon_fuzz::take;
use ostracon_store::fuzzing::prefilter::{Believed, saved};

/// Digests as spread as real ones are; those that are saved come first.
fn digest(n: u64) -> [u8; 16] {
    let mix = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let first = mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1));
    [first, mix(first ^ 0x5555)]
        .map(u64::to_be_bytes)
        .concat()
        .try_into()
        .expect("16 bytes")
}

/// Files of so many tokens: none, few, and enough for filters above the least size.
static FILES: LazyLock<Vec<(Vec<[u8; 16]>, Vec<u8>)>> = LazyLock::new(|| {
    [0, 1, 500, 20_000]
        .map(|most| {
            let digests: Vec<_> = (0..most).map(digest).collect();
            let file = saved(&digests, 41).expect("a file");
            (digests, file)
        })
        .to_vec()
});

fuzz_target!(|bytes: &[u8]| {
    // Any bytes at all, behind a good checksum, too.
    let summed = [bytes, &crc32fast::hash(bytes).to_be_bytes()].concat();
    for bytes in [bytes, &summed] {
        if let Some(believed) = Believed::read(bytes) {
            assert_eq!(believed.save().as_deref(), Some(bytes));
        }
    }

    let Some((which, mut changes)) = bytes.split_first() else {
        return;
    };
    let (digests, file) = &FILES[usize::from(*which) % FILES.len()];
    let mut changed = file.clone();
    while let [_, _, flipped, ..] = changes {
        let (place, _) = take(changes);
        let place = usize::from(place & 0x7fff);
        let place = if changes[0] & 0x80 == 0 {
            place
        } else {
            changed.len().wrapping_sub(place + 1)
        };
        if let Some(byte) = changed.get_mut(place) {
            *byte ^= flipped;
        }
        changes = &changes[3..];
    }
    // What is left over cuts the file short.
    changed.truncate(changed.len() - changes.len());

    if let Some(believed) = Believed::read(&changed) {
        assert!(changed == *file, "a changed file is believed");
        assert!(
            digests
                .iter()
                .step_by(1 + digests.len() / 64)
                .all(|digest| believed.may_contain(*digest))
        );
    }
    if let Some((body, _)) = changed.split_last_chunk::<4>() {
        let summed = [body, &crc32fast::hash(body).to_be_bytes()].concat();
        // For whoever looks, it may be for any rate.
        let looked = Believed::look(&summed);
        if let Some(believed) = Believed::read(&summed) {
            assert!(looked.is_some());
            assert!(believed.save() == Some(summed), "it is not what it says");
            let (most, usual) = believed.hashes();
            assert!(most <= usual + 1, "{most} hash functions, where {usual} are usual");
            (1_000_000..1_000_016).for_each(|n| _ = core::hint::black_box(believed.may_contain(digest(n))));
        }
    }
});
