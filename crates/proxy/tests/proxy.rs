//! The proxy between real sockets. The "servers" answer each line with their own name, so that a test sees where a
//! connection leads.

#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

use proxy::{Proxy, ProxyConfig, ProxyError, Routes, Service, Statistics, Target, serve};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// "At once" for a test: far below the hold time, far above scheduling noise.
const PROMPT: Duration = Duration::from_secs(2);

const LOCAL: &str = "127.0.0.1:0";

struct Server {
    target: Target,
    _tasks: JoinSet<()>,
}

async fn server(name: &str) -> Server {
    server_at(name, LOCAL).await
}

/// Answers "ping" with its name; at the end of the client's stream it says "bye" and closes.
async fn server_at(name: &str, address: &str) -> Server {
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

struct World {
    proxy: Proxy,
    routes: watch::Sender<Routes>,
    shutdown: CancellationToken,
}

async fn world(change: impl FnOnce(&mut ProxyConfig)) -> World {
    let local = LOCAL.parse().unwrap();
    let mut config =
        ProxyConfig { listen_primary: vec![local], listen_replicas: vec![local], ..ProxyConfig::default() };
    change(&mut config);
    let (routes, receiver) = watch::channel(Routes::default());
    let shutdown = CancellationToken::new();
    let proxy = serve(config, receiver, shutdown.clone()).await.unwrap();
    World { proxy, routes, shutdown }
}

impl World {
    fn primary(&self) -> SocketAddr {
        self.proxy.primary_addresses()[0]
    }
    fn replicas(&self) -> SocketAddr {
        self.proxy.replica_addresses()[0]
    }
    fn route(&self, primary: Option<&Server>, replicas: &[&Server]) {
        self.routes.send_modify(|routes| {
            routes.epoch += 1;
            routes.primary = primary.map(|server| server.target.clone());
            routes.replicas = replicas.iter().map(|server| server.target.clone()).collect();
        });
    }
    async fn until(&self, condition: impl Fn(&Statistics) -> bool) {
        let wait = async {
            while !condition(&self.proxy.statistics()) {
                tokio::task::yield_now().await;
            }
        };
        let met = timeout(DEADLINE, wait).await;
        assert!(met.is_ok(), "never happened; the numbers are {:?}", self.proxy.statistics());
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

async fn read(stream: &mut TcpStream) -> io::Result<String> {
    let mut buffer = [0; 1024];
    let length = timeout(DEADLINE, stream.read(&mut buffer)).await.expect("no answer within the deadline")?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

async fn ask_on(stream: &mut TcpStream) -> io::Result<String> {
    stream.write_all(b"ping").await?;
    read(stream).await
}

async fn ask(address: SocketAddr) -> (TcpStream, String) {
    let mut stream = connect(address).await;
    let answer = ask_on(&mut stream).await.unwrap();
    (stream, answer)
}

async fn read_to_end(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("the stream never ended").unwrap();
    bytes
}

async fn assert_reset(stream: &mut TcpStream) {
    let error = read(stream).await.expect_err("the connection should have been reset");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

fn startup_packet() -> Vec<u8> {
    let body = b"\0\x03\0\0user\0app\0database\0app\0\0";
    let mut packet = (u32::try_from(body.len()).unwrap() + 4).to_be_bytes().to_vec();
    packet.extend_from_slice(body);
    packet
}

fn request(code: u32) -> Vec<u8> {
    [8u32.to_be_bytes(), code.to_be_bytes()].concat()
}

fn assert_is_error(bytes: &[u8], message: &str) {
    assert_eq!(bytes.first(), Some(&b'E'), "{}", String::from_utf8_lossy(bytes));
    let length = u32::from_be_bytes(bytes[1..5].try_into().unwrap()) as usize;
    assert_eq!(length, bytes.len() - 1, "one message and nothing else");
    let fields: Vec<&[u8]> = bytes[5..].split(|byte| *byte == 0).collect();
    assert_eq!(fields[0], b"SFATAL");
    assert!(fields.contains(&format!("M{message}").as_bytes()), "{}", String::from_utf8_lossy(bytes));
}

#[tokio::test]
async fn each_port_leads_to_its_role() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let world = world(|_| {}).await;
    world.route(Some(&a), &[&b, &c]);
    assert_eq!(ask(world.primary()).await.1, "a");
    // Each new connection goes where there are fewer, so two that stay open are on two servers.
    let (first, second) = (ask(world.replicas()).await, ask(world.replicas()).await);
    let mut answers = [first.1, second.1];
    answers.sort();
    assert_eq!(answers, ["b", "c"]);
}

#[tokio::test]
async fn without_replicas_the_replica_port_leads_to_the_primary_if_it_may() {
    let a = server("a").await;
    let world = world(|_| {}).await;
    world.route(Some(&a), &[]);
    assert_eq!(ask(world.replicas()).await.1, "a");

    let strict = self::world(|config| {
        config.replicas_fall_back_to_primary = false;
        config.hold = Duration::from_millis(50);
    })
    .await;
    strict.route(Some(&a), &[]);
    let mut client = connect(strict.replicas()).await;
    client.write_all(&startup_packet()).await.unwrap();
    assert_is_error(&read_to_end(client).await, "no replica is available");
}

#[tokio::test]
async fn a_replica_that_refuses_is_passed_over() {
    let (down, up) = (server("down").await, server("up").await);
    let world = world(|_| {}).await;
    world.route(None, &[&down, &up]);
    drop(down);
    for _ in 0..8 {
        assert_eq!(ask(world.replicas()).await.1, "up");
    }
}

#[tokio::test]
async fn a_new_connection_is_held_until_there_is_a_primary_and_keeps_what_it_sent() {
    let a = server("a").await;
    let world = world(|_| {}).await;
    let mut client = connect(world.primary()).await;
    client.write_all(b"said before anybody listened").await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    world.route(Some(&a), &[]);
    assert_eq!(read(&mut client).await.unwrap(), "said before anybody listened");
    assert_eq!(ask_on(&mut client).await.unwrap(), "a");
    world.until(|now| now.primary.held_now == 0 && now.primary.connections_now == 1).await;
}

#[tokio::test]
async fn a_primary_that_refuses_is_tried_again_until_it_accepts() {
    let gone = server("a").await;
    let address = gone.target.address.clone();
    let world = world(|_| {}).await;
    world.route(Some(&gone), &[]);
    drop(gone);
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = connect(world.primary()).await;
        client.write_all(b"ping").await.unwrap();
        clients.push(client);
    }
    world.until(|now| now.primary.held_now == 50).await;
    let _back = server_at("a", &address).await;
    let start = Instant::now();
    for client in &mut clients {
        assert_eq!(read(client).await.unwrap(), "a");
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_held_connection_follows_the_routes_while_the_old_primary_is_silent() {
    // A listener whose queue is full answers nothing: the attempt hangs, as with a host that has lost its power.
    let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    silent.bind(&LOCAL.parse::<SocketAddr>().unwrap().into()).unwrap();
    silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    let mut filling = JoinSet::new();
    for _ in 0..4 {
        filling.spawn(TcpStream::connect(address));
    }
    let _full = filling.join_next().await;

    let b = server("b").await;
    let world = world(|config| config.connect_timeout = DEADLINE).await;
    let target = Target { member: "a".to_owned(), address: address.to_string() };
    world.routes.send_modify(|routes| routes.primary = Some(target));
    let mut client = connect(world.primary()).await;
    client.write_all(b"ping").await.unwrap();
    world.until(|now| now.primary.connections_now == 1).await;
    let start = Instant::now();
    world.route(Some(&b), &[]);
    assert_eq!(read(&mut client).await.unwrap(), "b");
    assert!(start.elapsed() < PROMPT, "the hanging attempt was waited for: {:?}", start.elapsed());
}

#[tokio::test]
async fn connections_to_a_member_that_is_no_longer_primary_are_reset_at_once() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world(|_| {}).await;
    world.route(Some(&a), &[&b]);
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(ask(world.primary()).await.0);
    }
    let start = Instant::now();
    world.route(None, &[&b]);
    for client in &mut clients {
        assert_reset(client).await;
    }
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    world.until(|now| now.primary.cut_total == 20 && now.primary.connections_now == 0).await;
    world.route(Some(&b), &[&a]);
    assert_eq!(ask(world.primary()).await.1, "b");
}

#[tokio::test]
async fn the_same_primary_under_a_new_epoch_keeps_its_connections() {
    let (a, b) = (server("a").await, server("b").await);
    let world = world(|_| {}).await;
    world.route(Some(&a), &[]);
    let (mut client, _) = ask(world.primary()).await;
    world.route(Some(&a), &[&b]);
    world.route(Some(&a), &[]);
    assert_eq!(ask_on(&mut client).await.unwrap(), "a");
    assert_eq!(world.proxy.statistics().primary.cut_total, 0);
}

#[tokio::test]
async fn readers_stay_on_a_replica_that_became_primary_and_leave_one_that_is_gone() {
    let (a, b, c) = (server("a").await, server("b").await, server("c").await);
    let world = world(|_| {}).await;
    world.route(Some(&a), &[&b]);
    let (mut on_b, answer) = ask(world.replicas()).await;
    assert_eq!(answer, "b");
    world.route(Some(&b), &[&c]);
    assert_eq!(ask_on(&mut on_b).await.unwrap(), "b", "it answers as before");
    let (mut on_c, answer) = ask(world.replicas()).await;
    assert_eq!(answer, "c");
    world.route(Some(&b), &[]);
    assert_reset(&mut on_c).await;
    assert_eq!(ask_on(&mut on_b).await.unwrap(), "b");
}

#[tokio::test]
async fn nobody_telling_the_roles_any_more_cuts_everything() {
    let a = server("a").await;
    let World { proxy, routes, shutdown: _shutdown } = world(|_| {}).await;
    routes.send_modify(|routes| routes.primary = Some(a.target.clone()));
    let (mut client, _) = ask(proxy.primary_addresses()[0]).await;
    drop(routes);
    assert_reset(&mut client).await;
}

#[tokio::test]
async fn a_redis_client_whose_hold_time_is_over_reads_an_error_reply() {
    let world = world(|config| {
        config.service = Service::Redis;
        config.hold = Duration::from_millis(50);
    })
    .await;
    for said in ["", "*1\r\n$4\r\nPING\r\n"] {
        let mut client = connect(world.primary()).await;
        client.write_all(said.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_to_end(client).await).unwrap();
        assert!(answer.starts_with("-ERR no Redis master is available") && answer.ends_with("\r\n"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_client_whose_hold_time_is_over_reads_a_postgresql_error() {
    let world = world(|config| config.hold = Duration::from_millis(50)).await;
    for encryption_requests in [&[][..], &[80_877_103], &[80_877_104], &[80_877_104, 80_877_103]] {
        let mut client = connect(world.primary()).await;
        for code in encryption_requests {
            client.write_all(&request(*code)).await.unwrap();
            assert_eq!(read(&mut client).await.unwrap(), "N");
        }
        // In two pieces, as a slow network may deliver it.
        let packet = startup_packet();
        client.write_all(&packet[..5]).await.unwrap();
        tokio::task::yield_now().await;
        client.write_all(&packet[5..]).await.unwrap();
        assert_is_error(&read_to_end(client).await, "no primary is available");
    }
    assert_eq!(world.proxy.statistics().primary.refused_total, 4);
}

#[tokio::test]
async fn what_is_not_postgresql_is_closed_without_a_word_and_bothers_nobody() {
    let world = world(|config| config.hold = Duration::from_millis(50)).await;
    let oversized = [20_000u32.to_be_bytes(), 196_608u32.to_be_bytes()].concat();
    let endless = [request(80_877_103), request(80_877_103), request(80_877_103), request(80_877_103)].concat();
    let cancel = [16u32, 80_877_102, 1, 2].map(u32::to_be_bytes).concat();
    let cases: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01",
        b"\0\0\0\0\0\0\0\0",
        &oversized,
        &endless,
        &cancel,
        &[0xFF; 12_000],
    ];
    for garbage in cases {
        let mut client = connect(world.primary()).await;
        // The proxy may close while we are still sending.
        let _ = client.write_all(garbage).await;
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, client.read_to_end(&mut answer)).await.expect("closed within the deadline");
        assert!(answer.iter().all(|byte| *byte == b'N'), "{answer:?}");
        assert!(answer.len() <= 3);
    }
    // Silent ones: a scanner that only connects, and one that stops in the middle.
    let silent = connect(world.primary()).await;
    let mut half = connect(world.primary()).await;
    half.write_all(&startup_packet()[..9]).await.unwrap();
    assert_eq!(read_to_end(silent).await, b"");
    let mut rest = Vec::new();
    let _ = timeout(DEADLINE, half.read_to_end(&mut rest)).await.expect("closed within the deadline");
    assert_eq!(rest, b"");
    world.until(|now| now.primary.connections_now == 0).await;

    let a = server("a").await;
    world.route(Some(&a), &[]);
    assert_eq!(ask(world.primary()).await.1, "a");
}

#[tokio::test]
async fn a_client_that_gives_up_while_held_is_forgotten() {
    let world = world(|config| config.hold = Duration::from_hours(1)).await;
    let mut client = connect(world.primary()).await;
    client.write_all(&startup_packet()).await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    drop(client);
    world.until(|now| now.primary.held_now == 0 && now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn too_many_connections_are_told_so() {
    let a = server("a").await;
    let world = world(|config| config.connections_max = 2).await;
    world.route(Some(&a), &[]);
    let (first, _) = ask(world.primary()).await;
    let (_second, _) = ask(world.replicas()).await;
    let mut third = connect(world.primary()).await;
    third.write_all(&startup_packet()).await.unwrap();
    assert_is_error(&read_to_end(third).await, "too many connections through the proxy");
    drop(first);
    world.until(|now| now.primary.connections_now == 0).await;
    assert_eq!(ask(world.primary()).await.1, "a");
}

#[tokio::test]
async fn half_a_close_is_passed_on() {
    let a = server("a").await;
    let world = world(|_| {}).await;
    world.route(Some(&a), &[]);
    let (mut client, _) = ask(world.primary()).await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(client).await, b"bye", "the server may still answer");
    world.until(|now| now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_port_in_use_is_named_with_a_hint() {
    let taken = TcpListener::bind(LOCAL).await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = ProxyConfig { listen_primary: vec![address], ..ProxyConfig::default() };
    let error = serve(config, watch::channel(Routes::default()).1, CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ProxyError::PortInUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("hint: "), "{text}");
}

#[tokio::test]
async fn shutdown_closes_ports_and_connections() {
    let a = server("a").await;
    let world = world(|_| {}).await;
    world.route(Some(&a), &[]);
    let (client, _) = ask(world.primary()).await;
    let address = world.primary();
    world.shutdown.cancel();
    timeout(DEADLINE, world.proxy.stopped()).await.expect("everything ends");
    assert_eq!(read_to_end(client).await, b"");
    assert!(TcpStream::connect(address).await.is_err());
    let numbers = world.proxy.statistics().primary;
    assert_eq!((numbers.connections_now, numbers.connections_total), (0, 1));
}
