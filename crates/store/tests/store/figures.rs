//! What a store says about itself.

use ostracon_core::{Kind, Reason, Revocation, UnixTime};
use ostracon_store::Denylist;

use super::support::{NOW, all_kinds, at, open, options, revocation, snapshot, token};

fn entries(denylist: &Denylist) -> Option<Vec<u64>> {
    let entries = denylist.stats().entries?;
    assert_eq!(entries.map(|(kind, _)| kind), Kind::ALL);
    Some(entries.map(|(_, count)| count).to_vec())
}

fn ending(n: usize, retained_until: UnixTime) -> Revocation {
    Revocation::restored(token(n), None, at(NOW), retained_until, Reason::Logout, None)
}

/// Entries are counted by kind through all that can become of them, and right after any start: after a close because the
/// number was saved, after a kill because they are counted anew.
#[test]
fn entries_are_counted_by_kind_also_after_a_close_and_after_a_kill() {
    for prefilter in [true, false] {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let denylist = Denylist::open(dir.path(), &options(prefilter)).unwrap();
        denylist.settle().unwrap();
        assert_eq!(entries(&denylist).unwrap(), [0; 6]);
        denylist.revoke_many(all_kinds().map(revocation)).unwrap();
        denylist
            .revoke_many((0..100).map(|n| ending(n, at(NOW + 50 + u64::from(n >= 40)))))
            .unwrap();
        denylist.revoke_many(all_kinds().map(revocation)).unwrap();
        denylist.settle().unwrap();
        assert_eq!(
            entries(&denylist).unwrap(),
            [101, 1, 1, 1, 1, 1],
            "repeated, counted once"
        );
        denylist.lift(all_kinds()[1].clone()).unwrap();
        denylist.lift(token(99)).unwrap();
        assert_eq!(denylist.sweep(at(NOW + 50)).unwrap().entries, 40);
        denylist.settle().unwrap();
        let left = [60, 0, 1, 1, 1, 1];
        assert_eq!(entries(&denylist).unwrap(), left);

        snapshot(dir.path(), copy.path());
        let killed = Denylist::open(copy.path(), &options(prefilter)).unwrap();
        killed.settle().unwrap();
        assert_eq!(entries(&killed).unwrap(), left, "counted anew");

        drop(denylist);
        let closed = Denylist::open(dir.path(), &options(prefilter)).unwrap();
        assert_eq!(entries(&closed).unwrap(), left, "at once");
        closed.revoke(revocation(token(1000))).unwrap();
        closed.settle().unwrap();
        // What was saved at the close reckons with nothing later.
        snapshot(dir.path(), copy.path());
        let killed = Denylist::open(copy.path(), &options(prefilter)).unwrap();
        killed.settle().unwrap();
        assert_eq!(entries(&killed).unwrap(), [61, 0, 1, 1, 1, 1]);
    }
}

#[test]
fn commits_effects_sweeps_and_rebuilds_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke_many((0..20).map(|n| ending(n, at(NOW + 10)))).unwrap();
    denylist.revoke(revocation(token(20))).unwrap();
    denylist.settle().unwrap();
    let activity = denylist.stats().activity;
    assert_eq!((activity.commit_records.count, activity.commit_records.sum), (2, 21));
    assert_eq!(activity.commit_nanos.count, 2);
    assert_eq!(activity.effect_nanos.count, 2, "one for each that waited");
    assert!(activity.effect_nanos.sum >= activity.commit_nanos.sum && activity.commit_nanos.sum > 0);
    assert_eq!((activity.rebuilt_shards, activity.failed_commits), (256, 0));
    assert!(activity.since_checkpoint.is_some() && activity.since_sweep.is_none());
    // Said again, it costs no disk, and is no commit.
    denylist.revoke(revocation(token(20))).unwrap();
    assert_eq!(denylist.stats().activity.commit_records.count, 2);
    denylist.sweep(at(NOW + 10)).unwrap();
    let activity = denylist.stats().activity;
    assert_eq!((activity.sweeps, activity.swept), (1, 20));
    assert!(activity.since_sweep.is_some());
}

/// One write alone is in a checkpoint before long, without anybody asking: the next start has nothing to replay.
#[test]
fn a_lone_write_comes_to_be_in_a_checkpoint_by_itself() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    denylist.settle().unwrap();
    denylist.revoke(revocation(token(1))).unwrap();
    let mut tries = 0..500;
    loop {
        snapshot(dir.path(), copy.path());
        let killed = Denylist::open(copy.path(), &options(true)).unwrap();
        if killed.replayed() == 0 {
            break;
        }
        assert!(tries.next().is_some(), "it is in none");
        drop(killed);
        std::thread::yield_now();
    }
}
