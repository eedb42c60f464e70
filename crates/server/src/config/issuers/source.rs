//! Where the keys of an issuer come from.

use std::{fs::File, io::Read, path::Path, time::Duration};

use axum::http::Uri;
use ostracon_core::{Algorithm, IssuerKeys, KeyError, KeyId, VerifyingKey};

use super::{At, KeySetUrl, KeySource, Raw};
use crate::config::{ConfigError, read_private, sections::within};

pub(super) fn keys(at: &At, raw: &Raw, base: &Path) -> Result<KeySource, ConfigError> {
    let is_fetched = raw.jwks_url.is_some();
    let of_one = raw.secret_file.is_some() || raw.public_key_file.is_some();
    if raw.kid.is_some() && !of_one {
        return Err(at.problem("kid", "the keys of a set have names of their own"));
    }
    if raw.jwks_refresh.is_some() && !is_fetched {
        return Err(at.problem("jwks_refresh", "there is no jwks_url that could be fetched again"));
    }
    match (&raw.secret_file, &raw.public_key_file, &raw.jwks_file, &raw.jwks_url) {
        (Some(file), None, None, None) => secret(at, raw, &base.join(file)),
        (None, Some(file), None, None) => {
            let (file, alg) = (base.join(file), only_algorithm(at, raw, false)?);
            let of_file = |why: String| at.problem("public_key_file", format!("{}: {why}", file.display()));
            let pem = read(&file).map_err(of_file)?;
            let key = VerifyingKey::from_pem(name_of_key(at, raw)?, alg, &pem);
            single(key.map_err(|why| of_file(why.to_string()))?, at)
        }
        (None, None, Some(file), None) => {
            let file = base.join(file);
            let of_file = |why: String| at.problem("jwks_file", format!("{}: {why}", file.display()));
            let set = read(&file).map_err(of_file)?;
            let (keys, skipped) =
                IssuerKeys::from_public_jwk_set(&set, asymmetric(at, raw)?).map_err(|why| of_file(why.to_string()))?;
            // Of a set that somebody else publishes, what is not understood is passed over; this one is the operator's.
            if let Some(skipped) = skipped.first() {
                return Err(of_file(format!("keys[{}]: {}", skipped.at, skipped.why)));
            }
            if keys.keys().next().is_none() {
                return Err(of_file("there is no key in it".into()));
            }
            Ok(KeySource::Read(keys))
        }
        (None, None, None, Some(url)) => Ok(KeySource::Fetched(KeySetUrl {
            url: key_set_url(at, url)?,
            algorithms: asymmetric(at, raw)?.to_vec(),
            every: match raw.jwks_refresh {
                None => Duration::from_mins(15),
                Some(every) => within(
                    &at.member("jwks_refresh"),
                    every,
                    Duration::from_mins(1)..=Duration::from_hours(24),
                )?,
            },
        })),
        _ => Err(ConfigError::Value {
            at: format!("issuers[{}]", at.0),
            problem: "exactly one of secret_file, public_key_file, jwks_file and jwks_url is needed".into(),
        }),
    }
}

/// The one algorithm that a single key is for (RFC 8725 §3.1).
fn only_algorithm(at: &At, raw: &Raw, is_secret: bool) -> Result<Algorithm, ConfigError> {
    match raw.algorithms.as_slice() {
        [alg] if alg.secret_bytes().is_some() == is_secret => Ok(*alg),
        [alg] => {
            let kind = if is_secret {
                "a secret is for HS256, HS384 or HS512"
            } else {
                "a public key is for none that takes a secret"
            };
            Err(ConfigError::value(at.member("algorithms[0]"), alg, kind))
        }
        _ => Err(at.problem("algorithms", "one key has one algorithm")),
    }
}

/// A set that everybody may read has no secrets in it.
fn asymmetric<'r>(at: &At, raw: &'r Raw) -> Result<&'r [Algorithm], ConfigError> {
    let secret = raw.algorithms.iter().enumerate();
    match secret.into_iter().find(|(_, alg)| alg.secret_bytes().is_some()) {
        None => Ok(&raw.algorithms),
        Some((n, alg)) => {
            let at = at.member(&format!("algorithms[{n}]"));
            Err(ConfigError::value(
                at,
                alg,
                "it takes a secret, which is in no key set; secret_file is for that",
            ))
        }
    }
}

/// What a key is called whose tokens do not name it.
fn name_of_key(at: &At, raw: &Raw) -> Result<KeyId, ConfigError> {
    match &raw.kid {
        Some(kid) => Ok(kid.clone()),
        None => KeyId::new("unnamed").map_err(|why| at.problem("kid", why.to_string())),
    }
}

fn secret(at: &At, raw: &Raw, file: &Path) -> Result<KeySource, ConfigError> {
    let alg = only_algorithm(at, raw, true)?;
    let of_file = |why: String| at.problem("secret_file", format!("{}: {why}", file.display()));
    let bytes = read_private(file).map_err(of_file)?;
    let key = VerifyingKey::from_secret(name_of_key(at, raw)?, alg, without_line_end(&bytes));
    single(key.map_err(|why: KeyError| of_file(why.to_string()))?, at)
}

fn single(key: VerifyingKey, at: &At) -> Result<KeySource, ConfigError> {
    let mut keys = IssuerKeys::default();
    keys.insert(key).map_err(|why| at.problem("kid", why.to_string()))?;
    Ok(KeySource::Read(keys))
}

/// A secret that is text, as an application has it in a variable, without the line end that an editor leaves behind it. Of
/// one that is bytes, every byte counts.
pub(super) fn without_line_end(secret: &[u8]) -> &[u8] {
    let line = secret.strip_suffix(b"\n").unwrap_or(secret);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        line
    } else {
        secret
    }
}

/// More is in no file of public keys.
const MAX_FILE_BYTES: u64 = 256 * 1024;

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let told = |e: std::io::Error| e.to_string();
    let mut bytes = Vec::new();
    let mut file = File::open(path).map_err(told)?.take(MAX_FILE_BYTES.saturating_add(1));
    file.read_to_end(&mut bytes).map_err(told)?;
    if file.limit() == 0 {
        return Err(format!("it is larger than {MAX_FILE_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Over TLS, or within this machine: whoever can change the answer can sign for the issuer.
fn key_set_url(at: &At, text: &str) -> Result<Uri, ConfigError> {
    let wrong = || {
        let allowed = "https://HOST/PATH without user and fragment is, or http:// to 127.0.0.1, [::1] or localhost";
        // I8: where there is a user, there is a password.
        let shown = if text.contains('@') { "a URL with a user" } else { text };
        ConfigError::value(at.member("jwks_url"), format_args!("{shown:?}"), allowed)
    };
    let url: Uri = text.parse().map_err(|_| wrong())?;
    let authority = url.authority().ok_or_else(wrong)?;
    let is_local = matches!(authority.host(), "127.0.0.1" | "[::1]" | "localhost");
    let is_safe = match url.scheme_str() {
        Some("https") => true,
        Some("http") => is_local,
        _ => false,
    };
    if is_safe && !text.contains('#') && !authority.as_str().contains('@') && !authority.host().is_empty() {
        Ok(url)
    } else {
        Err(wrong())
    }
}
