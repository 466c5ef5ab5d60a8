//! Certificates that live for half a minute: renewed again and again, and nobody notices.

use super::renewed_at;
use super::servers::{Server, Servers};
use crate::support::{eventually, run};
use plan::Role;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;

/// One third of it is left when it is renewed: more than a machine that tests much at once stands still.
const LIFE: &str = "30s";
const ASK_EVERY: Duration = Duration::from_millis(200);
const ASK_PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn certificates_that_end_soon_are_renewed_without_a_connection_that_fails() {
    run(async {
        let roles: &[Role] = &[Role::Database, Role::Store];
        // The first server has the authority, whatever else it does.
        let mut servers = Servers::planned(63, &[&[Role::Witness], roles, roles], Some(LIFE));
        servers.all[0].start();
        servers.first().answers().await;
        for server in [1, 2] {
            servers.join(server, servers.invitation(server)).ok();
            servers.all[server].settle();
            servers.all[server].start();
        }
        servers.whole().await;
        let key = |server: &Server| std::fs::read_to_string(server.tls().key).unwrap();
        let keys: Vec<String> = servers.all.iter().map(key).collect();

        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::new(AtomicUsize::new(0));
        let mut askers = Vec::new();
        for server in &servers.all {
            let has_database = servers.plan.member(&server.name.as_str().into()).unwrap().has_database();
            for port in [8008, 2379].into_iter().chain(has_database.then_some(5432)) {
                askers.push(tokio::spawn(keep_asking(Asked::of(server, port), stop.clone(), asked.clone())));
            }
        }
        // Twice on each server: the second time with a certificate that was renewed already.
        for _ in 0..2 {
            let before: Vec<_> = servers.all.iter().map(|server| renewed_at(&server.home).unwrap()).collect();
            for (server, before) in servers.all.iter().zip(before) {
                eventually("the certificate is renewed", async || {
                    renewed_at(&server.home).filter(|ends| *ends > before)
                })
                .await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        for asker in askers {
            assert_eq!(asker.await.unwrap(), Vec::<String>::new());
        }
        assert!(asked.load(Ordering::Relaxed) > 200);
        assert_eq!(servers.all.iter().map(key).collect::<Vec<_>>(), keys, "the keys stay");
        // Nobody was disturbed, and what is shown is new on every port.
        servers.whole().await;
        for server in &servers.all {
            let log = std::fs::read_to_string(server.log_file()).unwrap();
            assert!(log.contains("this member's certificate was renewed"), "{}", server.name);
            assert!(!log.contains("leadership"), "nobody lost it: {log}");
        }
    });
}

/// One port of one server, asked with the certificate that its server has at that moment.
struct Asked {
    address: std::net::Ipv4Addr,
    port: u16,
    tls: plan::TlsFiles,
}

impl Asked {
    fn of(server: &Server, port: u16) -> Self {
        Self { address: server.address, port, tls: server.tls() }
    }

    async fn ask(&self) -> Result<(), String> {
        let stream = TcpStream::connect((self.address, self.port)).await.map_err(|error| error.to_string())?;
        let files = tls::ClientFiles {
            authorities: Some(self.tls.authority.clone()),
            identity: Some((self.tls.certificate.clone(), self.tls.key.clone())),
            ..Default::default()
        };
        let client = tls::ClientTls::open(files, &[]).map_err(|error| error.to_string())?;
        let stream = if self.port == 5432 { ask_for_tls(stream).await? } else { stream };
        let connected = client.connect(&self.address.to_string(), stream, ASK_PATIENCE).await;
        connected.map(drop).map_err(|error| error.to_string())
    }
}

/// As PostgreSQL wants it: a question first, whether it speaks TLS.
async fn ask_for_tls(mut stream: TcpStream) -> Result<TcpStream, String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
    stream.write_all(&SSL_REQUEST).await.map_err(|error| error.to_string())?;
    let answer = stream.read_u8().await.map_err(|error| error.to_string())?;
    if answer == b'S' { Ok(stream) } else { Err("PostgreSQL speaks no TLS".to_owned()) }
}

async fn keep_asking(what: Asked, stop: Arc<AtomicBool>, asked: Arc<AtomicUsize>) -> Vec<String> {
    let mut failures = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let Err(why) = what.ask().await {
            failures.push(format!("{}:{} {why}", what.address, what.port));
        }
        asked.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(ASK_EVERY).await;
    }
    failures
}
