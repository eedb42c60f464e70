//! Starts that cannot be, and what they say.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

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
fn a_key_that_others_can_read_stops_the_start() {
    let home = Home::new();
    let pem = home.path().join(format!("{}.pem", home.key().0));
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o644)).unwrap();
    let (said, status) = home.refused();
    assert_eq!(status, 2);
    assert!(
        said.contains("keys[0].private_key_file") && said.contains("0644") && said.contains("chmod 600"),
        "{said}"
    );
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
