//! What `--help` says beside names and options: the commands in groups, and examples of each.

use std::fmt::Write;

use clap::Command;

/// The commands, by what brings one to them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Serving", &["serve", "init", "demo", "bench", "completions"]),
    (
        "Looking at a running server",
        &["stats", "list", "sessions", "explain", "audit"],
    ),
    ("Changing what is revoked", &["revoke", "lift"]),
    (
        "The store, while no server runs",
        &["check-store", "backup", "restore", "export", "import"],
    ),
    ("Keys and clients", &["keys", "clients", "secret"]),
];

/// A command, and lines of a shell that use it.
const EXAMPLES: [(&str, &str); 27] = [
    (
        "serve",
        "ostracon serve --dev
ostracon serve --config /etc/ostracon/ostracon.toml
OSTRACON_LOG__LEVEL=debug ostracon serve --config /etc/ostracon/ostracon.toml",
    ),
    (
        "init",
        "ostracon init --dir /etc/ostracon --issuer https://auth.example",
    ),
    ("demo", "ostracon demo"),
    (
        "bench",
        "ostracon bench --entries 100k,1M --dir /var/lib --plot bench.svg",
    ),
    (
        "completions",
        "ostracon completions bash > ~/.local/share/bash-completion/completions/ostracon
ostracon completions zsh > ~/.zfunc/_ostracon
ostracon completions fish > ~/.config/fish/completions/ostracon.fish",
    ),
    (
        "stats",
        "ostracon stats
ostracon stats --json | jq .prefilter",
    ),
    (
        "list",
        "ostracon list --kind subject --all
ostracon list --sub user-42 --json | jq .retained_until",
    ),
    (
        "sessions",
        "ostracon sessions user-42
ostracon sessions --end ayYIdmwCDBv0dmeI-bSzzw
ostracon sessions --end-all user-42",
    ),
    (
        "explain",
        "ostracon explain token.txt
ostracon explain < token.txt",
    ),
    (
        "audit",
        "ostracon audit --config /etc/ostracon/ostracon.toml --json | jq 'select(.kind == \"revocation\")'
ostracon audit --data-dir /var/lib/ostracon/denylist --verify",
    ),
    (
        "revoke",
        "ostracon revoke subject user-42 --reason account_suspended --note 'ticket 4711'
ostracon revoke --token-file token.txt --reason compromised
ostracon revoke issuer https://auth.example --before 2026-09-21T14:13:20Z --reason compromised",
    ),
    ("lift", "ostracon lift 3f7a0c52f1a94b6d8e21c07b5d9e4f10 --yes"),
    (
        "check-store",
        "ostracon check-store --dir /var/lib/ostracon
ostracon check-store --dir /var/lib/ostracon --repair",
    ),
    (
        "backup",
        "ostracon backup --config /etc/ostracon/ostracon.toml --to /mnt/backups",
    ),
    (
        "restore",
        "ostracon restore --check --from /mnt/backups/ostracon-20261125T015344Z-00000000000000004711
ostracon restore --from /mnt/backups/ostracon-20261125T015344Z-00000000000000004711 --to /var/lib/ostracon/denylist",
    ),
    (
        "export",
        "ostracon export --config /etc/ostracon/ostracon.toml -o revocations.ndjson",
    ),
    (
        "import",
        "ostracon import --dry-run revocations.ndjson
ostracon import --format csv --issuer https://auth.example revoked.csv
ostracon import --format redis dump",
    ),
    (
        "keys generate",
        "ostracon keys generate --alg ES256 --config /etc/ostracon/ostracon.toml",
    ),
    ("keys list", "ostracon keys list --config /etc/ostracon/ostracon.toml"),
    (
        "keys rotate",
        "ostracon keys rotate --in 10m --config /etc/ostracon/ostracon.toml",
    ),
    (
        "keys retire",
        "ostracon keys retire 2026-11-a --now --config /etc/ostracon/ostracon.toml",
    ),
    (
        "clients add",
        "ostracon clients add shop --role issue --role revoke --config /etc/ostracon/ostracon.toml",
    ),
    (
        "clients list",
        "ostracon clients list --config /etc/ostracon/ostracon.toml",
    ),
    (
        "clients rotate",
        "ostracon clients rotate shop --config /etc/ostracon/ostracon.toml",
    ),
    (
        "clients remove",
        "ostracon clients remove shop --config /etc/ostracon/ostracon.toml",
    ),
    ("secret", "ostracon secret"),
    (
        "",
        "ostracon serve --dev                  # a server to try, over ./ostracon-data; prints lines to copy
export OSTRACON_CLIENT=dev OSTRACON_CLIENT_SECRET=…
ostracon revoke subject user-42 --reason password_change
ostracon sessions user-42              # what is still logged in",
    ),
];

