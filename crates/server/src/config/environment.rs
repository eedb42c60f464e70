//! Values from the environment, laid over those of the file.
//!
//! `OSTRACON_TOKENS__ISSUER` is `tokens.issuer`, `OSTRACON_KEYS__0__KID` the `kid` of the first of `keys`,
//! `OSTRACON_DATA_DIR` is `data_dir` and `OSTRACON_BACKUP_DIR` is `backup_dir`. Values are texts but for the few in [`NUMBERS`] and [`LISTS`]; a list is written as in
//! TOML, or as its items with commas in between.

use toml::{Table, Value};

use super::ConfigError;

const PREFIX: &str = "OSTRACON_";

/// Members that are booleans or numbers.
const NUMBERS: [&str; 11] = [
    "any_audience",
    "iss_absent",
    "prefilter",
    "false_positive_rate",
    "allow_same_site_requests",
    "connections",
    "core_dumps",
    "event_streams",
    "failures_per_minute",
    "required",
    "enabled",
];

/// Members that are lists of texts.
const LISTS: [&str; 8] = [
    "algorithms",
    "allowed_origins",
    "audiences",
    "logout_audiences",
    "roles",
    "trusted_proxies",
    "untyped_access",
    "untyped_logout",
];

/// What the commands that ask a server take, from the same environment.
const OF_COMMANDS: [&str; 3] = ["OSTRACON_SERVER", "OSTRACON_CLIENT", "OSTRACON_CLIENT_SECRET"];

/// The names among `variables` that look like settings and are none: one underscore instead of two, most likely.
pub(super) fn ignored<'a>(variables: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let named = variables.into_iter().filter(|name| name.starts_with(PREFIX));
    let is_meant = |name: &&String| is_setting(name) || OF_COMMANDS.contains(&name.as_str());
    let mut ignored: Vec<_> = named.filter(|name| !is_meant(name)).cloned().collect();
    ignored.sort();
    ignored
}

fn is_setting(name: &str) -> bool {
    let of_the_root = ["OSTRACON_DATA_DIR", "OSTRACON_BACKUP_DIR"];
    name.contains("__") || of_the_root.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Lays each of `variables` that is a configuration value over `file`.
pub(super) fn overlay(
    file: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter(|(name, _)| is_setting(name))
        .filter_map(|(name, text)| Some((name.strip_prefix(PREFIX)?.to_ascii_lowercase(), text)))
        .collect();
    // The environment has no order; arrays have.
    variables.sort();
    for (name, text) in variables {
        let path: Vec<_> = name.split("__").collect();
        let nowhere = || ConfigError::Value {
            at: format!("{PREFIX}{}", name.to_ascii_uppercase()),
            problem: "is no setting: such a member cannot be there".into(),
        };
        let value = value(path.last().copied().unwrap_or_default(), text);
        set(file, &path, value).ok_or_else(nowhere)?;
    }
    Ok(())
}

fn value(member: &str, text: String) -> Value {
    let is_list = LISTS.contains(&member);
    if !is_list && !NUMBERS.contains(&member) {
        return Value::String(text);
    }
    let parsed = format!("value = {text}").parse::<Table>().ok();
    match parsed.and_then(|mut table| table.remove("value")) {
        Some(value @ Value::Array(_)) if is_list => value,
        Some(value) if !is_list => value,
        _ if is_list => Value::Array(
            text.split(',')
                .map(|item| Value::String(item.trim().to_owned()))
                .collect(),
        ),
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
                items.push(if rest.is_empty() {
                    Value::String(String::new())
                } else {
                    Value::Table(Table::new())
                });
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
    fn what_looks_like_a_setting_and_is_none_is_named() {
        let names = [
            "OSTRACON_TOKENS_LEEWAY",
            "OSTRACON_TOKENS__LEEWAY",
            "OSTRACON_DATA_DIR",
            "OSTRACON_CLIENT_SECRET",
            "HOME",
        ]
        .map(str::to_owned);
        assert_eq!(ignored(&names), ["OSTRACON_TOKENS_LEEWAY"]);
    }

    #[test]
    fn arrays_are_reached_by_number_and_grow_at_their_end() {
        let all = laid(
            "[[keys]]\nkid=\"a\"",
            &[
                ("OSTRACON_KEYS__0__ALG", "EdDSA"),
                ("OSTRACON_KEYS__1__KID", "2026"),
                ("OSTRACON_CLIENTS__0__ROLES", "issue, revoke"),
                ("OSTRACON_LISTEN__TRUSTED_PROXIES__0", "::1"),
                ("OSTRACON_COOKIES__ALLOWED_ORIGINS", "[\"https://a.example\"]"),
            ],
        )
        .unwrap();
        for part in [
            "\"EdDSA\"",
            "String(\"2026\")",
            "[String(\"issue\"), String(\"revoke\")]",
            "[String(\"::1\")]",
            "[String(\"https://a.example\")]",
        ] {
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
