//! A configuration that is taken is within its bounds and means the same however it is written: in another order and
//! layout, and with its texts in the environment.
//!
//! Input: TOML; behind a NUL, variables of the environment, one `NAME=value` on a line.
#![no_main]

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use ostracon_server::{Config, fuzzing::config};

/// A directory with the files that configurations name: `key`, 32 bytes that look random, as its owner's alone.
static BASE: LazyLock<PathBuf> = LazyLock::new(|| {
    let base = std::env::temp_dir().join(format!("ostracon-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&base).expect("a directory");
    let key = b"w3Kx-9QhVb_72LmZtY0cRf5GnD8sJpAe";
    ostracon_store::write_new(&base.join("key"), key).expect("a file");
    base
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    // Files outside of the directory are no matter of what is written here; some have no end.
    if text.contains("/dev") || text.contains("/proc") || text.contains("..") {
        return;
    }
    let (toml, environment) = text.split_once('\0').unwrap_or((text, ""));
    let variables: Vec<_> = environment
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let Ok(found) = config(toml, &BASE, variables) else {
        return;
    };
    is_bounded(&found);

    if environment.is_empty() {
        let table: toml::Table = toml.parse().expect("TOML");
        let written = toml::to_string(&table).expect("TOML");
        let again = config(&written, &BASE, Vec::new()).expect("the same");
        assert_eq!(format!("{again:?}"), format!("{found:?}"));
        in_the_environment(table, &found);
    }
});

/// What the book says of each.
fn is_bounded(config: &Config) {
    let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
    let tokens = &config.tokens;
    assert!(second <= tokens.access_ttl && tokens.access_ttl <= Duration::from_hours(1));
    assert!(tokens.access_ttl <= tokens.refresh_ttl && tokens.refresh_ttl <= tokens.session_ttl);
    assert!(tokens.session_ttl <= 400 * day && tokens.refresh_grace <= Duration::from_mins(5));
    assert!(!tokens.audience.is_empty() && !tokens.audience.chars().any(char::is_control));
    assert!(second <= config.sweep_every && config.sweep_every <= day);
    assert!((1..=1_000_000).contains(&config.limits.connections));
    assert!(second <= config.limits.header_timeout && second <= config.limits.request_timeout);
    assert!(config.data_dir.starts_with(&*BASE) || config.data_dir.is_absolute());
    assert!(
        config
            .backup_dir
            .as_ref()
            .is_none_or(|dir| !dir.starts_with(&config.data_dir))
    );
    assert!(config.public != config.admin || format!("{:?}", config.public).contains(":0"));
    assert!(!config.keys.is_empty() && config.files.contains(&config.keys[0].file));
    let kids: Vec<_> = config.keys.iter().map(|key| key.signing.kid()).collect();
    let clients: Vec<_> = config.clients.iter().map(|client| client.id()).collect();
    assert!(!ostracon_fuzz::any_twice(&kids) && !ostracon_fuzz::any_twice(&clients));
    // Told without a panic, whatever the figures are.
    drop(config.warnings());
}

/// The texts of `[tokens]` mean the same from the environment.
fn in_the_environment(mut table: toml::Table, found: &Config) {
    let mut variables = Vec::new();
    if let Some(toml::Value::Table(tokens)) = table.get_mut("tokens") {
        let texts: Vec<_> = tokens
            .iter()
            .filter(|(_, value)| value.is_str())
            .map(|(name, _)| name.clone())
            .collect();
        for name in texts {
            if let Some(toml::Value::String(text)) = tokens.remove(&name) {
                variables.push((format!("OSTRACON_TOKENS__{}", name.to_uppercase()), text));
            }
        }
    }
    let written = toml::to_string(&table).expect("TOML");
    let again = config(&written, Path::new(&*BASE), variables).expect("the same");
    assert_eq!(format!("{again:?}"), format!("{found:?}"));
}
