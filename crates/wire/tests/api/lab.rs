//! Servers to talk to, ours and a real etcd, and clients to talk with.

use etcd_api::etcdserverpb::{kv_client::KvClient, lease_client::LeaseClient, watch_client::WatchClient};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use wire::node::{self, NodeConfig, NodeMember, StoreHandle};

/// For anything that should happen at once, on a machine that does other things as well.
pub const SOON: Duration = Duration::from_secs(20);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// One member of ours. Its data live as long as it does.
pub struct Ours {
    pub address: SocketAddr,
    pub store: StoreHandle,
    shutdown: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
    _data: tempfile::TempDir,
}

impl Ours {
    /// A cluster of one, which leads.
    pub async fn start() -> Self {
        Self::start_cluster(1).await.remove(0)
    }

    /// A cluster of so many, m1 and on, with a leader that all of them know.
    pub async fn start_cluster(size: usize) -> Vec<Self> {
        let (mut clients, mut peers, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=size {
            let client = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
            members.push(NodeMember {
                name: format!("m{number}"),
                peer_urls: vec![format!("http://{}", peer.local_addr().unwrap())],
                client_urls: vec![format!("http://{}", client.local_addr().unwrap())],
            });
            clients.push(client);
            peers.push(peer);
        }
        let mut servers = Vec::new();
        for ((client, peer), member) in clients.into_iter().zip(peers).zip(&members) {
            servers.push(Self::start_member(&member.name, members.clone(), client, peer, None).await);
        }
        for server in &servers {
            eventually("there is a leader", async || server.store.linearizable().await.is_ok()).await;
        }
        servers
    }

    /// A cluster of one whose clients need TLS.
    pub async fn start_secured(tls: tls::ServerTls) -> Self {
        let client = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let member = NodeMember {
            name: "m1".to_owned(),
            peer_urls: vec![format!("http://{}", peer.local_addr().unwrap())],
            client_urls: vec![format!("https://{}", client.local_addr().unwrap())],
        };
        let server = Self::start_member("m1", vec![member], client, peer, Some(tls)).await;
        eventually("there is a leader", async || server.store.linearizable().await.is_ok()).await;
        server
    }

    async fn start_member(
        name: &str,
        members: Vec<NodeMember>,
        client: TcpListener,
        peer: TcpListener,
        tls: Option<tls::ServerTls>,
    ) -> Self {
        let data = tempfile::tempdir().unwrap();
        let address = client.local_addr().unwrap();
        let config = NodeConfig {
            name: name.to_owned(),
            cluster_token: "lab".to_owned(),
            members,
            data_dir: data.path().join("store"),
            peer_listeners: vec![peer],
            peer_tls: None,
        };
        let store = node::start(config).await.unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let server = tokio::spawn(wire::serve(vec![client], tls, store.clone(), async {
            let _ = stopped.await;
        }));
        Self { address, store, shutdown: Some(shutdown), server, _data: data }
    }

    pub fn leads(&self) -> bool {
        self.store.status().is_leader
    }

    pub fn http(&self) -> Http {
        Http::new(self.address)
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel().await)
    }

    pub async fn watch(&self) -> WatchClient<Channel> {
        WatchClient::new(self.channel().await)
    }

    pub async fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel().await)
    }

    /// Ends it as a service manager would.
    pub async fn shut_down(mut self) -> std::io::Result<()> {
        drop(self.shutdown.take());
        (&mut self.server).await.unwrap()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A real etcd with one member, for as long as this lives.
pub struct RealEtcd {
    pub address: SocketAddr,
    process: Child,
    _data: tempfile::TempDir,
}

impl RealEtcd {
    pub async fn start() -> Self {
        let (client, peer) = (free_address(), free_address());
        let data = tempfile::tempdir().unwrap();
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(data.path())
            .args(["--name", "n1", "--enable-v2", "--logger", "zap", "--log-outputs", "stderr"])
            .args(["--listen-client-urls", &format!("http://{client}")])
            .args(["--advertise-client-urls", &format!("http://{client}")])
            .args(["--listen-peer-urls", &format!("http://{peer}")])
            .args(["--initial-advertise-peer-urls", &format!("http://{peer}")])
            .args(["--initial-cluster", &format!("n1=http://{peer}")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd is not installed (`./dev test` installs it)");
        let etcd = Self { address: client, process, _data: data };
        let http = Http::new(client);
        eventually("etcd is healthy", async || http.get("/health").await.is_some_and(|answer| answer.status == 200))
            .await;
        etcd
    }
}

impl Drop for RealEtcd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> SocketAddr {
    StdTcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until it is so, and fails when it does not get so.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition().await {
        assert!(Instant::now() < deadline, "it never happened that {what}");
        tokio::time::sleep(LOOK_AGAIN_AFTER).await;
    }
}

pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let within = tokio::time::timeout(SOON, future).await;
    within.unwrap_or_else(|_| panic!("it never happened that {what}"))
}

/// Plain HTTP to one server.
pub struct Http {
    client: reqwest::Client,
    base: String,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Http {
    pub fn new(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(SOON).build().unwrap();
        Self { client, base: format!("http://{address}") }
    }

    /// `None`: no connection.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        self.send(self.client.get(format!("{}{path}", self.base))).await
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        self.send(request).await.unwrap_or_else(|| panic!("no answer to POST {path}"))
    }

    pub async fn request(&self, method: reqwest::Method, path: &str) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.base));
        self.send(request).await.unwrap_or_else(|| panic!("no answer to {path}"))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Some(Answer { status, headers, body: response.text().await.ok()? })
    }

    /// An answer that goes on: its lines as they come.
    pub async fn stream(&self, path: &str, body: &str) -> Lines {
        let request = self.client.post(format!("{}{path}", self.base)).body(body.to_owned());
        let response = request.send().await.unwrap();
        Lines { status: response.status().as_u16(), response, rest: Vec::new() }
    }
}

pub struct Lines {
    pub status: u16,
    response: reqwest::Response,
    rest: Vec<u8>,
}

impl Lines {
    /// `None`: the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk = soon("another line comes", self.response.chunk()).await.unwrap()?;
            self.rest.extend_from_slice(&chunk);
        }
    }

    pub async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut lines = Vec::new();
        while lines.len() < count {
            lines.push(self.next().await.expect("the stream ended too early"));
        }
        lines
    }
}
