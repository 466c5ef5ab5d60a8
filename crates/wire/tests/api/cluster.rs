//! Three members: any of them serves, the lead moves, and without a majority clients that mind are told.

use crate::lab::{Ours, eventually, soon};
use etcd_api::etcdserverpb as pb;
use etcd_api::etcdserverpb::watch_request::RequestUnion;
use tonic::{Code, Request};

fn put(key: &str, value: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

fn get(key: &str, serializable: bool) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), serializable, ..Default::default() }
}

fn watch_of(key: &str) -> pb::WatchRequest {
    let create = pb::WatchCreateRequest { key: key.into(), ..Default::default() };
    pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }
}

fn with_leader<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("hasleader", "true".parse().unwrap());
    request
}

#[tokio::test]
async fn what_one_member_takes_all_members_serve() {
    let servers = Ours::start_cluster(3).await;
    let mut watches = Vec::new();
    for server in &servers {
        let mut answers = server.watch().await.watch(tokio_stream::once(watch_of("k"))).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().unwrap().created);
        watches.push(answers);
    }
    for (turn, server) in servers.iter().enumerate() {
        let value = turn.to_string();
        let header = server.kv().await.put(put("k", &value)).await.unwrap().into_inner().header.unwrap();
        assert_eq!(header.member_id, server.store.status().id);
        for other in &servers {
            let found = other.kv().await.range(get("k", false)).await.unwrap().into_inner();
            assert_eq!(found.kvs[0].value, value.as_bytes(), "read after the write");
            assert_eq!(found.header.unwrap().cluster_id, header.cluster_id);
        }
        for watch in &mut watches {
            let told = soon("every member tells", watch.message()).await.unwrap().unwrap();
            assert_eq!(told.events[0].kv.as_ref().unwrap().mod_revision, header.revision);
        }
    }
    let mut hashes = Vec::new();
    for server in &servers {
        hashes.push(server.http().post("/v3/maintenance/hashkv", r#"{"revision":"4"}"#).await.json()["hash"].clone());
    }
    assert!(hashes[0].is_u64() && hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

#[tokio::test]
async fn the_lead_moves_to_whom_it_is_told() {
    let servers = Ours::start_cluster(3).await;
    let leader = servers.iter().find(|server| server.leads()).unwrap();
    let other = servers.iter().find(|server| !server.leads()).unwrap();
    let target = other.store.status().id;
    let request = format!(r#"{{"targetID":"{target}"}}"#);
    let refused = other.http().post("/v3/maintenance/transfer-leadership", request.clone()).await;
    assert_eq!((refused.status, refused.json()["error"].as_str()), (412, Some("etcdserver: not leader")));
    let moved = leader.http().post("/v3/maintenance/transfer-leadership", request).await;
    assert_eq!(moved.status, 200, "{}", moved.body);
    eventually("the other leads", async || other.leads()).await;
    assert_eq!(leader.http().post("/v3/kv/put", r#"{"key":"YQ=="}"#).await.status, 200);
}

#[tokio::test]
async fn without_a_majority_reads_of_old_data_go_on_and_the_rest_is_refused() {
    let servers = Ours::start_cluster(3).await;
    let survivor = servers.iter().find(|server| !server.leads()).unwrap();
    let mut kv = survivor.kv().await;
    kv.put(put("k", "v")).await.unwrap();
    let mut client = survivor.watch().await;
    let requests = tokio_stream::once(watch_of("k"));
    let mut minds = client.watch(with_leader(requests)).await.unwrap().into_inner();
    assert!(minds.message().await.unwrap().unwrap().created);
    for server in servers.iter().filter(|server| !std::ptr::eq(*server, survivor)) {
        server.store.kill().await;
    }
    let ended = soon("the watch that minds ends", minds.message()).await.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "etcdserver: no leader"));

    assert_eq!(kv.range(get("k", true)).await.unwrap().into_inner().count, 1);
    let refused = kv.range(with_leader(get("k", true))).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unavailable, "etcdserver: no leader"));
    let refused = soon("a write is refused", kv.put(put("k", "w"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let again = client.watch(with_leader(tokio_stream::once(watch_of("k")))).await.unwrap_err();
    assert_eq!(again.message(), "etcdserver: no leader");

    let http = survivor.http();
    let health = http.get("/health").await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (503, r#"{"health":"false","reason":"RAFT NO LEADER"}"#));
    assert_eq!(http.get("/readyz").await.unwrap().status, 503);
    for path in ["/livez", "/health?serializable=true", "/v2/keys/"] {
        assert_eq!(http.get(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(http.get("/v2/keys/?quorum=true").await.unwrap().status, 503);
    let refused = http.post("/v3/lease/keepalive", r#"{"ID":1}"#).await;
    assert_eq!((refused.status, refused.json()["code"].as_i64()), (503, Some(14)), "Patroni tries another member");
}
