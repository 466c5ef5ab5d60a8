//! A store in memory, an agent that answers as told, and one request at a time.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use console::{Api, CommandRequest, Extras, LocalStatus, RestApiSettings, Snapshot, Store, StoreNow, Xlog};
use dcs::{DcsError, Written};
use futures_util::future::BoxFuture;
use ha::cluster::redis::RedisWrite;
use ha::cluster::{Cluster, Keys, Role, RunState, StoreWrite};
use kv::{Compare, CompareResult, CompareTarget, Event, EventKind, KeyRange, KeyValue, TxnOperation, TxnRequest};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, watch};
use types::{Lsn, Revision, Scope, SystemId, Timeline};

/// Enough of a store: keys with revisions, and transactions that compare revisions.
#[derive(Default)]
pub struct FakeStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: i64,
    keys: BTreeMap<Vec<u8>, (Vec<u8>, i64)>,
    down: bool,
    /// Somebody else changes the configuration just before each write.
    contended: bool,
    mute: bool,
}

pub fn keys() -> Keys {
    Keys::new(None, &Scope::from("demo"))
}

impl FakeStore {
    pub fn put(&self, name: &str, value: &str) -> Revision {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        let revision = state.revision;
        state.keys.insert(keys().key(name), (value.as_bytes().to_vec(), revision));
        Revision(revision)
    }

    pub fn delete(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        state.keys.remove(&keys().key(name));
    }

    pub fn get(&self, name: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        state.keys.get(&keys().key(name)).map(|(value, _)| String::from_utf8(value.clone()).unwrap())
    }

    pub fn set_down(&self, down: bool) {
        self.state.lock().unwrap().down = down;
    }

    pub fn set_contended(&self) {
        self.state.lock().unwrap().contended = true;
    }

    pub fn cluster(&self) -> Cluster {
        let state = self.state.lock().unwrap();
        let mut cluster = Cluster { revision: Revision(state.revision), ..Cluster::default() };
        for (key, (value, revision)) in &state.keys {
            let kv = KeyValue {
                key: key.clone(),
                value: value.clone(),
                create_revision: Revision(*revision),
                mod_revision: Revision(*revision),
                version: 1,
                lease: None,
            };
            cluster.apply(&keys(), &Event { kind: EventKind::Put, kv, prev_kv: None });
        }
        cluster.revision = Revision(state.revision);
        cluster
    }

    /// The next write is carried out, but nobody hears of it.
    pub fn set_mute(&self) {
        self.state.lock().unwrap().mute = true;
    }

    fn commit(&self, txn: TxnRequest) -> Result<Written, DcsError> {
        let mut state = self.state.lock().unwrap();
        if state.down {
            return Err(unreachable());
        }
        if state.contended {
            state.revision += 1;
            let revision = state.revision;
            state.keys.insert(keys().key("config"), (b"{\"ttl\":7}".to_vec(), revision));
        }
        if !txn.compare.iter().all(|compare| state.holds(compare)) {
            return Ok(Written::Refused);
        }
        state.revision += 1;
        let revision = state.revision;
        for operation in txn.success {
            match operation {
                TxnOperation::Put(put) => {
                    state.keys.insert(put.key, (put.value, revision));
                }
                TxnOperation::DeleteRange(delete) => match delete.keys {
                    KeyRange::One(key) => drop(state.keys.remove(&key)),
                    other => panic!("not used by the API: {other:?}"),
                },
                other => panic!("not used by the API: {other:?}"),
            }
        }
        if std::mem::take(&mut state.mute) {
            return Err(DcsError::OutcomeUnknown { endpoint: "store".into(), why: "cut".into() });
        }
        Ok(Written::Done { revision: Revision(revision) })
    }
}

fn unreachable() -> DcsError {
    DcsError::Unreachable { endpoints: vec!["store".into()], why: "connection refused".into() }
}

impl State {
    fn holds(&self, compare: &Compare) -> bool {
        let KeyRange::One(key) = &compare.keys else { panic!("not used by the API") };
        assert_eq!(compare.result, CompareResult::Equal);
        let revision = self.keys.get(key).map_or(0, |(_, revision)| *revision);
        match &compare.target {
            CompareTarget::CreateRevision(wanted) | CompareTarget::ModRevision(wanted) => revision == wanted.0,
            other => panic!("not used by the API: {other:?}"),
        }
    }
}

impl Store for FakeStore {
    fn load(&self) -> BoxFuture<'_, Result<Cluster, DcsError>> {
        let down = self.state.lock().unwrap().down;
        let cluster = self.cluster();
        Box::pin(async move { if down { Err(unreachable()) } else { Ok(cluster) } })
    }

    fn write(&self, write: StoreWrite) -> BoxFuture<'_, Result<Written, DcsError>> {
        Box::pin(async move { self.commit(write.to_txn(&keys())) })
    }

    fn write_redis(&self, group: &str, write: RedisWrite) -> BoxFuture<'_, Result<Written, DcsError>> {
        let txn = write.to_txn(&keys(), group);
        Box::pin(async move { self.commit(txn) })
    }
}

