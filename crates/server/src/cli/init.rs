//! `ostracon init`: a configuration, a signing key, a client.

use std::{
    fs,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use ostracon_core::Algorithm;
use ostracon_server::{Address, Config};
use zeroize::Zeroizing;

use super::{DEFAULT_DIR, Usage, config_in, keys::Material};

/// What to make, and where.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to put it; made if it is not there
    #[arg(long, default_value = DEFAULT_DIR, value_name = "DIR")]
    dir: PathBuf,
    /// The `iss` of the tokens: the URL under which applications know this server
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    issuer: String,
    /// The `aud` of the tokens: the application that they are for
    #[arg(long, default_value = "app", value_name = "NAME")]
    audience: String,
    /// The id of the client
    #[arg(long, default_value = "backend", value_name = "ID")]
    client: String,
    /// Where browsers, applications and proxies are answered
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    public: Address,
    /// Where operators and trusted backends are answered
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    admin: Address,
    /// Let the client lift revocations, too (role admin)
    #[arg(long = "admin-role")]
    lifts: bool,
}

impl Arguments {
    /// What `serve --dev` makes, in `dir`.
    pub(super) fn development(dir: PathBuf, public: SocketAddr, admin: SocketAddr) -> Self {
        Self {
            dir,
            issuer: format!("http://{public}"),
            audience: "app".into(),
            client: "dev".into(),
            lifts: true,
            public: Address::Tcp(public),
            admin: Address::Tcp(admin),
        }
    }
}

/// What was made, and is shown this once.
pub(super) struct Made {
    pub(super) client: String,
    pub(super) secret: Zeroizing<String>,
}

pub(super) fn init(arguments: &Arguments) -> anyhow::Result<()> {
    let config = config_in(&arguments.dir);
    if config.exists() {
        return Err(Usage(format!("{} is there already; it stays as it is", config.display())).into());
    }
    make(arguments, |made| made.show(&arguments.dir))?;
    writeln!(io::stdout(), "start   ostracon serve --config {}", config.display())?;
    Ok(())
}

/// Makes a key and a configuration, and has the client's secret shown. The configuration comes last and only if all else went
/// well, the showing included: as long as there is none, this can be done again.
pub(super) fn make(arguments: &Arguments, show: impl FnOnce(&Made) -> io::Result<()>) -> anyhow::Result<Made> {
    let dir = &arguments.dir;
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let key = Material::make(Algorithm::EdDSA)?;
    let kid = key.kid().as_str();
    let key_file = key.file_name();
    key.write(&dir.join(&key_file), None)?;
    let (secret, hash) = ostracon_server::new_secret()?;
    let unchecked = dir.join(format!("{kid}.toml"));
    ostracon_store::write_new(&unchecked, configuration(arguments, kid, &key_file, &hash).as_bytes())?;
    let client = arguments.client.clone();
    let made = Made { client, secret };
    let config = config_in(dir);
    let done = Config::load_with(&unchecked, [])
        .map_err(anyhow::Error::from)
        // Not over one that somebody else has made in the meantime.
        .and_then(|_| fs::hard_link(&unchecked, &config).with_context(|| config.display().to_string()))
        .and_then(|()| {
            // A secret that nobody has seen is worth nothing, nor is what it belongs to.
            show(&made)
                .inspect_err(|_| drop(fs::remove_file(&config)))
                .map_err(anyhow::Error::from)
        });
    fs::remove_file(&unchecked)?;
    if done.is_err() {
        fs::remove_file(dir.join(&key_file))?;
    }
    done.map(|()| made)
}

impl Made {
    /// Prints what was made in `dir`.
    pub(super) fn show(&self, dir: &Path) -> io::Result<()> {
        let mut out = io::stdout();
        writeln!(out, "made    {}, and a signing key beside it", config_in(dir).display())?;
        writeln!(out, "client  {}", self.client)?;
        writeln!(
            out,
            "secret  {}   (shown once; the configuration has its hash)",
            self.secret.as_str()
        )?;
        out.flush()
    }
}

