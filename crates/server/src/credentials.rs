//! Where a request carries its token (RFC 6750 §2): in `Authorization: Bearer`, or in the access cookie. Never in its
//! query.

use axum::http::header;

use crate::{
    cookies::{self, CookieSettings, TwoOfOneName},
    fields::Fields,
};

/// The token that a request presents.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct Presented<'h> {
    pub(crate) token: &'h str,
    /// Whether it was in a header that no foreign page can make a browser send.
    pub(crate) by_bearer: bool,
}

/// More than one token, and no telling which is meant.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Ambiguous;

impl From<TwoOfOneName> for Ambiguous {
    fn from(_: TwoOfOneName) -> Self {
        Self
    }
}

/// The access token of a request; none if it carries none.
pub(crate) fn access_token<'h, F: Fields + ?Sized>(
    fields: &'h F,
    settings: &CookieSettings,
) -> Result<Option<Presented<'h>>, Ambiguous> {
    let by_bearer = |token| Presented { token, by_bearer: true };
    let by_cookie = |token| Presented {
        token,
        by_bearer: false,
    };
    match (bearer(fields)?, cookies::read(fields, &settings.access)?) {
        (Some(one), Some(other)) if one != other => Err(Ambiguous),
        (Some(token), _) => Ok(Some(by_bearer(token))),
        (None, cookie) => Ok(cookie.map(by_cookie)),
    }
}

/// The token of the one `Authorization` field, if its scheme is Bearer, in any case (RFC 9110 §11.1).
fn bearer<F: Fields + ?Sized>(fields: &F) -> Result<Option<&str>, Ambiguous> {
    let mut values = fields.all(&header::AUTHORIZATION);
    let (value, None) = (values.next(), values.next()) else {
        return Err(Ambiguous);
    };
    // Bytes that are no text can be no token; as one, they are refused for what they are.
    let Some(value) = value.map(|v| core::str::from_utf8(v).unwrap_or("Bearer \u{fffd}")) else {
        return Ok(None);
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Ok(scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_start_matches(' ')))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;
    use crate::cookies::{CookieName, SameSite};

    fn read(fields: &[(&str, &str)]) -> Result<Option<(String, bool)>, Ambiguous> {
        let settings = CookieSettings {
            access: CookieName::new("a", "/").unwrap(),
            refresh: CookieName::new("r", "/auth").unwrap(),
            same_site: SameSite::Lax,
            allowed_origins: [].into(),
            allow_same_site_requests: false,
        };
        let fields = fields
            .iter()
            .map(|(n, v)| (n.parse::<header::HeaderName>().unwrap(), v.parse().unwrap()));
        let headers: HeaderMap = fields.collect();
        access_token(&headers, &settings).map(|p| p.map(|p| (p.token.to_owned(), p.by_bearer)))
    }

    #[test]
    fn a35_p046_one_canonical_reading() {
        let token = |t: &str, bearer| Ok(Some((t.to_owned(), bearer)));
        for scheme in ["Bearer t", "bearer t", "BEARER   t"] {
            assert_eq!(read(&[("authorization", scheme)]), token("t", true), "{scheme}");
        }
        assert_eq!(read(&[("cookie", "a=t")]), token("t", false));
        assert_eq!(
            read(&[("authorization", "Bearer t"), ("cookie", "a=t")]),
            token("t", true)
        );
        assert_eq!(
            read(&[("authorization", "Basic dTpw"), ("cookie", "a=t")]),
            token("t", false)
        );
        assert_eq!(
            read(&[("authorization", "Bearer")]),
            token("", true),
            "present, and malformed"
        );
        assert_eq!(read(&[("cookie", "r=t")]), Ok(None));
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn p050_a83_two_tokens_are_ambiguous() {
        for fields in [
            &[("authorization", "Bearer t"), ("cookie", "a=u")][..],
            &[("authorization", "Bearer t"), ("authorization", "Bearer t")],
            &[("cookie", "a=t; a=u")],
        ] {
            assert_eq!(read(fields), Err(Ambiguous), "{fields:?}");
        }
    }
}
