//! I8: a whole run, at the level that tells most, and then a search for everything secret that went through it, in
//! everything that it told or left behind.

#[path = "secrets/run.rs"]
mod run;
#[path = "secrets/spelled.rs"]
mod spelled;
#[path = "secrets/steps.rs"]
mod steps;

use std::{fs, process::Command};

use ostracon_tests::{Events, Home, Login, Minter, certificate, hs256_secret};
use serde_json::{Value, json};

use self::{
    run::{Run, words},
    spelled::{Secrets, Told, spellings},
    steps::{commands, console, failures, logins_and_logouts, oauth, operators, others},
};
use crate::issuers::trust;

const APP: &str = "https://app.example";
const IDP: &str = "https://idp.example";
const WRONG: &str = "a-secret-that-is-wrong-4711-and-long";

#[test]
fn i8_nothing_that_a_run_tells_or_leaves_behind_has_a_secret_in_it() {
    let home = Home::new();
    let (app, idp) = (Minter::hs256(hs256_secret()), Minter::es256());
    trust(
        &home,
        APP,
        &app,
        "audiences = [\"shop\"]\nmax_lifetime = \"1d\"\nuntyped_access = [\"JWT\"]",
    );
    let more = "audiences = [\"shop\"]\nmax_lifetime = \"1h\"\nlogout_audiences = [\"shop-web\"]";
    trust(&home, IDP, &idp, more);
    home.configure(|text| {
        let hash = text.lines().find(|line| line.starts_with("secret_sha256")).unwrap();
        let reader = format!("[[clients]]\nid = \"reader\"\n{hash}\nroles = [\"read\"]\n\n[cookies]");
        text.replacen("[cookies]", &reader, 1)
            .replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#)
            .replace("failures_per_minute = 30", "failures_per_minute = 10000")
            .replace("level = \"info\"", "level = \"trace\"")
            .replace(r#"# backup_dir = "backups""#, r#"backup_dir = "backups""#)
    });
    let run = Run::start(home);
    {
        let mut secrets = run.secrets.borrow_mut();
        secrets.add("the client's secret", run.home.secret().as_bytes());
        secrets.add("a wrong secret", WRONG.as_bytes());
        let Minter::Secret(secret) = &app else { unreachable!() };
        secrets.add("an application's secret", secret);
        let successor = fs::read(run.home.path().join("denylist/successor-key")).unwrap();
        secrets.add("what successors are derived from", &successor);
    }
    run.add_keys();
    let mut events = Events::open(&run.server.admin, "/v1/events?rotated=true").unwrap();

    let tokens = logins_and_logouts(&run);
    oauth(&run);
    others(&run, &app, &idp);
    failures(&run, &tokens);
    operators(&run, &tokens);
    console(&run, &tokens);
    let online = commands(&run, &tokens);
    run.look_at_process();
    run.told.borrow_mut().add("events", format!("{:?}", events.take(12)));
    assert!(online.contains("user-1"), "the audit trail tells who");

    // Every route of the document, and every page of the console.
    let document = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    let methods = |(path, item): (&String, &Value)| {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_ascii_uppercase());
        methods.map(|method| format!("{method} {path}")).collect::<Vec<_>>()
    };
    let mut routes: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(methods)
        .collect();
    routes.extend(
        words("crates/server/src/console/mod.rs", ".route(\"")
            .iter()
            .map(|path| format!(" {path}")),
    );
    let asked = run.asked.borrow();
    let is_asked = |route: &String| {
        asked.iter().any(|asked| {
            let (asked, route) = (asked.split('/'), route.split('/'));
            let fits =
                |(part, of): (&str, &str)| part == of || of.starts_with('{') || (of == " " && part.ends_with(' '));
            asked.clone().count() == route.clone().count() && asked.zip(route).all(fits)
        })
    };
    let left_out: Vec<_> = routes.iter().filter(|route| !is_asked(route)).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    drop(asked);

    offline(run);
}

