//! Peers that send nonsense, too much, or nothing. The server answers or hangs up, and serves the next one as before.

use crate::lab::Ours;
use bytes::Bytes;
use etcd_api::etcdserverpb::{self as pb, kv_client::KvClient};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

async fn is_still_well(server: &Ours) {
    let answer = server.http().post("/v3/kv/put", r#"{"key":"YQ=="}"#).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// Sends the bytes and takes whatever comes back until the server hangs up or has nothing more to say.
async fn poke(server: &Ours, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // It may hang up before it has everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_millis(300), stream.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn garbage_is_answered_or_hung_up_on() {
    let server = Ours::start().await;
    let mut pokes: Vec<Vec<u8>> = [
        &b"\x00\x01\x02\xff\xfe garbage"[..],
        b"\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
        b"POST /v3/kv/range HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00",
        b"GET /v2/keys/%ff%00%zz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /v2/keys/a?wait=%ff HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    pokes.push([&b"GET /"[..], &vec![b'a'; 200_000]].concat());
    pokes.push([&b"GET / HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(20_000)].concat());
    pokes.push([&b"GET /v2/keys/"[..], &b"a/".repeat(30_000), b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat());
    for bytes in &pokes {
        poke(&server, bytes).await;
    }
    is_still_well(&server).await;
}

#[tokio::test]
async fn json_that_is_none_too_much_or_too_deep_is_refused() {
    let server = Ours::start().await;
    let http = server.http();
    let deep_txn = r#"{"success":[{"request_txn":"#.repeat(2000);
    for body in [
        "x",
        "nul",
        "[]",
        "{",
        "\u{feff}{}",
        r#"{"key":1}"#,
        r#"{"key":"Zm9v","limit":"many"}"#,
        r#"{"key":"Zm9v","limit":"99999999999999999999"}"#,
        r#"{"key":"Zm9v","sort_order":"SIDEWAYS"}"#,
        r#"{"key":"Zm9v","serializable":"perhaps"}"#,
        r#"{"key":"???"}"#,
        &"[".repeat(100_000),
        &deep_txn,
    ] {
        let answer = http.post("/v3/kv/range", body.to_owned()).await;
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (400, Some(3)), "{body:.60}: {}", answer.body);
    }
    let deep = http.post("/v3/kv/txn", deep_txn).await;
    assert_eq!((deep.status, deep.json()["code"].as_i64()), (400, Some(3)));
    let odd_bytes = http.post("/v3/kv/range", vec![b'"', 0xff, 0xfe]).await;
    assert_eq!(odd_bytes.status, 400);

    let value = "A".repeat(2 * 1024 * 1024);
    for (path, body) in [
        ("/v3/kv/put", format!(r#"{{"key":"YQ==","value":"{value}{value}"}}"#)),
        ("/v3/kv/put", format!(r#"{{"key":"YQ==","value":"{value}AAAA"}}"#)),
        ("/v3/watch", format!(r#"{{"create_request":{{"key":"{value}{value}"}}}}"#)),
    ] {
        let answer = http.post(path, body).await;
        assert_eq!((answer.status, answer.json()["error"].as_str()), (400, Some("etcdserver: request is too large")));
    }
    is_still_well(&server).await;
}

#[tokio::test]
async fn deep_names_are_no_directories() {
    let server = Ours::start().await;
    let mut kv = server.kv().await;
    for key in [b"/".repeat(1000), b"/a".repeat(300_000), vec![b'/', 0xff]] {
        kv.put(pb::PutRequest { key, ..Default::default() }).await.unwrap();
    }
    let root = server.http().get("/v2/keys/?recursive=true").await.unwrap();
    assert_eq!((root.status, root.json()["node"]["nodes"].as_array()), (200, None));
}

/// A gRPC call whose message is these bytes.
async fn call(server: &Ours, path: &'static str, message: Vec<u8>) -> tonic::Status {
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
    let request = tonic::Request::new(Bytes::from(message));
    grpc.unary::<_, Bytes, _>(request, path, raw::Raw).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn protobuf_that_is_none_or_too_much_is_refused() {
    let server = Ours::start().await;
    for message in [vec![0xff; 64], vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f], vec![0x08]] {
        let status = call(&server, "/etcdserverpb.KV/Put", message).await;
        assert_eq!(status.code(), Code::Internal, "{status}");
    }
    // A transaction in a transaction, and so on.
    let mut nested = Vec::new();
    while nested.len() < 100_000 {
        nested = [field(2, &field(4, &nested))].concat();
    }
    let status = call(&server, "/etcdserverpb.KV/Txn", nested).await;
    assert_eq!(status.code(), Code::Internal, "{status}");
    let status = call(&server, "/etcdserverpb.KV/NoSuchThing", Vec::new()).await;
    assert_eq!(status.code(), Code::Unimplemented);
    let status = call(&server, "/no.such.Service/AtAll", Vec::new()).await;
    assert_eq!(status.code(), Code::Unimplemented);

    let mut kv: KvClient<_> = server.kv().await;
    let put = |bytes| pb::PutRequest { key: b"k".to_vec(), value: vec![b'v'; bytes], ..Default::default() };
    let status = kv.put(put(1_600_000)).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
    let status = kv.put(put(3_000_000)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    kv.put(put(1_500_000)).await.unwrap();
    is_still_well(&server).await;
}

/// One length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

mod raw {
    //! Messages as they are.

    use bytes::{Buf, BufMut, Bytes};
    use tonic::Status;
    use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

    pub struct Raw;

    impl Codec for Raw {
        type Encode = Bytes;
        type Decode = Bytes;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
            buffer.put(message);
            Ok(())
        }
    }

    impl Decoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
            Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
        }
    }
}

#[tokio::test]
async fn silent_peers_do_not_keep_others_out_or_the_server_up() {
    let server = Ours::start().await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(server.address).await.unwrap());
        let mut half = TcpStream::connect(server.address).await.unwrap();
        half.write_all(b"POST /v3/kv/put HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{").await.unwrap();
        silent.push(half);
    }
    is_still_well(&server).await;
    let mut watching = server.http().stream("/v3/watch", r#"{"create_request":{"key":"YQ=="}}"#).await;
    assert!(watching.next().await.is_some());
    crate::lab::soon("the server has stopped", server.shut_down()).await.unwrap();
    drop(silent);
}
