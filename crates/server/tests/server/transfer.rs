//! Data out of one store and into another, and the broom once the clock is settled.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use ostracon_core::{Issuer, Jti, Note, Reason, Revocation, SessionId, Subject, Target, UnixTime};
use ostracon_server::{
    App, Clock, admin,
    transfer::{Format, Import, Imported, export},
};
use proptest::prelude::*;
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{self, NOW};

fn open(dir: &Path, clock: Clock) -> (Arc<App>, String) {
    support::open(dir, clock, r#"["admin"]"#, r#"denylist = { cache = "1 MiB" }"#)
}

fn fixed() -> Clock {
    Clock::from_fn(|| UnixTime::from_secs(NOW))
}

fn exported(app: &App) -> Vec<String> {
    let mut out = Vec::new();
    let mut told = 0;
    let written = export(app.denylist(), UnixTime::from_secs(NOW), &mut out, &mut |n| told = n).unwrap();
    let mut lines: Vec<_> = String::from_utf8(out).unwrap().lines().map(str::to_owned).collect();
    assert_eq!((u64::try_from(lines.len()).unwrap(), told), (written, written));
    // Each store has an order of its own.
    lines.sort();
    lines
}

fn imported(app: &App, mut source: &[u8]) -> Imported {
    let import = Import {
        app,
        format: Format::Ndjson,
        issuer: None,
        dry_run: false,
    };
    let mut imported = Imported::default();
    import
        .run(&mut source, &mut imported, &mut |_| (), &mut |refusal| {
            panic!("{refusal:?}")
        })
        .unwrap();
    imported
}

fn entry() -> impl Strategy<Value = Revocation> {
    let at = UnixTime::from_secs;
    let reasons = prop_oneof![Just(Reason::Logout), Just(Reason::Rotated), Just(Reason::Compromised)];
    let notes = proptest::option::of("[ -~]{1,20}");
    let times = (NOW - 5..NOW + 5, NOW - 5..NOW + 5, NOW - 2..NOW + 9);
    (0..3_u8, "[a-e\u{e9}\"]{1,2}", reasons, notes, times).prop_map(move |(kind, name, reason, note, times)| {
        let iss = Issuer::new("https://auth.example").unwrap();
        let target = match kind {
            0 => Target::Token {
                iss,
                jti: Jti::new(name).unwrap(),
            },
            1 => Target::Session {
                iss,
                sid: SessionId::new(name).unwrap(),
            },
            _ => Target::Subject {
                iss,
                sub: Subject::new(name).unwrap(),
            },
        };
        let note = note.map(|note| Note::new(note).unwrap());
        let (before, effective_at, retained_until) = times;
        // What is no token is kept for as long as any could live.
        let longest = if kind == 0 { 0 } else { 31 * 24 * 60 * 60 };
        let retained_until = [retained_until, longest].into_iter().sum();
        Revocation::restored(
            target,
            Some(at(before)),
            at(effective_at),
            at(retained_until),
            reason,
            note,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// What is exported, imported into an empty store and exported again is the same; imported once more it is no news.
    #[test]
    fn an_export_is_imported_as_it_was(entries in proptest::collection::vec(entry(), 0..40)) {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let ((old, _), (new, _)) = (open(old.path(), fixed()), open(new.path(), fixed()));
        old.denylist().revoke_many(entries).unwrap();
        let lines = exported(&old);
        let file = lines.iter().map(|line| line.clone() + "\n").collect::<String>();
        let first = imported(&new, file.as_bytes());
        prop_assert_eq!(first.revoked, u64::try_from(lines.len()).unwrap());
        prop_assert_eq!(exported(&new), lines);
        let again = imported(&new, file.as_bytes());
        prop_assert_eq!((again.revoked, again.unchanged), (0, first.revoked));
    }
}

/// The route's broom is the sweeper's: it waits for the clock to be settled, and drops what has expired then.
#[tokio::test(start_paused = true)]
async fn the_route_sweeps_once_the_clock_has_gone_evenly() {
    static TIME: AtomicU64 = AtomicU64::new(NOW);
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::from_fn(|| UnixTime::from_secs(TIME.load(Ordering::SeqCst)));
    let (app, secret) = open(dir.path(), clock);
    let target = |jti: &str| Target::Token {
        iss: Issuer::new("https://auth.example").unwrap(),
        jti: Jti::new(jti).unwrap(),
    };
    let at = UnixTime::from_secs;
    for (jti, until) in [("a", NOW + 500), ("b", NOW + 600), ("c", NOW + 601)] {
        let entry = Revocation::restored(target(jti), None, at(NOW), at(until), Reason::Logout, None);
        app.denylist().revoke(entry).unwrap();
    }
    app.denylist().settle().unwrap();
    let router = admin(Arc::clone(&app));
    let sweep = async |secs: u64| {
        tokio::time::advance(std::time::Duration::from_secs(secs)).await;
        TIME.fetch_add(secs, Ordering::SeqCst);
        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("web:{secret}"));
        let request = Request::post("/v1/maintenance/sweep").header("authorization", format!("Basic {basic}"));
        let response = router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let told: Value = serde_json::from_slice(&body).unwrap();
        (status, told)
    };
    let (status, told) = sweep(598).await;
    assert_eq!(
        (status, told["code"].as_str()),
        (409, Some("clock_unsettled")),
        "{told}"
    );
    let (status, told) = sweep(2).await;
    assert_eq!((status, told["entries"].as_u64()), (200, Some(2)), "{told}");
    assert_eq!(app.denylist().unlisted().forgotten_until, at(NOW + 600));
    // A jump of the clock: what is not due yet stays.
    TIME.fetch_add(40 * 86_400, Ordering::SeqCst);
    let (status, _) = sweep(1).await;
    assert_eq!(status, 409);
    assert_eq!(app.denylist().page(None, 10).unwrap().entries.len(), 1);
}
