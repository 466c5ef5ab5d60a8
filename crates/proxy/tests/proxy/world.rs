//! The world of these tests: servers that say who they are, and a proxy in front of them, all with real sockets.

use proxy::{Engine, EngineConfig, Proxy, ProxyConfig, Replica, Routes, Service, Statistics, Target};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// "At once" for a test: far below the hold time, far above scheduling noise.
pub const PROMPT: Duration = Duration::from_secs(4);

pub const LOCAL: &str = "127.0.0.1:0";

pub struct Server {
    pub target: Target,
    _tasks: JoinSet<()>,
}

pub async fn server(name: &str) -> Server {
    server_at(name, LOCAL).await
}

/// Answers "ping" with its name; at the end of the client's stream it says "bye" and closes.
pub async fn server_at(name: &str, address: &str) -> Server {
    let listener = TcpListener::bind(address).await.unwrap();
    let target = Target { member: name.to_owned(), address: listener.local_addr().unwrap().to_string() };
    let name = name.to_owned();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let name = name.clone();
            connections.spawn(async move {
                let mut buffer = [0; 1024];
                loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) => {
                            let _ = stream.write_all(b"bye").await;
                            return;
                        }
                        Ok(n) if &buffer[..n] == b"ping" => drop(stream.write_all(name.as_bytes()).await),
                        Ok(n) => drop(stream.write_all(&buffer[..n]).await),
                        Err(_) => return,
                    }
                }
            });
        }
    });
    Server { target, _tasks: tasks }
}

pub struct World {
    pub proxy: Proxy,
    pub routes: watch::Sender<Routes>,
    pub shutdown: CancellationToken,
}

/// Two threads, so that connections change theirs on the way in.
pub const SMALL: EngineConfig = EngineConfig { threads: Some(2), connections_max: Some(1000) };

/// A proxy for Redis, whose clients may say anything.
pub fn world(change: impl FnOnce(&mut ProxyConfig)) -> World {
    world_on(SMALL, change)
}

/// A proxy for PostgreSQL.
pub fn world_of_postgres(change: impl FnOnce(&mut ProxyConfig)) -> World {
    world_on(SMALL, |config| {
        config.service = Service::Postgres;
        change(config);
    })
}

pub fn world_on(engine: EngineConfig, change: impl FnOnce(&mut ProxyConfig)) -> World {
    let local = LOCAL.parse().unwrap();
    let mut config = ProxyConfig {
        service: Service::Redis,
        listen_primary: vec![local],
        listen_replicas: vec![local],
        ..ProxyConfig::default()
    };
    change(&mut config);
    let (routes, receiver) = watch::channel(Routes::default());
    let shutdown = CancellationToken::new();
    let proxy = Engine::start(engine).unwrap().serve(&config, receiver, shutdown.clone()).unwrap();
    World { proxy, routes, shutdown }
}

impl World {
    pub fn primary(&self) -> SocketAddr {
        self.proxy.primary_addresses()[0]
    }
    pub fn replicas(&self) -> SocketAddr {
        self.proxy.replica_addresses()[0]
    }
    pub fn route(&self, primary: Option<&Server>, replicas: &[&Server]) {
        self.routes.send_modify(|routes| {
            routes.epoch += 1;
            routes.primary = primary.map(|server| server.target.clone());
            let replica = |server: &&Server| Replica { target: server.target.clone(), accepts: true };
            routes.replicas = replicas.iter().map(replica).collect();
        });
    }
    pub async fn until(&self, condition: impl Fn(&Statistics) -> bool) {
        let wait = async {
            while !condition(&self.proxy.statistics()) {
                tokio::task::yield_now().await;
            }
        };
        let met = timeout(DEADLINE, wait).await;
        assert!(met.is_ok(), "never happened; the numbers are {:?}", self.proxy.statistics());
    }
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

pub async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut buffer = [0; 1024];
    let length = timeout(DEADLINE, stream.read(&mut buffer)).await.expect("no answer within the deadline")?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

pub async fn ask_on(stream: &mut TcpStream) -> io::Result<String> {
    stream.write_all(b"ping").await?;
    read(stream).await
}

pub async fn ask(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = connect(address).await;
    let answer = ask_on(&mut stream).await.unwrap();
    (stream, answer)
}

pub async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the stream never ended").unwrap();
    bytes
}

pub async fn assert_reset(stream: &mut TcpStream) {
    let error = read(stream).await.expect_err("the connection should have been reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

pub fn startup_packet() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0app\0database\0app\0\0";
    let mut packet = (u32::try_from(body.len()).unwrap() + 4).to_be_bytes().to_vec();
    packet.extend_from_slice(body);
    packet
}

pub fn request(code: u32) -> Vec<u8> {
    [8u32.to_be_bytes(), code.to_be_bytes()].concat()
}

pub fn assert_is_error(bytes: &[u8], message: &str) {
    assert_eq!(bytes.first(), Some(&b'E'), "{}", String::from_utf8_lossy(bytes));
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
    assert_eq!(length, bytes.len() - 1, "one message and nothing else");
    let fields: Vec<&[u8]> = bytes[5..].split(|byte| *byte == 0).collect();
    assert_eq!(fields[0], b"SFATAL");
    assert!(fields.contains(&format!("M{message}").as_bytes()), "{}", String::from_utf8_lossy(bytes));
}

/// A connection of PostgreSQL's kind that has a server: the servers here send back what they do not understand.
pub async fn introduce(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address).await;
    stream.write_all(&startup_packet()).await.unwrap();
    let answer = read(&mut stream).await.unwrap();
    assert_eq!(answer.as_bytes(), startup_packet());
    stream
}

/// Bytes that differ at every place, so that a lost, doubled or displaced piece shows.
pub fn pattern(start: usize, length: usize) -> Vec<u8> {
    (start..start + length).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// One raw server: the address to route to, and its listener.
pub async fn raw_server(world: &World) -> TcpListener {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let target = Target { member: "raw".to_owned(), address: listener.local_addr().unwrap().to_string() };
    world.routes.send_modify(|routes| routes.primary = Some(target));
    listener
}

/// A client and the server's end of its connection, which is what the two of them see of the proxy.
pub async fn pair(world: &World, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = connect(world.primary()).await;
    client.write_all(b"!").await.unwrap();
    let (mut server, _) = timeout(DEADLINE, listener.accept()).await.expect("the proxy connects").unwrap();
    assert_eq!(read(&mut server).await.unwrap(), "!");
    (client, server)
}
