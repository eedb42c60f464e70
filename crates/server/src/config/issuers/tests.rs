use super::{source::without_line_end, *};
use crate::config::{
    Config,
    tests::{SECRET, good, load},
};

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
#[expect(clippy::too_many_lines, reason = "a table")]
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
            format!("{aud}{rs256}{url}iss_absent = true"),
            "issuers[0].iss_absent: a provider that publishes",
        ),
        (
            format!(
                "{aud}{hs256}iss_absent = true\n[[issuers]]\niss = \"j\"\nmax_lifetime = \"1h\"\n{aud}{hs256}iss_absent = true"
            ),
            "issuers[1].iss_absent: tokens that do not say",
        ),
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
}

#[test]
fn a_key_set_is_fetched_over_tls_or_from_this_machine() {
    let usual = "audiences = [\"a\"]\nalgorithms = [\"RS256\"]\n";
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
        let error = issuer(&format!("{usual}jwks_url = \"{url}\"")).unwrap_err();
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
        assert!(issuer(&format!("{usual}jwks_url = \"{url}\"")).is_ok(), "{url}");
    }
}

#[test]
fn an_issuer_is_another_one_and_its_tokens_end() {
    let (aud, hs256) = (
        "audiences = [\"a\"]\n",
        "algorithms = [\"HS256\"]\nsecret_file = \"k.secret\"\n",
    );
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
    let read = |bytes: &[u8]| without_line_end(bytes).to_vec();
    for end in [&b""[..], b"\n", b"\r\n"] {
        assert_eq!(read(&[text, end].concat()), text);
    }
    assert_eq!(read(b"a\n\n"), b"a\n\n", "one, and nothing else");
    assert_eq!(read(b"\xff\n"), b"\xff\n");
    assert_eq!(read(SECRET), SECRET);
}

#[test]
fn the_issuers_of_the_readme_can_be_used() {
    let readme = include_str!("../../../../../README.md");
    let mut blocks = readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("[[issuers]]")).unwrap();
    let config = load(&(good() + &block.replace("app.secret", "k.secret")), &[]).unwrap();
    assert_eq!(config.issuers.len(), 2);
    assert!(config.warnings().is_empty());
}
