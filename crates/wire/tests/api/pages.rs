//! Version, health and metrics.

use crate::lab::Ours;

#[tokio::test]
async fn a_healthy_member_says_so() {
    let server = Ours::start().await;
    let http = server.http();
    let health = http.get("/health").await.unwrap();
    assert_eq!((health.status, health.body.as_str()), (200, r#"{"health":"true","reason":""}"#));
    for path in ["/livez", "/readyz", "/health?serializable=true"] {
        assert_eq!(http.get(path).await.unwrap().status, 200, "{path}");
    }
    assert_eq!(http.get("/version").await.unwrap().json()["etcdcluster"], "3.5.0");
    assert_eq!(http.get("/").await.unwrap().status, 404);
}

#[tokio::test]
async fn metrics_have_etcds_names_and_prometheus_form() {
    let server = Ours::start().await;
    let http = server.http();
    http.post("/v3/kv/put", r#"{"key":"YQ=="}"#).await;
    http.post("/v3/kv/put", "{}").await;
    let page = http.get("/metrics").await.unwrap();
    assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"));
    for wanted in [
        "\netcd_server_has_leader 1\n",
        "\netcd_debugging_mvcc_keys_total 1\n",
        "\ngrpc_server_started_total{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 2\n",
        "{grpc_code=\"OK\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "{grpc_code=\"InvalidArgument\",grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"} 1\n",
        "\ngrpc_server_handling_seconds_count{grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\"} 2\n",
    ] {
        assert!(page.body.contains(wanted), "{wanted} in {}", page.body);
    }
    for line in page.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(name.starts_with(|first: char| first.is_ascii_lowercase()), "{line}");
    }
}
