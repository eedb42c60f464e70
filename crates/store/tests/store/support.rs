//! What the scenarios share.

use std::{fs, path::Path};

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
    Options {
        prefilter,
        cache_bytes: 4 << 20,
        engine_parts: 2,
        segment_bytes: 2048,
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

/// Leaves in `to` what a kill of the process at this moment would leave of the store in `from`.
pub(crate) fn snapshot(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    // The engine first: the journal is then at least as far, as it always is.
    let parts = engine_parts(from).into_iter();
    let parts: Vec<_> = parts.map(|path| path.strip_prefix(from).unwrap().to_owned()).collect();
    for part in parts
        .iter()
        .map(std::path::PathBuf::as_path)
        .chain(["sled", "journal", ""].map(Path::new))
    {
        let (from, to) = (from.join(part), to.join(part));
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                // A segment may be deleted while this looks.
                let _ = fs::copy(entry.path(), to.join(entry.file_name()));
            }
        }
    }
}

/// The journal's segments, oldest first.
pub(crate) fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
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
