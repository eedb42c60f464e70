use std::collections::VecDeque;

use ostracon_core::Kind;

use super::{
    saved::{Refused, SavedFile},
    *,
};
use crate::keeper::rebuilt_a_turn;

/// As spread as real digests are.
fn spread(n: u64) -> Digest {
    let mix = |n: u64| {
        let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    };
    let first = mix(n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1));
    let halves = [first, mix(first ^ 0x5555)];
    Digest::from_bytes(halves.map(u64::to_be_bytes).concat().try_into().unwrap())
}

/// The same, but all in shard 0.
fn digest(n: u64) -> Digest {
    let mut bytes = *spread(n).as_bytes();
    bytes[0] = 0;
    Digest::from_bytes(bytes)
}

fn rebuilt(prefilter: &Prefilter, held: &[Digest], load: Load) {
    prefilter.begin_rebuild(0);
    prefilter.finish_rebuild(0, held, Kinds::default(), load);
}

fn is_due(prefilter: &Prefilter, load: Load) -> bool {
    prefilter.look_again();
    prefilter.due_shards(load).contains(&0)
}

#[test]
fn without_a_filter_everything_may_be_listed() {
    let prefilter = Prefilter::new(0.001);
    assert!(prefilter.may_contain(&digest(1)));
    assert_eq!(
        (prefilter.missing(), prefilter.due_shards(Load::Quiet).len()),
        (SHARDS, SHARDS)
    );
    let figures = prefilter.figures();
    assert_eq!((figures.expected_rate, figures.measured_rate), (1.0, None));
}

#[test]
fn i2_what_is_inserted_around_a_rebuild_is_covered_and_the_old_filter_serves_meanwhile() {
    let prefilter = Prefilter::new(0.001);
    prefilter.insert(digest(1), Kind::Token);
    prefilter.begin_rebuild(0);
    prefilter.insert(digest(2), Kind::Token);
    prefilter.finish_rebuild(0, &[digest(1)], Kinds::default(), Load::Quiet);
    prefilter.insert(digest(3), Kind::Token);
    assert!((1..=3).all(|n| prefilter.may_contain(&digest(n))));
    assert_eq!(prefilter.missing(), SHARDS - 1);

    prefilter.begin_rebuild(0);
    prefilter.insert(digest(4), Kind::Token);
    assert!((1..=4).all(|n| prefilter.may_contain(&digest(n))));
    assert!(!prefilter.may_contain(&digest(5)), "it need not wait for the new one");
    prefilter.abandon_rebuild(0);
    assert!((1..=4).all(|n| prefilter.may_contain(&digest(n))));
}

#[test]
fn i2_a_kind_is_ruled_out_only_when_every_shard_was_read_and_none_held_it() {
    let prefilter = Prefilter::new(0.001);
    let ruled_out = || {
        Kind::ALL
            .into_iter()
            .filter(|k| !prefilter.may_contain_any(*k))
            .collect::<Vec<_>>()
    };
    let clients = Kinds::of(Kind::Client);
    for shard in 0..=u8::MAX {
        assert_eq!(ruled_out(), [], "shard {shard} is missing");
        let kinds = if shard == u8::MAX { clients } else { Kinds::default() };
        prefilter.finish_rebuild(shard, &[], kinds, Load::Quiet);
    }
    assert_eq!(
        ruled_out(),
        [Kind::Token, Kind::Session, Kind::Subject, Kind::Key, Kind::Issuer]
    );
    prefilter.insert(digest(1), Kind::Issuer);
    prefilter.finish_rebuild(0, &[digest(1)], Kinds::default(), Load::Quiet);
    assert_eq!(ruled_out(), [Kind::Token, Kind::Session, Kind::Subject, Kind::Key]);
}

#[test]
fn a_shard_asks_to_be_rebuilt_when_overfull_half_gone_or_in_quiet_times_larger_than_it_need_be() {
    let prefilter = Prefilter::new(0.001);
    let held: Vec<_> = (0..1000).map(digest).collect();
    rebuilt(&prefilter, &held, Load::Quiet);
    assert!(!is_due(&prefilter, Load::Quiet));
    (900..1020).for_each(|n| prefilter.insert(digest(n), Kind::Token));
    assert!(
        !is_due(&prefilter, Load::Quiet),
        "at its capacity: what was there before takes no room"
    );
    (1020..1030).for_each(|n| prefilter.insert(digest(n), Kind::Token));
    assert!(is_due(&prefilter, Load::Quiet) && is_due(&prefilter, Load::Busy));

    rebuilt(&prefilter, &held, Load::Busy);
    assert!(!is_due(&prefilter, Load::Busy), "it has room");
    assert!(is_due(&prefilter, Load::Quiet), "that it does not need any more");
    prefilter.look_again();
    assert!(!prefilter.due_shards(Load::Busy).contains(&0));
    assert!(prefilter.due_shards(Load::Quiet).contains(&0), "nor is that forgotten");
    (1000..1499).for_each(|n| prefilter.insert(digest(n), Kind::Token));
    assert!(!is_due(&prefilter, Load::Busy), "at its capacity");

    rebuilt(&prefilter, &held, Load::Quiet);
    held.iter().take(15).for_each(|d| prefilter.note_gone(d));
    assert!(!is_due(&prefilter, Load::Quiet));
    prefilter.note_gone(&held[15]);
    assert!(is_due(&prefilter, Load::Quiet), "too large for what is left");
    held.iter().take(500 - 16).for_each(|d| prefilter.note_gone(d));
    assert!(!is_due(&prefilter, Load::Busy), "half");
    prefilter.note_gone(&held[500]);
    assert!(is_due(&prefilter, Load::Busy), "more than half is stale");
}

