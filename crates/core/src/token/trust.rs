//! What one issuer is trusted for.

use core::time::Duration;

use crate::{
    claims::Claims,
    header::{GenericType, TokenType},
    json::Member,
    policy::ClaimName,
    refusal::Refusal,
    time::UnixTime,
};

/// What the keys of one issuer are trusted for. By default that is what an issuer of one's own needs: access and refresh
/// tokens that say what they are, each naming its key, for whomever they like, as long as the policy lets them live.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct Trust {
    /// None for any.
    audiences: Option<Vec<Box<str>>>,
    /// None where no logout tokens are taken.
    logout_audiences: Option<Vec<Box<str>>>,
    longest_lifetime: Option<Duration>,
    longer_since: Vec<(Duration, UnixTime)>,
    generic: Vec<(TokenType, GenericType)>,
    renamed: Vec<(ClaimName, Box<str>)>,
    no_refresh_tokens: bool,
    nameless_keys: bool,
}

/// The name of the event of a logout (OpenID Connect Back-Channel Logout 1.0 §2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Trust {
    /// An access or refresh token must be for one of `audiences`, whatever a route demands (RFC 8725 §3.9). Where there is
    /// none among them, no token is.
    pub fn audiences<A: Into<Box<str>>>(self, audiences: impl IntoIterator<Item = A>) -> Self {
        let audiences = Some(audiences.into_iter().map(Into::into).collect());
        Self { audiences, ..self }
    }

    /// Logout tokens are taken, for one of `audiences`: the names under which the issuer knows those who let its users in.
    pub fn logout_audiences<A: Into<Box<str>>>(self, audiences: impl IntoIterator<Item = A>) -> Self {
        let logout_audiences = Some(audiences.into_iter().map(Into::into).collect());
        Self {
            logout_audiences,
            ..self
        }
    }

    /// A token lives no longer, beside what the policy says.
    pub fn longest_lifetime(self, longest_lifetime: Duration) -> Self {
        let longest_lifetime = Some(longest_lifetime);
        Self {
            longest_lifetime,
            ..self
        }
    }

    /// A token that lives longer than `limit` counts only if it was issued after `date`, when retention began to cover it.
    ///
    /// I1: what was revoked before is kept for as long as tokens lived then. An issuer of one's own has issued none that
    /// live longer; another may have.
    pub fn longer_since(mut self, limit: Duration, date: UnixTime) -> Self {
        self.longer_since.push((limit, date));
        self
    }

    /// A token whose `typ` leaves it open is taken for one of type `typ`, unless it says otherwise inside: an ID token is
    /// no access token, nor is a logout token. Refresh tokens say what they are.
    pub fn generic(mut self, typ: TokenType, generic: GenericType) -> Self {
        self.generic.push((typ, generic));
        self
    }

    /// The claim `name` is written as `member`. For the subject, the session, the client and the scope.
    pub fn renamed(mut self, name: ClaimName, member: impl Into<Box<str>>) -> Self {
        self.renamed.push((name, member.into()));
        self
    }

    /// No refresh tokens: they are between an issuer and its clients.
    pub fn without_refresh_tokens(self) -> Self {
        let no_refresh_tokens = true;
        Self {
            no_refresh_tokens,
            ..self
        }
    }

    /// A token need not name its key where the issuer has one for its algorithm only (`OpenID` Connect Core 1.0 §10.1).
    pub fn nameless_keys(self) -> Self {
        let nameless_keys = true;
        Self { nameless_keys, ..self }
    }

    pub(super) fn takes_nameless_keys(&self) -> bool {
        self.nameless_keys
    }

    /// Whether a token of type `typ` may come as `generic`.
    pub(super) fn takes_generic(&self, typ: TokenType, generic: GenericType) -> bool {
        typ != TokenType::Refresh && self.generic.contains(&(typ, generic))
    }

    /// `claims` under their usual names. A logout token has no others.
    pub(super) fn read(&self, typ: TokenType, claims: Claims) -> Result<Claims, Refusal> {
        if typ == TokenType::Logout {
            return Ok(claims);
        }
        self.renamed
            .iter()
            .try_fold(claims, |claims, (name, member)| claims.renamed(*name, member))
    }

    pub(super) fn covers(&self, typ: TokenType, claims: &Claims) -> Result<(), Refusal> {
        let audiences = match typ {
            TokenType::Refresh if self.no_refresh_tokens => return Err(Refusal::Unsupported("typ")),
            TokenType::Access | TokenType::Refresh => &self.audiences,
            // None are none, not any.
            TokenType::Logout if self.logout_audiences.is_none() => return Err(Refusal::AudienceMismatch),
            TokenType::Logout => &self.logout_audiences,
        };
        let is_for = |audiences: &Vec<Box<str>>| audiences.iter().any(|audience| claims.aud().contains(audience));
        if !audiences.as_ref().is_none_or(is_for) {
            return Err(Refusal::AudienceMismatch);
        }
        self.lifetime(claims)?;
        if typ == TokenType::Logout {
            is_logout(claims)?;
        }
        Ok(())
    }

    fn lifetime(&self, claims: &Claims) -> Result<(), Refusal> {
        if self.longest_lifetime.is_none() && self.longer_since.is_empty() {
            return Ok(());
        }
        let iat = claims.iat().ok_or(Refusal::ClaimInvalid("iat", "absent"))?;
        let life = claims.exp().since(iat);
        let too_long = |problem| Err(Refusal::ClaimInvalid("exp", problem));
        if self.longest_lifetime.is_some_and(|longest| life > longest) {
            return too_long("later than its issuer's longest lifetime allows");
        }
        if self
            .longer_since
            .iter()
            .any(|(limit, date)| life > *limit && iat <= *date)
        {
            return too_long("later than its issuer's longest lifetime allowed when it was issued");
        }
        Ok(())
    }
}

