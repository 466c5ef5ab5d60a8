//! Passing bytes between a client and its server until one of them ends or the server loses its role.

use crate::hold::no_longer_allowed;
use crate::routes::{Port, Routes, Target};
use crate::sockets::close_with_reset;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Per direction. PostgreSQL sends in pieces of 8 KiB; more would cost memory on every idle connection.
const BUFFER_BYTES: usize = 8 * 1024;

/// How a relayed connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// One of the two ends closed or broke.
    Closed,
    /// The server lost its role.
    Cut,
}

/// `early` is what the client sent before it had a server. The role is looked at before the first byte is passed.
pub(crate) async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    early: Vec<u8>,
    mut routes: watch::Receiver<Routes>,
    (port, target): (Port, &Target),
    shutdown: &CancellationToken,
) -> End {
    let pass = async {
        server.write_all(&early).await?;
        drop(early);
        copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER_BYTES, BUFFER_BYTES).await
    };
    let end = tokio::select! {
        biased;
        () = no_longer_allowed(&mut routes, port, target) => End::Cut,
        () = shutdown.cancelled() => End::Closed,
        passed = pass => {
            if let Err(error) = passed {
                tracing::debug!(%target, %error, "a connection broke");
            }
            End::Closed
        }
    };
    if end == End::Cut {
        close_with_reset(&client);
        close_with_reset(&server);
    }
    end
}
