//! Scanners, garbage, connections that say half of something or nothing, by the hundred and on every port of the leader: who
//! has work to do does not notice, nobody takes the leadership over, and the agent does not grow.

use super::support::{World, eventually, options_with_default_lease, run};
use drill::cluster::{ClusterOptions, RedisParts};
use drill::member::ports;
use drill::writer::{Clock, Pace, Writer, prepare_table};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Everything that the agent itself listens on.
const PORTS: [u16; 7] = [
    ports::REST,
    ports::STORE_CLIENTS,
    ports::STORE_PEERS,
    ports::PROXY_PRIMARY,
    ports::PROXY_REPLICAS,
    ports::PROXY_REDIS,
    ports::SENTINEL,
];
const SCANS_OF_EACH_PORT: usize = 300;
const GARBAGE_OF_EACH_PORT: usize = 100;
/// Together more than a person's mistake, fewer than the open files that an ordinary user may have.
const SILENT_OF_EACH_PORT: usize = 100;
/// Longer than this the writer's time between two confirmations is not a machine that stalls.
const GAP_MAX: Duration = Duration::from_secs(1);
/// Measured: 6 MB with a development build.
const GROWTH_MB_MAX: f64 = 40.0;
const GARBAGE: [&[u8]; 6] = [
    b"\0\x01\x02\xff\xfe\xfd\xfc",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    b"*2147483647\r\n$2147483647\r\n",
    b"\x7f\xff\xff\xff\0\x03\0\0user\0postgres\0\0",
    b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n{",
];
/// The first words of something that never comes.
const HALVES: [&[u8]; 4] = [b"", b"GET /patroni HT", b"\0\0\0\x50\0\x03\0\0us", b"*3\r\n$9\r\nSUBS"];

#[test]
fn nobody_notices_hundreds_of_hostile_clients_on_every_port_of_the_leader() {
    run(async {
        let options = options_with_default_lease("hostile", 34);
        let mut world = World::whole(ClusterOptions { redis: RedisParts::ServerAndSentinel, ..options }).await;
        let (leader, others) = world.roles().await;
        let epoch = epoch(&world);
        let target = world.named(&leader).address;
        let login = world.login(world.named(&others[0]), ports::PROXY_PRIMARY);
        prepare_table(&login).await.unwrap();
        let worker = world.named(&leader).worker().unwrap();
        let clock = Clock::start();
        let writer = Writer::start(login, "hostile", Pace::default(), clock);
        eventually("it writes", async || writer.last().filter(|last| last.number > 20)).await;
        let before_mb = worker.resident_mb();
        let begun_us = clock.now_us();

        scan(target).await;
        throw_garbage(target).await;
        let silent = be_silent(target).await;
        let among_them = clock.now_us();
        eventually("the writer goes on among them", async || {
            writer.last().filter(|last| last.at_us > among_them && last.number > 100)
        })
        .await;
        let grown_mb = worker.resident_mb() - before_mb;
        // An honest client gets through, too.
        assert_eq!(world.try_ask(&leader, ports::PROXY_PRIMARY, "SELECT 'served'").await.unwrap(), "served");
        assert_eq!(world.get(&leader, "/primary").await.0, 200);
        drop(silent);

        let record = writer.stop().await;
        let gap = Duration::from_micros(record.gap_us(begun_us).unwrap());
        println!("longest gap {gap:?}, {} errors, {grown_mb:.1} MB grown", record.errors_after(begun_us));
        assert_eq!(record.errors_after(begun_us), 0);
        assert!(gap < GAP_MAX, "{gap:?}");
        assert!(grown_mb < GROWTH_MB_MAX, "{grown_mb} MB");
        assert_eq!(world.named(&leader).worker().unwrap().pid, worker.pid, "the worker is the same");
        assert_eq!((world.leader().await, self::epoch(&world)), (leader, epoch));
    });
}

/// Names one leadership: the revision at which its key was made.
fn epoch(world: &World) -> String {
    let key = format!("/service/{}/leader", world.scope());
    let answer: serde_json::Value = serde_json::from_str(&world.etcdctl(&["get", "-w", "json", &key]).ok()).unwrap();
    answer["kvs"][0]["create_revision"].to_string()
}

/// Comes and goes.
async fn scan(target: Ipv4Addr) {
    for port in PORTS {
        for _ in 0..SCANS_OF_EACH_PORT {
            drop(TcpStream::connect((target, port)).await.unwrap());
        }
    }
}

/// Everybody says something else, and takes whatever is answered.
async fn throw_garbage(target: Ipv4Addr) {
    let mut all = JoinSet::new();
    for port in PORTS {
        for number in 0..GARBAGE_OF_EACH_PORT {
            all.spawn(say(SocketAddr::from((target, port)), GARBAGE[number % GARBAGE.len()]));
        }
    }
    all.join_all().await;
}

async fn say(target: SocketAddr, what: &'static [u8]) {
    let Ok(mut stream) = TcpStream::connect(target).await else { return };
    let _ = stream.write_all(what).await;
    let mut answer = vec![0; 4096];
    // Some wait for the rest of it, as they should.
    let _ = timeout(Duration::from_secs(2), stream.read(&mut answer)).await;
}

async fn be_silent(target: Ipv4Addr) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for port in PORTS {
        for number in 0..SILENT_OF_EACH_PORT {
            let mut stream = TcpStream::connect((target, port)).await.unwrap();
            let _ = stream.write_all(HALVES[number % HALVES.len()]).await;
            silent.push(stream);
        }
    }
    silent
}
