//! A store that does what the test says, for what a healthy store never does: a watch that has gone deaf, answers from
//! the past, a history that went back.

use crate::support::{client, eventually, keys, until};
use etcd_api::{
    etcdserverpb::{
        CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
        RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse, WatchRequest, WatchResponse,
        kv_server::{Kv, KvServer},
        watch_server::{Watch, WatchServer},
    },
    mvccpb::{Event, KeyValue, event::EventType},
};
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};
use types::Revision;

/// Answers that one watch may have waiting.
const WAITING_MAX: usize = 16;

type Answers = mpsc::Sender<Result<WatchResponse, Status>>;

#[derive(Clone, Default)]
struct Script {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    revision: i64,
    leader: String,
    watches: Vec<Answers>,
    /// Where each watch wanted to start.
    starts: Vec<i64>,
    /// Ranges that were asked for since the last watch began.
    looks: usize,
}

impl Script {
    async fn serve(&self) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tonic::transport::Server::builder()
            .add_service(KvServer::new(self.clone()))
            .add_service(WatchServer::new(self.clone()));
        let task = tokio::spawn(async move {
            let _ = server.serve_with_incoming(TcpListenerStream::new(listener)).await;
        });
        (address, task)
    }

    /// What a range shows from now on. No watch is told.
    fn set(&self, revision: i64, leader: &str) {
        let mut state = self.state.lock().unwrap();
        (state.revision, state.leader) = (revision, leader.to_owned());
    }

    /// Tells the newest watch.
    fn tell(&self, answer: WatchResponse) {
        let state = self.state.lock().unwrap();
        state.watches.last().unwrap().try_send(Ok(answer)).unwrap();
    }

    fn end_watches(&self) {
        self.state.lock().unwrap().watches.clear();
    }

    fn looks(&self) -> usize {
        self.state.lock().unwrap().looks
    }

    fn starts(&self) -> Vec<i64> {
        self.state.lock().unwrap().starts.clone()
    }
}

fn leader_event(revision: i64, leader: &str) -> Event {
    let (mod_revision, create_revision) = (revision, revision);
    let kv = KeyValue {
        key: keys().leader(),
        value: leader.into(),
        mod_revision,
        create_revision,
        version: 1,
        ..KeyValue::default()
    };
    Event { r#type: EventType::Put.into(), kv: Some(kv), prev_kv: None }
}

fn header(revision: i64) -> ResponseHeader {
    ResponseHeader { cluster_id: 1, member_id: 1, revision, raft_term: 1 }
}

#[tonic::async_trait]
impl Kv for Script {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        let (revision, leader) = {
            let mut state = self.state.lock().unwrap();
            state.looks += 1;
            (state.revision, state.leader.clone())
        };
        let kvs: Vec<_> = leader_event(revision, &leader).kv.filter(|_| !leader.is_empty()).into_iter().collect();
        Ok(Response::new(RangeResponse { header: Some(header(revision)), count: kvs.len() as i64, kvs, more: false }))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn delete_range(&self, _: Request<DeleteRangeRequest>) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }

    async fn compact(&self, _: Request<CompactionRequest>) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("not in the script"))
    }
}

#[tonic::async_trait]
impl Watch for Script {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<Streaming<WatchRequest>>) -> Result<Response<Self::WatchStream>, Status> {
        use etcd_api::etcdserverpb::watch_request::RequestUnion;
        let Some(RequestUnion::CreateRequest(create)) =
            request.into_inner().message().await?.and_then(|message| message.request_union)
        else {
            return Err(Status::invalid_argument("a watch begins with its creation"));
        };
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let mut state = self.state.lock().unwrap();
        let created = WatchResponse { header: Some(header(state.revision)), created: true, ..WatchResponse::default() };
        sender.try_send(Ok(created)).unwrap();
        state.starts.push(create.start_revision);
        state.looks = 0;
        state.watches.push(sender);
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

#[tokio::test]
async fn a_watch_that_has_gone_deaf_is_replaced() {
    let script = Script::default();
    script.set(5, "a");
    let (address, _server) = script.serve().await;
    let dcs = client(&[address]);
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected && view.cluster.is_leader(&"a".into())).await;

