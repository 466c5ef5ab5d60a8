//! The clients' port under TLS: who is let in, and what a handshake that does not go on costs the others.

use crate::lab::{Ours, SOON, soon};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;

struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn issue(&self, authority: &pki::Authority, name: &str) {
        let issued = authority.issue(name, &["127.0.0.1"], SystemTime::now(), pki::MEMBER_LIFE).unwrap();
        self.write(&format!("{name}.pem"), &issued.certificate_pem);
        self.write(&format!("{name}.key"), issued.key_pem.expose());
    }

    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")))
    }
}

/// A server that wants certificates of `ca.pem`, and those of `server`, `client` and `stranger`.
async fn secured() -> (Files, Ours, tls::ServerTls) {
    let files = Files { directory: tempfile::tempdir().unwrap() };
    let now = SystemTime::now();
    let (ours, foreign) = (pki::Authority::create("ours", now).unwrap(), pki::Authority::create("other", now).unwrap());
    files.write("ca.pem", ours.certificate_pem());
    files.issue(&ours, "server");
    files.issue(&ours, "client");
    files.issue(&foreign, "stranger");
    let (certificate, key) = files.identity("server");
    let wanted = tls::ServerFiles {
        certificate,
        key,
        authorities: Some(files.path("ca.pem")),
        clients: tls::ClientCertificates::Required,
    };
    let server = tls::ServerTls::open(wanted, &[tls::HTTP2, tls::HTTP1]).unwrap();
    (files, Ours::start_secured(server.clone()).await, server)
}

fn http(ca: &Path, identity: Option<(PathBuf, PathBuf)>) -> reqwest::Client {
    let files = tls::ClientFiles { authorities: Some(ca.to_owned()), identity, ..Default::default() };
    let config = tls::ClientTls::open(files, &[tls::HTTP1]).unwrap().config();
    reqwest::Client::builder().no_proxy().timeout(SOON).use_preconfigured_tls(config).build().unwrap()
}

async fn etcdctl(server: &Ours, files: &Files, identity: Option<&str>) -> (bool, String) {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--dial-timeout", "2s", "--command-timeout", "3s"]);
    command.arg("--endpoints").arg(format!("https://{}", server.address)).arg("--cacert").arg(files.path("ca.pem"));
    if let Some((certificate, key)) = identity.map(|name| files.identity(name)) {
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    command.args(["put", "/k", "v"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = soon("etcdctl comes to an end", command.output()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_let_in() {
    let (files, server, _) = secured().await;
    let (put, said) = etcdctl(&server, &files, Some("client")).await;
    assert!(put, "{said}");
    for stranger in [None, Some("stranger")] {
        let (put, said) = etcdctl(&server, &files, stranger).await;
        assert!(!put, "{stranger:?}: {said}");
    }
    // The JSON gateway and the keys of version 2 are behind the same door.
    let base = format!("https://{}", server.address);
    let friend = http(&files.path("ca.pem"), Some(files.identity("client")));
    let range = friend.post(format!("{base}/v3/kv/range")).body(json!({"key": "L2s="}).to_string()).send().await;
    let range: serde_json::Value = serde_json::from_str(&range.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(range["kvs"][0]["value"], "dg==");
    assert!(friend.get(format!("{base}/v2/keys/k")).send().await.unwrap().status().is_success());
    for stranger in [None, Some(files.identity("stranger"))] {
        assert!(http(&files.path("ca.pem"), stranger).get(format!("{base}/version")).send().await.is_err());
    }
    assert_eq!(server.http().get("/version").await.map(|answer| answer.body), None, "without TLS");
}

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_client() {
    let (files, server, tls) = secured().await;
    let other = pki::Authority::create("new", SystemTime::now()).unwrap();
    files.write("new.pem", other.certificate_pem());
    let url = format!("https://{}/version", server.address);
    let trusting_the_new = || http(&files.path("new.pem"), Some(files.identity("client")));
    assert!(trusting_the_new().get(&url).send().await.is_err());
    files.issue(&other, "server");
    tls.refresher().refresh();
    assert!(trusting_the_new().get(&url).send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn handshakes_that_do_not_go_on_disturb_nobody_and_are_ended() {
    let (files, server, _) = secured().await;
    let mut slow = Vec::new();
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, beginning).await.unwrap();
            slow.push(stream);
        }
    }
    let friend = http(&files.path("ca.pem"), Some(files.identity("client")));
    let answered = friend.get(format!("https://{}/version", server.address)).send().await.unwrap();
    assert!(answered.status().is_success());
    // Those that have begun are given up after their time; the silent ones have longer.
    for stream in &mut slow[20..] {
        let ended = async { while stream.read(&mut [0; 64]).await.is_ok_and(|bytes| bytes > 0) {} };
        soon("a handshake is given up", ended).await;
    }
}
