//! The side that connects.

use crate::any_of::AnyOf;
use crate::anybody::Anybody;
use crate::error::TlsError;
use crate::files::{self, Lifetime, identity, provider};
use crate::fresh::{Fresh, Refresh, Source};
use crate::judged::{Judge, Judged};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::sign::SingleCertAndKey;

/// The PEM files that make a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Whose servers are believed; `None`: those whom the system trusts.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate and key, for servers that ask for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub trust: Trust,
}

/// Which servers are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities whose certificate is made out to the host that was connected to.
    #[default]
    Host,
    /// Those of the authorities whose certificate is made out to one of these hosts: the way leads through somebody who
    /// passes the connection on.
    OneOf(Vec<String>),
    /// Those of the authorities, whatever they are called.
    AnyName,
    /// Everybody. Then everybody in between can read and change what is said.
    Anybody,
}

/// Cheap to clone; all clones have the newest certificate.
#[derive(Clone)]
pub struct ClientTls(Arc<Fresh<Client>>);

struct Client {
    files: ClientFiles,
    protocols: Vec<Vec<u8>>,
}

impl Client {
    fn authorities(&self) -> Option<&PathBuf> {
        self.files.authorities.as_ref().filter(|_| self.files.trust != Trust::Anybody)
    }
}

impl Source for Client {
    type Made = ClientConfig;

    fn files(&self) -> Vec<PathBuf> {
        let identity = self.files.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        identity.chain(self.authorities()).cloned().collect()
    }

    fn make(&self, contents: &[Vec<u8>]) -> Result<(ClientConfig, Option<Lifetime>), TlsError> {
        let (own, authorities) = contents.split_at(if self.files.identity.is_some() { 2 } else { 0 });
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::NoSystemAuthorities { why: error.to_string() })?;
        let roots = || match (self.authorities(), authorities.first()) {
            (Some(file), Some(bytes)) => files::authorities(file, bytes),
            (Some(_) | None, Some(_) | None) => files::system_authorities(),
        };
        let verifier = match &self.files.trust {
            Trust::Host => None,
            Trust::OneOf(hosts) => Some(judged(AnyOf::new(roots()?, Some(hosts)))),
            Trust::AnyName => Some(judged(AnyOf::new(roots()?, None))),
            Trust::Anybody => Some(judged(Anybody)),
        };
        let builder = match verifier {
            None => builder.with_root_certificates(roots()?),
            Some(verifier) => builder.dangerous().with_custom_certificate_verifier(verifier),
        };
        let (mut config, lifetime) = match (&self.files.identity, own) {
            (Some((certificate, key)), [certificate_bytes, key_bytes]) => {
                let (identity, lifetime) = identity((certificate, certificate_bytes), (key, key_bytes))?;
                (builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))), Some(lifetime))
            }
            (Some(_) | None, _) => (builder.with_no_client_auth(), None),
        };
        config.alpn_protocols.clone_from(&self.protocols);
        Ok((config, lifetime))
    }
}

fn judged(judge: impl Judge + 'static) -> Arc<dyn ServerCertVerifier> {
    Arc::new(Judged { judge, provider: provider() })
}

impl ClientTls {
    /// `protocols`: what is spoken inside, the preferred one first ([`crate::HTTP2`], [`crate::HTTP1`]); empty: not told.
    pub fn open(files: ClientFiles, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(Arc::new(Fresh::open(Client { files, protocols })?)))
    }

    /// The handshake, within so long. `host` is the name or IP address that the server's certificate must have.
    pub async fn connect<S>(&self, host: &str, stream: S, within: Duration) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = server_name(host)?;
        let connector = TlsConnector::from(self.0.get());
        timeout(within, connector.connect(name, stream)).await?
    }

    /// For a client of somebody else's; it keeps what it got. [`ClientTls::generation`] tells when there is a newer one.
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.0.get())
    }

    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    pub fn lifetime(&self) -> Option<Lifetime> {
        self.0.lifetime()
    }

    pub fn refresher(&self) -> Arc<dyn Refresh> {
        self.0.clone()
    }
}

/// An IPv6 address may have its brackets.
pub fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientTls")
    }
}
