//! Keys as they are made.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{self, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ostracon_core::{Algorithm, KeyId, SigningKey};
use zeroize::Zeroizing;

/// A new key and the bytes of its file, which are shown to nobody.
pub(in crate::cli) struct Material {
    key: SigningKey,
    bytes: Zeroizing<Vec<u8>>,
}

impl Material {
    /// A new key for `alg`. A pair is named by its thumbprint (RFC 7638), a secret by chance.
    pub(in crate::cli) fn make(alg: Algorithm) -> anyhow::Result<Self> {
        // One in 64 names begins with a dash, which a command line takes for an option, and a shell's `rm` does, too.
        loop {
            let made = Self::make_any(alg)?;
            if !made.kid().as_str().starts_with('-') {
                return Ok(made);
            }
        }
    }

    fn make_any(alg: Algorithm) -> anyhow::Result<Self> {
        let failed = || format!("no key for {alg} could be made");
        let named_later = KeyId::new("new")?;
        if let Some(length) = alg.secret_bytes() {
            let mut bytes = Zeroizing::new(vec![0; length]);
            getrandom::fill(&mut bytes).context("there is no randomness")?;
            let mut name = [0; 16];
            getrandom::fill(&mut name).context("there is no randomness")?;
            let kid = KeyId::new(URL_SAFE_NO_PAD.encode(name))?;
            let key = SigningKey::from_secret(kid, alg, &bytes)?;
            return Ok(Self { key, bytes });
        }
        let der = match alg {
            Algorithm::EdDSA => of_pair(&Ed25519KeyPair::generate().ok().with_context(failed)?),
            Algorithm::ES256 => of_ec(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => of_ec(&ECDSA_P384_SHA384_FIXED_SIGNING),
            // 128 bits of security, as the others have (NIST SP 800-57 part 1, table 2).
            _ => of_pair(&rsa::KeyPair::generate(KeySize::Rsa3072).ok().with_context(failed)?),
        }
        .with_context(failed)?;
        let bytes = pem(&der);
        let key = SigningKey::from_pem(named_later, alg, &bytes)?.named_by_thumbprint();
        Ok(Self { key, bytes })
    }

    pub(in crate::cli) fn kid(&self) -> &KeyId {
        self.key.kid()
    }

    pub(in crate::cli) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// What its file is called.
    pub(in crate::cli) fn file_name(&self) -> PathBuf {
        let extension = if self.is_secret() { "secret" } else { "pem" };
        PathBuf::from(format!("{}.{extension}", self.key.kid()))
    }

    pub(in crate::cli) fn is_secret(&self) -> bool {
        self.key.alg().secret_bytes().is_some()
    }

    /// Writes it to a file that was not there, for the owner of `like` alone, or for who writes it. Durable on return.
    pub(in crate::cli) fn write(&self, path: &Path, like: Option<&fs::Metadata>) -> anyhow::Result<()> {
        let told = || path.display().to_string();
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(told)?;
        let written = give_to(&file, like)
            .and_then(|()| Ok(file.write_all(&self.bytes)?))
            .and_then(|()| Ok(file.sync_all()?))
            .and_then(|()| sync_dir(path));
        written.inspect_err(|_| drop(fs::remove_file(path))).with_context(told)
    }
}

/// Makes `file` belong to whom `like` belongs: root may rotate what a service reads.
pub(in crate::cli) fn give_to(file: &File, like: Option<&fs::Metadata>) -> anyhow::Result<()> {
    let Some(like) = like else { return Ok(()) };
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
        let whom = format!("user {} and group {}", like.uid(), like.gid());
        fchown(file, Some(like.uid()), Some(like.gid()))
            .with_context(|| format!("it cannot be given to {whom}; run this as that user, or as root"))?;
    }
    Ok(())
}

/// Makes the entry of `path` in its directory durable.
pub(in crate::cli) fn sync_dir(path: &Path) -> anyhow::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok(File::open(dir.unwrap_or(Path::new(".")))?.sync_all()?)
}

fn of_pair<'a>(pair: &impl AsDer<Pkcs8V1Der<'a>>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let der = pair.as_der().map_err(|_| anyhow!("it could not be written"))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

fn of_ec(alg: &'static aws_lc_rs::signature::EcdsaSigningAlgorithm) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let der = EcdsaKeyPair::generate(alg).and_then(|pair| pair.to_pkcs8v1());
    let der = der.map_err(|_| anyhow!("the system has no randomness"))?;
    Ok(Zeroizing::new(der.as_ref().to_vec()))
}

/// PKCS#8 in PEM (RFC 7468 §10), in lines of 64 characters (§2).
fn pem(der: &[u8]) -> Zeroizing<Vec<u8>> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(Vec::with_capacity(body.len().saturating_mul(2)));
    pem.extend(b"-----BEGIN PRIVATE KEY-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.extend(line);
        pem.push(b'\n');
    }
    pem.extend(b"-----END PRIVATE KEY-----\n");
    pem
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_of_each_kind_is_made_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        for alg in Algorithm::ALL {
            let made = Material::make(alg).unwrap();
            let path = dir.path().join(made.file_name());
            made.write(&path, None).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let bytes = fs::read(&path).unwrap();
            let kid = made.kid().clone();
            let read = if made.is_secret() {
                SigningKey::from_secret(kid, alg, &bytes)
            } else {
                SigningKey::from_pem(kid, alg, &bytes)
            };
            assert_eq!(read.unwrap().public_jwk(), made.key().public_jwk(), "{alg}");
            if let Some(thumbprint) = made.key().thumbprint() {
                assert_eq!(made.kid().as_str(), thumbprint);
            }
            // What is there stays, whatever it is.
            assert!(made.write(&path, None).is_err());
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
}
