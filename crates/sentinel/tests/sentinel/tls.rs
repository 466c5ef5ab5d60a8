//! TLS: towards clients, towards Redis, and among sentinels, a real one of them.

use crate::support::process::{Real, Redis, wait_until_known};
use crate::support::{Ours, PATIENCE, ask, field, free_port, text, wait_for};
use resp::client::{Address, Connection, Target, TlsClient, TlsFiles};
use std::path::Path;
use std::process::Command;

/// An authority and one certificate by it, made out to no host at all, as many Redis installations have it.
fn certificates(directory: &Path) {
    let run = |arguments: &str| {
        let status = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory)
            .output()
            .expect("openssl is there");
        assert!(status.status.success(), "{arguments}: {}", String::from_utf8_lossy(&status.stderr));
    };
    run("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 -subj /CN=authority");
    run("req -newkey rsa:2048 -nodes -keyout redis.key -out redis.csr -subj /CN=redis");
    std::fs::write(directory.join("extensions"), "subjectAltName=DNS:redis\n").expect("written");
    run("x509 -req -in redis.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out redis.crt -extfile extensions");
}

fn tls_lines(directory: &Path, port: u16) -> String {
    let path = |name: &str| directory.join(name).display().to_string();
    format!(
        "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-replication yes",
        path("redis.crt"),
        path("redis.key"),
        path("ca.crt")
    )
}

#[tokio::test]
async fn masters_peers_and_clients_are_spoken_to_with_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    certificates(directory.path());
    let (redis_tls, our_tls, real_tls) = (free_port(), free_port(), free_port());
    let _redis = Redis::start(None, &tls_lines(directory.path(), redis_tls)).await;
    let monitor = format!("sentinel monitor m 127.0.0.1 {redis_tls} 2\nsentinel down-after-milliseconds m 5000");
    let ours = Ours::start(&format!("{}\n{monitor}", tls_lines(directory.path(), our_tls)));
    let real = Real::start(&format!("{}\n{monitor}", tls_lines(directory.path(), real_tls)));
    wait_until_known(ours.port, "m", 0, 1).await;
    wait_until_known(real.port, "m", 0, 1).await;
    for port in [ours.port, real.port] {
        wait_for("both to be usable", || async {
            text(&ask(port, "SENTINEL CKQUORUM m").await).starts_with("OK 2 usable").then_some(())
        })
        .await;
    }
    // The TLS port is announced.
    let peer = ask(real.port, "SENTINEL SENTINELS m").await;
    assert_eq!(field(&peer.as_array().expect("an array")[0], "port"), Some(our_tls.to_string()));

    let files = |certificate| TlsFiles { ca: directory.path().join("ca.crt"), certificate, verify_name: false };
    let pair = Some((directory.path().join("redis.crt"), directory.path().join("redis.key")));
    let target = |certificate| Target {
        address: Address::new("127.0.0.1", our_tls),
        tls: Some(TlsClient::from_files(&files(certificate)).expect("usable files")),
        ..Target::plain("", 0)
    };
    let mut client = Connection::open(&target(pair)).await.expect("connected");
    assert_eq!(text(&client.call(&["PING"], PATIENCE).await.expect("a reply")), "PONG");
    // Without a certificate of its own a client is not let in, as `tls-auth-clients yes` wants it.
    let refused = match Connection::open(&target(None)).await {
        Err(_) => true,
        Ok(mut client) => client.call(&["PING"], PATIENCE).await.is_err(),
    };
    assert!(refused);
}
