//! What the program is run by: the unit of systemd.

use std::{fs, path::Path, process::Command};

use ostracon_tests::binary;

/// As `docs/src/operations/install.md` says, times ten.
const EXPOSURE: &str = "12";

#[test]
fn the_unit_is_one_and_leaves_little_open() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let unit = fs::read_to_string(root.join("packaging/ostracon.service")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("ostracon.service");
    // It is looked whether the program is there.
    fs::write(
        &here,
        unit.replace("/usr/local/bin/ostracon", binary().to_str().unwrap()),
    )
    .unwrap();
    let threshold = format!("--threshold={EXPOSURE}");
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=yes", &threshold]] {
        let Ok(done) = Command::new("systemd-analyze").args(arguments).arg(&here).output() else {
            eprintln!("LEFT OUT: systemd-analyze {arguments:?}, for it is not installed");
            return;
        };
        let told = [done.stdout, done.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(done.status.success(), "{told}");
        // `verify` warns of what it does not know, and succeeds.
        assert!(arguments[0] != "verify" || told.is_empty(), "{told}");
    }
    let book = fs::read_to_string(root.join("docs/src/operations/install.md")).unwrap();
    assert!(book.contains("rates the unit 1.2 of 10"), "the same figure");
}
