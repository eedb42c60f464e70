//! The JOSE header (RFC 7515 §4).

use alloc::{borrow::Cow, boxed::Box};

use crate::{
    json::{self, Member},
    refusal::{Refusal, Segment},
    text::KeyId,
};

/// What a token is for: kinds that are mutually exclusive, told apart by `typ` (RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum TokenType {
    /// `at+jwt`: presented with each request (RFC 9068 §2.1).
    Access,
    /// `rt+jwt`: exchanged for a new pair, accepted nowhere else.
    Refresh,
    /// `logout+jwt`: an identity provider says that a session of its ended (OpenID Connect Back-Channel Logout 1.0 §2.4).
    Logout,
}

/// A `typ` that does not say what a token is for. Which tokens may come so, each issuer is trusted with by itself; see
/// `IssuerKeys::with_generic`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum GenericType {
    /// `JWT` (RFC 7519 §5.1).
    Jwt,
    /// There is none.
    Absent,
}

impl TokenType {
    /// The value of `typ`, as it is issued.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "rt+jwt",
            Self::Logout => "logout+jwt",
        }
    }

    fn of(bare: &str) -> Option<Self> {
        [Self::Access, Self::Refresh, Self::Logout]
            .into_iter()
            .find(|t| bare.eq_ignore_ascii_case(t.as_str()))
    }
}

/// `typ` without the `application/` that is implied: compared as a media type, without case (RFC 7515 §4.1.9).
fn bare(typ: &str) -> &str {
    let prefix = "application/";
    match typ.split_at_checked(prefix.len()) {
        Some((start, bare)) if start.eq_ignore_ascii_case(prefix) => bare,
        _ => typ,
    }
}

/// A header that asks for nothing but a signature check with a named key.
///
/// `jku`, `jwk`, `x5u` and `x5c` are read past: a token never chooses its key otherwise than by the name of one that is
/// configured (RFC 8725 §3.10).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    alg: Box<str>,
    typ: Option<TokenType>,
    generic: Option<GenericType>,
    kid: Option<KeyId>,
}

