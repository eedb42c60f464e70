//! `ostracon check-store`: what an operator sees of a store, and does about it.

use std::{
    fs,
    process::{Command, Output},
};

use ostracon_tests::{Home, binary};
use serde_json::Value;

fn check(home: &Home, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("check-store").args(arguments);
    if !arguments.contains(&"--dir") {
        command.arg("--config").arg(home.config());
    }
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_store_is_checked_and_mended_while_no_server_has_it() {
    let home = Home::new();
    let server = home.start();
    let (out, stays) = (server.log_in("a"), server.log_in("b"));
    server.public.bearer(&out.access).post("/logout");
    let refused = check(&home, &[]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("in use by another process") && told.contains("while no server has it open"),
        "{told}"
    );
    server.terminate();
    assert!(server.ended().0.success());

    for arguments in [&[][..], &["--dir", home.path().to_str().unwrap()]] {
        let sound = check(&home, arguments);
        assert_eq!(sound.status.code(), Some(0), "{sound:?}");
        let told = text(&sound.stdout);
        assert!(
            told.contains("\n1 entries") || told.contains(" 1 entries, 1 in the index"),
            "{told}"
        );
        assert!(told.contains("sessions  2") && told.ends_with("\nsound\n"), "{told}");
    }

    let store = home.path().join("denylist");
    fs::write(store.join("sled/00-of-16/conf"), b"not a configuration of any engine").unwrap();
    let found = check(&home, &["--json"]);
    assert_eq!(found.status.code(), Some(1));
    let report = json(&found);
    assert_eq!(report["sound"], false);
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["part"], &finding["remedy"]),
        (&"engine".into(), &"rebuild".into())
    );
    assert!(finding["advice"].as_str().unwrap().contains("--rebuild"));
    let told = check(&home, &[]);
    assert!(text(&told.stdout).ends_with("\nNOT SOUND\n") && text(&told.stdout).contains("FINDING   engine: "));

    let mended = check(&home, &["--rebuild", "--json"]);
    assert_eq!(mended.status.code(), Some(0), "{mended:?}");
    let report = json(&mended);
    assert_eq!(
        (&report["sound"], &report["counts"]["entries"]),
        (&true.into(), &1.into())
    );
    let aside = report["mended"]["set_aside"][0].as_str().unwrap();
    assert!(fs::metadata(aside).unwrap().is_dir(), "kept");
    assert_eq!(check(&home, &["--repair"]).status.code(), Some(0));

    let server = home.start();
    assert!(!server.passes(&out.access) && server.passes(&stays.access));
}

/// What a repair could not save is not passed over: it ended well, and said that all was sound.
#[test]
fn i5_a_repair_that_loses_something_ends_with_an_error() {
    let home = Home::new();
    let server = home.start();
    let logins: Vec<_> = (0..3).map(|n| server.log_in(&format!("user-{n}"))).collect();
    for login in &logins {
        server.public.bearer(&login.access).post("/logout");
    }
    server.terminate();
    assert!(server.ended().0.success());
    let store = home.path().join("denylist");
    let journal = store.join("journal/00000000000000000001.log");
    let mut bytes = fs::read(&journal).unwrap();
    let second = 40 + usize::try_from(u32::from_be_bytes(bytes[32..36].try_into().unwrap())).unwrap();
    bytes[second + 20] ^= 1;
    fs::write(&journal, bytes).unwrap();
    fs::remove_dir_all(store.join("sled")).unwrap();
    let refused = check(&home, &[]);
    assert!(text(&refused.stdout).contains("1 records are lost"), "{refused:?}");
    let mended = check(&home, &["--repair"]);
    assert_eq!(mended.status.code(), Some(1));
    assert!(text(&mended.stdout).contains("mended    2 entries"), "{mended:?}");
    let told = text(&mended.stderr);
    assert!(
        told.contains("1 records of the journal") && told.contains("revoke issuer"),
        "{told}"
    );
    assert_eq!(check(&home, &[]).status.code(), Some(0), "from there on it is as it is");
    let server = home.start();
    let passing: Vec<_> = logins.iter().map(|login| server.passes(&login.access)).collect();
    assert_eq!(passing, [false, true, false]);
}

#[test]
fn what_cannot_be_checked_is_said_and_nothing_is_made() {
    let home = Home::new();
    let nothing = home.path().join("nothing");
    let absent = check(&home, &["--dir", nothing.to_str().unwrap()]);
    assert_eq!(absent.status.code(), Some(1));
    assert!(text(&absent.stderr).contains("holds no denylist"), "{absent:?}");
    assert!(!nothing.exists());
    let usage = Command::new(binary()).arg("check-store").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
    let both = check(&home, &["--repair", "--rebuild"]);
    assert_eq!(both.status.code(), Some(2));
}