#[test]
fn false_positives_are_as_rare_as_asked_and_told_as_they_are() {
    for rate in [0.1, 0.01, 0.001] {
        let prefilter = Prefilter::new(rate);
        // Filled up to its capacity, where it is at its worst.
        rebuilt(&prefilter, &(0..20_000).map(digest).collect::<Vec<_>>(), Load::Busy);
        (20_000..30_000).for_each(|n| prefilter.insert(digest(n), Kind::Token));
        let unlisted = (30_000..130_000).map(digest);
        let wrong: Vec<_> = unlisted.filter(|d| prefilter.may_contain(d)).collect();
        for digest in &wrong {
            prefilter.note_absent(digest);
        }
        let figures = prefilter.figures();
        let measured = figures.measured_rate.unwrap();
        assert!(
            measured < rate * 1.2 && measured > rate / 1.5,
            "asked {rate}, measured {measured}"
        );
        assert_eq!(figures.false_positives, u64::try_from(wrong.len()).unwrap());
        assert_eq!(figures.false_positives + figures.ruled_out, 100_000);

        let shard = unpoisoned(prefilter.slots[0].shard.read());
        let expected = shard.expected();
        let ratio = expected.rate / measured;
        assert!(
            (0.8..1.25).contains(&ratio),
            "expected {}, measured {measured}",
            expected.rate
        );
        // All but the first bytes, which are the filter's own header, are its bits.
        let filter = shard.filter.as_ref().unwrap();
        let bits = &filter.as_slice()[filter.as_slice().len() - usize::try_from(filter.len() / 8).unwrap()..];
        let set: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
        let fill = f64::from(set) / float(filter.len());
        assert!((expected.fill - fill).abs() < 0.01, "{} against {fill}", expected.fill);
    }
}

/// No set of `n` keys that is wrong about one in `1 / rate` others can be told in less than `n log2(1 / rate)` bits.
#[test]
fn quiet_filters_take_at_most_one_and_a_half_times_the_least_that_any_could() {
    const LIVE: u64 = 1 << 20;
    let rate: f64 = 0.001;
    let prefilter = Prefilter::new(rate);
    let shard_of = |n: u64| usize::from(spread(n).shard());
    let mut shards = vec![VecDeque::new(); SHARDS];
    (0..LIVE).for_each(|n| shards[shard_of(n)].push_back(n));
    let (mut first, mut next) = (0, LIVE);
    // Built, and then while a twentieth at a time expires and as many come.
    for _ in 0..3 {
        for shard in prefilter.due_shards(Load::Quiet) {
            let held: Vec<_> = shards[usize::from(shard)].iter().map(|n| spread(*n)).collect();
            prefilter.begin_rebuild(shard);
            prefilter.finish_rebuild(shard, &held, Kinds::default(), Load::Quiet);
        }
        assert!(prefilter.due_shards(Load::Quiet).is_empty(), "one pass is enough");
        let least = float(LIVE) * (1.0 / rate).log2() / 8.0;
        let taken = float(u64::try_from(prefilter.bytes()).unwrap()) / least;
        assert!((1.44..=1.5).contains(&taken), "{taken}");
        for _ in 0..LIVE / 20 {
            shards[shard_of(next)].push_back(next);
            prefilter.insert(spread(next), Kind::Token);
            shards[shard_of(first)].pop_front();
            prefilter.note_gone(&spread(first));
            (first, next) = (first + 1, next + 1);
        }
    }
}

/// A flood that grows a store to many times its size outruns no rebuild: what a turn may rebuild keeps up with what it
/// wrote, so that no filter is ever much fuller than it was made for.
#[test]
fn filters_keep_up_with_a_flood() {
    const TURN: u64 = 30_000;
    let prefilter = Prefilter::new(0.01);
    let mut shards = vec![Vec::new(); SHARDS];
    for turn in 0..25 {
        for digest in (turn * TURN..(turn + 1) * TURN).map(spread) {
            shards[usize::from(digest.shard())].push(digest);
            prefilter.insert(digest, Kind::Token);
        }
        let (mut rebuilt, enough) = (0, rebuilt_a_turn(usize::try_from(TURN).unwrap()));
        for shard in prefilter.due_shards(Load::Busy) {
            if rebuilt >= enough {
                prefilter.look_again();
                break;
            }
            let held = &shards[usize::from(shard)];
            prefilter.begin_rebuild(shard);
            prefilter.finish_rebuild(shard, held, Kinds::default(), Load::Busy);
            rebuilt += held.len();
        }
        let rate = prefilter.figures().expected_rate;
        assert!(turn < 2 || rate < 0.02, "turn {turn}: {rate}");
    }
}

