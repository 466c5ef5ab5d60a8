//! TLS for those who connect, made from the same files as Redis takes.

use crate::file::{ClientCertificates, TlsSettings};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// `tls-port` needs this. All clones have the newest certificate.
#[derive(Clone)]
pub struct Acceptor {
    settings: Arc<TlsSettings>,
    made: Arc<Mutex<Made>>,
}

/// From files as they were.
struct Made {
    acceptor: TlsAcceptor,
    /// When each of them was written.
    written: Vec<Option<SystemTime>>,
}

impl Acceptor {
    /// The error says which file is wrong.
    pub fn open(settings: &TlsSettings) -> Result<Self, String> {
        let made = Made { written: written(settings), acceptor: acceptor(settings)? };
        Ok(Self { settings: Arc::new(settings.clone()), made: Arc::new(Mutex::new(made)) })
    }

    /// For one more client. Files that were written anew are read; those that do not fit together change nothing.
    pub fn get(&self) -> TlsAcceptor {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = written(&self.settings);
        if now != made.written
            && let Ok(acceptor) = acceptor(&self.settings)
        {
            *made = Made { acceptor, written: now };
        }
        made.acceptor.clone()
    }
}

fn written(settings: &TlsSettings) -> Vec<Option<SystemTime>> {
    let files = [&settings.certificate, &settings.key, &settings.ca].into_iter().flatten();
    files.map(|file| std::fs::metadata(file).and_then(|it| it.modified()).ok()).collect()
}

fn acceptor(settings: &TlsSettings) -> Result<TlsAcceptor, String> {
    let certificate = settings.certificate.as_deref().ok_or("tls-cert-file is missing")?;
    let key = settings.key.as_deref().ok_or("tls-key-file is missing")?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match settings.clients {
        ClientCertificates::Ignored => builder.with_no_client_auth(),
        ClientCertificates::Required | ClientCertificates::Optional => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(settings)?), provider);
            let verifier = match settings.clients {
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
                ClientCertificates::Required | ClientCertificates::Ignored => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let config =
        builder.with_single_cert(certificates(certificate)?, key_der).map_err(|error| unusable(certificate, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn authorities(settings: &TlsSettings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let mut add = |path: &Path| -> Result<(), String> {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| unusable(path, &error))?;
        }
        Ok(())
    };
    if let Some(file) = &settings.ca {
        add(file)?;
    }
    if let Some(directory) = &settings.ca_directory {
        let entries = std::fs::read_dir(directory).map_err(|error| unusable(directory, &error))?;
        for entry in entries.flatten() {
            if entry.path().is_file() {
                add(&entry.path())?;
            }
        }
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?.collect();
    certificates.map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