/// Three members: `pg1` leads, `pg2` is a synchronous standby where the mode is on, `pg3` is a replica.
pub struct World {
    pub store: Arc<FakeStore>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    pub commands: mpsc::Receiver<CommandRequest>,
    pub api: Api,
}

pub fn member(name: &str, role: &str, more: &str) -> String {
    let host = name.trim_start_matches("pg");
    format!(
        r#"{{"conn_url":"postgres://10.0.0.{host}:5432/postgres","api_url":"http://10.0.0.{host}:8008/patroni","state":"running","role":"{role}","version":"4.1.4"{more}}}"#
    )
}

impl World {
    pub fn new() -> Self {
        let store = Arc::new(FakeStore::default());
        store.put("initialize", "7500000000000000001");
        store.put("config", r#"{"ttl":30,"loop_wait":10,"postgresql":{"parameters":{"max_connections":100}}}"#);
        store.put("leader", "pg1");
        store.put("status", r#"{"optime":50331648}"#);
        store.put("history", r#"[[1,25165824,"no recovery target specified","2026-08-01T10:00:00+00:00","pg1"]]"#);
        store.put("members/pg1", &member("pg1", "primary", r#","xlog_location":50331648,"timeline":2"#));
        let streams = r#","xlog_location":50330624,"receive_lsn":50331648,"replay_lsn":50330624,"replication_state":"streaming","timeline":2"#;
        store.put("members/pg2", &member("pg2", "replica", streams));
        store.put(
            "members/pg3",
            &member("pg3", "replica", r#","pending_restart":true,"tags":{"nofailover":true,"zone":"b"}"#),
        );
        let snapshot = Snapshot {
            cluster: Arc::new(store.cluster()),
            store_reachable: true,
            dcs_last_seen: 1_785_000_000,
            local: primary(),
            ..Snapshot::starting("pg1".into(), "demo".into(), Arc::new(RestApiSettings::default()))
        };
        let (snapshots, receiver) = watch::channel(Arc::new(snapshot));
        let (sender, commands) = mpsc::channel(8);
        let api = Api {
            snapshots: receiver,
            commands: sender,
            store: store.clone(),
            redis: None,
            vips: None,
            metrics: None,
            extras: Extras::default(),
        };
        Self { store, snapshots, commands, api }
    }

    /// What this member knows of the store.
    pub fn extras_store(&mut self, store: StoreNow) {
        self.api.extras.store = Some(Arc::new(move || store.clone()));
    }

    /// Publishes the next snapshot: the store's keys as they are now, changed by `change`.
    pub fn publish(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshots.send_modify(|snapshot| {
            let mut next = Snapshot::clone(snapshot);
            next.cluster = Arc::new(self.store.cluster());
            change(&mut next);
            *snapshot = Arc::new(next);
        });
    }

    pub async fn get(&self, path: &str) -> Answer {
        ask(&self.api, "GET", path, None).await
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

pub const PEER: &str = "192.0.2.7";

pub async fn ask(api: &Api, method: &str, path: &str, body: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(body) = body {
        request = request.header("content-length", body.len());
    }
    send(api, PEER, request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap()).await
}

pub async fn send(api: &Api, peer: &str, request: Request<Body>) -> Answer {
    let peer: IpAddr = peer.parse().unwrap();
    let response = api.answer(peer, request).await;
    let (head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: head.status.as_u16(), headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub fn primary() -> LocalStatus {
    LocalStatus {
        state: RunState::Running,
        role: Role::Primary,
        is_leader: true,
        leader_until: Some(Instant::now() + Duration::from_secs(3600)),
        postmaster_start_time: Some(SystemTime::UNIX_EPOCH + Duration::from_micros(1_724_873_966_352_526)),
        server_version: Some(150_002),
        timeline: Some(Timeline(2)),
        xlog: Some(Xlog::Primary { location: Lsn(50_331_648) }),
        database_system_identifier: Some(SystemId::from("7500000000000000001")),
        ..LocalStatus::default()
    }
}

pub fn replica() -> LocalStatus {
    LocalStatus {
        role: Role::Replica,
        is_leader: false,
        leader_until: None,
        xlog: Some(Xlog::Replica {
            received: Lsn(50_331_648),
            replayed: Lsn(50_331_648 - 1024),
            replayed_timestamp: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_724_873_970)),
            paused: false,
        }),
        latest_end_lsn: Some(Lsn(50_331_648)),
        replication_state: Some("streaming".into()),
        ..primary()
    }
}
