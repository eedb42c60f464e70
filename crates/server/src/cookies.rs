//! Cookies: read from requests, set and cleared so that browsers do as they are told (RFC 6265bis).

use core::{fmt, time::Duration};

use axum::http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;

use crate::{fields::Fields, problem::Problem};

/// When a browser sends a cookie along with what another site makes it ask for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the word that it is written as")]
pub enum SameSite {
    #[serde(alias = "Strict")]
    Strict,
    #[serde(alias = "Lax")]
    Lax,
    #[serde(alias = "None")]
    None,
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// The two cookies, and from where a request with them is taken.
#[derive(Debug)]
pub struct CookieSettings {
    /// The cookie of the access token, sent with every request.
    pub access: CookieName,
    /// The cookie of the refresh token, sent to `/auth` alone.
    pub refresh: CookieName,
    /// The `SameSite` of both.
    pub same_site: SameSite,
    /// Origins whose pages may log out and refresh, besides the server's own.
    pub allowed_origins: Box<[Origin]>,
    /// Whether pages of the same site (another sub-domain) may.
    pub allow_same_site_requests: bool,
}

impl CookieSettings {
    /// A `Set-Cookie` value; none if browsers would drop it for its length (RFC 6265bis §5.7, step 4).
    pub(crate) fn set(&self, cookie: &CookieName, value: &str, max_age: Duration) -> Option<String> {
        let fits = cookie.name.len().saturating_add(value.len()) <= MAX_PAIR_BYTES;
        fits.then(|| {
            format!(
                "{}={value}; {}; Max-Age={}",
                cookie.name,
                self.attributes(cookie),
                max_age.as_secs()
            )
        })
    }

    /// The `Set-Cookie` value that deletes one. It repeats the attributes that the cookie was set with, or the browser
    /// would take it for another cookie and keep this one (P99); `Expires` is for those that know no `Max-Age=0` (P100).
    pub(crate) fn clear(&self, cookie: &CookieName) -> String {
        let attributes = self.attributes(cookie);
        format!(
            "{}=; {attributes}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            cookie.name
        )
    }

    fn attributes(&self, cookie: &CookieName) -> String {
        format!(
            "Path={}; Secure; HttpOnly; SameSite={}",
            cookie.path,
            self.same_site.as_str()
        )
    }
}

/// Name and value of a cookie, together at most.
const MAX_PAIR_BYTES: usize = 4096;

/// A cookie's name and the path that it is for.
#[derive(Clone, Debug)]
pub struct CookieName {
    name: Box<str>,
    path: &'static str,
}

impl CookieName {
    /// A cookie named `name`, for `path`.
    ///
    /// # Errors
    ///
    /// What is allowed instead.
    pub fn new(name: &str, path: &'static str) -> Result<Self, String> {
        // A token (RFC 9110 §5.6.2), as RFC 6265bis §4.1.1 asks.
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
            return Err("1 to 64 letters, digits, '-' or '_' are".into());
        }
        let host_only = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("__Host-"));
        if host_only && path != "/" {
            return Err(format!(
                "browsers keep a __Host- cookie with Path=/ only, and this one has Path={path}"
            ));
        }
        Ok(Self {
            name: name.into(),
            path,
        })
    }

    /// One whose `name` is known to be good.
    pub(crate) fn known(name: &str, path: &'static str) -> Self {
        Self {
            name: name.into(),
            path,
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// Adds `values` as fields of their own; folded into one they would be read as one (RFC 6265bis §3).
pub(crate) fn append<T: AsRef<str>>(headers: &mut HeaderMap, values: &[T]) -> Result<(), Problem> {
    for value in values {
        headers.append(
            header::SET_COOKIE,
            HeaderValue::try_from(value.as_ref()).map_err(Problem::internal)?,
        );
    }
    Ok(())
}

/// Two cookies of one name: which of them is the user's is anyone's guess (P104).
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct TwoOfOneName;

/// The value of `cookie` in a request, as it was sent. Several `Cookie` fields are one list (P103).
pub(crate) fn read<'h, F: Fields + ?Sized>(
    fields: &'h F,
    cookie: &CookieName,
) -> Result<Option<&'h str>, TwoOfOneName> {
    // Split as bytes: what others put into their cookies, in whatever encoding, does not hide ours.
    let pairs = fields
        .all(&header::COOKIE)
        .flat_map(|field| field.split(|b| *b == b';'))
        .map(<[u8]>::trim_ascii);
    let mut values = pairs.filter_map(|pair| {
        let value = pair.strip_prefix(cookie.as_str().as_bytes())?.strip_prefix(b"=")?;
        // Ours is text; if it is not, it is malformed, and present.
        Some(core::str::from_utf8(value).unwrap_or("\u{fffd}"))
    });
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(TwoOfOneName),
    }
}

/// An origin as browsers send it: scheme, host, port if it is not the usual one (RFC 6454 §6.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(Box<str>);

