//! Who did what, when and why, and that nobody can make it unsaid.

use std::{fs, process::Command};

use ostracon_tests::{Home, Login, Server, binary, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

fn with_admin() -> Home {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    home
}

fn lines(body: &str) -> Vec<Value> {
    body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `GET /v1/audit` answers, oldest first.
fn trail(server: &Server, filter: &str) -> Vec<Value> {
    let answer = server.admin.get(&format!("/v1/audit?order=oldest&limit=1000{filter}"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/x-ndjson"),
        "{answer:?}"
    );
    lines(&answer.body)
}

/// The one record of a kind.
fn only(server: &Server, kind: &str) -> Value {
    let mut all = trail(server, &format!("&kind={kind}"));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn subject(sub: &str) -> Value {
    json!({"target": {"kind": "subject", "sub": sub}, "reason": "account_suspended", "note": "ticket 4711"})
}

/// `ostracon audit` on what a server has left, or is writing.
fn command(home: &Home, arguments: &[&str]) -> (i32, String) {
    let data = home.path().join("denylist");
    let mut command = Command::new(binary());
    let done = command.arg("audit").arg("--data-dir").arg(data).args(arguments);
    let done = done.output().unwrap();
    let told = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    (done.status.code().unwrap(), told)
}

#[test]
fn what_operators_and_users_do_is_recorded_with_who_what_why_and_outcome() {
    let home = with_admin();
    let server = home.start();
    let admin = server.admin.with("X-Request-Id", "case-1");
    let receipt = admin.post_json("/v1/revocations", &subject("user-1")).json();
    let made = only(&server, "revocation");
    assert_eq!(
        made["target"],
        json!({"kind": "subject", "iss": "https://auth.example", "sub": "user-1"})
    );
    for (name, value) in [
        ("client", "backend"),
        ("address", "127.0.0.1"),
        ("request", "case-1"),
        ("reason", "account_suspended"),
        ("note", "ticket 4711"),
        ("outcome", "revoked"),
    ] {
        assert_eq!(made[name], value, "{made}");
    }
    assert_eq!((&made["id"], &made["before"]), (&receipt["id"], &receipt["before"]));
    assert!(ostracon_tests::now() - made["at"].as_u64().unwrap() < 60);
    let past = json!({"target": {"kind": "subject", "sub": "user-1"}, "before": 1 + receipt["before"].as_u64().unwrap() - 100});
    assert_eq!(server.admin.post_json("/v1/revocations", &past).status, 200);
    assert_eq!(
        trail(&server, "&kind=revocation")[1]["outcome"],
        "stood",
        "it was so already"
    );

    let path = format!("/v1/revocations/{}", receipt["id"].as_str().unwrap());
    assert_eq!(server.admin.send(&Method::DELETE, &path, "", Vec::new()).status, 200);
    let lifted = only(&server, "lift");
    assert_eq!(
        (&lifted["target"], &lifted["outcome"]),
        (&made["target"], &json!("lifted"))
    );

    let login = server.log_in("user-2");
    server
        .public
        .bearer(&login.access)
        .post("/auth/logout?scope=everywhere");
    wait_for("the logout to be recorded", || {
        !trail(&server, "&kind=logout").is_empty()
    });
    let out = only(&server, "logout");
    assert_eq!(
        (&out["sub"], &out["scope"], &out["targets"][0]["kind"]),
        (&json!("user-2"), &json!("everywhere"), &json!("subject"))
    );
    assert_eq!(
        server.public.post("/auth/logout").status,
        200,
        "nobody logs out of nothing"
    );

    let ended = server.log_in("user-3");
    let path = format!("/v1/sessions/{}", ended.sid);
    assert_eq!(server.admin.send(&Method::DELETE, &path, "", Vec::new()).status, 201);
    let revoked = json!({"sub": "user-4", "client_id": "backend"});
    let access = server.log_in_with(&revoked).access;
    assert_eq!(
        server
            .oauth
            .post_form("/oauth/revoke", &format!("token={access}"))
            .status,
        200
    );
    let kinds: Vec<_> = trail(&server, "&kind=revocation")
        .iter()
        .map(|r| r["target"]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["subject", "subject", "session", "token"]);

    // A subject is found as the target and as who did it; numbers have no gaps; each page begins behind the last.
    assert_eq!(trail(&server, "&sub=user-1").len(), 3);
    assert_eq!(trail(&server, "&sub=user-2").len(), 1);
    let all = trail(&server, "");
    let numbers: Vec<_> = all.iter().map(|record| record["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(all.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(
        (&all[0]["kind"], &all[0]["clients"]),
        (&json!("server_start"), &json!(["backend"]))
    );
    let (mut newest, mut path) = (Vec::new(), "/v1/audit?limit=2".to_owned());
    loop {
        let answer = server.admin.get(&path);
        newest.extend(lines(&answer.body));
        let Some(link) = answer.headers.get("link") else { break };
        let link = link.to_str().unwrap();
        let query = link
            .strip_prefix('<')
            .and_then(|l| l.strip_suffix(">; rel=\"next\""))
            .unwrap();
        path = format!("/v1/audit{query}");
    }
    newest.reverse();
    assert_eq!(newest, all);
    for bad in ["order=x", "limit=0", "limit=1001", "cursor=x", "colour=red"] {
        assert_eq!(
            server.admin.get(&format!("/v1/audit?{bad}")).problem(),
            (400, "request_invalid".into())
        );
    }
}

/// A user's client that may not read is refused, and that is recorded, too.
#[test]
fn refused_calls_are_recorded_and_a_flood_of_them_in_few_records() {
    let home = Home::new();
    home.configure(|text| {
        text.replace(
            r#"roles = ["issue", "revoke", "introspect", "read"]"#,
            r#"roles = ["issue", "read"]"#,
        )
    });
    let server = home.start();
    assert_eq!(
        server.admin.post_json("/v1/revocations", &subject("u")).problem().0,
        403
    );
    wait_for("the refusal to be recorded", || {
        !trail(&server, "&kind=refused").is_empty()
    });
    let refused = only(&server, "refused");
    assert_eq!(
        (
            &refused["client"],
            &refused["route"],
            &refused["outcome"],
            &refused["address"]
        ),
        (
            &json!("backend"),
            &json!("/v1/revocations"),
            &json!("role_missing"),
            &json!("127.0.0.1")
        )
    );
    // An id that no client has may be a secret in the wrong place: it is not told.
    let stranger = server.admin.as_client("not-a-client", "guess");
    let stolen = server.admin.as_client("backend", "guess");
    for _ in 0..60 {
        assert!(matches!(stranger.get("/v1/stats").status, 401 | 429));
        assert!(matches!(stolen.get("/v1/audit").status, 401 | 429));
    }
    server.terminate();
    assert!(server.ended().0.success());
    let (status, told) = command(&home, &["--json"]);
    assert_eq!(status, 0, "{told}");
    assert!(!told.contains("not-a-client") && !told.contains("guess"));
    let failed: Vec<_> = lines(&told)
        .into_iter()
        .filter(|record| record["kind"] == "login_failed")
        .collect();
    // For each of two routes and two outcomes the first, and how many more; twice that, should the minute have turned.
    assert!((2..=16).contains(&failed.len()), "{failed:?}");
    let counted: u64 = failed.iter().map(|record| record["more"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 120, "all of them are counted");
    assert!(
        failed
            .iter()
            .any(|record| record["client"] == "backend" && record["route"] == "/v1/audit")
    );
    assert_eq!(lines(&told).last().unwrap()["kind"], "server_stop");
}

/// I4 for records: an acknowledged revocation has its record, whatever becomes of the process right after.
#[test]
fn an_acknowledged_revocation_has_its_record_also_after_a_kill() {
    let home = Home::new();
    let server = home.start();
    for n in 0..20 {
        assert_eq!(
            server
                .admin
                .post_json("/v1/revocations", &subject(&format!("user-{n}")))
                .status,
            201
        );
    }
    server.kill();
    let (status, told) = command(&home, &["--verify"]);
    assert_eq!(status, 0, "{told}");
    let (_, told) = command(&home, &["--json"]);
    let revoked: Vec<_> = lines(&told)
        .into_iter()
        .filter(|record| record["kind"] == "revocation")
        .collect();
    assert_eq!(revoked.len(), 20);
    // The chain goes on where it was.
    let server = home.start();
    assert_eq!(trail(&server, "&kind=server_start").len(), 2);
    // The head is that of what is synced, as this one is when it is answered.
    assert_eq!(server.admin.post_json("/v1/revocations", &subject("last")).status, 201);
    let (status, told) = command(&home, &["--verify", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (status, told["flaws"].as_array().unwrap().len()),
        (0, 0),
        "also while a server is running"
    );
    assert_eq!(told["records"], 23);
    let head = &server.admin.get("/v1/stats").json()["audit"]["head"];
    assert_eq!(
        *head, told["head"]["hash"],
        "the head that both tell can be kept elsewhere"
    );
}

#[test]
fn a_record_that_is_altered_or_cut_off_shows() {
    let home = Home::new();
    let server = home.start();
    server.admin.post_json("/v1/revocations", &subject("victim"));
    server.terminate();
    assert!(server.ended().0.success());
    let (_, told) = command(&home, &["--verify"]);
    let head = told
        .lines()
        .find_map(|line| line.strip_prefix("head "))
        .unwrap()
        .trim()
        .to_owned();
    assert_eq!(command(&home, &["--verify", "--expect", &head]).0, 0);

    let segment = fs::read_dir(home.path().join("denylist/audit"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let good = fs::read(&segment).unwrap();
    let at = good.windows(6).position(|window| window == b"victim").unwrap();
    let mut bad = good.clone();
    bad[at..at + 6].copy_from_slice(b"nobody");
    fs::write(&segment, bad).unwrap();
    let (status, told) = command(&home, &["--verify"]);
    assert!(status == 1 && told.contains("record 2"), "{told}");

    // The last record cut off whole: the log looks well, and the head that was kept says otherwise.
    let text = String::from_utf8_lossy(&good[..good.len() - 1]).into_owned();
    assert!(text.contains("server_stop"));
    let stop = good.windows(11).rposition(|window| window == b"server_stop").unwrap();
    let frame = (0..stop).rev().find(|at| {
        fs::write(&segment, &good[..*at]).unwrap();
        command(&home, &["--verify"]).0 == 0
    });
    assert!(frame.is_some());
    let (status, told) = command(&home, &["--verify", "--expect", &head]);
    assert!(status == 1 && told.contains("is expected and missing"), "{told}");
    fs::remove_file(&segment).unwrap();
    let (status, told) = command(&home, &["--verify"]);
    assert!(status == 1 && told.contains("holds no record"), "{told}");
    let (status, told) = command(&home, &["--verify", "--expect", "nonsense"]);
    assert!(status == 2 && told.contains("NUMBER:HASH"), "{told}");
}

/// False alarms are what people complain about: the record says whether it looks like theft or like a slow tab.
#[test]
fn reuse_is_told_apart_from_a_race() {
    let home = Home::new();
    home.configure(|text| text.replacen("[listen]", "[listen]\ntrusted_proxies = [\"127.0.0.1\"]", 1));
    let server = home.start_with(&[("OSTRACON_TOKENS__REFRESH_GRACE", "0s")]);
    let refresh = |token: &str, address: &str, agent: &str| {
        let ask = server.public.with("X-Forwarded-For", address).with("User-Agent", agent);
        ask.post_json("/auth/refresh", &json!({"refresh_token": token}))
    };
    let (home_address, elsewhere) = ("192.0.2.1", "198.51.100.9");
    for (n, (address, agent, looks_like)) in [
        (home_address, "Firefox", "race"),
        (elsewhere, "Firefox", "theft"),
        (home_address, "curl", "theft"),
    ]
    .into_iter()
    .enumerate()
    {
        let login = server.log_in("u");
        assert_eq!(refresh(&login.refresh, home_address, "Firefox").status, 200);
        assert_eq!(
            refresh(&login.refresh, address, agent).problem(),
            (401, "refresh_reused".into())
        );
        wait_for("the alarm to be recorded", || {
            trail(&server, "&kind=refresh_reuse").len() == n + 1
        });
        let alarm = trail(&server, "&kind=refresh_reuse").remove(n);
        assert_eq!(alarm["looks_like"], looks_like, "{alarm}");
        assert_eq!(
            (&alarm["address"], &alarm["last_address"], &alarm["target"]["sid"]),
            (&json!(address), &json!(home_address), &json!(login.sid))
        );
        assert_eq!(
            (&alarm["same_address"], &alarm["same_agent"]),
            (&json!(address == home_address), &json!(agent == "Firefox"))
        );
        assert!(alarm["seconds_after"].as_u64().unwrap() < 60 && alarm["token"] == "parent");
    }
    // A token from further back is no race, whoever sends it.
    let first = server.log_in("u");
    let second = Login::read(&refresh(&first.refresh, home_address, "Firefox"));
    assert_eq!(refresh(&second.refresh, home_address, "Firefox").status, 200);
    assert_eq!(refresh(&first.refresh, home_address, "Firefox").problem().0, 401);
    wait_for("the alarm to be recorded", || {
        trail(&server, "&kind=refresh_reuse").len() == 4
    });
    let alarm = trail(&server, "&kind=refresh_reuse").remove(3);
    assert_eq!(
        (&alarm["token"], &alarm["looks_like"]),
        (&json!("older"), &json!("unclear"))
    );
}

#[test]
fn changes_of_keys_and_clients_are_recorded_and_so_is_a_configuration_that_cannot_be_used() {
    let home = Home::new();
    let server = home.start();
    let good = fs::read_to_string(home.config()).unwrap();
    fs::write(
        home.config(),
        good.replace("id = \"backend\"", "id = \"backend\"\nsecret = 1"),
    )
    .unwrap();
    server.hang_up();
    wait_for("the refusal to be recorded", || {
        trail(&server, "&kind=configuration").len() == 1
    });
    let refused = only(&server, "configuration");
    assert_eq!(refused["outcome"], "refused");
    assert!(refused["detail"].as_str().unwrap().contains("clients[0]"), "{refused}");
    let more = format!(
        "[[clients]]\nid = \"reader\"\nsecret_sha256 = \"{}\"\nroles = [\"read\"]\n\n[cookies]",
        "0".repeat(64)
    );
    fs::write(home.config(), good.replacen("[cookies]", &more, 1)).unwrap();
    server.hang_up();
    wait_for("the change to be recorded", || {
        trail(&server, "&kind=configuration").len() == 2
    });
    let changed = trail(&server, "&kind=configuration").remove(1);
    assert_eq!(
        (&changed["outcome"], &changed["clients"]["added"]),
        (&json!("loaded"), &json!(["reader"]))
    );
    assert_eq!(changed["signs"], home.key().0.as_str());
    assert!(changed.get("keys").is_none(), "they stay as they were");
}
