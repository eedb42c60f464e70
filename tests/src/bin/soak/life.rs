//! What goes on in the program while it is watched.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use ostracon_tests::{Ask, Dice, Login, Server};
use serde_json::json;

use crate::Told;

/// Threads that change something. Each waits for a new second whenever it logs somebody in behind a cut-off.
pub(crate) const LIVING: usize = 8;

/// Sessions that are alive, each with its user.
pub(crate) struct Pool(Mutex<BTreeMap<usize, (String, Login)>>, usize);

impl Pool {
    /// So many sessions, three for each user.
    pub(crate) fn fill(server: &Server, size: usize) -> Self {
        let session = |n: usize| {
            let sub = format!("user-{}", n / 3);
            (n, (sub.clone(), server.log_in(&sub)))
        };
        Self(Mutex::new((0..size).map(session).collect()), size)
    }

    fn get(&self, slot: usize) -> Option<(String, Login)> {
        self.0.lock().unwrap().get(&slot).cloned()
    }

    fn take(&self, slot: usize) -> Option<(String, Login)> {
        self.0.lock().unwrap().remove(&slot)
    }

    fn put(&self, slot: usize, session: (String, Login)) {
        self.0.lock().unwrap().insert(slot, session);
    }

    fn has(&self, slot: usize, login: &Login) -> bool {
        self.get(slot).is_some_and(|(_, there)| there.access == login.access)
    }
}

/// What one thread does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// Verifies, as fast as it is answered.
    Verify,
    /// Refreshes, logs out and in, and cuts off: each thread other users.
    Live(usize),
    /// Sweeps and rebuilds.
    Maintain,
}

impl Work {
    pub(crate) fn run(self, pool: &Pool, told: &Told, public: &Ask, admin: &Ask) {
        let mut dice = Dice::new(u64::from(std::process::id()));
        let mut next = 0;
        while !told.is_over() {
            match self {
                Self::Verify => verify(pool, told, public, dice.below(pool.1)),
                Self::Live(which) => {
                    if next / 3 % LIVING == which {
                        live(pool, told, public, admin, next, &mut dice);
                    }
                    next = (next + 1) % pool.1;
                }
                Self::Maintain => maintain(told, admin),
            }
        }
    }
}

/// One verification of a session that is alive, timed; a pass is expected unless it was taken out meanwhile.
pub(crate) fn verify(pool: &Pool, told: &Told, public: &Ask, slot: usize) {
    let Some((_, login)) = pool.get(slot) else { return };
    let ask = public.bearer(&login.access);
    let begun = Instant::now();
    let answer = ask.get("/auth/verify");
    let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
    told.latencies.lock().unwrap().push(took);
    if answer.status != 200 && pool.has(slot, &login) {
        told.wrong(format!("a live session is refused: {answer:?}"));
    }
}

fn live(pool: &Pool, told: &Told, public: &Ask, admin: &Ask, slot: usize, dice: &mut Dice) {
    let first = slot / 3 * 3;
    let Some((sub, login)) = pool.get(slot) else { return };
    let body = json!({"sub": sub});
    let begin = |slot: usize| {
        let answer = admin.post_json("/v1/sessions", &body);
        if answer.status == 201 {
            pool.put(slot, (sub.clone(), Login::read(&answer)));
        } else {
            told.wrong(format!("nobody can log in: {answer:?}"));
        }
    };
    let is_out = |login: &Login| {
        let answer = public.bearer(&login.access).get("/auth/verify");
        if answer.status != 401 {
            told.wrong(format!("a session that was ended passes: {answer:?}"));
        }
    };
    match dice.below(12) {
        // In the middle of its life a session is begun anew, since none lives for long.
        0..=6 => {
            let answer = public.post_json("/auth/refresh", &json!({"refresh_token": login.refresh}));
            match answer.status {
                200 => pool.put(slot, (sub.clone(), Login::read(&answer))),
                // At the end of the session.
                401 if answer.problem().1 == "refresh_expired" => begin(slot),
                _ => told.wrong(format!("a live session is not refreshed: {answer:?}")),
            }
        }
        7..=10 => {
            pool.take(slot);
            let answer = public.bearer(&login.access).post("/logout");
            if answer.status != 200 {
                told.wrong(format!("nobody can log out: {answer:?}"));
            }
            is_out(&login);
            begin(slot);
        }
        _ => {
            let slots = first..(first + 3).min(pool.1);
            let all: Vec<_> = slots.clone().filter_map(|slot| pool.take(slot)).collect();
            let target = json!({"target": {"kind": "subject", "sub": sub}});
            let answer = admin.post_json("/v1/revocations", &target);
            if !matches!(answer.status, 200 | 201) {
                told.wrong(format!("nobody can be cut off: {answer:?}"));
            }
            for (_, login) in &all {
                is_out(login);
            }
            slots.for_each(begin);
        }
    }
    told.changes.fetch_add(1, SeqCst);
}

fn maintain(told: &Told, admin: &Ask) {
    let rebuilt = admin.post("/v1/maintenance/rebuild-prefilter");
    if rebuilt.status != 200 {
        told.wrong(format!("no rebuild: {rebuilt:?}"));
    }
    let swept = admin.post("/v1/maintenance/sweep");
    // For ten minutes after its start it does not trust the clock.
    if swept.status != 200 && swept.problem().1 != "clock_unsettled" {
        told.wrong(format!("no sweep: {swept:?}"));
    }
    for path in ["/metrics", "/v1/stats", "/v1/sessions?sub=user-1", "/readyz"] {
        let answer = admin.get(path);
        // A shard of the prefilter may be in the making.
        if answer.status != 200 && path != "/readyz" {
            told.wrong(format!("{path}: {answer:?}"));
        }
    }
    for _ in 0..50 {
        if told.is_over() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
