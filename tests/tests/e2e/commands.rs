//! The commands that ask a running server.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
    thread,
    time::{Duration, UNIX_EPOCH},
};

use ostracon_tests::{Home, SecureServer, Server, binary, certificate, now, wait_for};
use serde_json::{Value, json};

/// What a command came to: its exit status, what it printed, and what it said beside.
#[derive(Debug)]
struct Done {
    status: i32,
    out: String,
    err: String,
}

impl Done {
    fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }

    fn lines(&self) -> Vec<Value> {
        assert_eq!(self.status, 0, "{self:?}");
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// One who gives commands to a server.
struct Operator {
    server: String,
    secret: String,
}

impl Operator {
    fn of(home: &Home, server: &Server) -> Self {
        Self {
            server: format!("http://{}", server.admin.address()),
            secret: home.secret().to_owned(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env("OSTRACON_SERVER", &self.server)
            .env("OSTRACON_CLIENT", "backend")
            .env("OSTRACON_CLIENT_SECRET", &self.secret);
        command
    }

    fn does(&self, arguments: &[&str]) -> Done {
        self.does_with(arguments, "")
    }

    fn does_with(&self, arguments: &[&str], input: &str) -> Done {
        run(&mut self.command(arguments), input)
    }
}

fn run(command: &mut Command, input: &str) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who fails at once reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let done = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done {
        status: done.status.code().unwrap(),
        out: text(done.stdout),
        err: text(done.stderr),
    }
}

fn with_admin() -> Home {
    let home = Home::new();
    home.configure(|text| text.replace(r#""introspect", "read"]"#, r#""introspect", "read", "admin"]"#));
    home
}

#[test]
fn a_revocation_is_made_seen_and_taken_back() {
    let home = with_admin();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    let login = server.log_in("user 42/é");
    let receipt = operator
        .does(&[
            "revoke",
            "subject",
            "user 42/é",
            "--reason",
            "compromised",
            "--note",
            "case 7",
            "--json",
        ])
        .json();
    assert_eq!(
        (&receipt["durable"], &receipt["reason"]),
        (&json!(true), &json!("compromised"))
    );
    assert!(!server.passes(&login.access));

    let listed = operator.does(&["list", "--sub", "user 42/é", "--json"]).lines();
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &receipt["id"]));
    let table = operator.does(&["list", "--kind", "subject"]);
    assert!(
        table.out.contains("compromised") && table.out.contains("user 42/é of https://auth.example (case 7)"),
        "{table:?}"
    );

    let id = receipt["id"].as_str().unwrap();
    // Not on a terminal: nobody can be asked.
    assert_eq!(operator.does(&["lift", id]).status, 2);
    assert!(!server.passes(&login.access));
    assert_eq!(operator.does(&["lift", id, "--yes"]).status, 0);
    assert!(server.passes(&login.access));
    let gone = operator.does(&["lift", id, "--yes"]);
    assert_eq!(gone.status, 3, "{gone:?}");
}

#[test]
fn each_kind_is_revoked_by_its_name() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    let end = (now() + 60).to_string();
    let kinds = [
        ("token", "jti"),
        ("session", "sid"),
        ("subject", "sub"),
        ("client", "client_id"),
        ("key", "kid"),
    ];
    for (kind, member) in kinds {
        let mut arguments = vec!["revoke", kind, "-odd name", "--json", "--iss", "https://auth.example"];
        if kind == "token" {
            arguments.extend(["--exp", &end]);
        }
        arguments.insert(2, "--");
        // Options stand before the two dashes.
        let (name, options) = (arguments.remove(3), arguments.split_off(3));
        let arguments = [&["revoke"], &options[..], &["--", kind, name]].concat();
        let receipt = operator.does(&arguments).json();
        assert_eq!(
            receipt["target"],
            json!({"kind": kind, "iss": "https://auth.example", member: "-odd name"})
        );
    }
    let yesterday = UNIX_EPOCH + Duration::from_secs(now() - 86_400);
    let date = humantime::format_rfc3339_seconds(yesterday).to_string();
    let before = operator.does(&["revoke", "issuer", "https://auth.example", "--before", &date, "--json"]);
    assert_eq!(
        before.json()["before"],
        yesterday.duration_since(UNIX_EPOCH).unwrap().as_secs()
    );
    let two = operator.does(&[
        "revoke",
        "issuer",
        "https://auth.example",
        "--iss",
        "https://other.example",
    ]);
    assert_eq!(two.status, 2, "{two:?}");
}

#[test]
fn lists_longer_than_a_page_are_followed() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    let line = |n| json!({"target": {"kind": "session", "sid": format!("s-{n}")}}).to_string();
    let lines: Vec<_> = (0..1_234).map(line).collect();
    let batch = operator.does_with(&["revoke", "--batch", "-"], &lines.join("\n"));
    assert!(batch.status == 0 && batch.out.contains("1234"), "{batch:?}");
    assert_eq!(operator.does(&["list", "--all", "--json"]).lines().len(), 1_234);
    let some = operator.does(&["list", "--limit", "10", "--json"]);
    assert_eq!(some.lines().len(), 10);
    assert!(some.err.contains("--all"), "{some:?}");
    let bad = operator.does_with(&["revoke", "--batch", "-"], "no JSON\n");
    assert_eq!(bad.status, 1, "{bad:?}");
    assert!(!bad.err.contains("no JSON"), "{bad:?}");
}

