//! TLS everywhere: REST API, store and the talk of its members, each with certificates from both sides.

use super::support::{Done, PATIENCE, World, download, eventually, options, run};
use drill::certificates::{ADMIN, Certificates};
use drill::cluster::ClusterOptions;
use drill::member::{Member, Part, ports};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, SystemTime};
use tls::{ClientFiles, ClientTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A certificate of an authority that nobody here knows.
const STRANGER: &str = "stranger";
/// What a member of another cluster would say to a member's peer port, and what it would hear.
const GREETING: [u8; 33] = {
    let mut bytes = [0; 33];
    let magic = *b"quorpeer";
    let mut at = 0;
    while at < magic.len() {
        bytes[at] = magic[at];
        at += 1;
    }
    bytes[at] = 1;
    bytes
};
const OTHER_CLUSTER: u8 = 3;

fn certificates(world: &World) -> &Certificates {
    world.certificates().unwrap()
}

async fn secured(options: ClusterOptions) -> World {
    let world = World::whole(ClusterOptions { secured: true, ..options }).await;
    let foreign = pki::Authority::create("somebody else", SystemTime::now()).unwrap();
    certificates(&world).issue_by(&foreign, STRANGER, Ipv4Addr::LOCALHOST).unwrap();
    world
}

#[test]
fn a_cluster_with_tls_everywhere_works_as_any_other_and_lets_no_stranger_in() {
    run(async {
        let mut world = secured(options("secured", 53)).await;
        let (leader, others) = world.roles().await;
        let (_, answer) = world.get(&leader, "/cluster").await;
        for member in answer["members"].as_array().unwrap() {
            assert!(member["api_url"].as_str().unwrap().starts_with("https://"), "{member}");
        }
        world.quorate("pg1", &["switchover", "demo", "--leader", &leader, "--candidate", &others[0], "--force"]).ok();
        assert_eq!(world.leader().await, others[0]);
        assert!(world.quorate("pg2", &["explain"]).ok().contains(&others[0]));

        assert_eq!(world.etcdctl(&["put", "/t/a", "1"]).ok(), "OK\n");
        assert_eq!(world.etcdctl(&["get", "/t/a"]).ok(), "/t/a\n1\n");
        let members = world.etcdctl(&["member", "list"]).ok();
        let urls = |member: &Member| format!("https://{0}:2380, https://{0}:2379", member.address);
        assert!(members.contains(&urls(world.named("pg2"))), "{members}");

        strangers_reach_nothing(&world).await;
        patronictl_works(&mut world).await;
        nothing_secret_is_in_the_logs(&world);
    });
}

async fn strangers_reach_nothing(world: &World) {
    let shown = |name: &str| certificates(world).identity(name);
    let stranger = |command: &mut Command| {
        let (certificate, key) = shown(STRANGER);
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
    };
    for with_certificate in [false, true] {
        let mut command = world.etcdctl_of_a_stranger();
        if with_certificate {
            stranger(&mut command);
        }
        command.args(["--dial-timeout", "1s", "--command-timeout", "2s", "put", "/t/a", "2"]);
        let done = Done::of(&mut command);
        assert_ne!(done.code, Some(0), "with a certificate: {with_certificate}; {}", done.out);
    }
    assert_eq!(world.etcdctl(&["get", "/t/a"]).ok(), "/t/a\n1\n");

    for member in world.members() {
        let (rest, store) = (world.rest_url(member, "/patroni"), format!("https://{}:2379/version", member.address));
        for url in [&rest, &store] {
            for name in [None, Some(STRANGER)] {
                let client = certificates(world).http(name, PATIENCE).unwrap();
                assert!(client.get(url).send().await.is_err(), "{name:?} {url}");
            }
            let plain = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
            assert!(plain.get(url.replace("https://", "http://")).send().await.is_err(), "{url}");
            let friend = certificates(world).http(Some(ADMIN), PATIENCE).unwrap();
            assert!(friend.get(url).send().await.unwrap().status().is_success(), "{url}");
        }
        // The same greeting, from three who are no members: only the one with a certificate is heard at all.
        assert_eq!(greet(world, member, Some(ADMIN)).await, Some(OTHER_CLUSTER));
        assert_eq!(greet(world, member, Some(STRANGER)).await, None);
        assert_eq!(greet(world, member, None).await, None);
        let mut plain = TcpStream::connect((member.address, ports::STORE_PEERS)).await.unwrap();
        plain.write_all(&GREETING).await.unwrap();
        // At most an alert of TLS, which begins with another number than any answer.
        let mut first = [0];
        let read = timeout(PATIENCE, plain.read(&mut first)).await.unwrap();
        assert!(read.is_err() || first[0] == 0 || first[0] == 0x15, "{first:?}");
    }
}

fn tls_as(world: &World, name: Option<&str>) -> ClientTls {
    let identity = name.map(|name| certificates(world).identity(name));
    let files = ClientFiles { authorities: Some(certificates(world).ca()), identity, ..Default::default() };
    ClientTls::open(files, &[]).unwrap()
}

/// The answer on a member's peer port.
async fn greet(world: &World, member: &Member, name: Option<&str>) -> Option<u8> {
    let stream = TcpStream::connect((member.address, ports::STORE_PEERS)).await.unwrap();
    let mut stream = tls_as(world, name).connect(&member.address.to_string(), stream, PATIENCE).await.ok()?;
    stream.write_all(&GREETING).await.ok()?;
    stream.flush().await.ok()?;
    timeout(PATIENCE, stream.read_u8()).await.unwrap().ok()
}

async fn patronictl_works(world: &mut World) {
    let (leader, others) = world.roles().await;
    let hosts: Vec<String> = world.members().iter().map(|member| format!("{}:2379", member.address)).collect();
    let (certificate, key) = certificates(world).identity(ADMIN);
    let ca = certificates(world).ca();
    let config = json!({
        "scope": "demo",
        "name": "ctl",
        "etcd3": { "hosts": hosts, "protocol": "https", "cacert": &ca, "cert": &certificate, "key": &key },
        "ctl": { "cacert": &ca, "certfile": &certificate, "keyfile": &key },
    });
    let file = world.options().directory.join("patronictl.yml");
    // JSON is YAML.
    std::fs::write(&file, config.to_string()).unwrap();
    let program = download("patroni").join("bin/patronictl");
    let patronictl = |arguments: &[&str]| Done::of(Command::new(&program).arg("-c").arg(&file).args(arguments));
    let listed: Vec<Value> = serde_json::from_str(&patronictl(&["list", "-f", "json"]).ok()).unwrap();
    assert_eq!(listed.len(), 3);
    let said = patronictl(&["switchover", "demo", "--leader", &leader, "--candidate", &others[0], "--force"]).ok();
    assert!(said.contains(&format!("Successfully switched over to \"{}\"", others[0])), "{said}");
    assert_eq!(world.leader().await, others[0]);
    // Our own command line takes the same file.
    let mut command = Command::new(&world.options().quorate);
    assert!(Done::of(command.arg("-c").arg(&file).arg("list")).ok().contains(&others[0]));
    let mut command = Command::new(&world.options().quorate);
    let done = Done::of(command.arg("-c").arg(&file).args(["reload", "demo", "pg1", "--force"]));
    assert_eq!(done.code, Some(0), "{}", done.err);
}

fn nothing_secret_is_in_the_logs(world: &World) {
    let mut secrets = vec!["PRIVATE KEY".to_owned(), world.password().to_owned()];
    for name in ["pg1", "pg2", "pg3", ADMIN] {
        let key = std::fs::read_to_string(certificates(world).identity(name).1).unwrap();
        secrets.push(key.lines().nth(1).unwrap().to_owned());
    }
    for member in world.members() {
        let log = std::fs::read_to_string(member.log_file()).unwrap();
        assert!(log.contains("INFO"), "there is a log");
        let found = secrets.iter().find(|secret| log.contains(secret.as_str()));
        assert_eq!(found, None, "in the log of {}", member.name);
    }
}

/// The certificate that a port shows now.
async fn shown(world: &World, member: &str, port: u16) -> Vec<u8> {
    let address = world.named(member).address;
    let stream = TcpStream::connect((address, port)).await.unwrap();
    // One that has never connected: who comes back is not shown the certificate again.
    let stream = tls_as(world, Some(ADMIN)).connect(&address.to_string(), stream, PATIENCE).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[test]
fn a_certificate_that_is_renewed_is_taken_up_without_a_restart() {
    run(async {
        let mut world = secured(options("renewed", 54)).await;
        let workers: Vec<i32> = world.members().iter().map(|member| member.worker().unwrap().pid).collect();
        for name in ["pg1", "pg2", "pg3"] {
            let all = [ports::REST, ports::STORE_CLIENTS, ports::STORE_PEERS];
            let mut before = Vec::new();
            for port in all {
                before.push(shown(&world, name, port).await);
            }
            let member = world.named(name);
            certificates(&world).issue(name, member.address).unwrap();
            for (port, before) in all.into_iter().zip(before) {
                eventually("the new certificate is shown", async || {
                    (shown(&world, name, port).await != before).then_some(())
                })
                .await;
            }
        }
        // Nobody was disturbed, and new connections work in both directions.
        let (leader, others) = world.roles().await;
        world.quorate("pg3", &["switchover", "demo", "--leader", &leader, "--candidate", &others[0], "--force"]).ok();
        assert_eq!(world.leader().await, others[0]);
        let now: Vec<i32> = world.members().iter().map(|member| member.worker().unwrap().pid).collect();
        assert_eq!(now, workers, "the workers have run on");
    });
}

#[test]
fn a_host_that_is_lost_is_failed_over_and_comes_back_under_tls_too() {
    run(async {
        let mut world = secured(options("secured-lost", 55)).await;
        let (leader, _) = world.roles().await;
        world.member_mut(&leader).unwrap().kill().unwrap();
        let new = timeout(PATIENCE, async {
            loop {
                let view = world.view().await.ok();
                match view.as_ref().and_then(|view| view.leader()).filter(|new| new.name != leader) {
                    Some(new) if new.state == "running" => return new.name.clone(),
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let new = new.await.expect("nobody took over");
        world.member_mut(&leader).unwrap().start().unwrap();
        world.whole_again().await;
        // A worker that comes back finds its old peers' connections gone and makes new ones.
        world.named(&new).kill_worker().unwrap();
        world.whole_again().await;
        // One that stood still for a moment goes on as a member.
        world.named(&leader).freeze(Part::Everything).unwrap();
        world.named(&leader).resume(Part::Everything).unwrap();
        world.whole_again().await;
    });
}
