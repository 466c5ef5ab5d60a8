//! The same requests to a real etcd and to ours; the answers must not differ.

use crate::lab::{Answer, Http, Ours, RealEtcd};
use serde_json::Value;

/// What two servers cannot have in common, or what we say in other words.
const NOT_COMPARED: &[&str] = &["cluster_id", "member_id", "raft_term", "TTL_ms", "hash"];

/// In order; each sees what the ones before have done. Neither a TTL of 0 (our shortest lease is shorter) nor anything
/// whose answer depends on the clock.
const REQUESTS: &[(&str, &str)] = &[
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy"}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy","bogus":1,"prev_kv":true}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","ignore_value":true,"prevKv":true}"#),
    ("/v3/kv/put", r#"{"key":"bm9uZQ==","ignore_value":true}"#),
    ("/v3/kv/put", r#"{"key":"bm9uZQ==","value":"YQ==","ignore_lease":true}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy","ignore_value":true}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","lease":1,"ignore_lease":true}"#),
    ("/v3/kv/put", r#"{"value":"YmFy"}"#),
    ("/v3/kv/put", r#"{"key":"Zm9v","value":"YmFy","lease":123}"#),
    ("/v3/kv/put", r#"{"key":"Zm9vMQ==","value":"MQ=="}"#),
    ("/v3/kv/put", r#"{"key":"Zm9vMg==","value":"MA=="}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v"}"#),
    ("/v3beta/kv/range", r#"{"key":"Zm9v"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","serializable":true}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","range_end":"Zm9w"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","range_end":"AA==","limit":"2"}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","keys_only":true,"sort_order":"DESCEND"}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","sort_target":"VALUE"}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","sort_target":"MOD","sort_order":2}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","count_only":true}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","min_mod_revision":"5"}"#),
    ("/v3/kv/range", r#"{"key":"AA==","range_end":"AA==","max_create_revision":5,"limit":1}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"100"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9w","range_end":"Zm9v"}"#),
    ("/v3/kv/range", "{}"),
    ("/v3/kv/range", ""),
    ("/v3/kv/range", r#"{"key":"Zm9v"} trailing"#),
    ("/v3/kv/deleterange", r#"{"key":"bm90aGluZw=="}"#),
    ("/v3/kv/deleterange", "{}"),
    ("/v3/kv/deleterange", r#"{"key":"Zm9vMQ==","range_end":"Zm9w","prev_kv":true}"#),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"target":"CREATE","create_revision":"0","key":"YQ=="}],
            "success":[{"request_put":{"key":"YQ==","value":"MQ=="}}],
            "failure":[{"request_txn":{"compare":[{"target":"VALUE","value":"MQ==","key":"YQ=="}],
                        "success":[{"request_put":{"key":"YQ==","value":"Mg=="}},{"request_range":{"key":"YQ=="}}]}}]}"#,
    ),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"target":"CREATE","create_revision":"0","key":"YQ=="}],
            "success":[{"request_put":{"key":"YQ==","value":"MQ=="}}],
            "failure":[{"request_txn":{"compare":[{"target":"VALUE","value":"MQ==","key":"YQ=="}],
                        "success":[{"request_put":{"key":"YQ==","value":"Mg=="}},{"request_range":{"key":"YQ=="}}]}}]}"#,
    ),
    ("/v3/kv/txn", r#"{"compare":[{"target":"MOD","result":"GREATER","mod_revision":"1","key":"YQ=="}]}"#),
    ("/v3/kv/txn", r#"{"compare":[{"target":"VERSION","result":"NOT_EQUAL","version":"2","key":"YQ=="}]}"#),
    (
        "/v3/kv/txn",
        r#"{"compare":[{"target":"LEASE","lease":"0","key":"YQ=="}],"success":[{"request_range":{"key":"YQ=="}}]}"#,
    ),
    ("/v3/kv/txn", r#"{"compare":[{"target":"VALUE","value":"bm8=","key":"AA==","range_end":"AA=="}]}"#),
    ("/v3/kv/txn", r#"{"compare":[{"target":"VALUE","value":"","key":"bm90aGVyZQ=="}]}"#),
    ("/v3/kv/txn", r#"{"success":[{"request_delete_range":{"key":"YQ==","prev_kv":true}}]}"#),
    ("/v3/kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_put":{"key":"YQ=="}}]}"#),
    ("/v3/kv/txn", r#"{"success":[{"request_put":{"key":"YQ=="}},{"request_delete_range":{"key":"YQ=="}}]}"#),
    ("/v3/kv/txn", r#"{"success":[{"request_range":{"key":"YQ==","revision":"1000"}}]}"#),
    ("/v3/kv/txn", r#"{"success":[{"request_put":{"value":"YQ=="}}]}"#),
    ("/v3/kv/txn", r#"{"success":[{}]}"#),
    ("/v3/kv/txn", "{}"),
    ("/v3/lease/grant", r#"{"TTL":60,"ID":"77"}"#),
    ("/v3/lease/grant", r#"{"TTL":"60","ID":77}"#),
    ("/v3/lease/grant", r#"{"TTL":"10000000000"}"#),
    ("/v3/lease/grant", r#"{"TTL":60,"ID":78}"#),
    ("/v3/kv/put", r#"{"key":"bGVhc2Vk","value":"MQ==","lease":"77"}"#),
    ("/v3/kv/range", r#"{"key":"bGVhc2Vk"}"#),
    ("/v3/lease/keepalive", r#"{"ID":"77"}"#),
    ("/v3/lease/keepalive", r#"{"ID":"99"}"#),
    ("/v3/lease/timetolive", r#"{"ID":99}"#),
    ("/v3/kv/lease/timetolive", r#"{"ID":99,"keys":true}"#),
    ("/v3/lease/revoke", r#"{"ID":78}"#),
    ("/v3/lease/revoke", r#"{"ID":78}"#),
    ("/v3/kv/lease/revoke", r#"{"ID":"77"}"#),
    ("/v3/kv/range", r#"{"key":"bGVhc2Vk"}"#),
    ("/v3/lease/leases", "{}"),
    ("/v3/kv/compaction", r#"{"revision":"3"}"#),
    ("/v3/kv/compaction", r#"{"revision":"3"}"#),
    ("/v3/kv/compaction", r#"{"revision":"3000"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"2"}"#),
    ("/v3/kv/range", r#"{"key":"Zm9v","revision":"3"}"#),
    ("/v3/maintenance/transfer-leadership", r#"{"targetID":12345}"#),
    ("/v3/auth/authenticate", r#"{"name":"a","password":"b"}"#),
    ("/v3/auth/enable", "{}"),
];

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !NOT_COMPARED.contains(&name.as_str()));
            fields.values_mut().for_each(strip);
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        _ => {}
    }
}

fn compared(answer: &Answer) -> (u16, String, Value) {
    let mut json = answer.json();
    strip(&mut json);
    (answer.status, answer.header("content-type").to_owned(), json)
}

#[tokio::test]
async fn the_gateway_answers_what_etcd_answers() {
    let (ours, etcd) = (Ours::start().await, RealEtcd::start().await);
    let (ours, etcd) = (ours.http(), Http::new(etcd.address));
    for (path, body) in REQUESTS {
        let (expected, found) = (etcd.post(path, *body).await, ours.post(path, *body).await);
        assert_eq!(compared(&found), compared(&expected), "{path} {body}");
    }
}

#[tokio::test]
async fn what_is_no_request_gets_the_status_that_etcd_gives() {
    let (ours, etcd) = (Ours::start().await, RealEtcd::start().await);
    let (ours, etcd) = (ours.http(), Http::new(etcd.address));
    for (path, body) in
        [("/v3/kv/range", "xx"), ("/v3/kv/range", "[]"), ("/v3/kv/range", r#"{"key":"!"}"#), ("/v3/no", "{}")]
    {
        let (expected, found) = (etcd.post(path, body).await, ours.post(path, body).await);
        assert_eq!(found.status, expected.status, "{path} {body}");
        if expected.status == 400 {
            assert_eq!(found.json()["code"], expected.json()["code"], "{path} {body}");
        }
    }
    for method in [reqwest::Method::GET, reqwest::Method::PUT, reqwest::Method::DELETE] {
        let expected = etcd.request(method.clone(), "/v3/kv/range").await;
        assert_eq!(ours.request(method, "/v3/kv/range").await.status, expected.status);
    }
}

/// What a watch says, line by line. The number is how many lines to wait for.
const WATCHES: &[(&str, usize)] = &[
    (r#"{"create_request":{"key":"dw==","start_revision":"2"}}"#, 2),
    (r#"{"create_request":{"key":"dw==","start_revision":"5","prev_kv":true}}"#, 2),
    (r#"{"create_request":{"key":"dw==","start_revision":"4","filters":["NOPUT"]}}"#, 2),
    (r#"{"create_request":{"key":"dw==","start_revision":"4","filters":["NODELETE"]}}"#, 2),
    (r#"{"create_request":{"range_end":"AA==","start_revision":"4"}}"#, 2),
    (r#"{"create_request":{"key":"Zm9v","range_end":"YQ=="}}"#, 1),
    (
        r#"{"create_request":{"key":"bm9uZQ==","watch_id":5}}{"create_request":{"key":"dw==","watch_id":5}}
           {"create_request":{"key":"bm9uZQ=="}}{"cancel_request":{"watch_id":5}}{"cancel_request":{"watch_id":9}}
           {"progress_request":{}}"#,
        5,
    ),
];

#[tokio::test]
async fn watches_say_what_etcds_watches_say() {
    let (ours, etcd) = (Ours::start().await, RealEtcd::start().await);
    let (ours, etcd) = (ours.http(), Http::new(etcd.address));
    for server in [&ours, &etcd] {
        for value in ["MQ==", "Mg==", "Mw==", "NA=="] {
            server.post("/v3/kv/put", format!(r#"{{"key":"dw==","value":"{value}"}}"#)).await;
        }
        server.post("/v3/kv/deleterange", r#"{"key":"dw=="}"#).await;
        server.post("/v3/kv/compaction", r#"{"revision":"3"}"#).await;
    }
    for (body, lines) in WATCHES {
        let mut answers = Vec::new();
        for server in [&etcd, &ours] {
            let mut stream = server.stream("/v3/watch", body).await;
            let mut lines = Value::Array(stream.take(*lines).await);
            strip(&mut lines);
            // etcd leaves the revision out when it says that the history is gone.
            if let Some(cancelled) = lines.pointer_mut("/1/result").filter(|line| line["compact_revision"].is_string())
            {
                cancelled["header"]["revision"].take();
            }
            answers.push((stream.status, lines));
        }
        assert_eq!(answers[1], answers[0], "{body}");
    }
}