#[test]
fn sessions_are_seen_and_ended() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    let [one, two, three] = ["user-1", "user-1", "user-1"].map(|sub| server.log_in(sub));
    assert_eq!(operator.does(&["sessions", "user-1", "--json"]).lines().len(), 3);
    assert!(operator.does(&["sessions", "user-1"]).out.contains(&one.sid));
    assert_eq!(operator.does(&["sessions", "--end", &one.sid]).status, 0);
    assert!(!server.passes(&one.access) && server.passes(&two.access));
    assert_eq!(operator.does(&["sessions", "--end-all", "user-1"]).status, 0);
    assert!(!server.passes(&two.access) && !server.passes(&three.access));
    // Some names begin with a dash.
    assert_eq!(operator.does(&["sessions", "--end", "-dash"]).status, 0);
    assert_eq!(operator.does(&["list", "--sub", "-dash", "--json"]).lines().len(), 0);
    assert_eq!(operator.does(&["sessions"]).status, 2);
}

#[test]
fn a_token_is_explained_and_revoked_without_being_an_argument() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    let login = server.log_in("user-1");
    let good = operator.does_with(&["explain"], &login.access);
    assert!(good.status == 0 && good.out.contains("\nallowed\n"), "{good:?}");
    assert!(!good.out.contains(&login.access));
    let file = home.path().join("token.txt");
    fs::write(&file, format!("{}\n", login.access)).unwrap();
    let path = file.to_str().unwrap();
    assert_eq!(operator.does(&["revoke", "--token-file", path]).status, 0);
    let dead = operator.does(&["explain", path]);
    assert!(
        dead.out.contains("REFUSED") && dead.out.contains("token_revoked"),
        "{dead:?}"
    );
    let explained = operator.does(&["explain", path, "--json"]).json();
    assert_eq!(
        (&explained["allowed"], &explained["code"]),
        (&json!(false), &json!("token_revoked"))
    );
}

