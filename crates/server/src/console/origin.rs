//! Which page a form comes from (RFC 6749 §10.12). `cookies.allowed_origins` is for users' sessions: nobody else's page acts
//! for an operator.

use axum::http::{HeaderMap, HeaderValue, Uri, header};

/// Whether `headers` are those of a page of this very origin, or of no page at all.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter().map(HeaderValue::to_str);
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(Ok(value)), None) => Ok(Some(value)),
            _ => Err(()),
        }
    };
    let (Ok(site), Ok(origin)) = (one("sec-fetch-site"), one(header::ORIGIN.as_str())) else {
        return false;
    };
    match (site, origin) {
        // No page can set it, and every browser of today does.
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        // The scheme may have been another one, in front of a proxy.
        (None, Some(origin)) => match (origin.parse::<Uri>(), one(header::HOST.as_str())) {
            (Ok(origin), Ok(Some(host))) => origin.authority().is_some_and(|authority| authority.as_str() == host),
            _ => false,
        },
        // No browser: programs have no cookie that somebody else's page could use.
        (None, None) => true,
    }
}

/// Whether the browser tells that the page of `headers` came by TLS, in front of a proxy.
pub(super) fn is_by_tls(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN);
    origin.is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a86_only_our_own_pages_send_forms() {
        let (site, origin, host) = ("sec-fetch-site", "origin", ("host", "admin.example:8081"));
        let own = |sent: &[(&str, &str)]| {
            let fields = sent.iter().chain(Some(&host)).map(|(name, value)| {
                let name: header::HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            });
            is_own(&fields.collect())
        };
        for good in [
            &[(site, "same-origin")][..],
            &[(site, "none")],
            &[(site, "same-origin"), (origin, "https://admin.example:8081")],
            &[(origin, "https://admin.example:8081")],
            &[],
        ] {
            assert!(own(good), "{good:?}");
        }
        for bad in [
            &[(site, "same-site")][..],
            &[(site, "cross-site")],
            &[(site, "cross-site"), (origin, "https://admin.example:8081")],
            &[(site, "same-origin"), (site, "cross-site")],
            &[(origin, "https://admin.example")],
            &[(origin, "https://evil.example")],
            &[(origin, "null")],
            &[(origin, "https://admin.example:8081"), (origin, "https://evil.example")],
        ] {
            assert!(!own(bad), "{bad:?}");
        }
    }
}
