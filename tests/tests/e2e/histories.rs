//! I9 as others see it: what many clients did at once, with the times of each call, is held against what one register could
//! have answered that each token's denial is: written once, and read ever after. Kills are part of it: a revocation that one
//! cut off may have happened or not, but not both.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ostracon_tests::{Ask, Dice, Home, Login, Server};
use serde_json::{Value, json};
use ureq::http::Method;

/// A call, and what came of it.
#[derive(Clone, Debug)]
struct Call {
    began: Duration,
    /// None where no answer came: what the call did is unknown, and may happen at any time later.
    ended: Option<Duration>,
    did: Did,
}

#[derive(Clone, Debug)]
enum Did {
    /// Revoked these tokens, by whatever target.
    Revoke(Vec<usize>),
    /// Looked at a token: whether it passed.
    Verify(usize, bool),
}

/// Why `history` cannot be that of `tokens` registers; nothing if it can.
///
/// For a register that changes once, three rules are all there is to linearizability: nobody reads the old value after a
/// write was acknowledged, nobody the new one before a write began, and nobody the old one after somebody read the new.
fn contradiction(history: &[Call], tokens: usize) -> Option<String> {
    (0..tokens).find_map(|token| {
        let writes: Vec<_> = history.iter().filter(|call| call.revokes(token)).collect();
        let reads: Vec<_> = history
            .iter()
            .filter_map(|call| match (&call.did, call.ended) {
                (Did::Verify(of, passed), Some(ended)) if *of == token => Some((call.began, ended, *passed)),
                _ => None,
            })
            .collect();
        let acknowledged = writes.iter().filter_map(|write| write.ended).min();
        let begun = writes.iter().map(|write| write.began).min();
        let refused = reads.iter().filter(|read| !read.2).map(|read| read.1).min();
        reads.iter().find_map(|&(began, ended, passed)| {
            let before = |time: Option<Duration>| time.is_some_and(|time| time < began);
            if passed && before(acknowledged) {
                Some(format!(
                    "token {token} passed at {began:?}, after {acknowledged:?}, when its revocation was acknowledged"
                ))
            } else if passed && before(refused) {
                Some(format!(
                    "token {token} passed at {began:?}, after it was refused at {refused:?}"
                ))
            } else if !passed && begun.is_none_or(|begun| begun > ended) {
                Some(format!(
                    "token {token} was refused by {ended:?}, before anybody began to revoke it"
                ))
            } else {
                None
            }
        })
    })
}

impl Call {
    fn revokes(&self, token: usize) -> bool {
        matches!(&self.did, Did::Revoke(tokens) if tokens.contains(&token))
    }
}

#[test]
fn a_history_that_no_register_could_have_is_found() {
    let at = |ms: u64| Duration::from_millis(ms);
    let revoke = |began, ended: Option<u64>| Call {
        began: at(began),
        ended: ended.map(at),
        did: Did::Revoke(vec![0]),
    };
    let verify = |began, ended, passed| Call {
        began: at(began),
        ended: Some(at(ended)),
        did: Did::Verify(0, passed),
    };
    let bad = |history: &[Call]| contradiction(history, 1);
    // Either way while it is revoked, and where the revocation was cut off.
    assert_eq!(
        bad(&[revoke(10, Some(20)), verify(11, 19, true), verify(11, 12, false)]),
        None
    );
    assert_eq!(
        bad(&[revoke(10, None), verify(30, 31, true), verify(32, 33, false)]),
        None
    );
    assert_eq!(
        bad(&[revoke(10, Some(20)), verify(1, 10, false)]),
        None,
        "at the same moment"
    );
    assert_eq!(
        bad(&[revoke(10, Some(20)), verify(20, 21, true)]),
        None,
        "nor was that after it"
    );
    assert_eq!(bad(&[verify(1, 2, true)]), None);
    // What the three rules are there for.
    assert!(
        bad(&[revoke(10, Some(20)), verify(21, 22, true)])
            .unwrap()
            .contains("acknowledged")
    );
    assert!(
        bad(&[revoke(10, None), verify(30, 31, false), verify(32, 33, true)])
            .unwrap()
            .contains("after it was refused")
    );
    assert!(bad(&[verify(1, 2, false)]).unwrap().contains("before anybody"));
    assert!(
        bad(&[verify(1, 9, false), revoke(10, Some(20))])
            .unwrap()
            .contains("before anybody")
    );
}

/// What there is to revoke: each user has sessions, and each session one token. Some users are never touched.
struct World {
    users: Vec<Vec<Login>>,
    /// Those of which something is revoked.
    hit: usize,
}

impl World {
    const USERS: usize = 36;
    const SESSIONS: usize = 4;

    fn new(server: &Server, round: usize) -> Self {
        let log_in = |user: usize| (0..Self::SESSIONS).map(move |_| server.log_in(&format!("user-{round}-{user}")));
        Self {
            users: (0..Self::USERS).map(|user| log_in(user).collect()).collect(),
            hit: Self::USERS * 2 / 3,
        }
    }

    fn tokens() -> usize {
        Self::USERS * Self::SESSIONS
    }

    fn token(&self, n: usize) -> &str {
        &self.users[n / Self::SESSIONS][n % Self::SESSIONS].access
    }

