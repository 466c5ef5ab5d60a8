//! Replies that need no Redis server.

use crate::support::{Ours, call, connect, field, free_port, text};
use resp::Value;

async fn check(sentinel: &Ours, command: &str, expected: &str) {
    assert_eq!(text(&sentinel.ask(command).await), expected, "{command}");
}

#[tokio::test]
async fn commands_are_answered_in_the_words_of_redis() {
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    for (command, expected) in [
        ("PING", "PONG"),
        ("ping hello", "hello"),
        ("ROLE", "[sentinel, [m]]"),
        ("FOO a b", "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' "),
        ("SENTINEL", "-ERR wrong number of arguments for 'sentinel' command"),
        ("SENTINEL foo", "-ERR unknown subcommand 'foo'. Try SENTINEL HELP."),
        ("SENTINEL MASTER", "-ERR wrong number of arguments for 'sentinel|master' command"),
        ("SENTINEL MASTER nobody", "-ERR No such master with that name"),
        ("SENTINEL GET-MASTER-ADDR-BY-NAME nobody", "null"),
        ("SENTINEL REPLICAS m", "[]"),
        ("SENTINEL SLAVES m", "[]"),
        ("SENTINEL SENTINELS m", "[]"),
        (
            "SENTINEL CKQUORUM m",
            "-NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master",
        ),
        ("SENTINEL FAILOVER m", "-NOGOODSLAVE No suitable replica to promote"),
        ("SENTINEL MONITOR m 127.0.0.1 1 1", "-ERR Duplicate master name."),
        ("SENTINEL MONITOR x 127.0.0.1 1 0", "-ERR Quorum must be 1 or greater."),
        ("SENTINEL MONITOR x nonsense 1 1", "-ERR Invalid IP address or hostname specified"),
        ("SENTINEL SET m nonsense 1", "-ERR Unknown option or number of arguments for SENTINEL SET 'nonsense'"),
        ("SENTINEL SET m quorum x", "-ERR Invalid argument 'x' for SENTINEL SET 'quorum'"),
        ("SENTINEL SET m quorum 1", "OK"),
        ("SENTINEL CKQUORUM m", "OK 1 usable Sentinels. Quorum and failover authorization can be reached"),
        ("SENTINEL RESET x*", ":0"),
        ("SENTINEL RESET *", ":1"),
        ("SENTINEL FLUSHCONFIG", "OK"),
        ("SENTINEL CONFIG GET announce-*", "[announce-hostnames, no, announce-ip, , announce-port, 0]"),
        ("SENTINEL CONFIG SET announce-port 5", "OK"),
        ("SENTINEL CONFIG SET nonsense 5", "-ERR Invalid argument 'nonsense' to SENTINEL CONFIG SET"),
        ("SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *", "[:0, *, :0]"),
        ("SENTINEL PENDING-SCRIPTS", "[]"),
        ("SENTINEL SIMULATE-FAILURE help", "[crash-after-election, crash-after-promotion]"),
        ("SENTINEL REMOVE m", "OK"),
        ("SENTINEL MASTERS", "[]"),
        ("PUBLISH other x", "-ERR Only HELLO messages are accepted by Sentinel instances."),
        ("PUBLISH __sentinel__:hello x", ":1"),
        ("COMMAND COUNT", ":15"),
        ("COMMAND GETKEYS ping", "-ERR The command has no key arguments"),
        ("GET x", "-ERR unknown command 'GET', with args beginning with: 'x' "),
        ("CONFIG GET x", "-ERR unknown command 'CONFIG', with args beginning with: 'GET' 'x' "),
    ] {
        check(&sentinel, command, expected).await;
    }
}

#[tokio::test]
async fn a_master_is_described_field_by_field_in_sentinels_order() {
    let port = free_port();
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {port} 2"));
    let reply = sentinel.ask("SENTINEL MASTER m").await;
    let names: Vec<String> = reply.as_pairs().expect("pairs").iter().map(|(name, _)| text(name)).collect();
    let expected = "name ip port runid flags link-pending-commands link-refcount last-ping-sent last-ok-ping-reply last-ping-reply down-after-milliseconds info-refresh role-reported role-reported-time config-epoch num-slaves num-other-sentinels quorum failover-timeout parallel-syncs";
    assert_eq!(names.join(" "), expected);
    assert_eq!(field(&reply, "port"), Some(port.to_string()));
    assert_eq!(text(&sentinel.ask("SENTINEL GET-MASTER-ADDR-BY-NAME m").await), format!("[127.0.0.1, {port}]"));
}

#[tokio::test]
async fn hello_chooses_the_protocol_and_maps_are_maps_then() {
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    let mut connection = sentinel.connect().await;
    assert!(matches!(call(&mut connection, "HELLO").await, Value::Array(_)));
    let hello = call(&mut connection, "HELLO 3 SETNAME me").await;
    assert!(matches!(hello, Value::Map(_)));
    assert_eq!(field(&hello, "mode").as_deref(), Some("sentinel"));
    assert!(matches!(call(&mut connection, "SENTINEL MASTER m").await, Value::Map(_)));
    assert_eq!(call(&mut connection, "CLIENT GETNAME").await, Value::from("me"));
    assert_eq!(text(&call(&mut connection, "HELLO 4").await), "-NOPROTO unsupported protocol version");
}

#[tokio::test]
async fn events_reach_subscribers_of_channels_and_patterns() {
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    let mut listener = sentinel.connect().await;
    assert_eq!(text(&call(&mut listener, "SUBSCRIBE +set").await), "[subscribe, +set, :1]");
    assert_eq!(text(&call(&mut listener, "PSUBSCRIBE +s*").await), "[psubscribe, +s*, :2]");
    assert_eq!(text(&call(&mut listener, "PING").await), "[pong, ]");
    assert!(text(&call(&mut listener, "SENTINEL MASTERS").await).starts_with("-ERR Can't execute 'sentinel|masters'"));
    sentinel.ask("SENTINEL SET m auth-pass secret").await;
    let (_sender, mut receiver) = listener.into_split();
    let first = text(&receiver.receive().await.expect("a message"));
    let second = text(&receiver.receive().await.expect("a message"));
    assert!(first.starts_with("[message, +set, master m 127.0.0.1") && first.ends_with("auth-pass ******]"), "{first}");
    assert!(second.starts_with("[pmessage, +s*, +set, master m"), "{second}");
}

#[tokio::test]
async fn info_has_the_sections_of_a_sentinel_and_no_others() {
    let sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    let info = text(&sentinel.ask("INFO").await);
    for expected in [
        "# Server",
        "redis_version:",
        "redis_mode:sentinel",
        "run_id:",
        "tcp_port:",
        "# Clients",
        "maxclients:",
        "# CPU",
        "used_cpu_user:",
        "# Stats",
        "# Sentinel",
        "sentinel_masters:1",
        "sentinel_tilt:0",
        "master0:name=m,status=ok,address=127.0.0.1:",
    ] {
        assert!(info.contains(expected), "{expected} in {info}");
    }
    assert_eq!(text(&sentinel.ask("INFO memory").await), "");
    assert!(text(&sentinel.ask("INFO sentinel").await).starts_with("# Sentinel\r\n"));
}

#[tokio::test]
async fn shutdown_ends_it_with_code_0() {
    let mut sentinel = Ours::start(&format!("sentinel monitor m 127.0.0.1 {} 2", free_port()));
    let mut connection = connect(sentinel.port).await;
    assert!(connection.call(&["SHUTDOWN"], crate::support::PATIENCE).await.is_err());
    assert_eq!(sentinel.ended().await, 0);
}
