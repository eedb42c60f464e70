//! What can be revoked.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    claims::Claims,
    text::{ClientId, Issuer, Jti, KeyId, SessionId, Subject},
    time::UnixTime,
};

/// One thing that a revocation can name. A token is denied if any of its targets is.
///
/// Each lies within an issuer: the same `jti` of two issuers is two targets (RFC 7519 §4.1.7).
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are the claims of their names")]
pub enum Target {
    /// One token.
    Token { iss: Issuer, jti: Jti },
    /// One login, with all its access and refresh tokens.
    Session { iss: Issuer, sid: SessionId },
    /// A user: what was issued up to a cut-off.
    Subject { iss: Issuer, sub: Subject },
    /// An application: what was issued up to a cut-off.
    Client { iss: Issuer, client_id: ClientId },
    /// A signing key: what was issued up to a cut-off.
    Key { iss: Issuer, kid: KeyId },
    /// A whole issuer: what it issued up to a cut-off.
    Issuer { iss: Issuer },
}

impl Target {
    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> TargetRef<'_> {
        match self {
            Self::Token { iss, jti } => TargetRef::Token { iss, jti },
            Self::Session { iss, sid } => TargetRef::Session { iss, sid },
            Self::Subject { iss, sub } => TargetRef::Subject { iss, sub },
            Self::Client { iss, client_id } => TargetRef::Client { iss, client_id },
            Self::Key { iss, kid } => TargetRef::Key { iss, kid },
            Self::Issuer { iss } => TargetRef::Issuer { iss },
        }
    }
}

/// A [`Target`] that borrows its names, so that asking for one costs no allocation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "as for `Target`")]
pub enum TargetRef<'a> {
    Token { iss: &'a Issuer, jti: &'a Jti },
    Session { iss: &'a Issuer, sid: &'a SessionId },
    Subject { iss: &'a Issuer, sub: &'a Subject },
    Client { iss: &'a Issuer, client_id: &'a ClientId },
    Key { iss: &'a Issuer, kid: &'a KeyId },
    Issuer { iss: &'a Issuer },
}

impl<'a> TargetRef<'a> {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Token { .. } => Kind::Token,
            Self::Session { .. } => Kind::Session,
            Self::Subject { .. } => Kind::Subject,
            Self::Client { .. } => Kind::Client,
            Self::Key { .. } => Kind::Key,
            Self::Issuer { .. } => Kind::Issuer,
        }
    }

    /// The issuer that it lies within.
    #[must_use]
    pub fn iss(&self) -> &'a Issuer {
        match self {
            Self::Token { iss, .. }
            | Self::Session { iss, .. }
            | Self::Subject { iss, .. }
            | Self::Client { iss, .. }
            | Self::Key { iss, .. }
            | Self::Issuer { iss } => iss,
        }
    }

    /// Its name within the issuer; empty for the issuer itself, which no other name can be.
    #[must_use]
    pub fn name(&self) -> &'a str {
        match self {
            Self::Token { jti, .. } => jti.as_str(),
            Self::Session { sid, .. } => sid.as_str(),
            Self::Subject { sub, .. } => sub.as_str(),
            Self::Client { client_id, .. } => client_id.as_str(),
            Self::Key { kid, .. } => kid.as_str(),
            Self::Issuer { .. } => "",
        }
    }

    /// The same, with names of its own.
    #[must_use]
    pub fn to_owned(&self) -> Target {
        match *self {
            Self::Token { iss, jti } => Target::Token {
                iss: iss.clone(),
                jti: jti.clone(),
            },
            Self::Session { iss, sid } => Target::Session {
                iss: iss.clone(),
                sid: sid.clone(),
            },
            Self::Subject { iss, sub } => Target::Subject {
                iss: iss.clone(),
                sub: sub.clone(),
            },
            Self::Client { iss, client_id } => Target::Client {
                iss: iss.clone(),
                client_id: client_id.clone(),
            },
            Self::Key { iss, kid } => Target::Key {
                iss: iss.clone(),
                kid: kid.clone(),
            },
            Self::Issuer { iss } => Target::Issuer { iss: iss.clone() },
        }
    }
}

