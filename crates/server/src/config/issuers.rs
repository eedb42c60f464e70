//! Issuers of tokens that something else issues: an application, or an identity provider.

mod source;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::http::Uri;
use ostracon_core::{Algorithm, ClaimName, GenericType, Issuer, IssuerKeys, KeyId, TokenType, Trust};
use serde::Deserialize;

use super::{ConfigError, raw::Span, sections::within, tokens::LONGEST_SESSION};

/// An issuer whose tokens are accepted and revoked here, though they are not issued here.
#[derive(Debug)]
pub struct ForeignIssuer {
    /// The `iss` of its tokens.
    pub iss: Issuer,
    /// What it is trusted for.
    pub trust: Trust,
    /// How long its tokens live at most, and so for how long a cut-off of them is kept.
    pub max_lifetime: Duration,
    /// Where its keys come from.
    pub keys: KeySource,
    /// Whether its tokens have no `iss`.
    pub unnamed: bool,
    /// Whether its logout tokens end all sessions of a subject, also where they name one.
    pub logout_ends_subject: bool,
    /// What is worth a second look.
    pub(super) warning: Option<String>,
}

/// Where the keys of an issuer come from.
#[derive(Debug)]
pub enum KeySource {
    /// From a file, which was read.
    Read(IssuerKeys),
    /// From a server.
    Fetched(KeySetUrl),
}

/// A JWK Set on a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySetUrl {
    /// Where it is.
    pub url: Uri,
    /// What its keys are for.
    pub algorithms: Vec<Algorithm>,
    /// How often it is fetched anew.
    pub every: Duration,
}

/// It as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    iss: Issuer,
    #[serde(default)]
    iss_absent: bool,
    #[serde(default)]
    audiences: Vec<String>,
    #[serde(default)]
    any_audience: bool,
    algorithms: Vec<Algorithm>,
    max_lifetime: Span,
    kid: Option<KeyId>,
    secret_file: Option<PathBuf>,
    public_key_file: Option<PathBuf>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    jwks_refresh: Option<Span>,
    #[serde(default)]
    untyped_access: Vec<Untyped>,
    #[serde(default)]
    logout_audiences: Vec<String>,
    #[serde(default)]
    untyped_logout: Vec<Untyped>,
    #[serde(default)]
    logout_ends: LogoutEnds,
    #[serde(default)]
    claims: Names,
}

#[derive(Clone, Copy, Deserialize)]
enum Untyped {
    #[serde(rename = "JWT")]
    Jwt,
    #[serde(rename = "absent")]
    Absent,
}

