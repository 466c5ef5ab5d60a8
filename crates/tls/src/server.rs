//! The side that is connected to.

use crate::client::server_name;
use crate::error::TlsError;
use crate::files::{self, Lifetime, identity, provider};
use crate::fresh::{Fresh, Refresh, Source};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::server::TlsStream;

/// What is asked of those who connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    NotAsked,
    /// One that is shown must be good.
    Optional,
    Required,
}

/// The PEM files that make a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// The server's own certificate first, then those between it and the authority.
    pub certificate: PathBuf,
    /// May be the same file.
    pub key: PathBuf,
    /// Whose clients are let in; needed unless they are not asked.
    pub authorities: Option<PathBuf>,
    pub clients: ClientCertificates,
}

/// Cheap to clone; all clones have the newest certificate.
#[derive(Clone)]
pub struct ServerTls(Arc<Fresh<Server>>);

struct Server {
    files: ServerFiles,
    protocols: Vec<Vec<u8>>,
}

impl Source for Server {
    type Made = ServerConfig;

    fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.files.certificate.clone(), self.files.key.clone()];
        files.extend(self.files.authorities.clone().filter(|_| self.files.clients != ClientCertificates::NotAsked));
        files
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<(ServerConfig, Option<Lifetime>), TlsError> {
        let ServerFiles { certificate, key, authorities, clients } = &self.files;
        let [certificate_bytes, key_bytes, rest @ ..] = contents else { return Err(TlsError::NoAuthorities) };
        let (identity, lifetime) = identity((certificate, certificate_bytes), (key, key_bytes))?;
        let unusable = |why: String| TlsError::Unusable { file: certificate.clone(), why };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(error.to_string()))?;
        let builder = match clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Optional | ClientCertificates::Required => {
                let (Some(file), Some(bytes)) = (authorities, rest.first()) else {
                    return Err(TlsError::NoAuthorities);
                };
                let roots = Arc::new(files::authorities(file, bytes)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                let verifier = match clients {
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                    ClientCertificates::Required | ClientCertificates::NotAsked => verifier,
                };
                let built = verifier.build();
                let built = built.map_err(|error| TlsError::Unusable { file: file.clone(), why: error.to_string() })?;
                builder.with_client_cert_verifier(built)
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols.clone_from(&self.protocols);
        Ok((config, Some(lifetime)))
    }
}

impl ServerTls {
    /// `protocols`: what is spoken inside, the preferred one first ([`crate::HTTP2`], [`crate::HTTP1`]); empty: not told.
    pub fn open(files: ServerFiles, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(Arc::new(Fresh::open(Server { files, protocols })?)))
    }

    /// The handshake, within so long. The caller counts the connection from before it.
    pub async fn accept(&self, stream: TcpStream, within: Duration) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(self.0.get());
        timeout(within, acceptor.accept(stream)).await?
    }

    pub fn lifetime(&self) -> Option<Lifetime> {
        self.0.lifetime()
    }

    pub fn refresher(&self) -> Arc<dyn Refresh> {
        self.0.clone()
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerTls")
    }
}

/// Whether the certificate that the client has shown is made out to this host, a name or an IP address.
pub fn presents_certificate_of(stream: &TlsStream<TcpStream>, host: &str) -> bool {
    let chain = stream.get_ref().1.peer_certificates();
    let Some(certificate) = chain.and_then(|chain| ParsedCertificate::try_from(chain.first()?).ok()) else {
        return false;
    };
    server_name(host).is_ok_and(|name| verify_server_name(&certificate, &name).is_ok())
}

/// The certificate (DER) that the client has shown, if any; a bad one has ended the handshake.
pub fn certificate_of(stream: &TlsStream<TcpStream>) -> Option<Vec<u8>> {
    stream.get_ref().1.peer_certificates()?.first().map(|certificate| certificate.to_vec())
}
