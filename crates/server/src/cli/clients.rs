//! `ostracon clients`: the programs that may call, made, listed, renewed and removed in a configuration that may be in use.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use ostracon_server::Config;
use serde_json::json;
use toml_edit::{Array, Item, Table, value};

use super::{Usage, document::Document, keys::now};

const SECTION: &str = "clients";

/// What to do with clients.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Make a client, and show its secret once
    Add {
        /// Its name: letters, digits, '-', '.', '_' and '~'
        id: String,
        /// What it may do; more than once for more
        #[arg(long = "role", required = true, value_parser = ["issue", "revoke", "introspect", "read", "admin"])]
        roles: Vec<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Show the clients and what each may do
    List {
        #[command(flatten)]
        of: Of,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a client another secret, shown once; the one before is good for nothing from then on
    Rotate {
        /// Its name
        id: String,
        #[command(flatten)]
        of: Of,
    },
    /// Remove a client: it may call no more
    Remove {
        /// Its name
        id: String,
        #[command(flatten)]
        of: Of,
    },
}

/// Which configuration.
#[derive(clap::Args)]
pub(super) struct Of {
    /// The configuration; a running server reads the change by itself
    #[arg(long, value_name = "FILE", default_value = "ostracon-data/ostracon.toml")]
    config: PathBuf,
}

pub(super) fn clients(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Add { id, roles, of } => add(id, roles, of),
        Command::List { of, json } => list(of, *json),
        Command::Rotate { id, of } => rotate(id, of),
        Command::Remove { id, of } => remove(id, of),
    }
}

fn add(id: &str, roles: &[String], of: &Of) -> anyhow::Result<()> {
    let mut document = Document::open(&of.config, SECTION)?;
    let (secret, hash) = ostracon_server::new_secret()?;
    let mut roles: Vec<_> = roles.iter().map(String::as_str).collect();
    roles.sort_unstable();
    roles.dedup();
    let mut client = Table::new();
    client.decor_mut().set_prefix("\n");
    client.insert("id", value(id));
    client.insert("secret_sha256", value(&hash));
    client.insert("roles", value(roles.into_iter().collect::<Array>()));
    document.tables(SECTION)?.push(client);
    document.save(now())?;
    shown(id, &secret)
}

fn rotate(id: &str, of: &Of) -> anyhow::Result<()> {
    let mut document = Document::open(&of.config, SECTION)?;
    let (secret, hash) = ostracon_server::new_secret()?;
    let found = document.tables(SECTION)?.iter_mut().find(|client| is(client, id));
    found.ok_or_else(|| unknown(id))?.insert("secret_sha256", value(&hash));
    document.save(now())?;
    shown(id, &secret)
}

/// The secret is shown once it is good, so that nobody notes one that never was.
fn shown(id: &str, secret: &str) -> anyhow::Result<()> {
    writeln!(
        io::stdout(),
        "client  {id}\nsecret  {secret}   (shown once; the configuration has its hash)"
    )?;
    Ok(())
}

fn remove(id: &str, of: &Of) -> anyhow::Result<()> {
    let mut document = Document::open(&of.config, SECTION)?;
    let clients = document.tables(SECTION)?;
    let before = clients.len();
    clients.retain(|client| !is(client, id));
    if clients.len() == before {
        return Err(unknown(id).into());
    }
    document.save(now())?;
    writeln!(io::stdout(), "removed  {id}; it may call no more")?;
    Ok(())
}

fn list(of: &Of, json: bool) -> anyhow::Result<()> {
    let config = Config::load(&of.config)?;
    let mut out = io::stdout().lock();
    for client in &config.clients {
        let roles: Vec<_> = client.roles().iter().map(|role| role.as_str()).collect();
        if json {
            writeln!(out, "{}", json!({"id": client.id(), "roles": roles}))?;
        } else {
            writeln!(out, "{:<24}  {}", client.id(), roles.join(", "))?;
        }
    }
    Ok(())
}

fn is(client: &Table, id: &str) -> bool {
    client.get("id").and_then(Item::as_str) == Some(id)
}

fn unknown(id: &str) -> Usage {
    Usage(format!(
        "no client is called {id:?}; `ostracon clients list` shows them"
    ))
}