fn configuration(arguments: &Arguments, kid: &str, key_file: &Path, secret_sha256: &str) -> String {
    // A TOML string: what a JSON string is, for text without surrogates.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        r#"# Paths are relative to this file. Each value can also come from the environment: OSTRACON_TOKENS__ACCESS_TTL=5m.
data_dir = "denylist"
# backup_dir = "backups"   # where backups are put; best on another disk, as secret as data_dir

[listen]
public = {public}   # browsers, applications, proxies
admin = {admin}    # operators and trusted backends; keep it off the internet

# Either listener speaks TLS if it has a certificate; [tls.admin] likewise. Exchanged while it runs.
# [tls.public]
# certificate_file = "tls.crt"    # PEM, the whole chain, its own first
# private_key_file = "tls.key"

[tokens]
issuer = {issuer}
audience = {audience}
access_ttl = "10m"      # 5m to 15m is recommended
refresh_ttl = "14d"     # if it is not used
session_ttl = "30d"     # whatever is refreshed
refresh_grace = "10s"
leeway = "30s"
cache = "32 MiB"        # for access tokens whose signature was found good, some 2 kB each; 0 checks each signature each time

# One key signs, all are published and verify. `ostracon keys rotate` makes the next one, which others learn of before it
# signs, and sets the dates: signs_from and retired_at. A running server reads this file again when it changes.
[[keys]]
kid = {kid}
alg = "EdDSA"
private_key_file = {key_file}

# `ostracon secret` makes another secret. Roles: issue, revoke, introspect, read, admin. With audiences = ["orders"] introspection
# calls every other token inactive.
[[clients]]
id = {client}
secret_sha256 = "{secret_sha256}"
roles = {roles}

[cookies]
access = "__Host-USER_SESSION"
refresh = "__Secure-USER_REFRESH"
same_site = "lax"
allowed_origins = []    # pages of other origins that may log out, such as "https://app.example"

[denylist]
prefilter = true
false_positive_rate = 0.001
cache = "64 MiB"
pending = "32 MiB"      # so much is taken in at the journal's pace, some 130,000 revocations; beyond, at the engine's
min_free = "64 MiB"     # of disk: with less, revocations are answered 503 until there is more; what is denied stays denied
sweep_every = "1m"
durability = "sync"     # "interval" answers before the disk has it: a power cut forgives the last sync_every = "100ms"

# What is at stake, by audience, scope or path: low (signature and expiry alone, for short-lived tokens), standard (the
# denylist is asked) or high. The path is X-Forwarded-Uri of a proxy in listen.trusted_proxies = ["127.0.0.1"].
# [[rules]]
# path = "/payments"
# tier = "high"

# Who else issues tokens that are to be accepted and logged out: an application, or an identity provider (jwks_url).
# [[issuers]]
# iss = "https://app.example"
# algorithms = ["HS256"]
# secret_file = "app.secret"
# audiences = ["shop"]
# max_lifetime = "1d"
# untyped_access = ["JWT"]   # most libraries write no typ but JWT

[log]
level = "info"
format = "text"         # or "json"
access = "debug"        # the level of the line for each request; or "info"

# Who revoked what, when and why: `ostracon audit`, or GET /v1/audit.
[audit]
retention = "400d"
max_size = "1 GiB"
required = false        # true: what cannot be recorded is refused to operators and backends

# The pages at /admin/ on the admin listener; who logs in is a client with the role read.
[console]
enabled = true
session_ttl = "12h"     # after that one logs in again

[process]
core_dumps = false      # true: a crash may write memory, keys and tokens in it, to a file; from the next start on

[limits]
connections = 10000
header_timeout = "1m"
request_timeout = "30s"
event_streams = 64         # applications that listen to /v1/events
event_heartbeat = "15s"    # less than what a proxy on their way lets a connection be silent
batch = "256 MiB"          # POST /v1/revocations/batch
failures_per_minute = 30   # failed client logins, by client and by address
"#,
        public = quoted(&arguments.public.to_string()),
        admin = quoted(&arguments.admin.to_string()),
        issuer = quoted(&arguments.issuer),
        audience = quoted(&arguments.audience),
        kid = quoted(kid),
        key_file = quoted(&key_file.display().to_string()),
        client = quoted(&arguments.client),
        roles = if arguments.lifts {
            r#"["issue", "revoke", "introspect", "read", "admin"]"#
        } else {
            r#"["issue", "revoke", "introspect", "read"]"#
        },
    )
}
