//! Real members on this machine: sockets, threads, data directories.

use super::{NodeConfig, NodeError, NodeMember, StoreHandle, member_id, start};
use kv::{Command, KeyRange, PutRequest, RangeRequest, Response};
use std::{path::Path, time::Duration};
use store::StoreError;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use types::{Millis, Revision};

const DEADLINE: Duration = Duration::from_secs(15);

struct Cluster {
    directory: TempDir,
    addresses: Vec<String>,
    nodes: Vec<Option<StoreHandle>>,
}

fn name(index: usize) -> String {
    format!("m{index}")
}

async fn listen(address: &str) -> TcpListener {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

fn config(addresses: &[String], index: usize, directory: &Path, listener: TcpListener) -> NodeConfig {
    let members = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| NodeMember {
            name: name(index),
            peer_urls: vec![format!("http://{address}")],
            client_urls: vec![format!("http://client-of-{index}:2379")],
        })
        .collect();
    NodeConfig {
        name: name(index),
        cluster_token: "test".to_owned(),
        members,
        data_dir: directory.join(name(index)),
        peer_listeners: vec![listener],
        peer_tls: None,
    }
}

impl Cluster {
    async fn start(size: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut listeners = Vec::new();
        for _ in 0..size {
            listeners.push(listen("127.0.0.1:0").await);
        }
        let addresses: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
        let mut nodes = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            nodes.push(Some(start(config(&addresses, index, directory.path(), listener)).await.unwrap()));
        }
        Self { directory, addresses, nodes }
    }

    async fn restart(&mut self, index: usize) {
        let listener = listen(&self.addresses[index]).await;
        let config = config(&self.addresses, index, self.directory.path(), listener);
        self.nodes[index] = Some(start(config).await.unwrap());
    }

    async fn kill(&mut self, index: usize) {
        self.nodes[index].take().unwrap().kill().await;
    }

    fn node(&self, index: usize) -> &StoreHandle {
        self.nodes[index].as_ref().unwrap()
    }

    fn alive(&self) -> impl Iterator<Item = &StoreHandle> {
        self.nodes.iter().flatten()
    }

    /// The index of the member that takes writes, once there is one.
    async fn leader(&self) -> usize {
        let waits = self.nodes.iter().enumerate().filter_map(|(index, node)| {
            let mut status = node.as_ref()?.watch_status();
            Some(Box::pin(async move {
                status.wait_for(|status| status.takes_writes).await.unwrap();
                index
            }))
        });
        let found = futures_util::future::select_all(waits);
        let Ok((leader, ..)) = timeout(DEADLINE, found).await else {
            panic!("no leader: {:#?}", self.alive().map(StoreHandle::status).collect::<Vec<_>>())
        };
        leader
    }
}

fn put(key: &str, value: &str) -> Command {
    Command::Put(PutRequest {
        key: key.into(),
        value: value.into(),
        lease: None,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    })
}

