//! The claims set (RFC 7519 §4).

use alloc::{borrow::Cow, boxed::Box, string::String};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

#[cfg(feature = "jwt")]
use crate::policy::ClaimName;
use crate::{
    json::{self, Member},
    refusal::{Refusal, Segment},
    text::{ClientId, Issuer, Jti, SessionId, Subject, TextError},
    time::UnixTime,
};

/// A claims set whose standard members have the right types. Holding one proves nothing about its signature or its age:
/// see [`decide`](crate::decide) and `VerifiedToken`.
///
/// `iss` and `exp` always stand: without the one nobody vouches for the token, without the other a revocation of it
/// would have to be kept for ever.
#[derive(Clone, Eq, PartialEq)]
pub struct Claims {
    iss: Issuer,
    exp: UnixTime,
    sub: Option<Subject>,
    aud: Audience,
    nbf: Option<UnixTime>,
    iat: Option<UnixTime>,
    jti: Option<Jti>,
    /// What stands in for an absent `jti`.
    digest: Option<Jti>,
    sid: Option<SessionId>,
    client_id: Option<ClientId>,
    scope: Scope,
    json: Box<[u8]>,
}

impl Claims {
    /// Parses the bytes of a claims set. Unknown claims are kept for [`Claims::extra`] (RFC 7519 §4).
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`] for anything but one strict JSON object; [`Refusal::ClaimInvalid`] with the name of the
    /// first standard claim that is absent, of another type, too long, or a date outside 1970 to 9999.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        Ok(Self {
            json: bytes.into(),
            ..Self::read(bytes, None)?
        })
    }

    /// The same of bytes that need not be copied, and of `unnamed` where they do not say from whom they are.
    #[cfg(feature = "jwt")]
    pub(crate) fn take(bytes: Vec<u8>, unnamed: Option<&Issuer>) -> Result<Self, Refusal> {
        let read = Self::read(&bytes, unnamed)?;
        Ok(Self {
            json: bytes.into(),
            ..read
        })
    }

    fn read(bytes: &[u8], unnamed: Option<&Issuer>) -> Result<Self, Refusal> {
        let [iss, exp, sub, aud, nbf, iat, jti, sid, client_id, scope] = json::object(
            bytes,
            [
                "iss",
                "exp",
                "sub",
                "aud",
                "nbf",
                "iat",
                "jti",
                "sid",
                "client_id",
                "scope",
            ],
        )
        .map_err(|problem| Refusal::Malformed(Segment::Claims, problem))?;
        Ok(Self {
            iss: text("iss", iss, Issuer::new)?
                .or_else(|| unnamed.cloned())
                .ok_or(absent("iss"))?,
            exp: date("exp", exp.as_ref())?.ok_or(absent("exp"))?,
            sub: text("sub", sub, Subject::new)?,
            aud: Audience::read(aud)?,
            nbf: date("nbf", nbf.as_ref())?,
            iat: date("iat", iat.as_ref())?,
            jti: text("jti", jti, Jti::new)?,
            digest: None,
            sid: text("sid", sid, SessionId::new)?,
            client_id: text("client_id", client_id, ClientId::new)?,
            scope: Scope::read(scope)?,
            json: Box::default(),
        })
    }

    /// Who issued it.
    #[must_use]
    pub fn iss(&self) -> &Issuer {
        &self.iss
    }

    /// When it ends; that moment is already past it (RFC 7519 §4.1.4).
    #[must_use]
    pub fn exp(&self) -> UnixTime {
        self.exp
    }

    /// Whom it is about.
    #[must_use]
    pub fn sub(&self) -> Option<&Subject> {
        self.sub.as_ref()
    }

    /// Whom it is for.
    #[must_use]
    pub fn aud(&self) -> &Audience {
        &self.aud
    }

    /// When it begins; that moment is already in it (RFC 7519 §4.1.5).
    #[must_use]
    pub fn nbf(&self) -> Option<UnixTime> {
        self.nbf
    }

    /// When it was issued.
    #[must_use]
    pub fn iat(&self) -> Option<UnixTime> {
        self.iat
    }

    /// Its identity.
    #[must_use]
    pub fn jti(&self) -> Option<&Jti> {
        self.jti.as_ref()
    }

    /// What a revocation of this one token names: its `jti`, else what [`Claims::identified_by`] gave it.
    #[must_use]
    pub fn token_id(&self) -> Option<&Jti> {
        self.jti.as_ref().or(self.digest.as_ref())
    }

    /// With an identity for a token without `jti`; one that has its own keeps it.
    ///
    /// `Keyring::verify` gives one: SHA-256 over a tag and the signing input. Whoever verifies otherwise has to take
    /// the same for each spelling of a token, so never anything that the signature is part of: an ECDSA signature
    /// `(r, s)` has a valid twin `(r, n - s)`.
    #[must_use]
    pub fn identified_by(mut self, id: Jti) -> Self {
        self.digest = Some(id);
        self
    }

    /// The login that it belongs to.
    #[must_use]
    pub fn sid(&self) -> Option<&SessionId> {
        self.sid.as_ref()
    }

    /// The application that it was issued to.
    #[must_use]
    pub fn client_id(&self) -> Option<&ClientId> {
        self.client_id.as_ref()
    }

    /// What it allows.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Further members of the set, in the order of their `names`.
    #[cfg(feature = "jwt")]
    pub(crate) fn members<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Member<'_>>; N], Refusal> {
        json::object(&self.json, names).map_err(|problem| Refusal::Malformed(Segment::Claims, problem))
    }

    /// With what its issuer writes as `member` in place of the claim `name`, which does not count beside it.
    #[cfg(feature = "jwt")]
    pub(crate) fn renamed(mut self, name: ClaimName, member: &str) -> Result<Self, Refusal> {
        let [value] = self.members([member])?;
        match name {
            ClaimName::Sub => self.sub = text("sub", value.map(spelled), Subject::new)?,
            ClaimName::Sid => self.sid = text("sid", value.map(spelled), SessionId::new)?,
            ClaimName::ClientId => self.client_id = text("client_id", value, ClientId::new)?,
            ClaimName::Scope => self.scope = Scope::read(value)?,
            // These have one name everywhere.
            ClaimName::Aud | ClaimName::Nbf => {}
        }
        Ok(self)
    }

    /// How long it is as JSON, in bytes.
    #[cfg(feature = "jwt")]
    pub(crate) fn json_bytes(&self) -> usize {
        self.json.len()
    }

    /// The whole set, standard claims included, read as a type of the caller's.
    ///
    /// # Errors
    ///
    /// [`Refusal::ClaimInvalid`] when it is not of that type.
    pub fn extra<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.json).map_err(|_| Refusal::ClaimInvalid("of the application", "not as expected"))
    }
}

// I8: the identities in a token are no secrets, but what an application puts into one may be.
impl core::fmt::Debug for Claims {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Claims")
            .field("iss", &self.iss)
            .field("exp", &self.exp)
            .finish_non_exhaustive()
    }
}

fn absent(name: &'static str) -> Refusal {
    Refusal::ClaimInvalid(name, "absent")
}

/// A whole number as a text: what an application calls its users by is often one. Beyond 2^53 two would be the same.
#[cfg(feature = "jwt")]
fn spelled(member: Member<'_>) -> Member<'_> {
    match member {
        Member::Number(number) if number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number) => {
            Member::Text(alloc::format!("{number:.0}").into())
        }
        other => other,
    }
}

fn text<T>(
    name: &'static str,
    member: Option<Member<'_>>,
    new: fn(String) -> Result<T, TextError>,
) -> Result<Option<T>, Refusal> {
    let problem = |error| {
        let problem = match error {
            TextError::Empty => "empty",
            TextError::TooLong { .. } => "too long",
            TextError::Control => "has control characters",
        };
        Refusal::ClaimInvalid(name, problem)
    };
    match member {
        None => Ok(None),
        Some(Member::Text(text)) => new(text.into_owned()).map(Some).map_err(problem),
        Some(_) => Err(Refusal::ClaimInvalid(name, "not a string")),
    }
}

/// A `NumericDate`, to the millisecond; what is finer is cut off.
fn date(name: &'static str, member: Option<&Member<'_>>) -> Result<Option<UnixTime>, Refusal> {
    match member {
        None => Ok(None),
        Some(Member::Number(secs)) => {
            let millis = *secs * 1000.0;
            #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "exact: below 2^53")]
            let latest = UnixTime::MAX.as_millis() as f64;
            if !(0.0..=latest).contains(&millis) {
                return Err(Refusal::ClaimInvalid(name, "not a date from 1970 to 9999"));
            }
            #[expect(
                clippy::as_conversions,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked"
            )]
            let millis = millis as u64;
            Ok(Some(UnixTime::from_millis(millis)))
        }
        Some(_) => Err(Refusal::ClaimInvalid(name, "not a number")),
    }
}

/// The audiences of a token: one or many (RFC 7519 §4.1.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Audience(Box<[Box<str>]>);

impl Audience {
    fn read(member: Option<Member<'_>>) -> Result<Self, Refusal> {
        match member {
            None => Ok(Self::default()),
            Some(Member::Text(one)) => Ok(Self([one.into()].into())),
            Some(Member::Texts(many)) => Ok(Self(many.into_iter().map(Cow::into_owned).map(Into::into).collect())),
            Some(_) => Err(Refusal::ClaimInvalid("aud", "not a string or an array of strings")),
        }
    }

    /// Whether `audience` is among them, byte for byte.
    #[must_use]
    pub fn contains(&self, audience: &str) -> bool {
        self.iter().any(|a| a == audience)
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

/// What a token allows: words parted by single spaces (RFC 6749 §3.3).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Box<str>);

impl TryFrom<String> for Scope {
    type Error = &'static str;
    fn try_from(scope: String) -> Result<Self, &'static str> {
        Self::new(&scope)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0.into()
    }
}

impl Scope {
    /// Checks and keeps `scope`; the empty string allows nothing.
    ///
    /// # Errors
    ///
    /// A character that RFC 6749 §3.3 has no place for, or more than one space in a row.
    pub fn new(scope: &str) -> Result<Self, &'static str> {
        let word = |w: &str| !w.is_empty() && w.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if scope.is_empty() || scope.split(' ').all(word) {
            Ok(Self(scope.into()))
        } else {
            Err("not words of printable ASCII, parted by single spaces")
        }
    }

    fn read(member: Option<Member<'_>>) -> Result<Self, Refusal> {
        match member {
            None => Ok(Self::default()),
            Some(Member::Text(text)) => Self::new(&text).map_err(|problem| Refusal::ClaimInvalid("scope", problem)),
            // As some providers write it.
            Some(Member::Texts(words)) if words.iter().all(|word| !word.is_empty() && !word.contains(' ')) => {
                Self::new(&words.join(" ")).map_err(|problem| Refusal::ClaimInvalid("scope", problem))
            }
            Some(_) => Err(Refusal::ClaimInvalid("scope", "neither a string nor an array of words")),
        }
    }

    /// The words as they stand in the claim.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each word.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|w| !w.is_empty())
    }

    /// Whether each word of `demanded` is allowed.
    #[must_use]
    pub fn covers(&self, demanded: &Self) -> bool {
        demanded.iter().all(|word| self.iter().any(|w| w == word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(members: &str) -> Result<Claims, Refusal> {
        Claims::parse(format!(r#"{{"iss":"i","exp":100{members}}}"#).as_bytes())
    }

    fn invalid(members: &str) -> &'static str {
        match claims(members) {
            Err(Refusal::ClaimInvalid(name, _)) => name,
            other => panic!("{members}: {other:?}"),
        }
    }

    #[test]
    fn p007_dates_are_numbers() {
        for value in [
            r#""1""#,
            "true",
            "null",
            "[]",
            "{}",
            "-1",
            "253402300800",
            "18446744073709551615",
            "1e18",
        ] {
            assert_eq!(invalid(&format!(r#","nbf":{value}"#)), "nbf", "{value}");
            assert_eq!(invalid(&format!(r#","iat":{value}"#)), "iat", "{value}");
            let exp = Claims::parse(format!(r#"{{"iss":"i","exp":{value}}}"#).as_bytes());
            assert!(matches!(exp, Err(Refusal::ClaimInvalid("exp", _))), "{value}");
        }
        assert!(claims(r#","nbf":0,"iat":253402300799"#).is_ok());
    }

    #[test]
    fn p008_fractions_are_kept_to_the_millisecond() {
        let read = claims(r#","nbf":1790000000.5,"iat":1.0009"#).unwrap();
        assert_eq!(read.nbf(), Some(UnixTime::from_millis(1_790_000_000_500)));
        assert_eq!(read.iat(), Some(UnixTime::from_millis(1_000)));
    }

    #[test]
    fn p009_aud_is_one_or_many_strings() {
        assert!(claims(r#","aud":"me""#).unwrap().aud().contains("me"));
        assert!(claims(r#","aud":["you","me"]"#).unwrap().aud().contains("me"));
        assert!(!claims(r#","aud":["you","ME"]"#).unwrap().aud().contains("me"));
        assert!(!claims(r#","aud":[]"#).unwrap().aud().contains("me"));
        for value in ["null", "{}", r#"["me",5]"#, "5"] {
            assert_eq!(invalid(&format!(r#","aud":{value}"#)), "aud", "{value}");
        }
    }

    #[test]
    fn p010_names_are_strings() {
        for name in ["sub", "jti", "sid", "client_id"] {
            for value in ["1", "null", r#"["x"]"#, r#""""#, r#""\u0000""#] {
                assert_eq!(invalid(&format!(r#","{name}":{value}"#)), name, "{value}");
            }
        }
        for iss in [r#"["i"]"#, "1", r#""""#] {
            let read = Claims::parse(format!(r#"{{"iss":{iss},"exp":1}}"#).as_bytes());
            assert!(matches!(read, Err(Refusal::ClaimInvalid("iss", _))), "{iss}");
        }
        assert_eq!(Claims::parse(br#"{"exp":1}"#), Err(absent("iss")));
        assert_eq!(Claims::parse(br#"{"iss":"i"}"#), Err(absent("exp")));
    }

    #[test]
    fn p012_unknown_claims_are_the_callers() {
        #[derive(serde::Deserialize)]
        struct Mine {
            role: String,
        }
        let read = claims(r#","role":"editor","deep":{"er":[1,2]}"#).unwrap();
        assert_eq!(read.extra::<Mine>().unwrap().role, "editor");
    }

    #[test]
    fn scope_is_words() {
        for bad in ["a  b", " a", "a ", "a\"b", "a\\b", "\u{e9}", "a\tb"] {
            assert!(Scope::new(bad).is_err(), "{bad:?}");
        }
        let scope = Scope::new("read write").unwrap();
        assert_eq!(
            (scope.as_str(), String::from(scope.clone())),
            ("read write", "read write".into())
        );
        assert!(scope.covers(&Scope::default()) && scope.covers(&Scope::new("write").unwrap()));
        assert!(!scope.covers(&Scope::new("read wri").unwrap()) && !Scope::default().covers(&scope));
    }

    #[test]
    fn scope_may_be_an_array_of_words() {
        assert_eq!(
            claims(r#","scope":["read","write"]"#).unwrap().scope().as_str(),
            "read write"
        );
        assert_eq!(claims(r#","scope":[]"#).unwrap().scope(), &Scope::default());
        for value in [
            r#"["read write"]"#,
            r#"["read",""]"#,
            r#"["a\"b"]"#,
            r#"["read",1]"#,
            "1",
            "null",
            "{}",
        ] {
            assert_eq!(invalid(&format!(r#","scope":{value}"#)), "scope", "{value}");
        }
    }

    #[test]
    fn i8_debug_shows_no_application_claims() {
        let shown = format!("{:?}", claims(r#","pin":"4711""#).unwrap());
        assert!(shown.contains("\"i\"") && !shown.contains("4711"), "{shown}");
    }
}
