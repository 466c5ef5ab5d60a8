//! Starting and stopping.

use crate::world::*;
use proxy::{Engine, EngineConfig, ProxyConfig, ProxyError, Routes, Service};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_port_in_use_is_named_with_a_hint() {
    let taken = TcpListener::bind(LOCAL).await.unwrap();
    let address = taken.local_addr().unwrap();
    let config = ProxyConfig { listen_primary: vec![address], ..ProxyConfig::default() };
    let routes = watch::channel(Routes::default()).1;
    let error = Engine::start(SMALL).unwrap().serve(&config, routes, CancellationToken::new()).unwrap_err();
    assert!(matches!(error, ProxyError::PortInUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("hint: "), "{text}");
}

#[tokio::test]
async fn shutdown_closes_ports_and_connections() {
    let a = server("a").await;
    let world = world(|_| {});
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

#[tokio::test]
async fn two_proxies_share_the_places_of_one_engine() {
    let a = server("a").await;
    let engine = Engine::start(EngineConfig { threads: Some(1), connections_max: Some(1) }).unwrap();
    assert_eq!(engine.connections_max(), 1);
    let (routes, receiver) = watch::channel(Routes { primary: Some(a.target.clone()), ..Routes::default() });
    let config =
        ProxyConfig { service: Service::Redis, listen_primary: vec![LOCAL.parse().unwrap()], ..ProxyConfig::default() };
    let start = || engine.serve(&config, receiver.clone(), CancellationToken::new()).unwrap();
    let (one, other) = (start(), start());
    let (_first, answer) = ask(one.primary_addresses()[0]).await;
    assert_eq!(answer, "a");
    let second = connect(other.primary_addresses()[0]).await;
    assert_eq!(read_to_end(second).await, b"-ERR max number of clients reached at the proxy\r\n");
    drop(routes);
}

#[tokio::test]
async fn an_engine_that_is_dropped_closes_its_connections() {
    let a = server("a").await;
    let World { proxy, routes, shutdown } = world(|_| {});
    routes.send_modify(|routes| routes.primary = Some(a.target.clone()));
    let (client, _) = ask(proxy.primary_addresses()[0]).await;
    drop(proxy);
    assert_eq!(read_to_end(client).await, b"");
    drop((routes, shutdown));
}
