//! Identities and secrets that nobody can guess.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// `N` random bytes of the system's generator, in base64url.
pub(crate) fn base64url<const N: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(*bytes))
}

/// An identity for a token or a login: 128 bits (P127).
pub(crate) fn id() -> Result<String, getrandom::Error> {
    base64url::<16>()
}
