//! What listeners are told: all that the journal has, once and in its order, however they come and go.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Barrier, atomic::AtomicUsize, atomic::Ordering::SeqCst},
    task::{Context, Poll, Wake},
    thread,
};

use ostracon_core::{Policy, Reason, Revocation, Target};
use ostracon_store::{Changes, Denylist, Event, StoreError};
use proptest::prelude::*;

use crate::support::{NOW, all_kinds, at, denied, open, options, revocation, segments, snapshot, token};

/// The next page, from memory or else from the journal; empty where there is nothing more.
fn page(changes: &mut Changes, limit: usize) -> Result<Vec<(u64, Event)>, StoreError> {
    loop {
        let before = changes.position();
        let events = match changes.ready(limit) {
            Some(events) => events,
            None => changes.read_back(limit)?,
        };
        if !events.is_empty() || changes.position() == before {
            return Ok(events);
        }
    }
}

/// All there is.
fn all(changes: &mut Changes) -> Vec<(u64, Event)> {
    let pages = std::iter::from_fn(|| Some(page(changes, 7).unwrap()).filter(|events| !events.is_empty()));
    pages.flatten().collect()
}

fn told(events: Vec<(u64, Event)>) -> Vec<Event> {
    events.into_iter().map(|(_, event)| event).collect()
}

#[test]
fn a_change_is_told_once_durable_and_visible_and_nothing_else_is() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    denylist.revoke(revocation(token(0))).unwrap();
    let mut changes = denylist.changes();
    assert_eq!(changes.ready(9), Some(Vec::new()), "from now on");
    let targets = all_kinds();
    for target in &targets {
        denylist.revoke(revocation(target.clone())).unwrap();
        denylist.revoke(revocation(target.clone())).unwrap();
    }
    denylist.lift(targets[0].clone()).unwrap();
    denylist.lift(targets[0].clone()).unwrap();
    let events = all(&mut changes);
    assert!(events.iter().map(|(number, _)| number).is_sorted_by(|a, b| a < b));
    let mut expected: Vec<_> = targets.iter().cloned().map(revocation).map(Event::Revoked).collect();
    expected.push(Event::Lifted(targets[0].clone()));
    assert_eq!(told(events), expected, "what changed nothing is no event");
}

/// I9 for listeners: when a revocation is told, a check made in that moment is refused, and a kill does not undo it.
#[test]
fn i4_i9_what_is_told_is_denied_and_on_the_disk() {
    let (dir, left) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let denylist = open(dir.path());
    let mut changes = denylist.changes();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..300 {
                let commit = denylist.submit(vec![revocation(token(n))]).unwrap();
                if n % 3 == 0 {
                    commit.wait().unwrap();
                } else {
                    drop(commit);
                }
            }
        });
        let mut seen = 0;
        while seen < 300 {
            changes.changed().wait().unwrap();
            for (_, event) in page(&mut changes, 1).unwrap() {
                let Event::Revoked(revocation) = event else {
                    panic!("{event:?}")
                };
                assert!(denied(&denylist, revocation.target()), "{revocation:?}");
                if seen % 60 == 0 {
                    snapshot(dir.path(), left.path());
                    assert!(denied(&open(left.path()), revocation.target()), "{revocation:?}");
                }
                seen += 1;
            }
        }
    });
}

