//! The API in TLS: who may read, and who may change something.

use crate::access::{obliging, with_password};
use console::{Console, RestApiSettings, serve};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tls::{ClientCertificates, ClientFiles, ClientTls, HTTP1, ServerFiles, ServerTls};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(30);

fn issue(directory: &Path, authority: &pki::Authority, name: &str) -> (PathBuf, PathBuf) {
    let issued = authority.issue(name, &["127.0.0.1"], SystemTime::now(), pki::MEMBER_LIFE).unwrap();
    let (certificate, key) = (directory.join(format!("{name}.pem")), directory.join(format!("{name}.key")));
    std::fs::write(&certificate, issued.certificate_pem).unwrap();
    std::fs::write(&key, issued.key_pem.expose()).unwrap();
    (certificate, key)
}

/// The first line and the body of the answer; empty when there is none.
async fn ask(address: SocketAddr, ca: &Path, identity: Option<&(PathBuf, PathBuf)>, request: &str) -> String {
    let files = ClientFiles { authorities: Some(ca.to_owned()), identity: identity.cloned(), ..Default::default() };
    let client = ClientTls::open(files, &[HTTP1]).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let Ok(mut stream) = client.connect("127.0.0.1", stream, DEADLINE).await else { return String::new() };
    let request = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // The server may have closed already.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    answer.lines().next().map_or_else(String::new, |line| format!("{line}\n{body}"))
}

#[tokio::test]
async fn verify_client_means_what_it_means_to_patroni() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let now = SystemTime::now();
    let (ours, foreign) = (pki::Authority::create("ours", now).unwrap(), pki::Authority::create("other", now).unwrap());
    let ca = at.join("ca.pem");
    std::fs::write(&ca, ours.certificate_pem()).unwrap();
    let (certificate, key) = issue(at, &ours, "server");
    let (friend, stranger) = (issue(at, &ours, "friend"), issue(at, &foreign, "stranger"));
    let (read, change) = ("GET /primary", "POST /reload");
    for (clients, identity, request, expected) in [
        (ClientCertificates::NotAsked, None, read, "HTTP/1.1 200 OK"),
        (ClientCertificates::NotAsked, None, change, "HTTP/1.1 401 Unauthorized\nno auth header received"),
        (ClientCertificates::NotAsked, Some(&friend), change, "HTTP/1.1 401 Unauthorized\nno auth header received"),
        (ClientCertificates::Optional, None, read, "HTTP/1.1 200 OK"),
        (ClientCertificates::Optional, None, change, "HTTP/1.1 403 Forbidden\nclient certificate required"),
        (ClientCertificates::Optional, Some(&stranger), read, ""),
        (ClientCertificates::Optional, Some(&friend), change, "HTTP/1.1 202 Accepted\nreload scheduled"),
        (ClientCertificates::Required, None, read, ""),
        (ClientCertificates::Required, Some(&stranger), change, ""),
        (ClientCertificates::Required, Some(&friend), read, "HTTP/1.1 200 OK"),
        (ClientCertificates::Required, Some(&friend), change, "HTTP/1.1 202 Accepted\nreload scheduled"),
    ] {
        let settings = RestApiSettings {
            changes_need_certificate: clients != ClientCertificates::NotAsked,
            ..RestApiSettings::default()
        };
        let world = obliging(with_password(settings, "admin", "secret"));
        let authorities = Some(ca.clone());
        let files = ServerFiles { certificate: certificate.clone(), key: key.clone(), authorities, clients };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Some(ServerTls::open(files, &[HTTP1]).unwrap());
        let task = tokio::spawn(serve(listener, server, world.api.clone(), std::future::pending()));
        let answer = ask(address, &ca, identity, request).await;
        let who = identity.map(|(certificate, _)| certificate.file_name());
        let matches = if expected.is_empty() { answer.is_empty() } else { answer.starts_with(expected) };
        assert!(matches, "{clients:?} {who:?} {request}: {answer:?}");
        // Without TLS nobody is answered.
        let mut plain = TcpStream::connect(address).await.unwrap();
        plain.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, plain.read_to_end(&mut answer)).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains("HTTP"), "{answer:?}");
        task.abort();
    }
}

#[tokio::test]
async fn the_console_is_served_in_tls_to_whom_the_api_is() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let ours = pki::Authority::create("ours", SystemTime::now()).unwrap();
    let ca = at.join("ca.pem");
    std::fs::write(&ca, ours.certificate_pem()).unwrap();
    let ((certificate, key), friend) = (issue(at, &ours, "server"), issue(at, &ours, "friend"));
    for (clients, identity, answered) in [
        (ClientCertificates::NotAsked, None, true),
        (ClientCertificates::Optional, None, true),
        (ClientCertificates::Required, None, false),
        (ClientCertificates::Required, Some(&friend), true),
    ] {
        let world = obliging(with_password(RestApiSettings::default(), "admin", "secret"));
        let (certificate, key, authorities) = (certificate.clone(), key.clone(), Some(ca.clone()));
        let files = ServerFiles { certificate, key, authorities, clients };
        let server = Some(ServerTls::open(files, &[HTTP1]).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let console = Console::new(world.api.clone(), true);
        let task = tokio::spawn(serve(listener, server, console, std::future::pending()));
        let answer = ask(address, &ca, identity, "GET /session").await;
        assert_eq!(answer.starts_with("HTTP/1.1 200 OK"), answered, "{clients:?}: {answer:?}");
        assert_eq!(answer.contains(r#""login_needed": true"#), answered, "{clients:?}: {answer:?}");
        // A certificate is no session.
        let answer = ask(address, &ca, identity, "POST /api/reload").await;
        assert_eq!(answer.starts_with("HTTP/1.1 401"), answered, "{clients:?}: {answer:?}");
        task.abort();
    }
}