impl From<Untyped> for GenericType {
    fn from(untyped: Untyped) -> Self {
        match untyped {
            Untyped::Jwt => Self::Jwt,
            Untyped::Absent => Self::Absent,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum LogoutEnds {
    #[default]
    Session,
    Subject,
}

/// What the issuer calls its claims.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    sub: Option<String>,
    sid: Option<String>,
    client_id: Option<String>,
    scope: Option<String>,
}

/// Reads them, and notes their `files`.
pub(super) fn issuers(
    raw: Vec<Raw>,
    own: &Issuer,
    base: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<Vec<ForeignIssuer>, ConfigError> {
    let mut issuers: Vec<ForeignIssuer> = Vec::with_capacity(raw.len());
    for (n, raw) in raw.into_iter().enumerate() {
        if raw.iss == *own || issuers.iter().any(|other| other.iss == raw.iss) {
            let whose = if raw.iss == *own {
                "it is tokens.issuer, whose keys are under [[keys]]"
            } else {
                "it stands twice"
            };
            let iss = raw.iss.as_str();
            return Err(ConfigError::value(
                format!("issuers[{n}].iss"),
                format_args!("{iss:?}"),
                whose,
            ));
        }
        let at = At(n);
        if raw.iss_absent && issuers.iter().any(|other| other.unnamed) {
            return Err(at.problem(
                "iss_absent",
                "tokens that do not say from whom they are can be those of one only",
            ));
        }
        let named = [&raw.secret_file, &raw.public_key_file, &raw.jwks_file];
        files.extend(named.into_iter().flatten().map(|file| base.join(file)));
        issuers.push(issuer(&at, raw, base)?);
    }
    Ok(issuers)
}

/// The place of an issuer in the configuration.
struct At(usize);

impl At {
    fn member(&self, name: &str) -> String {
        format!("issuers[{}].{name}", self.0)
    }

    fn problem(&self, name: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Value {
            at: self.member(name),
            problem: problem.into(),
        }
    }
}

fn issuer(at: &At, raw: Raw, base: &Path) -> Result<ForeignIssuer, ConfigError> {
    let max_lifetime = within(
        &at.member("max_lifetime"),
        raw.max_lifetime,
        Duration::from_secs(1)..=LONGEST_SESSION,
    )?;
    if raw.iss_absent && raw.jwks_url.is_some() {
        return Err(at.problem(
            "iss_absent",
            "a provider that publishes its keys names itself in its tokens",
        ));
    }
    let trust = trust(at, &raw)?.longest_lifetime(max_lifetime);
    if raw.algorithms.is_empty() {
        return Err(at.problem("algorithms", "at least one is needed, such as \"RS256\""));
    }
    if twice(&raw.algorithms) {
        return Err(at.problem("algorithms", "one of them stands twice"));
    }
    let warning = (raw.any_audience && !raw.untyped_access.is_empty() && raw.secret_file.is_none()).then(|| {
        format!(
            "{} and untyped_access let pass whatever {} signs and does not say what it is for",
            at.member("any_audience"),
            raw.iss
        )
    });
    Ok(ForeignIssuer {
        trust,
        max_lifetime,
        keys: source::keys(at, &raw, base)?,
        unnamed: raw.iss_absent,
        logout_ends_subject: matches!(raw.logout_ends, LogoutEnds::Subject),
        warning,
        iss: raw.iss,
    })
}

fn trust(at: &At, raw: &Raw) -> Result<Trust, ConfigError> {
    let mut trust = Trust::default().without_refresh_tokens().nameless_keys();
    match (raw.audiences.as_slice(), raw.any_audience) {
        ([], true) => {}
        ([_, ..], false) => trust = trust.audiences(names(at, "audiences", &raw.audiences)?),
        ([], false) => {
            let needed = "whom its access tokens are for is needed; any_audience = true takes those that do not say";
            return Err(at.problem("audiences", needed));
        }
        ([_, ..], true) => return Err(at.problem("any_audience", "contradicts audiences; one of the two is needed")),
    }
    if !raw.logout_audiences.is_empty() {
        trust = trust.logout_audiences(names(at, "logout_audiences", &raw.logout_audiences)?);
    } else if !raw.untyped_logout.is_empty() || matches!(raw.logout_ends, LogoutEnds::Subject) {
        let needed = "whom its logout tokens are for is needed: the client id that it knows the application by";
        return Err(at.problem("logout_audiences", needed));
    }
    for (typ, untyped) in [
        (TokenType::Access, &raw.untyped_access),
        (TokenType::Logout, &raw.untyped_logout),
    ] {
        for generic in untyped {
            trust = trust.generic(typ, (*generic).into());
        }
    }
    let claims = [
        (ClaimName::Sub, &raw.claims.sub),
        (ClaimName::Sid, &raw.claims.sid),
        (ClaimName::ClientId, &raw.claims.client_id),
        (ClaimName::Scope, &raw.claims.scope),
    ];
    for (name, member) in claims {
        if let Some(member) = member {
            if !is_name(member) {
                let at = at.member(&format!("claims.{}", name.as_str()));
                return Err(ConfigError::value(at, format_args!("{member:?}"), NAME));
            }
            trust = trust.renamed(name, member.as_str());
        }
    }
    Ok(trust)
}

const NAME: &str = "1 to 255 bytes without control characters are";

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.chars().any(char::is_control)
}

fn names(at: &At, member: &str, names: &[String]) -> Result<Vec<Box<str>>, ConfigError> {
    if let Some((n, name)) = names.iter().enumerate().find(|(_, name)| !is_name(name)) {
        return Err(ConfigError::value(
            at.member(&format!("{member}[{n}]")),
            format_args!("{name:?}"),
            NAME,
        ));
    }
    Ok(names.iter().map(|name| name.as_str().into()).collect())
}

fn twice<T: PartialEq>(items: &[T]) -> bool {
    items
        .iter()
        .enumerate()
        .any(|(n, item)| items.iter().take(n).any(|before| before == item))
}

#[cfg(test)]
mod tests;