#[derive(Default)]
struct Count(AtomicUsize);
impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn news_are_waited_for_by_awaiting_and_a_closed_store_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let mut changes = denylist.changes();
    let (count, poll) = (Arc::new(Count::default()), |changes: &Changes, count: &Arc<Count>| {
        let waker = Arc::clone(count).into();
        pin!(changes.changed()).poll(&mut Context::from_waker(&waker))
    });
    assert!(poll(&changes, &count).is_pending());
    let acknowledged = denylist.revoke(revocation(token(1))).unwrap();
    assert!(acknowledged.changed && matches!(poll(&changes, &count), Poll::Ready(Ok(()))));
    assert_eq!(all(&mut changes).len(), 1);
    assert!(poll(&changes, &count).is_pending());
    denylist.close().unwrap();
    assert_eq!(count.0.load(SeqCst), 2, "woken by each");
    assert!(matches!(poll(&changes, &count), Poll::Ready(Err(StoreError::Closed))));
    assert!(matches!(changes.changed().wait(), Err(StoreError::Closed)));
    drop(denylist);
    let next = open(dir.path());
    next.revoke(revocation(token(2))).unwrap();
    assert_eq!(
        changes.ready(9),
        Some(Vec::new()),
        "the old one hears of nothing, and holds nothing that is needed"
    );
    let mut resumed = next.changes_since(changes.position());
    assert_eq!(told(all(&mut resumed)), [Event::Revoked(revocation(token(2)))]);
}

/// A segment goes when nothing in it denies any more. Who comes later is told that it is gone, and who comes from another
/// store, or from a store that was set back, that there never was such a position.
#[test]
fn a_position_that_the_journal_does_not_have_is_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let policy = Policy::default().with_longest_lifetime(core::time::Duration::from_mins(1));
    let short = |n| Revocation::new(token(n), Reason::Logout, &policy, at(NOW));
    let mut slow = denylist.changes();
    for n in 0..200 {
        denylist.revoke(short(n)).unwrap();
    }
    let first = segments(dir.path()).remove(0);
    assert_eq!(page(&mut slow, 1).unwrap().len(), 1);
    denylist.settle().unwrap();
    denylist.sweep(at(NOW + 10_000)).unwrap();
    denylist.revoke(short(1000)).unwrap();
    denylist.settle().unwrap();
    assert!(!first.exists(), "the first segment is deleted");
    assert_eq!(all(&mut slow).len(), 199 + 1, "the ring has it for who was there");
    drop(slow);
    let mut late = denylist.changes_since(0);
    assert!(matches!(page(&mut late, 9), Err(StoreError::Gone(0))));
    assert!(
        matches!(page(&mut late, 9), Err(StoreError::Gone(0))),
        "until it decides to go on"
    );
    assert_eq!(late.skip_all(), denylist.changes().position());
    denylist.revoke(short(1001)).unwrap();
    assert_eq!(told(all(&mut late)), [Event::Revoked(short(1001))]);
    let ahead = denylist.changes().position() + 1;
    assert!(matches!(
        page(&mut denylist.changes_since(ahead), 9),
        Err(StoreError::Gone(_))
    ));
}

