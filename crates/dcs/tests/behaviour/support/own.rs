//! Our own store: its members in this process, on real sockets and real files.

use super::{Store, until};
use std::net::SocketAddr;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use wire::node::{NodeConfig, NodeMember, StoreHandle};

const TOKEN: &str = "test";

pub struct Own {
    members: Vec<Member>,
    directory: TempDir,
}

struct Member {
    client: SocketAddr,
    peer: SocketAddr,
    running: Option<(StoreHandle, JoinHandle<()>)>,
}

impl Store for Own {
    async fn start(members: usize) -> Self {
        let mut own = Self { members: Vec::new(), directory: TempDir::new().expect("a temporary directory") };
        let mut listeners = Vec::new();
        for _ in 0..members {
            let (client, peer) = (bind(None).await, bind(None).await);
            let address = |listener: &TcpListener| listener.local_addr().expect("its address");
            own.members.push(Member { client: address(&client), peer: address(&peer), running: None });
            listeners.push((client, peer));
        }
        for (member, (client, peer)) in listeners.into_iter().enumerate() {
            own.run(member, client, peer).await;
        }
        let dcs = super::client(&own.endpoints());
        for endpoint in own.endpoints() {
            until("the store has a leader", || async { dcs.status(&endpoint).await.ok()?.leader }).await;
        }
        own
    }

    fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| member.client.to_string()).collect()
    }

    async fn kill(&mut self, member: usize) {
        let (handle, server) = self.members[member].running.take().expect("it runs");
        server.abort();
        let _ = server.await;
        handle.kill().await;
    }

    async fn restart(&mut self, member: usize) {
        let client = bind(Some(self.members[member].client)).await;
        let peer = bind(Some(self.members[member].peer)).await;
        self.run(member, client, peer).await;
    }
}

impl Own {
    async fn run(&mut self, member: usize, client: TcpListener, peer: TcpListener) {
        let members = self.members.iter().enumerate().map(|(i, member)| NodeMember {
            name: format!("m{i}"),
            peer_urls: vec![format!("http://{}", member.peer)],
            client_urls: vec![format!("http://{}", member.client)],
        });
        let config = NodeConfig {
            name: format!("m{member}"),
            cluster_token: TOKEN.to_owned(),
            members: members.collect(),
            data_dir: self.directory.path().join(format!("m{member}")),
            peer_listeners: vec![peer],
            peer_tls: None,
        };
        let handle = wire::node::start(config).await.expect("a member starts");
        let serving = wire::serve(vec![client], None, handle.clone(), std::future::pending());
        let server = tokio::spawn(async move {
            let _ = serving.await;
        });
        self.members[member].running = Some((handle, server));
    }
}

/// `None`: any free port. A port that was in use until now may take a moment.
async fn bind(address: Option<SocketAddr>) -> TcpListener {
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    until("the port is free", || async { TcpListener::bind(address).await.ok() }).await
}
