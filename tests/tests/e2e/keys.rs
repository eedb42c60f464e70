//! Keys are exchanged while the server runs, and nobody notices.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use ostracon_tests::{Home, Login, Server, binary, decoded, wait_for};
use serde_json::{Value, json};

fn run(config: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("keys").args(arguments).arg("--config").arg(config);
    command.output().unwrap()
}

/// What it prints.
fn keys(home: &Home, arguments: &[&str]) -> String {
    let done = run(&home.config(), arguments);
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// What it says when it cannot.
fn refused(home: &Home, arguments: &[&str]) -> String {
    let before = fs::read_to_string(home.config()).unwrap();
    let files = fs::read_dir(home.path()).unwrap().count();
    let done = run(&home.config(), arguments);
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert_eq!(fs::read_to_string(home.config()).unwrap(), before, "nothing is changed");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), files, "nothing is left");
    String::from_utf8(done.stderr).unwrap()
}

/// Name and state of each.
fn states(home: &Home) -> Vec<(String, String)> {
    let listed: Vec<Value> = serde_json::from_str(&keys(home, &["list", "--json"])).unwrap();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    listed
        .iter()
        .map(|key| (text(key, "kid"), text(key, "state")))
        .collect()
}

fn kid(token: &str) -> String {
    let header: Value = serde_json::from_slice(&decoded(token.split('.').next().unwrap())).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

fn published(server: &Server) -> BTreeSet<String> {
    let set = server.public.get("/.well-known/jwks.json").json();
    let kids = set["keys"].as_array().unwrap().iter();
    kids.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The whole story with requests going on all the while: no request fails, and no token has a key that was not shown
/// before.
#[test]
fn a_rotation_under_load_fails_no_request() {
    let home = Home::new();
    let server = home.start();
    let old = home.key().0;
    let first = server.log_in("first");
    let over = AtomicBool::new(false);
    let turn = |n: usize| {
        let known = published(&server);
        let login = server.log_in(&format!("user-{n}"));
        assert!(
            known.contains(&kid(&login.access)),
            "it signs and was not shown: {login:?}"
        );
        assert_eq!(server.verify(&login.access).status, 200);
        let next = server.refresh(&login.refresh);
        assert_eq!(next.status, 200, "{next:?}");
        assert_eq!(server.verify(&Login::read(&next).access).status, 200);
        assert_eq!(server.verify(&first.access).status, 200);
    };
    thread::scope(|scope| {
        let load = || {
            for n in 0.. {
                turn(n);
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
        };
        let loads = [scope.spawn(load), scope.spawn(load)];
        let told = keys(&home, &["rotate", "--in", "5s", "--alg", "ES256"]);
        let next = told.split_whitespace().nth(1).unwrap().trim_end_matches(',').to_owned();
        // Without a signal: the file is looked at. Without another reading at the moment itself: it is a date.
        wait_for("the next key to be shown", || published(&server).contains(&next));
        assert_eq!(
            states(&home),
            [(old.clone(), "signing".into()), (next.clone(), "published".into())]
        );
        wait_for("the next key to sign", || kid(&server.log_in("u").access) == next);
        assert_eq!(
            states(&home),
            [(old.clone(), "retired".into()), (next.clone(), "signing".into())]
        );
        assert_eq!(
            published(&server).len(),
            2,
            "until the last token of the old one has ended"
        );

        // What cannot be used changes nothing, is told, and is not tried for ever in the log.
        let good = fs::read_to_string(home.config()).unwrap();
        home.configure(|text| text.replace(&format!("{next}.pem"), "absent.pem"));
        wait_for("the complaint", || server.log().contains("absent.pem: No such file"));
        let ready = server.public.get("/readyz");
        assert_eq!(ready.status, 200, "{ready:?}");
        assert!(ready.json()["configuration"].as_str().unwrap().starts_with("stale"));
        fs::write(home.config(), good).unwrap();
        wait_for("the configuration to be good again", || {
            server.public.get("/readyz").json()["configuration"] == "current"
        });
        over.store(true, Ordering::Relaxed);
        for load in loads {
            load.join().unwrap();
        }
    });
    assert_eq!(
        server.log().matches("the configuration stays as it was").count(),
        1,
        "{}",
        server.log()
    );
    assert!(server.passes(&first.access));
    assert_eq!(server.refresh(&first.refresh).status, 200);
    server.terminate();
    assert!(server.ended().0.success());
}

#[test]
fn the_configuration_keeps_its_comments_its_mode_and_its_place() {
    let home = Home::new();
    let before = fs::read_to_string(home.config()).unwrap();
    // As in a directory of configurations that are linked to where they are used.
    let real = home.path().join("real.toml");
    fs::rename(home.config(), &real).unwrap();
    symlink("real.toml", home.config()).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();

    let told = keys(&home, &["generate", "--alg", "ES384"]);
    let made = told.split_whitespace().nth(1).unwrap().to_owned();
    assert!(fs::symlink_metadata(home.config()).unwrap().is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().mode() & 0o777, 0o640);
    let after = fs::read_to_string(&real).unwrap();
    let table = format!("\n[[keys]]\nkid = \"{made}\"\nalg = \"ES384\"\nprivate_key_file = \"{made}.pem\"\n");
    assert_eq!(
        after.replacen(&table, "", 1),
        before,
        "one table more, and nothing else"
    );
    let file = home.path().join(format!("{made}.pem"));
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let pem = fs::read_to_string(&file).unwrap();
    let secret = pem.lines().nth(1).unwrap();
    let shown = keys(&home, &["list"]) + &told;
    assert!(
        shown.contains("signing    EdDSA") && shown.contains("published  ES384"),
        "{shown}"
    );
    assert!(!shown.contains(secret), "I8");

    // The configuration that it leaves is one that serves, with secrets, too.
    keys(&home, &["generate", "--alg", "HS256"]);
    let server = home.start();
    assert!(server.passes(&server.log_in("u").access));
}

#[test]
fn what_would_leave_nothing_to_sign_with_is_refused() {
    let home = Home::new();
    let old = home.key().0;
    assert!(refused(&home, &["retire", &old]).contains("`ostracon keys rotate` makes the next"));
    assert!(refused(&home, &["retire", &old, "--now"]).contains("`ostracon keys generate`"));
    assert!(refused(&home, &["retire", "nobody"]).contains("`ostracon keys list` shows them"));
    assert!(refused(&home, &["rotate", "--in", "1s"]).contains("5s is the least"));
    assert!(refused(&home, &["rotate", "--in", "99999999d"]).contains("400 days are too many"));
    keys(&home, &["rotate"]);
    assert!(refused(&home, &["rotate"]).contains("is to sign from"));
    assert!(refused(&home, &["retire", &old]).contains("already; --now brings that forward"));
    // Taken back, the old one goes on; and it cannot lose what is to follow it.
    let next = states(&home)[1].0.clone();
    let told = keys(&home, &["retire", &next]);
    assert!(told.contains(&format!("goes on  {old}")), "{told}");
    home.configure(|text| {
        text.replacen(
            "alg = \"EdDSA\"",
            "alg = \"EdDSA\"\nretired_at = \"2100-01-01T00:00:00Z\"",
            1,
        )
    });
    let made = keys(&home, &["generate"]);
    let reserve = made.split_whitespace().nth(1).unwrap();
    assert!(refused(&home, &["retire", reserve]).contains("from 2100-01-01T00:00:00Z on no key would sign"));
    let home = Home::new();
    let old = home.key().0;
    keys(&home, &["rotate"]);
    // The next one is brought forward, so that there is no moment without a key.
    let next = states(&home)[1].0.clone();
    let told = keys(&home, &["retire", &old, "--now"]);
    assert!(
        told.contains(&format!("from then on {next} signs")) && told.contains("\"kind\": \"key\""),
        "{told}"
    );
    wait_for("the next to sign", || {
        states(&home) == [(old.clone(), "retired".into()), (next.clone(), "signing".into())]
    });
    assert!(refused(&home, &["retire", &old]).contains("is retired since"));

    let elsewhere = Command::new(binary())
        .args(["keys", "generate", "--config"])
        .arg(home.config())
        .env("OSTRACON_KEYS__0__KID", "other")
        .output()
        .unwrap();
    assert_eq!(elsewhere.status.code(), Some(2));
    assert!(
        String::from_utf8(elsewhere.stderr)
            .unwrap()
            .contains("OSTRACON_KEYS__0__KID")
    );
}

/// As Kubernetes exchanges what it mounts: the directory behind a link is another one, and no file was written.
#[test]
fn a_link_that_points_elsewhere_is_a_change() {
    let home = Home::new();
    let text = fs::read_to_string(home.config()).unwrap();
    for (version, text) in [
        ("v1", text.clone()),
        ("v2", text.replace("id = \"backend\"", "id = \"other\"")),
    ] {
        fs::create_dir(home.path().join(version)).unwrap();
        ostracon_store::write_new(&home.path().join(version).join("ostracon.toml"), text.as_bytes()).unwrap();
    }
    let (data, next) = (home.path().join("..data"), home.path().join("..next"));
    symlink("v1", &data).unwrap();
    fs::remove_file(home.config()).unwrap();
    symlink("..data/ostracon.toml", home.config()).unwrap();
    let server = home.start();
    let token = server.log_in("u").access;
    symlink("v2", &next).unwrap();
    fs::rename(&next, &data).unwrap();
    let body = json!({"sub": "u"});
    wait_for("the client to be unknown", || {
        server.admin.post_json("/v1/sessions", &body).status == 401
    });
    assert!(server.passes(&token));
}

/// Of many at once none undoes what another did: each has its key in, or says that it has not.
#[test]
fn changes_at_the_same_time_are_kept_apart() {
    let home = Home::new();
    let done: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| run(&home.config(), &["generate"])))
            .collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });
    let (made, refused): (Vec<_>, Vec<_>) = done.iter().partition(|done| done.status.success());
    assert!(!made.is_empty());
    for done in refused {
        let told = String::from_utf8_lossy(&done.stderr);
        assert!(told.contains("try again"), "{told}");
    }
    let pems = fs::read_dir(home.path()).unwrap();
    let pems = pems.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "pem"));
    assert_eq!((states(&home).len(), pems.count()), (made.len() + 1, made.len() + 1));
}
