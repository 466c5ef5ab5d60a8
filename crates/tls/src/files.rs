//! PEM files: read, taken apart, looked at.

use crate::error::TlsError;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, RootCertStore};
use x509_parser::time::ASN1Time;

/// A system's list of authorities is a quarter of this; what is larger is not what was meant.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// An encrypted key has one of these.
const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];

/// From when to when a certificate is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    pub file: PathBuf,
    pub begins: SystemTime,
    pub ends: SystemTime,
    /// The two as they are shown.
    words: (String, String),
}

impl Lifetime {
    pub fn check(&self, now: SystemTime) -> Result<(), TlsError> {
        let file = self.file.clone();
        if now > self.ends {
            return Err(TlsError::Expired { file, when: self.words.1.clone() });
        }
        if now < self.begins {
            return Err(TlsError::NotYetValid { file, when: self.words.0.clone() });
        }
        Ok(())
    }

    /// When it ends, in words.
    pub fn end(&self) -> &str {
        &self.words.1
    }
}

pub fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |why: String| TlsError::Unreadable { file: file.to_owned(), why };
    let opened = std::fs::File::open(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => TlsError::Missing { file: file.to_owned() },
        _ => unreadable(error.to_string()),
    })?;
    let mut bytes = Vec::new();
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(unreadable(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// All of a file; at least one.
pub fn certificates(file: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    // The parser's own words show the line it stopped at, which may be one of a key.
    let damaged = |_| TlsError::Unusable { file: file.to_owned(), why: "a section of it is damaged".to_owned() };
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes).collect::<Result<_, _>>().map_err(damaged)?;
    if found.is_empty() { Err(TlsError::NoCertificate { file: file.to_owned() }) } else { Ok(found) }
}

pub fn authorities(file: &Path, bytes: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, bytes)? {
        roots.add(certificate).map_err(|error| unusable(file, &error))?;
    }
    Ok(roots)
}

/// What the system trusts.
pub fn system_authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Some systems have one that rustls does not take; the others are good.
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(|| "none were found".to_owned(), ToString::to_string);
    Err(TlsError::NoSystemAuthorities { why })
}

/// Certificate and key that belong together, and how long the certificate lasts.
pub fn identity(
    (certificate, certificate_bytes): (&Path, &[u8]),
    (key, key_bytes): (&Path, &[u8]),
) -> Result<(CertifiedKey, Lifetime), TlsError> {
    let chain = certificates(certificate, certificate_bytes)?;
    let lifetime = lifetime(certificate, &chain[0])?;
    let der = private_key(key, key_bytes)?;
    let signing = provider().key_provider.load_private_key(der).map_err(|error| unusable(key, &error))?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Ok(()) => Ok((certified, lifetime)),
        Err(Error::InconsistentKeys(_)) => {
            Err(TlsError::KeyMismatch { certificate: certificate.to_owned(), key: key.to_owned() })
        }
        Err(error) => Err(unusable(certificate, &error)),
    }
}

fn private_key(file: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = String::from_utf8_lossy(bytes);
    if ENCRYPTED.iter().any(|mark| text.contains(mark)) {
        return Err(TlsError::EncryptedKey { file: file.to_owned() });
    }
    PrivateKeyDer::from_pem_slice(bytes).map_err(|_| TlsError::NoKey { file: file.to_owned() })
}

fn lifetime(file: &Path, certificate: &CertificateDer<'_>) -> Result<Lifetime, TlsError> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| unusable(file, &error))?;
    let at = |time: ASN1Time| UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0));
    let (begins, ends) = (parsed.validity().not_before, parsed.validity().not_after);
    Ok(Lifetime {
        file: file.to_owned(),
        begins: at(begins),
        ends: at(ends),
        words: (begins.to_string(), ends.to_string()),
    })
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::Unusable { file: file.to_owned(), why: error.to_string() }
}
