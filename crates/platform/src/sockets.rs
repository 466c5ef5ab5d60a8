//! What a relay of TCP connections wants from the operating system beyond sockets themselves.

use super::os::sockets as os;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub use os::AsSocket;

/// Whether a socket that was accepted has the options of the one that listened.
pub const ACCEPTED_INHERITS_OPTIONS: bool = os::ACCEPTED_INHERITS_OPTIONS;
/// Whether several threads may wait for connections on one listening socket.
pub const LISTENERS_CAN_BE_SHARED: bool = os::LISTENERS_CAN_BE_SHARED;

/// A socket that is to be connected to such an address. Nothing that is done with it waits.
pub fn socket_for(address: SocketAddr) -> io::Result<TcpStream> {
    os::socket_for(address)
}

/// Begins to connect it. True: the connection stands already, as it does where the peer is on this machine. Otherwise it stands
/// or has failed when the socket can be written to.
pub fn begin_to_connect(socket: &TcpStream, address: SocketAddr) -> io::Result<bool> {
    os::begin_to_connect(socket, address)
}

/// For a socket that is not connected yet, by somebody who sends as soon as it is: the end of the handshake goes out with the first
/// words instead of in a packet of its own. A hint, without effect where the system has nothing of the kind.
pub fn speak_at_once(socket: &impl AsSocket) -> io::Result<()> {
    os::speak_at_once(socket)
}

/// A peer that does not acknowledge what was sent to it counts as gone after this time. Where the system has no such setting, its
/// own patience stays in force.
pub fn set_user_timeout(socket: &impl AsSocket, timeout: Duration) -> io::Result<()> {
    os::set_user_timeout(socket, timeout)
}

/// What was set; `None` where the system has no such setting.
pub fn user_timeout(socket: &impl AsSocket) -> io::Result<Option<Duration>> {
    os::user_timeout(socket)
}

/// A buffer in the kernel through which bytes pass from one socket to another without being copied into this process.
///
/// What was filled in must be drained before the pipe goes to other connections; [`Pipe::waiting`] says what is left.
#[derive(Debug)]
pub struct Pipe {
    inner: os::Pipe,
    capacity: usize,
    waiting: usize,
}

impl Pipe {
    /// With room for at least `capacity` bytes, where the system grants it. `Unsupported` where it has nothing of the kind.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let (inner, capacity) = os::Pipe::new(capacity)?;
        Ok(Self { inner, capacity, waiting: 0 })
    }

    /// How much fits in.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes that were filled in and not drained.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes what `from` has, without waiting for it. 0: the end of the stream.
    pub fn fill(&mut self, from: &impl AsSocket) -> io::Result<usize> {
        let moved = self.inner.fill(from, self.capacity)?;
        self.waiting += moved;
        Ok(moved)
    }

    /// Passes on what `to` takes without waiting.
    pub fn drain(&mut self, to: &impl AsSocket) -> io::Result<usize> {
        let moved = self.inner.drain(to, self.waiting)?;
        self.waiting -= moved;
        Ok(moved)
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    #[test]
    fn bytes_pass_from_socket_to_socket_and_the_end_of_the_stream_is_seen() {
        let ((mut client, inside), (outside, mut server)) = (pair(), pair());
        let mut pipe = Pipe::new(64 * 1024).unwrap();
        assert!(pipe.capacity() >= 64 * 1024);
        inside.set_nonblocking(true).unwrap();
        assert_eq!(pipe.fill(&inside).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        inside.set_nonblocking(false).unwrap();
        client.write_all(b"hello").unwrap();
        // The socket is blocking here only so that the test waits until the bytes have arrived.
        inside.peek(&mut [0]).unwrap();
        assert_eq!(pipe.fill(&inside).unwrap(), 5);
        assert_eq!(pipe.waiting(), 5);
        assert_eq!(pipe.drain(&outside).unwrap(), 5);
        let mut buffer = [0; 5];
        server.read_exact(&mut buffer).unwrap();
        assert_eq!((&buffer, pipe.waiting()), (b"hello", 0));
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(inside.peek(&mut [0]).unwrap(), 0);
        assert_eq!(pipe.fill(&inside).unwrap(), 0);
    }

    #[test]
    fn a_connection_within_this_machine_stands_at_once_and_what_nobody_accepts_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = socket_for(address).unwrap();
        assert!(begin_to_connect(&socket, address).unwrap());
        assert_eq!(socket.peer_addr().unwrap(), address);
        assert_eq!((&socket).read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(listener);
        let socket = socket_for(address).unwrap();
        let refused = begin_to_connect(&socket, address).and_then(|_| socket.take_error());
        assert!(matches!(refused, Err(error) | Ok(Some(error)) if error.kind() == io::ErrorKind::ConnectionRefused));
    }

    #[test]
    fn the_patience_with_a_silent_peer_can_be_set() {
        let (socket, _other) = pair();
        set_user_timeout(&socket, Duration::from_secs(30)).unwrap();
        assert_eq!(user_timeout(&socket).unwrap(), Some(Duration::from_secs(30)));
    }
}
