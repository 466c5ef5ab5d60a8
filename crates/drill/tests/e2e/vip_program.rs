//! Programs that only follow a key: the distribution's vip-manager on our store, and `quorate vip` on a real etcd; with
//! addresses on cards, and with one that a provider routes.

use crate::support::{Done, Running, World, eventually, options, program, run, run_on};
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use drill::address_scenario::{CLIENT, network, place};
use drill::certificates::{ADMIN, Certificates};
use drill::net::{Claim, ClaimKind, Host, Network, program_in};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const KEY: &str = "/service/shop/leader";

struct Killed(Child);

impl Killed {
    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.0.id() as i32).unwrap(), signal).unwrap();
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn follow(mut command: Command, vip: IpAddr, key: &str, value: &str, etcd: Ipv4Addr) -> Command {
    let prefix = if vip.is_ipv4() { "24" } else { "64" };
    command.args(["--ip", &vip.to_string(), "--netmask", prefix, "--interface", drill::net::CARD]);
    command.args(["--trigger-key", key, "--trigger-value", value, "--dcs-type", "etcd"]);
    command.args(["--dcs-endpoints", &format!("http://{etcd}:2379")]);
    command
}

async fn held_by(network: &Network, vip: IpAddr, holders: &[&str]) {
    let what = format!("{vip} is on {holders:?}");
    eventually(&what, async || (network.holders_of(vip).unwrap() == holders).then_some(())).await;
}

#[test]
fn the_distributions_vip_manager_follows_our_leader_key() {
    let network = network("qstock", 103).unwrap();
    let client = network.host(CLIENT).unwrap().clone();
    run_on(&client, async {
        let mut options = options("vip-stock", 0);
        place(&mut options, &network);
        let mut world = World::whole(options).await;
        let vip = IpAddr::from(network.spare_address(43));
        let key = format!("/service/{}/leader", world.scope());
        let stock = |host: &Host| {
            let command = program_in(&host.namespace, "vip-manager");
            Running::start(follow(command, vip, &key, &host.name, host.address))
        };
        let _managers: Vec<Running> = network.hosts().iter().take(3).map(stock).collect();
        let leader = world.leader().await;
        held_by(&network, vip, &[&leader]).await;
        world.switchover(&leader).await.unwrap();
        let next = world.leader().await;
        assert_ne!(next, leader);
        held_by(&network, vip, &[&next]).await;
    });
}

/// TLS for a program that follows: the authority, and a certificate to show.
fn with_certificates(mut command: Command, certificates: &Certificates) -> Command {
    let (certificate, key) = certificates.identity(ADMIN);
    command.arg("--etcd-ca-file").arg(certificates.ca());
    command.arg("--etcd-cert-file").arg(certificate).arg("--etcd-key-file").arg(key);
    command
}

#[test]
fn with_tls_everywhere_both_follow_the_leader_by_the_store_and_by_the_rest_api() {
    let network = network("qvts", 105).unwrap();
    let client = network.host(CLIENT).unwrap().clone();
    run_on(&client, async {
        let mut options = options("vip-secured", 0);
        options.secured = true;
        place(&mut options, &network);
        let mut world = World::whole(options).await;
        let (by_store, by_rest) = (IpAddr::from(network.spare_address(43)), IpAddr::from(network.spare_address(44)));
        let key = format!("/service/{}/leader", world.scope());
        let mut running = Vec::new();
        for host in network.hosts().iter().take(3) {
            let certificates = world.certificates().unwrap();
            let mut stock = program_in(&host.namespace, "vip-manager");
            stock.args(["--ip", &by_store.to_string(), "--netmask", "24", "--interface", drill::net::CARD]);
            stock.args(["--trigger-key", &key, "--trigger-value", &host.name, "--dcs-type", "etcd"]);
            stock.args(["--dcs-endpoints", &format!("https://{}:2379", host.address)]);
            running.push(Killed::start(with_certificates(stock, certificates)));
            let mut ours = program_in(&host.namespace, program("quorate"));
            ours.args(["vip", "--ip", &by_rest.to_string(), "--netmask", "24", "--interface", drill::net::CARD]);
            ours.args(["--dcs-type", "patroni", "--dcs-endpoints", &format!("https://{}:8008", host.address)]);
            running.push(Killed::start(with_certificates(ours, certificates)));
        }
        let leader = world.leader().await;
        for vip in [by_store, by_rest] {
            held_by(&network, vip, &[&leader]).await;
        }
        world.switchover(&leader).await.unwrap();
        let next = world.leader().await;
        assert_ne!(next, leader);
        for vip in [by_store, by_rest] {
            held_by(&network, vip, &[&next]).await;
        }
    });
}

