//! What the documents on security say of tests, scripts and versions is so.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::conformance::tests;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The cells of the rows of the tables in `text`.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").collect())
}

/// What stands between backquotes in `text`, fenced blocks left out.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

#[test]
fn each_promise_names_tests_that_exist() {
    let mut known = BTreeMap::new();
    for dir in ["crates", "tests"] {
        tests(&root().join(dir), &mut known);
    }
    let name = |test: String| Some(test.rsplit_once("::")?.1.to_owned());
    let known: BTreeSet<String> = known.into_keys().filter_map(name).collect();
    let model = document("docs/src/security-model.md");
    let promises = rows(&model).filter(|cells| cells[0].starts_with('I'));
    let mut numbers = Vec::new();
    for cells in promises {
        let [number, _, shown] = cells[..] else {
            panic!("{cells:?}")
        };
        numbers.push(number);
        let tests: Vec<_> = shown.split(", ").map(|test| test.trim_matches('`')).collect();
        for test in &tests {
            assert!(known.contains(*test), "{number}: no source has {test}");
        }
        let has_number = |test: &&str| test.split('_').any(|word| word.eq_ignore_ascii_case(number));
        let some = tests.iter().any(has_number) || number == "I7";
        assert!(some, "{number} has a test with its number: {tests:?}");
    }
    let all: Vec<_> = (1..=10).map(|n| format!("I{n}")).collect();
    assert_eq!(numbers, all);
    // The same for tests that are named elsewhere, by number; `a77_…` is some test.
    for name in ["SECURITY.md", "docs/src/security-model.md", "docs/src/supply-chain.md"] {
        for word in document(name).split('`').skip(1).step_by(2) {
            let is_numbered = word.starts_with(['a', 'i', 'p']) && word[1..].starts_with(|c: char| c.is_ascii_digit());
            let begins = |test: &String| test.starts_with(word.trim_end_matches('…'));
            assert!(!is_numbered || known.iter().any(begins), "{name}: no source has {word}");
        }
    }
}

#[test]
fn each_script_that_is_named_exists() {
    for name in [
        "SECURITY.md",
        "docs/src/security-model.md",
        "docs/src/supply-chain.md",
        "docs/src/operations/install.md",
    ] {
        let text = document(name);
        let scripts = quoted(&text).flat_map(|word| word.split(' ').filter(|word| word.starts_with("scripts/")));
        for script in scripts {
            assert!(root().join(script).is_file(), "{name}: there is no {script}");
        }
    }
}

/// A version that has changed has not been read.
#[test]
fn the_review_of_other_peoples_code_is_of_what_is_locked() {
    let locked = document("Cargo.lock");
    let chain = document("docs/src/supply-chain.md");
    let reviewed: Vec<_> = rows(&chain)
        .filter(|cells| cells.len() == 4 && cells[2].parse::<u32>().is_ok())
        .collect();
    assert!(reviewed.len() > 30, "{}", reviewed.len());
    for cells in reviewed {
        let entry = format!("name = \"{}\"\nversion = \"{}\"\n", cells[0], cells[1]);
        assert!(
            locked.contains(&entry),
            "read {} {} again: Cargo.lock has another",
            cells[0],
            cells[1]
        );
    }
    // So for what is excused, here and in `deny.toml`.
    let deny = document("deny.toml");
    let excused: Vec<_> = rows(&chain).filter(|cells| cells[0].starts_with("RUSTSEC-")).collect();
    assert_eq!(deny.matches("RUSTSEC-").count(), excused.len());
    for cells in excused {
        let (name, version) = cells[1].split_once(' ').unwrap();
        let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        assert!(deny.contains(cells[0]) && locked.contains(&entry), "{cells:?}");
    }
}
