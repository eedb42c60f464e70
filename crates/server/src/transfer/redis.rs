//! The usual denylist in Redis: a key `blacklist:<token>` for each token, that lives until its `exp`.
//!
//! The dump is our operator's own, and names what is to be denied. So the claims of a token are read without its signature
//! being checked, and nothing is believed of them but who it is and when it ends.

use core::time::Duration;

use ostracon_core::{Compact, Issuer, Jti, Policy, Reason, Revocation, Target, UnixTime};
use serde::Deserialize;
use serde_json::Number;

use super::{Assumed, Unusable};
use crate::lines::MAX_LINE_BYTES;

#[derive(Deserialize)]
struct Claims {
    iss: Option<Issuer>,
    jti: Option<Jti>,
    exp: Option<Number>,
}

/// Reads a key and its TTL in milliseconds, as `PTTL` answers it: -1 for a key that has none, -2 for one that is gone.
pub(super) fn read(line: &[u8], prefix: &str, assumed: &Assumed<'_>) -> Result<Revocation, Unusable> {
    let line = core::str::from_utf8(line).map_err(|_| Unusable::new("it is no text"))?;
    let (key, ttl) = line
        .trim_end()
        .rsplit_once([' ', '\t'])
        .ok_or_else(|| Unusable::new("a key and its PTTL are needed, with a blank between"))?;
    let ttl: i64 = ttl
        .parse()
        .map_err(|_| Unusable::new("the TTL is no whole number of milliseconds"))?;
    let token = key
        .trim_end()
        .strip_prefix(prefix)
        .ok_or_else(|| Unusable::new("the key does not begin with the prefix; see --prefix"))?;
    // I8: neither the token nor what is in it is repeated.
    let none = |_| Unusable::new("what follows the prefix is no token; identities of tokens go into a CSV");
    let payload = Compact::split_within(token, MAX_LINE_BYTES)
        .and_then(|token| token.decode_payload())
        .map_err(none)?;
    // As a text first: what is no text would else pass in a claim that is of no interest (RFC 8259 §8.1).
    let claims: Option<Claims> = core::str::from_utf8(&payload)
        .ok()
        .and_then(|claims| serde_json::from_str(claims).ok());
    let claims = claims.ok_or_else(|| Unusable::new("the claims of the token make no sense"))?;
    let jti = claims
        .jti
        .ok_or_else(|| Unusable::new("the token has no jti; no such token is accepted"))?;
    let exp = claims.exp.as_ref().map(seconds).transpose()?;
    let ttl = u64::try_from(ttl).ok().map(Duration::from_millis);
    let target = Target::Token {
        iss: claims.iss.unwrap_or_else(|| assumed.iss.clone()),
        jti,
    };
    entry(target, exp, ttl, assumed)
}

/// An entry for one token that is kept for as long as it could be accepted, and for `ttl`, whichever is longer (I1).
pub(super) fn entry(
    target: Target,
    exp: Option<UnixTime>,
    ttl: Option<Duration>,
    Assumed { terms, .. }: &Assumed<'_>,
) -> Result<Revocation, Unusable> {
    if terms.trusted.issuer(target.as_ref().iss()).is_none() {
        return Err(Unusable::new(
            "its issuer is none that is trusted here, so nothing would be denied",
        ));
    }
    let made = Revocation::new(target, Reason::Other, terms.policy, terms.now);
    let made = match exp {
        Some(exp) => made.expiring(exp, terms.policy),
        None => made,
    };
    let until = ttl.map_or(UnixTime::EPOCH, |ttl| terms.now.saturating_add(ttl));
    let retained_until = made.retained_until().max(until);
    let latest = terms.now.saturating_add(Policy::MAX_LIFETIME);
    if retained_until > latest {
        return Err(Unusable::new(
            "it ends more than ten years ahead; times are in seconds, TTLs in milliseconds",
        ));
    }
    Ok(Revocation::restored(
        made.target().clone(),
        None,
        made.effective_at(),
        retained_until,
        made.reason(),
        None,
    ))
}