/// Many writers, and listeners who hang up at any moment and go on from where they were: each hears each writer's
/// changes in the order in which that writer was acknowledged, none twice, and all hear the same.
#[test]
fn listeners_who_come_and_go_hear_what_the_journal_has() {
    const WRITERS: usize = 4;
    const EACH: usize = 150;
    let dir = tempfile::tempdir().unwrap();
    let denylist = open(dir.path());
    let begin = Barrier::new(WRITERS + 3);
    let heard: Vec<_> = thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (denylist, begin) = (&denylist, &begin);
            scope.spawn(move || {
                begin.wait();
                for n in 0..EACH {
                    denylist.revoke(revocation(token(writer * EACH + n))).unwrap();
                }
            });
        }
        let listeners: Vec<_> = (0..3)
            .map(|listener| {
                let (denylist, begin) = (&denylist, &begin);
                scope.spawn(move || {
                    let mut heard = Vec::new();
                    let mut changes = denylist.changes_since(0);
                    begin.wait();
                    while heard.len() < WRITERS * EACH {
                        changes.changed().wait().unwrap();
                        heard.extend(page(&mut changes, 1 + heard.len() % 13).unwrap());
                        // The first never hangs up; the others do, and the journal has what they miss meanwhile.
                        if listener > 0 && heard.len() % (3 + listener) == 0 {
                            let position = changes.position();
                            drop(changes);
                            changes = denylist.changes_since(position);
                        }
                    }
                    heard
                })
            })
            .collect();
        listeners.into_iter().map(|listener| listener.join().unwrap()).collect()
    });
    let from_the_journal = all(&mut denylist.changes_since(0));
    assert!(
        from_the_journal
            .iter()
            .map(|(number, _)| number)
            .is_sorted_by(|a, b| a < b)
    );
    for heard in heard {
        assert_eq!(heard, from_the_journal);
    }
    let mut by_writer: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
    for event in told(from_the_journal) {
        let of = |event: &Event| (0..WRITERS * EACH).find(|n| *event == Event::Revoked(revocation(token(*n))));
        by_writer.entry(of(&event).unwrap() / EACH).or_default().push(event);
    }
    for (writer, events) in by_writer {
        let order: Vec<_> = (0..EACH)
            .map(|n| Event::Revoked(revocation(token(writer * EACH + n))))
            .collect();
        assert_eq!(events, order, "writer {writer}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Revoke { target: usize, before: u64 },
    RevokeMany { first: usize, before: u64 },
    Lift { target: usize },
    Listen { limit: usize },
    HangUp,
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..9_usize, 0..20_u64).prop_map(|(target, before)| Step::Revoke { target, before }),
        2 => (0..9_usize, 0..20_u64).prop_map(|(first, before)| Step::RevokeMany { first, before }),
        2 => (0..9_usize).prop_map(|target| Step::Lift { target }),
        5 => (1..9_usize).prop_map(|limit| Step::Listen { limit }),
        2 => Just(Step::HangUp),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

fn target(n: usize) -> Target {
    all_kinds().into_iter().nth(n).unwrap_or_else(|| token(n))
}

fn asked(n: usize, before: u64) -> Revocation {
    Revocation::new(target(n), Reason::Admin, &Policy::default(), at(NOW)).before(at(NOW + before), &Policy::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// What a listener has heard is what changed anything, in that order, however writing, listening, hanging up, restarts
    /// and kills take turns.
    #[test]
    fn a_listener_that_resumes_hears_each_change_once(steps in proptest::collection::vec(step(), 1..50)) {
        let (mut dir, mut other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut denylist = Some(Denylist::open(dir.path(), &options(true)).unwrap());
        let mut changes = denylist.as_ref().unwrap().changes();
        let (mut happened, mut heard) = (Vec::new(), Vec::new());
        for step in steps {
            let list = denylist.as_ref().unwrap();
            match step {
                Step::Revoke { target, before } => {
                    let asked = asked(target, before);
                    happened.extend(list.revoke(asked.clone()).unwrap().changed.then_some(Event::Revoked(asked)));
                }
                Step::RevokeMany { first, before } => {
                    let many: Vec<_> = (first..9).map(|n| asked(n, before)).collect();
                    let receipts = list.revoke_many(many.clone()).unwrap();
                    let changed = many.into_iter().zip(receipts).filter(|(_, receipt)| receipt.changed);
                    happened.extend(changed.map(|(asked, _)| Event::Revoked(asked)));
                }
                Step::Lift { target: n } => {
                    let stood = list.lift(target(n)).unwrap().is_some();
                    happened.extend(stood.then(|| Event::Lifted(target(n))));
                }
                Step::Listen { limit } => heard.extend(told(page(&mut changes, limit).unwrap())),
                Step::HangUp => changes = list.changes_since(changes.position()),
                Step::Reopen | Step::Kill => {
                    if matches!(step, Step::Kill) {
                        snapshot(dir.path(), other.path());
                        std::mem::swap(&mut dir, &mut other);
                    }
                    drop(denylist.take());
                    denylist = Some(Denylist::open(dir.path(), &options(true)).unwrap());
                    changes = denylist.as_ref().unwrap().changes_since(changes.position());
                }
            }
            prop_assert!(heard.len() <= happened.len() && happened.starts_with(&heard));
        }
        heard.extend(told(all(&mut changes)));
        prop_assert_eq!(heard, happened);
    }
}
