//! The document of the API: served as it is committed, valid, and true of whatever is asked and answered.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ostracon_tests::{Ask, Home, Server, reference};
use serde_json::Value;
use ureq::http::Method;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn document() -> PathBuf {
    repository().join("docs/openapi.json")
}

/// A program of the environment that `scripts/test` makes.
fn tool(name: &str) -> Command {
    let tool = repository().join("tests/api/.venv/bin").join(name);
    assert!(tool.exists(), "{} is missing; scripts/test installs it", tool.display());
    Command::new(tool)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn it_is_served_as_it_is_committed() {
    let server = Home::new().start();
    let answer = server.admin.get("/openapi.json");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(answer.body, fs::read_to_string(document()).unwrap());
    assert_eq!(server.public.get("/openapi.json").status, 404);
}

/// `OSTRACON_WRITE_OPENAPI=1` writes it anew.
#[test]
fn the_page_about_it_is_written_from_it() {
    let document = serde_json::from_slice(&fs::read(document()).unwrap()).unwrap();
    let (page, path) = (reference(&document), repository().join("docs/src/api.md"));
    if env::var_os("OSTRACON_WRITE_OPENAPI").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), page);
}

#[test]
fn a_validator_finds_nothing_wrong() {
    let checked = tool("openapi-spec-validator").arg(document()).output().unwrap();
    assert!(checked.status.success(), "{}", told(&checked));
}

/// Each path of the document answers on the listener of its tag, and on no other.
#[test]
fn every_route_is_on_its_listener() {
    let server = Home::new().start();
    let document: Value = serde_json::from_slice(&fs::read(document()).unwrap()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let tag = item.as_object().unwrap().values().next().unwrap()["tags"][0]
            .as_str()
            .unwrap();
        let (public, admin) = match tag {
            "sessions" | "oauth" => (true, false),
            "backends" | "operators" => (false, true),
            "health" => (true, true),
            other => panic!("{other}"),
        };
        // By a method that none has; only /auth/verify takes any.
        let method = Method::from_bytes(b"PROPFIND").unwrap();
        let is_there = |side: &Ask| side.send(&method, path, "text/plain", Vec::new()).status != 404;
        assert_eq!(
            (is_there(&server.public), is_there(&server.admin)),
            (public, admin),
            "{path}"
        );
    }
}

/// Tries what the document describes, and looks at each answer; `who` tells it how to authenticate. `OSTRACON_API_EXAMPLES=500`
/// tries each operation that often, and other things each time.
fn try_all(server: &str, tags: &[&str], who: &[&str]) {
    let mut tester = tool("st");
    tester
        .current_dir(repository().join("tests/api"))
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .args([
            "run",
            "--url",
            &format!("http://{server}"),
            "--no-color",
            "--warnings",
            "off",
        ])
        .args(["--generation-database", "none", "--request-timeout", "30"])
        // It does not end; `events` tries it.
        .args(["--exclude-path", "/v1/events"])
        .args(who);
    match env::var("OSTRACON_API_EXAMPLES") {
        // With time it finds requests that it believes to be wrong and that are not.
        Ok(examples) => tester
            .args(["--max-examples", &examples])
            .args(["--exclude-checks", "negative_data_rejection,positive_data_acceptance"]),
        // What a schema allows may still be refused, such as a token that is not good.
        Err(_) => tester
            .args(["--max-examples", "20", "--seed", "1"])
            .args(["--exclude-checks", "positive_data_acceptance"]),
    };
    for tag in tags {
        tester.args(["--include-tag", tag]);
    }
    let tried = tester.arg(document()).output().unwrap();
    assert!(tried.status.success(), "{}", told(&tried));
}

/// A server whose client may do everything, and does not lose patience with who fails to log in.
fn server() -> (Home, Server) {
    let home = Home::new();
    home.configure(|text| {
        text.replace("# backup_dir", "backup_dir")
            .replace("roles = [", "roles = [\"admin\", ")
    });
    let server = home.start_with(&[("OSTRACON_LIMITS__FAILURES_PER_MINUTE", "1000000")]);
    (home, server)
}

#[test]
fn a_tester_finds_no_answer_outside_it_on_the_admin_side() {
    let (home, server) = server();
    let tags = ["backends", "operators", "health"];
    server.log_in("user-42");
    try_all(
        server.admin.address(),
        &tags,
        &["--auth", &format!("backend:{}", home.secret())],
    );
    try_all(server.admin.address(), &tags, &[]);
    assert!(!server.log().contains("panicked"));
}

#[test]
fn a_tester_finds_no_answer_outside_it_on_the_public_side() {
    let (home, server) = server();
    let address = server.public.address();
    try_all(
        address,
        &["oauth", "health"],
        &["--auth", &format!("backend:{}", home.secret())],
    );
    let login = server.log_in("user-42");
    try_all(
        address,
        &["sessions"],
        &["--header", &format!("Authorization:Bearer {}", login.access)],
    );
    try_all(address, &["sessions", "oauth"], &[]);
    assert!(!server.log().contains("panicked"));
}
