use std::fs;

use super::*;

pub(super) const SECRET: &[u8] = b"\x01\xf2\x03\x94\x05\xa6\x07\xb8\x09\xca\x0b\xdc\x0d\xee\x0f\x10\x11\x22\x13\x34\x15\x46\x17\x58\x19\x6a\x1b\x7c\x1d\x8e\x1f\x90";

pub(super) fn good() -> String {
    format!(
        r#"
data_dir = "denylist"
[listen]
public = "127.0.0.1:0"
[tokens]
issuer = "https://auth.example"
audience = "app"
[[keys]]
kid = "k"
alg = "HS256"
secret_file = "k.secret"
[[clients]]
id = "web"
secret_sha256 = "{}"
roles = ["issue", "revoke"]
"#,
        "0".repeat(64)
    )
}

pub(super) fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    load_with_modes(text, variables, 0o600, 0o600)
}

fn load_with_modes(text: &str, variables: &[(&str, &str)], of_key: u32, of_config: u32) -> Result<Config, String> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("k.secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(of_key)).unwrap();
    let path = dir.path().join("ostracon.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(of_config)).unwrap();
    let owned = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Config::load_with(&path, owned).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_those_that_are_documented() {
    let config = load(&good(), &[]).unwrap();
    assert!(
        config.data_dir.ends_with("denylist") && config.data_dir.is_absolute(),
        "relative to the file"
    );
    assert_eq!(config.admin.to_string(), "127.0.0.1:8081");
    let t = &config.tokens;
    let hours = |h| Duration::from_hours(h);
    assert_eq!(
        (t.access_ttl, t.refresh_ttl, t.session_ttl),
        (Duration::from_mins(10), hours(14 * 24), hours(30 * 24))
    );
    assert_eq!(
        (t.refresh_grace, t.leeway),
        (Duration::from_secs(10), Duration::from_secs(30))
    );
    assert_eq!(t.cache_bytes, 32 << 20);
    assert_eq!(config.cookies.access.as_str(), "__Host-USER_SESSION");
    assert_eq!(config.cookies.refresh.as_str(), "__Secure-USER_REFRESH");
    assert!(config.denylist.prefilter && config.denylist.cache_bytes == 64 << 20);
    assert!(config.warnings().is_empty());
}

/// What is wrong is told with its place, its value, and what is allowed.
#[test]
fn what_cannot_be_is_refused_with_path_value_and_what_is_allowed() {
    let cases = [
        ("[listen]", "[listen]\nport = 1", ["listen", "port", "public"]),
        (
            "[tokens]",
            "[tokens]\ncache = \"512 KiB\"",
            ["tokens.cache", "512", "0 for none"],
        ),
        (
            "[tokens]",
            "[tokens]\naccess_ttl = \"0s\"",
            ["tokens.access_ttl", "0s", "1s to 1h"],
        ),
        (
            "[tokens]",
            "[tokens]\naccess_ttl = \"2h\"",
            ["tokens.access_ttl", "2h", "1s to 1h"],
        ),
        (
            "[tokens]",
            "[tokens]\naccess_ttl = 600",
            ["tokens.access_ttl", "600", "string"],
        ),
        (
            "[tokens]",
            "[tokens]\naccess_ttl = \"ten\"",
            ["tokens.access_ttl", "ten", "10m"],
        ),
        (
            "[tokens]",
            "[tokens]\nleeway = \"6m\"",
            ["tokens.leeway", "6m", "0s to 5m"],
        ),
        (
            "[tokens]",
            "[tokens]\nrefresh_ttl = \"31d\"",
            ["tokens.refresh_ttl", "month", "10m to 30days"],
        ),
        (
            "issuer = \"https://auth.example\"",
            "issuer = \"\"",
            ["tokens.issuer", "empty", "must"],
        ),
        (
            "\"127.0.0.1:0\"",
            "\"localhost\"",
            ["listen.public", "localhost", "127.0.0.1:8080"],
        ),
        (
            "\"127.0.0.1:0\"",
            "\"127.0.0.1:8081\"",
            ["listen.admin", "127.0.0.1:8081", "differ"],
        ),
        (
            "kid = \"k\"",
            "kid = \"k\"\nsigns_from = \"soon\"",
            ["keys[0].signs_from", "soon", "2027-01-31T12:00:00Z"],
        ),
        ("\"HS256\"", "\"none\"", ["keys[0].alg", "none", "HS256"]),
        ("\"HS256\"", "\"HS512\"", ["keys[0].secret_file", "32 bytes", "64"]),
        (
            "secret_file = \"k.secret\"",
            "",
            ["keys[0]", "private_key_file", "secret_file"],
        ),
        ("k.secret", "absent", ["keys[0].secret_file", "absent", "No such file"]),
        ("\"issue\"", "\"root\"", ["clients[0].roles[0]", "root", "issue"]),
        ("id = \"web\"", "id = \"a:b\"", ["clients[0].id", "a:b", "letters"]),
        (
            "secret_sha256 = \"00",
            "secret_sha256 = \"0x",
            ["clients[0].secret_sha256", "64", "SHA-256"],
        ),
    ];
    for (from, to, expected) in cases {
        let error = load(&good().replace(from, to), &[]).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{to:?}: {part:?} is not in {error:?}");
        }
    }
}

#[test]
fn so_is_what_contradicts_itself_or_is_no_configuration() {
    for (more, expected) in [
        (
            "[denylist]\nfalse_positive_rate = 0.5",
            "denylist.false_positive_rate: 0.5 is not possible; 0.000001 to 0.1 is",
        ),
        ("[denylist]\ncache = \"1 KiB\"", "denylist.cache"),
        ("[denylist]\npending = \"2 GiB\"", "denylist.pending"),
        ("[denylist]\nmin_free = \"2 PiB\"", "denylist.min_free"),
        ("[denylist]\nsweep_every = \"0s\"", "denylist.sweep_every"),
        (
            "[denylist]\ndurability = \"lazy\"",
            "denylist.durability: unknown variant `lazy`",
        ),
        (
            "[denylist]\nsync_every = \"1s\"",
            "denylist.sync_every: 1s is not possible; it counts only beside durability = \"interval\"",
        ),
        (
            "[denylist]\ndurability = \"interval\"\nsync_every = \"2s\"",
            "denylist.sync_every: 2s is not possible; 1ms to 1s is",
        ),
        ("[cookies]\nrefresh = \"__Host-R\"", "Path=/"),
        (
            "[cookies]\nsame_site = \"laxer\"",
            "cookies.same_site: unknown variant `laxer`, expected one of",
        ),
        (
            "[cookies]\nallowed_origins = [\"https://a.example/\"]",
            "cookies.allowed_origins[0]",
        ),
        ("[[rules]]\npath = \"admin\"\ntier = \"high\"", "rules[0]"),
        ("[[rules]]\ntier = \"high\"", "one of audience, scope and path"),
        ("[limits]\nconnections = 0", "limits.connections: 0 is not possible"),
        ("[limits]\nheader_timeout = \"0s\"", "limits.header_timeout"),
        ("[limits]\nfailures_per_minute = 0", "limits.failures_per_minute"),
        ("[log]\nlevel = \"loud\"", "log.level: \"loud\" is not possible"),
        (
            "[[keys]]\nkid = \"k\"\nalg = \"HS256\"\nsecret_file = \"k.secret\"",
            "keys[1].kid",
        ),
    ] {
        let error = load(&(good() + more), &[]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    assert!(load("[tokens", &[]).unwrap_err().contains("not valid TOML"));
    assert!(load("", &[]).unwrap_err().contains("missing field `data_dir`"));
}

#[test]
fn every_value_can_come_from_the_environment() {
    let config = load(
        &good(),
        &[
            ("OSTRACON_TOKENS__ISSUER", "https://other.example"),
            ("OSTRACON_TOKENS__ACCESS_TTL", "5m"),
            ("OSTRACON_DENYLIST__PREFILTER", "false"),
            ("OSTRACON_DENYLIST__FALSE_POSITIVE_RATE", "0.01"),
            ("OSTRACON_CLIENTS__0__ID", "app"),
            ("OSTRACON_COOKIES__ALLOWED_ORIGINS", "[\"https://a.example\"]"),
            ("OSTRACON_PROCESS__CORE_DUMPS", "true"),
            ("OSTRACON_DENYLIST__MIN_FREE", "1 GiB"),
        ],
    )
    .unwrap();
    assert!(config.core_dumps);
    assert_eq!(config.denylist.min_free_bytes, 1 << 30);
    assert_eq!(config.tokens.issuer.as_str(), "https://other.example");
    assert_eq!(config.tokens.access_ttl, Duration::from_mins(5));
    assert!(!config.denylist.prefilter);
    assert_eq!(config.clients[0].id(), "app");
    assert_eq!(config.cookies.allowed_origins.len(), 1);
    let error = load(&good(), &[("OSTRACON_TOKENS__ISSUED", "x")]).unwrap_err();
    assert!(
        error.contains("tokens") && error.contains("issued") && error.contains("issuer"),
        "{error}"
    );
}

#[test]
fn an_end_of_all_keys_and_files_are_told() {
    let config = load(
        &good(),
        &[
            ("OSTRACON_KEYS__0__SIGNS_FROM", "2026-01-31T12:00:00Z"),
            ("OSTRACON_KEYS__0__RETIRED_AT", "2027-01-31T12:00:00Z"),
        ],
    )
    .unwrap();
    assert!(config.warnings()[0].contains("from 2027-01-31T12:00:00Z on"));
    let (begins, ends) = (config.keys[0].signs_from.unwrap(), config.keys[0].retired_at.unwrap());
    let second = Duration::from_secs(1);
    assert_eq!(config.unsigned_from(begins), Some(ends));
    assert_eq!(
        config.unsigned_from(ends.saturating_add(second)),
        Some(ends.saturating_add(second))
    );
    let names: Vec<_> = config.files.iter().map(|file| file.file_name().unwrap()).collect();
    assert_eq!(names, ["k.secret", "ostracon.toml"]);
    let error = load(&good(), &[("OSTRACON_TLS__PUBLIC__CERTIFICATE_FILE", "absent.crt")]).unwrap_err();
    assert!(
        error.contains("tls.public") && error.contains("private_key_file"),
        "{error}"
    );
}

#[test]
fn a_file_that_others_can_get_at_is_refused_with_what_to_do() {
    for mode in [0o644, 0o604, 0o602, 0o601, 0o666] {
        let told = format!("(mode {mode:04o}); run `chmod o-rwx ");
        let error = load_with_modes(&good(), &[], mode, 0o600).unwrap_err();
        let of_key = error.starts_with("keys[0].secret_file: ") && error.ends_with("/k.secret`");
        assert!(of_key && error.contains(&told), "{error}");
        let error = load_with_modes(&good(), &[], 0o600, mode).unwrap_err();
        assert!(
            error.ends_with("/ostracon.toml`") && error.contains(&told) && !error.contains("keys"),
            "{error}"
        );
    }
    for mode in [0o400, 0o600, 0o640, 0o440, 0o660] {
        assert!(load_with_modes(&good(), &[], mode, mode).is_ok(), "{mode:o}");
    }
}

#[test]
fn lifetimes_outside_of_what_is_recommended_are_warned_of() {
    let config = load(&good().replace("[tokens]", "[tokens]\naccess_ttl = \"16m\""), &[]).unwrap();
    assert!(config.warnings()[0].contains("tokens.access_ttl is 16m; 5m to 15m"));
}

#[test]
fn syncs_that_are_put_off_are_warned_of_with_what_may_be_lost() {
    assert_eq!(load(&good(), &[]).unwrap().denylist.durability, Durability::Sync);
    for (more, every, told) in [("", 100, "100ms"), ("sync_every = \"1s\"", 1000, "1s")] {
        let config = load(&format!("{}[denylist]\ndurability = \"interval\"\n{more}", good()), &[]).unwrap();
        assert_eq!(
            config.denylist.durability,
            Durability::Interval(Duration::from_millis(every))
        );
        let warning = config.warnings().remove(0);
        assert!(
            warning.contains("loses power") && warning.contains(&format!("the last {told} ")),
            "{warning}"
        );
    }
}

#[test]
fn i8_debug_shows_no_secret() {
    let shown = format!("{:?}", load(&good(), &[]).unwrap());
    assert!(!shown.contains("242") && !shown.contains("f2"), "{shown}");
}
