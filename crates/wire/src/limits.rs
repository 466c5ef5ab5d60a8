//! Every size, count and time that bounds the server, with its reason. Nothing else.

use std::time::Duration;

/// A gRPC message or a JSON body: the largest request that may enter the log, base64 and envelope included. etcd allows
/// the same half megabyte beside the payload.
pub const MESSAGE_BYTES_MAX: usize = kv::REQUEST_BYTES_MAX + 512 * 1024;
/// JSON carries bytes as base64 (four characters for three bytes).
pub const JSON_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 3 * 4;
/// What all requests in progress may take together, from their first byte to their answer.
pub const MEMORY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One message of a watch or lease stream: a key or two.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Open connections. One agent, its tools and a monitoring system need a dozen; a leak somewhere must not need more memory than this allows.
pub const CONNECTIONS_MAX: usize = 1024;
/// Concurrent calls on one HTTP/2 connection (etcd's clients put every watch and lease on one).
pub const STREAMS_PER_CONNECTION_MAX: u32 = 256;
/// What a peer may send on one HTTP/2 stream before we have read it; a connection has four times that.
pub const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
pub const CONNECTION_WINDOW_BYTES: u32 = 4 * STREAM_WINDOW_BYTES;
/// What we keep of an answer that the peer does not read.
pub const STREAM_SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Request line and headers, HTTP/1.1 (also the read buffer's bound) and HTTP/2.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
pub const HEADERS_MAX: usize = 100;
/// From connecting to the first byte.
pub const FIRST_BYTE_WITHIN: Duration = Duration::from_secs(30);
/// The TLS handshake, counted as a connection from its beginning. It takes milliseconds.
pub const HANDSHAKE_WITHIN: Duration = tls::HANDSHAKE_WITHIN;
/// A request's headers; also how long an HTTP/1.1 connection may idle (Patroni comes back every `loop_wait`, at most a minute).
pub const HEADERS_WITHIN: Duration = Duration::from_secs(75);
/// A whole request body.
pub const BODY_WITHIN: Duration = Duration::from_secs(30);
/// When to ask an HTTP/2 peer, and the kernel a TCP peer, whether it still lives.
pub const PEER_CHECK_EVERY: Duration = Duration::from_secs(60);
pub const PEER_ANSWERS_WITHIN: Duration = Duration::from_secs(20);
/// Watch streams and long polls at one time.
pub const WATCH_STREAMS_MAX: usize = 4096;
/// Watches on one stream; each may hold a piece of history (`kv::WATCH_BATCH_BYTES_MAX`) while it is caught up.
pub const WATCHES_PER_STREAM_MAX: usize = 256;
/// Answers on the way to a watcher that does not read; what comes after is fetched from the history when it reads again.
pub const WATCH_ANSWERS_WAITING_MAX: usize = 4;
/// Bytes in one answer to a watcher that takes fragments. etcd: the request limit and its half megabyte.
pub const WATCH_FRAGMENT_BYTES: usize = MESSAGE_BYTES_MAX;
/// How often a watch with `progress_notify` hears of the revision when nothing happens. etcd's number.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(600);
/// A stream that requires a leader ends after so long without one (etcd: three election timeouts).
pub const LEADERLESS_MAX: Duration = Duration::from_secs(3);
/// All messages of one JSON stream request together, and their number.
pub const JSON_STREAM_BYTES_MAX: usize = 2 * STREAM_MESSAGE_BYTES_MAX;
pub const JSON_STREAM_MESSAGES_MAX: usize = 64;
/// A long poll of the v2 keys ends with an empty answer after this. etcd's number.
pub const V2_WAIT_MAX: Duration = Duration::from_secs(300);
/// A health check's read.
pub const HEALTH_WITHIN: Duration = Duration::from_secs(5);
/// After the shutdown signal: how long answers may take to leave.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(2);
