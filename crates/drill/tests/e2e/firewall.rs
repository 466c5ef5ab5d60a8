//! `quorate firewall` with a real nftables, on hosts of a network of the test's own.

use super::support::{Done, program};
use drill::net::{Network, enter, program_in};
use plan::{Member, Plan, Role};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const STORE_PEERS: u16 = 2380;
const REST: u16 = 8008;
/// Nobody has named this one.
const OTHER: u16 = 7777;
const DEADLINE: Duration = Duration::from_secs(30);
/// A dropped connection is given this long to come about after all.
const PATIENCE: Duration = Duration::from_millis(400);

fn listen(network: &Network, port: u16) {
    let namespace = network.host("a").unwrap().namespace.clone();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        enter(&namespace).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        ready.send(()).unwrap();
        listener.incoming().for_each(drop);
    });
    is_ready.recv().unwrap();
}

fn reaches(network: &Network, from: &str, port: u16) -> bool {
    let (namespace, to) = (network.host(from).unwrap().namespace.clone(), network.host("a").unwrap().address);
    let ask = move || {
        enter(&namespace).unwrap();
        TcpStream::connect_timeout(&(to, port).into(), PATIENCE).is_ok()
    };
    std::thread::spawn(ask).join().unwrap()
}

fn firewall(network: &Network, home: &Path, arguments: &[&str]) -> Done {
    firewall_of("a", network, home, arguments)
}

fn firewall_of(member: &str, network: &Network, home: &Path, arguments: &[&str]) -> Done {
    let mut command = program_in(&network.host("a").unwrap().namespace, program("quorate"));
    command.args(["firewall", "--member", member, "--tool", "nftables", "--directory"]).arg(home);
    Done::of(command.args(arguments))
}

fn table(network: &Network) -> Done {
    Done::of(program_in(&network.host("a").unwrap().namespace, "nft").args(["list", "table", "inet", "quorate"]))
}

#[test]
fn the_stores_ports_are_open_for_members_alone_and_closed_again_is_as_before() {
    let mut network = Network::new(&format!("qfw{}", std::process::id()), [198, 18, 109]).unwrap();
    for (name, last) in [("a", 1), ("b", 2), ("c", 3)] {
        network.add_host(name, last).unwrap();
    }
    let home = tempfile::tempdir().unwrap();
    let mut plan = Plan::new("shop");
    let store = [Role::Store];
    let member = |name: &str| Member::new(name, &network.host(name).unwrap().address.to_string(), &store);
    // c is on the network and not in the plan.
    plan.members = vec![member("a"), member("b")];
    std::fs::write(home.path().join("cluster.yaml"), plan.to_yaml()).unwrap();
    for port in [STORE_PEERS, REST, OTHER] {
        listen(&network, port);
    }
    // The first connection waits for the switch and for ARP.
    let begun = Instant::now();
    while !["b", "c"].iter().all(|from| reaches(&network, from, STORE_PEERS)) {
        assert!(begun.elapsed() < DEADLINE, "the network does not work");
    }

    let printed = firewall(&network, home.path(), &[]).ok();
    assert!(printed.starts_with("nft -f - <<'END'\n") && printed.contains("198.18.109.2"), "{printed}");
    assert_ne!(table(&network).code, Some(0), "printing changes nothing");

    firewall(&network, home.path(), &["--apply"]).ok();
    let once = table(&network).ok();
    firewall(&network, home.path(), &["--apply"]).ok();
    assert_eq!(table(&network).ok(), once, "applied twice is once");
    for (from, port, open) in [
        ("a", STORE_PEERS, true),
        ("b", STORE_PEERS, true),
        ("c", STORE_PEERS, false),
        ("c", REST, true),
        ("c", OTHER, true),
    ] {
        assert_eq!(reaches(&network, from, port), open, "{from} to {port}");
    }

    firewall(&network, home.path(), &["--remove", "--apply"]).ok();
    assert_ne!(table(&network).code, Some(0));
    assert!(reaches(&network, "c", STORE_PEERS));
    firewall(&network, home.path(), &["--remove", "--apply"]).ok();
    let unknown = firewall_of("nobody", &network, home.path(), &["--apply"]).failed(2);
    assert!(unknown.contains("[join-no-member]"), "{unknown}");
}
