//! What can go wrong when the proxy starts. Later nothing does: a broken connection is the affair of its two ends.

use std::io;
use std::net::SocketAddr;

/// Why the proxy could not start. Nothing is listening when this is returned.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Another program has the port.
    #[error(
        "the proxy cannot listen on {address}: the port is in use by another program\n\
         hint: `{}` shows the program; stop it or give the proxy another port", find_listener(.address.port())
    )]
    PortInUse { address: SocketAddr },
    /// The address belongs to no interface of this server.
    #[error(
        "the proxy cannot listen on {address}: this server does not have the address\n\
         hint: use an address of this server, or 0.0.0.0 for all of them"
    )]
    AddressNotHere { address: SocketAddr },
    /// Ports below 1024 need a privilege.
    #[error(
        "the proxy cannot listen on {address}: permission denied\n\
         hint: use a port above 1023"
    )]
    NotPermitted { address: SocketAddr },
    /// Anything else the operating system answered.
    #[error("the proxy cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
}

impl ProxyError {
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { address },
            io::ErrorKind::AddrNotAvailable => Self::AddressNotHere { address },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { address },
            _ => Self::Listen { address, source },
        }
    }

    /// A name that stays the same when the sentence is improved.
    pub fn code(&self) -> &'static str {
        match self {
            Self::PortInUse { .. } => "proxy-port-in-use",
            Self::AddressNotHere { .. } => "proxy-address-not-here",
            Self::NotPermitted { .. } => "proxy-not-permitted",
            Self::Listen { .. } => "proxy-listen",
        }
    }
}

fn find_listener(port: u16) -> String {
    if cfg!(windows) { format!("netstat -ano | findstr :{port}") } else { format!("ss -ltnp 'sport = :{port}'") }
}
