//! The first commands of a new user.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use ostracon_tests::binary;

#[test]
fn the_demo_tells_its_story_and_cleans_up() {
    let dir = tempfile::tempdir().unwrap();
    let told = Command::new(binary())
        .arg("demo")
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{text}");
    for part in [
        "201 Created",
        "200 OK",
        "401 Unauthorized",
        "token_revoked",
        "SIGKILL",
        "status 0",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(
        !text.contains("WARN") && told.stderr.is_empty(),
        "{told:?}",
        told = told.stderr
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

/// `serve --dev` in an empty directory, with what it prints up to the last of the lines to copy.
fn dev(dir: &Path) -> (Killed, Vec<String>) {
    let child = Command::new(binary())
        .args(["serve", "--dev"])
        .current_dir(dir)
        .env("OSTRACON_LISTEN__PUBLIC", "127.0.0.1:0")
        .env("OSTRACON_LISTEN__ADMIN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut told = Vec::new();
    for line in BufReader::new(child.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
    {
        told.push(line);
        if told.iter().filter(|l| l.contains("curl ")).count() == 4 {
            return (child, told);
        }
    }
    panic!("it said only {told:?}");
}

/// A process that ends with the test, whatever becomes of that.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The four lines, copied into a shell, do what they say; a second start knows all of it, but shows no secret.
#[test]
fn the_lines_to_copy_work_and_a_second_start_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let (first, told) = dev(dir.path());
    let home = dir.path().join("ostracon-data");
    let files: Vec<_> = fs::read_dir(&home).unwrap().map(|e| e.unwrap().path()).collect();
    let pem = files
        .iter()
        .find(|p| p.extension().is_some_and(|e| e == "pem"))
        .unwrap();
    assert_eq!(fs::metadata(pem).unwrap().permissions().mode() & 0o777, 0o600);
    let secret = told
        .iter()
        .find_map(|l| l.strip_prefix("secret  ")?.split(' ').next())
        .unwrap();
    assert!(
        !fs::read_to_string(home.join("ostracon.toml")).unwrap().contains(secret),
        "only its hash is kept"
    );

    let lines: Vec<_> = told.iter().filter(|l| l.contains("curl ")).cloned().collect();
    let shell = |script: &str| {
        let ran = Command::new("bash").args(["-c", script]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap()
    };
    let said = shell(&format!("{}\necho TOKEN=$TOKEN", lines.join("\n")));
    let statuses: Vec<_> = said
        .lines()
        .filter_map(|l| l.strip_prefix("HTTP/1.1 ")?.get(..3))
        .collect();
    assert_eq!(statuses, ["200", "200", "401"], "{said}");
    let token = said.lines().find_map(|l| l.strip_prefix("TOKEN=")).unwrap().to_owned();
    drop(first);

    let (_second, told) = dev(dir.path());
    assert!(told.iter().all(|l| !l.contains(secret)), "shown once");
    let verify = told.iter().rfind(|l| l.contains("/auth/verify")).unwrap();
    let said = shell(&format!("TOKEN={token}\n{verify}"));
    assert!(
        said.contains("401 Unauthorized") && said.contains("token_revoked"),
        "{said}"
    );
    let said = shell(&format!(
        "SECRET={secret}\n{}\n{verify}",
        told.iter().find(|l| l.contains("curl ")).unwrap()
    ));
    assert!(said.contains("200 OK"), "the same client, the same key: {said}");
}

#[test]
fn help_teaches_and_a_secret_can_be_made() {
    let help = Command::new(binary()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        ["serve", "demo", "init", "secret", "Examples:"]
            .iter()
            .all(|word| help.contains(word)),
        "{help}"
    );
    assert_eq!(
        Command::new(binary()).arg("sevre").output().unwrap().status.code(),
        Some(2)
    );
    let made = Command::new(binary()).arg("secret").output().unwrap();
    let made = String::from_utf8(made.stdout).unwrap();
    let hash = made.lines().find_map(|l| l.strip_prefix("secret_sha256  ")).unwrap();
    assert_eq!(hash.len(), 64);
}

/// The secret is shown when it is made, even if the server cannot start: it is never shown again.
#[test]
fn a_first_start_that_fails_has_shown_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let failed = Command::new(binary())
        .args(["serve", "--dev"])
        .current_dir(dir.path())
        .env("OSTRACON_LISTEN__PUBLIC", taken.local_addr().unwrap().to_string())
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let told = String::from_utf8(failed.stdout).unwrap();
    assert!(told.lines().any(|line| line.starts_with("secret  ")), "{told}");
    // Where it cannot be shown, nothing is made, and the next start can do it again.
    let dir = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = Command::new(binary())
        .args(["serve", "--dev"])
        .current_dir(dir.path())
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert_eq!(fs::read_dir(dir.path().join("ostracon-data")).unwrap().count(), 0);
}

/// Ctrl-C in the middle of the story: its server ends, its directory goes.
#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut demo = Command::new(binary())
        .arg("demo")
        .env("TMPDIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("A server starts"));
    let sent = Command::new("kill")
        .args(["-s", "INT", &demo.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = demo.wait().unwrap();
    // It may have been quicker than the signal.
    assert!(matches!(status.code(), Some(0 | 130)), "{status}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let told = Command::new("bash")
        .args(["-c", "\"$0\" demo | head -n 1"])
        .arg(binary())
        .env("TMPDIR", dir.path())
        .output();
    let told = told.unwrap();
    assert!(!String::from_utf8_lossy(&told.stderr).contains("panicked"), "{told:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn init_makes_nothing_that_could_not_start() {
    for arguments in [
        &["--issuer", ""][..],
        &["--client", "a:b"],
        &["--admin", "127.0.0.1:8080"],
        &["--public", "here"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new(binary())
            .arg("init")
            .arg("--dir")
            .arg(dir.path())
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(made.status.code(), Some(2), "{made:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{arguments:?}");
    }
}
