//! Whom a listener proves to be (TLS 1.2 and 1.3, by rustls).

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{ConfigError, private::read_private, raw};
use crate::listen::Address;

/// The identities of the two listeners; one without speaks plain HTTP.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Of the public one.
    pub public: Option<Identity>,
    /// Of the admin one.
    pub admin: Option<Identity>,
}

/// A certificate chain and its key, ready to shake hands with. Shows neither.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Tls {
    pub(super) fn read(
        raw: raw::Tls,
        (public, admin): (&Address, &Address),
        base: &Path,
        files: &mut Vec<PathBuf>,
    ) -> Result<Self, ConfigError> {
        let mut identity = |name: &str, address: &Address, raw: Option<raw::Identity>| {
            let Some(raw) = raw else { return Ok(None) };
            if matches!(address, Address::Unix(_)) {
                return Err(ConfigError::Value {
                    at: format!("tls.{name}"),
                    problem: format!(
                        "listen.{name} is {address}; TLS is for IP addresses, a socket has its mode and its group"
                    ),
                });
            }
            Identity::read(&format!("tls.{name}"), &raw, base, files).map(Some)
        };
        Ok(Self {
            public: identity("public", public, raw.public)?,
            admin: identity("admin", admin, raw.admin)?,
        })
    }
}

impl Identity {
    fn read(at: &str, raw: &raw::Identity, base: &Path, files: &mut Vec<PathBuf>) -> Result<Self, ConfigError> {
        let (certificate, key) = (base.join(&raw.certificate_file), base.join(&raw.private_key_file));
        let problem = |member: &str, file: &Path, problem: String| ConfigError::Value {
            at: format!("{at}.{member}"),
            problem: format!("{}: {problem}", file.display()),
        };
        let chain = chain(&certificate).map_err(|why| problem("certificate_file", &certificate, why))?;
        let refused = |why| problem("private_key_file", &key, why);
        let pem = read_private(&key).map_err(refused)?;
        let private = PrivateKeyDer::from_pem_slice(&pem)
            .map_err(|_| refused("no private key in PEM (PKCS#8, PKCS#1 or SEC 1) is in it".into()))?;
        // Named, not the process-wide one, which whoever embeds this may set to another.
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map(ServerConfigBuilder::with_no_client_auth)
            .map_err(|e| refused(e.to_string()))?;
        let mut config = config.with_single_cert(chain, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => refused(format!(
                "it is not the key of the first certificate in {}",
                certificate.display()
            )),
            rustls::Error::InvalidCertificate(why) => problem("certificate_file", &certificate, format!("{why:?}")),
            other => refused(other.to_string()),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        files.extend([certificate, key]);
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        Arc::clone(&self.0).into()
    }
}

type ServerConfigBuilder = rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>;

/// The certificates of a file, the server's own first (RFC 8446 §4.4.2).
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = fs::read(path).map_err(|e| e.to_string())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err("no certificate in PEM is in it".into()),
        Err(_) => Err("it is not PEM throughout".into()),
    }
}
