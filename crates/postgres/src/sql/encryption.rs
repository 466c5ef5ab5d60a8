//! What libpq's `sslmode` and the parameters beside it mean for the agent's own connections.
//!
//! Deliberately without certificates that are kept: each connection is made with the files as they are then, as libpq does it.
//! The invariant: with `require` and more nothing is sent before the connection is encrypted, and, where there is a
//! `sslrootcert`, before the server has shown a certificate of that authority.

use crate::{
    conninfo::Conninfo,
    error::{Error, Result},
};
use std::{collections::BTreeMap, future::Future, io, path::PathBuf, pin::Pin, task::Context, task::Poll};
use tls::{ClientFiles, ClientStream, ClientTls, Trust};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config, NoTls, Socket,
    config::{ChannelBinding as BindingWanted, SslMode, SslNegotiation},
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};

/// What is spoken inside, as the handshake names it; PostgreSQL 17 and newer look.
const PROTOCOL: &[u8] = b"postgresql";
/// invalid_authorization_specification: the server's pg_hba.conf has no line for a connection of this kind.
const NOT_THIS_WAY: &str = "28000";
/// libpq's word for the authorities that the system trusts.
const SYSTEM: &str = "system";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Never,
    /// When the server lets nobody in otherwise.
    IfInsisted,
    /// When the server can.
    Preferred,
    Always,
}

/// How one server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encryption {
    mode: Mode,
    files: ClientFiles,
    negotiation: SslNegotiation,
    binding: BindingWanted,
}

/// Opens the certificates without which there are no connections with these parameters, and says which files they are: a
/// check before anything depends on them. What could also be had in clear needs none.
pub fn needed_certificates(options: &BTreeMap<String, String>) -> Result<Vec<PathBuf>> {
    let encryption = Encryption::of(&Conninfo { options: options.clone(), ..Conninfo::default() })?;
    match encryption.mode {
        Mode::Always => {
            encryption.open()?;
            let ClientFiles { authorities, identity, .. } = encryption.files;
            Ok(authorities.into_iter().chain(identity.into_iter().flat_map(<[PathBuf; 2]>::from)).collect())
        }
        Mode::Never | Mode::IfInsisted | Mode::Preferred => Ok(Vec::new()),
    }
}

impl Encryption {
    pub fn of(server: &Conninfo) -> Result<Self> {
        let option = |name: &str| server.options.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let word = option("sslmode");
        let binding = match option("channel_binding") {
            Some("disable") => BindingWanted::Disable,
            Some("require") => BindingWanted::Require,
            Some(_) | None => BindingWanted::Prefer,
        };
        let mode = match word {
            // PostgreSQL has no TLS on sockets.
            _ if server.host.starts_with('/') => Mode::Never,
            Some("disable") => Mode::Never,
            None if binding == BindingWanted::Require => Mode::Always,
            None | Some("allow") => Mode::IfInsisted,
            Some("prefer") => Mode::Preferred,
            Some(_) => Mode::Always,
        };
        let missing = |name: &str, why: &str| Err(Error::Setting { name: name.to_owned(), why: why.to_owned() });
        let file = |name: &str| option(name).map(PathBuf::from);
        let authorities = file("sslrootcert");
        let by_name = || {
            if server.answered_by.is_empty() {
                return Trust::Host;
            }
            Trust::OneOf(server.host.split(',').map(str::to_owned).chain(server.answered_by.clone()).collect())
        };
        let trust = match (word, option("sslrootcert")) {
            (Some("verify-ca" | "verify-full"), None) => {
                return missing("sslrootcert", "without it there is nothing to verify a server's certificate by");
            }
            (Some("verify-full"), Some(_)) | (_, Some(SYSTEM)) => by_name(),
            (_, Some(_)) => Trust::AnyName,
            (_, None) => Trust::Anybody,
        };
        let identity = match (file("sslcert"), file("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => return missing("sslkey", "a certificate is shown together with its key"),
            (None, Some(_)) => return missing("sslcert", "a key is of use with its certificate only"),
        };
        Ok(Self {
            mode,
            files: ClientFiles { authorities: authorities.filter(|file| file.as_os_str() != SYSTEM), identity, trust },
            negotiation: match option("sslnegotiation") {
                Some("direct") => SslNegotiation::Direct,
                Some(_) | None => SslNegotiation::Postgres,
            },
            binding,
        })
    }

    fn open(&self) -> Result<ClientTls> {
        ClientTls::open(self.files.clone(), &[PROTOCOL]).map_err(|source| Error::Certificates { source })
    }

    /// Connects as the mode wants it; the task moves the bytes.
    pub async fn connect(&self, config: &Config) -> Result<Connected, Failure> {
        match self.mode {
            Mode::Never => plain(config).await,
            Mode::IfInsisted => match plain(config).await {
                Err(refused) if refused.code == NOT_THIS_WAY => {
                    // What a server without TLS says then explains less.
                    self.encrypted(config, SslMode::Require).await.map_err(|error| error.or(refused))
                }
                done => done,
            },
            Mode::Preferred => match self.encrypted(config, SslMode::Prefer).await {
                Err(failure) if failure.code.is_empty() || failure.code == NOT_THIS_WAY => plain(config).await,
                done => done,
            },
            Mode::Always => self.encrypted(config, SslMode::Require).await,
        }
    }

    async fn encrypted(&self, config: &Config, mode: SslMode) -> Result<Connected, Failure> {
        let this = self.clone();
        // A disk may hang; the caller's limit is for that, too.
        let opened = tokio::task::spawn_blocking(move || this.open()).await.map_err(|error| Failure::of(&error))?;
        let connector = Connector(opened.map_err(|error| Failure::of(&error))?);
        let mut config = config.clone();
        config.ssl_mode(mode).channel_binding(self.binding);
        config.ssl_negotiation(if mode == SslMode::Require { self.negotiation } else { SslNegotiation::Postgres });
        let (client, connection) = config.connect(connector).await?;
        Ok((client, moving(connection)))
    }
}

pub(super) type Connected = (Client, tokio::task::JoinHandle<()>);

/// `code` is the server's, empty when it said nothing.
pub(super) struct Failure {
    pub code: String,
    pub why: String,
}

impl Failure {
    fn of(error: &dyn std::fmt::Display) -> Self {
        Self { code: String::new(), why: error.to_string() }
    }