#[test]
fn each_failure_has_its_status_and_says_what_to_do() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator::of(&home, &server);
    assert!(operator.does(&["stats"]).out.contains("prefilter.state"));
    assert_eq!(operator.does(&["list", "--id", &"0".repeat(32)]).status, 3);

    let stranger = Operator {
        secret: "wrong".into(),
        ..Operator::of(&home, &server)
    };
    let refused = stranger.does(&["stats"]);
    assert!(refused.status == 4 && !refused.err.contains("wrong"), "{refused:?}");
    // The client of `init` may not lift.
    let receipt = operator.does(&["revoke", "session", "s", "--json"]).json();
    let lifted = operator.does(&["lift", receipt["id"].as_str().unwrap(), "--yes"]);
    assert_eq!(lifted.status, 4, "{lifted:?}");

    let public = Operator {
        server: format!("http://{}", server.public.address()),
        ..Operator::of(&home, &server)
    };
    let told = public.does(&["stats"]);
    assert!(
        told.status == 5 && told.err.contains("not the admin listener"),
        "{told:?}"
    );
    let nobody = Operator {
        server: "http://127.0.0.1:1".into(),
        ..Operator::of(&home, &server)
    };
    let told = nobody.does(&["stats"]);
    assert!(told.status == 5 && told.err.contains("OSTRACON_SERVER"), "{told:?}");
    for nonsense in ["", "ftp://x", "http://h/?q", "http://u:p@h"] {
        let told = Operator {
            server: nonsense.into(),
            ..Operator::of(&home, &server)
        }
        .does(&["stats"]);
        assert_eq!(told.status, 2, "{nonsense} {told:?}");
    }
    let mut without = operator.command(&["stats"]);
    let told = run(without.env_remove("OSTRACON_CLIENT_SECRET"), "");
    assert!(
        told.status == 2 && told.err.contains("--client-secret-file"),
        "{told:?}"
    );
}

#[test]
fn a_secret_comes_from_a_file_that_nobody_else_reads() {
    let home = Home::new();
    let server = home.start();
    let operator = Operator {
        secret: "unused".into(),
        ..Operator::of(&home, &server)
    };
    let file = home.path().join("secret");
    fs::write(&file, format!("{}\n", home.secret())).unwrap();
    let arguments = ["stats", "--client-secret-file", file.to_str().unwrap()];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let told = operator.does(&arguments);
    let chmod = format!("chmod o-rwx {}", file.display());
    assert!(told.status == 2 && told.err.contains(&chmod), "{told:?}");
    for private in [0o640, 0o600] {
        fs::set_permissions(&file, fs::Permissions::from_mode(private)).unwrap();
        assert_eq!(operator.does(&arguments).status, 0);
    }
}

#[test]
fn a_server_on_a_socket_is_asked_there() {
    let home = Home::new();
    let socket = home.path().join("admin.sock");
    let named = format!("unix:{}", socket.display());
    let operator = Operator {
        server: named.clone(),
        secret: home.secret().to_owned(),
    };
    let nobody = operator.does(&["stats"]);
    assert!(nobody.status == 5 && nobody.err.contains(&named), "{nobody:?}");
    let mut server = home
        .command()
        .env("OSTRACON_LISTEN__ADMIN", &named)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let line = |n| json!({"target": {"kind": "session", "sid": format!("s-{n}")}}).to_string();
    let lines: Vec<_> = (0..5_000).map(line).collect();
    let mut statuses = (0..500).map(|_| {
        thread::sleep(Duration::from_millis(20));
        operator.does(&["stats"]).status
    });
    let started = statuses.any(|status| status == 0);
    let batch = operator.does_with(&["revoke", "--batch", "-"], &lines.join("\n"));
    let listed = operator.does(&["list", "--all", "--json"]);
    // Ended before anything can fail.
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(started && batch.status == 0, "{batch:?}");
    assert_eq!(listed.lines().len(), 5_000);
}

#[test]
fn a_server_behind_tls_is_known_by_its_authority() {
    let home = Home::new();
    let pair = certificate();
    let server = SecureServer::start(&pair, json!({"uptime_secs": 7, "version": "\u{1b}[2J"}).to_string());
    let operator = Operator {
        server: format!("https://{}", server.address()),
        secret: "s".into(),
    };
    let file = home.path().join("ca.pem");
    fs::write(&file, &pair.0).unwrap();
    let told = operator.does(&["stats", "--ca-file", file.to_str().unwrap()]);
    assert!(told.status == 0 && told.out.contains("uptime_secs  7"), "{told:?}");
    assert!(!told.out.contains('\u{1b}'), "a terminal obeys nothing: {told:?}");
    assert_eq!(operator.does(&["stats"]).status, 5);
}

