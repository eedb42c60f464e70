//! Every way, within a bound, in which writers, the committer and the keeper can meet, on the types that serve: queue, commits,
//! overlay and mailbox over loom's locks. Loom finds who waits for what never comes, so a call that is lost is a failure.
//!
//! `scripts/model` runs it, and with it the models of the prefilter.

use loom::{
    model::Builder,
    sync::{Arc, Mutex},
    thread,
};
use ostracon_core::{Issuer, Jti, Policy, Reason, Revocation, Target, UnixTime};

use crate::{
    commit::{Receipt, complete},
    committer::{Ask, Queue},
    digest::Digest,
    mailbox::Mailbox,
    overlay::{Change, Overlay},
    prefilter::SHARDS,
    shared::unpoisoned,
};

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

fn revocation() -> Revocation {
    let target = Target::Token {
        iss: Issuer::new("i").unwrap(),
        jti: Jti::new("j").unwrap(),
    };
    Revocation::new(target, Reason::Rotated, &Policy::default(), UnixTime::EPOCH)
}

/// Number `n` of the first shard.
fn digest(n: u8) -> Digest {
    let mut bytes = [n; 16];
    bytes[0] = 0;
    Digest::from_bytes(bytes)
}

/// What `committer::run` does, over an overlay and with a journal that has everything at once. Answers how many groups it took.
fn commit_all(queue: &Queue, overlay: &Overlay) {
    let mut last = 0;
    while let Some(jobs) = queue.take(None, 0) {
        let (mut done, mut changes) = (Vec::new(), Vec::<(Digest, Change)>::new());
        for job in jobs {
            let mut receipts = Vec::new();
            for ask in job.asks {
                let Ask::RevokeIfAbsent(asked) = ask else {
                    continue;
                };
                // `Group::standing`: from this group, or before.
                let standing = changes.iter().any(|(id, _)| *id == digest(1)) || overlay.get(&digest(1)).is_some();
                if !standing {
                    changes.push((digest(1), Some(asked.clone())));
                }
                receipts.push(Receipt {
                    id: digest(1),
                    revocation: asked,
                    changed: !standing,
                    durable: true,
                });
            }
            done.push((job.completion, Ok(receipts)));
        }
        last += 1;
        // I9: visible before acknowledged, as `Group::write` does it.
        overlay.publish(changes, last, |_, _| {});
        complete(done);
    }
}

/// Whoever waits for a commit is answered, whichever group it came into and whenever it began to wait; and a queue that is
/// closed still writes what it took.
#[test]
fn whoever_waits_for_a_commit_is_answered_and_sees_what_it_wrote() {
    check(2, || {
        let (queue, overlay) = (Arc::new(Queue::default()), Arc::new(Overlay::default()));
        let committer = {
            let (queue, overlay) = (Arc::clone(&queue), Arc::clone(&overlay));
            thread::spawn(move || commit_all(&queue, &overlay))
        };
        let commit = queue.submit(vec![Ask::RevokeIfAbsent(revocation())]).unwrap();
        queue.close();
        assert_eq!(commit.wait().unwrap().len(), 1);
        assert!(overlay.get(&digest(1)).is_some(), "I9");
        assert!(queue.submit(Vec::new()).is_err(), "it is closed");
        committer.join().unwrap();
    });
}

/// I10: of two who rotate the same token, exactly one is told that it has.
#[test]
fn i10_of_two_who_rotate_one_token_one_does() {
    check(2, || {
        let (queue, overlay) = (Arc::new(Queue::default()), Arc::new(Overlay::default()));
        let committer = {
            let (queue, overlay) = (Arc::clone(&queue), Arc::clone(&overlay));
            thread::spawn(move || commit_all(&queue, &overlay))
        };
        let rotate = |queue: &Queue| {
            let commit = queue.submit(vec![Ask::RevokeIfAbsent(revocation())]).unwrap();
            commit.wait().unwrap()[0].changed
        };
        let other = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || rotate(&queue))
        };
        let won = rotate(&queue);
        assert_ne!(won, other.join().unwrap(), "I10");
        queue.close();
        committer.join().unwrap();
    });
}

/// The keeper sleeps for good where nothing waits for the engine, and is called by the first that does. Were that call lost,
/// what was written would wait until somebody wrote again.
#[test]
fn i9_the_keeper_is_called_for_all_that_waits_and_nothing_is_missed_on_its_way() {
    check(3, || {
        let (overlay, mailbox) = (Arc::new(Overlay::default()), Arc::new(Mailbox::default()));
        let rows = Arc::new(Mutex::new(Vec::new()));
        let keeper = {
            let (overlay, mailbox, rows) = (Arc::clone(&overlay), Arc::clone(&mailbox), Arc::clone(&rows));
            thread::spawn(move || {
                while unpoisoned(rows.lock()).len() < 2 {
                    // `Keeper::run`: with something to write it only pauses.
                    if overlay.len() == 0 {
                        drop(mailbox.wait(None));
                    } else {
                        thread::yield_now();
                    }
                    for shard in 0..u8::try_from(SHARDS).unwrap() {
                        unpoisoned(rows.lock()).extend(overlay.turn(shard).keys().copied());
                        overlay.clear_old(shard);
                    }
                }
            })
        };
        for n in 1..=2 {
            // What `committer::run` does behind a group.
            if overlay.publish([(digest(n), Some(revocation()))], u64::from(n), |_, _| {}) {
                mailbox.nudge();
            }
            // I9: the overlay first, then the rows.
            assert!(overlay.get(&digest(n)).is_some() || unpoisoned(rows.lock()).contains(&digest(n)));
        }
        keeper.join().unwrap();
        assert_eq!(overlay.len(), 0);
    });
}
