use super::*;

const SECRET: &[u8] = b"\x01\xf2\x03\x94\x05\xa6\x07\xb8\x09\xca\x0b\xdc\x0d\xee\x0f\x10\x11\x22\x13\x34\x15\x46\x17\x58\x19\x6a\x1b\x7c\x1d\x8e\x1f\x90";

fn good() -> String {
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

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    load_with_mode(text, variables, 0o600)
}

fn load_with_mode(text: &str, variables: &[(&str, &str)], mode: u32) -> Result<Config, String> {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("k.secret");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
    let path = dir.path().join("ostracon.toml");
    fs::write(&path, text).unwrap();
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
        ("[denylist]\nsweep_every = \"0s\"", "denylist.sweep_every"),
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
        ],
    )
    .unwrap();
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
fn a_key_that_others_can_read_is_refused() {
    for mode in [0o644, 0o640, 0o602] {
        let error = load_with_mode(&good(), &[], mode).unwrap_err();
        assert!(
            error.contains("keys[0].secret_file") && error.contains("chmod 600"),
            "{error}"
        );
    }
    assert!(load_with_mode(&good(), &[], 0o400).is_ok());
}

#[test]
fn lifetimes_outside_of_what_is_recommended_are_warned_of() {
    let config = load(&good().replace("[tokens]", "[tokens]\naccess_ttl = \"16m\""), &[]).unwrap();
    assert!(config.warnings()[0].contains("tokens.access_ttl is 16m; 5m to 15m"));
}

#[test]
fn i8_debug_shows_no_secret() {
    let shown = format!("{:?}", load(&good(), &[]).unwrap());
    assert!(!shown.contains("242") && !shown.contains("f2"), "{shown}");
}

/// What `[[issuers]]` with `more` behind its usual members says; `iss` and `max_lifetime` stand.
fn issuer(more: &str) -> Result<Config, String> {
    let issuer = format!("[[issuers]]\niss = \"https://app.example\"\nmax_lifetime = \"1h\"\n{more}\n");
    load(&(good() + &issuer), &[])
}

#[test]
fn issuers_are_read_with_what_they_are_trusted_for() {
    let config = issuer(
        "audiences = [\"shop\"]\nalgorithms = [\"HS256\"]\nsecret_file = \"k.secret\"\nuntyped_access = [\"JWT\", \"absent\"]\n\
         logout_audiences = [\"web\"]\nlogout_ends = \"subject\"\nclaims = { client_id = \"azp\" }",
    )
    .unwrap();
    let [app] = &config.issuers[..] else { panic!("one") };
    assert!(app.iss.as_str() == "https://app.example" && app.logout_ends_subject);
    let KeySource::Read(keys) = &app.keys else {
        panic!("read")
    };
    assert_eq!(
        keys.keys().map(|key| key.kid().as_str()).collect::<Vec<_>>(),
        ["unnamed"]
    );
    assert!(config.warnings().is_empty());

    let url = "algorithms = [\"RS256\", \"ES256\"]\njwks_url = \"https://idp.example/keys\"\nany_audience = true";
    let config = issuer(url).unwrap();
    let KeySource::Fetched(source) = &config.issuers[0].keys else {
        panic!("fetched")
    };
    assert_eq!((source.every, source.algorithms.len()), (Duration::from_mins(15), 2));
    assert!(config.warnings().is_empty(), "its tokens say what they are");
    let config = issuer(&format!("{url}\nuntyped_access = [\"JWT\"]")).unwrap();
    assert!(config.warnings()[0].contains("issuers[0].any_audience"));
}

#[test]
fn the_longest_life_is_that_of_any_issuer() {
    let key = "algorithms = [\"HS256\"]\nsecret_file = \"k.secret\"\nany_audience = true";
    assert_eq!(issuer(key).unwrap().longest_lifetime(), Duration::from_hours(30 * 24));
    let longer = format!("[[issuers]]\niss = \"i\"\nmax_lifetime = \"31d\"\n{key}");
    assert_eq!(
        load(&(good() + &longer), &[]).unwrap().longest_lifetime(),
        Duration::from_hours(31 * 24)
    );
}

