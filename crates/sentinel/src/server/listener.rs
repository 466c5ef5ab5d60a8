//! Opens the ports and lets clients in.

use super::client::Client;
use super::session;
use super::tls::Acceptor;
use crate::acl::DEFAULT_USER;
use crate::file::ServerSettings;
use crate::world::Shared;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel keeps for us while we are busy. Redis's number.
const BACKLOG: i32 = 511;
/// For a TLS handshake: whoever takes longer is not going to be a client.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After an error such as "no more file descriptors" there is no use in asking again at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Open ports, and whether they speak TLS.
pub struct Ports {
    listeners: Vec<(std::net::TcpListener, Option<Acceptor>)>,
}

impl Ports {
    /// Opens every port, or says which cannot be opened.
    pub fn open(settings: &ServerSettings) -> Result<Self, String> {
        let mut listeners = Vec::new();
        let tls = if settings.tls.port == 0 { None } else { Some(Acceptor::open(&settings.tls)?) };
        for (port, acceptor) in [(settings.port, None), (settings.tls.port, tls)] {
            if port == 0 {
                continue;
            }
            let before = listeners.len();
            for bind in &settings.bind {
                let (address, optional) = match bind.strip_prefix('-') {
                    Some(address) => (address, true),
                    None => (bind.as_str(), false),
                };
                match open(address, port) {
                    Ok(listener) => listeners.push((listener, acceptor.clone())),
                    Err(error) if optional && error.kind() != io::ErrorKind::AddrInUse => {}
                    Err(error) => {
                        return Err(format!("Could not create server TCP listening socket {address}:{port}: {error}"));
                    }
                }
            }
            if listeners.len() == before {
                return Err(format!("port {port}: none of the addresses in bind is there"));
            }
        }
        Ok(Self { listeners })
    }

    /// Within the Sentinel's own thread.
    pub fn serve(self, world: &Shared) -> io::Result<()> {
        for (listener, tls) in self.listeners {
            let listener = TcpListener::from_std(listener)?;
            tokio::task::spawn_local(accept(listener, tls, world.clone()));
        }
        Ok(())
    }
}

fn open(host: &str, port: u16) -> io::Result<std::net::TcpListener> {
    let address = match host {
        "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "::*" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        name => {
            let mut found = (name, port).to_socket_addrs()?;
            found.next().ok_or_else(|| io::Error::other("the name has no address"))?.ip()
        }
    };
    let socket = Socket::new(Domain::for_address(SocketAddr::new(address, port)), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Windows this would let a second program take the port.
    if !cfg!(windows) {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&SockAddr::from(SocketAddr::new(address, port)))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn accept(listener: TcpListener, tls: Option<Acceptor>, world: Shared) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => admit(stream, address, tls.clone(), &world),
            Err(error) => {
                tracing::warn!("Accepting client connection: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn admit(mut stream: TcpStream, address: SocketAddr, tls: Option<Acceptor>, world: &Shared) {
    let Ok(local) = stream.local_addr() else { return };
    let refusal = refusal(address, world);
    if let Some(refusal) = refusal {
        world.borrow_mut().statistics.rejected += 1;
        tokio::task::spawn_local(async move {
            // As much as fits; nobody waits for one who is not let in.
            let _ = tokio::time::timeout(HANDSHAKE, stream.write_all(refusal.as_bytes())).await;
        });
        return;
    }
    let (id, wake) = {
        let mut world = world.borrow_mut();
        let _ = stream.set_nodelay(true);
        let keepalive = world.settings.tcp_keepalive;
        if !keepalive.is_zero() {
            let keepalive = TcpKeepalive::new().with_time(keepalive).with_interval(keepalive / 3);
            let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        }
        let user = world.acl.is_open().then(|| DEFAULT_USER.to_owned());
        let id = world.next_client_id();
        let client = Client::new(id, address, local, user, world.now());
        let wake = client.wake.clone();
        world.clients.insert(id, client);
        (id, wake)
    };
    let world = world.clone();
    tokio::task::spawn_local(async move {
        match tls {
            None => session::run(&world, id, &wake, stream).await,
            Some(acceptor) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.get().accept(stream)).await {
                    session::run(&world, id, &wake, stream).await;
                }
            }
        }
        world.borrow_mut().forget_client(id);
    });
}

fn refusal(address: SocketAddr, world: &Shared) -> Option<&'static str> {
    let mut world = world.borrow_mut();
    world.statistics.connections += 1;
    if world.clients.len() >= world.settings.clients_max {
        return Some("-ERR max number of clients reached\r\n");
    }
    if world.settings.protected_mode && world.acl.is_open() && !address.ip().to_canonical().is_loopback() {
        return Some(
            "-DENIED this server is in protected mode: it has no password, so it takes connections from its own machine only. Set a password (requirepass), or write 'protected-mode no' into its configuration and restart it.\r\n",
        );
    }
    None
}
