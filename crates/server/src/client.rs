//! Clients: the programs that may call what is not for everyone, and how they prove who they are.

use std::net::IpAddr;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac};
use axum::http::{HeaderMap, HeaderValue, Request, header};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ostracon_core::{Audience, SessionId};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{limits::Failures, listen::Peer, problem::Problem};

/// What a client may do.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word that it is written as")]
pub enum Role {
    Issue,
    Revoke,
    Introspect,
    Read,
    Admin,
}

impl Role {
    /// The word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issue => "issue",
            Self::Revoke => "revoke",
            Self::Introspect => "introspect",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

/// A program that calls, known by the hash of its secret. The secret is 256 random bits, so a plain hash is enough.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Client {
    id: Box<str>,
    secret_sha256: [u8; 32],
    roles: Box<[Role]>,
    /// For whom a token must be that it is told about; all where there is none.
    audiences: Box<[Box<str>]>,
}

impl Client {
    /// A client as configured.
    ///
    /// # Errors
    ///
    /// The member that cannot be, and why.
    pub fn new(id: &str, secret_sha256: &str, roles: &[Role]) -> Result<Self, (&'static str, String)> {
        // Characters that form encoding (RFC 6749 §2.3.1) leaves alone, so that both spellings of an id are one.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
            let allowed = "1 to 64 letters, digits, '-', '.', '_' or '~' are";
            return Err(("id", format!("{id:?} is not possible; {allowed}")));
        }
        let secret_sha256 = unhex(secret_sha256).ok_or_else(|| {
            let problem = "not the 64 hexadecimal digits of a SHA-256; `ostracon secret` prints them";
            ("secret_sha256", problem.to_owned())
        })?;
        Ok(Self {
            id: id.into(),
            secret_sha256,
            roles: roles.into(),
            audiences: Box::default(),
        })
    }

    /// The same, told by introspection about tokens for any of `audiences` alone; about all if that is none.
    #[must_use]
    pub fn asking_for(self, audiences: impl IntoIterator<Item = String>) -> Self {
        let audiences = audiences.into_iter().map(String::into_boxed_str).collect();
        Self { audiences, ..self }
    }

    /// Whether a token for `aud` is one that it may be told about (RFC 7662 §4).
    pub(crate) fn may_ask_about(&self, aud: &Audience) -> bool {
        self.audiences.is_empty() || self.audiences.iter().any(|own| aud.contains(own))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it may do.
    #[must_use]
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// What only who knows the hash of its secret can say, for one session: for the tokens of the console. It tells nothing of
    /// the hash.
    pub(crate) fn badge(&self, sid: &SessionId) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.badge_key(), &badge_text(sid)))
    }

    /// Whether `badge` is its own, of the session `sid`.
    pub(crate) fn wears(&self, badge: &str, sid: &SessionId) -> bool {
        let decoded = URL_SAFE_NO_PAD.decode(badge);
        decoded.is_ok_and(|tag| hmac::verify(&self.badge_key(), &badge_text(sid), &tag).is_ok())
    }

    fn badge_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.secret_sha256)
    }

    /// Whether `clients` still has it, with the secret that it had, and with `role`.
    pub(crate) fn is_still_in(&self, clients: &[Self], role: Role) -> bool {
        let same = |client: &&Self| {
            let equal = verify_slices_are_equal(&client.secret_sha256, &self.secret_sha256);
            client.id == self.id && equal.is_ok()
        };
        clients
            .iter()
            .find(same)
            .is_some_and(|client| client.roles.contains(&role))
    }
}

fn badge_text(sid: &SessionId) -> Vec<u8> {
    [b"ostracon-console/v2 ", sid.as_str().as_bytes()].concat()
}

/// What a caller says of itself, and where it calls from.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    headers: HeaderMap,
    address: Option<IpAddr>,
}