#[test]
fn a_shell_completes_the_commands() {
    let done = run(Command::new(binary()).args(["completions", "bash"]), "");
    assert!(done.out.contains("check-store") && done.out.contains("--client-secret-file"));
    let script = r#"
        set -u
        source <("$0" completions bash)
        try() {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _ostracon ostracon "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            echo "${COMPREPLY[@]}"
        }
        try ostracon ke
        try ostracon keys ro
        try ostracon revoke --reas
        try ostracon revoke --reason comp
        try ostracon revoke su
        try ostracon clients add x --role re
        complete -p ostracon >/dev/null && echo registered
    "#;
    let mut bash = Command::new("bash");
    let tried = run(bash.args(["--norc", "-c", script]).arg(binary()), "");
    let completed: Vec<_> = tried.out.lines().collect();
    assert_eq!(
        completed,
        [
            "keys",
            "rotate",
            "--reason",
            "compromised",
            "subject",
            "revoke read",
            "registered"
        ],
        "{tried:?}"
    );
}

#[test]
fn clients_come_and_go_while_a_server_runs() {
    let home = Home::new();
    home.configure(|text| text.replace("[[clients]]", "# ours\n[[clients]]"));
    let server = home.start();
    let config = home.config();
    let clients = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        run(command.arg("clients").args(arguments).arg("--config").arg(&config), "")
    };
    let as_told = |done: &Done| {
        let secret = done
            .out
            .lines()
            .find_map(|line| line.strip_prefix("secret  ")?.split(' ').next());
        server.admin.as_client("watch", secret.unwrap())
    };
    let added = clients(&["add", "watch", "--role", "read"]);
    assert_eq!(added.status, 0, "{added:?}");
    let first = as_told(&added);
    wait_for("the client", || first.get("/v1/stats").status == 200);
    assert_eq!(first.post_json("/v1/sessions", &json!({"sub": "u"})).status, 403);
    let text = fs::read_to_string(&config).unwrap();
    assert!(text.contains("# ours\n[[clients]]"), "{text}");
    assert!(!text.contains(first.authorization()), "only the hash is kept");

    let listed = clients(&["list", "--json"]).lines();
    assert_eq!(listed[1], json!({"id": "watch", "roles": ["read"]}));
    let second = as_told(&clients(&["rotate", "watch"]));
    wait_for("the next secret", || second.get("/v1/stats").status == 200);
    assert_eq!(first.get("/v1/stats").status, 401);
    assert_eq!(clients(&["remove", "watch"]).status, 0);
    wait_for("its end", || second.get("/v1/stats").status == 401);

    // What cannot be is refused, and all stays as it was.
    let before = fs::read_to_string(&config).unwrap();
    let bad: [&[&str]; 5] = [
        &["add", "backend", "--role", "read"],
        &["add", "a b", "--role", "read"],
        &["add", "x", "--role", "root"],
        &["rotate", "nobody"],
        &["remove", "nobody"],
    ];
    for arguments in bad {
        assert_eq!(clients(arguments).status, 2, "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), before);
}

/// The book tells of each command that there is.
#[test]
fn the_book_names_each_command() {
    let help = run(Command::new(binary()).arg("--help"), "").out;
    let (commands, _) = help.split_once("\nOptions:\n").unwrap();
    // Each group indents its commands by two.
    let names: Vec<_> = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.len() > 15, "{names:?}");
    let book = include_str!("../../../docs/src/operations/commands.md");
    let missing: Vec<_> = names
        .into_iter()
        .filter(|name| !book.contains(&format!("`{name}")))
        .collect();
    assert_eq!(missing, [""; 0]);
}
