//! Load balancers in front, and servers behind that want to know for whom we speak.

use crate::world::*;
use proxy::ProxyProtocol;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

const LINE: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.2 51234 5000\r\n";

/// What version 2 says instead of [`LINE`].
fn binary() -> Vec<u8> {
    let body = [192, 0, 2, 7, 10, 0, 0, 2, 0xC8, 0x22, 0x13, 0x88];
    [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C", &body[..]].concat()
}

/// Where our own clients come from.
fn everybody_here() -> Vec<types::Network> {
    vec!["127.0.0.0/8".parse().unwrap()]
}

#[tokio::test]
async fn the_header_of_a_balancer_is_taken_off_and_its_clients_are_served() {
    let a = server("a").await;
    let world = world(|config| config.accept_proxy_protocol_from = everybody_here());
    world.route(Some(&a), &[]);
    for header in [LINE, &binary(), b"PROXY UNKNOWN\r\n"] {
        let mut client = connect(world.primary()).await;
        client.write_all(&[header, b"ping"].concat()).await.unwrap();
        assert_eq!(read(&mut client).await.unwrap(), "a");
        // In pieces, with a pause for each to arrive alone.
        let mut client = connect(world.primary()).await;
        client.set_nodelay(true).unwrap();
        for piece in [&header[..3], &header[3..], b"ping"] {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(read(&mut client).await.unwrap(), "a");
    }
}

#[tokio::test]
async fn a_balancer_that_only_looks_whether_we_are_there_disturbs_no_server() {
    let world = world(|config| config.accept_proxy_protocol_from = everybody_here());
    let listener = raw_server(&world).await;
    for header in [&b""[..], b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = connect(world.primary()).await;
        client.write_all(header).await.unwrap();
        drop(client);
    }
    world.until(|now| now.primary.unopened_total == 3 && now.primary.connections_now == 0).await;
    let mut client = connect(world.primary()).await;
    client.write_all(&[LINE, b"real"].concat()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    assert_eq!(read(&mut server).await.unwrap(), "real", "the first connection that the server sees");
}

#[tokio::test]
async fn a_balancer_without_a_proper_header_is_closed_without_a_word() {
    let world = world(|config| config.accept_proxy_protocol_from = everybody_here());
    let _listener = raw_server(&world).await;
    let broken = [binary(), vec![1, 2]].concat();
    let mut version_3 = broken.clone();
    version_3[12] = 0x31;
    for wrong in [&b"ping"[..], b"PROXY TCP4 192.0.2.7 10.0.0.2 1\r\n", &[b'P'; 200], &version_3] {
        let mut client = connect(world.primary()).await;
        client.write_all(wrong).await.unwrap();
        let mut answer = [0; 8];
        let seen = tokio::io::AsyncReadExt::read(&mut client, &mut answer).await;
        assert!(matches!(seen, Ok(0) | Err(_)), "{seen:?}");
    }
    world.until(|now| now.primary.unopened_total == 4 && now.primary.connections_now == 0).await;
}

#[tokio::test]
async fn a_strangers_header_is_not_believed() {
    let a = server("a").await;
    let world = world(|config| config.accept_proxy_protocol_from = vec!["192.0.2.0/24".parse().unwrap()]);
    world.route(Some(&a), &[]);
    let mut client = connect(world.primary()).await;
    client.write_all(LINE).await.unwrap();
    assert_eq!(read(&mut client).await.unwrap().as_bytes(), LINE, "to the server it is what the client says");
}

#[tokio::test]
async fn a_server_that_wants_it_is_told_for_whom_a_connection_is() {
    let world = world(|config| {
        config.accept_proxy_protocol_from = everybody_here();
        config.send_proxy_protocol = Some(ProxyProtocol::V1);
    });
    let listener = raw_server(&world).await;
    for (header, told) in [(LINE, LINE), (&binary(), LINE), (b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN\r\n")] {
        let mut client = connect(world.primary()).await;
        client.write_all(&[header, b"hello"].concat()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        assert_eq!(read(&mut server).await.unwrap().as_bytes(), [told, b"hello"].concat());
    }
}

#[tokio::test]
async fn without_a_balancer_the_client_is_who_connected() {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let world = world(|config| config.send_proxy_protocol = Some(version));
        let listener = raw_server(&world).await;
        let mut client = connect(world.primary()).await;
        client.write_all(b"hello").await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let (from, to) = (client.local_addr().unwrap(), world.primary());
        let expected = match version {
            ProxyProtocol::V1 => {
                format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port()).into_bytes()
            }
            ProxyProtocol::V2 => {
                let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
                [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\x7F\0\0\x01\x7F\0\0\x01", &ports[..]].concat()
            }
        };
        let mut received = vec![0; expected.len() + 5];
        tokio::time::timeout(DEADLINE, tokio::io::AsyncReadExt::read_exact(&mut server, &mut received))
            .await
            .expect("it comes")
            .unwrap();
        assert_eq!(received, [&expected[..], b"hello"].concat());
    }
}

#[tokio::test]
async fn what_a_held_client_said_comes_after_the_header() {
    let world = world(|config| {
        config.send_proxy_protocol = Some(ProxyProtocol::V2);
        config.hold = Duration::from_secs(60);
    });
    let mut client = connect(world.primary()).await;
    client.write_all(b"before there was a server").await.unwrap();
    world.until(|now| now.primary.held_now == 1).await;
    let listener = raw_server(&world).await;
    let (mut server, _) = tokio::time::timeout(DEADLINE, listener.accept()).await.expect("it connects").unwrap();
    let received = read(&mut server).await.unwrap();
    assert!(received.starts_with("\r\n\r\n\0\r\nQUIT\n") && received.ends_with("before there was a server"));
}