    /// Something to revoke, and which tokens it hits.
    fn target(&self, round: usize, dice: &mut Dice) -> (Value, Vec<usize>) {
        let (user, session) = (dice.below(self.hit), dice.below(Self::SESSIONS));
        let (login, token) = (&self.users[user][session], user * Self::SESSIONS + session);
        match dice.below(5) {
            0 => {
                let first = user * Self::SESSIONS;
                let target = json!({"kind": "subject", "sub": format!("user-{round}-{user}")});
                (target, (first..first + Self::SESSIONS).collect())
            }
            1 | 2 => (json!({"kind": "session", "sid": login.sid}), vec![token]),
            _ => (json!({"kind": "token", "jti": login.jti}), vec![token]),
        }
    }
}

/// Calls that many clients make at once, until they have revoked so much or nobody answers any more.
struct Clients<'a> {
    world: &'a World,
    round: usize,
    clock: Instant,
    history: &'a Mutex<Vec<Call>>,
    /// How many more revocations are acknowledged before it is enough.
    left: AtomicUsize,
}

impl Clients<'_> {
    const REVOKING: usize = 4;
    const VERIFYING: usize = 8;

    /// `then` is run once enough was revoked, while all are still at it; what it takes down, they notice.
    fn run(&self, server: Server, dice: &mut Dice, then: impl FnOnce(Server) -> Option<Server>) -> Option<Server> {
        let (admin, public) = (server.admin.clone(), server.public.clone());
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for n in 0..Self::REVOKING + Self::VERIFYING {
                let (mut dice, admin, public, done) = (
                    Dice::new(u64::try_from(dice.below(usize::MAX)).unwrap()),
                    &admin,
                    &public,
                    &done,
                );
                scope.spawn(move || {
                    // Whoever hears nothing any more knows that it is over.
                    while done.load(Ordering::SeqCst) == 0 {
                        let answered = if n < Self::REVOKING {
                            self.revoke(admin, &mut dice)
                        } else {
                            self.verify(public, &mut dice)
                        };
                        if !answered {
                            return;
                        }
                    }
                });
            }
            ostracon_tests::wait_for("enough revocations", || self.left.load(Ordering::SeqCst) == 0);
            let left = then(server);
            done.store(1, Ordering::SeqCst);
            left
        })
    }

    fn revoke(&self, admin: &Ask, dice: &mut Dice) -> bool {
        let (target, tokens) = self.world.target(self.round, dice);
        let body = json!({"target": target}).to_string();
        let began = self.clock.elapsed();
        let answer = admin.try_send(&Method::POST, "/v1/revocations", "application/json", body.into());
        let ended = self.clock.elapsed();
        if let Some(answer) = &answer {
            assert!(matches!(answer.status, 200 | 201), "{answer:?}");
            let _ = self
                .left
                .try_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        }
        self.note(began, answer.as_ref().map(|_| ended), Did::Revoke(tokens));
        answer.is_some()
    }

    fn verify(&self, public: &Ask, dice: &mut Dice) -> bool {
        let token = dice.below(World::tokens());
        let ask = public.bearer(self.world.token(token));
        let began = self.clock.elapsed();
        let answer = ask.try_send(&Method::GET, "/auth/verify", "", Vec::new());
        let ended = self.clock.elapsed();
        let Some(answer) = answer else { return false };
        assert!(matches!(answer.status, 200 | 401), "{answer:?}");
        self.note(began, Some(ended), Did::Verify(token, answer.status == 200));
        true
    }

    fn note(&self, began: Duration, ended: Option<Duration>, did: Did) {
        self.history.lock().unwrap().push(Call { began, ended, did });
    }
}

/// I9: after the acknowledgement of a revocation no verification that begins later passes, whatever runs beside it; nobody is
/// denied without a reason; and what was seen denied stays so. Also across a SIGKILL in the middle of it, a restart, and an
/// end in order.
#[test]
fn i9_revoke_and_verify_are_linearizable_also_across_kills() {
    let seed = Dice::seed();
    let mut dice = Dice::new(seed);
    let rounds: usize = std::env::var("OSTRACON_HISTORY_ROUNDS").map_or(3, |n| n.parse().unwrap());
    let home = Home::new();
    for round in 0..rounds {
        let mut server = home.start();
        let (world, history) = (World::new(&server, round), Mutex::default());
        let clock = Instant::now();
        // Killed twice somewhere in the middle, then ended in order, then let be.
        for life in 0..4 {
            let clients = Clients {
                world: &world,
                round,
                clock,
                history: &history,
                left: AtomicUsize::new(5 + dice.below(12)),
            };
            let left = clients.run(server, &mut dice, |server| match life {
                0 | 1 => {
                    server.kill();
                    None
                }
                2 => {
                    server.terminate();
                    let (status, log) = server.ended();
                    assert!(status.success(), "{log}");
                    None
                }
                _ => Some(server),
            });
            server = left.unwrap_or_else(|| home.start());
        }
        let clients = Clients {
            world: &world,
            round,
            clock,
            history: &history,
            left: AtomicUsize::new(0),
        };
        // And what all of it came to.
        for token in 0..World::tokens() {
            let began = clock.elapsed();
            let passed = server.passes(world.token(token));
            clients.note(began, Some(clock.elapsed()), Did::Verify(token, passed));
        }
        let history = history.lock().unwrap();
        let unknown = history.iter().filter(|call| call.ended.is_none()).count();
        eprintln!("round {round}: {} calls, {unknown} of them unanswered", history.len());
        let found = contradiction(&history, World::tokens());
        assert_eq!(found, None, "OSTRACON_HISTORY_SEED={seed}");
        let passing = history
            .iter()
            .filter(|call| matches!(call.did, Did::Verify(_, true)))
            .count();
        assert!(passing > 0 && passing < history.len(), "both answers were seen");
    }
}