    // Something changed elsewhere in the store: the view is only known to be newer, and the watch stays.
    script.set(7, "");
    script.tell(WatchResponse {
        header: Some(header(6)),
        events: vec![leader_event(6, "b")],
        ..WatchResponse::default()
    });
    let view = eventually(&dcs, "b", |view| view.cluster.is_leader(&"b".into())).await;
    assert_eq!((view.cluster.revision, view.generation), (Revision(6), 1));

    // The leader key is gone, and nobody says so. Any answer (here: to a load) is ahead of the view.
    let noticed = || async {
        dcs.load().await.unwrap();
        dcs.watch().borrow().cluster.leader.is_none().then_some(())
    };
    until("the change that the watch did not tell", noticed).await;
    let view = eventually(&dcs, "another watch", |view| view.generation == 2 && script.starts().len() == 2).await;
    assert_eq!(view.cluster.revision, Revision(7));
    assert_eq!(script.starts(), [6, 8]);
}

#[tokio::test]
async fn a_change_elsewhere_in_the_store_is_no_reason_for_another_watch() {
    let script = Script::default();
    script.set(5, "");
    let (address, _server) = script.serve().await;
    let dcs = client(&[address]);
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;
    script.set(9, "");
    let newer = || async {
        dcs.load().await.unwrap();
        (dcs.watch().borrow().cluster.revision == Revision(9)).then_some(())
    };
    until("the view is known to be as new", newer).await;
    assert_eq!(dcs.watch().borrow().generation, 1);
    assert_eq!(script.starts(), [6]);
}

#[tokio::test]
async fn the_past_is_not_believed() {
    let script = Script::default();
    script.set(5, "a");
    let (address, _server) = script.serve().await;
    let dcs = client(&[address]);
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;

    // A member that is behind sends what is older than the view, then what is newer.
    let answer = |revision, leader| WatchResponse {
        header: Some(header(revision)),
        events: vec![leader_event(revision, leader)],
        ..WatchResponse::default()
    };
    script.tell(answer(4, "old"));
    script.tell(answer(6, "b"));
    let view = eventually(&dcs, "b", |view| view.cluster.revision == Revision(6)).await;
    assert!(view.cluster.is_leader(&"b".into()));

    // The store was made anew: its history is not taken for a continuation of the old one.
    script.set(2, "c");
    let watches = script.starts().len();
    script.end_watches();
    let view = eventually(&dcs, "disconnected", |view| !view.connected).await;
    assert!(view.cluster.is_leader(&"b".into()));
    assert!(dcs.load().await.unwrap().is_leader(&"c".into()), "a load says what is there");
    // A store that goes on before the client has looked again would be a continuation to it.
    let looked_again = async {
        // One look may be this test's own, above.
        while script.starts().len() == watches || script.looks() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), looked_again)
        .await
        .expect("the client watches again, and looks");
    // Until it has caught up.
    script.set(8, "c");
    let caught_up = eventually(&dcs, "connected again", |view| view.connected).await;
    assert_eq!((caught_up.generation, caught_up.cluster.leader_name()), (2, Some(&"c".into())), "loaded anew");
    script.tell(answer(9, "d"));
    eventually(&dcs, "d", |view| view.cluster.is_leader(&"d".into())).await;
}

#[tokio::test]
async fn pieces_of_one_revision_are_taken_up_together() {
    let script = Script::default();
    script.set(5, "a");
    let (address, _server) = script.serve().await;
    let dcs = client(&[address]);
    let _following = dcs.start();
    eventually(&dcs, "connected", |view| view.connected).await;
    let mut views = dcs.watch();
    views.borrow_and_update();
    let config = |revision| {
        let mut event = leader_event(revision, r#"{"ttl":31}"#);
        event.kv.as_mut().unwrap().key = keys().key("config");
        event
    };
    let piece = |event, fragment| WatchResponse {
        header: Some(header(6)),
        events: vec![event],
        fragment,
        ..WatchResponse::default()
    };
    script.tell(piece(leader_event(6, "b"), true));
    script.tell(piece(config(6), false));
    views.changed().await.unwrap();
    let view = views.borrow().clone();
    assert!(view.cluster.is_leader(&"b".into()) && view.cluster.config.is_some());
    assert_eq!(view.cluster.revision, Revision(6));
}