/// A `NumericDate` (RFC 7519 §2), rounded up.
fn seconds(number: &Number) -> Result<UnixTime, Unusable> {
    let whole = number.as_u64().map(UnixTime::from_secs);
    let fraction = || {
        let since = Duration::try_from_secs_f64(number.as_f64()?).ok()?;
        Some(UnixTime::EPOCH.saturating_add(since))
    };
    whole
        .or_else(fraction)
        .ok_or_else(|| Unusable::new("exp of the token is no time"))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::transfer::tests::{NOW, assumed};

    fn token(claims: impl AsRef<[u8]>) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn read_line(line: &str) -> Result<Revocation, Unusable> {
        assumed(|assumed| read(line.as_bytes(), "blacklist:", assumed))
    }

    /// I1: it is kept for as long as the token could be accepted, with the largest leeway there can be, and for its TTL,
    /// whichever is longer.
    #[test]
    fn i1_it_is_kept_for_the_later_of_exp_and_ttl() {
        let leeway = Policy::MAX_LEEWAY.as_secs();
        for (exp, ttl, until) in [
            ("1790000600", "590000", NOW + 600 + leeway),
            ("1790000600", "-1", NOW + 600 + leeway),
            ("1790000600", "-2", NOW + 600 + leeway),
            ("1790000600.2", "-1", NOW + 601 + leeway),
            ("1790000600", "7200000", NOW + 7200),
            ("1790000600", "7200001", NOW + 7201),
            ("1", "-2", 1 + leeway),
        ] {
            let token = token(format!(r#"{{"iss":"https://auth.example","jti":"j","exp":{exp}}}"#));
            let entry = read_line(&format!("blacklist:{token} {ttl}")).unwrap();
            assert_eq!(entry.retained_until().as_secs(), until, "{exp} {ttl}");
            assert_eq!(entry.effective_at().as_secs(), NOW);
        }
        // Of a token that does not say when it ends, the longest there can be is assumed.
        let entry = read_line(&format!("blacklist:{} -1", token(r#"{"jti":"j"}"#))).unwrap();
        let longest = assumed(|assumed| {
            let terms = &assumed.terms;
            Revocation::new(entry.target().clone(), Reason::Other, terms.policy, terms.now).retained_until()
        });
        assert_eq!(entry.retained_until(), longest);
    }

    #[test]
    fn an_issuer_that_is_not_said_is_assumed_and_one_that_is_said_is_not() {
        let target = |claims: &str| {
            let entry = read_line(&format!("blacklist:{} 1000", token(claims)));
            entry.map(|entry| entry.target().as_ref().iss().as_str().to_owned())
        };
        assert_eq!(
            target(r#"{"jti":"j","exp":1790000600}"#).unwrap(),
            "https://auth.example"
        );
        let other = target(r#"{"iss":"https://other.example","jti":"j","exp":1790000600}"#).unwrap_err();
        assert!(other.detail.contains("trusted"), "{other:?}");
    }

    #[test]
    fn i8_what_cannot_be_used_is_told_without_what_it_is() {
        let good = token(r#"{"jti":"j","exp":1790000600}"#);
        for bad in [
            "SECRET".to_owned(),
            format!("blacklist:{good}SECRET"),
            format!("SECRET:{good} 1000"),
            "blacklist:SECRET 1000".into(),
            format!("blacklist:{good} SECRET"),
            format!("blacklist:{} 1000", token(r#"{"SECRET":1,"exp":1790000600}"#)),
            format!("blacklist:{} 1000", token(r#"{"jti":"SECRET\u0007","exp":1790000600}"#)),
            format!("blacklist:{} 1000", token(r#"{"jti":"j","exp":"SECRET"}"#)),
            format!("blacklist:{} 1000", token(b"{\"jti\":\"j\",\"x\":\"\xd2\"}")),
            format!("blacklist:{} 1000", token(r#"{"jti":"j","exp":-1}"#)),
            format!("blacklist:{} 1000", token(r#"{"jti":"j","jti":"k","exp":1790000600}"#)),
            format!("blacklist:{} 1000", token(r#"{"jti":"j","exp":1790000600000}"#)),
            format!("blacklist:{good} 999999999999999"),
        ] {
            let refused = read_line(&bad).unwrap_err();
            let shown = format!("{refused:?}");
            assert!(!shown.contains("SECRET") && !shown.contains("eyJ"), "{bad}: {shown}");
        }
        assert!(read_line(&format!("blacklist:{good} 1000")).is_ok());
    }
}
