//! What the book and the README tell to copy into a shell, copied into one.

use std::{fs, path::Path, process::Command};

use ostracon_tests::{Home, Server, binary};

/// The pages that have lines for a shell, but those of the API, which are made from the handlers.
const PAGES: [&str; 8] = [
    "README.md",
    "docs/src/quick-start.md",
    "docs/src/operations/install.md",
    "docs/src/operations/commands.md",
    "docs/src/operations/console.md",
    "docs/src/operations/monitoring.md",
    "docs/src/operations/keys.md",
    "docs/src/operations/backup.md",
];

/// How lines begin that are not run here, and why.
const LEFT_OUT: [(&str, &str); 7] = [
    (
        "cargo run --release -- serve --dev",
        "`main_job` starts it so, and copies what it prints",
    ),
    ("scripts/test", "these are the tests"),
    ("SECRET=…", "it is set"),
    ("cargo install", "builds what cargo has built for the tests"),
    ("ostracon serve", "each test of the program starts it so"),
    ("docker", "the image takes half an hour to build"),
    ("prom", "`metrics` tries the rules and the scrape"),
];

/// A shell that has what the pages take for granted: the program, a server that runs, its clients.
struct Shell {
    home: Home,
    server: Server,
    dev: String,
    ops: String,
}

impl Shell {
    fn new() -> Self {
        let home = Home::new();
        home.configure(|text| text.replace("# backup_dir", "backup_dir"));
        let add = |name: &str| {
            let roles = ["issue", "revoke", "read", "admin"]
                .into_iter()
                .flat_map(|role| ["--role", role]);
            let mut command = Command::new(binary());
            command.args(["clients", "add", name]).args(roles);
            let added = command.arg("--config").arg(home.config()).output().unwrap();
            let told = String::from_utf8(added.stdout).unwrap();
            let secret = told
                .lines()
                .find_map(|line| line.strip_prefix("secret  ")?.split(' ').next());
            secret.unwrap_or_else(|| panic!("{told}")).to_owned()
        };
        let (dev, ops) = (add("dev"), add("ops"));
        Self {
            server: home.start(),
            home,
            dev,
            ops,
        }
    }

    /// `text` of a page, with the places that it names exchanged for those that there are.
    fn here(&self, text: &str) -> String {
        let config = self.home.path().to_str().unwrap();
        let backups = fs::read_dir(self.home.path().join("backups"));
        let backup = backups.into_iter().flatten().next().map(|entry| entry.unwrap().path());
        let backup = backup.map_or(String::new(), |path| path.display().to_string());
        let is_name = |word: &&str| word.starts_with("backups/");
        let named = text.split_whitespace().find(is_name).unwrap_or("backups/NAME");
        [
            ("--to /var/lib/ostracon", "--to restored"),
            ("--dir /var/lib/ostracon", "--dir made"),
            ("/var/lib/ostracon", config),
            ("/etc/ostracon", config),
            ("127.0.0.1:8080", self.server.public.address()),
            ("127.0.0.1:8081", self.server.admin.address()),
            ("--user ops", &format!("--user ops:{}", self.ops)),
            ("--user backend", &format!("--user backend:{}", self.home.secret())),
            (named, &backup),
            (
                "# verify again: refused, now and after any restart\ncurl",
                "is_refused curl",
            ),
        ]
        .into_iter()
        .fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    /// Runs blocks one after the other in one shell; the first that fails ends it.
    fn run(&self, page: &str, script: &str) {
        let dir = self.home.path();
        fs::write(
            dir.join("revocations.ndjson"),
            "{\"target\":{\"kind\":\"token\",\"jti\":\"a\"}}\n",
        )
        .unwrap();
        let prelude = "set -euo pipefail
            curl() { command curl -sS --max-time 60 --fail-with-body \"$@\"; }
            is_refused() { if \"$@\"; then return 1; fi; }\n";
        let path = format!(
            "{}:{}",
            binary().parent().unwrap().display(),
            std::env::var("PATH").unwrap()
        );
        fs::write(dir.join("typed"), format!("{}\n", self.ops)).unwrap();
        let ran = Command::new("bash")
            .args(["-c", &format!("{prelude}{script}")])
            .current_dir(dir)
            .env("PATH", path)
            .env("SECRET", &self.dev)
            .env("TOKEN", &self.server.log_in("user-42").access)
            .env("OSTRACON_SERVER", format!("http://{}", self.server.admin.address()))
            .stdin(fs::File::open(dir.join("typed")).unwrap())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&ran.stderr);
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{page}:\n{script}\n{said}\n{told}");
    }
}

/// The blocks of `page` that are for a shell.
fn blocks(page: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join(page)).unwrap();
    let mut blocks = text.split("```sh\n");
    blocks.next();
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn lines_to_copy_run() {
    let mut shell = Shell::new();
    let mut left_out = Vec::new();
    for page in PAGES {
        if page == PAGES[1] {
            // The book does again what the README has done, such as to rotate the keys.
            shell = Shell::new();
        }
        let blocks = blocks(page);
        assert!(!blocks.is_empty(), "{page}");
        let mut script = String::new();
        for block in blocks {
            let kept: Vec<_> = block
                .lines()
                .filter(|line| {
                    let why = LEFT_OUT.iter().find(|(begin, _)| line.starts_with(begin));
                    left_out.extend(why.map(|(begin, _)| *begin));
                    why.is_none()
                })
                .collect();
            let kept = kept.join("\n") + "\n";
            // A backup that a line before has made is there by now.
            if kept.contains("backups/") {
                shell.run(page, &shell.here(&script));
                script.clear();
                // Each page restores to an empty directory.
                let _ = fs::remove_dir_all(shell.home.path().join("restored"));
                for line in kept.lines() {
                    shell.run(page, &shell.here(line));
                }
            } else {
                script += &kept;
            }
        }
        shell.run(page, &shell.here(&script));
    }
    for (begin, _) in LEFT_OUT {
        assert!(left_out.contains(&begin), "no page has {begin:?} any more");
    }
    let here = shell.home.path();
    assert!(here.join("restored").is_dir() && here.join("made/ostracon.toml").is_file());
    assert!(
        fs::read_to_string(here.join("audit.ndjson"))
            .unwrap()
            .contains("ticket 4711")
    );
}