/// The commands for a store and a configuration without a server, and then the search.
fn offline(run: Run) {
    run.showing(&["clients", "add", "shop", "--role", "issue", "--config", "ostracon.toml"]);
    run.showing(&["clients", "rotate", "shop", "--config", "ostracon.toml"]);
    run.showing(&["secret"]);
    run.showing(&["init", "--dir", "second", "--issuer", APP]);
    for arguments in [
        &["clients", "list"][..],
        &["clients", "remove", "shop"],
        &["keys", "generate"],
        &["keys", "list"],
        &["keys", "rotate", "--in", "1h", "--alg", "ES256"],
    ] {
        assert_eq!(
            run.command(&[arguments, &["--config", "ostracon.toml"]].concat(), "").0,
            0,
            "{arguments:?}"
        );
    }
    run.command(&["keys", "retire", "nobody", "--config", "ostracon.toml"], "");
    run.add_keys();
    assert_eq!(run.command(&["completions", "bash"], "").0, 0);
    assert_eq!(run.command(&["demo"], "").0, 0);

    let Run {
        home,
        server,
        told,
        secrets,
        asked,
        given,
    } = run;
    let (printed, log) = server.printed();
    told.borrow_mut().add("standard output", printed);
    assert!(log.contains("DEBUG"), "the level that tells most");
    told.borrow_mut().add("the log", log);
    let server = tls(&home, &mut secrets.borrow_mut());
    told.borrow_mut().add("the log of TLS", server);

    // On the store that it left. (Commands want the address of a server, which these do not use.)
    let run = Run {
        server: home.start(),
        home,
        told,
        secrets,
        asked,
        given,
    };
    let login = Login::read(&run.json(&run.server.admin, "/v1/sessions", &json!({"sub": "user-9"})));
    fs::write(
        run.home.path().join("kept-dump"),
        format!("1000 blacklist:{}\nx {}\n", login.access, login.refresh),
    )
    .unwrap();
    run.server.terminate();
    ostracon_tests::wait_for("the store to be free", || {
        run.command(&["check-store", "--config", "ostracon.toml"], "").0 == 0
    });
    run.command(
        &["import", "--format", "redis", "--config", "ostracon.toml", "kept-dump"],
        "",
    );
    assert_eq!(
        run.command(&["export", "--config", "ostracon.toml", "-o", "export.ndjson"], "")
            .0,
        0
    );
    assert_eq!(run.command(&["audit", "--config", "ostracon.toml"], "").0, 0);
    let (status, made) = run.command(&["backup", "--config", "ostracon.toml", "--to", "copies", "--json"], "");
    assert_eq!(status, 0, "{made}");
    let copy = fs::read_dir(run.home.path().join("copies"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let from = copy.to_str().unwrap();
    assert_eq!(run.command(&["restore", "--from", from, "--to", "restored"], "").0, 0);

    // `serve` is what all of this is about, and `bench` has neither keys nor tokens.
    let help = "crates/server/src/cli/help.rs";
    let known = [words(help, "(\n        \""), words(help, "    (\"")].concat();
    let is_command = |name: &&String| name.starts_with(|c: char| c.is_ascii_lowercase());
    let given = run.given.borrow();
    let is_given = |name: &String| given.contains(name) || ["serve", "bench"].contains(&name.as_str());
    let left_out: Vec<_> = known.iter().filter(is_command).filter(|name| !is_given(name)).collect();
    assert!(known.len() > 20);
    assert!(left_out.is_empty(), "{left_out:?}");

    // All files but those that are there to keep a secret.
    let kept = [
        "successor-key",
        "kept-token",
        "kept-bad",
        "kept-secret",
        "kept-dump",
        "tls.key",
        "app.example.key",
    ];
    let mut told = run.told.borrow_mut();
    told.add_files(run.home.path(), &kept);
    let secrets = run.secrets.borrow();
    assert!(secrets.len() > 150, "{}", secrets.len());
    for expected in ["user-2", &login.sid, "a client login failed", "token_revoked"] {
        assert!(told.has(expected), "what may be told is found in this way: {expected}");
    }
    let shown = told.shows(&secrets);
    assert!(shown.is_empty(), "{} places:\n{}", shown.len(), shown.join("\n"));
}

/// A listener with a certificate, and what is logged of handshakes with it.
fn tls(home: &Home, secrets: &mut Secrets) -> String {
    let (certificate, key) = certificate();
    secrets.add_key("the key of a certificate", &key);
    ostracon_store::write_new(&home.path().join("tls.key"), key.as_bytes()).unwrap();
    ostracon_store::write_new(&home.path().join("tls.crt"), certificate.as_bytes()).unwrap();
    let plain = fs::read_to_string(home.config()).unwrap();
    home.configure(|text| text + "\n[tls.public]\ncertificate_file = \"tls.crt\"\nprivate_key_file = \"tls.key\"\n");
    let server = home.start();
    let login = server.log_in("user-10");
    for token in [&login.access, &login.refresh] {
        secrets.add_token("a token over TLS", token);
        for more in [&["--insecure"][..], &[]] {
            let header = format!("Authorization: Bearer {token}");
            let url = format!("https://{}/auth/verify", server.public.address());
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--max-time", "30", "-H", &header, &url])
                .args(more)
                .output()
                .unwrap();
        }
    }
    let log = server.printed().1;
    home.configure(|_| plain);
    log
}

/// The search finds each spelling of each piece, wherever it stands, and nothing where there is nothing.
#[test]
fn what_is_shown_on_purpose_is_found() {
    let mut secrets = Secrets::default();
    let (_, key) = certificate();
    let token = format!("aGVhZGVy.Y2xhaW1z.{}", "c2lnbmF0dXJlc2lnbmF0dXJlc2lnbmF0dXJl");
    secrets.add_token("a token", &token);
    secrets.add_key("a key", &key);
    secrets.add("a secret", WRONG.as_bytes());
    let found = |bytes: &[u8]| {
        let mut told = Told::default();
        told.add("a log", [b"before ", bytes, b" after"].concat());
        told.shows(&secrets)
    };
    assert!(found(b"aGVhZGVy.Y2xhaW1z, and nothing else").is_empty());
    assert_eq!(found(token.as_bytes()), ["a token in a log"]);
    assert_eq!(found(&token.as_bytes()[..40]), ["a token in a log"], "the most of it");
    assert_eq!(found(key.replace('\n', "").as_bytes()), ["a key in a log"]);
    for engine in [
        base64::engine::general_purpose::STANDARD,
        base64::engine::general_purpose::URL_SAFE,
    ] {
        use base64::Engine;
        for before in ["", "x", "xy", "backend:"] {
            let whole = engine.encode(format!("{before}{WRONG} and more"));
            assert_eq!(found(whole.as_bytes()), ["a secret in a log"], "{before}");
        }
    }
    assert_eq!(
        found(format!("{:?}", WRONG.as_bytes()).as_bytes()),
        ["a secret in a log"]
    );
    for spelling in spellings(&WRONG.as_bytes()[..16]) {
        assert_eq!(found(&spelling), ["a secret in a log"]);
    }
}
