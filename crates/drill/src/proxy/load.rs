//! Clients with plain blocking sockets, so that little of what is measured is theirs.

use super::stand_in::{ECHO, POUR, SWALLOW};
use anyhow::{Context, Result};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// About the size of a small query, and of its answer.
const MESSAGE_BYTES: usize = 64;
const PIECE_BYTES: usize = 256 * 1024;
/// Nothing here takes that long; what does is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Round trips of small messages, in microseconds, sorted.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    pub sorted_us: Vec<f64>,
    pub per_second: f64,
}

impl RoundTrips {
    /// `share` of them were at most this long.
    pub fn percentile(&self, share: f64) -> f64 {
        let last = self.sorted_us.len().saturating_sub(1);
        self.sorted_us.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }
}

fn connect(address: SocketAddr, what: u8) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(&[what])?;
    Ok(stream)
}

/// Ends a connection without leaving its port in TIME-WAIT.
fn hang_up(stream: TcpStream) -> Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// Each of `clients` sends one message at a time for `time`.
pub fn round_trips(address: SocketAddr, clients: usize, time: Duration) -> Result<RoundTrips> {
    let ready = Barrier::new(clients);
    let one = || -> Result<Vec<f64>> {
        let opened = connect(address, ECHO);
        ready.wait();
        let mut stream = opened?;
        let mut took_us = Vec::with_capacity(1 << 16);
        let mut message = [7; MESSAGE_BYTES];
        let start = Instant::now();
        while start.elapsed() < time {
            let sent = Instant::now();
            stream.write_all(&message)?;
            stream.read_exact(&mut message)?;
            took_us.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        hang_up(stream)?;
        Ok(took_us)
    };
    let start = Instant::now();
    let mut sorted_us = in_threads(clients, one)?.concat();
    let per_second = sorted_us.len() as f64 / start.elapsed().as_secs_f64();
    sorted_us.sort_by(f64::total_cmp);
    Ok(RoundTrips { sorted_us, per_second })
}

/// Connections with one round trip each, one after the other in each of `clients`; how many in a second.
pub fn connections(address: SocketAddr, clients: usize, time: Duration) -> Result<f64> {
    let one = || -> Result<u64> {
        let (mut made, start) = (0, Instant::now());
        while start.elapsed() < time {
            let mut stream = connect(address, ECHO)?;
            stream.write_all(&[7])?;
            stream.read_exact(&mut [0])?;
            hang_up(stream)?;
            made += 1;
        }
        Ok(made)
    };
    let start = Instant::now();
    let made: u64 = in_threads(clients, one)?.iter().sum();
    Ok(made as f64 / start.elapsed().as_secs_f64())
}

/// Where the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    ToClient,
    ToServer,
}

/// Gigabytes per second of `streams` that flow as fast as they can.
pub fn throughput(address: SocketAddr, streams: usize, flow: Flow, time: Duration) -> Result<f64> {
    let total = AtomicU64::new(0);
    let one = || -> Result<()> {
        let mut buffer = vec![0x2A; PIECE_BYTES];
        let what = match flow {
            Flow::ToClient => POUR,
            Flow::ToServer => SWALLOW,
        };
        let mut stream = connect(address, what)?;
        let start = Instant::now();
        while start.elapsed() < time {
            let moved = match flow {
                Flow::ToClient => stream.read(&mut buffer)?,
                Flow::ToServer => stream.write(&buffer)?,
            };
            total.fetch_add(moved as u64, Ordering::Relaxed);
        }
        hang_up(stream)
    };
    let start = Instant::now();
    in_threads(streams, one)?;
    Ok(total.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64() / 1e9)
}

/// Connections that have said something once and are silent since.
pub fn idle(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>> {
    let mut streams = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = connect(address, ECHO).with_context(|| format!("after {number} connections"))?;
        stream.write_all(&[7])?;
        stream.read_exact(&mut [0]).with_context(|| format!("on connection {number}"))?;
        streams.push(stream);
    }
    Ok(streams)
}

/// Ends them, quietly.
pub fn hang_up_all(streams: Vec<TcpStream>) -> Result<()> {
    streams.into_iter().try_for_each(hang_up)
}

fn in_threads<T: Send>(count: usize, work: impl Fn() -> Result<T> + Sync) -> Result<Vec<T>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(&work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client of the load panicked"))))
            .collect()
    })
}
