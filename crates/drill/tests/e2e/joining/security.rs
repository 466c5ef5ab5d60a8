//! Without a certificate or a login: no write on any port but the databases' own, and nothing secret to be seen.

use super::servers::{REQUEST_PATIENCE, Server, Servers};
use crate::support::{Done, program};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const OPENAPI: &str = include_str!("../../../../console/openapi.json");
/// What a member says first on a peer port: nobody hears it without a certificate.
const PEER_GREETING: &[u8] = b"quorpeer\x01";

/// A certificate, made out to a member's own name and address, of an authority that nobody here knows.
fn stranger(servers: &Servers) -> (PathBuf, PathBuf) {
    let authority = pki::Authority::create("shop", SystemTime::now()).unwrap();
    let issued = authority.issue("pg2", &["127.0.0.1"], SystemTime::now(), pki::MEMBER_LIFE).unwrap();
    let [certificate, key] = ["stranger.crt", "stranger.key"].map(|name| servers.directory.path().join(name));
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem.expose()).unwrap();
    (certificate, key)
}

pub async fn strangers_change_nothing(servers: &Servers) {
    let stranger = stranger(servers);
    let before = config(servers.first()).await;
    for server in &servers.all {
        rest_refuses(server, &stranger).await;
        console_refuses(server).await;
        store_refuses(server, &stranger).await;
        peers_are_not_heard(server, &stranger).await;
        redis_protocol_refuses(server, servers.plan.member(&server.name.as_str().into()).unwrap().has_cache()).await;
    }
    assert_eq!(config(servers.first()).await, before);
    servers.whole().await;
}

async fn config(server: &Server) -> Value {
    server.http(false).get(server.url("/config")).send().await.unwrap().json().await.unwrap()
}

/// Method and path of everything that changes something, as the API describes itself.
fn changes() -> Vec<(Method, String)> {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            let path = path.replace(['{', '}'], "");
            found.push((Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path));
        }
    }
    assert!(found.len() > 15, "{found:?}");
    found
}

async fn rest_refuses(server: &Server, stranger: &(PathBuf, PathBuf)) {
    let nobody = server.http(false);
    let foreign = server.http_as(Some(stranger.clone()));
    let plain = reqwest::Client::builder().no_proxy().timeout(REQUEST_PATIENCE).build().unwrap();
    let body = json!({ "ttl": 77, "leader": "pg1", "candidate": "pg2", "token": "x", "request": "x", "version": 1 });
    for (method, path) in changes() {
        let url = server.url(&path);
        for password in [None, Some("wrong")] {
            let mut request = nobody.request(method.clone(), &url).json(&body);
            if let Some(password) = password {
                request = request.basic_auth("admin", Some(password));
            }
            let status = request.send().await.unwrap().status().as_u16();
            // A token that is none: not accepted, or none is heard any more; and who does not have the authority's key takes none.
            let expected: &[u16] = if server.home.join("tls/ca.key").exists() { &[403, 429] } else { &[501] };
            let joins = path == "/join" && expected.contains(&status);
            assert!(joins || [401, 403].contains(&status), "{method} {path} of {}: {status}", server.name);
        }
        assert!(foreign.request(method.clone(), &url).json(&body).send().await.is_err(), "{method} {path}");
        let unsecured = url.replace("https://", "http://");
        assert!(plain.request(method.clone(), &unsecured).json(&body).send().await.is_err(), "{method} {path}");
    }
}

async fn console_refuses(server: &Server) {
    let nobody = server.http(false);
    let at = |path: &str| format!("https://{}:8080{path}", server.address);
    for (method, path) in changes() {
        let request = nobody.request(method.clone(), at(&format!("/api{path}"))).header("x-quorate-console", "1");
        let status = request.json(&json!({ "ttl": 77 })).send().await.unwrap().status().as_u16();
        assert!([401, 403].contains(&status), "{method} /api{path} of {}: {status}", server.name);
    }
    let login = nobody.post(at("/session")).header("x-quorate-console", "1");
    let answer = login.json(&json!({ "username": "admin", "password": "wrong" })).send().await.unwrap();
    assert!([401, 429].contains(&answer.status().as_u16()));
    let read = nobody.get(at("/api/cluster")).send().await.unwrap();
    assert_eq!(read.status().as_u16(), 401, "the console shows nothing without a session");
}