const STORE: [u8; 16] = [7; 16];

/// Filters of a thousand in shard 0 and of nothing else, saved in `dir`.
fn saved_in(dir: &std::path::Path) -> (SavedFile, Vec<u8>) {
    let prefilter = Prefilter::new(0.001);
    let file = SavedFile::of(dir, STORE, Some([5; 16]));
    assert!(!file.write(&prefilter, 1).unwrap(), "not before all are built");
    for shard in 0..=u8::MAX {
        prefilter.finish_rebuild(shard, &[], Kinds::of(Kind::Session), Load::Quiet);
    }
    rebuilt(&prefilter, &(0..1000).map(digest).collect::<Vec<_>>(), Load::Quiet);
    prefilter.note_gone(&digest(0));
    assert!(file.write(&prefilter, 41).unwrap());
    let bytes = std::fs::read(dir.join("prefilter")).unwrap();
    (file, bytes)
}

#[test]
fn i2_what_was_saved_comes_back_once() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _) = saved_in(dir.path());
    let saved = file.take(0.001).unwrap().unwrap();
    assert_eq!((saved.covers.0, saved.prefilter.missing()), (41, 0));
    assert!((0..1000).all(|n| saved.prefilter.may_contain(&digest(n))));
    assert!(!saved.prefilter.may_contain(&digest(1000)));
    let kinds = Kind::ALL.map(|kind| saved.prefilter.may_contain_any(kind));
    assert_eq!(kinds, [false, true, false, false, false, false]);
    let shard = unpoisoned(saved.prefilter.slots[0].shard.read());
    assert_eq!((shard.capacity, shard.inserted, shard.gone), (1020, 1000, 1));
    assert!(file.take(0.001).unwrap().is_none(), "whoever opens takes it away");
}

#[test]
fn i2_a_file_that_is_cut_flipped_or_of_another_store_or_rate_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (file, good) = saved_in(dir.path());
    let put = |bytes: &[u8]| std::fs::write(dir.path().join("prefilter"), bytes).unwrap();
    for length in (0..good.len()).step_by(97).chain([good.len() - 1]) {
        put(&good[..length]);
        assert!(file.take(0.001).unwrap().is_none(), "cut at {length}");
    }
    for at in (0..good.len()).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        put(&bad);
        assert!(file.take(0.001).unwrap().is_none(), "byte {at}");
    }
    put(&good);
    assert!(file.take(0.01).unwrap().is_none(), "another rate");
    put(&good);
    assert!(
        SavedFile::of(dir.path(), [8; 16], Some([5; 16]))
            .take(0.001)
            .unwrap()
            .is_none(),
        "another store"
    );

    put(&good);
    for run in [Some([6; 16]), None] {
        let of_another = SavedFile::of(dir.path(), STORE, run);
        assert!(of_another.take(0.001).unwrap().is_none(), "another opening's");
        put(&good);
    }

    // With a checksum that fits, too, the rest has to make sense.
    let mut newer = good[..good.len() - 4].to_vec();
    newer[11] = 3;
    newer.extend(crc32fast::hash(&newer).to_be_bytes());
    assert_eq!(saved::decode(&newer, &STORE, 0.001).unwrap_err(), Refused::Format(3));
    // The last byte of the first shard's capacity, and how many hash functions its filter has: with more of them than it
    // was made with, it would rule out what it covers, or keep each check busy for minutes.
    for (at, flipped) in [(68, 4), (98, 1), (101, 0x80)] {
        let mut other = good[..good.len() - 4].to_vec();
        other[at] ^= flipped;
        other.extend(crc32fast::hash(&other).to_be_bytes());
        assert_eq!(
            saved::decode(&other, &STORE, 0.001).unwrap_err(),
            Refused::Content,
            "{at}"
        );
    }
    // None at all, of which no filter can be made.
    let mut other = good[..good.len() - 4].to_vec();
    other[61..69].fill(0);
    other.extend(crc32fast::hash(&other).to_be_bytes());
    assert_eq!(saved::decode(&other, &STORE, 0.001).unwrap_err(), Refused::Content);
    // A look takes the rate from the file. None that is no rate: the size of a filter cannot be reckoned from it.
    for rate in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut other = good[..good.len() - 4].to_vec();
        other[44..52].copy_from_slice(&rate.to_be_bytes());
        other.extend(crc32fast::hash(&other).to_be_bytes());
        put(&other);
        assert_eq!(file.look().unwrap(), Some(Err(Refused::Rate)), "{rate}");
    }

    put(&good);
    assert!(file.take(0.001).unwrap().is_some(), "nothing was wrong with the rest");
}
