//! Values from the environment, laid over those of the file.
//!
//! `OSTRACON_TOKENS__ISSUER` is `tokens.issuer`, `OSTRACON_KEYS__0__KID` the `kid` of the first of `keys`,
//! `OSTRACON_DATA_DIR` is `data_dir`. A value is read as TOML where it is a boolean, a number, an array or a quoted
//! string, and as a plain string otherwise. Names without `__`, but for `OSTRACON_DATA_DIR`, are left to the commands.

use toml::{Table, Value};

use super::ConfigError;

const PREFIX: &str = "OSTRACON_";

/// Lays each of `variables` that is a configuration value over `file`.
pub(super) fn overlay(
    file: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, text)| Some((name.strip_prefix(PREFIX)?.to_ascii_lowercase(), text)))
        .filter(|(name, _)| name.contains("__") || name == "data_dir")
        .collect();
    // The environment has no order; arrays have.
    variables.sort();
    for (name, text) in variables {
        let path: Vec<_> = name.split("__").collect();
        let nowhere = || ConfigError::Value {
            at: format!("{PREFIX}{}", name.to_ascii_uppercase()),
            problem: "names no place in the configuration".into(),
        };
        set(file, &path, value(text)).ok_or_else(nowhere)?;
    }
    Ok(())
}

fn value(text: String) -> Value {
    let parsed = format!("value = {text}").parse::<Table>().ok();
    match parsed.and_then(|mut table| table.remove("value")) {
        // A date or a table was not meant.
        Some(
            value @ (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Array(_) | Value::String(_)),
        ) => value,
        _ => Value::String(text),
    }
}

fn set(table: &mut Table, path: &[&str], value: Value) -> Option<()> {
    let (first, rest) = path.split_first()?;
    if first.is_empty() {
        return None;
    }
    if rest.is_empty() {
        table.insert((*first).to_owned(), value);
        return Some(());
    }
    let slot = table.entry(*first).or_insert_with(|| match rest {
        [index, ..] if index.parse::<usize>().is_ok() => Value::Array(Vec::new()),
        _ => Value::Table(Table::new()),
    });
    match slot {
        Value::Table(inner) => set(inner, rest, value),
        Value::Array(items) => {
            let (index, rest) = rest.split_first()?;
            let index: usize = index.parse().ok()?;
            if index == items.len() {
                items.push(Value::Table(Table::new()));
            }
            match items.get_mut(index)? {
                Value::Table(inner) => set(inner, rest, value),
                item if rest.is_empty() => {
                    *item = value;
                    Some(())
                }
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(file: &str, variables: &[(&str, &str)]) -> Result<String, ConfigError> {
        let mut table: Table = file.parse().unwrap();
        let owned = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        overlay(&mut table, owned).map(|()| format!("{table:?}"))
    }

    #[test]
    fn values_are_laid_over_those_of_the_file() {
        let file = "data_dir=\"a\"\n[tokens]\nissuer=\"x\"\nleeway=\"1s\"";
        let all = laid(
            file,
            &[
                ("OSTRACON_TOKENS__ISSUER", "https://auth.example"),
                ("OSTRACON_DATA_DIR", "/var/lib/o"),
                ("OSTRACON_DENYLIST__PREFILTER", "false"),
                ("OSTRACON_SECRET", "left alone"),
                ("HOME", "left alone"),
            ],
        )
        .unwrap();
        for part in [
            "\"https://auth.example\"",
            "\"/var/lib/o\"",
            "\"prefilter\": Boolean(false)",
            "\"1s\"",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(!all.contains("left alone"));
    }

    #[test]
    fn arrays_are_reached_by_number_and_grow_at_their_end() {
        let all = laid(
            "[[keys]]\nkid=\"a\"",
            &[
                ("OSTRACON_KEYS__0__ALG", "EdDSA"),
                ("OSTRACON_KEYS__1__KID", "b"),
                ("OSTRACON_COOKIES__ALLOWED_ORIGINS", "[\"https://a.example\"]"),
            ],
        )
        .unwrap();
        for part in ["\"EdDSA\"", "\"b\"", "[String(\"https://a.example\")]"] {
            assert!(all.contains(part), "{part} in {all}");
        }
        for bad in [
            "OSTRACON_KEYS__7__KID",
            "OSTRACON_KEYS__x__KID",
            "OSTRACON___X",
            "OSTRACON_DATA_DIR__X",
        ] {
            let error = laid("data_dir=\"a\"\n[[keys]]\nkid=\"a\"", &[(bad, "v")]).unwrap_err();
            assert!(
                error.to_string().to_lowercase().contains(&bad.to_lowercase()),
                "{error}"
            );
        }
    }
}