/// Whether `claims`, whose token does not say what it is for, can be those of a token of type `typ`: what says inside that
/// it is something else is that (RFC 8725 §3.12).
pub(super) fn can_be(typ: TokenType, claims: &Claims) -> Result<(), Refusal> {
    if typ == TokenType::Logout {
        // It must have the event, which nothing else has.
        return Ok(());
    }
    // OpenID Connect Core 1.0 §2, §3.3.2.11: of ID tokens only. RFC 8417 §2.2: of event tokens only. `token_use` and `typ`
    // are what two widespread providers tell their kinds of token apart by.
    let names = ["nonce", "at_hash", "c_hash", "s_hash", "events"];
    let of_others = claims.members(names)?;
    if let Some((name, _)) = names.into_iter().zip(&of_others).find(|(_, member)| member.is_some()) {
        return Err(Refusal::Unsupported(name));
    }
    let [token_use, kind] = claims.members(["token_use", "typ"])?;
    let is = |member: &Option<Member<'_>>, words: &[&str]| matches!(member, Some(Member::Text(text)) if words.iter().any(|word| text.eq_ignore_ascii_case(word)));
    if token_use.is_some() && !is(&token_use, &["access"]) {
        return Err(Refusal::Unsupported("token_use"));
    }
    if is(&kind, &["ID", "Refresh", "Offline", "Logout"]) {
        return Err(Refusal::Unsupported("typ"));
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct Logout {
    events: serde_json::Map<String, serde_json::Value>,
}

/// OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6, but for signature, issuer, audience and dates.
fn is_logout(claims: &Claims) -> Result<(), Refusal> {
    let [events, nonce] = claims.members(["events", "nonce"])?;
    if nonce.is_some() {
        return Err(Refusal::ClaimInvalid("nonce", "must not stand in a logout token"));
    }
    let invalid = |problem| Refusal::ClaimInvalid("events", problem);
    if events.is_none() {
        return Err(invalid("absent"));
    }
    let Logout { events } = claims.extra().map_err(|_| invalid("not an object"))?;
    if !events.get(LOGOUT_EVENT).is_some_and(serde_json::Value::is_object) {
        return Err(invalid("not a back-channel logout"));
    }
    if claims.sub().is_none() && claims.sid().is_none() {
        return Err(Refusal::ClaimInvalid("sub", "absent, and so is sid"));
    }
    let stands = [("iat", claims.iat().is_some()), ("jti", claims.jti().is_some())];
    match stands.into_iter().find(|(_, stands)| !stands) {
        Some((name, _)) => Err(Refusal::ClaimInvalid(name, "absent")),
        None => Ok(()),
    }
}
