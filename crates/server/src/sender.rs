//! Who sends a request, as log lines and records tell it.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest;
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header, request::Parts},
};

use crate::{app::App, fields::Fields, listen::Peer};

/// The name of a request: in its answer, in every log line of it, and in the records that it leaves.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

/// What tells this process from all others.
static PROCESS: LazyLock<String> = LazyLock::new(|| crate::random::base64url::<9>().unwrap_or_default());
static REQUESTS: AtomicU64 = AtomicU64::new(1);

impl RequestId {
    pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// No token fits.
    const MAX_BYTES: usize = 64;

    /// What the request is called by who sends it, if that is short and plain; else a name of its own.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut name = Vec::new();
        Self::put(headers, &mut name);
        Self(HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("-")))
    }

    /// Puts the same behind what is in `out`.
    pub(crate) fn put<F: Fields + ?Sized>(fields: &F, out: &mut Vec<u8>) {
        match fields.only(&Self::HEADER).filter(|name| Self::is_plain(name)) {
            Some(name) => out.extend_from_slice(name),
            None => Self::put_new(out),
        }
    }

    fn is_plain(name: &[u8]) -> bool {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
        (1..=Self::MAX_BYTES).contains(&name.len()) && name.iter().all(plain)
    }

    fn put_new(out: &mut Vec<u8>) {
        // Put together by hand: it is a tenth of what a verification costs otherwise.
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let digits = (number.max(1).ilog2() / 4).saturating_add(1);
        out.reserve(PROCESS.len().saturating_add(17));
        out.extend_from_slice(PROCESS.as_bytes());
        out.push(b'-');
        out.extend((0..digits).rev().map(|place| {
            let digit = usize::try_from((number >> place.saturating_mul(4)) & 0xf).unwrap_or(0);
            b"0123456789abcdef".get(digit).copied().unwrap_or(b'0')
        }));
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or("-")
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who sends a request. What it says of itself is not proven by anything; it is for people to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sender {
    pub(crate) request: Option<RequestId>,
    /// From where: by the word of the proxy, where one that is trusted asks.
    pub(crate) address: Option<IpAddr>,
    /// A checksum of the name of the program that sends it.
    pub(crate) agent: Option<u32>,
}

/// At whose word something is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Actor<'a> {
    /// A client, by a request.
    Client(&'a str, &'a Sender),
    /// Whoever presents a token that ends by it.
    Bearer(&'a Sender),
    /// The program that this is a library of.
    Program,
}

impl Sender {
    pub(crate) fn of(trusted: &[IpAddr], headers: &HeaderMap, extensions: &Extensions) -> Self {
        let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        let hash = |agent| digest::digest(&digest::SHA256, agent);
        let first = |hash: digest::Digest| hash.as_ref().first_chunk().copied().map(u32::from_be_bytes);
        Self {
            request: extensions.get().cloned(),
            address: Self::address(trusted, headers, extensions),
            agent: agent.map(hash).and_then(first),
        }
    }

    /// From where a request comes.
    pub(crate) fn address(trusted: &[IpAddr], headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        let Peer(peer) = extensions.get::<Peer>()?;
        Some(forwarded_for((*peer)?.to_canonical(), trusted, headers))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Sender
where
    Arc<App>: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = Arc::<App>::from_ref(state);
        Ok(Self::of(&app.trusted_proxies, &parts.headers, &parts.extensions))
    }
}

/// The address that the proxies that are trusted vouch for: in `X-Forwarded-For`, from its end on, the first that is none
/// of theirs. What stands before it anybody can have written.
fn forwarded_for(peer: IpAddr, trusted: &[IpAddr], headers: &HeaderMap) -> IpAddr {
    let fields = headers.get_all("x-forwarded-for").iter().rev();
    let mut hops = fields.flat_map(|field| field.to_str().unwrap_or("?").rsplit(','));
    let mut address = peer;
    while trusted.contains(&address) {
        match hops.next().map(|hop| hop.trim().parse::<IpAddr>()) {
            Some(Ok(hop)) => address = hop.to_canonical(),
            _ => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_if_it_is_short_and_plain_and_else_made() {
        let of = |names: &[&str]| {
            let headers = names
                .iter()
                .map(|n| (RequestId::HEADER, HeaderValue::from_str(n).unwrap()));
            RequestId::of(&headers.collect()).to_string()
        };
        let longest = "a".repeat(64);
        for good in ["4711", "0af7651916cd43dd8448eb211c80319c", "a-b_c.d:e", &longest] {
            assert_eq!(of(&[good]), good);
        }
        let jwt = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2F1dGguZXhhbXBsZSJ9.c2lnbmF0dXJl";
        let made: Vec<_> = [
            &[][..],
            &[""],
            &["a b"],
            &["a\"b"],
            &["a{b"],
            &["a", "a"],
            &[jwt],
            &[&(longest.clone() + "a")],
        ]
        .into_iter()
        .map(of)
        .collect();
        let made_before = REQUESTS.load(Ordering::Relaxed);
        let name = of(&[]);
        let number = u64::from_str_radix(name.strip_prefix(&format!("{}-", *PROCESS)).unwrap(), 16).unwrap();
        assert!(number >= made_before, "{name}");
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), made.len(), "{made:?}");
        assert!(
            made.iter()
                .all(|name| RequestId::is_plain(name.as_bytes()) && name.len() > 13),
            "{made:?}"
        );
    }

    #[test]
    fn only_proxies_that_are_trusted_vouch_for_an_address() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let of = |peer: &str, fields: &[&str]| {
            let trusted = [address("10.0.0.1"), address("10.0.0.2")];
            let named = |f: &&str| (HeaderName::from_static("x-forwarded-for"), f.parse().unwrap());
            forwarded_for(address(peer), &trusted, &fields.iter().map(named).collect()).to_string()
        };
        assert_eq!(of("192.0.2.7", &["1.1.1.1"]), "192.0.2.7", "nobody's word");
        assert_eq!(
            of("10.0.0.1", &["1.1.1.1, 192.0.2.7"]),
            "192.0.2.7",
            "the last, not what the client wrote"
        );
        assert_eq!(of("10.0.0.1", &["1.1.1.1", "192.0.2.7, 10.0.0.2"]), "192.0.2.7");
        assert_eq!(of("10.0.0.1", &["::ffff:192.0.2.7"]), "192.0.2.7");
        assert_eq!(
            of("10.0.0.1", &["junk, 10.0.0.2"]),
            "10.0.0.2",
            "as far as it can be read"
        );
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
    }
}
