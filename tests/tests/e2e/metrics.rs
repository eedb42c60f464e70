//! Figures, and what `examples/monitoring` makes of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use ostracon_tests::{Home, Login, Server, forged, wait_for};
use serde_json::{Value, json};
use ureq::http::Method;

fn scrape(server: &Server) -> String {
    // As a scraper asks: without a credential.
    let answer = server.admin.as_nobody().get("/metrics");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    answer.body
}

/// The value of a series, written as it is told; none if it is not.
fn value(told: &str, series: &str) -> Option<f64> {
    told.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

/// A server with which everything happened that is counted: a login, a pass, each sort of refusal, a refresh, its reuse, a
/// logout, a wrong secret.
fn used(home: &Home) -> Server {
    let server = home.start_with(&[("OSTRACON_TOKENS__REFRESH_GRACE", "0s")]);
    let login = server.log_in("u");
    assert!(server.passes(&login.access));
    assert_eq!(server.verify(&forged(&login.access)).status, 401);
    let next = Login::read(&server.refresh(&login.refresh));
    assert_eq!(server.refresh(&login.refresh).status, 401);
    assert!(!server.passes(&next.access));
    let other = server.log_in("v");
    assert_eq!(server.public.bearer(&other.access).post("/logout").status, 200);
    assert!(!server.passes(&other.access));
    let wrong = server.admin.as_client("backend", "wrong");
    assert_eq!(wrong.get("/v1/stats").status, 401);
    server
}

#[test]
fn what_happens_is_counted_by_route_reason_and_outcome() {
    let home = Home::new();
    let server = used(&home);
    let told = scrape(&server);
    for (series, expected) in [
        (
            r#"ostracon_http_requests_total{code="200",method="GET",route="/auth/verify"}"#,
            1.0,
        ),
        (
            r#"ostracon_http_requests_total{code="401",method="GET",route="/auth/verify"}"#,
            3.0,
        ),
        (
            r#"ostracon_http_requests_total{code="201",method="POST",route="/v1/sessions"}"#,
            2.0,
        ),
        (
            r#"ostracon_http_request_duration_seconds_count{route="/auth/verify"}"#,
            4.0,
        ),
        (r#"ostracon_verify_denials_total{reason="token_revoked"}"#, 2.0),
        (r#"ostracon_verify_denials_total{reason="signature_invalid"}"#, 1.0),
        ("ostracon_client_login_failures_total", 1.0),
        // Two of `u` and one of `v`; that they were refused later makes no difference, and the forged one is none.
        ("ostracon_token_cache_tokens", 3.0),
        ("ostracon_writes_refused", 0.0),
        ("ostracon_commit_failures_total", 0.0),
        ("ostracon_audit_failing", 0.0),
        ("ostracon_prefilter_target_false_positive_ratio", 0.001),
    ] {
        assert_eq!(value(&told, series), Some(expected), "{series}\n{told}");
    }
    // By one and the same sender at once: a race. The others are told as none, so that the first of them is an increase.
    for (looks_like, count) in [("race", 1.0), ("theft", 0.0), ("unclear", 0.0)] {
        let series = format!(r#"ostracon_refresh_reuse_alarms_total{{looks_like="{looks_like}"}}"#);
        assert_eq!(value(&told, &series), Some(count), "{told}");
    }
    // The passing token was ruled out by the filter; two were looked up and found, besides those of the other routes.
    assert!(value(&told, r#"ostracon_prefilter_checks_total{outcome="skipped"}"#) >= Some(1.0));
    assert!(value(&told, r#"ostracon_prefilter_checks_total{outcome="hit"}"#) >= Some(2.0));
    // The rotation, the session that reuse ended, the logout; each was told of as soon as it counted.
    assert!(value(&told, "ostracon_commit_records_sum") >= Some(3.0));
    assert_eq!(
        value(&told, "ostracon_revocation_effect_seconds_bucket{le=\"+Inf\"}"),
        value(&told, "ostracon_revocation_effect_seconds_count")
    );
    assert!(value(&told, r#"ostracon_connections{listener="admin"}"#) >= Some(1.0));
}

/// Whatever is asked for, and however, no series is made that is not one of a known few.
#[test]
fn no_caller_can_make_a_series() {
    let home = Home::new();
    let server = home.start();
    server.verify("x");
    server.public.get("/nowhere");
    let series = |told: &str| told.lines().filter(|line| line.contains("route=")).count();
    let ask = |name: &str| {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        server.public.bearer("x").send(&method, "/auth/verify", "", Vec::new());
        server.public.get(&format!("/nowhere/{name}"));
        server.admin.get(&format!("/v1/revocations/{name}"));
        server.admin.get(&format!("/v1/sessions?sub={name}"));
    };
    ask("FIRST");
    let before = series(&scrape(&server));
    (0..30).for_each(|n| ask(&format!("WHATEVER{n}")));
    let told = scrape(&server);
    // The scrape itself has a route, which the first one has not counted yet.
    assert!(series(&told) <= before + 20, "{before} became {}", series(&told));
    assert!(!told.contains("WHATEVER") && told.contains(r#"method="other",route="/auth/verify""#));
    assert!(
        told.contains(r#"route="none""#) && told.contains(r#"route="/v1/revocations/{id}""#),
        "{told}"
    );
}

#[test]
fn figures_are_told_to_people_too() {
    let home = Home::new();
    let server = used(&home);
    let told = |server: &Server| server.admin.get("/v1/stats").json();
    wait_for("what was revoked to be in the engine", || {
        told(&server)["entries"]["total"] == 3
    });
    let stats = told(&server);
    // The rotated token, and two sessions: one was ended by reuse, one by its user.
    assert_eq!(
        (&stats["entries"]["token"], &stats["entries"]["session"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(stats["version"], "0.1.0");
    assert_eq!(
        (&stats["prefilter"]["state"], &stats["store"]["writes_refused"]),
        (&json!("covering"), &json!(false))
    );
    assert_eq!(stats["prefilter"]["false_positive_rate"]["target"], 0.001);
    assert!(stats["started_at"].as_u64().unwrap() + 120 > ostracon_tests::now());
    assert!(stats["store"]["disk_bytes"].as_u64() >= stats["store"]["journal_bytes"].as_u64());
    // Right after a restart, without a count of what is there.
    server.terminate();
    assert!(server.ended().0.success());
    let server = home.start();
    assert_eq!(told(&server)["entries"], stats["entries"]);
    let mute = server.public.get("/v1/stats");
    assert_eq!(mute.status, 404, "not on the public listener");
    assert_eq!(server.public.get("/metrics").status, 404);
}

/// The words in `text` that name a figure.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    words
        .filter(|word| word.starts_with("ostracon_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn rules_and_dashboard_use_only_figures_that_there_are() {
    let home = Home::new();
    let server = used(&home);
    // A checkpoint is made within seconds of a write.
    wait_for("a checkpoint", || {
        value(&scrape(&server), "ostracon_last_checkpoint_timestamp_seconds").is_some()
    });
    let told = scrape(&server);
    let samples: BTreeSet<_> = told
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(['{', ' ']).next().unwrap().to_owned())
        .collect();
    let read = |file: &str| fs::read_to_string(monitoring().join(file)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("grafana.json")).unwrap();
    let asked: Vec<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap())
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    for text in [asked.join("\n"), read("alerts.yml")] {
        let used = named(&text);
        assert!(used.len() > 5);
        let missing: Vec<_> = used.difference(&samples).collect();
        assert!(missing.is_empty(), "{missing:?} are none of {samples:?}");
    }
    // Each is explained, and named by the conventions.
    let mut kinds = BTreeMap::new();
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(kinds.insert(name, kind).is_none(), "{name} stands twice");
        assert!(told.contains(&format!("# HELP {name} ")), "{name}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
    }
    // The book has each of them, of its type, and no other; of a sweep it is told only after ten minutes.
    let book = fs::read_to_string(monitoring().join("../../docs/src/operations/monitoring.md")).unwrap();
    let documented: BTreeMap<_, _> = book
        .lines()
        .filter_map(|line| line.strip_prefix("| `ostracon_")?.split_once("` | "))
        .map(|(name, rest)| (format!("ostracon_{name}"), rest.split(' ').next().unwrap()))
        .filter(|(name, _)| name != "ostracon_last_sweep_timestamp_seconds")
        .collect();
    let told_kinds: BTreeMap<_, _> = kinds.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
    assert_eq!(documented, told_kinds);
    let promtool = |arguments: &[&str], input: &str| {
        let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/promtool/usr/bin/promtool");
        let child = Command::new(if fetched.exists() {
            fetched.as_path()
        } else {
            Path::new("promtool")
        })
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
        let Ok(mut child) = child else {
            eprintln!("LEFT OUT: promtool {arguments:?}, for it is not installed");
            return;
        };
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    };
    promtool(&["check", "metrics"], &told);
    for (verb, what, file) in [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ] {
        promtool(&[verb, what, monitoring().join(file).to_str().unwrap()], "");
    }
}

/// A user who logged in after a cut-off is listed, and let in: the prefilter was right to ask.
#[test]
fn who_logs_in_after_a_cut_off_is_no_false_positive() {
    let home = Home::new();
    let server = home.start();
    let target = json!({"target": {"kind": "subject", "sub": "u"}});
    assert_eq!(server.admin.post_json("/v1/revocations", &target).status, 201);
    assert!(server.passes(&server.log_in("u").access));
    let checks = server.admin.get("/v1/stats").json()["prefilter"]["checks"].take();
    assert_eq!(
        (&checks["hit"], &checks["false_positive"]),
        (&json!(1), &json!(0)),
        "{checks}"
    );
}
