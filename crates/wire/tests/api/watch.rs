//! Watches over gRPC: complete, in order, each change once, a revision never divided; however slow the reader.

use crate::lab::{Ours, soon};
use etcd_api::etcdserverpb::{self as pb, kv_client::KvClient, request_op::Request as Op, watch_request::RequestUnion};
use etcd_api::mvccpb::{Event, event::EventType};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

struct Watching {
    requests: mpsc::Sender<pb::WatchRequest>,
    answers: Streaming<pb::WatchResponse>,
}

impl Watching {
    async fn start(server: &Ours) -> Self {
        let (requests, receiver) = mpsc::channel(16);
        let mut client = server.watch().await;
        let answers = client.watch(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Self { requests, answers }
    }

    async fn ask(&self, request: RequestUnion) {
        self.requests.send(pb::WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    async fn create(&mut self, request: pb::WatchCreateRequest) -> pb::WatchResponse {
        self.ask(RequestUnion::CreateRequest(request)).await;
        let answer = self.next().await;
        assert!(answer.created);
        answer
    }

    async fn next(&mut self) -> pb::WatchResponse {
        soon("the watch says something", self.answers.message()).await.unwrap().expect("the stream ended")
    }

    async fn next_events(&mut self) -> Vec<Event> {
        let answer = self.next().await;
        assert!(!answer.events.is_empty(), "{answer:?}");
        answer.events
    }
}

fn of(key: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: key.into(), ..Default::default() }
}

fn of_all() -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: vec![0], range_end: vec![0], ..Default::default() }
}

async fn put(kv: &mut KvClient<Channel>, key: &str, value: Vec<u8>) -> i64 {
    let request = pb::PutRequest { key: key.into(), value, ..Default::default() };
    kv.put(request).await.unwrap().into_inner().header.unwrap().revision
}

fn revisions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect()
}

#[tokio::test]
async fn a_watch_from_the_past_meets_the_present_without_gap_or_repetition() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    for number in 0..300 {
        put(&mut kv, &format!("k{}", number % 7), vec![]).await;
    }
    let writer = tokio::spawn(async move {
        let mut last = 0;
        for number in 0..300 {
            last = put(&mut kv, &format!("k{}", number % 7), vec![]).await;
        }
        last
    });
    let mut watching = Watching::start(&server).await;
    watching.create(pb::WatchCreateRequest { start_revision: 2, ..of_all() }).await;
    let mut seen = Vec::new();
    while seen.len() < 600 {
        let answer = watching.next().await;
        let last = answer.events.last().unwrap().kv.as_ref().unwrap().mod_revision;
        assert!(answer.header.unwrap().revision >= last, "the header names what has been seen");
        seen.extend(revisions(&answer.events));
    }
    assert_eq!(seen, (2..=601).collect::<Vec<_>>());
    assert_eq!(writer.await.unwrap(), 601);
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_the_end() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    let mut watching = Watching::start(&server).await;
    watching.create(of("k")).await;
    let value = vec![b'v'; 3_000];
    // More than all the buffers between us and the store's subscription hold.
    for _ in 0..600 {
        put(&mut kv, "k", value.clone()).await;
    }
    let mut seen = Vec::new();
    while seen.len() < 600 {
        seen.extend(revisions(&watching.next_events().await));
    }
    assert_eq!(seen, (2..=601).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_reader_slower_than_compaction_is_told_so() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    let mut watching = Watching::start(&server).await;
    watching.create(of("k")).await;
    for _ in 0..1200 {
        put(&mut kv, "k", vec![b'v'; 3_000]).await;
    }
    kv.compact(pb::CompactionRequest { revision: 1201, physical: false }).await.unwrap();
    let mut expected = 2;
    let last = loop {
        let answer = watching.next().await;
        if answer.canceled {
            break answer;
        }
        for revision in revisions(&answer.events) {
            assert_eq!(revision, expected, "up to the cut nothing is missing");
            expected += 1;
        }
    };
    assert_eq!(last.compact_revision, 1201);
    let again = watching.create(pb::WatchCreateRequest { start_revision: 1201, ..of("k") }).await;
    assert!(!again.canceled, "the stream goes on");
    assert_eq!(revisions(&watching.next().await.events), [1201]);
}

