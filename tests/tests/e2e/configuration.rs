//! Starts that cannot be, and what they say.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::Path,
    process::Command,
};

use ostracon_tests::{Home, binary, es256_pem, hs256_secret, rs256_pem};

#[test]
fn two_servers_on_one_directory_do_not_start() {
    let home = Home::new();
    let first = home.start();
    let (said, status) = home.refused();
    assert_eq!(status, 1);
    assert!(
        said.contains("in use by another process") && said.contains("denylist"),
        "{said}"
    );
    assert_eq!(first.public.get("/readyz").status, 200, "the first goes on");
}

#[test]
fn a_taken_port_is_named() {
    let home = Home::new();
    let other = Home::new().start();
    let taken = other.public.address();
    home.configure(|text| text.replacen("public = \"127.0.0.1:0\"", &format!("public = \"{taken}\""), 1));
    let (said, status) = home.refused();
    assert_eq!(status, 1);
    assert!(
        said.contains(taken) && said.contains("listen.public") && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn a_file_that_others_can_read_stops_the_start_and_each_change() {
    let home = Home::new();
    let pem = home.path().join(format!("{}.pem", home.key().0));
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    for (path, at) in [(&pem, "keys[0].private_key_file"), (&home.config(), "")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        set(path, 0o644);
        let chmod = format!("(mode 0644); run `chmod o-rwx {}`", path.display());
        let (said, status) = home.refused();
        assert_eq!(status, 2);
        assert!(said.contains(at) && said.contains(&chmod), "{said}");
        let mut command = Command::new(binary());
        command.args(["clients", "add", "other", "--role", "read", "--config"]);
        let done = command.arg(home.config()).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{done:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains(&chmod), "{done:?}");
        // What is told is what helps.
        let (chmod, path) = ("chmod", path.to_str().unwrap());
        assert!(Command::new(chmod).args(["o-rwx", path]).status().unwrap().success());
        set(Path::new(path), 0o640);
    }
    drop(home.start());
}

/// The store can be looked at all the same: nothing secret is read for it.
#[test]
fn an_exposed_configuration_keeps_nobody_from_the_store() {
    let home = Home::new();
    drop(home.start());
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(binary());
    let done = command.args(["check-store", "--config"]).arg(home.config()).output();
    assert!(done.as_ref().unwrap().status.success(), "{done:?}");
}

#[test]
fn an_impossible_configuration_exits_with_2_and_says_where() {
    let home = Home::new();
    home.configure(|text| text.replace("leeway = \"30s\"", "leeway = \"1h\""));
    let (said, status) = home.refused();
    assert_eq!(status, 2);
    assert!(
        said.contains("tokens.leeway") && said.contains("1h") && said.contains("5m"),
        "{said}"
    );
    let unknown = home
        .command()
        .env("OSTRACON_TOKENS__LEEWAY", "1s")
        .env("OSTRACON_TOKENS__NAME", "x")
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("name"), "{unknown:?}");
}

#[test]
fn without_a_configuration_it_says_how_to_make_one() {
    for arguments in [&["serve"][..], &["serve", "--config", "/nowhere/at/all.toml"]] {
        let said = Command::new(binary()).args(arguments).output().unwrap();
        assert_eq!(said.status.code(), Some(2));
        assert!(
            String::from_utf8_lossy(&said.stderr).contains("ostracon init"),
            "{said:?}"
        );
    }
    let home = Home::new();
    let again = Command::new(binary())
        .arg("init")
        .arg("--dir")
        .arg(home.path())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2), "what is there stays");
}

/// EdDSA, ES256, RS256 and HS256: each signs when it comes first, all verify, and only key pairs are shown.
#[test]
fn keys_of_all_four_algorithms_sign_and_verify() {
    let home = Home::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = home.path().join(name);
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("es.pem", es256_pem().as_bytes());
    write("rs.pem", rs256_pem().as_bytes());
    write("hs.secret", &hs256_secret());
    let entries = [
        ("es", "ES256", "private_key_file = \"es.pem\""),
        ("rs", "RS256", "private_key_file = \"rs.pem\""),
        ("hs", "HS256", "secret_file = \"hs.secret\""),
    ]
    .map(|(kid, alg, file)| format!("[[keys]]\nkid = \"{kid}\"\nalg = \"{alg}\"\n{file}\n\n"));
    let mut tokens = vec![home.start().log_in("u").access];
    for entry in entries {
        home.configure(|text| text.replacen("[[keys]]", &format!("{entry}[[keys]]"), 1));
        let server = home.start();
        tokens.push(server.log_in("u").access);
        assert!(tokens.iter().all(|token| server.passes(token)));
        let keys = server.public.get("/.well-known/jwks.json").json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), tokens.len().min(3), "{keys}");
        let last = tokens.last().unwrap();
        server.public.bearer(last).post("/logout");
        assert!(!server.passes(last));
        tokens.pop();
        tokens.push(server.log_in("u").access);
    }
}

/// What a crash leaves behind: nothing, unless the configuration asks for a dump of the memory, keys in it.
#[test]
fn i8_a_crash_leaves_no_core_behind_unless_it_is_asked_for() {
    let home = Home::new();
    let dump = |wanted: bool| {
        home.configure(|text| text.replace("core_dumps = false", &format!("core_dumps = {wanted}")));
        let dir = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        let script = format!("cd {} && ulimit -c unlimited && exec \"$@\"", dir.path().display());
        let server = home.start_under(shell.args(["-c", &script, "sh"]));
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
        let limit = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        assert_eq!(
            limit.split_whitespace().nth(4),
            Some(if wanted { "unlimited" } else { "0" })
        );
        server.abort();
        let dumped = server.ended().0.core_dumped();
        assert!(wanted || fs::read_dir(dir.path()).unwrap().next().is_none());
        dumped
    };
    assert!(!dump(false));
    if !dump(true) {
        eprintln!("LEFT OUT: this machine writes no core, whatever is asked for");
    }
}