/// The six kinds of target.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "as for `Target`")]
pub enum Kind {
    Token,
    Session,
    Subject,
    Client,
    Key,
    Issuer,
}

impl Kind {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Token,
        Self::Session,
        Self::Subject,
        Self::Client,
        Self::Key,
        Self::Issuer,
    ];

    /// Whether a revocation of this kind ends what was issued up to a cut-off, and not simply all.
    #[must_use]
    pub fn has_cutoff(self) -> bool {
        !matches!(self, Self::Token | Self::Session)
    }

    /// The word in snake case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Subject => "subject",
            Self::Client => "client",
            Self::Key => "key",
            Self::Issuer => "issuer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// All targets of one token, and when it was issued: what a denylist is asked.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    all: [Option<TargetRef<'a>>; 6],
    iat: Option<UnixTime>,
}

impl<'a> Targets<'a> {
    /// The targets of a token with `claims`, signed by the key `kid`.
    #[must_use]
    pub fn of(claims: &'a Claims, kid: Option<&'a KeyId>) -> Self {
        let iss = claims.iss();
        Self {
            // The likeliest to be listed come first.
            all: [
                claims.token_id().map(|jti| TargetRef::Token { iss, jti }),
                claims.sid().map(|sid| TargetRef::Session { iss, sid }),
                claims.sub().map(|sub| TargetRef::Subject { iss, sub }),
                claims.client_id().map(|client_id| TargetRef::Client { iss, client_id }),
                kid.map(|kid| TargetRef::Key { iss, kid }),
                Some(TargetRef::Issuer { iss }),
            ],
            iat: claims.iat(),
        }
    }

    /// One target alone, as if of a token without `iat`, which any revocation of it denies.
    #[must_use]
    pub fn one(target: TargetRef<'a>) -> Self {
        Self {
            all: [Some(target), None, None, None, None, None],
            iat: None,
        }
    }

    /// The same without the token itself: what else could end it.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        for target in &mut self.all {
            target.take_if(|target| target.kind() == Kind::Token);
        }
        self
    }

    /// Each of them, at most six.
    pub fn iter(&self) -> impl Iterator<Item = TargetRef<'a>> {
        self.all.iter().flatten().copied()
    }

    /// When the token was issued.
    #[must_use]
    pub fn iat(&self) -> Option<UnixTime> {
        self.iat
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_all_six_targets() {
        let claims =
            Claims::parse(br#"{"iss":"i","exp":9,"iat":1,"jti":"j","sid":"s","sub":"u","client_id":"c"}"#).unwrap();
        let kid = KeyId::new("k").unwrap();
        let targets = Targets::of(&claims, Some(&kid));
        let named: Vec<_> = targets.iter().map(|t| (t.kind(), t.iss().as_str(), t.name())).collect();
        let expected = Kind::ALL
            .into_iter()
            .zip(["j", "s", "u", "c", "k", ""])
            .map(|(kind, name)| (kind, "i", name));
        assert_eq!(named, expected.collect::<Vec<_>>());
        assert!(targets.iter().all(|t| t.to_owned().as_ref() == t));
        let others: Vec<_> = targets.without_token().iter().map(|t| t.kind()).collect();
        assert_eq!(others, &Kind::ALL[1..]);
    }

    #[test]
    fn targets_are_written_as_the_api_has_them() {
        let json = r#"{"kind":"client","iss":"i","client_id":"web"}"#;
        let target: Target = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&target).unwrap(), json);
        for bad in [
            r#"{"kind":"token","iss":"i","sid":"s"}"#,
            r#"{"kind":"issuer","iss":"i","sub":"u"}"#,
            r#"{"kind":"x","iss":"i"}"#,
        ] {
            assert!(serde_json::from_str::<Target>(bad).is_err(), "{bad}");
        }
    }
}