#[tokio::test]
async fn a_revision_is_never_divided_except_into_marked_fragments() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    let txn = |value: u8| {
        let put = |key: &str| pb::RequestOp {
            request: Some(Op::RequestPut(pb::PutRequest {
                key: key.into(),
                value: vec![value; 700_000],
                ..Default::default()
            })),
        };
        pb::TxnRequest { success: vec![put("a"), put("b")], ..Default::default() }
    };
    let mut watching = Watching::start(&server).await;
    watching.create(pb::WatchCreateRequest { prev_kv: true, fragment: true, watch_id: 7, ..of_all() }).await;
    watching.create(pb::WatchCreateRequest { prev_kv: true, watch_id: 8, ..of_all() }).await;
    kv.txn(txn(1)).await.unwrap();
    kv.txn(txn(2)).await.unwrap();
    let (mut pieces, mut whole) = (Vec::new(), Vec::new());
    while pieces.len() < 3 || whole.len() < 2 {
        let answer = watching.next().await;
        let summary = (revisions(&answer.events), answer.fragment);
        if answer.watch_id == 7 { pieces.push(summary) } else { whole.push(summary) }
    }
    assert_eq!(whole, [(vec![2, 2], false), (vec![3, 3], false)]);
    assert_eq!(pieces, [(vec![2, 2], false), (vec![3], true), (vec![3], false)], "with their previous values");
}

#[tokio::test]
async fn one_stream_has_many_watches_each_with_its_own_wishes() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    put(&mut kv, "a", b"1".to_vec()).await;
    let mut watching = Watching::start(&server).await;
    let wishes = [
        pb::WatchCreateRequest { prev_kv: true, ..of("a") },
        pb::WatchCreateRequest { filters: vec![pb::watch_create_request::FilterType::Noput.into()], ..of("a") },
        pb::WatchCreateRequest { filters: vec![pb::watch_create_request::FilterType::Nodelete.into()], ..of("a") },
        pb::WatchCreateRequest { start_revision: 4, ..of_all() },
        pb::WatchCreateRequest { watch_id: 100, ..of("b") },
    ];
    let mut ids = Vec::new();
    for wish in wishes {
        ids.push(watching.create(wish).await.watch_id);
    }
    assert_eq!(ids, [0, 1, 2, 3, 100]);
    let refused = watching.create(pb::WatchCreateRequest { watch_id: 100, ..of("c") }).await;
    assert_eq!((refused.watch_id, refused.canceled), (-1, true));
    assert_eq!(refused.cancel_reason, "mvcc: duplicate watch ID provided on the WatchStream");

    put(&mut kv, "a", b"2".to_vec()).await;
    kv.delete_range(pb::DeleteRangeRequest { key: b"a".to_vec(), ..Default::default() }).await.unwrap();
    put(&mut kv, "b", b"3".to_vec()).await;
    let mut heard = Vec::new();
    while heard.len() < 7 {
        let answer = watching.next().await;
        for event in &answer.events {
            let previous = event.prev_kv.as_ref().map(|kv| kv.value.as_slice());
            assert_eq!(previous.is_some(), answer.watch_id == 0, "only where it was asked for");
            let revision = event.kv.as_ref().unwrap().mod_revision;
            heard.push((answer.watch_id, revision, event.r#type == i32::from(EventType::Delete)));
        }
    }
    heard.sort_unstable();
    let expected =
        [(0, 3, false), (0, 4, true), (1, 4, true), (2, 3, false), (3, 4, true), (3, 5, false), (100, 5, false)];
    assert_eq!(heard, expected);

    watching.ask(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    let progress = watching.next().await;
    assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, 5));
    for id in [3, 999] {
        watching.ask(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: id })).await;
    }
    let cancelled = watching.next().await;
    assert_eq!((cancelled.watch_id, cancelled.canceled), (3, true));
    put(&mut kv, "b", b"4".to_vec()).await;
    assert_eq!(watching.next().await.watch_id, 100, "the others go on");
    assert!(server.http().get("/metrics").await.unwrap().body.contains("\netcd_debugging_mvcc_watcher_total 4\n"));
}

#[tokio::test]
async fn a_watch_goes_on_when_the_client_has_no_more_requests_and_ends_with_the_server() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    let mut client = server.watch().await;
    let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(of("a"))) };
    let mut answers = client.watch(tokio_stream::once(request)).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().unwrap().created);
    put(&mut kv, "a", vec![]).await;
    assert_eq!(revisions(&soon("it sees the put", answers.message()).await.unwrap().unwrap().events), [2]);
    let (stopped, ended) = tokio::join!(server.shut_down(), answers.message());
    stopped.unwrap();
    let status = ended.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, "etcdserver: server stopped"));
}