#[test]
fn quorate_vip_follows_a_key_in_a_real_etcd_with_tls() {
    let mut network = Network::new(&format!("qvte{}", std::process::id()), [198, 18, 106]).unwrap();
    for (name, last) in [("a", 11), ("b", 12), ("etcd", 13)] {
        network.add_host(name, last).unwrap();
    }
    let host = |name: &str| network.host(name).unwrap().clone();
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(directory.path(), None).unwrap();
        let etcd = RealEtcd::start_secured(&host("etcd"), &certificates);
        let vip = IpAddr::from(network.spare_address(43));
        let command = |name: &str| {
            let mut command = program_in(&host(name).namespace, program("quorate"));
            command.arg("vip");
            let command = follow(command, vip, KEY, name, host("etcd").address);
            with_certificates(command, &certificates)
        };
        // The last of two counts, as with all of its settings.
        let secured = |name: &str| {
            let mut command = command(name);
            command.args(["--dcs-endpoints", &format!("https://{}:2379", host("etcd").address)]);
            command
        };
        let _a = Killed::start(secured("a"));
        let _b = Killed::start(secured("b"));
        for name in ["a", "b"] {
            etcd.put(name).await;
            held_by(&network, vip, &[name]).await;
        }
        // A file that is missing is said at the start.
        let mut wrong = secured("a");
        wrong.args(["--etcd-ca-file", "/nowhere/ca.pem"]);
        let error = Done::of(&mut wrong).failed(1);
        assert!(error.contains("there is no file /nowhere/ca.pem") && error.contains("hint:"), "{error}");
        etcd.put("nobody").await;
        held_by(&network, vip, &[]).await;
    });
}

struct RealEtcd {
    process: Killed,
    host: Host,
    /// What etcdctl needs.
    options: Vec<OsString>,
    _directory: tempfile::TempDir,
}

impl RealEtcd {
    fn start(host: &Host) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("http://{}:2379", host.address);
        let mut command = program_in(&host.namespace, "etcd");
        command.args(["--data-dir", directory.path().to_str().unwrap()]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        Self { process: Killed::start(command), host: host.clone(), options: Vec::new(), _directory: directory }
    }

    /// It wants certificates from its clients.
    fn start_secured(host: &Host, certificates: &Certificates) -> Self {
        certificates.issue("etcd", host.address).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let url = format!("https://{}:2379", host.address);
        let (certificate, key) = certificates.identity("etcd");
        let mut command = program_in(&host.namespace, "etcd");
        command.args(["--data-dir", directory.path().to_str().unwrap()]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url, "--client-cert-auth"]);
        command.arg("--trusted-ca-file").arg(certificates.ca());
        command.arg("--cert-file").arg(certificate).arg("--key-file").arg(key);
        let (certificate, key) = certificates.identity(ADMIN);
        let options: [OsString; 6] = [
            "--cacert".into(),
            certificates.ca().into(),
            "--cert".into(),
            certificate.into(),
            "--key".into(),
            key.into(),
        ];
        Self { process: Killed::start(command), host: host.clone(), options: options.into(), _directory: directory }
    }

    async fn put(&self, value: &str) {
        eventually("etcd takes a value", async || {
            let mut command = program_in(&self.host.namespace, "etcdctl");
            command.env("ETCDCTL_API", "3").args(["--endpoints", &format!("{}:2379", self.host.address)]);
            command.args(&self.options);
            let done = command.args(["put", KEY, value]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            done.unwrap().success().then_some(())
        })
        .await;
    }
}

