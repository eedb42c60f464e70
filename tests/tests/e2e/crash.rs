//! What is left after a restart, a kill, and a disk that fails (I4, I5).

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    sync::Mutex,
};

use ostracon_tests::{Home, Login, Server, wait_for};
use serde_json::json;
use ureq::http::Method;

#[test]
fn a_restart_keeps_what_was_revoked() {
    let home = Home::new();
    let server = home.start();
    let (out, stays) = (server.log_in("a"), server.log_in("b"));
    server.public.bearer(&out.access).post("/logout");
    server.terminate();
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    for prefilter in ["true", "false"] {
        let server = home.start_with(&[("OSTRACON_DENYLIST__PREFILTER", prefilter)]);
        assert!(
            !server.passes(&out.access) && server.passes(&stays.access),
            "prefilter = {prefilter}"
        );
    }
}

/// A70, I4: whatever was acknowledged before a kill at any moment is denied after it.
#[test]
fn i4_kill_loses_nothing_that_was_acknowledged() {
    let home = Home::new();
    let acknowledged = Mutex::new(Vec::new());
    for round in 0..5 {
        let server = home.start();
        let (admin, public) = (server.admin.clone(), server.public.clone());
        let logins: Vec<_> = (0..40).map(|n| server.log_in(&format!("user-{round}-{n}"))).collect();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (acknowledged, logins, admin, public) = (&acknowledged, &logins, &admin, &public);
                scope.spawn(move || {
                    for login in logins.iter().skip(writer).step_by(4) {
                        // A request that the kill cuts off was not acknowledged, and may be either.
                        let asked = if writer == 0 {
                            let body = json!({"token": login.access}).to_string();
                            admin.try_send(&Method::POST, "/v1/revocations", "application/json", body.into())
                        } else {
                            public
                                .bearer(&login.access)
                                .try_send(&Method::POST, "/logout", "", Vec::new())
                        };
                        let Some(answer) = asked else { return };
                        if matches!(answer.status, 200 | 201) {
                            acknowledged.lock().unwrap().push(login.access.clone());
                        }
                    }
                });
            }
            // Killed somewhere in the middle of it, at another place each round.
            let before = acknowledged.lock().unwrap().len();
            wait_for("some revocations", || {
                acknowledged.lock().unwrap().len() >= before + 5 * (round + 1)
            });
            server.kill();
        });
        let server = home.start();
        let all = acknowledged.lock().unwrap();
        assert!(all.iter().all(|token| !server.passes(token)), "round {round}");
    }
}

/// Where syncs are put off, each answer says so, and the start warns of what that may cost.
#[test]
fn i4_a_receipt_says_what_is_durable() {
    let home = Home::new();
    let put_off = [
        ("OSTRACON_DENYLIST__DURABILITY", "interval"),
        ("OSTRACON_DENYLIST__SYNC_EVERY", "1s"),
    ];
    let server = home.start_with(&put_off);
    assert!(
        server
            .log()
            .contains("loses power, what was revoked in the last 1s may be accepted again")
    );
    let login = server.log_in("u");
    // The engine's next checkpoint, within a second, puts all on the disk: an answer before it is what is looked for.
    let early = (0..100).any(|n| {
        let body = json!({"target": {"kind": "token", "jti": n.to_string()}});
        let answer = server.admin.post_json("/v1/revocations", &body);
        assert_eq!(answer.status, 201);
        answer.json()["durable"] == false
    });
    assert!(early, "not every one of them is on the disk when it is answered");
    let body = json!({"token": login.access});
    let id = server.admin.post_json("/v1/revocations", &body).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    wait_for("it to be durable", || {
        server.admin.get(&format!("/v1/revocations/{id}")).json()["durable"] == true
    });
    server.kill();
    assert!(!home.start().passes(&login.access));
}

