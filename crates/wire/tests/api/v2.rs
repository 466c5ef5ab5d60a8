//! The version 2 keys, as vip-manager and HAProxy checks of old read them.

use crate::lab::Ours;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

async fn with_a_cluster() -> Ours {
    let server = Ours::start().await;
    let http = server.http();
    http.post("/v3/lease/grant", json!({"TTL": 60, "ID": "7"}).to_string()).await;
    for (key, value, lease) in [
        ("/service/pg/leader", "n1", "7"),
        ("/service/pg/members/n1", "{}", "0"),
        ("/service/pg/members/n2", "{}", "0"),
        ("/service/pg/_hidden", "x", "0"),
        ("elsewhere", "x", "0"),
    ] {
        let put = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value), "lease": lease});
        assert_eq!(http.post("/v3/kv/put", put.to_string()).await.status, 200);
    }
    server
}

fn names(node: &Value) -> Vec<&str> {
    node["nodes"]
        .as_array()
        .map(|nodes| nodes.iter().filter_map(|node| node["key"].as_str()).collect())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_key_has_its_value_its_age_and_its_end() {
    let server = with_a_cluster().await;
    let http = server.http();
    for path in ["/v2/keys/service/pg/leader", "/v2/keys//service/pg/leader/?quorum=true&recursive=false"] {
        let answer = http.get(path).await.unwrap();
        let json = answer.json();
        assert_eq!((answer.status, &json["action"], &json["node"]["value"]), (200, &json!("get"), &json!("n1")));
        assert_eq!((&json["node"]["modifiedIndex"], &json["node"]["createdIndex"]), (&json!(2), &json!(2)));
        assert!((50..=60).contains(&json["node"]["ttl"].as_i64().unwrap()));
        assert!(json["node"]["expiration"].as_str().unwrap().ends_with('Z'));
        assert_eq!(answer.header("x-etcd-index"), "6");
        assert!(answer.header("x-raft-term").parse::<u64>().is_ok());
        assert!(answer.header("x-raft-index").parse::<u64>().is_ok());
        assert!(u64::from_str_radix(answer.header("x-etcd-cluster-id"), 16).is_ok());
    }
}

#[tokio::test]
async fn names_with_slashes_are_directories() {
    let server = with_a_cluster().await;
    let http = server.http();
    let flat = http.get("/v2/keys/service/pg").await.unwrap().json();
    assert_eq!(flat["node"]["dir"], true);
    assert_eq!(names(&flat["node"]), ["/service/pg/leader", "/service/pg/members"]);
    assert_eq!(
        flat["node"]["nodes"][1],
        json!({"key": "/service/pg/members", "dir": true, "modifiedIndex": 3, "createdIndex": 3})
    );
    let deep = http.get("/v2/keys/?recursive=true&sorted=true").await.unwrap().json();
    assert_eq!(names(&deep["node"]), ["/service"]);
    assert_eq!(deep["node"]["key"], Value::Null);
    let members = &deep["node"]["nodes"][0]["nodes"][0]["nodes"][1];
    assert_eq!(names(members), ["/service/pg/members/n1", "/service/pg/members/n2"]);
    for path in ["/v2/keys", "/v2/keys/"] {
        assert_eq!(names(&http.get(path).await.unwrap().json()["node"]), ["/service"]);
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused_in_version_2s_words() {
    let server = with_a_cluster().await;
    let http = server.http();
    for (path, status, code, cause) in [
        ("/v2/keys/service/none", 404, 100, "/service/none"),
        ("/v2/keys/service/pg/leader/below", 400, 104, "/service/pg/leader"),
        ("/v2/keys/service?recursive=perhaps", 400, 209, "invalid value for \"recursive\""),
        ("/v2/keys/service?wait=true&waitIndex=x", 400, 203, "invalid value for \"waitIndex\""),
    ] {
        let answer = http.get(path).await.unwrap();
        let json = answer.json();
        assert_eq!(
            (answer.status, json["errorCode"].as_i64(), json["cause"].as_str()),
            (status, Some(code), Some(cause))
        );
        assert_eq!(json["index"], 6);
    }
    for method in [reqwest::Method::PUT, reqwest::Method::POST, reqwest::Method::DELETE] {
        for path in ["/v2/keys/service/pg/leader", "/v2/keys"] {
            let answer = http.request(method.clone(), path).await;
            assert_eq!((answer.status, answer.header("allow")), (405, "HEAD,GET"));
            assert!(answer.json()["cause"].as_str().unwrap().contains("/v3/kv/put"));
        }
    }
}

#[tokio::test]
async fn a_long_poll_ends_with_the_first_change() {
    let server = with_a_cluster().await;
    let http = server.http();
    let past = http.get("/v2/keys/service/pg?wait=true&recursive=true&waitIndex=3").await.unwrap().json();
    assert_eq!((&past["action"], &past["node"]["key"]), (&json!("set"), &json!("/service/pg/members/n1")));

    let waiting = http.get("/v2/keys/service/pg/leader?wait=true&waitIndex=7");
    let deleted = async {
        http.post("/v3/kv/put", json!({"key": STANDARD.encode("elsewhere")}).to_string()).await;
        http.post("/v3/lease/revoke", json!({"ID": "7"}).to_string()).await
    };
    let (change, _) = tokio::join!(waiting, deleted);
    let change = change.unwrap().json();
    assert_eq!((&change["action"], &change["node"]["key"]), (&json!("delete"), &json!("/service/pg/leader")));
    assert_eq!((&change["node"]["modifiedIndex"], &change["prevNode"]["value"]), (&json!(8), &json!("n1")));

    http.post("/v3/kv/compaction", json!({"revision": "8"}).to_string()).await;
    let gone = http.get("/v2/keys/service/pg/leader?wait=true&waitIndex=4").await.unwrap();
    assert_eq!((gone.status, gone.json()["errorCode"].as_i64()), (400, Some(401)));
}

#[tokio::test]
async fn members_are_listed_for_clients_that_look_for_them() {
    let server = Ours::start().await;
    let http = server.http();
    assert_eq!(http.get("/v2/machines").await.unwrap().body, format!("http://{}", server.address));
    let members = http.get("/v2/members").await.unwrap().json();
    assert_eq!(members["members"][0]["clientURLs"][0], format!("http://{}", server.address));
}