#[test]
fn quorate_vip_follows_a_key_in_a_real_etcd() {
    let mut network = Network::new(&format!("qvm{}", std::process::id()), [198, 18, 104]).unwrap();
    for (name, last) in [("a", 11), ("b", 12), ("etcd", 13)] {
        network.add_host(name, last).unwrap();
    }
    let host = |name: &str| network.host(name).unwrap().clone();
    run(async {
        let etcd = RealEtcd::start(&host("etcd"));
        let vip = IpAddr::from(network.spare_address(43));
        let directory = tempfile::tempdir().unwrap();
        // Under the name of the program whose place it takes.
        let named = directory.path().join("vip-manager");
        std::os::unix::fs::symlink(program("quorate"), &named).unwrap();
        let start = |name: &str, named: &Path| {
            let command = program_in(&host(name).namespace, named);
            Killed::start(follow(command, vip, KEY, name, host("etcd").address))
        };
        let (a, b) = (start("a", &named), start("b", &named));
        etcd.put("a").await;
        held_by(&network, vip, &["a"]).await;
        etcd.put("b").await;
        held_by(&network, vip, &["b"]).await;
        etcd.put("nobody").await;
        held_by(&network, vip, &[]).await;
        etcd.put("b").await;
        held_by(&network, vip, &["b"]).await;

        // Nobody answers: it stays for its time and goes. Then it comes back, without any change of the key.
        etcd.process.signal(Signal::STOP);
        held_by(&network, vip, &[]).await;
        etcd.process.signal(Signal::CONT);
        held_by(&network, vip, &["b"]).await;

        // A frozen one loses it to the kernel, and a signal ends both.
        b.signal(Signal::STOP);
        held_by(&network, vip, &[]).await;
        b.signal(Signal::CONT);
        held_by(&network, vip, &["b"]).await;
        for signal in [Signal::HUP, Signal::QUIT, Signal::INT, Signal::TERM] {
            etcd.put("a").await;
            held_by(&network, vip, &["a"]).await;
            etcd.put("c").await;
            held_by(&network, vip, &[]).await;
            let c = {
                let command = program_in(&host("a").namespace, &named);
                Killed::start(follow(command, vip, KEY, "c", host("etcd").address))
            };
            held_by(&network, vip, &["a"]).await;
            c.signal(signal);
            held_by(&network, vip, &[]).await;
        }
        drop((a, b));

        // IPv6: set without the kernel's search for duplicates, and announced.
        let v6: IpAddr = "fd00:198:18::43".parse().unwrap();
        let capture = network.capture().unwrap();
        etcd.put("a").await;
        let command = program_in(&host("a").namespace, &named);
        let six = Killed::start(follow(command, v6, KEY, "a", host("etcd").address));
        held_by(&network, v6, &["a"]).await;
        eventually("the neighbours are told", async || {
            let told = |claim: &Claim| claim.kind == ClaimKind::NeighbourAdvertisement && claim.mac == host("a").mac;
            capture.claims_of(v6).iter().any(told).then_some(())
        })
        .await;
        six.signal(Signal::TERM);
        held_by(&network, v6, &[]).await;
    });
}

/// Hetzner's web service with one failover address, as far as it is used.
#[derive(Clone, Default)]
struct Robot {
    active: Arc<Mutex<Option<String>>>,
    looks: Arc<AtomicUsize>,
    changes: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
}

impl Robot {
    const IP: &str = "203.0.113.42";
    /// `admin:p=ss`.
    const AUTHORIZATION: &str = "Basic YWRtaW46cD1zcw==";

