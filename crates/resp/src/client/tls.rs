//! TLS towards servers.

use super::error::ClientError;
use super::verifier::ChainVerifier;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The PEM files that make a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities whose servers are believed.
    pub ca: PathBuf,
    /// The client's own certificate and key, for servers that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whether the certificate must be made out to the host's name. Redis and Sentinel do not check this: in their world
    /// servers are addresses that change, and the authority is a private one.
    pub verify_name: bool,
}

/// How to speak TLS to a server. Cheap to clone; all clones have the newest certificate.
#[derive(Clone)]
pub struct TlsClient {
    files: Arc<TlsFiles>,
    made: Arc<Mutex<Made>>,
}

/// From files as they were.
struct Made {
    config: Arc<ClientConfig>,
    /// When each of them was written.
    written: Vec<Option<SystemTime>>,
}

impl TlsClient {
    /// Reads the files now, and again when they were written anew.
    pub fn from_files(files: &TlsFiles) -> Result<Self, ClientError> {
        let made = Made { written: written(files), config: Arc::new(config(files)?) };
        Ok(Self { files: Arc::new(files.clone()), made: Arc::new(Mutex::new(made)) })
    }

    /// Files that do not fit together change nothing.
    fn config(&self) -> Arc<ClientConfig> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let now = written(&self.files);
        if now != made.written
            && let Ok(config) = config(&self.files)
        {
            *made = Made { config: Arc::new(config), written: now };
        }
        made.config.clone()
    }

    /// The handshake.
    pub async fn connect<S>(&self, host: &str, stream: S) -> Result<TlsStream<S>, ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|error| ClientError::Tls(format!("{host}: {error}")))?;
        TlsConnector::from(self.config())
            .connect(name, stream)
            .await
            .map_err(|error| ClientError::Tls(error.to_string()))
    }
}

fn written(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    let own = files.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
    own.chain([&files.ca]).map(|file| std::fs::metadata(file).and_then(|it| it.modified()).ok()).collect()
}

fn config(files: &TlsFiles) -> Result<ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.ca)? {
        roots.add(certificate).map_err(|error| unusable(&files.ca, &error))?;
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    let builder = if files.verify_name {
        builder.with_root_certificates(roots)
    } else {
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|error| unusable(&files.ca, &error))?;
        builder.dangerous().with_custom_certificate_verifier(Arc::new(ChainVerifier(verifier)))
    };
    let config = match &files.certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => builder
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| unusable(certificate, &error))?,
    };
    Ok(config)
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsClient")
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let certificates: Result<Vec<_>, _> = match CertificateDer::pem_file_iter(file) {
        Ok(certificates) => certificates.collect(),
        Err(error) => Err(error),
    };
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(unusable(file, &"no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(file, &error)),
    }
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, ClientError> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Tls(format!("{}: {error}", file.display()))
}