/// I5: a disk that takes no more is told as such; what was acknowledged stays denied, what is not listed passes.
#[test]
fn i5_a_store_that_cannot_write_refuses_and_forgets_nothing() {
    let home = Home::new();
    // Files of at most 2 MiB, and an error instead of the signal that would end the process.
    let server = home.start_under(Command::new("bash").args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "-"]));
    let (out, stays) = (server.log_in("a"), server.log_in("b"));
    server.public.bearer(&out.access).post("/logout");
    let mut acknowledged = Vec::new();
    let failed = (0..20_000).find_map(|n| {
        let jti = format!("{n}-{}", "x".repeat(200));
        let answer = server
            .admin
            .post_json("/v1/revocations", &json!({"target": {"kind": "token", "jti": jti}}));
        match answer.status {
            201 => {
                acknowledged.push(jti);
                None
            }
            _ => Some(answer),
        }
    });
    let failed = failed.unwrap();
    assert_eq!(failed.problem(), (503, "store_unavailable".into()));
    assert!(failed.header("retry-after").parse::<u32>().is_ok());
    assert!(!failed.body.contains("denylist/"), "no path of the machine: {failed:?}");
    wait_for("readiness to go", || server.public.get("/readyz").status == 503);
    assert_eq!(server.public.get("/healthz").status, 200);
    assert!(server.passes(&stays.access), "what is surely not listed passes");
    assert_ne!(server.verify(&out.access).status, 200, "what is listed does not");
    let logout = server.public.bearer(&stays.access).post("/logout");
    assert_eq!(logout.problem(), (503, "store_unavailable".into()));
    assert!(
        logout.headers.get("set-cookie").is_none(),
        "the cookies stay, so that the client can try again"
    );
    let form = format!("scope=others&refresh_token={}", stays.refresh);
    let others = server.public.post_form("/auth/logout", &form);
    assert_eq!(others.problem(), (503, "store_unavailable".into()));
    // P70: nor is a client told that it is done.
    let client = server
        .oauth
        .post_form("/oauth/revoke", &format!("token={}", stays.access));
    assert_eq!(
        (client.status, &client.json()["error"]),
        (503, &json!("temporarily_unavailable"))
    );
    assert!(client.header("retry-after").parse::<u32>().is_ok());
    server.kill();

    let server = home.start();
    assert!(!server.passes(&out.access) && server.passes(&stays.access));
    // To revoke it once more is nothing new.
    let listed = |jti: &String| {
        let body = json!({"target": {"kind": "token", "jti": jti}, "exp": ostracon_tests::now() + 60});
        server.admin.post_json("/v1/revocations", &body).status == 200
    };
    assert!(
        !acknowledged.is_empty() && acknowledged.iter().rev().take(200).all(listed),
        "they were all kept"
    );
}

/// The request that is being answered when the server is told to end is answered.
#[test]
fn sigterm_in_mid_request_finishes_it_and_exits_0() {
    let home = Home::new();
    let server = home.start();
    let idle = TcpStream::connect(server.public.address()).unwrap();
    let login = server.log_in("u");
    let mut stream = TcpStream::connect(server.public.address()).unwrap();
    let body = "scope=session";
    let head = format!(
        "POST /auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        login.access,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The handler asks for the body: the request is in the middle of being answered.
    let mut continued = [0; 25];
    stream.read_exact(&mut continued).unwrap();
    assert!(continued.starts_with(b"HTTP/1.1 100 Continue"));
    server.terminate();
    wait_for("the port to be given up", || {
        TcpStream::connect(server.public.address()).is_err()
    });
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("\"session\""),
        "{answer}"
    );
    drop(idle);
    let (status, log) = server.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    let server: Server = home.start();
    assert!(!server.passes(&login.access), "and it was durable");
}

/// A log that nobody reads any more fails no request, and keeps no thief's session alive.
#[test]
fn a_log_that_cannot_be_written_changes_no_answer() {
    let home = Home::new();
    let server = home.start_under(Command::new("bash").args(["-c", "exec \"$@\" 2>/dev/full", "-"]));
    let login = server.log_in("u");
    let next = Login::read(&server.refresh(&login.refresh));
    let third = Login::read(&server.refresh(&next.refresh));
    assert_eq!(server.refresh(&login.refresh).problem(), (401, "refresh_reused".into()));
    assert!(!server.passes(&third.access));
    let other = server.log_in("u");
    assert_eq!(
        server.public.bearer(&other.access).post("/logout").revoked(),
        ["session"]
    );
    assert_eq!(
        server
            .admin
            .as_client("backend", "guess")
            .post_json("/v1/sessions", &json!({"sub": "u"}))
            .status,
        401
    );
    server.terminate();
    assert_eq!(server.ended().0.code(), Some(0));
}