    /// This one, when the server said it.
    fn or(self, other: Self) -> Self {
        if self.code.is_empty() { other } else { self }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self { code: super::code(&error).to_owned(), why: super::describe(&error) }
    }
}

async fn plain(config: &Config) -> Result<Connected, Failure> {
    let (client, connection) = config.connect(NoTls).await?;
    Ok((client, moving(connection)))
}

fn moving(
    connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        // The loss of the connection shows in the next statement.
        let _ = connection.await;
    })
}

struct Connector(ClientTls);

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Encrypted;
    type TlsConnect = ToHost;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<ToHost> {
        Ok(ToHost { tls: self.0.clone(), host: host.to_owned() })
    }
}

struct ToHost {
    tls: ClientTls,
    host: String,
}

impl TlsConnect<Socket> for ToHost {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            // The limit that counts is the whole connection's, and shorter.
            self.tls.connect(&self.host, socket, tls::HANDSHAKE_WITHIN).await.map(Encrypted)
        })
    }
}

struct Encrypted(ClientStream<Socket>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        tls::server_end_point(&self.0).map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, options: &[(&str, &str)]) -> Conninfo {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Conninfo { host: host.to_owned(), options: options.collect(), ..Conninfo::default() }
    }

    #[test]
    fn libpqs_parameters_mean_what_they_mean_to_libpq() {
        let ca = ("sslrootcert", "/ca");
        for (options, mode, trust) in [
            (&[][..], Mode::IfInsisted, Trust::Anybody),
            (&[("sslmode", ""), ("sslrootcert", "")], Mode::IfInsisted, Trust::Anybody),
            (&[("sslmode", "disable")], Mode::Never, Trust::Anybody),
            (&[("sslmode", "allow")], Mode::IfInsisted, Trust::Anybody),
            (&[("sslmode", "prefer")], Mode::Preferred, Trust::Anybody),
            (&[("sslmode", "require")], Mode::Always, Trust::Anybody),
            (&[("sslmode", "require"), ca], Mode::Always, Trust::AnyName),
            (&[("sslmode", "verify-ca"), ca], Mode::Always, Trust::AnyName),
            (&[("sslmode", "verify-full"), ca], Mode::Always, Trust::Host),
            (&[("sslmode", "require"), ("sslrootcert", "system")], Mode::Always, Trust::Host),
            (&[("channel_binding", "require")], Mode::Always, Trust::Anybody),
        ] {
            let found = Encryption::of(&server("10.0.0.1", options)).unwrap();
            assert_eq!((found.mode, &found.files.trust), (mode, &trust), "{options:?}");
            assert_eq!(Encryption::of(&server("/run", options)).unwrap().mode, Mode::Never, "a socket: {options:?}");
        }
        let through_a_proxy =
            Conninfo { answered_by: vec!["10.0.0.2".into()], ..server("10.0.0.1", &[("sslmode", "verify-full"), ca]) };
        let trust = Encryption::of(&through_a_proxy).unwrap().files.trust;
        assert_eq!(trust, Trust::OneOf(vec!["10.0.0.1".into(), "10.0.0.2".into()]));
        for (options, name) in [
            (&[("sslmode", "verify-ca")][..], "sslrootcert"),
            (&[("sslmode", "verify-full"), ("sslrootcert", "")], "sslrootcert"),
            (&[("sslcert", "/c")], "sslkey"),
            (&[("sslkey", "/k")], "sslcert"),
        ] {
            let refused = Encryption::of(&server("10.0.0.1", options)).unwrap_err();
            assert!(matches!(&refused, Error::Setting { name: found, .. } if found == name), "{refused}");
        }
    }
}
