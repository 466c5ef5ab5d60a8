//! Servers for tests: loopback, ports of the moment, ended by process id when dropped.
#![allow(dead_code)] // each test file uses a part

use redis::{
    Address, Binary, Login, Secret, Server, Settings, StartAs, Status, TlsFilePaths, prepare, write_configuration,
};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Two busy cores make everything slow; a test that works needs a fraction of it.
const DEADLINE: Duration = Duration::from_secs(30);
/// Of a server's log, in a failure's message; the last ones first.
const LOG_LINES_SHOWN: usize = 20;
pub const PATIENCE: Duration = Duration::from_secs(5);

pub struct World {
    pub binary: Binary,
    root: tempfile::TempDir,
}

pub struct Running {
    pub settings: Settings,
    pub server: Server,
    program: std::path::PathBuf,
    child: Option<Child>,
}

impl World {
    pub async fn new() -> TestResult<Self> {
        let root = tempfile::Builder::new().prefix("quorate-redis-").tempdir()?;
        Ok(Self { binary: Binary::find(None, None).await?, root })
    }

    pub fn settings(&self, name: &str) -> TestResult<Settings> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Settings {
            listen_hosts: vec!["127.0.0.1".to_owned()],
            port,
            announce: Address::new("127.0.0.1", port),
            data_dir: self.root.path().join(name),
            login: Some(Login { username: "default".to_owned(), password: Secret::new("a secret: it's \\ \"hard\"") }),
            tls: None,
            parameters: BTreeMap::from([("repl-diskless-sync-delay".to_owned(), vec!["0".to_owned()])]),
            min_replicas_to_write: 0,
            priority: 100,
        })
    }

    pub async fn start(&self, name: &str, start: &StartAs) -> TestResult<Running> {
        self.start_with(self.settings(name)?, start).await
    }

    pub async fn start_with(&self, settings: Settings, start: &StartAs) -> TestResult<Running> {
        let server = Server::new(settings.target(settings.local_address())?);
        let mut running = Running { settings, server, program: self.binary.program.clone(), child: None };
        running.run(start).await?;
        Ok(running)
    }

    /// A certificate for 127.0.0.1, and the authority that signed it.
    pub fn tls(&self) -> TestResult<TlsFilePaths> {
        let at = |name: &str| self.root.path().join(name).display().to_string();
        std::fs::write(at("extensions"), "subjectAltName=IP:127.0.0.1\n")?;
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";
        for line in [
            format!("req -x509 {key} -subj /CN=authority -keyout {} -out {}", at("ca.key"), at("ca.pem")),
            format!("req {key} -subj /CN=redis -keyout {} -out {}", at("key.pem"), at("csr")),
            format!(
                "x509 -req -days 2 -in {} -CA {} -CAkey {} -CAcreateserial -extfile {} -out {}",
                at("csr"),
                at("ca.pem"),
                at("ca.key"),
                at("extensions"),
                at("cert.pem")
            ),
        ] {
            let made = Command::new("openssl").args(line.split(' ')).stderr(Stdio::null()).status()?;
            assert!(made.success(), "openssl {line}");
        }
        Ok(TlsFilePaths {
            certificate: at("cert.pem").into(),
            key: at("key.pem").into(),
            authorities: at("ca.pem").into(),
        })
    }
}

impl Running {
    pub async fn run(&mut self, start: &StartAs) -> TestResult {
        prepare(&self.settings.data_dir)?;
        let file = write_configuration(&self.settings, start)?;
        let log = std::fs::File::create(self.settings.data_dir.join("log"))?;
        let mut command = Command::new(&self.program);
        command.arg(file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn()?);
        self.eventually("answers", |status| !status.loading).await?;
        Ok(())
    }

    pub fn address(&self) -> Address {
        self.settings.announce.clone()
    }

    pub fn replica_of_this(&self) -> StartAs {
        StartAs::ReplicaOf(self.address())
    }

    pub async fn eventually(&mut self, what: &str, is_so: impl Fn(&Status) -> bool) -> TestResult<Status> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found = self.server.probe(PATIENCE).await;
            match found {
                Ok(status) if is_so(&status) => return Ok(status),
                found if Instant::now() > deadline => {
                    let log = std::fs::read_to_string(self.settings.data_dir.join("log")).unwrap_or_default();
                    let log: Vec<&str> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
                    let log = log.join("\n");
                    return Err(format!("it was not true that it {what}: {found:?}\n{log}").into());
                }
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// A client of its own, for what the agent never does.
    pub async fn client(&self) -> TestResult<resp::client::Connection> {
        Ok(resp::client::Connection::open(&self.settings.target(self.address())?).await?)
    }

    pub async fn set(&self, key: &str, value: &str) -> TestResult<resp::Value> {
        Ok(self.client().await?.call(&["SET", key, value], PATIENCE).await?)
    }

    pub async fn get(&self, key: &str) -> TestResult<Option<String>> {
        Ok(self.client().await?.call(&["GET", key], PATIENCE).await?.as_text().map(std::borrow::Cow::into_owned))
    }

    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).stderr(Stdio::null()).status();
        }
    }

    /// As a crash.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