impl Header {
    /// Parses the bytes of a header.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] for anything but one strict JSON object with a text `alg` and, where they stand, a text
    /// `kid` and `typ`; [`Refusal::Unsupported`] for `crit` (no extension is implemented, RFC 7515 §4.1.11), `b64`
    /// (RFC 7797 §7), `zip`, `enc` and a nested token (`cty`, RFC 7519 §5.2).
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = |problem| Refusal::Malformed(Segment::Header, problem);
        let [alg, typ, kid, crit, b64, zip, enc, cty] =
            json::object(bytes, ["alg", "typ", "kid", "crit", "b64", "zip", "enc", "cty"]).map_err(malformed)?;
        for (member, name) in [(crit, "crit"), (b64, "b64"), (zip, "zip"), (enc, "enc"), (cty, "cty")] {
            if member.is_some() {
                return Err(Refusal::Unsupported(name));
            }
        }
        let text = |member: Option<Member<'_>>, problem| match member {
            None => Ok(None),
            Some(Member::Text(text)) => Ok(Some(Cow::into_owned(text))),
            Some(_) => Err(malformed(problem)),
        };
        let alg = text(alg, "alg is not a string")?;
        let typ = text(typ, "typ is not a string")?;
        let typ = typ.as_deref().map(bare);
        Ok(Self {
            alg: alg.ok_or(malformed("alg is absent"))?.into(),
            typ: typ.and_then(TokenType::of),
            generic: match typ {
                None => Some(GenericType::Absent),
                Some(typ) => typ.eq_ignore_ascii_case("JWT").then_some(GenericType::Jwt),
            },
            kid: text(kid, "kid is not a string")?
                .map(KeyId::new)
                .transpose()
                .map_err(|_| malformed("kid is not the name of a key"))?,
        })
    }

    /// The algorithm, spelled as in the token (case counts, RFC 7515 §4.1.1).
    #[must_use]
    pub fn alg(&self) -> &str {
        &self.alg
    }

    /// What the token is for; none when `typ` is absent or something else.
    #[must_use]
    pub fn typ(&self) -> Option<TokenType> {
        self.typ
    }

    /// Whether `typ` leaves open what the token is for.
    #[must_use]
    pub fn generic(&self) -> Option<GenericType> {
        self.generic
    }

    /// The name of the key it was signed with.
    #[must_use]
    pub fn kid(&self) -> Option<&KeyId> {
        self.kid.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(json: &str) -> Result<Header, Refusal> {
        Header::parse(json.as_bytes())
    }

    #[test]
    fn p013_p015_p016_p017_extensions_are_refused() {
        for (json, name) in [
            (r#"{"alg":"HS256","crit":["bork"]}"#, "crit"),
            (r#"{"alg":"HS256","crit":[]}"#, "crit"),
            (r#"{"alg":"HS256","crit":"exp"}"#, "crit"),
            (r#"{"alg":"HS256","crit":null}"#, "crit"),
            (r#"{"alg":"HS256","b64":false}"#, "b64"),
            (r#"{"alg":"HS256","b64":true}"#, "b64"),
            (r#"{"alg":"HS256","zip":"DEF"}"#, "zip"),
            (r#"{"alg":"dir","enc":"A256GCM"}"#, "enc"),
            (r#"{"alg":"HS256","cty":"JWT"}"#, "cty"),
        ] {
            assert_eq!(header(json), Err(Refusal::Unsupported(name)), "{json}");
        }
    }

    #[test]
    fn p018_p020_alg_and_kid_are_strings() {
        for json in [
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":["HS256"]}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","kid":["k"]}"#,
            r#"{"alg":"HS256","kid":""}"#,
            r#"{"alg":"HS256","kid":"k\u0000"}"#,
            r#"{"alg":"HS256","typ":5}"#,
            r#"{"alg":"HS256","alg":"none"}"#,
        ] {
            assert!(
                matches!(header(json), Err(Refusal::Malformed(Segment::Header, _))),
                "{json}"
            );
        }
    }

    #[test]
    fn p019_p039_typ_is_a_media_type() {
        for (typ, read) in [
            ("at+jwt", Some(TokenType::Access)),
            ("AT+JWT", Some(TokenType::Access)),
            ("application/at+jwt", Some(TokenType::Access)),
            ("Application/AT+jwt", Some(TokenType::Access)),
            ("rt+jwt", Some(TokenType::Refresh)),
            ("JWT", None),
            ("logout+jwt", Some(TokenType::Logout)),
            ("secevent+jwt", None),
            ("text/at+jwt", None),
            ("at+jwt ", None),
            ("application/", None),
        ] {
            assert_eq!(
                header(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#)).unwrap().typ(),
                read,
                "{typ}"
            );
        }
        assert_eq!(header(r#"{"alg":"HS256"}"#).unwrap().typ(), None);
    }

    #[test]
    fn p039_what_leaves_its_use_open_is_told_from_what_is_for_another() {
        let generic = |json: &str| header(json).unwrap().generic();
        assert_eq!(generic(r#"{"alg":"HS256"}"#), Some(GenericType::Absent));
        for typ in ["JWT", "jwt", "application/jwt"] {
            let json = format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#);
            assert_eq!(generic(&json), Some(GenericType::Jwt), "{typ}");
        }
        for typ in [
            "at+jwt",
            "logout+jwt",
            "secevent+jwt",
            "id_token",
            "JWT+x",
            "",
            "application/",
        ] {
            assert_eq!(generic(&format!(r#"{{"alg":"HS256","typ":"{typ}"}}"#)), None, "{typ}");
        }
    }

    #[test]
    fn p035_keys_inside_the_header_are_not_read() {
        let read = header(
            r#"{"alg":"ES256","kid":"k","jku":"http://127.0.0.1/","jwk":{"kty":"oct","k":"AA"},"x5u":"x","x5c":[]}"#,
        );
        assert_eq!(read, header(r#"{"alg":"ES256","kid":"k"}"#));
    }
}
