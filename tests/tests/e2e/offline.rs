//! A store is read, checked, copied and put back while the server cannot be started.

use std::{fs, os::unix::fs::chown, path::Path, process::Command};

use ostracon_tests::{Home, binary};

/// How `ostracon` ended: its status, and what it said to both sides.
fn ostracon(arguments: &[&str]) -> (i32, String, String) {
    let ended = Command::new(binary()).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A store in which one token is revoked, and whose server is down.
fn used() -> (Home, String) {
    let home = Home::new();
    let server = home.start();
    let login = server.log_in("u");
    assert_eq!(server.public.bearer(&login.access).post("/logout").status, 200);
    server.terminate();
    assert!(server.ended().0.success());
    (home, login.sid)
}

/// On a bad night certificate, key and provider are what is broken, and the store is what has to be saved.
#[test]
fn a_configuration_that_starts_no_server_keeps_nobody_from_the_store() {
    let (home, sid) = used();
    fs::remove_file(home.path().join(format!("{}.pem", home.key().0))).unwrap();
    home.configure(|text| {
        text + r#"
[tls.admin]
certificate_file = "gone.pem"
private_key_file = "gone.key"
[[issuers]]
iss = "https://idp.example"
algorithms = ["RS256"]
jwks_file = "gone.json"
audiences = ["shop"]
max_lifetime = "an hour"
"#
    });
    assert_eq!(home.refused().1, 2, "no server starts");
    let (config, to) = (home.config(), home.path().join("backups"));
    let (config, to) = (text(&config), text(&to));
    let (status, listed, error) = ostracon(&["export", "--config", config]);
    assert!(status == 0 && listed.contains(&sid), "{listed} {error}");
    let (status, told, error) = ostracon(&["backup", "--config", config, "--to", to]);
    assert_eq!(status, 0, "{error}");
    let backup = told.lines().find_map(|line| line.strip_prefix("backup   ")).unwrap();
    let restored = home.path().join("restored");
    let (status, _, error) = ostracon(&["restore", "--from", backup, "--to", text(&restored)]);
    assert_eq!(status, 0, "{error}");
    for arguments in [
        &["check-store", "--config", config][..],
        &["check-store", "--dir", text(home.path())],
        &["audit", "--config", config],
        &["audit", "--config", config, "--verify"],
    ] {
        let (status, _, error) = ostracon(arguments);
        assert_eq!(status, 0, "{arguments:?}: {error}");
    }
    // None of them said of itself that it was a server.
    let (_, trail, _) = ostracon(&["audit", "--config", config, "--json"]);
    assert_eq!(trail.matches("server_start").count(), 1, "{trail}");
}

#[test]
fn a_store_that_is_not_there_is_not_made_by_reading_it() {
    let (home, _) = used();
    home.configure(|text| text.replace(r#"data_dir = "denylist""#, r#"data_dir = "denylits""#));
    let config = home.config();
    for arguments in [&["export"][..], &["backup", "--to", "/nowhere"]] {
        let (status, _, error) = ostracon(&[arguments, &["--config", text(&config)]].concat());
        assert!(status == 1 && error.contains("denylits is not there"), "{error}");
    }
    assert!(!home.path().join("denylits").exists());
}

/// As root beside a server that is not: what was written then could not be read by it.
#[test]
fn a_store_of_another_user_is_left_alone() {
    let (home, _) = used();
    let dir = home.path().join("denylist");
    if chown(&dir, Some(65532), None).is_err() {
        eprintln!("LEFT OUT: a store of another user, which only root can make");
        return;
    }
    for command in ["export", "backup", "import", "check-store"] {
        let config = home.config();
        let mut arguments = vec![command, "--config", text(&config)];
        if command == "backup" {
            arguments.extend(["--to", "/nowhere"]);
        }
        let (status, _, error) = ostracon(&arguments);
        assert!(
            status == 2 && error.contains("belongs to user 65532"),
            "{command}: {error}"
        );
    }
}

#[test]
fn who_asks_for_a_store_in_use_is_told_what_the_server_does_instead() {
    let home = Home::new();
    let server = home.start();
    let config = home.config();
    let (status, _, error) = ostracon(&["export", "--config", text(&config)]);
    let expected = "/v1/revocations?limit=1000";
    assert!(
        status == 1 && error.contains("stop it first") && error.contains(expected),
        "{error}"
    );
    drop(server);
}
