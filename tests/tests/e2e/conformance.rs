//! `docs/conformance.md` says the truth about the tests.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of the functions of all Rust sources below `dir`.
pub(crate) fn functions(dir: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = |line: &str| Some(line.split_once("fn ")?.1.split('(').next()?.to_owned());
            names.extend(text.lines().filter_map(name));
        }
    }
}

#[test]
fn each_test_that_the_table_names_exists_and_no_point_is_left_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut known = BTreeSet::new();
    for dir in ["crates", "tests"] {
        functions(&root.join(dir), &mut known);
    }
    let text = fs::read_to_string(root.join("docs/conformance.md")).unwrap();
    let mut point = 0;
    for line in text.lines() {
        let cells: Vec<_> = line.split(" | ").collect();
        let [first, _, shown] = cells[..] else { continue };
        let Ok(number) = first.trim_start_matches("| ").parse::<usize>() else {
            continue;
        };
        point += 1;
        assert_eq!(number, point, "in order, none left out: {line}");
        let shown = shown.trim_end_matches(" |");
        if ["open", "not offered", "does not arise"]
            .iter()
            .any(|word| shown.starts_with(word))
        {
            continue;
        }
        for test in shown.split(", ") {
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            let exists = name.is_some_and(|name| known.contains(name));
            assert!(exists, "point {number}: no source has {test}");
        }
    }
    assert_eq!(point, 133);
}
