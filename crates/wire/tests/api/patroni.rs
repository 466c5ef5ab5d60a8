//! What Patroni's etcd3 module sends, in the order in which a member starts, becomes leader, and loses the lock.

use crate::lab::{Ours, soon};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn a_patroni_member_finds_all_it_needs() {
    let server = Ours::start().await;
    let http = server.http();

    let version = http.get("/version").await.unwrap().json();
    let minor: Vec<u32> =
        version["etcdserver"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
    assert!(minor >= vec![3, 4, 0], "Patroni uses /v3 from 3.4 on");

    let members = http.post("/v3/cluster/member/list", "{}").await.json();
    assert_eq!(members["members"][0]["clientURLs"][0], format!("http://{}", server.address));

    let lease = http.post("/v3/lease/grant", json!({"TTL": 30}).to_string()).await.json();
    let lease = lease["ID"].as_str().expect("a 64-bit number is text").to_owned();

    let (leader, member) = (encoded("/service/batman/leader"), encoded("/service/batman/members/n1"));
    let touched = json!({"key": member, "value": encoded("{}"), "lease": lease});
    assert_eq!(http.post("/v3/kv/put", touched.to_string()).await.status, 200);

    // The race for the leader key: won by the first, lost by the second.
    let race = json!({
        "compare": [{"target": "CREATE", "create_revision": "0", "key": leader}],
        "success": [{"request_put": {"key": leader, "value": encoded("n1"), "lease": lease}}],
        "failure": [],
    });
    let won = http.post("/v3/kv/txn", race.to_string()).await.json();
    assert_eq!(won["succeeded"], true);
    let lost = http.post("/v3/kv/txn", race.to_string()).await.json();
    assert!(lost.get("succeeded").is_none(), "false is left out");

    // Renewing it: alive and ours, or else not there and free.
    let renewal = json!({
        "compare": [{"target": "VALUE", "value": encoded("n1"), "key": leader}],
        "success": [{"request_put": {"key": leader, "value": encoded("n1"), "lease": lease}}],
        "failure": [{"request_txn": {
            "compare": [{"target": "CREATE", "create_revision": "0", "key": leader}],
            "success": [{"request_put": {"key": leader, "value": encoded("n1"), "lease": lease}}],
        }}],
    });
    assert_eq!(http.post("/v3/kv/txn", renewal.to_string()).await.json()["succeeded"], true);
    assert_eq!(http.post("/v3/kv/deleterange", json!({"key": leader}).to_string()).await.json()["deleted"], "1");
    let nested = http.post("/v3/kv/txn", renewal.to_string()).await.json();
    assert!(nested.get("succeeded").is_none());
    assert_eq!(nested["responses"][0]["response_txn"]["succeeded"], true);

    // The whole cluster in one read, then a watch from that read's own revision.
    let scope =
        json!({"key": encoded("/service/batman/"), "range_end": encoded("/service/batman0"), "serializable": false});
    let found = http.post("/v3/kv/range", scope.to_string()).await.json();
    assert_eq!(found["count"], "2");
    let revision = found["header"]["revision"].as_str().unwrap().to_owned();
    let watch = json!({"create_request": {
        "key": encoded("/service/batman/leader"), "range_end": "", "start_revision": revision, "filters": [],
    }});
    let mut events = http.stream("/v3/watch", &watch.to_string()).await;
    assert_eq!(events.next().await.unwrap()["result"]["created"], true);
    let repeated = events.next().await.unwrap();
    assert_eq!(repeated["result"]["events"][0]["kv"]["mod_revision"], revision, "Patroni drops it by this");

    let kept = http.post("/v3/lease/keepalive", json!({"ID": lease}).to_string()).await;
    assert_eq!(kept.json()["result"]["TTL"], "30");

    // Giving it up: only if it is still this one's.
    let release = json!({
        "compare": [{"target": "VALUE", "value": encoded("n1"), "key": leader}],
        "success": [{"request_delete_range": {"key": leader}}],
    });
    assert_eq!(http.post("/v3/kv/txn", release.to_string()).await.json()["succeeded"], true);
    let deleted = soon("the watch sees it", events.next()).await.unwrap();
    assert_eq!(deleted["result"]["events"][0]["type"], "DELETE");

    assert_eq!(http.post("/v3/lease/revoke", json!({"ID": lease}).to_string()).await.status, 200);
    let gone = http.post("/v3/lease/keepalive", json!({"ID": lease}).to_string()).await.json();
    assert!(gone["result"].get("TTL").is_none(), "no TTL: Patroni takes a new lease");
    let refused = http.post("/v3/kv/put", touched.to_string()).await;
    assert_eq!((refused.status, refused.json()["code"].as_i64()), (404, Some(5)));
    assert_eq!(refused.json()["error"], "etcdserver: requested lease not found");

    for answer in [members, won, nested, found, gone["result"].clone()] {
        for field in ["cluster_id", "member_id", "revision", "raft_term"] {
            let text = answer["header"][field].as_str().unwrap_or_else(|| panic!("{field} in {answer}"));
            assert!(text.parse::<u64>().is_ok());
        }
    }
}

#[tokio::test]
async fn bytes_may_come_in_either_alphabet() {
    let server = Ours::start().await;
    let http = server.http();
    let (standard, url_safe) = ("+/8=", "-_8");
    http.post("/v3/kv/put", format!(r#"{{"key":"{url_safe}","value":"YQ"}}"#)).await;
    let found = http.post("/v3/kv/range", format!(r#"{{"key":"{standard}"}}"#)).await.json();
    assert_eq!(found["kvs"][0]["key"], standard);
    assert_eq!(found["kvs"][0]["value"], "YQ==");
}
