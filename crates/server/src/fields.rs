//! Header fields, however they were read.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// The header fields of a request.
pub(crate) trait Fields {
    /// The values of all that are named `name`, in the order in which they were sent.
    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]>;

    /// The one that is named `name`; none where there is none, or more than one.
    fn only(&self, name: &HeaderName) -> Option<&[u8]> {
        let mut sent = self.all(name);
        sent.next().filter(|_| sent.next().is_none())
    }
}

impl Fields for HeaderMap {
    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// As they stand in the bytes of a head.
impl Fields for [httparse::Header<'_>] {
    fn all(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        let named = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name.as_str());
        self.iter().filter(named).map(|field| field.value)
    }
}
