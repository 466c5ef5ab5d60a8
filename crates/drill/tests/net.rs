//! The network of namespaces: what passes, what is cut, and what a capture sees.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a failed step of the test's own world is a failed test")]

use drill::net::{ClaimKind, Cut, Network, enter, program_in};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PORT: u16 = 2379;
const DEADLINE: Duration = Duration::from_secs(30);
/// A connection that is cut off is given this long to come about.
const PATIENCE: Duration = Duration::from_millis(300);

fn network(range: u8) -> Network {
    let run = std::process::id();
    let mut network = Network::new(&format!("qnet{run}"), [198, 18, range]).unwrap();
    network.add_host("a", 1).unwrap();
    network.add_host("b", 2).unwrap();
    network
}

/// Listens on the host until the test ends, and greets whoever connects.
fn greet(network: &Network, host: &str, port: u16) {
    let namespace = network.host(host).unwrap().namespace.clone();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        enter(&namespace).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        ready.send(()).unwrap();
        for mut connection in listener.incoming().flatten() {
            let _ = connection.write_all(b"hello");
        }
    });
    is_ready.recv().unwrap();
}

fn is_greeted(network: &Network, from: &str, to: &str, port: u16) -> bool {
    let namespace = network.host(from).unwrap().namespace.clone();
    let to = network.host(to).unwrap().address;
    let ask = move || {
        enter(&namespace).unwrap();
        let connection = TcpStream::connect_timeout(&(to, port).into(), PATIENCE);
        let Ok(mut connection) = connection else { return false };
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut word = [0; 5];
        connection.read_exact(&mut word).is_ok() && &word == b"hello"
    };
    std::thread::spawn(ask).join().unwrap()
}

/// The first connection waits for the switch and for ARP.
fn is_greeted_in_the_end(network: &Network, from: &str, to: &str, port: u16) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        if is_greeted(network, from, to, port) {
            return true;
        }
    }
    false
}

#[test]
fn hosts_talk_until_they_are_cut_off_and_a_capture_hears_them() {
    let network = network(200);
    greet(&network, "a", PORT);
    greet(&network, "b", PORT + 10);
    let capture = network.capture().unwrap();
    assert!(is_greeted_in_the_end(&network, "b", "a", PORT));
    assert!(is_greeted_in_the_end(&network, "a", "b", PORT + 10));
    let (a, b) = (network.host("a").unwrap(), network.host("b").unwrap());
    let deadline = Instant::now() + DEADLINE;
    while !capture.claims_of(a.address.into()).iter().any(|claim| claim.mac == a.mac && claim.kind == ClaimKind::Packet)
    {
        assert!(Instant::now() < deadline, "{:?}", capture.claims());
        std::thread::yield_now();
    }
    assert!(capture.claims_of(a.address.into()).iter().all(|claim| claim.mac == a.mac));
    assert_eq!(network.holders_of(b.address.into()).unwrap(), ["b"]);

    let each = |cut: Cut| {
        network.cut(&[cut]).unwrap();
        (is_greeted(&network, "b", "a", PORT), is_greeted(&network, "a", "b", PORT + 10))
    };
    assert_eq!(each(Cut::Both("a".into())), (false, false));
    assert_eq!(each(Cut::Inward("a".into())), (false, false));
    assert_eq!(each(Cut::Outward("a".into())), (false, false));
    assert_eq!(each(Cut::Between("a".into(), "b".into())), (false, false));
    assert_eq!(each(Cut::Ports("a".into(), vec![PORT])), (false, true), "only that port");
    network.mend().unwrap();
    assert!(is_greeted_in_the_end(&network, "b", "a", PORT));
}

#[test]
fn a_program_runs_on_its_host_and_nothing_is_left_behind() {
    let network = network(201);
    let (namespace, address) = {
        let host = network.host("a").unwrap();
        (host.namespace.clone(), host.address.to_string())
    };
    let output = program_in(&namespace, "ip").args(["-o", "-4", "addr", "show", "eth0"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&address), "{output:?}");
    drop(network);
    assert!(!std::path::Path::new("/run/netns").join(namespace).exists());
}
