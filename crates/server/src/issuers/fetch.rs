//! One request for a key set: bounded in time and size, and to nowhere else.

use std::{sync::Arc, time::Duration};

use axum::http::Uri;
use ureq::{
    Agent, Error,
    tls::{Certificate, RootCerts, TlsConfig},
};

/// From the look-up of the name to the last byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The largest set that is read, in bytes: as much as is looked at.
const MAX_BYTES: u64 = 256 * 1024;

/// The set at `url`. Blocks.
///
/// # Errors
///
/// What an operator has to know, with nothing of the answer in it.
pub(super) fn fetch(url: &Uri) -> Result<Vec<u8>, String> {
    let mut response = agent(url).get(url).call().map_err(|error| told(&error))?;
    let status = response.status();
    if status.is_redirection() {
        return Err(format!(
            "answered {}; redirects are not followed, the configuration names the set itself",
            status.as_u16()
        ));
    }
    if status.as_u16() != 200 {
        return Err(format!("answered {}", status.as_u16()));
    }
    // One more than is allowed shows that there is more.
    let body = response.body_mut().with_config().limit(MAX_BYTES);
    body.read_to_vec().map_err(|error| told(&error))
}

/// Made for each request: the machine's certificate authorities are those of now.
fn agent(url: &Uri) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(16 * 1024)
        .timeout_global(Some(PATIENCE))
        .user_agent(concat!("ostracon/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json");
    if url.scheme_str() != Some("https") {
        // Within this machine no proxy is asked.
        return config.proxy(None).build().into();
    }
    let roots = rustls_native_certs::load_native_certs();
    for error in roots.errors {
        tracing::warn!(%error, "a certificate authority of the machine cannot be read");
    }
    let roots: Vec<_> = roots
        .certs
        .iter()
        .map(|der| Certificate::from_der(der).to_owned())
        .collect();
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    config.https_only(true).tls_config(tls).build().into()
}

fn told(error: &Error) -> String {
    match error {
        Error::BodyExceedsLimit(limit) => format!("answered with more than {limit} bytes"),
        Error::Timeout(_) => format!("did not answer within {} seconds", PATIENCE.as_secs()),
        other => other.to_string(),
    }
}