impl Origin {
    /// Checks and keeps `text`.
    ///
    /// # Errors
    ///
    /// What is allowed instead.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let allowed =
            "an origin such as https://app.example or http://localhost:3000, in lower case and without a path, is";
        let (scheme, rest) = text.split_once("://").ok_or(allowed)?;
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]_".contains(&b);
        if !matches!(scheme, "https" | "http") || rest.is_empty() || !rest.bytes().all(fits) {
            return Err(allowed);
        }
        Ok(Self(text.into()))
    }

    /// As it stands in a header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> CookieSettings {
        CookieSettings {
            access: CookieName::new("__Host-USER_SESSION", "/").unwrap(),
            refresh: CookieName::new("__Secure-USER_REFRESH", "/auth").unwrap(),
            same_site: SameSite::Lax,
            allowed_origins: [].into(),
            allow_same_site_requests: false,
        }
    }

    /// P53, P98 to P101: they come over TLS alone, and with no request of other sites.
    #[test]
    fn p098_p101_set_has_each_attribute_once() {
        let s = settings();
        assert_eq!(
            s.set(&s.access, "a.b.c", Duration::from_mins(10)).unwrap(),
            "__Host-USER_SESSION=a.b.c; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"
        );
    }

    #[test]
    fn p106_none_never_stands_without_secure() {
        for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
            let s = CookieSettings {
                same_site,
                ..settings()
            };
            let word = format!("SameSite={}", same_site.as_str());
            for cookie in [&s.access, &s.refresh] {
                for set in [s.set(cookie, "a", Duration::ZERO).unwrap(), s.clear(cookie)] {
                    let attributes: Vec<_> = set.split("; ").collect();
                    assert!(attributes.contains(&"Secure") && attributes.contains(&&*word), "{set}");
                }
            }
        }
    }

    #[test]
    fn p099_p100_clear_repeats_what_was_set() {
        let s = settings();
        let gone = "Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(
            s.clear(&s.refresh),
            format!("__Secure-USER_REFRESH=; Path=/auth; Secure; HttpOnly; SameSite=Lax; {gone}")
        );
        let set = s.set(&s.access, "", Duration::ZERO).unwrap();
        assert!(
            s.clear(&s.access).starts_with(&set),
            "but for Expires the two are alike"
        );
    }

    #[test]
    fn p102_what_browsers_would_drop_is_not_set() {
        let s = settings();
        let room = MAX_PAIR_BYTES - s.access.as_str().len();
        assert!(s.set(&s.access, &"x".repeat(room), Duration::ZERO).is_some());
        assert!(s.set(&s.access, &"x".repeat(room + 1), Duration::ZERO).is_none());
    }

    #[test]
    fn p103_p104_a84_cookies_are_found_by_their_exact_name() {
        let read = |fields: &[&str]| {
            let headers: HeaderMap = fields.iter().map(|f| (header::COOKIE, f.parse().unwrap())).collect();
            read(&headers, &settings().access).map(|v| v.map(str::to_owned))
        };
        let found = Ok(Some("t".to_owned()));
        assert_eq!(read(&["a=1; __Host-USER_SESSION=t;b=2"]), found);
        assert_eq!(read(&["a=1", "__Host-USER_SESSION=t"]), found);
        assert_eq!(read(&["__host-USER_SESSION=t; X__Host-USER_SESSION=t"]), Ok(None));
        assert_eq!(
            read(&["__Host-USER_SESSION=\"t\""]),
            Ok(Some("\"t\"".to_owned())),
            "verbatim"
        );
        assert_eq!(
            read(&["__Host-USER_SESSION=t; __Host-USER_SESSION=t"]),
            Err(TwoOfOneName)
        );
        assert_eq!(
            read(&["__Host-USER_SESSION=t", "__Host-USER_SESSION=u"]),
            Err(TwoOfOneName)
        );
        assert_eq!(read(&[]), Ok(None));
        let mut headers = HeaderMap::new();
        let beside = HeaderValue::from_bytes(b"x=\xc3\xa9\xe9; __Host-USER_SESSION=t").unwrap();
        headers.append(header::COOKIE, beside);
        assert_eq!(
            super::read(&headers, &settings().access),
            Ok(Some("t")),
            "whatever stands beside it"
        );
    }

    #[test]
    fn names_and_origins_are_checked() {
        assert!(CookieName::new("USER_SESSION", "/auth").is_ok());
        for bad in ["", "a b", "a;b", "a=b", "\u{e9}"] {
            assert!(CookieName::new(bad, "/").is_err(), "{bad:?}");
        }
        assert!(CookieName::new("__host-X", "/auth").is_err());
        assert!(Origin::new("http://[::1]:3000").is_ok());
        for bad in [
            "app.example",
            "https://",
            "https://a/",
            "HTTPS://a",
            "https://A",
            "ftp://a",
            "null",
            "https://a b",
        ] {
            assert!(Origin::new(bad).is_err(), "{bad:?}");
        }
    }
}
