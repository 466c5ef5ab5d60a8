//! Many masters and replicas for a sentinel to watch, without a redis-server for each.
//!
//! Each answers PING, INFO, ROLE, CLIENT, SUBSCRIBE and PUBLISH as an idle redis-server does, on an address and with a run id of its
//! own; hello messages reach the subscribers of the same server only. That is all that a sentinel asks of servers when nothing
//! fails. One redis-server under many addresses would not do: its hello channel is one, so that each of a thousand
//! publications would reach all thousand subscriptions, and what was measured would be that.
//!
//! Deliberately no data, no replication, no failover.

use anyhow::{Context, Result};
use bytes::BytesMut;
use resp::{Limits, Protocol, RequestDecoder, Value, encode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;

const PORT: u16 = 6379;
/// Addresses 127.77.n.n and up are nobody else's.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
/// Hello messages that a slow subscriber may be behind.
const MESSAGES_MAX: usize = 16;
const READ_BYTES: usize = 4096;
/// Two connections of a sentinel to each server, its listener, and a few more.
const FILES_PER_SERVER: u64 = 4;

/// The servers; they end when this is dropped.
#[derive(Debug)]
pub struct Stub {
    /// Names and addresses of the masters.
    pub masters: Vec<(String, SocketAddr)>,
    servers: JoinSet<()>,
}

#[derive(Debug)]
struct Server {
    info: String,
    hello: broadcast::Sender<Value>,
}

impl Stub {
    pub async fn start(masters: usize, replicas_each: usize) -> Result<Self> {
        let each = 1 + replicas_each;
        allow_files((masters * each) as u64 * FILES_PER_SERVER)?;
        let mut stub = Self { masters: Vec::new(), servers: JoinSet::new() };
        for number in 0..masters {
            let addresses: Vec<Ipv4Addr> = (0..each).map(|one| address(number * each + one)).collect();
            let master = addresses[0];
            for (index, address) in addresses.iter().enumerate() {
                let listener = TcpListener::bind((*address, PORT)).await;
                let listener = listener.with_context(|| format!("{address}:{PORT} cannot be used"))?;
                let replication = match index {
                    0 => master_info(&addresses[1..]),
                    _ => replica_info(master),
                };
                let run_id = format!("{:040x}", u32::from(*address));
                let info = format!(
                    "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:{run_id}\r\ntcp_port:{PORT}\r\n\r\n\
                     # Replication\r\n{replication}"
                );
                let server = Server { info, hello: broadcast::channel(MESSAGES_MAX).0 };
                stub.servers.spawn(serve(listener, Arc::new(server)));
            }
            stub.masters.push((format!("m{number}"), SocketAddr::from((master, PORT))));
        }
        Ok(stub)
    }

    /// Ends the servers, and their addresses are free when this returns; dropping only tells them to end.
    pub async fn stop(mut self) {
        self.servers.shutdown().await;
    }
}

/// Neither ends in 0 nor in 255, so that nobody takes it for a network.
fn address(number: usize) -> Ipv4Addr {
    const IN_A_ROW: usize = 250;
    let (row, place) = (number / IN_A_ROW, number % IN_A_ROW);
    Ipv4Addr::from(u32::from(FIRST) + ((row as u32) << 8) + place as u32)
}

fn master_info(replicas: &[Ipv4Addr]) -> String {
    use std::fmt::Write as _;
    let mut text = format!("role:master\r\nconnected_slaves:{}\r\n", replicas.len());
    for (index, replica) in replicas.iter().enumerate() {
        let _ = write!(text, "slave{index}:ip={replica},port={PORT},state=online,offset=1000,lag=0\r\n");
    }
    text + "master_failover_state:no-failover\r\nmaster_repl_offset:1000\r\n"
}

fn replica_info(master: Ipv4Addr) -> String {
    format!(
        "role:slave\r\nmaster_host:{master}\r\nmaster_port:{PORT}\r\nmaster_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n\
         slave_read_repl_offset:1000\r\nslave_repl_offset:1000\r\nslave_priority:100\r\nslave_read_only:1\r\n\
         replica_announced:1\r\nconnected_slaves:0\r\nmaster_repl_offset:1000\r\n"
    )
}

fn allow_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = limit.maximum.map_or(needed, |maximum| maximum.max(needed));
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: Some(maximum) })
        .with_context(|| format!("{needed} open files are needed\nhint: ulimit -n {needed}"))
}

async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(converse(stream, server.clone()));
    }
}

async fn converse(mut stream: TcpStream, server: Arc<Server>) {
    let mut decoder = RequestDecoder::new(Limits::COMMANDS);
    let (mut incoming, mut outgoing) = (BytesMut::new(), BytesMut::new());
    let mut subscribed: Option<broadcast::Receiver<Value>> = None;
    loop {
        // Whatever is wrong with a connection ends it, as a server would.
        loop {
            match decoder.decode(&mut incoming) {
                Ok(Some(command)) => {
                    let words: Vec<String> =
                        command.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                    if words[0].eq_ignore_ascii_case("subscribe") {
                        subscribed.get_or_insert_with(|| server.hello.subscribe());
                    }
                    encode(&server.answer(&words), Protocol::Resp2, &mut outgoing);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if !outgoing.is_empty() {
            if stream.write_all(&outgoing).await.is_err() {
                return;
            }
            outgoing.clear();
        }
        incoming.reserve(READ_BYTES);
        tokio::select! {
            read = stream.read_buf(&mut incoming) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            message = next(&mut subscribed) => encode(&message, Protocol::Resp2, &mut outgoing),
        }
    }
}

async fn next(subscribed: &mut Option<broadcast::Receiver<Value>>) -> Value {
    loop {
        match subscribed {
            Some(messages) => match messages.recv().await {
                Ok(message) => return message,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => *subscribed = None,
            },
            None => std::future::pending().await,
        }
    }
}

impl Server {
    fn answer(&self, words: &[String]) -> Value {
        let bulk = |text: &str| Value::from(text);
        match words[0].to_ascii_lowercase().as_str() {
            "ping" => Value::Simple("PONG".to_owned()),
            "info" => bulk(&self.info),
            "client" => Value::ok(),
            "subscribe" => {
                let channel = words.get(1).map_or("", String::as_str);
                Value::Array(vec![bulk("subscribe"), bulk(channel), Value::Integer(1)])
            }
            "publish" => {
                let (channel, message) =
                    (words.get(1).map_or("", String::as_str), words.get(2).map_or("", String::as_str));
                let heard = self.hello.send(Value::Array(vec![bulk("message"), bulk(channel), bulk(message)]));
                Value::Integer(heard.unwrap_or(0) as i64)
            }
            other => Value::error(format!("ERR unknown command '{other}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_an_address_of_its_own() {
        let addresses: std::collections::BTreeSet<Ipv4Addr> = (0..3000).map(address).collect();
        assert_eq!(addresses.len(), 3000);
        assert!(addresses.iter().all(|one| one.is_loopback() && !matches!(one.octets()[3], 0 | 255)));
    }
}