impl Caller {
    /// The caller of `request`.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self {
            headers: request.headers().clone(),
            address: Peer::address(request.extensions()),
        }
    }

    /// The same caller, who says by a form that it is the client `id`.
    pub(crate) fn named(mut self, id: &str, secret: &str) -> Self {
        let pair = Zeroizing::new(STANDARD.encode(Zeroizing::new(format!("{id}:{secret}")).as_bytes()));
        // Base64 is what a header can hold.
        let value = HeaderValue::try_from(Zeroizing::new(format!("Basic {}", *pair)).as_str());
        self.headers.remove(header::AUTHORIZATION);
        self.headers
            .extend(value.ok().map(|value| (header::AUTHORIZATION, value)));
        self
    }

    /// The headers of the request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Which of `clients` it is, if it has `role`, where one is needed.
    ///
    /// # Errors
    ///
    /// [`Problem`] with status 401 for everything that is not a known client with its secret, the same for all of it
    /// (A91), and 429 once there were too many of these; with 403 for a known one without the role.
    pub(crate) fn authorize<'a>(
        &self,
        clients: &'a [Client],
        failures: &Failures,
        role: Option<Role>,
    ) -> Result<&'a Client, Problem> {
        let (client, proven) = self.authenticate(clients);
        match (client, role) {
            (Some(client), Some(role)) if proven && !client.roles.contains(&role) => {
                Err(Problem::role_missing(role).to(Some(client.id())))
            }
            (Some(client), _) if proven => Ok(client),
            (client, _) => {
                // An id that is not configured may be a secret in the wrong place (I8).
                let client = client.map(Client::id);
                let address = self.address.map(tracing::field::display);
                tracing::warn!(client, address, "a client login failed");
                Err(match failures.note(self.address, client) {
                    Some(wait) => Problem::too_many_failures(wait),
                    None => Problem::client_unauthorized(),
                }
                .to(client))
            }
        }
    }

    /// The client that is named, and whether its secret is, too.
    fn authenticate<'a>(&self, clients: &'a [Client]) -> (Option<&'a Client>, bool) {
        let Some((id, secret)) = self.basic() else {
            return (None, false);
        };
        // OAuth has both form-encoded before they are Basic (RFC 6749 §2.3.1), everybody else has not: a name is the same
        // either way, and a secret may have been meant in either.
        let (id, decoded) = (form_decoded(&id), form_decoded(&secret));
        let client = clients.iter().find(|client| *client.id == **id);
        // An unknown client costs the same comparisons as a wrong secret.
        let expected = client.map_or(&[0; 32], |client| &client.secret_sha256);
        let equals = |secret: &str| {
            let hash = digest::digest(&digest::SHA256, secret.as_bytes());
            verify_slices_are_equal(hash.as_ref(), expected).is_ok()
        };
        let equal = equals(&secret) | equals(&decoded);
        (client, equal)
    }

    /// Name and secret of HTTP Basic (RFC 7617 §2), if the one `Authorization` field is that.
    fn basic(&self) -> Option<(String, Zeroizing<String>)> {
        let mut values = self.headers.get_all(header::AUTHORIZATION).iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = Zeroizing::new(STANDARD.decode(encoded.trim_start_matches(' ')).ok()?);
        let (id, secret) = core::str::from_utf8(&decoded).ok()?.split_once(':')?;
        Some((id.to_owned(), Zeroizing::new(secret.to_owned())))
    }
}

/// `text` with its form encoding undone; what is not properly encoded stands for itself.
fn form_decoded(text: &str) -> Zeroizing<String> {
    let spaced = Zeroizing::new(text.replace('+', " "));
    Zeroizing::new(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

/// A fresh secret, 256 random bits in base64url, and its SHA-256 in hexadecimal.
///
/// # Errors
///
/// When the system has no randomness.
pub fn new_secret() -> Result<(Zeroizing<String>, String), getrandom::Error> {
    let secret = Zeroizing::new(crate::random::base64url::<32>()?);
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    let hex = hash
        .as_ref()
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    Ok((secret, hex))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits: Vec<_> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(pair.iter().fold(0, |n, digit| n << 4 | digit)).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(values: &[&str]) -> Caller {
        let mut request = Request::new(());
        for value in values {
            request
                .headers_mut()
                .append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Caller::of(&request)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn a91_everything_but_a_known_client_with_its_secret_is_refused_alike() {
        let (secret, hash) = new_secret().unwrap();
        let secret = secret.as_str();
        let clients = [Client::new("web", &hash, &[Role::Issue]).unwrap()];
        let failures = Failures::new(10.try_into().unwrap());
        let status = |values: &[&str], role| match sent(values).authorize(&clients, &failures, Some(role)) {
            Ok(_) => 200,
            Err(problem) => problem.status().as_u16(),
        };
        let good = basic(&format!("web:{secret}"));
        assert_eq!(status(&[&good], Role::Issue), 200);
        assert_eq!(status(&[&good.replace("Basic ", "bAsIc  ")], Role::Issue), 200);
        // RFC 6749 §2.3.1: libraries that encode more than they need to are understood.
        let encoded = secret.replace('-', "%2D").replace('_', "%5f").replacen('A', "%41", 1);
        assert_eq!(status(&[&basic(&format!("w%65b:{encoded}"))], Role::Issue), 200);
        assert_eq!(status(&[&good], Role::Revoke), 403);
        for bad in [
            basic(&format!("Web:{secret}")),
            basic(&format!("web:{secret} ")),
            basic("web:"),
            basic(&format!("nobody:{secret}")),
            basic(&format!("web:{hash}")),
            // A90.
            basic(&format!("web:{secret}%")),
            basic(&format!("web:{secret}+")),
            basic(&format!("web:%ff{secret}")),
            basic(&format!("%77%65%62%00:{secret}")),
            basic("web"),
            "Basic ====".into(),
            "Basic".into(),
            good.replace("Basic", "Bearer"),
        ] {
            assert_eq!(status(&[&bad], Role::Issue), 401, "{bad}");
        }
        assert_eq!(status(&[], Role::Issue), 401);
        assert_eq!(status(&[&good, &good], Role::Issue), 401);
        // Failures for a known client above, and nine here: then it is enough, but not for who has the secret.
        let wrong = basic("web:guess");
        let statuses: Vec<_> = (0..9).map(|_| status(&[&wrong], Role::Issue)).collect();
        assert!(
            statuses.ends_with(&[429]) && statuses.starts_with(&[401]),
            "{statuses:?}"
        );
        assert_eq!(status(&[&good], Role::Issue), 200);
    }

    #[test]
    fn ids_and_hashes_are_checked() {
        let hash = "0".repeat(64);
        assert_eq!(Client::new("a:b", &hash, &[]).unwrap_err().0, "id");
        assert_eq!(Client::new("", &hash, &[]).unwrap_err().0, "id");
        for bad in [&hash[1..], "x", ""] {
            assert_eq!(Client::new("a", bad, &[]).unwrap_err().0, "secret_sha256");
        }
        assert_eq!(unhex(&"0f".repeat(32)), Some([15; 32]));
    }
}
