//! Data out and in: backups, exports, imports, batches, and maintenance on demand.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use ostracon_tests::{Answer, Home, Login, Server, binary, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

/// A home whose client has all roles, and that keeps backups.
fn home() -> Home {
    let home = Home::new();
    home.configure(|text| {
        text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#)
            .replace(r#"# backup_dir = "backups""#, r#"backup_dir = "backups""#)
    });
    home
}

/// How `ostracon` ended: its status, and what it said to both sides.
fn ostracon(arguments: &[&str]) -> (i32, String, String) {
    let ended = Command::new(binary()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

fn on(home: &Home, arguments: &[&str]) -> (i32, String, String) {
    let config = home.config();
    ostracon(&[arguments, &["--config", config.to_str().unwrap()]].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn revoke(server: &Server, login: &Login) -> Option<Answer> {
    let body = json!({"token": login.access}).to_string();
    let admin = &server.admin;
    admin.try_send(&Method::POST, "/v1/revocations", "application/json", body.into())
}

fn batch(server: &Server, lines: &str) -> Answer {
    let path = "/v1/revocations/batch";
    server
        .admin
        .send(&Method::POST, path, "application/x-ndjson", lines.into())
}

fn token(jti: &str) -> Value {
    json!({"target": {"kind": "token", "jti": jti}})
}

/// I4: a backup that the server makes under load is restored by one command, and denies all that was acknowledged before.
#[test]
fn i4_what_is_restored_from_a_backup_denies_all_that_was_acknowledged_before_it() {
    let home = home();
    let server = home.start();
    let logins: Vec<_> = (0..200).map(|n| server.log_in(&format!("user-{n}"))).collect();
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let (before, made) = std::thread::scope(|scope| {
        for writer in 0..3 {
            let (server, logins, acknowledged, stop) = (&server, &logins, &acknowledged, &stop);
            scope.spawn(move || {
                for (n, login) in logins.iter().enumerate().take(150).skip(writer).step_by(3) {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    assert_eq!(revoke(server, login).unwrap().status, 201);
                    acknowledged.lock().unwrap().push(n);
                }
            });
        }
        wait_for("some revocations", || acknowledged.lock().unwrap().len() > 30);
        let before = acknowledged.lock().unwrap().clone();
        let made = server.admin.post("/v1/maintenance/backup");
        stop.store(true, Ordering::SeqCst);
        (before, made)
    });
    assert_eq!(made.status, 200, "{made:?}");
    let told = made.json();
    let name = told["name"].as_str().unwrap();
    assert!(name.starts_with("ostracon-20") && !name.contains('/'), "{told}");
    assert!(told["records"].as_u64().unwrap() > 30 && told["bytes"].as_u64().unwrap() > 1000);
    assert!(!made.body.contains(text(home.path())), "no path of the machine: {told}");
    assert_eq!(revoke(&server, &logins[199]).unwrap().status, 201);
    server.kill();

    let (backup, to) = (home.path().join("backups").join(name), home.path().join("restored"));
    let (status, said, _) = ostracon(&["restore", "--from", text(&backup), "--check"]);
    assert!(status == 0 && said.contains("whole"), "{said}");
    let (status, said, error) = ostracon(&["restore", "--from", text(&backup), "--to", text(&to)]);
    assert_eq!(status, 0, "{error}");
    assert!(said.contains("data_dir") && said.contains("after the backup"), "{said}");
    let (status, _, error) = ostracon(&["restore", "--from", text(&backup), "--to", text(&to)]);
    assert!(status == 1 && error.contains("is there already"), "{error}");
    let permissions = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        [
            permissions(&backup),
            permissions(&to),
            permissions(&to.join("identity"))
        ],
        [0o700, 0o700, 0o600]
    );

    home.configure(|text| text.replace(r#"data_dir = "denylist""#, r#"data_dir = "restored""#));
    let server = home.start();
    assert!(before.iter().all(|n| !server.passes(&logins[*n].access)));
    assert!(server.passes(&logins[198].access));
    assert!(
        server.passes(&logins[199].access),
        "what was revoked after the backup is not in it, which the restore says"
    );
}

#[test]
fn a_backup_is_made_without_a_server_too_and_says_what_to_do_beside_one() {
    let home = home();
    let server = home.start();
    let login = server.log_in("u");
    server.public.bearer(&login.access).post("/logout");
    for (command, instead) in [
        (&["backup"][..], "/v1/maintenance/backup"),
        (&["export"], "/v1/revocations"),
        (&["import"], "/v1/revocations/batch"),
    ] {
        let (status, _, error) = on(&home, command);
        assert_eq!(status, 1, "{error}");
        assert!(
            error.contains("curl") && error.contains(&format!("http://127.0.0.1:0{instead}")),
            "{error}"
        );
    }
    server.terminate();
    server.ended();
    let elsewhere = home.path().join("elsewhere");
    let (status, said, error) = on(&home, &["backup", "--json", "--to", text(&elsewhere)]);
    assert_eq!(status, 0, "{error}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let made = PathBuf::from(told["path"].as_str().unwrap());
    assert!(
        made.starts_with(&elsewhere) && made.join("successor-key").exists(),
        "{told}"
    );
    assert!(made.join("longest-lifetime").exists());
    // Damage is seen before anything is restored.
    let identity = made.join("identity");
    let mut bytes = fs::read(&identity).unwrap();
    bytes[20] ^= 1;
    fs::write(&identity, bytes).unwrap();
    let to = home.path().join("restored");
    let (status, _, error) = ostracon(&["restore", "--from", text(&made), "--to", text(&to)]);
    assert!(status == 1 && error.contains("take another one"), "{error}");
    assert!(!to.exists());
}

#[test]
fn maintenance_is_for_admins_and_for_what_is_configured() {
    let home = Home::new();
    let server = home.start();
    for what in ["sweep", "rebuild-prefilter", "backup"] {
        let path = format!("/v1/maintenance/{what}");
        assert_eq!(server.admin.post(&path).problem(), (403, "role_missing".into()));
        assert_eq!(server.admin.bearer("x").post(&path).problem().0, 401);
        assert_eq!(server.admin.get(&path).problem(), (405, "method_not_allowed".into()));
    }
    drop(server);
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    let server = home.start();
    assert_eq!(
        server.admin.post("/v1/maintenance/backup").problem(),
        (409, "not_configured".into())
    );
    // What a wrong clock forgets is lost: the route waits as long as the sweeper itself does.
    let refused = server.admin.post("/v1/maintenance/sweep");
    assert_eq!(refused.problem(), (409, "clock_unsettled".into()));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((540..=600).contains(&wait), "{wait}");
    let login = server.log_in("u");
    server.public.bearer(&login.access).post("/logout");
    let rebuilt = server.admin.post("/v1/maintenance/rebuild-prefilter");
    assert_eq!(
        (rebuilt.status, &rebuilt.json()["shards"]),
        (200, &json!(256)),
        "{rebuilt:?}"
    );
    assert!(rebuilt.json()["bytes"].as_u64().unwrap() > 0 && !server.passes(&login.access));
    drop(server);
    let server = home.start_with(&[("OSTRACON_DENYLIST__PREFILTER", "false")]);
    let path = "/v1/maintenance/rebuild-prefilter";
    assert_eq!(server.admin.post(path).problem(), (409, "not_configured".into()));
}

#[test]
fn a_backup_dir_inside_the_store_is_refused() {
    let home = Home::new();
    home.configure(|text| text.replace(r#"# backup_dir = "backups""#, r#"backup_dir = "denylist/backups""#));
    let (error, status) = home.refused();
    assert!(
        status == 2 && error.contains("backup_dir") && error.contains("outside of data_dir"),
        "{error}"
    );
}

/// One bad line stops nothing, each is told by its number, and never with what stands on it.
#[test]
fn i8_a_batch_revokes_its_good_lines_and_names_the_others() {
    let home = home();
    let server = home.start();
    let (by_token, by_session, stays) = (server.log_in("a"), server.log_in("b"), server.log_in("c"));
    let lines = [
        json!({"token": by_token.access}).to_string(),
        json!({"target": {"kind": "session", "sid": by_session.sid}}).to_string(),
        String::new(),
        "SECRET".into(),
        json!({"SECRET": 1}).to_string(),
        json!({"target": {"kind": "token", "jti": "SECRET\u{1}"}}).to_string(),
        json!({"target": {"kind": "token", "iss": "https://SECRET.example", "jti": "x"}}).to_string(),
        json!({"token": "SECRET"}).to_string(),
        "x".repeat(70_000),
        json!({"target": {"kind": "subject", "sub": "d"}, "before": 1_790_000_000_000_u64}).to_string(),
        format!("{}\r", token("last")),
    ];
    let answer = batch(&server, &lines.join("\n"));
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        !answer.body.contains("SECRET") && !server.log().contains("SECRET"),
        "{answer:?}"
    );
    let told = answer.json();
    assert_eq!(
        [&told["lines"], &told["revoked"], &told["unchanged"], &told["refused"]],
        [&json!(11), &json!(3), &json!(0), &json!(7)],
        "{told}"
    );
    let refused: Vec<_> = told["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["line"].clone(), r["code"].clone()))
        .collect();
    let expected = [
        (4, "body_malformed"),
        (5, "member_invalid"),
        (6, "member_invalid"),
        (7, "member_invalid"),
        (8, "token_malformed"),
        (9, "body_too_large"),
        (10, "member_invalid"),
    ];
    assert!(
        refused
            .into_iter()
            .eq(expected.map(|(line, code)| (json!(line), json!(code)))),
        "{told}"
    );
    assert!(!server.passes(&by_token.access) && !server.passes(&by_session.access) && server.passes(&stays.access));
    // Once more, it is nothing new.
    let again = batch(&server, &lines[..2].join("\n")).json();
    assert_eq!(
        (&again["revoked"], &again["unchanged"]),
        (&json!(0), &json!(2)),
        "{again}"
    );
    assert_eq!(batch(&server, "").json()["lines"], 0);

    let path = "/v1/revocations/batch";
    let sent = |content_type: &str| server.admin.send(&Method::POST, path, content_type, b"{}".to_vec());
    assert_eq!(
        sent("application/json").problem(),
        (415, "media_type_unsupported".into())
    );
    let nobody = server.admin.as_client("backend", "guess");
    let refused = nobody.send(&Method::POST, path, "application/x-ndjson", b"{}".to_vec());
    assert_eq!(refused.problem(), (401, "client_unauthorized".into()));
    server.kill();
    let server = home.start();
    assert!(!server.passes(&by_token.access) && !server.passes(&by_session.access));
}

#[test]
fn a_batch_may_be_larger_than_other_bodies_and_has_a_limit_of_its_own() {
    let home = home();
    let server = home.start_with(&[("OSTRACON_LIMITS__BATCH", "192 KiB")]);
    let lines = |from: usize, n: usize| {
        (from..from + n).fold(String::new(), |all, n| all + &format!("{}\n", token(&n.to_string())))
    };
    let large = batch(&server, &lines(0, 2_000)).json();
    assert_eq!((&large["revoked"], &large["lines"]), (&json!(2_000), &json!(2_000)));
    let whole = lines(2_000, 8_000);
    // What says how long it is, is refused at once. Without a length it is seen only when it comes: what came before is durable, and how much that is, is said.
    let head = |length: &str| {
        format!(
            "POST /v1/revocations/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nConnection: close\r\n\
         Content-Type: application/x-ndjson\r\n{length}\r\n\r\n",
            server.admin.authorization()
        )
    };
    let asked = |request: String| ostracon_tests::raw(server.admin.address(), request.as_bytes());
    let refused = asked(head(&format!("Content-Length: {}", whole.len())));
    assert!(
        refused.starts_with("HTTP/1.1 413 ") && refused.contains(r#""code":"body_too_large""#),
        "{refused}"
    );
    let piece = whole.get(..192 << 10).unwrap();
    let body = format!("{:x}\r\n{piece}\r\n1\r\nx\r\n0\r\n\r\n", piece.len());
    let answer = asked(head("Transfer-Encoding: chunked") + &body);
    let told: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(
        (&told["status"], &told["code"]),
        (&json!(413), &json!("body_too_large")),
        "{told}"
    );
    let complete = piece.matches('\n').count();
    assert_eq!((&told["lines"], &told["revoked"]), (&json!(complete), &json!(complete)));
}

/// I5: a store that fails in the middle of a batch says how much of it is durable, and that is.
#[test]
fn i5_a_batch_whose_store_fails_says_how_many_lines_are_durable() {
    let home = home();
    // Files of at most 2 MiB, and an error instead of the signal that would end the process.
    let server = home.start_under(Command::new("bash").args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$@\"", "-"]));
    let name = |n: usize| format!("{n}-{}", "x".repeat(100));
    let lines = (0..30_000).fold(String::new(), |all, n| all + &format!("{}\n", token(&name(n))));
    let failed = batch(&server, &lines);
    assert_eq!(failed.problem(), (503, "store_unavailable".into()));
    let durable = usize::try_from(failed.json()["lines"].as_u64().unwrap()).unwrap();
    assert!((4096..30_000).contains(&durable), "{failed:?}");
    server.kill();
    let server = home.start();
    let again = (0..durable).fold(String::new(), |all, n| {
        let line = json!({"target": {"kind": "token", "jti": name(n)}, "exp": ostracon_tests::now() + 60});
        all + &format!("{line}\n")
    });
    let again = batch(&server, &again).json();
    assert_eq!(
        (&again["unchanged"], &again["refused"]),
        (&json!(durable), &json!(0)),
        "they were all there"
    );
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    let (old, new) = (home(), home());
    let server = old.start();
    let login = server.log_in("u");
    server.public.bearer(&login.access).post("/logout");
    for target in [
        json!({"kind": "token", "jti": "\u{e9} \"quoted\""}),
        json!({"kind": "subject", "sub": "u"}),
        json!({"kind": "client", "client_id": "c"}),
        json!({"kind": "key", "kid": "k"}),
        json!({"kind": "issuer"}),
    ] {
        let before = (target["kind"] == "key").then(|| ostracon_tests::now() + 86_400);
        let body = json!({"target": target, "before": before, "reason": "compromised", "note": "ticket 4711"});
        assert_eq!(server.admin.post_json("/v1/revocations", &body).status, 201);
    }
    let listed = server.admin.get("/v1/revocations").json();
    server.terminate();
    server.ended();
    let file = old.path().join("out.ndjson");
    let (status, said, error) = on(&old, &["export", "-o", text(&file)]);
    assert!(status == 0 && said.contains("wrote 6 revocations"), "{said}{error}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let exported = fs::read_to_string(&file).unwrap();
    // The lines are the listing's entries, but for what is of one store and one moment.
    let mut entries: Vec<Value> = listed["revocations"].as_array().unwrap().clone();
    for entry in &mut entries {
        let entry = entry.as_object_mut().unwrap();
        assert!(entry.remove("id").is_some() && entry.remove("durable").is_some());
    }
    assert!(
        exported
            .lines()
            .all(|line| entries.contains(&serde_json::from_str(line).unwrap())),
        "{exported}"
    );

    // A link leads to where it is written, and a device stays one.
    let (link, linked) = (old.path().join("link"), old.path().join("linked"));
    fs::write(&linked, "").unwrap();
    std::os::unix::fs::symlink(&linked, &link).unwrap();
    assert_eq!(on(&old, &["export", "-o", text(&link)]).0, 0);
    assert!(link.is_symlink() && fs::read_to_string(&linked).unwrap() == exported);
    let null = old.path().join("null");
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    assert_eq!(on(&old, &["export", "-o", text(&null)]).0, 0);
    assert!(null.is_symlink() && !fs::metadata("/dev/null").unwrap().is_file());

    let (status, said, error) = on(&new, &["import", "--json", text(&file)]);
    assert_eq!(status, 0, "{error}");
    let told: Value = serde_json::from_str(&said).unwrap();
    let expected = json!({"lines": 6, "revoked": 6, "unchanged": 0, "expired": 0, "refused": 0});
    assert_eq!(told, expected);
    let (_, again, _) = on(&new, &["export"]);
    assert_eq!(sorted(&again), sorted(&exported));
    let (status, said, _) = on(&new, &["import", text(&file)]);
    assert!(status == 0 && said.contains("6 were so already"), "{said}");
}

/// The usual alternatives come in: whole tokens from Redis, and a list of identities. What cannot be used is told by its
/// number, never with what stands on it, and a dry run changes nothing.
#[test]
fn i8_dumps_of_redis_and_csv_are_imported() {
    let home = home();
    let server = home.start();
    let logins: Vec<_> = (0..4).map(|n| server.log_in(&format!("user-{n}"))).collect();
    server.terminate();
    server.ended();
    let dump = home.path().join("dump");
    let lines = [
        format!("blacklist:{} 590000", logins[0].access),
        format!("blacklist:{} -1", logins[1].access),
        format!("other:{} 590000", logins[3].access),
        "blacklist:SECRET 590000".into(),
        format!("blacklist:{}", logins[3].access),
        format!("blacklist:{} soon", logins[3].access),
        // A token of somebody else.
        "blacklist:eyJhbGciOiJub25lIn0.eyJpc3MiOiJTRUNSRVQiLCJqdGkiOiJ4IiwiZXhwIjoxfQ.c2ln 5".into(),
    ];
    fs::write(&dump, lines.join("\n")).unwrap();
    let arguments = ["import", "--format", "redis", text(&dump)];
    let (status, said, error) = on(&home, &[&arguments[..], &["--dry-run"]].concat());
    assert!(status == 1 && said.contains("2 to be revoked"), "{said}{error}");
    assert_eq!(on(&home, &["export"]).1, "", "a dry run changes nothing");
    let (status, said, error) = on(&home, &arguments);
    assert!(status == 1 && said.starts_with("7 lines: 2 revoked"), "{said}{error}");
    for line in 3..=7 {
        assert!(error.contains(&format!("line {line}: line_invalid: ")), "{error}");
    }
    assert!(
        error.ends_with("5 of 7 lines were refused; the others are in\n"),
        "{error}"
    );
    assert!(!error.contains("SECRET") && !error.contains(&logins[3].access) && !said.contains("eyJ"));

    let csv = home.path().join("revoked.csv");
    let end = ostracon_tests::now() + 600;
    fs::write(&csv, format!("exp,jti\r\n{end},\"{}\"\r\n1,ended\r\n", logins[2].jti)).unwrap();
    let (status, said, error) = on(&home, &["import", "--format", "csv", text(&csv)]);
    assert!(
        status == 0 && said.starts_with("3 lines: 1 revoked, 0 were so already, 1 have expired"),
        "{said}{error}"
    );
    let issuer = [
        "import",
        "--format",
        "csv",
        "--issuer",
        "https://other.example",
        text(&csv),
    ];
    let (status, _, error) = on(&home, &issuer);
    assert!(
        status == 1 && error.contains("no") && error.contains("trusted here"),
        "{error}"
    );

    let server = home.start();
    let passes: Vec<_> = logins.iter().map(|login| server.passes(&login.access)).collect();
    assert_eq!(passes, [false, false, false, true]);
}
