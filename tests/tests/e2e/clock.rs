//! A clock that steps while the program runs, both ways, and a program that is suspended: nothing denied passes, nobody is
//! forgiven, and requests go on.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};

use ostracon_tests::{Home, Login, Server};
use serde_json::json;

/// A home whose server's wall clock is this test's to set. Its monotonic clock goes on, as that of a real machine does.
struct Wrong {
    home: Home,
    library: PathBuf,
}

impl Wrong {
    /// None, and told why, where Debian's `faketime` is not there.
    fn new() -> Option<Self> {
        let found = Path::new("/usr/lib").read_dir().unwrap().filter_map(Result::ok);
        let library = found
            .map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"))
            .find(|path| path.exists());
        if library.is_none() {
            eprintln!("LEFT OUT: no clock is stepped, since faketime is not installed");
        }
        let wrong = Self {
            home: Home::administered(),
            library: library?,
        };
        wrong.step("+0");
        Some(wrong)
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("clock")
    }

    /// Sets the clock: so far from the right time, from now on.
    fn step(&self, offset: &str) {
        // Moved into place: the program never reads half of it.
        let new = self.home.path().join("clock.new");
        fs::write(&new, offset).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn start(&self) -> Server {
        let (library, file) = (self.library.display().to_string(), self.file().display().to_string());
        self.home.start_with(&[
            ("LD_PRELOAD", &library),
            ("FAKETIME_TIMESTAMP_FILE", &file),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("DONT_FAKE_MONOTONIC", "1"),
        ])
    }
}

fn cut_off(server: &Server, sub: &str) {
    let answer = server
        .admin
        .post_json("/v1/revocations", &json!({"target": {"kind": "subject", "sub": sub}}));
    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
}

/// Neither its access token passes nor its refresh token.
fn is_out(server: &Server, login: &Login) -> bool {
    let refreshed = server.refresh(&login.refresh);
    assert!(matches!(refreshed.status, 200 | 401), "{refreshed:?}");
    !server.passes(&login.access) && refreshed.status == 401
}

#[test]
fn a_clock_that_steps_forgives_nobody() {
    let Some(wrong) = Wrong::new() else { return };
    let server = wrong.start();
    let [out, cut, stays, later] = ["out", "cut", "stays", "later"].map(|sub| server.log_in(sub));
    server.public.bearer(&out.access).post("/logout");
    cut_off(&server, "cut");
    let mut stays = stays;
    for (n, offset) in ["+3m", "+0", "-3m", "-2h", "+0", "+1d", "+0", "-30d", "+0"]
        .into_iter()
        .enumerate()
    {
        wrong.step(offset);
        assert!(is_out(&server, &out) && is_out(&server, &cut), "{offset}");
        // Somebody else each time: who was cut off by a clock that was ahead is told to wait for it.
        let new = server.log_in(&format!("new-{n}"));
        assert!(server.passes(&new.access), "{offset}: requests go on");
        server.public.bearer(&new.access).post("/logout?scope=everywhere");
        assert!(is_out(&server, &new), "{offset}: what is revoked now is out now");
        let ready = server.public.get("/readyz");
        assert_eq!(ready.status, 200, "{offset}: {ready:?}");
        // A broom would sweep by a clock that nobody can trust.
        assert_eq!(
            server.admin.post("/v1/maintenance/sweep").problem(),
            (409, "clock_unsettled".into())
        );
        if offset == "+0" {
            assert!(server.passes(&stays.access));
        }
        if offset == "+1d" {
            assert!(!server.passes(&stays.access), "it has expired");
        }
    }
    stays = Login::read(&server.refresh(&stays.refresh));
    assert!(server.passes(&stays.access));
    // Revoked while the clock is behind what was issued: it is out when the time has come again.
    wrong.step("-2h");
    cut_off(&server, "later");
    assert!(is_out(&server, &later));
    wrong.step("+0");
    assert!(is_out(&server, &later), "nobody comes back when the clock is put right");
}

/// The same where the program, too, was started anew: after a power cut, with a clock that has lost its battery.
#[test]
fn a_start_with_a_clock_that_is_behind_forgives_nobody() {
    let Some(wrong) = Wrong::new() else { return };
    let server = wrong.start();
    let [out, everywhere] = ["out", "everywhere"].map(|sub| server.log_in(sub));
    server.public.bearer(&out.access).post("/logout");
    server.kill();
    wrong.step("-2h");
    let server = wrong.start();
    assert!(is_out(&server, &out));
    let answer = server
        .public
        .bearer(&everywhere.access)
        .post("/auth/logout?scope=everywhere");
    // Its cut-off would lie in the future by this clock; what ends the session has none.
    assert_eq!(answer.revoked(), ["subject", "session"], "{answer:?}");
    assert!(!server.passes(&everywhere.access));
    wrong.step("+0");
    assert!(
        is_out(&server, &out) && is_out(&server, &everywhere),
        "the clock is right again, and they are still out"
    );
}

/// Requests that arrive while it stands still are answered once it goes on, by what holds then; and the wall clock, which did
/// not stand still, makes nobody pass.
#[test]
fn a_program_that_was_suspended_goes_on_and_forgives_nobody() {
    let home = Home::new();
    suspended(&home.start(), || ());
    if let Some(wrong) = Wrong::new() {
        suspended(&wrong.start(), || wrong.step("+3m"));
    }
}

fn suspended(server: &Server, meanwhile: impl FnOnce()) {
    let [out, later, stays] = ["out", "later", "stays"].map(|sub| server.log_in(sub));
    server.public.bearer(&out.access).post("/logout");
    server.suspend();
    let ask = |request: &str, login: &Login| {
        let mut stream = TcpStream::connect(server.public.address()).unwrap();
        let rest = "Connection: close\r\nContent-Length: 0\r\n\r\n";
        let head = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{rest}",
            login.access
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    let heard = |mut stream: TcpStream| {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let (denied, revoked) = (ask("GET /auth/verify", &out), ask("POST /logout", &later));
    meanwhile();
    server.resume();
    assert!(heard(denied).starts_with("HTTP/1.1 401 "));
    let revoked = heard(revoked);
    assert!(
        revoked.starts_with("HTTP/1.1 200 ") && revoked.contains("\"session\""),
        "{revoked}"
    );
    assert!(is_out(server, &out) && is_out(server, &later));
    assert!(server.passes(&stays.access) && server.public.get("/readyz").status == 200);
}