#[test]
fn issuers_come_from_the_environment_too() {
    let config = load(
        &good(),
        &[
            ("OSTRACON_ISSUERS__0__ISS", "https://idp.example"),
            ("OSTRACON_ISSUERS__0__MAX_LIFETIME", "1h"),
            ("OSTRACON_ISSUERS__0__ALGORITHMS", "RS256,ES256"),
            ("OSTRACON_ISSUERS__0__AUDIENCES", "shop"),
            ("OSTRACON_ISSUERS__0__UNTYPED_ACCESS", "JWT"),
            ("OSTRACON_ISSUERS__0__JWKS_URL", "http://127.0.0.1:9/keys"),
            ("OSTRACON_ISSUERS__0__JWKS_REFRESH", "1h"),
        ],
    );
    let KeySource::Fetched(source) = &config.unwrap().issuers[0].keys else {
        panic!("fetched")
    };
    assert_eq!(source.every, Duration::from_hours(1));
}

#[test]
fn issuers_that_cannot_be_are_refused() {
    let (aud, url) = ("audiences = [\"a\"]\n", "jwks_url = \"https://idp.example/keys\"\n");
    let rs256 = "algorithms = [\"RS256\"]\n";
    let hs256 = "algorithms = [\"HS256\"]\nsecret_file = \"k.secret\"\n";
    let cases = [
        (
            format!("{rs256}{url}"),
            "issuers[0].audiences: whom its access tokens are for is needed",
        ),
        (
            format!("{aud}any_audience = true\n{rs256}{url}"),
            "issuers[0].any_audience: contradicts audiences",
        ),
        (
            format!("audiences = [\"a\", \"\"]\n{rs256}{url}"),
            "issuers[0].audiences[1]: \"\" is not possible",
        ),
        (
            format!("{aud}{url}algorithms = []"),
            "issuers[0].algorithms: at least one",
        ),
        (
            format!("{aud}{url}algorithms = [\"RS256\", \"RS256\"]"),
            "issuers[0].algorithms: one of them stands twice",
        ),
        (format!("{aud}{url}algorithms = [\"none\"]"), "issuers[0].algorithms[0]"),
        (
            format!("{aud}{url}algorithms = [\"RS256\", \"HS256\"]"),
            "issuers[0].algorithms[1]: HS256 is not possible",
        ),
        (
            format!("{aud}{rs256}"),
            "issuers[0]: exactly one of secret_file, public_key_file, jwks_file and jwks_url",
        ),
        (format!("{aud}{hs256}{url}"), "issuers[0]: exactly one of"),
        (
            format!("{aud}{rs256}secret_file = \"k.secret\""),
            "issuers[0].algorithms[0]: RS256 is not possible",
        ),
        (
            format!("{aud}algorithms = [\"HS256\"]\npublic_key_file = \"k.secret\""),
            "algorithms[0]: HS256 is not possible",
        ),
        (
            format!("{aud}algorithms = [\"HS512\"]\nsecret_file = \"k.secret\""),
            "issuers[0].secret_file",
        ),
        (
            format!("{aud}{rs256}public_key_file = \"k.secret\""),
            "issuers[0].public_key_file",
        ),
        (format!("{aud}{rs256}public_key_file = \"absent\""), "No such file"),
        (format!("{aud}{rs256}jwks_file = \"k.secret\""), "issuers[0].jwks_file"),
        (
            format!("{aud}{rs256}{url}kid = \"k\""),
            "issuers[0].kid: the keys of a set have names of their own",
        ),
        (
            format!("{aud}{hs256}jwks_refresh = \"1h\""),
            "issuers[0].jwks_refresh: there is no jwks_url",
        ),
        (
            format!("{aud}{rs256}{url}jwks_refresh = \"1s\""),
            "issuers[0].jwks_refresh: 1s is not possible; 1m to 1day is",
        ),
        (
            format!("{aud}{hs256}untyped_access = [\"at+jwt\"]"),
            "unknown variant `at+jwt`, expected `JWT` or `absent`",
        ),
        (
            format!("{aud}{hs256}untyped_logout = [\"JWT\"]"),
            "issuers[0].logout_audiences: whom its logout tokens",
        ),
        (
            format!("{aud}{hs256}logout_ends = \"subject\""),
            "issuers[0].logout_audiences: whom its logout tokens",
        ),
        (format!("{aud}{hs256}logout_ends = \"all\""), "issuers[0].logout_ends"),
        (
            format!("{aud}{hs256}claims = {{ sub = \"\" }}"),
            "issuers[0].claims.sub: \"\" is not possible",
        ),
        (format!("{aud}{hs256}claims = {{ iss = \"x\" }}"), "issuers[0].claims"),
        (format!("{aud}{hs256}audience = \"a\""), "unknown field `audience`"),
        (
            format!("{aud}{hs256}[[issuers]]\niss = \"https://app.example\"\nmax_lifetime = \"1h\"\n{aud}{hs256}"),
            "issuers[1].iss",
        ),
    ];
    for (more, said) in cases {
        let error = issuer(&more).unwrap_err();
        assert!(error.contains(said), "{more}: {error}");
    }
    for url in [
        "http://idp.example/keys",
        "ftp://idp.example/keys",
        "https://user:pw@idp.example/keys",
        "https://idp.example/keys#k",
        "http://localhost.evil.example/keys",
        "http://127.0.0.1@evil.example/keys",
        "http://127.0.0.1.evil.example/",
        "/keys",
        "https:///keys",
        "",
    ] {
        let error = issuer(&format!("{aud}{rs256}jwks_url = \"{url}\"")).unwrap_err();
        assert!(
            error.contains("issuers[0].jwks_url") && error.contains("https://HOST/PATH"),
            "{url}: {error}"
        );
        assert!(!error.contains("pw"), "I8: {error}");
    }
    for url in [
        "http://127.0.0.1:9/k",
        "http://[::1]/k",
        "http://localhost:9/k",
        "https://idp.example:444/k?x=1",
    ] {
        assert!(issuer(&format!("{aud}{rs256}jwks_url = \"{url}\"")).is_ok(), "{url}");
    }
    let own = good() + "[[issuers]]\niss = \"https://auth.example\"\nmax_lifetime = \"1h\"\n" + aud + hs256;
    assert!(load(&own, &[]).unwrap_err().contains("it is tokens.issuer"));
    for (life, said) in [
        ("", "missing field `max_lifetime`"),
        ("max_lifetime = \"500d\"\n", "issuers[0].max_lifetime"),
    ] {
        let error = load(&format!("{}[[issuers]]\niss = \"i\"\n{life}{aud}{hs256}", good()), &[]).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

/// A text has the line end that an editor left behind it; of bytes, each counts.
#[test]
fn a_secret_of_an_application_is_read_as_it_has_it() {
    let text = b"9f2c64b01ad3587ee0417bb6c8d92f35";
    let read = |bytes: &[u8]| super::issuers::without_line_end(bytes).to_vec();
    for end in [&b""[..], b"\n", b"\r\n"] {
        assert_eq!(read(&[text, end].concat()), text);
    }
    assert_eq!(read(b"a\n\n"), b"a\n\n", "one, and nothing else");
    assert_eq!(read(b"\xff\n"), b"\xff\n");
    assert_eq!(read(SECRET), SECRET);
}

#[test]
fn the_issuers_of_the_readme_can_be_used() {
    let readme = include_str!("../../../../README.md");
    let mut blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("[[issuers]]")).unwrap();
    let config = load(&(good() + &block.replace("app.secret", "k.secret")), &[]).unwrap();
    assert_eq!(config.issuers.len(), 2);
    assert!(config.warnings().is_empty());
}
