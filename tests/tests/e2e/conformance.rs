//! `docs/src/conformance.md` says the truth about the tests.

use std::{collections::BTreeMap, fs, path::Path};

/// The tests of all Rust sources below `dir`, each as module and name, with its text; and `main`'s functions of a benchmark
/// that guards.
pub(crate) fn tests(dir: &Path, known: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !["node_modules", ".venv", "target"]
                .iter()
                .any(|name| path.ends_with(name))
            {
                tests(&path, known);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            let stem = if path.ends_with("mod.rs") { dir } else { &path };
            let module = stem.file_stem().unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            known.extend(names(&text).map(|name| (format!("{module}::{name}"), text_of(&text, &name))));
        }
    }
}

/// All of the function `name`, from the words above it to the next.
fn text_of(text: &str, name: &str) -> String {
    let at = text.find(&format!("fn {name}")).unwrap();
    let (before, from) = text.split_at(at);
    let above = before.rsplit("\n\n").next().unwrap();
    let end = from.match_indices("\n\n").map(|(end, _)| end);
    let is_last = |end: &usize| from[end + 2..].trim_start().starts_with(['#', '/', 'f', 'a', 'm']);
    let end = end.into_iter().find(|end| from[..*end].ends_with('}') && is_last(end));
    format!("{above}{}", &from[..end.unwrap_or(from.len())])
}

/// Whether `text` has the number in `first`, or a range in its name that it is in.
fn cites(text: &str, name: &str, first: &str) -> bool {
    let (kind, digits) = first.strip_prefix('A').map_or(('P', first), |digits| ('A', digits));
    let number: u32 = digits.parse().unwrap();
    let numbers = |text: &str, kind: char| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let numbers = words.filter_map(|word| word.strip_prefix(kind)?.parse::<u32>().ok());
        numbers.collect::<Vec<_>>()
    };
    let named = numbers(name, kind.to_ascii_lowercase());
    let ends = named.iter().min().zip(named.iter().max());
    ends.is_some_and(|(least, most)| (*least..=*most).contains(&number)) || numbers(text, kind).contains(&number)
}

/// The functions that stand behind an attribute of a test, or are a scenario of several tests.
fn names(text: &str) -> impl Iterator<Item = String> + '_ {
    // What is common to tests with each proxy, and what is counted under valgrind, is called by name.
    let is_called = |name: &str| text.matches(name).count() > 1;
    let mut is_test = false;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        }
        let (before, rest) = line.split_once("fn ")?;
        let name = rest.split(['(', '<']).next()?;
        let is_one = std::mem::take(&mut is_test) || is_called(name);
        (["", "async "].contains(&before) && is_one).then(|| name.to_owned())
    })
}

#[test]
fn each_number_has_its_row_and_each_test_that_is_named_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut known = BTreeMap::new();
    for dir in ["crates", "tests", "benches/benches"] {
        tests(&root.join(dir), &mut known);
    }
    assert!(known.contains_key("conformance::each_number_has_its_row_and_each_test_that_is_named_is_one"));
    let text = fs::read_to_string(root.join("docs/src/conformance.md")).unwrap();
    let (mut points, mut attacks, mut wrong) = (0, 0, Vec::new());
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line
            .trim_start_matches("| ")
            .trim_end_matches(" |")
            .split(" | ")
            .collect();
        let [first, _, shown] = cells[..] else {
            panic!("not three cells: {line}")
        };
        if first == "point" || first == "attack" {
            continue;
        }
        let (last, digits) = match first.strip_prefix('A') {
            Some(digits) => (&mut attacks, digits),
            None => (&mut points, first),
        };
        *last += 1;
        assert_eq!(
            digits.parse(),
            Ok(*last),
            "in order, none left out, none left over: {line}"
        );
        if let Some(why) = shown.strip_prefix("not offered: ") {
            assert!(!why.is_empty());
            continue;
        }
        let mut is_cited = false;
        for test in shown.split(", ") {
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            match name.and_then(|name| known.get_key_value(name)) {
                Some((name, text)) => is_cited |= cites(text, name, first),
                None => wrong.push(format!("{first}: no source has {test}")),
            }
        }
        if !is_cited {
            wrong.push(format!("{first}: none of its tests says so"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((points, attacks), (133, 93));
}
