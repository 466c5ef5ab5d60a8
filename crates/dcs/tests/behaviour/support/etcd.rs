//! The distribution's etcd, as real processes in temporary directories.

use super::{Store, until};
use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const ETCD: &str = "/usr/bin/etcd";
const ETCDCTL: &str = "/usr/bin/etcdctl";
/// Elections and leases shorter than by default, so that the tests are.
const HEARTBEAT_MS: &str = "50";
const ELECTION_MS: &str = "500";
/// A port that was free a moment ago may be taken now.
const STARTS_MAX: usize = 5;

pub struct Etcd {
    members: Vec<Member>,
    directory: TempDir,
}

struct Member {
    client_port: u16,
    peer_port: u16,
    process: Option<Child>,
}

impl Store for Etcd {
    async fn start(members: usize) -> Self {
        assert!(Path::new(ETCD).exists(), "{ETCD} is missing; `./dev test` installs it (package etcd-server)");
        for _ in 0..STARTS_MAX {
            let mut etcd = Self {
                members: (0..members)
                    .map(|_| Member { client_port: free_port(), peer_port: free_port(), process: None })
                    .collect(),
                directory: TempDir::new().expect("a temporary directory"),
            };
            for member in 0..members {
                etcd.spawn(member);
            }
            if etcd.is_ready().await {
                return etcd;
            }
        }
        panic!("etcd did not start; see its output with ETCD_OUTPUT=1");
    }

    fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("127.0.0.1:{}", member.client_port)).collect()
    }

    async fn kill(&mut self, member: usize) {
        let mut process = self.members[member].process.take().expect("it runs");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }

    async fn restart(&mut self, member: usize) {
        self.spawn(member);
    }
}

impl Etcd {
    /// Runs etcdctl, which must succeed.
    pub fn control(&self, arguments: &[&str]) {
        assert!(Path::new(ETCDCTL).exists(), "{ETCDCTL} is missing; `./dev test` installs it (package etcd-client)");
        let output = Command::new(ETCDCTL)
            .env_clear()
            .env("ETCDCTL_API", "3")
            .arg("--endpoints")
            .arg(self.endpoints().join(","))
            .args(arguments)
            .output()
            .expect("etcdctl can be started");
        assert!(output.status.success(), "etcdctl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn spawn(&mut self, member: usize) {
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let cluster: Vec<_> =
            self.members.iter().enumerate().map(|(i, member)| format!("m{i}={}", url(member.peer_port))).collect();
        let output = || if std::env::var_os("ETCD_OUTPUT").is_some() { Stdio::inherit() } else { Stdio::null() };
        let (client, peer) = (url(self.members[member].client_port), url(self.members[member].peer_port));
        let name = format!("m{member}");
        let process = Command::new(ETCD)
            .args(["--name", &name, "--data-dir"])
            .arg(self.directory.path().join(&name))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &cluster.join(","), "--initial-cluster-state", "new"])
            .args(["--heartbeat-interval", HEARTBEAT_MS, "--election-timeout", ELECTION_MS])
            .args(["--logger", "zap", "--log-outputs", "stderr"])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .expect("etcd can be started");
        self.members[member].process = Some(process);
    }

    /// All members answer, or one has given up.
    async fn is_ready(&mut self) -> bool {
        let dcs = super::client(&self.endpoints());
        for member in 0..self.members.len() {
            let endpoint = self.endpoints()[member].clone();
            let process = self.members[member].process.as_mut().expect("it was started");
            let mut ended = || matches!(process.try_wait(), Ok(Some(_)) | Err(_));
            let ready = until("etcd starts", || {
                let ended = ended();
                let (dcs, endpoint) = (&dcs, &endpoint);
                async move {
                    if ended {
                        return Some(false);
                    }
                    let led = dcs.status(endpoint).await.is_ok_and(|status| status.leader.is_some());
                    if !led {
                        tokio::time::sleep(Duration::from_millis(30)).await;
                    }
                    led.then_some(true)
                }
            })
            .await;
            if !ready {
                return false;
            }
        }
        true
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
