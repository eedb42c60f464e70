//! `ostracon keys`: signing keys are made, listed, exchanged and retired, in a configuration that may be in use.
//!
//! A rotation is two dates in one file, which change together: the next key signs from a moment on, and the old one is
//! retired at that moment. Until then the next key is published, so that whoever verifies has learned of it; afterwards
//! the old one still vouches for what it signed, until the last of it has ended.

mod list;
mod material;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use ostracon_core::{Algorithm, KeyId, UnixTime};
use ostracon_server::{Clock, Config, KeyState};

pub(super) use self::material::{Material, give_to, sync_dir};
use super::{Usage, document::Document};

/// What a running server needs to read a change (`cli/reload.rs`), several times over. A date that is nearer would have
/// passed before it is known.
const LEAD: Duration = Duration::from_secs(5);

/// No rotation is planned that far ahead; more was meant in another unit.
const FARTHEST: Duration = Duration::from_hours(24 * 400);

/// What to do with keys.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    #[command(
        about = "Make a key and add it to the configuration: published, and signing once those before it are retired"
    )]
    Generate(Generate),
    /// Show the keys: what each does now, and until when
    List(List),
    /// Make the next key, have it sign after a while, and retire the one that signs now at that moment
    Rotate(Rotate),
    /// Have a key sign no more; what it signed stays good until it ends
    Retire(Retire),
}

/// Which configuration.
#[derive(clap::Args)]
struct Of {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "ostracon-data/ostracon.toml")]
    config: PathBuf,
}

#[derive(clap::Args)]
pub(super) struct Generate {
    #[command(flatten)]
    of: Of,
    /// What it signs with: EdDSA, ES256, ES384, RS256 and so on, HS256 and so on
    #[arg(long, default_value = "EdDSA")]
    alg: Algorithm,
}

#[derive(clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    of: Of,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    of: Of,
    /// How long the next key is published before it signs. Whoever verifies keeps the published keys for a while: our
    /// answer says for 5 minutes, and some keep them for longer
    #[arg(long = "in", value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    after: Duration,
    /// What it signs with; otherwise what the one before does
    #[arg(long)]
    alg: Option<Algorithm>,
}

#[derive(clap::Args)]
pub(super) struct Retire {
    /// The name of the key
    #[arg(allow_hyphen_values = true)]
    kid: String,
    #[command(flatten)]
    of: Of,
    /// Also if it is the one that signs: another key takes over in a few seconds, whether others have learned of it or not
    #[arg(long)]
    now: bool,
}

pub(super) fn keys(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Generate(arguments) => generate(arguments),
        Command::List(arguments) => list::list(&Config::load(&arguments.of.config)?, now(), arguments.json),
        Command::Rotate(arguments) => rotate(arguments),
        Command::Retire(arguments) => retire(arguments),
    }
}

pub(super) fn now() -> UnixTime {
    Clock::system().now()
}

/// The next whole second that lies `after` from now: a configuration has no finer ones.
fn soon(now: UnixTime, after: Duration) -> UnixTime {
    UnixTime::from_secs(now.saturating_add(after).as_secs().saturating_add(1))
}

/// As it stands in a configuration.
pub(super) fn date(at: UnixTime) -> String {
    Config::date(at)
}

fn generate(Generate { of, alg }: &Generate) -> anyhow::Result<()> {
    let document = Document::open(&of.config, "keys")?;
    let kid = add(document, *alg, None, |_| Ok(()))?;
    tell(&[
        format!("made     {kid} for {alg}"),
        match alg.secret_bytes() {
            None => "It is published and signs nothing as long as a key before it does.".into(),
            Some(_) => "It signs nothing as long as a key before it does. A secret is not published: whoever verifies needs it, too.".into(),
        },
    ])
}

/// Adds a new key and what else is to `change`: both, or neither.
fn add(
    mut document: Document,
    alg: Algorithm,
    signs_from: Option<UnixTime>,
    change: impl FnOnce(&mut Document) -> anyhow::Result<()>,
) -> anyhow::Result<KeyId> {
    let made = Material::make(alg)?;
    let name = made.file_name();
    let path = document.base().join(&name);
    document.add(&made, &name, signs_from)?;
    change(&mut document)?;
    // The file first: a configuration must never name one that is not there.
    made.write(&path, Some(document.metadata()))?;
    document
        .save(now())
        .inspect_err(|_| drop(std::fs::remove_file(&path)))?;
    Ok(made.kid().clone())
}

