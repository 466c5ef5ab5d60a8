//! The last words to a client that cannot be served, in PostgreSQL's or Redis's own form, so that applications show a sentence
//! instead of "server closed the connection unexpectedly".
//!
//! Formats: PostgreSQL documentation, "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest,
//! ErrorResponse). Anything that is not a startup packet is closed without a word. Redis answers a client that it cannot
//! serve with an error reply before any command, as for "max number of clients reached".

use crate::config::Service;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest startup packet PostgreSQL itself accepts (MAX_STARTUP_PACKET_LENGTH).
pub(crate) const STARTUP_BYTES_MAX: usize = 10_000;
/// The whole farewell takes a few round trips; a client that needs longer is not listening.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);
/// A client asks for TLS and for GSSAPI at most once each before its startup packet.
const ENCRYPTION_REQUESTS_MAX: usize = 2;
/// What a client may still send while it has not read the answer.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;

const HEADER_BYTES: usize = 8;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const NO_ENCRYPTION: &[u8] = b"N";
const PROTOCOL_MAJOR: u32 = 3;

/// Why a client is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoPrimary,
    NoReplica,
    TooManyConnections,
}

impl Refusal {
    /// SQLSTATE, message, hint.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::NoPrimary => (
                "57P03",
                "no primary is available",
                "The proxy waited for a primary. `quorate explain` says what keeps each member from being it. Try again.",
            ),
            Self::NoReplica => (
                "57P03",
                "no replica is available",
                "The proxy waited for a replica. `quorate list` shows the state of each member. Try again.",
            ),
            Self::TooManyConnections => (
                "53300",
                "too many connections through the proxy",
                "Close some, use a connection pool, or raise the proxy's limit.",
            ),
        }
    }

    /// The error reply of a Redis.
    fn reply(self) -> &'static str {
        match self {
            Self::NoPrimary | Self::NoReplica => {
                "-ERR no Redis master is available; the proxy waited for one (quorate redis explain says why)\r\n"
            }
            Self::TooManyConnections => "-ERR max number of clients reached at the proxy\r\n",
        }
    }

    fn message(self) -> Vec<u8> {
        let (sqlstate, message, hint) = self.words();
        let mut fields = Vec::new();
        for (kind, text) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', sqlstate), (b'M', message), (b'H', hint)] {
            fields.push(kind);
            fields.extend_from_slice(text.as_bytes());
            fields.push(0);
        }
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).unwrap_or(u32::MAX);
        let mut bytes = vec![b'E'];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.append(&mut fields);
        bytes
    }
}

/// Answers the client's startup packet (Redis has none) and closes. `early` is what the client has sent already.
pub(crate) async fn refuse(service: Service, mut client: TcpStream, early: Vec<u8>, refusal: Refusal) {
    let farewell = async {
        let (is_waiting, message) = match service {
            Service::Postgres => (wait_for_startup(&mut client, early).await?, refusal.message()),
            Service::Redis => (true, refusal.reply().as_bytes().to_vec()),
        };
        if is_waiting {
            client.write_all(&message).await?;
            client.shutdown().await?;
            // Closing with unread bytes would send a reset, which may destroy the answer before it is read.
            tokio::io::copy(&mut client.take(DRAIN_BYTES_MAX), &mut tokio::io::sink()).await?;
        }
        io::Result::Ok(())
    };
    match timeout(FAREWELL_TIME_MAX, farewell).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a refused client left before it was answered"),
        Err(_) => tracing::debug!("a refused client did not read its answer in time"),
    }
}

/// Reads up to and including the startup packet; false when the client speaks something else.
async fn wait_for_startup(client: &mut TcpStream, mut received: Vec<u8>) -> io::Result<bool> {
    for _ in 0..=ENCRYPTION_REQUESTS_MAX {
        if !fill(client, &mut received, HEADER_BYTES).await? {
            return Ok(false);
        }
        let number =
            |at: usize| u32::from_be_bytes([received[at], received[at + 1], received[at + 2], received[at + 3]]);
        let (length, code) = (number(0) as usize, number(4));
        if !(HEADER_BYTES..=STARTUP_BYTES_MAX).contains(&length) {
            return Ok(false);
        }
        match code {
            SSL_REQUEST | GSSENC_REQUEST if length == HEADER_BYTES => {
                received.drain(..HEADER_BYTES);
                client.write_all(NO_ENCRYPTION).await?;
            }
            _ if code >> 16 == PROTOCOL_MAJOR => return fill(client, &mut received, length).await,
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Reads until `received` has at least `length` bytes; false when the client ended before.
async fn fill(client: &mut TcpStream, received: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    while received.len() < length {
        let missing = (length - received.len()) as u64;
        if (&mut *client).take(missing).read_buf(received).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_laid_out_as_postgresql_documents_it() {
        let bytes = Refusal::NoPrimary.message();
        assert_eq!(bytes[0], b'E');
        assert_eq!(u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize, bytes.len() - 1);
        let fields: Vec<&str> =
            bytes[5..].split(|byte| *byte == 0).map(|field| std::str::from_utf8(field).unwrap()).collect();
        assert_eq!(fields[..4], ["SFATAL", "VFATAL", "C57P03", "Mno primary is available"]);
        assert!(fields[4].starts_with('H'));
        assert_eq!(fields[5..], ["", ""], "the last field ends, then the list of fields ends");
    }
}
