//! Socket options, and reaching a server.

use crate::routes::Target;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A peer that vanished without a word is noticed after 15 + 3 * 5 seconds of silence.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 3;
/// The same for one that vanished while something was on its way to it, where no keepalive is sent.
const UNACKNOWLEDGED_TIME_MAX: Duration = Duration::from_secs(30);
/// New connections that the system keeps for us while we are busy with others; it has a limit of its own, too.
const BACKLOG: i32 = 4096;
/// Read at once from a client that has no server yet.
const FIRST_READ_BYTES: usize = 1024;
/// Name lookups that may hang at the same time: each occupies a thread for as long as the resolver likes.
const LOOKUPS_MAX: usize = 4;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Small messages go out at once, dead peers are noticed. Failing to set an option is no reason to refuse a client.
fn prepare(socket: &Socket) {
    let keepalive =
        TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    let done = socket
        .set_tcp_nodelay(true)
        .and_then(|()| socket.set_tcp_keepalive(&keepalive))
        .and_then(|()| platform::set_user_timeout(socket, UNACKNOWLEDGED_TIME_MAX));
    if let Err(error) = done {
        tracing::debug!(%error, "cannot set the options of a socket");
    }
}

/// The same for a client that was accepted, where it does not have the options from the listening socket: six calls
/// for each connection are a noticeable part of what it costs.
pub(crate) fn prepare_accepted(client: &TcpStream) {
    if !platform::ACCEPTED_INHERITS_OPTIONS {
        prepare(&SockRef::from(client));
    }
}

/// Closing this socket will send a reset, so that the peer notices at once, also in the middle of a write.
pub(crate) fn close_with_reset(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "cannot reset a connection; it is closed normally");
    }
}

/// A socket that listens, ready to be given to a runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Elsewhere: connections of a predecessor that are only just ending do not keep the port. On Windows it would let two
    // programs listen on the same port.
    socket.set_reuse_address(cfg!(unix))?;
    prepare(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Waits for something from the client and appends it. The buffer is on the stack, not a part of every waiting connection's memory.
/// A read that was not full says that there is no more for now, so the relay does not ask again at once.
pub(crate) async fn read_some(client: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); FIRST_READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *client).poll_read(context, &mut buffer))?;
        into.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}

/// Sends what goes out without waiting, and says how much that was: none, too, after an error, which whoever writes next hears of.
/// For a connection so new that its runtime has not looked yet whether it can be written to.
pub(crate) fn send_at_once(stream: &TcpStream, bytes: &[u8]) -> usize {
    SockRef::from(stream).send(bytes).unwrap_or(0)
}

/// Reaches servers by address or name.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    lookups: Arc<Semaphore>,
}

impl Connector {
    pub(crate) fn new() -> Self {
        Self { lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// One attempt; the caller bounds the time.
    pub(crate) async fn connect(&self, target: &Target) -> io::Result<TcpStream> {
        if let Ok(address) = target.address.parse::<SocketAddr>() {
            return connect_to(address).await;
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.look_up(target.address.clone()).await? {
            match connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// A lookup cannot be cancelled, only no longer be waited for; so its permit goes with it.
    async fn look_up(&self, name: String) -> io::Result<Vec<SocketAddr>> {
        let permit = self.lookups.clone().acquire_owned().await.map_err(io::Error::other)?;
        let lookup = tokio::spawn(async move {
            let found = tokio::net::lookup_host(name).await.map(|all| all.take(ADDRESSES_MAX).collect());
            drop(permit);
            found
        });
        lookup.await.map_err(io::Error::other)?
    }
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = platform::socket_for(address)?;
    // Before the connection stands, so that the kernel sets its timers once.
    prepare(&SockRef::from(&socket));
    // There is always something to say: what the client began with.
    if let Err(error) = platform::speak_at_once(&socket) {
        tracing::debug!(%error, "the handshake takes a packet more");
    }
    let stands = platform::begin_to_connect(&socket, address)?;
    let stream = TcpStream::from_std(socket)?;
    if !stands {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    // TCP lets a socket connect to itself when nobody listens and the port it was given happens to be the wanted one.
    if stream.local_addr()? == address {
        close_with_reset(&stream);
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_peer_that_vanished_is_looked_for_whether_or_not_something_is_on_its_way() {
        let listener = tokio::net::TcpListener::from_std(listen("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let connected = connect_to(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        prepare_accepted(&accepted);
        for stream in [connected, accepted] {
            let socket = SockRef::from(&stream);
            assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
            if cfg!(unix) {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
                assert_eq!(platform::user_timeout(&stream).unwrap(), Some(UNACKNOWLEDGED_TIME_MAX));
            }
        }
    }
}