fn rotate(Rotate { of, after, alg }: &Rotate) -> anyhow::Result<()> {
    if !(LEAD..FARTHEST).contains(after) {
        let told = format!(
            "--in {} is not possible; 5s is the least, so that a running server knows in time, and 400 days are too many",
            humantime::format_duration(*after)
        );
        return Err(Usage(told).into());
    }
    let document = Document::open(&of.config, "keys")?;
    let config = Config::load(&of.config)?;
    let now = now();
    let old = signing(&config, now)?;
    let at = soon(now, *after);
    let ahead = |key: &ostracon_server::Key| {
        key.signs_from
            .filter(|from| *from > now && key.retired_at.is_none_or(|end| *from < end))
    };
    if let Some((next, from)) = config
        .keys
        .iter()
        .find_map(|key| Some((key.signing.kid(), ahead(key)?)))
    {
        let told = format!(
            "{next} is to sign from {} on already; `ostracon keys retire {next}` takes that back",
            date(from)
        );
        return Err(Usage(told).into());
    }
    if let Some(end) = old.retired_at.filter(|end| *end < at) {
        let told = format!(
            "{} is to be retired at {}, before the next would sign; choose a shorter --in",
            old.signing.kid(),
            date(end)
        );
        return Err(Usage(told).into());
    }
    let kid = old.signing.kid();
    let alg = alg.unwrap_or(old.signing.alg());
    let is_secret = alg.secret_bytes().is_some();
    let made = add(document, alg, Some(at), |document| {
        document.set(kid.as_str(), "retired_at", at)
    })?;
    tell(&[
        format!(
            "made     {made}{}; it signs from {} on",
            if is_secret {
                ", a secret, which is not published"
            } else {
                ", published from now on"
            },
            date(at)
        ),
        format!(
            "retires  {kid} at that moment; what it signed is good until {}",
            date(config.key_ends(at))
        ),
    ])
}

fn signing(config: &Config, now: UnixTime) -> anyhow::Result<&ostracon_server::Key> {
    let statuses = config.key_statuses(now);
    let signing = statuses.into_iter().find(|status| status.state == KeyState::Signing);
    let told = || Usage("no key of the configuration signs now; `ostracon keys generate` makes one".into());
    Ok(signing.ok_or_else(told)?.key)
}

fn retire(Retire { kid, of, now: at_once }: &Retire) -> anyhow::Result<()> {
    let mut document = Document::open(&of.config, "keys")?;
    let config = Config::load(&of.config)?;
    let now = now();
    let statuses = config.key_statuses(now);
    let status = statuses.iter().find(|status| status.key.signing.kid().as_str() == kid);
    let Some(status) = status else {
        return Err(Usage(format!("no key is called {kid:?}; `ostracon keys list` shows them")).into());
    };
    if let (KeyState::Retired | KeyState::Ended, Some(at)) = (status.state, status.key.retired_at) {
        return Err(Usage(format!("{kid} is retired since {}", date(at))).into());
    }
    if let Some(date_set) = status.key.retired_at.filter(|_| !*at_once) {
        let told = format!(
            "{kid} is to be retired at {} already; --now brings that forward",
            date(date_set)
        );
        return Err(Usage(told).into());
    }
    let at = soon(now, LEAD);
    document.set(kid, "retired_at", at)?;
    let mut lines = Vec::new();
    if status.state == KeyState::Signing {
        let others = || {
            statuses
                .iter()
                .filter(|other| other.state == KeyState::Published && other.key.retired_at.is_none_or(|end| at < end))
        };
        let next = others()
            .find(|other| other.key.signs_from.is_none_or(|from| from <= at))
            .or_else(|| others().next());
        let Some(next) = next.filter(|_| *at_once) else {
            let told = format!(
                "{kid} is the key that signs: `ostracon keys rotate` makes the next and retires it in time.{}",
                if next.is_some() {
                    " With --now another takes over in a few seconds, whether others have learned of it or not"
                } else {
                    " --now needs another key, which `ostracon keys generate` makes"
                }
            );
            return Err(Usage(told).into());
        };
        let other = next.key.signing.kid();
        if next.key.signs_from.is_some_and(|from| from > at) {
            document.set(other.as_str(), "signs_from", at)?;
        }
        lines.push(format!("retires  {kid} at {}; from then on {other} signs", date(at)));
    } else {
        lines.push(format!("retires  {kid} at {}; it signs nothing", date(at)));
        // A rotation that is taken back leaves the old key where it was.
        let waiting = status.key.signs_from.filter(|from| *from > now);
        let old = statuses
            .iter()
            .find(|other| other.state == KeyState::Signing && other.key.retired_at == waiting);
        if let Some(old) = old.filter(|_| waiting.is_some()) {
            let old = old.key.signing.kid();
            document.unset(old.as_str(), "retired_at")?;
            lines.push(format!("goes on  {old}, which was to be retired then"));
        }
    }
    document.save(now)?;
    lines.push(format!(
        "What it has signed is good until {}. Was the key stolen, end that, too:",
        date(config.key_ends(at))
    ));
    lines.push(format!(
        "POST /v1/revocations {{\"target\": {{\"kind\": \"key\", \"kid\": \"{kid}\"}}, \"reason\": \"compromised\"}}"
    ));
    tell(&lines)
}

fn tell(lines: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    writeln!(
        out,
        "A running server reads the configuration again by itself; `ostracon keys list` shows what is to come."
    )?;
    Ok(())
}