    async fn serve(&self, address: Ipv4Addr) -> String {
        let path = format!("/failover/{}", Self::IP);
        let robot = self.clone();
        let look = {
            let robot = self.clone();
            move |headers: HeaderMap| async move { robot.answer(&headers, None) }
        };
        let change = move |headers: HeaderMap, body: String| async move {
            robot.answer(&headers, Some(body.strip_prefix("active_server_ip=").unwrap().to_owned()))
        };
        let listener = tokio::net::TcpListener::bind((address, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().route(&path, axum::routing::get(look).post(change));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn answer(&self, headers: &HeaderMap, change: Option<String>) -> (StatusCode, Json<serde_json::Value>) {
        if headers.get("authorization").is_none_or(|value| value != Self::AUTHORIZATION) {
            self.strangers.fetch_add(1, Ordering::SeqCst);
            let error = json!({ "status": 401, "code": "UNAUTHORIZED", "message": "Unauthorized" });
            return (StatusCode::UNAUTHORIZED, Json(json!({ "error": error })));
        }
        let mut active = self.active.lock().unwrap();
        if let Some(server) = change {
            if active.as_ref() == Some(&server) {
                let error = json!({ "status": 409, "code": "FAILOVER_ALREADY_ROUTED", "message": "already" });
                return (StatusCode::CONFLICT, Json(json!({ "error": error })));
            }
            self.changes.fetch_add(1, Ordering::SeqCst);
            *active = Some(server);
        } else {
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
        let failover = json!({
            "ip": Self::IP, "netmask": "255.255.255.255", "server_ip": "192.0.2.1", "server_number": 321,
            "active_server_ip": *active,
        });
        (StatusCode::OK, Json(json!({ "failover": failover })))
    }
}

#[test]
fn a_failover_address_of_hetzner_is_led_to_the_host_that_the_key_names() {
    let mut network = Network::new(&format!("qhz{}", std::process::id()), [198, 18, 105]).unwrap();
    for (name, last) in [("a", 11), ("b", 12), ("etcd", 13)] {
        network.add_host(name, last).unwrap();
    }
    let host = |name: &str| network.host(if name == "c" { "a" } else { name }).unwrap().clone();
    run_on(&host("etcd"), async {
        let etcd = RealEtcd::start(&host("etcd"));
        let robot = Robot::default();
        let api = robot.serve(host("etcd").address).await;
        let directory = tempfile::tempdir().unwrap();
        let credentials = directory.path().join("hetzner");
        std::fs::write(&credentials, "user=\"admin\"\npass=\"p=ss\"\n").unwrap();
        let start = |name: &str, server: &str| {
            let mut command = program_in(&host(name).namespace, program("quorate"));
            command.arg("vip");
            let mut command = follow(command, Robot::IP.parse().unwrap(), KEY, name, host("etcd").address);
            command.args(["--manager-type", "hetzner", "--hetzner-server-ip", server, "--hetzner-api-url", &api]);
            command.arg("--hetzner-credentials-file").arg(&credentials);
            Killed::start(command)
        };
        let leads_to = async |server: &str| {
            eventually(&format!("it leads to {server}"), async || {
                (robot.active.lock().unwrap().as_deref() == Some(server)).then_some(())
            })
            .await;
        };
        let (a, _b) = (start("a", "192.0.2.1"), start("b", "192.0.2.2"));
        etcd.put("a").await;
        leads_to("192.0.2.1").await;
        etcd.put("b").await;
        leads_to("192.0.2.2").await;
        assert_eq!(robot.changes.load(Ordering::SeqCst), 2, "one change for each holder");

        // A request of the old holder that comes late is put right.
        *robot.active.lock().unwrap() = Some("192.0.2.1".to_owned());
        leads_to("192.0.2.2").await;

        // Where it leads already nothing is changed, and one that ends leaves it.
        drop(a);
        etcd.put("nobody").await;
        let changes = robot.changes.load(Ordering::SeqCst);
        let _again = start("c", "192.0.2.2");
        etcd.put("c").await;
        let looks = robot.looks.load(Ordering::SeqCst);
        let looked = async || (robot.looks.load(Ordering::SeqCst) > looks).then_some(());
        eventually("the provider is asked", looked).await;
        assert_eq!(robot.changes.load(Ordering::SeqCst), changes);
        assert_eq!(robot.strangers.load(Ordering::SeqCst), 0);
    });
}
