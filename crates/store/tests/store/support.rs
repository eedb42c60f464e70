//! What the scenarios share.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use ostracon_core::{
    Claims, ClientId, Issuer, Jti, KeyId, Policy, Reason, Revocation, SessionId, Subject, Target, Targets, UnixTime,
};
use ostracon_store::{Denylist, Options};

pub(crate) const NOW: u64 = 1_790_000_000;

pub(crate) fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs)
}

pub(crate) fn iss() -> Issuer {
    Issuer::new("https://auth.example").unwrap()
}

pub(crate) fn token(n: usize) -> Target {
    Target::Token {
        iss: iss(),
        jti: Jti::new(format!("jti-{n}")).unwrap(),
    }
}

/// One target of each kind, all of them those of [`claims`].
pub(crate) fn all_kinds() -> [Target; 6] {
    [
        Target::Token {
            iss: iss(),
            jti: Jti::new("j").unwrap(),
        },
        Target::Session {
            iss: iss(),
            sid: SessionId::new("s").unwrap(),
        },
        Target::Subject {
            iss: iss(),
            sub: Subject::new("u").unwrap(),
        },
        Target::Client {
            iss: iss(),
            client_id: ClientId::new("c").unwrap(),
        },
        Target::Key { iss: iss(), kid: kid() },
        Target::Issuer { iss: iss() },
    ]
}

pub(crate) fn kid() -> KeyId {
    KeyId::new("k").unwrap()
}

pub(crate) fn claims(iat: u64) -> Claims {
    let json = format!(
        r#"{{"iss":"https://auth.example","jti":"j","sid":"s","sub":"u","client_id":"c","iat":{iat},"exp":{}}}"#,
        iat + 600
    );
    Claims::parse(json.as_bytes()).unwrap()
}

pub(crate) fn revocation(target: Target) -> Revocation {
    Revocation::new(target, Reason::Logout, &Policy::default(), at(NOW))
}

/// Small segments, so that a few records make several.
pub(crate) fn options(prefilter: bool) -> Options {
    LazyLock::force(&COPIER);
    Options {
        prefilter,
        cache_bytes: 4 << 20,
        engine_parts: 2,
        segment_bytes: 2048,
        min_free_bytes: 0,
        ..Options::default()
    }
}

pub(crate) fn open(dir: &Path) -> Denylist {
    Denylist::open(dir, &options(true)).unwrap()
}

pub(crate) fn denied(denylist: &Denylist, target: &Target) -> bool {
    denylist
        .check(&Targets::one(target.as_ref()), at(NOW))
        .unwrap()
        .revocation
        .is_some()
}

/// Leaves in `to` what a kill of the process at this moment would leave of the store in `from`: the process stands still
/// while it is copied. What is copied file by file while it is written is none of the states that the disk was ever in.
pub(crate) fn snapshot(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    COPIER.lock().unwrap_or_else(PoisonError::into_inner).copy(from, to);
}

/// Begun by whoever first asks for options, and so before any store is open: a process that is begun has the locks of all
/// stores for a moment.
static COPIER: LazyLock<Mutex<Copier>> = LazyLock::new(|| Mutex::new(Copier::begin()));

/// A process beside this one that has it stand still, copies a directory, and has it go on.
struct Copier {
    orders: ChildStdin,
    outcomes: BufReader<ChildStdout>,
}

impl Copier {
    #[expect(
        clippy::zombie_processes,
        reason = "it ends with this process, whose orders it reads"
    )]
    fn begin() -> Self {
        // A thread in the middle of a call to the system stops behind it.
        let copy = r#"while read -r from && read -r to; do
            kill -STOP $1
            until [ -z "$(grep -L '^State:.T' /proc/$1/task/*/status)" ]; do :; done
            cp -R "$from" "$to"; echo $?
            kill -CONT $1
        done"#;
        let mut child = Command::new("sh")
            .args(["-c", copy, "sh", &process::id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: child.stdin.take().unwrap(),
            outcomes: BufReader::new(child.stdout.take().unwrap()),
        }
    }

    fn copy(&mut self, from: &Path, to: &Path) {
        writeln!(self.orders, "{}\n{}", from.display(), to.display()).unwrap();
        let mut outcome = String::new();
        self.outcomes.read_line(&mut outcome).unwrap();
        assert_eq!(outcome, "0\n", "cp");
    }
}

/// Tells who works beside a scenario that it is over, also when it fails: the scope would wait for them for ever.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The journal's segments, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    paths
}

/// Where the parts of the engine are.
pub(crate) fn engine_parts(dir: &Path) -> Vec<std::path::PathBuf> {
    let sled = dir.join("sled");
    let is_part = |path: &std::path::PathBuf| path.to_str().unwrap().contains("-of-");
    let mut parts: Vec<_> = fs::read_dir(&sled)
        .map(|entries| entries.map(|e| e.unwrap().path()).filter(is_part).collect())
        .unwrap_or_default();
    parts.sort();
    if parts.is_empty() { vec![sled] } else { parts }
}

/// The trees of each part of the engine, for harm to be done to them.
pub(crate) fn harm(dir: &Path, harm: impl Fn(&sled::Tree, &sled::Tree, &sled::Tree)) {
    for part in engine_parts(dir) {
        harm_part(&part, &harm);
    }
}

fn harm_part(part: &Path, harm: impl Fn(&sled::Tree, &sled::Tree, &sled::Tree)) {
    let mut tries = 0..250;
    let db = loop {
        match sled::Config::new().path(part).segment_size(64 << 10).open() {
            Ok(db) => break db,
            // sled's threads give up its lock a little after it was dropped.
            Err(error) => assert!(tries.next().is_some(), "{error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let tree = |name| db.open_tree(name).unwrap();
    harm(&tree("rows"), &tree("due"), &tree("meta"));
    db.flush().unwrap();
}