/// `command` with all that is said here.
pub(super) fn taught(command: Command) -> Command {
    let styles = command.get_styles().clone();
    let (header, literal) = (styles.get_header(), styles.get_literal());
    let mut template = format!("{{about}}\n\n{header}Usage:{header:#} {literal}ostracon{literal:#} COMMAND\n");
    for (title, names) in GROUPS {
        let _ = write!(template, "\n{header}{title}:{header:#}\n");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(template, "  {literal}{name:<12}{literal:#} {about}");
        }
    }
    let _ = write!(
        template,
        "\n{header}Options:{header:#}\n{{options}}{{after-help}}\n\nEach tells its options, with examples: \
         {literal}ostracon revoke --help{literal:#}\n"
    );
    with_examples(command.help_template(template), "")
}

fn with_examples(command: Command, path: &str) -> Command {
    let own = EXAMPLES.iter().find(|(of, _)| *of == path);
    let header = *command.get_styles().get_header();
    let before = command.get_after_help().map(|text| text.to_string() + "\n\n");
    let command = match own {
        Some((_, lines)) => {
            let title = if lines.contains('\n') { "Examples" } else { "Example" };
            let lines = lines.replace('\n', "\n  ");
            let before = before.unwrap_or_default();
            command.after_help(format!("{before}{header}{title}:{header:#}\n  {lines}"))
        }
        None => command,
    };
    let names: Vec<_> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |sub| with_examples(sub, path.trim_start()))
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, error::ErrorKind};

    use super::*;
    use crate::cli::Cli;

    /// The words of a line as a shell would part them, up to where it leads elsewhere; without what is set before them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                '|' | '>' | '<' | '#' if !quoted => break,
                ' ' if !quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        let program = words.iter().position(|word| word == "ostracon").unwrap_or(words.len());
        words.split_off(program)
    }

    fn leaves(command: &Command, path: &str, found: &mut Vec<String>) {
        if command.get_subcommands().next().is_none() {
            found.push(path.trim().to_owned());
        }
        for sub in command.get_subcommands() {
            leaves(sub, &format!("{path} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn each_command_stands_in_one_group_and_has_an_example() {
        let command = Cli::command();
        let mut named: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        named.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(named, grouped);
        let mut all = Vec::new();
        leaves(&command, "", &mut all);
        all.push(String::new());
        let mut taught: Vec<_> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        all.sort_unstable();
        taught.sort_unstable();
        assert_eq!(all, taught);
    }

    #[test]
    fn the_examples_can_be_given() {
        let mut tried = 0;
        for (path, lines) in EXAMPLES {
            for line in lines.lines() {
                let words = words(line);
                if words.is_empty() {
                    assert!(line.starts_with("export "), "{line}");
                    continue;
                }
                assert!(words.join(" ").starts_with(&format!("ostracon {path}")), "{line}");
                let parsed = Cli::command().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
                tried += 1;
            }
        }
        assert!(tried > 30, "{tried}");
    }

    #[test]
    fn help_shows_groups_and_examples() {
        let help = |words: &[&str]| {
            let shown = taught(Cli::command()).try_get_matches_from(words).unwrap_err();
            assert_eq!(shown.kind(), ErrorKind::DisplayHelp);
            shown.to_string()
        };
        let top = help(&["ostracon", "--help"]);
        for (title, names) in GROUPS {
            assert!(top.contains(&format!("\n{title}:\n  {}", names[0])), "{top}");
        }
        assert!(
            top.contains("\n  ostracon serve --dev ") && top.contains("--version"),
            "{top}"
        );
        let revoke = help(&["ostracon", "revoke", "--help"]);
        assert!(
            revoke.contains("Exit status") && revoke.contains("\nExamples:\n  ostracon revoke subject"),
            "{revoke}"
        );
        assert!(help(&["ostracon", "keys", "rotate", "-h"]).contains("\nExample:\n  ostracon keys rotate"));
    }
}
