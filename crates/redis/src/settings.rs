//! What is known of one server before it is started.

use crate::error::{Error, Result};
use resp::Secret;
use resp::client::{Address, Target, TlsClient, TlsFiles};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Whom a server follows that has nobody to follow: it stays a replica, so it takes no writes, and its attempts to
/// connect are refused at once. Nothing listens on port 1 (tcpmux), and the loopback address leads nowhere else.
pub const NOBODY: (&str, u16) = ("127.0.0.1", 1);

/// A connection to a server on this host or a near one takes a millisecond.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Everything the configuration file and the connections are made from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `*`, `0.0.0.0` and `::` mean all.
    pub listen_hosts: Vec<String>,
    pub port: u16,
    /// How others reach it.
    pub announce: Address,
    pub data_dir: PathBuf,
    pub login: Option<Login>,
    pub tls: Option<TlsFilePaths>,
    /// The user's own directives; one value for each line. Checked where the configuration was read.
    pub parameters: BTreeMap<String, Vec<String>>,
    pub min_replicas_to_write: u32,
    pub priority: u32,
}

/// Who the agent and the replicas are; clients may be the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `default`: the user without a name.
    pub username: String,
    pub password: Secret,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFilePaths {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authorities: PathBuf,
}

/// Whom the server follows from its first moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartAs {
    ReplicaOf(Address),
    /// Nobody is known to follow. It takes no writes until it is promoted or told to follow.
    ReplicaOfNobody,
}

impl StartAs {
    pub fn address(&self) -> Address {
        match self {
            Self::ReplicaOf(address) => address.clone(),
            Self::ReplicaOfNobody => Address::new(NOBODY.0, NOBODY.1),
        }
    }
}

impl Settings {
    /// How the agent of this host reaches the server.
    pub fn local_address(&self) -> Address {
        let host = match self.listen_hosts.first().map(String::as_str) {
            Some("*" | "0.0.0.0") | None => "127.0.0.1",
            Some("::") => "::1",
            Some(host) => host,
        };
        Address::new(host, self.port)
    }

    /// How to connect to a server of the group: all have the same login.
    pub fn target(&self, address: Address) -> Result<Target> {
        let tls = self.tls.as_ref().map(|files| {
            TlsClient::from_files(&TlsFiles {
                ca: files.authorities.clone(),
                certificate: Some((files.certificate.clone(), files.key.clone())),
                verify_name: false,
            })
        });
        Ok(Target {
            address,
            username: self.login.as_ref().map(|login| login.username.clone()).filter(|name| name != "default"),
            password: self.login.as_ref().map(|login| login.password.clone()),
            tls: tls.transpose().map_err(|source| Error::Tls { source })?,
            name: Some("quorate".to_owned()),
            connect_timeout: CONNECT_TIMEOUT,
        })
    }
}
