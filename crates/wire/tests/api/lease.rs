//! Leases over gRPC: kept alive, lost, and shorter than etcd's.

use crate::lab::{Ours, eventually, soon};
use etcd_api::etcdserverpb as pb;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

fn put(key: &str, lease: i64) -> pb::PutRequest {
    pb::PutRequest { key: key.into(), value: b"v".to_vec(), lease, ..Default::default() }
}

fn get(key: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.into(), ..Default::default() }
}

#[tokio::test]
async fn a_lease_may_be_finer_than_seconds() {
    let server = Ours::start().await;
    let (mut lease, mut kv) = (server.lease().await, server.kv().await);
    let granted = lease.lease_grant(pb::LeaseGrantRequest { ttl_ms: 700, ttl: 5, id: 0 }).await.unwrap().into_inner();
    assert_eq!((granted.ttl, granted.ttl_ms), (1, 700), "never 0 seconds, which would say it is gone");
    kv.put(put("k", granted.id)).await.unwrap();
    let since = Instant::now();
    eventually("the key goes with its lease", async || {
        kv.clone().range(get("k")).await.unwrap().into_inner().count == 0
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(5), "the milliseconds count, not the seconds");
}

#[tokio::test]
async fn one_stream_keeps_many_leases_alive_and_says_which_are_gone() {
    let server = Ours::start().await;
    let (mut lease, mut kv) = (server.lease().await, server.kv().await);
    for id in [1, 2] {
        lease.lease_grant(pb::LeaseGrantRequest { ttl: 0, id, ttl_ms: 1500 }).await.unwrap();
        kv.put(put(&id.to_string(), id)).await.unwrap();
    }
    let (requests, receiver) = mpsc::channel(1);
    let mut answers = lease.lease_keep_alive(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut renew = async |id| {
        requests.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
        soon("the renewal is answered", answers.message()).await.unwrap().unwrap()
    };
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(3) {
        let answer = renew(1).await;
        assert_eq!((answer.id, answer.ttl, answer.ttl_ms), (1, 1, 1500));
        assert!(answer.header.unwrap().raft_term > 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lost = renew(2).await;
    assert_eq!((lost.id, lost.ttl, lost.ttl_ms), (2, 0, 0));
    assert_eq!(kv.range(get("1")).await.unwrap().into_inner().count, 1);
    assert_eq!(kv.range(get("2")).await.unwrap().into_inner().count, 0);
    assert_eq!(renew(1).await.ttl, 1, "a lost lease does not end the stream");

    let alive = lease.lease_time_to_live(pb::LeaseTimeToLiveRequest { id: 1, keys: true }).await.unwrap().into_inner();
    assert_eq!((alive.granted_ttl, alive.keys), (1, vec![b"1".to_vec()]));
    let ids = lease.lease_leases(pb::LeaseLeasesRequest {}).await.unwrap().into_inner().leases;
    assert_eq!(ids.into_iter().map(|lease| lease.id).collect::<Vec<_>>(), [1]);
}
