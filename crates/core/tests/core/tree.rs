//! What a user of this crate alone has to build.

use std::process::Command;

fn tree(arguments: &[&str]) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--package",
            "ostracon-core",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// A new name in this list is a decision: whoever pulls the crate pulls it too.
#[test]
fn without_features_it_pulls_serde_and_little_else() {
    let names = tree(&["--format", "{lib}"]);
    let expected: Vec<&str> = include_str!("tree.txt").lines().collect();
    assert_eq!(names, expected);
}

/// Nothing of it needs an operating system: the crate itself is `no_std` with `alloc`, and so is what it builds on.
#[test]
fn without_features_nothing_asks_for_std() {
    let features = tree(&["--format", "{lib} {f}"]);
    assert!(features.iter().any(|line| line == "serde_json alloc"));
    let asking: Vec<_> = features
        .iter()
        .filter(|line| line.split([' ', ',']).any(|f| f == "std"))
        .collect();
    assert!(asking.is_empty(), "{asking:?}");
}