async fn store_refuses(server: &Server, stranger: &(PathBuf, PathBuf)) {
    let endpoint = format!("https://{}:2379", server.address);
    for identity in [None, Some(stranger)] {
        let mut etcdctl = Command::new("etcdctl");
        etcdctl.env("ETCDCTL_API", "3").args(["--endpoints", &endpoint, "--cacert"]).arg(server.tls().authority);
        if let Some((certificate, key)) = identity {
            etcdctl.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        etcdctl.args(["--dial-timeout", "1s", "--command-timeout", "2s", "put", "/service/shop/leader", "me"]);
        let done = Done::of(&mut etcdctl);
        assert_ne!(done.code, Some(0), "{}", done.out);
        let client = server.http_as(identity.cloned());
        let gateway = client.post(format!("{endpoint}/v3/kv/put")).json(&json!({ "key": "YQ==", "value": "YQ==" }));
        assert!(gateway.send().await.is_err(), "the JSON gateway");
        assert!(client.put(format!("{endpoint}/v2/keys/a?value=1")).send().await.is_err(), "the v2 keys");
    }
}

async fn peers_are_not_heard(server: &Server, stranger: &(PathBuf, PathBuf)) {
    for identity in [None, Some(stranger.clone())] {
        let stream = TcpStream::connect((server.address, 2380)).await.unwrap();
        let tls = server.client_tls(identity, &[]);
        let Ok(mut stream) = tls.connect(&server.address.to_string(), stream, REQUEST_PATIENCE).await else { continue };
        let _ = stream.write_all(PEER_GREETING).await;
        let heard = timeout(REQUEST_PATIENCE, stream.read_u8()).await.unwrap();
        assert!(heard.is_err(), "{heard:?}");
    }
}

/// Sentinel, and Redis where there is one.
async fn redis_protocol_refuses(server: &Server, has_redis: bool) {
    let commands = [
        "SENTINEL FAILOVER shop",
        "SENTINEL SET shop quorum 1",
        "SENTINEL REMOVE shop",
        "SENTINEL RESET *",
        "SENTINEL MONITOR other 127.0.0.1 1 1",
        "SENTINEL CONFIG SET resolve-hostnames no",
        "ACL SETUSER eve on nopass +@all",
        "SHUTDOWN",
        "PUBLISH __sentinel__:hello x",
    ];
    let redis: &[&str] = if has_redis { &["SET a 1", "REPLICAOF NO ONE"] } else { &[] };
    for (port, commands) in [(26379, commands.as_slice()), (6379, redis)] {
        for command in commands {
            let answer = say(server, port, command).await;
            assert!(answer.starts_with("-NOAUTH"), "{command} on {port} of {}: {answer}", server.name);
        }
    }
}

/// One command on a port of Redis's protocol, without a login.
async fn say(server: &Server, port: u16, command: &str) -> String {
    let stream = TcpStream::connect((server.address, port)).await.unwrap();
    let tls = server.client_tls(None, &[]);
    let mut stream = tls.connect(&server.address.to_string(), stream, REQUEST_PATIENCE).await.unwrap();
    stream.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    let mut answer = vec![0; 512];
    let length = timeout(REQUEST_PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

/// A certificate is signed for the name that was shown, and for nobody who is not in the plan.
pub async fn only_members_are_renewed(servers: &Servers) {
    let key = pki::Request::make("pg1").unwrap();
    let ask = async |client: reqwest::Client| {
        let answer = client.post(servers.first().url("/renew")).json(&json!({ "request": key.request_pem })).send();
        let answer = answer.await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(ask(servers.first().http(false)).await.0, 403);
    let (status, text) = ask(servers.all[1].http(true)).await;
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let signed = servers.directory.path().join("signed.crt");
    std::fs::write(&signed, answer["certificate"].as_str().unwrap()).unwrap();
    let shown = Done::of(
        Command::new("openssl").args(["x509", "-noout", "-subject", "-ext", "subjectAltName", "-in"]).arg(&signed),
    )
    .ok();
    assert!(shown.contains("pg2") && shown.contains(&servers.all[1].address.to_string()), "{shown}");
    assert!(!shown.contains("pg1"), "whatever the request says: {shown}");
    let other = servers.all[1].http(true).post(servers.all[2].url("/renew"));
    let other = other.json(&json!({ "request": key.request_pem })).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 501, "a member without the authority's key signs nothing");
}

/// Logs, and bundles for support.
pub fn nothing_secret_is_told(servers: &Servers, token: &str) {
    let mut secrets = servers.secret_texts();
    secrets.push(token.to_owned());
    secrets.push("PRIVATE KEY".to_owned());
    let none_in = |text: &str, what: &Path| {
        let found = secrets.iter().position(|secret| text.contains(secret.as_str()));
        assert_eq!(found, None, "in {}", what.display());
    };
    for server in &servers.all {
        let text = std::fs::read_to_string(server.log_file()).unwrap();
        assert!(text.contains("INFO"), "there is a log");
        none_in(&text, &server.log_file());
    }
    let bundle = servers.directory.path().join("support.tar.gz");
    let mut support = Command::new(program("quorate"));
    Done::of(support.arg("-c").arg(servers.first().config_file()).arg("support").arg("-o").arg(&bundle)).ok();
    let text = Done::of(Command::new("tar").arg("-xzOf").arg(&bundle)).ok();
    assert!(text.contains("shop"), "there is something in it");
    none_in(&text, &bundle);
}
