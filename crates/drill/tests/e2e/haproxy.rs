//! HAProxy, the distribution's one, with the configuration that is printed for it: it follows a switchover and a failover
//! by the REST API, and the checks of many of its kind cost a member little.

use super::support::{Done, World, address, eventually, options, run};
use drill::cluster::RedisParts;
use drill::member::ports;
use drill::redis::client::Login;
use drill::writer;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const RANGE: u8 = 33;
const PROGRAM: &str = "/usr/sbin/haproxy";
const WHO: &str = "SELECT host(inet_server_addr())";
/// A bigger installation's load balancers and monitoring, and as many checks as they make in some minutes.
const CHECKERS: usize = 100;
const CHECKS_OF_EACH: usize = 100;
/// Measured: 1.3 MB and 0.02 ms with a development build. The rest is for what else the member does meanwhile.
const GROWTH_MB_MAX: f64 = 20.0;
const PROCESSOR_MS_MAX: f64 = 1.0;

#[test]
fn haproxy_follows_the_cluster_with_the_printed_configuration() {
    run(async {
        let mut world =
            World::whole(drill::cluster::ClusterOptions { redis: RedisParts::Server, ..options("haproxy", RANGE) })
                .await;
        let haproxy = HaProxy::start(&world);
        let (leader, _) = world.roles().await;
        leads_to(&world, &haproxy, &leader).await;
        the_other_port_leads_to_a_replica(&world, &haproxy, &leader).await;
        the_third_one_to_the_redis_master(&world, &haproxy).await;

        let session = writer::connect(&haproxy.login(&world, ports::PROXY_PRIMARY)).await.unwrap();
        world.switchover(&leader).await.unwrap();
        let second = world.leader().await;
        leads_to(&world, &haproxy, &second).await;
        eventually("the old session is cut", async || session.simple_query("SELECT 1").await.err()).await;
        the_other_port_leads_to_a_replica(&world, &haproxy, &second).await;

        world.member_mut(&second).unwrap().kill().unwrap();
        let third = eventually("somebody else leads", async || {
            let view = world.view().await.ok()?;
            view.leader().map(|leader| leader.name.clone()).filter(|name| *name != second)
        })
        .await;
        leads_to(&world, &haproxy, &third).await;
        the_third_one_to_the_redis_master(&world, &haproxy).await;
        world.member_mut(&second).unwrap().start().unwrap();
        world.whole_again().await;
        what_cannot_be_printed_is_said(&world);
        many_checkers_cost_little(&world, &third).await;
    });
}

/// Eventually: it asks four times a second.
async fn leads_to(world: &World, haproxy: &HaProxy, member: &str) {
    let wanted = world.named(member).address.to_string();
    eventually(&format!("HAProxy leads to {member}"), async || {
        (haproxy.ask(world, ports::PROXY_PRIMARY).await? == wanted).then_some(())
    })
    .await;
}

async fn the_other_port_leads_to_a_replica(world: &World, haproxy: &HaProxy, leader: &str) {
    let leader = world.named(leader).address.to_string();
    eventually("HAProxy leads to a replica", async || {
        let answers = haproxy.ask(world, ports::PROXY_REPLICAS).await?;
        (answers != leader).then_some(())
    })
    .await;
}

async fn the_third_one_to_the_redis_master(world: &World, haproxy: &HaProxy) {
    let address = SocketAddr::from((haproxy.address, ports::PROXY_REDIS));
    let login = Login { address, password: Some(world.password().to_owned()) };
    eventually("HAProxy leads to the Redis master", async || {
        let answer = login.ask_text(&["INFO", "replication"]).await.ok()?;
        answer.contains("role:master").then_some(())
    })
    .await;
}

fn what_cannot_be_printed_is_said(world: &World) {
    for (arguments, said) in [
        (&["haproxy-config", "--lag", "16 MB"][..], "not a number of bytes"),
        (&["haproxy-config", "--bind", "a b"], "not an address"),
        (&["haproxy-config", "--checks-every", "1"], "50..=60000"),
        (&["haproxy-config", "--port", "0"], "not in 1.."),
    ] {
        let error = world.quorate("pg1", arguments).failed(2);
        assert!(error.contains(said), "{arguments:?}: {error}");
    }
}

async fn many_checkers_cost_little(world: &World, leader: &str) {
    let member = world.named(leader);
    let api = SocketAddr::from((member.address, ports::REST));
    let worker = member.worker().unwrap();
    let (memory, processor) = (worker.resident_mb(), worker.processor_s());
    let mut checkers = tokio::task::JoinSet::new();
    for number in 0..CHECKERS {
        let method = ["OPTIONS", "HEAD", "GET"][number % 3];
        checkers.spawn(async move { check_again_and_again(api, method).await });
    }
    while let Some(done) = checkers.join_next().await {
        done.unwrap();
    }
    let worker = member.worker().unwrap();
    let checks = (CHECKERS * CHECKS_OF_EACH) as f64;
    let (grown, each_ms) = (worker.resident_mb() - memory, (worker.processor_s() - processor) * 1000.0 / checks);
    println!("{checks} checks on {CHECKERS} kept connections: {grown:.1} MB more, {each_ms:.3} ms of a core each");
    assert!(grown < GROWTH_MB_MAX, "{grown:.1} MB more");
    assert!(each_ms < PROCESSOR_MS_MAX, "{each_ms:.3} ms of a core for each check");
}

/// On one connection.
async fn check_again_and_again(api: SocketAddr, method: &str) {
    let mut connection = TcpStream::connect(api).await.unwrap();
    let request = format!("{method} /primary HTTP/1.1\r\nHost: quorate\r\nConnection: keep-alive\r\n\r\n");
    for _ in 0..CHECKS_OF_EACH {
        connection.write_all(request.as_bytes()).await.unwrap();
        let head = read_answer(&mut connection, method == "GET").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
}

/// The head; the body is read and thrown away.
async fn read_answer(connection: &mut TcpStream, has_body: bool) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = connection.read(&mut part).await.unwrap();
        assert!(length > 0, "cut off after {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
        if !has_body || body.len() >= length.unwrap_or(0) {
            return head.to_owned();
        }
    }
}

/// It ends with this.
struct HaProxy {
    address: Ipv4Addr,
    child: Child,
}

impl HaProxy {
    fn start(world: &World) -> Self {
        let address = address(RANGE, 30);
        let bind = address.to_string();
        let arguments =
            ["haproxy-config", "--bind", &bind, "--checks-every", "250", "--stats-port", "7000", "--lag", "16MB"];
        let text = world.quorate("pg1", &arguments).ok();
        let path: PathBuf = world.options().directory.join("haproxy.cfg");
        std::fs::write(&path, &text).unwrap();
        // Without a warning, too.
        let checked = Done::of(Command::new(PROGRAM).args(["-c", "-f"]).arg(&path));
        assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{}\n{text}", checked.out);
        let log = std::fs::File::create(world.options().directory.join("haproxy.log")).unwrap();
        let child = Command::new(PROGRAM)
            .args(["-db", "-f"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { address, child }
    }

    fn login(&self, world: &World, port: u16) -> tokio_postgres::Config {
        writer::login(self.address.into(), port, world.password())
    }

    async fn ask(&self, world: &World, port: u16) -> Option<String> {
        let client = writer::connect(&self.login(world, port)).await.ok()?;
        client.simple_query(WHO).await.ok()?.iter().find_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
