//! Signals, limits and the service manager.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket. Children must not have it: PostgreSQL and Redis speak to systemd, too.
pub const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

pub fn on_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    on_signals(&[SIGTERM, SIGINT], then)
}

pub fn on_every_termination(then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    on_signals(&[SIGTERM, SIGINT, SIGQUIT, SIGHUP], then)
}

pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn on_signals(signals: &[i32], then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new(signals)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            then();
        }
    })?;
    Ok(())
}

pub fn allow_open_files(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let possible = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    // More than the hard limit is granted to root only.
    for new in [Rlimit { current: Some(wanted), maximum: Some(wanted) }, Rlimit { current: Some(possible), ..limit }] {
        if setrlimit(Resource::Nofile, new).is_ok() {
            return new.current.unwrap_or(possible);
        }
    }
    current
}

pub fn open_files_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The socket that systemd listens on.
pub struct Notifications {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifications {
    /// `None`: nobody asked to be told.
    pub fn open() -> io::Result<Option<Self>> {
        let Some(path) = std::env::var_os(NOTIFY_SOCKET).filter(|path| !path.is_empty()) else { return Ok(None) };
        let address = match path.to_str().and_then(|path| path.strip_prefix('@')) {
            #[cfg(target_os = "linux")]
            Some(name) => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(name)?
            }
            _ => SocketAddr::from_pathname(&path)?,
        };
        let socket = UnixDatagram::unbound()?;
        // Whoever tells must not wait for a manager that does not read.
        socket.set_nonblocking(true)?;
        Ok(Some(Self { socket, address }))
    }

    pub fn send(&self, state: &str) -> io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.address).map(drop)
    }
}
