//! The public interface, written down: a change of it is seen in a review as a change of `surface.txt`.

use std::{fmt::Write as _, fs, path::Path};

/// The declarations that begin with `pub` in the modules of the crate, each on one line, with what implements them.
///
/// Relies on the formatter: an item begins in a column of its own, tests come last, and a body opens at the end of a line.
fn surface(dir: &Path, into: &mut String) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            surface(&path, into);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let (mut held, mut within, mut declaration) = (String::new(), String::new(), String::new());
        for line in code.lines() {
            let text = line.trim();
            if declaration.is_empty() {
                let is_variant = within.starts_with("pub enum") && text.chars().next().is_some_and(char::is_uppercase);
                let has_members = within.starts_with("pub enum") || within.starts_with("pub trait");
                if line == "}" {
                    within.clear();
                } else if line.starts_with("impl") {
                    text.trim_end_matches(" {").clone_into(&mut within);
                    let of_trait = within.contains(" for ");
                    if of_trait {
                        writeln!(held, "{within}").unwrap();
                    }
                    continue;
                } else if !(text.starts_with("pub ")
                    || is_variant
                    || has_members && text.starts_with("const ")
                    || has_members && text.starts_with("fn "))
                {
                    if !line.starts_with(' ') && (text == "#[non_exhaustive]" || text.starts_with("#[derive(")) {
                        writeln!(held, "{text}").unwrap();
                    }
                    continue;
                }
            }
            if line == "}" {
                continue;
            }
            let spaced = !declaration.is_empty() && !declaration.ends_with('(') && !text.starts_with([')', '.']);
            declaration.push_str(if spaced { " " } else { "" });
            declaration.push_str(text);
            let open_use = declaration.starts_with("pub use") && !text.ends_with(';');
            if open_use
                || !(text.ends_with(['{', ';', ',', '}']))
                || declaration.matches('(').count() > declaration.matches(')').count()
            {
                continue;
            }
            let told = declaration.trim_end_matches([' ', '{', ';']).to_owned();
            let owner = if line.starts_with(' ') { within.as_str() } else { "" };
            if owner.contains(" for ") {
                declaration.clear();
                continue;
            }
            writeln!(
                held,
                "{}{told}",
                if owner.is_empty() {
                    String::new()
                } else {
                    format!("{owner} :: ")
                }
            )
            .unwrap();
            if !line.starts_with(' ') && text.ends_with('{') {
                within = told;
            }
            declaration.clear();
        }
        if held.contains("pub ") {
            let name = path
                .strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
                .unwrap()
                .display()
                .to_string();
            write!(into, "# {name}\n{held}\n").unwrap();
        }
    }
}

#[test]
fn the_surface_is_as_it_is_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = String::new();
    surface(&root.join("src"), &mut found);
    let written = root.join("tests/core/surface.txt");
    if std::env::var_os("OSTRACON_WRITE_SURFACE").is_some() {
        fs::write(&written, &found).unwrap();
    }
    let expected = fs::read_to_string(&written).unwrap_or_default();
    assert!(
        found == expected,
        "the public interface changed; if that is meant, run this with OSTRACON_WRITE_SURFACE=1 and commit surface.txt:\n{}",
        found
            .lines()
            .filter(|line| !expected.contains(line))
            .collect::<Vec<_>>()
            .join("\n")
    );
}
