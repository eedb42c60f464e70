//! Requests that a browser sends with cookies, made by whoever's page it shows (RFC 6749 §10.12, RFC 6265bis §8.8.1).

use axum::http::{HeaderMap, header};

use crate::{cookies::CookieSettings, problem::Problem};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether pages that may not do so made the browser send this. `has_cookies` says whether the request carries any of
/// ours; without them only a request that says itself that it is foreign is refused, so that no other site's page can
/// have the cookies cleared.
///
/// # Errors
///
/// [`Problem`] `csrf_refused`.
pub(crate) fn check(headers: &HeaderMap, settings: &CookieSettings, has_cookies: bool) -> Result<(), Problem> {
    let allowed = match (
        single(headers, SEC_FETCH_SITE),
        single(headers, header::ORIGIN.as_str()),
    ) {
        (Sent::Several, _) | (_, Sent::Several) => false,
        // No page can set either header. An origin that the configuration names is as good as our own.
        (_, Sent::One(origin)) if settings.allowed_origins.iter().any(|o| o.as_str() == origin) => true,
        (Sent::One("same-origin" | "none"), _) => true,
        (Sent::One("same-site"), _) => settings.allow_same_site_requests,
        (Sent::One(_), _) | (Sent::Nothing, Sent::One(_)) => false,
        (Sent::Nothing, Sent::Nothing) => !has_cookies,
    };
    if !allowed {
        tracing::info!("a request of another site's page is refused");
    }
    if allowed { Ok(()) } else { Err(Problem::csrf_refused()) }
}

enum Sent<'h> {
    Nothing,
    One(&'h str),
    Several,
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Sent<'h> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|v| v.to_str()), values.next()) {
        (None, _) => Sent::Nothing,
        (Some(Ok(value)), None) => Sent::One(value),
        _ => Sent::Several,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cookies::{CookieName, Origin, SameSite};

    /// Headers, and whether a request with them passes with cookies and without.
    type Case<'a> = (&'a [(&'a str, &'a str)], bool, bool);

    #[test]
    fn a86_p107_only_our_own_pages_and_those_we_name() {
        let settings = |allow_same_site_requests| CookieSettings {
            access: CookieName::new("a", "/").unwrap(),
            refresh: CookieName::new("r", "/auth").unwrap(),
            same_site: SameSite::Lax,
            allowed_origins: [Origin::new("https://app.example").unwrap()].into(),
            allow_same_site_requests,
        };
        let (site, origin) = (SEC_FETCH_SITE, "origin");
        let cases: [Case<'_>; 12] = [
            (&[(site, "same-origin")], true, true),
            (&[(site, "none")], true, true),
            (&[(site, "same-site")], false, false),
            (&[(site, "cross-site")], false, false),
            (&[(site, "cross-site"), (origin, "https://app.example")], true, true),
            (&[(site, "cross-site"), (origin, "https://evil.example")], false, false),
            (&[(origin, "https://app.example")], true, true),
            (&[(origin, "https://app.example.evil")], false, false),
            (&[(origin, "null")], false, false),
            (&[(site, "same-origin"), (site, "cross-site")], false, false),
            (
                &[(origin, "https://app.example"), (origin, "https://evil.example")],
                false,
                false,
            ),
            (&[], false, true),
        ];
        for (sent, with_cookies, without) in cases {
            let headers: HeaderMap = sent
                .iter()
                .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(
                check(&headers, &settings(false), true).is_ok(),
                with_cookies,
                "{sent:?}"
            );
            assert_eq!(check(&headers, &settings(false), false).is_ok(), without, "{sent:?}");
        }
        let headers = HeaderMap::from_iter([(SEC_FETCH_SITE.parse().unwrap(), "same-site".parse().unwrap())]);
        assert!(check(&headers, &settings(true), true).is_ok());
    }
}
