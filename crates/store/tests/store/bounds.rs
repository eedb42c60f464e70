//! What a journal may come to. Counted, so that it is the same on every machine.

use ostracon_core::{Policy, Reason, Revocation};
use ostracon_store::Denylist;

use crate::support::{NOW, at, open, options, token};

/// A segment of these tests, and the group that may overrun it.
const SEGMENT: u64 = 2048 + 1200;

fn ending(n: usize, now: u64) -> Revocation {
    let policy = Policy::default();
    Revocation::new(token(n), Reason::Logout, &policy, at(now)).expiring(at(now + 600), &policy)
}

/// Alone in its group, an entry costs its row and some thirty bytes; in a group, its row and seven.
#[test]
fn a_record_takes_its_row_and_little_more() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let before = denylist.stats().journal_bytes;
    for n in 0..100 {
        denylist.revoke(ending(n, NOW)).unwrap();
    }
    let alone = denylist.stats().journal_bytes - before;
    assert!(alone <= 100 * 96, "{alone}");
    let dir = tempfile::tempdir().unwrap();
    let large = ostracon_store::Options {
        segment_bytes: 1 << 20,
        ..options(true)
    };
    let denylist = Denylist::open(dir.path(), &large).unwrap();
    let before = denylist.stats().journal_bytes;
    denylist.revoke_many((0..1000).map(|n| ending(n, NOW))).unwrap();
    let grouped = denylist.stats().journal_bytes - before;
    assert!(grouped <= 1000 * 64, "{grouped}");
}

/// As many come in as end: the journal has what is live, the segment that is open, and the one that is about to go.
#[test]
fn a_journal_in_steady_churn_is_bounded_by_what_is_live() {
    const WINDOW: usize = 10;
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let mut most = (0, 0);
    let mut written = 0;
    for n in 0..100_usize {
        let now = NOW + 1000 * u64::try_from(n).unwrap();
        let before = denylist.stats().journal_bytes;
        denylist
            .revoke_many((n * 20..n * 20 + 20).map(|m| ending(m, now)))
            .unwrap();
        written += denylist.stats().journal_bytes.saturating_sub(before);
        if n >= WINDOW {
            let ended = now - 1000 * u64::try_from(WINDOW).unwrap();
            let until = Policy::default().forgettable(at(ended + 600));
            assert_eq!(denylist.sweep(until).unwrap().entries, 20);
        }
        denylist.settle().unwrap();
        let stats = denylist.stats();
        most = (most.0.max(stats.journal_bytes), most.1.max(stats.journal_segments));
    }
    let live = u64::try_from(WINDOW + 1).unwrap() * 20 * 64;
    assert!(
        most.0 <= live + 2 * SEGMENT,
        "{} bytes for {live} that are live",
        most.0
    );
    assert!(u64::try_from(most.1).unwrap() <= live / 2048 + 3, "{} segments", most.1);
    assert!(written > 5 * most.0, "segments went");
}

/// What waits for the engine is bounded in bytes, however fast it comes: writers wait then, and lose nothing.
#[test]
fn what_waits_for_the_engine_is_bounded_in_bytes() {
    // A change takes more than this, so no more of them fit in; and each writer may be one call ahead.
    const CHANGE: usize = 128;
    const WRITERS: usize = 4;
    const CALLS: usize = 40;
    const AT_ONCE: usize = 256;
    let pending = 64 << 10;
    let dir = tempfile::tempdir().unwrap();
    let options = ostracon_store::Options {
        pending_bytes: pending,
        segment_bytes: 1 << 20,
        ..options(true)
    };
    let denylist = Denylist::open(dir.path(), &options).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let denylist = &denylist;
            scope.spawn(move || {
                for call in (0..CALLS).map(|call| call * WRITERS + writer) {
                    let tokens = call * AT_ONCE..(call + 1) * AT_ONCE;
                    denylist.revoke_many(tokens.map(|n| ending(n, NOW))).unwrap();
                    let waiting = denylist.stats().waiting;
                    assert!(
                        waiting <= pending / CHANGE + WRITERS * AT_ONCE,
                        "{waiting} changes wait"
                    );
                }
            });
        }
    });
    // A group that is larger than the bound is let in all the same, once there is nothing else.
    let first = WRITERS * CALLS * AT_ONCE;
    denylist
        .revoke_many((first..first + 8192).map(|n| ending(n, NOW)))
        .unwrap();
    denylist.settle().unwrap();
    assert_eq!(denylist.stats().waiting, 0);
    let entries = denylist.stats().entries.unwrap().map(|(_, count)| count);
    assert_eq!(
        entries.iter().sum::<u64>(),
        u64::try_from(first).unwrap() + 8192,
        "all that was acknowledged is in the engine"
    );
}
