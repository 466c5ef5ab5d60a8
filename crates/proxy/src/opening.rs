//! The first words of a client, which it has to say before any server hears of it.
//!
//! PostgreSQL's and Redis's clients speak first. So whoever connects and is silent, or begins with something that is no startup
//! packet, costs no server a process, and no sane client anything. Deliberately no more than a glance: what follows
//! is for the server to judge, and may be encrypted from the first byte.

use crate::config::Service;
use crate::crowd::SilentPlace;
use crate::proxy_protocol::{self, HEADER_BYTES_MAX, Malformed, Origin};
use crate::refusal::STARTUP_BYTES_MAX;
use crate::sockets::read_some;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// A load balancer sends its header with the first packet; the format asks for a patience of a lost packet at least.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// As long as PostgreSQL itself waits for a client to introduce itself (`authentication_timeout`, by default).
const SILENCE_MAX_POSTGRES: Duration = Duration::from_secs(60);
/// The length of a startup packet is its first word.
const LENGTH_BYTES: usize = 4;
/// Two numbers of four bytes: the shortest packet there is.
const STARTUP_BYTES_MIN: usize = 8;
/// A TLS record with a handshake: PostgreSQL 17 and newer accept TLS without a request for it before.
const TLS_HANDSHAKE: u8 = 0x16;

/// A client that has begun to speak.
pub(crate) struct Opened {
    pub(crate) place: OwnedSemaphorePermit,
    /// What it said so far, without the PROXY header.
    pub(crate) early: Vec<u8>,
    /// What the PROXY header said, where one was expected.
    pub(crate) origin: Option<Origin>,
}

/// Why there is nothing to relay.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    #[error("it left without a word")]
    Left,
    #[error("it was silent for too long")]
    Silent,
    #[error("it was silent, and others need its place")]
    Displaced,
    #[error(transparent)]
    Header(#[from] Malformed),
    #[error("its first words are no startup packet of PostgreSQL")]
    NotPostgres,
    /// From an address whose header is not believed.
    #[error("it begins with a PROXY header, and its address is not in proxy.accept_proxy_protocol_from")]
    HeaderOfStranger,
}

/// Reads until it is clear that the client wants something. `header`: it has to begin with a PROXY header.
pub(crate) async fn open(
    service: Service,
    client: &mut TcpStream,
    place: SilentPlace,
    header: bool,
) -> Result<Opened, Unopened> {
    let mut early = Vec::new();
    let words = async {
        let mut origin = None;
        if header {
            origin =
                Some(timeout(HEADER_TIME_MAX, read_header(client, &mut early)).await.unwrap_or(Err(Unopened::Silent))?);
        }
        let first_words = read_first_words(service, client, &mut early);
        match service {
            Service::Postgres => timeout(SILENCE_MAX_POSTGRES, first_words).await.unwrap_or(Err(Unopened::Silent))?,
            // A Redis client may connect in advance and have nothing to ask for hours.
            Service::Redis => first_words.await?,
        }
        Ok::<_, Unopened>(origin)
    };
    let origin = tokio::select! {
        biased;
        () = place.lost() => return Err(Unopened::Displaced),
        origin = words => origin?,
    };
    let place = place.keep().ok_or(Unopened::Displaced)?;
    Ok(Opened { place, early, origin })
}

async fn read_header(client: &mut TcpStream, early: &mut Vec<u8>) -> Result<Origin, Unopened> {
    loop {
        if let Some((origin, length)) = proxy_protocol::parse(early)? {
            early.drain(..length);
            return Ok(origin);
        }
        read_more(client, early, HEADER_BYTES_MAX).await?;
    }
}

async fn read_first_words(service: Service, client: &mut TcpStream, early: &mut Vec<u8>) -> Result<(), Unopened> {
    loop {
        let enough = match service {
            Service::Postgres => begins_like_postgres(early)?,
            Service::Redis => !early.is_empty(),
        };
        if enough {
            return Ok(());
        }
        read_more(client, early, STARTUP_BYTES_MAX).await?;
    }
}

/// Waits for something and appends it; `max` is only the last of several limits, since every reader stops at less.
async fn read_more(client: &mut TcpStream, early: &mut Vec<u8>, max: usize) -> Result<(), Unopened> {
    if early.len() > max {
        return Err(Unopened::Left);
    }
    match read_some(client, early).await {
        Ok(0) | Err(_) => Err(Unopened::Left),
        Ok(_) => Ok(()),
    }
}

/// False while there is too little to tell.
fn begins_like_postgres(early: &[u8]) -> Result<bool, Unopened> {
    let Some(first) = early.first() else { return Ok(false) };
    if *first == TLS_HANDSHAKE {
        return Ok(true);
    }
    // No packet that PostgreSQL accepts is longer than its first two bytes are zero.
    if *first != 0 {
        return Err(if proxy_protocol::parse(early).is_err() {
            Unopened::NotPostgres
        } else {
            Unopened::HeaderOfStranger
        });
    }
    let Some(length) = early.first_chunk::<LENGTH_BYTES>() else { return Ok(false) };
    let length = u32::from_be_bytes(*length) as usize;
    if (STARTUP_BYTES_MIN..=STARTUP_BYTES_MAX).contains(&length) { Ok(true) } else { Err(Unopened::NotPostgres) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_tells_a_client_of_postgresql_from_others() {
        let cases: [(&[u8], Result<bool, &str>); 11] = [
            (b"", Ok(false)),
            (b"\0\0\0", Ok(false)),
            (b"\0\0\0\x08", Ok(true)),
            (b"\0\0\x27\x10\0\x03\0\0user", Ok(true)),
            (b"\x16\x03\x01", Ok(true)),
            (b"\0\0\0\x07", Err("NotPostgres")),
            (b"\0\0\x27\x11", Err("NotPostgres")),
            (b"GET / HTTP/1.1\r\n", Err("NotPostgres")),
            (b"SSH-2.0-", Err("NotPostgres")),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", Err("HeaderOfStranger")),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Err("HeaderOfStranger")),
        ];
        for (early, expected) in cases {
            let found = begins_like_postgres(early).map_err(|error| format!("{error:?}"));
            assert_eq!(found, expected.map_err(str::to_owned), "{early:?}");
        }
    }
}