fn get(node: &StoreHandle, key: &str) -> Option<String> {
    let range = RangeRequest::all(KeyRange::One(key.into()));
    let found = node.read(|kv| kv.range(&range)).unwrap().kvs.pop();
    found.map(|kv| String::from_utf8(kv.value).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_take_writes_everywhere_and_read_what_was_written() {
    let cluster = Cluster::start(3).await;
    cluster.leader().await;
    for index in 0..3 {
        let mut changes = cluster.node(index).subscribe();
        let (header, response) = cluster.node(index).propose(put("k", &name(index))).await.unwrap();
        assert_eq!(response, Response::Put { prev_kv: None });
        assert_eq!((header.revision, header.member_id), (Revision(2 + index as i64), member_id("test", &name(index))));
        let batch = timeout(DEADLINE, changes.recv()).await.unwrap().unwrap();
        assert_eq!((batch.revision, batch.events.len()), (header.revision, 1));
        for node in cluster.alive() {
            node.linearizable().await.unwrap();
            assert_eq!(get(node, "k"), Some(name(index)));
        }
    }
    let members = cluster.node(0).members();
    assert_eq!(members.len(), 3);
    assert_eq!(members[1].client_urls, ["http://client-of-1:2379"]);
    for node in cluster.alive() {
        node.shutdown().await;
        assert_eq!(node.propose(put("k", "v")).await, Err(StoreError::Stopped));
        assert_eq!(node.stopped().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_quickly_and_comes_back_with_its_data() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for round in 0..20 {
        cluster.node((leader + round) % 3).propose(put(&format!("k{round}"), "v")).await.unwrap();
    }
    let start = Instant::now();
    cluster.kill(leader).await;
    let survivor = (leader + 1) % 3;
    cluster.node(survivor).propose(put("after", "v")).await.unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_secs(1), "its process is gone, its port refuses: {took:?}");
    cluster.restart(leader).await;
    let back = cluster.node(leader);
    timeout(DEADLINE, back.linearizable()).await.unwrap().unwrap();
    assert_eq!(get(back, "after").as_deref(), Some("v"));
    assert_eq!(get(back, "k0").as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_all_members_were_killed() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let writes = (0..50).map(|n| {
        let node = cluster.node(n % 3).clone();
        async move { node.propose(put(&format!("k{n}"), "v")).await.unwrap() }
    });
    futures_util::future::join_all(writes).await;
    for index in 0..3 {
        cluster.kill(index).await;
    }
    for index in 0..3 {
        cluster.restart(index).await;
    }
    cluster.leader().await;
    for node in cluster.alive() {
        node.linearizable().await.unwrap();
        assert!((0..50).all(|n| get(node, &format!("k{n}")).is_some()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leadership_moves_on_request_and_at_an_orderly_stop() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (to, third) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.node(third).propose(put("k", "v")).await.unwrap();
    cluster.node(third).move_leader(member_id("test", &name(to))).await.unwrap();
    assert!(cluster.node(to).status().is_leader);
    let start = Instant::now();
    cluster.nodes[to].take().unwrap().shutdown().await;
    cluster.node(third).propose(put("k", "w")).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_alone_needs_nobody() {
    let mut cluster = Cluster::start(1).await;
    cluster.leader().await;
    let grant = Command::LeaseGrant { id: None, ttl: Millis(300) };
    let (_, response) = cluster.node(0).propose(grant).await.unwrap();
    let Response::LeaseGrant { id, .. } = response else { panic!() };
    let Command::Put(request) = put("leased", "v") else { panic!() };
    let mut changes = cluster.node(0).subscribe();
    cluster.node(0).propose(Command::Put(PutRequest { lease: Some(id), ..request })).await.unwrap();
    let store_time = cluster.node(0).store_time();
    assert!(cluster.node(0).read(|kv| kv.lease_status(id, store_time)).unwrap().remaining <= Millis(300));
    for kind in [kv::EventKind::Put, kv::EventKind::Delete] {
        let batch = timeout(DEADLINE, changes.recv()).await.unwrap().unwrap();
        assert_eq!(batch.events[0].kind, kind);
    }
    cluster.node(0).shutdown().await;
    cluster.restart(0).await;
    cluster.leader().await;
    cluster.node(0).linearizable().await.unwrap();
    assert_eq!(get(cluster.node(0), "leased"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_reads_and_writes_say_so() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    cluster.node(leader).propose(put("k", "v")).await.unwrap();
    cluster.kill((leader + 1) % 3).await;
    cluster.kill((leader + 2) % 3).await;
    let node = cluster.node(leader);
    let mut status = node.watch_status();
    timeout(DEADLINE, status.wait_for(|status| status.leader == 0)).await.unwrap().unwrap();
    assert_eq!(get(node, "k").as_deref(), Some("v"), "what is known can still be read");
    let (write, read) = tokio::join!(node.propose(put("k", "w")), node.linearizable());
    assert_eq!((write.map(|_| ()), read), (Err(StoreError::NoLeader), Err(StoreError::NoLeader)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_starts_nothing() {
    let cluster = Cluster::start(1).await;
    let directory = cluster.directory.path();
    let attempt = async |change: fn(&mut NodeConfig)| {
        let mut config = config(&cluster.addresses, 0, directory, listen("127.0.0.1:0").await);
        change(&mut config);
        start(config).await.map(|_| ()).unwrap_err()
    };
    let error = attempt(|_| ()).await;
    assert!(error.to_string().contains("in use by another process"), "{error}");
    cluster.node(0).shutdown().await;
    let error = attempt(|config| "other".clone_into(&mut config.cluster_token)).await;
    assert!(error.to_string().contains("belongs to member"), "{error}");
    let error = attempt(|config| "stranger".clone_into(&mut config.name)).await;
    assert!(matches!(error, NodeError::NotAMember { .. }), "{error}");
    let error = attempt(|config| {
        let url = "ftp://nowhere".to_owned();
        config.members.push(NodeMember { name: "x".to_owned(), peer_urls: vec![url], client_urls: Vec::new() });
    });
    assert!(matches!(error.await, NodeError::BadPeerUrl { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_on_the_peer_port_are_sent_away() {
    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xFF; 100], b"quorpeer\x02.........................."]
    {
        let mut stream = TcpStream::connect(&cluster.addresses[0]).await.unwrap();
        let _ = stream.write_all(garbage).await;
        let mut answer = Vec::new();
        let ended = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
        assert!(answer.len() <= 1, "{ended:?} {answer:?}");
    }
    cluster.node(0).propose(put("k", "v")).await.unwrap();
}
