//! `GET /v1/events`: an application hears what was ended, misses nothing and hears nothing twice.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    time::Duration,
};

use ostracon_core::{Issuer, Jti, Note, Policy, Reason, Revocation, Subject, Target, UnixTime};
use ostracon_store::{Denylist, Options};
use ostracon_tests::{Ask, Block, Events, Home, Login, Server, now, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

const BRISK: [(&str, &str); 1] = [("OSTRACON_LIMITS__EVENT_HEARTBEAT", "1s")];

fn listen(ask: &Ask, path: &str) -> Events {
    Events::open(ask, path).unwrap()
}

fn revoke(server: &Server, target: &Value) -> Value {
    let answer = server.admin.post_json("/v1/revocations", &json!({"target": target}));
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// What `changes` are told from number `after` on to somebody who comes later.
fn replayed(server: &Server, after: &str, n: usize) -> Vec<Block> {
    listen(&server.admin, &format!("/v1/events?rotated=true&last_event_id={after}")).take(n)
}

#[test]
fn each_end_is_told_whoever_brought_it_about_and_without_a_token() {
    let home = Home::new();
    home.configure(|text| text.replace("\"read\"]", "\"read\", \"admin\"]"));
    let server = home.start_with(&BRISK);
    let mut events = listen(&server.admin, "/v1/events");
    let begin = events.last_id.clone();
    let logins: Vec<Login> = (0..5).map(|n| server.log_in(&format!("user-{n}"))).collect();

    server.public.bearer(&logins[0].access).post("/logout");
    server.public.bearer(&logins[1].access).post("/logout?scope=everywhere");
    server
        .oauth
        .post_form("/oauth/revoke", &format!("token={}", logins[2].access));
    let next = Login::read(&server.refresh(&logins[3].refresh));
    Login::read(&server.refresh(&next.refresh));
    assert_eq!(server.refresh(&logins[3].refresh).problem().1, "refresh_reused");
    let receipt = revoke(&server, &json!({"kind": "client", "client_id": "web"}));
    let id = receipt["id"].as_str().unwrap();
    let path = format!("/v1/revocations/{id}");
    let lifted = server.admin.send(&Method::DELETE, &path, "", Vec::new());
    assert_eq!(lifted.status, 200, "{lifted:?}");

    let told = events.take(6);
    let names: Vec<_> = told.iter().map(|told| (told.event.as_str(), told.kind())).collect();
    let expected = ["session", "subject", "token", "session", "client"].map(|kind| ("revocation", kind.to_owned()));
    assert_eq!(names[..5], expected);
    assert_eq!(names[5], ("lift", "client".to_owned()));
    assert_eq!(told[0].json()["target"]["sid"], logins[0].sid.as_str());
    assert_eq!(told[1].json()["target"]["sub"], "user-1");
    assert!(told[1].json()["before"].is_u64());
    assert_eq!(told[3].json()["reason"], "reuse_detected");
    assert_eq!(told[4].json(), receipt, "the receipt, as it was answered");
    assert_eq!(told[5].json(), json!({"id": id, "target": receipt["target"]}));
    let standing = server
        .admin
        .get(&format!("/v1/revocations/{}", told[0].json()["id"].as_str().unwrap()));
    assert_eq!(standing.json(), told[0].json());
    for block in &told {
        assert!(
            !logins
                .iter()
                .any(|l| block.data.contains(&l.access) || block.data.contains(&l.refresh)),
            "I8"
        );
    }
    // Who asks for rotated tokens hears of them, too, in between.
    let all = replayed(&server, &begin, 8);
    let rotated: Vec<_> = all.iter().filter(|block| block.json()["reason"] == "rotated").collect();
    assert_eq!((rotated.len(), all.len() - rotated.len()), (2, told.len()));
    assert!(all.iter().map(Block::number).is_sorted_by(|a, b| a < b));
}

/// What was acknowledged is told once, whatever ends the stream: a client that goes on from the last id that it saw, be it
/// of an event or of a mere position, has no gap and nothing twice, across kills as well.
#[test]
fn i4_a_client_that_resumes_has_no_gap_and_nothing_twice_across_kills() {
    let home = Home::new();
    let (mut heard, mut acknowledged) = (Vec::new(), Vec::new());
    let mut last_id = String::new();
    for round in 0..4 {
        let server = home.start_with(&BRISK);
        let ask = if round == 0 {
            server.admin.clone()
        } else {
            server.admin.with("Last-Event-ID", &last_id)
        };
        // The header is the later of the two: a browser sends the query of its page again.
        let mut events = listen(&ask, "/v1/events?last_event_id=0");
        assert!(round == 0 || events.last_id == last_id);
        std::thread::scope(|scope| {
            let admin = &server.admin;
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    scope.spawn(move || {
                        let target = |n| format!("{round}-{writer}-{n}");
                        let done = (0..12).map(target).filter(|jti| {
                            let body = json!({"target": {"kind": "token", "jti": jti}});
                            admin.post_json("/v1/revocations", &body).status == 201
                        });
                        done.collect::<Vec<_>>()
                    })
                })
                .collect();
            // Cut off somewhere in the middle; the rest of this round is heard in the next.
            heard.extend(events.take(9 + round));
            last_id.clone_from(&events.last_id);
            acknowledged.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
        });
        server.kill();
        drop(events);
    }
    let server = home.start_with(&BRISK);
    let rest = acknowledged.len() - heard.len();
    heard.extend(listen(&server.admin, &format!("/v1/events?last_event_id={last_id}")).take(rest));
    assert_eq!(heard, replayed(&server, "0", acknowledged.len()), "exactly the journal");
    let mut names: Vec<_> = heard
        .iter()
        .map(|b| b.json()["target"]["jti"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    acknowledged.sort();
    assert_eq!(names, acknowledged);
}

#[test]
fn filters_take_a_kind_or_a_subject_and_positions_go_on() {
    let home = Home::new();
    let server = home.start_with(&BRISK);
    let mut kinds = listen(&server.admin, "/v1/events?kind=session");
    let mut subjects = listen(&server.admin, "/v1/events?sub=b");
    let mut last = 0;
    for target in [
        json!({"kind": "session", "sid": "s"}),
        json!({"kind": "subject", "sub": "a"}),
        json!({"kind": "subject", "sub": "b"}),
        json!({"kind": "client", "client_id": "c"}),
    ] {
        revoke(&server, &target);
        last += 1;
    }
    assert_eq!(kinds.next().unwrap().json()["target"]["sid"], "s");
    assert_eq!(subjects.next().unwrap().json()["target"]["sub"], "b");
    // A heartbeat says that nothing else was meant for it, up to here.
    while kinds.last_id.parse::<u64>().unwrap() < last {
        assert_eq!(kinds.block().unwrap().data, "");
    }
    for (query, said) in [
        ("kind=user", "kind is"),
        ("rotated=1", "rotated is"),
        ("last_event_id=x", "last event id"),
        ("last_event_id=-1", "last event id"),
        ("subject=a", "the query takes"),
    ] {
        let refused = Events::open(&server.admin, &format!("/v1/events?{query}")).unwrap_err();
        assert_eq!(refused.problem(), (400, "request_invalid".into()), "{query}");
        assert!(refused.body.contains(said), "{}", refused.body);
    }
    let malformed = Events::open(&server.admin.with("Last-Event-ID", "1 2"), "/v1/events").unwrap_err();
    assert_eq!(malformed.status, 400);
    assert_eq!(
        Events::open(&server.admin.as_client("backend", "guess"), "/v1/events")
            .unwrap_err()
            .status,
        401
    );
    assert_eq!(server.admin.post("/v1/events").problem().0, 405);
}

/// A denylist of `n` revocations under the server's directory, written before it starts, and what becomes of it.
fn fill(home: &Home, n: usize, segment_bytes: u64, lives: Duration, after: impl FnOnce(&Denylist)) {
    let options = Options {
        segment_bytes,
        ..Options::default()
    };
    let denylist = Denylist::open(&data_dir(home), &options).unwrap();
    let (iss, at) = (Issuer::new("https://auth.example").unwrap(), UnixTime::from_secs(now()));
    let policy = Policy::default().with_longest_lifetime(lives);
    let revocations = (0..n).map(|n| {
        let jti = Jti::new(format!("{n:0>200}")).unwrap();
        let target = Target::Token { iss: iss.clone(), jti };
        Revocation::new(target, Reason::Admin, &policy, at).noted(Some(Note::new("x".repeat(255)).unwrap()))
    });
    denylist.revoke_many(revocations).unwrap();
    after(&denylist);
    denylist.close().unwrap();
}

/// Brings the journal, and it alone, up to `bytes`: one entry, made stricter again and again.
fn fill_journal(home: &Home, bytes: u64) {
    let denylist = Denylist::open(&data_dir(home), &Options::default()).unwrap();
    let (iss, sub) = (Issuer::new("https://auth.example").unwrap(), Subject::new("u").unwrap());
    let (policy, note) = (Policy::default(), Note::new("x".repeat(255)).unwrap());
    let mut before = 1_000_000;
    while denylist.stats().journal_bytes < bytes {
        let stricter = (0..100).map(|_| {
            before += 1;
            let target = Target::Subject {
                iss: iss.clone(),
                sub: sub.clone(),
            };
            let revocation = Revocation::new(target, Reason::Admin, &policy, UnixTime::from_secs(now()));
            revocation
                .before(UnixTime::from_secs(before), &policy)
                .noted(Some(note.clone()))
        });
        denylist.revoke_many(stricter).unwrap();
    }
    denylist.close().unwrap();
}

fn data_dir(home: &Home) -> std::path::PathBuf {
    let text = std::fs::read_to_string(home.config()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("data_dir = ")).unwrap();
    home.path().join(Path::new(line.split('"').nth(1).unwrap()))
}

/// What the journal no longer has, or never had, cannot be told: the application closes all, and hears what comes after.
#[test]
fn a_position_that_is_gone_or_was_never_there_is_a_reset() {
    let home = Home::new();
    fill(&home, 40, 2048, Duration::from_secs(1), |denylist| {
        denylist.settle().unwrap();
        denylist.sweep(UnixTime::from_secs(now() + 10_000)).unwrap();
        let iss = Issuer::new("https://auth.example").unwrap();
        let revocation = Revocation::new(
            Target::Issuer { iss },
            Reason::Admin,
            &Policy::default(),
            UnixTime::EPOCH,
        );
        denylist.revoke(revocation).unwrap();
        denylist.settle().unwrap();
    });
    let server = home.start_with(&BRISK);
    for position in ["0", "999999"] {
        let mut events = listen(&server.admin, &format!("/v1/events?last_event_id={position}"));
        let reset = events.next().unwrap();
        assert_eq!((reset.event.as_str(), reset.data.as_str()), ("reset", "{}"));
        revoke(&server, &json!({"kind": "session", "sid": format!("after-{position}")}));
        let next = events.next().unwrap();
        assert_eq!(next.json()["target"]["sid"], format!("after-{position}"));
        assert!(next.number() > reset.number(), "and it goes on from there");
    }
}

/// Neither the time that a request may take nor the time that a connection may lie idle ends a stream.
#[test]
fn a_stream_outlives_what_ends_requests_and_heartbeats_keep_it() {
    let home = Home::new();
    let server = home.start_with(&[
        BRISK[0],
        ("OSTRACON_LIMITS__HEADER_TIMEOUT", "1s"),
        ("OSTRACON_LIMITS__REQUEST_TIMEOUT", "1s"),
    ]);
    let mut events = listen(&server.admin, "/v1/events");
    for _ in 0..3 {
        let beat = events.block().unwrap();
        assert_eq!((beat.event.as_str(), beat.data.as_str()), ("", ""));
    }
    revoke(&server, &json!({"kind": "session", "sid": "s"}));
    assert_eq!(events.next().unwrap().kind(), "session");
}

/// A reload that takes the role away, or the secret, ends the stream; one that does neither does not.
#[test]
fn a_client_that_loses_its_role_loses_its_stream() {
    let home = Home::new();
    let server = home.start_with(&BRISK);
    let mut events = listen(&server.admin, "/v1/events");
    let good = std::fs::read_to_string(home.config()).unwrap();
    let reload = |text: String, told: usize| {
        std::fs::write(home.config(), text).unwrap();
        server.hang_up();
        wait_for("the reload", || {
            server.log().matches("the configuration is read again").count() == told
        });
    };
    reload(good.replace("access_ttl = \"10m\"", "access_ttl = \"9m\""), 1);
    revoke(&server, &json!({"kind": "session", "sid": "s"}));
    assert_eq!(events.next().unwrap().kind(), "session");
    assert!(good.contains("\"read\""));
    reload(good.replace(", \"read\"", "").replace("\"read\", ", ""), 2);
    while let Some(block) = events.block() {
        assert_eq!(block.data, "", "no event any more");
    }
    let refused = Events::open(&server.admin, "/v1/events").unwrap_err();
    assert_eq!(refused.problem(), (403, "role_missing".into()));
}

/// Streams are bounded, and a place is free again as soon as its client is gone.
#[test]
fn streams_are_bounded_and_make_room() {
    let home = Home::new();
    let server = home.start_with(&[BRISK[0], ("OSTRACON_LIMITS__EVENT_STREAMS", "1")]);
    let first = listen(&server.admin, "/v1/events");
    let refused = Events::open(&server.admin, "/v1/events").unwrap_err();
    assert_eq!(refused.problem(), (503, "streams_exhausted".into()));
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    drop(first);
    wait_for("the place to be free", || {
        Events::open(&server.admin, "/v1/events").is_ok()
    });
}

/// A stream that is asked for as it is and not read.
fn unread(server: &Server, last_event_id: u64) -> TcpStream {
    let mut stream = TcpStream::connect(server.admin.address()).unwrap();
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nLast-Event-ID: {last_event_id}\r\n\r\n",
        server.admin.authorization()
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// More than the buffers between two sockets hold.
const FLOOD: usize = 24_000;

/// A reader that takes nothing keeps no writer waiting, is let go of and told so in the log, and finds everything when it
/// comes again.
#[test]
fn a_slow_reader_is_dropped_and_finds_everything_later() {
    let home = Home::new();
    fill(&home, FLOOD, 64 << 20, Duration::from_hours(1), |_| {});
    let server = home.start_with(&BRISK);
    let mut slow = unread(&server, 0);
    wait_for("the slow reader to be dropped", || {
        server.log().contains("its reader takes nothing")
    });
    assert!(server.log().contains("so_far=1"), "{}", server.log());
    revoke(&server, &json!({"kind": "session", "sid": "s"}));
    let mut got = Vec::new();
    // It may also be told of a reset connection.
    let _ = slow.read_to_end(&mut got);
    let events = got.windows(4).filter(|window| window == b"\nid:").count();
    assert!((100..FLOOD).contains(&events), "{events} had fitted");
    assert!(!got.ends_with(b"\r\n0\r\n\r\n"), "cut off, and not waited for");
    let mut resumed = listen(&server.admin, &format!("/v1/events?last_event_id={}", FLOOD - 3));
    assert_eq!(resumed.take(4).last().unwrap().kind(), "session");
    assert_eq!(replayed(&server, "0", FLOOD + 1).last().unwrap().kind(), "session");
}

/// What could not be made durable is not told, though this process denies it: whether it outlives it nobody knows.
#[test]
fn i4_a_revocation_whose_sync_failed_is_not_told() {
    let home = Home::new();
    fill_journal(&home, (2 << 20) - 100_000);
    // Files of at most 2 MiB, and an error instead of the signal that would end the process.
    let server = home.start_under(Command::new("bash").args([
        "-c",
        "trap '' XFSZ; ulimit -f 2048; export OSTRACON_LIMITS__EVENT_HEARTBEAT=1s; exec \"$@\"",
        "-",
    ]));
    let mut events = listen(&server.admin, "/v1/events");
    let names: Vec<_> = (0..2_000).map(|n| format!("{n:0>200}")).collect();
    let acknowledged = std::thread::scope(|scope| {
        let (server, names) = (&server, &names);
        // Several at once, so that a group is more than one.
        let revoked = |writer: usize| {
            let mine = names.iter().skip(writer).step_by(4);
            let done = mine.take_while(|jti| {
                let body = json!({"target": {"kind": "token", "jti": jti}, "note": "x".repeat(255)});
                server.admin.post_json("/v1/revocations", &body).status == 201
            });
            done.cloned().collect::<Vec<_>>()
        };
        let writers: Vec<_> = (0..4).map(|writer| scope.spawn(move || revoked(writer))).collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect::<BTreeSet<_>>()
    });
    assert!(
        server.log().contains(".log: File too large"),
        "the journal's own failure: {}",
        server.log()
    );
    let told = events.take(acknowledged.len());
    let told: BTreeSet<_> = told
        .iter()
        .map(|told| told.json()["target"]["jti"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told, acknowledged);
    assert_eq!(events.block().unwrap().data, "", "a heartbeat, and nothing else");
}

/// Neither a stream that is read nor one that is stuck keeps the server from ending.
#[test]
fn streams_end_at_shutdown_and_hold_nobody_up() {
    let home = Home::new();
    fill(&home, FLOOD, 64 << 20, Duration::from_hours(1), |_| {});
    let server = home.start();
    let mut events = listen(&server.admin, "/v1/events");
    let stuck = unread(&server, 0);
    // Nothing more arrives: all buffers on the way are full.
    let (mut arrived, mut still, mut buffer) = (0, 0, vec![0; 32 << 20]);
    wait_for("the stream to be stuck", || {
        let now = stuck.peek(&mut buffer).unwrap();
        still = if now == arrived { still + 1 } else { 0 };
        arrived = now;
        still > 20
    });
    server.terminate();
    assert_eq!(events.next(), None);
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("not finished in time"), "{log}");
    drop(stuck);
}
