//! What is told of a run, and what is not: request ids in, no token, secret or key.

use std::{fs, path::Path};

use ostracon_tests::{Home, Login, forged, wait_for};
use serde_json::{Value, json};

/// The bytes of all files below `dir`.
fn below(dir: &Path, found: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else {
            found.extend(fs::read(path).unwrap());
        }
    }
}

/// P129: a run in which everything happens that a log could tell of, at the level that tells most: none of the tokens, secrets
/// and keys that went through it is in the log, the metrics, the figures, the listings, or the audit trail.
#[test]
fn i8_a_whole_run_shows_no_token_and_no_secret() {
    for format in ["text", "json"] {
        let home = Home::new();
        home.configure(|text| {
            let with_admin = text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#);
            let told = with_admin.replace("level = \"info\"", "level = \"trace\"");
            told.replace("format = \"text\"", &format!("format = \"{format}\""))
        });
        let (_, key) = home.key();
        let server = home.start();

        let first = server.log_in("user-1");
        assert!(server.passes(&first.access));
        let second = Login::read(&server.refresh(&first.refresh));
        let third = Login::read(&server.refresh(&second.refresh));
        assert_eq!(server.refresh(&first.refresh).status, 401, "reuse");
        assert!(!server.passes(&third.access));
        let fourth = server.log_in("user-2");
        let bearer = server.public.bearer(&fourth.access);
        assert_eq!(bearer.post("/auth/logout").status, 200);
        assert!(!server.passes(&fourth.access));
        let fake = forged(&fourth.access);
        assert!(!server.passes(&fake));
        let wrong = "a-secret-that-is-wrong-4711";
        let stranger = server.admin.as_client("backend", wrong);
        assert_eq!(stranger.post_json("/v1/sessions", &json!({"sub": "x"})).status, 401);
        for path in ["/v1/explain", "/v1/revocations"] {
            server.admin.post_json(path, &json!({"token": third.access}));
        }
        let form = format!("token={}&refresh_token={}", third.refresh, third.refresh);
        server.public.post_form("/oauth/introspect", &form);

        let told: Vec<String> = ["/metrics", "/v1/stats", "/v1/audit?limit=1000", "/v1/revocations"]
            .iter()
            .map(|path| {
                let answer = server.admin.get(path);
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                answer.body
            })
            .collect();
        let mut shown: Vec<u8> = [server.log(), told.join("\n")].join("\n").into_bytes();
        assert!(server.log().contains("TRACE") || server.log().contains("DEBUG"));
        if format == "json" {
            let lines = server.log();
            let lines: Vec<_> = lines.lines().filter(|line| line.starts_with('{')).collect();
            assert!(lines.len() > 10 && lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok()));
        }
        drop(server);
        below(&home.path().join("denylist/audit"), &mut shown);

        let logins = [&first, &second, &third, &fourth];
        let mut secrets: Vec<String> = logins
            .iter()
            .flat_map(|l| [l.access.clone(), l.refresh.clone()])
            .collect();
        secrets.extend([fake, wrong.to_owned(), home.secret().to_owned()]);
        // A signature alone gives a token away as well.
        let signatures: Vec<_> = secrets
            .iter()
            .filter_map(|s| Some(s.rsplit_once('.')?.1.to_owned()))
            .collect();
        secrets.extend(signatures);
        let text = String::from_utf8_lossy(&key);
        secrets.extend(
            text.lines()
                .filter(|line| !line.starts_with("-----"))
                .map(str::to_owned),
        );
        let seen = |what: &str| shown.windows(what.len()).any(|window| window == what.as_bytes());
        assert!(
            seen("user-2") && seen(&fourth.sid),
            "what may be told is found in this way"
        );
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            assert!(!seen(secret), "{format}: {secret}");
        }
    }
}

/// What is worth a line is changed by a reload, and a level that there is not changes nothing.
#[test]
fn the_level_changes_while_the_server_runs() {
    let home = Home::new();
    let server = home.start();
    let tells = |id: &str| {
        assert_eq!(server.public.with("X-Request-Id", id).get("/auth/verify").status, 401);
        server.log().contains(id)
    };
    assert!(!tells("quiet-1"));
    home.configure(|text| text.replace("level = \"info\"", "level = \"debug\""));
    server.hang_up();
    wait_for("debug to be told", || tells("loud"));
    home.configure(|text| text.replace("level = \"debug\"", "level = \"loud\""));
    server.hang_up();
    wait_for("the complaint", || {
        server.log().contains("log.level: \"loud\" is not possible")
    });
    assert!(tells("still-loud"));
    // Requests alone can be told of at info.
    home.configure(|text| {
        text.replace("level = \"loud\"", "level = \"info\"")
            .replace("access = \"debug\"", "access = \"info\"")
    });
    server.hang_up();
    wait_for("requests to be told of at info", || {
        server.log().contains("INFO") && tells("at-info") && {
            let line = server.log();
            line.lines().any(|line| {
                line.contains("at-info") && line.contains(" INFO ") && line.contains("route=\"/auth/verify\"")
            })
        }
    });
}

/// A request brings its id along or is given one; either way the answer and the lines of the log have it.
#[test]
fn a_request_is_known_by_its_id() {
    let home = Home::new();
    home.configure(|text| {
        let told = text.replace("level = \"info\"", "level = \"debug\"");
        told.replace("format = \"text\"", "format = \"json\"")
    });
    let server = home.start();
    let answer = server.public.with("X-Request-Id", "case-7").get("/auth/verify");
    assert_eq!(answer.header("x-request-id"), "case-7");
    assert!(server.log().contains("case-7"));
    let given = server.public.get("/auth/verify").header("x-request-id").to_owned();
    assert!(given.len() >= 8 && given != server.public.get("/auth/verify").header("x-request-id"));
    assert!(server.log().contains(&given));
    let not_one = server.public.with("X-Request-Id", "a \"b\" c").get("/auth/verify");
    assert_ne!(not_one.header("x-request-id"), "a \"b\" c");
}
