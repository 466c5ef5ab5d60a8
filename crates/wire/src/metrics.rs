//! Counters of this server, and the page for Prometheus in etcd's names.
//!
//! Only what we truly have: a metric that etcd's dashboards know but that has no meaning here is left out rather than
//! invented. Numbers are relaxed atomics; a page is a snapshot, not a transaction.

use crate::api::Api;
use crate::http::{CLUSTER_VERSION, SERVER_VERSION};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tonic::{Code, Status};

macro_rules! rpcs {
    ($($name:ident $service:literal $method:literal $kind:literal,)*) => {
        /// Every call of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rpc { $($name,)* }

        impl Rpc {
            const ALL: &[Rpc] = &[$(Rpc::$name,)*];

            /// Service, method and kind, as grpc-ecosystem's Prometheus interceptor names them.
            fn labels(self) -> (&'static str, &'static str, &'static str) {
                match self { $(Rpc::$name => ($service, $method, $kind),)* }
            }
        }
    };
}

rpcs! {
    Range "KV" "Range" "unary",
    Put "KV" "Put" "unary",
    DeleteRange "KV" "DeleteRange" "unary",
    Txn "KV" "Txn" "unary",
    Compact "KV" "Compact" "unary",
    Watch "Watch" "Watch" "bidi_stream",
    LeaseGrant "Lease" "LeaseGrant" "unary",
    LeaseRevoke "Lease" "LeaseRevoke" "unary",
    LeaseKeepAlive "Lease" "LeaseKeepAlive" "bidi_stream",
    LeaseTimeToLive "Lease" "LeaseTimeToLive" "unary",
    LeaseLeases "Lease" "LeaseLeases" "unary",
    MemberList "Cluster" "MemberList" "unary",
    Alarm "Maintenance" "Alarm" "unary",
    Status "Maintenance" "Status" "unary",
    Defragment "Maintenance" "Defragment" "unary",
    Hash "Maintenance" "Hash" "unary",
    HashKv "Maintenance" "HashKV" "unary",
    MoveLeader "Maintenance" "MoveLeader" "unary",
}

const CODES: usize = 17;
const RPCS: usize = Rpc::ALL.len();
/// Upper bounds in seconds: from a read in memory to a write that waited for an election.
const LATENCY_BOUNDS: [f64; 8] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0];

#[derive(Default)]
struct Calls {
    started: AtomicU64,
    handled: [AtomicU64; CODES],
    /// Not cumulative; one more bucket for what is above the bounds.
    latency: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    latency_micros: AtomicU64,
}

#[derive(Default)]
pub struct Metrics {
    calls: [Calls; RPCS],
    pub watchers: AtomicU64,
    pub slow_watchers: AtomicU64,
    pub health_success: AtomicU64,
    pub health_failures: AtomicU64,
}

impl Metrics {
    pub fn started(&self, rpc: Rpc) -> Started<'_> {
        let calls = &self.calls[rpc as usize];
        calls.started.fetch_add(1, Relaxed);
        Started { calls, at: Instant::now() }
    }
}

/// A call that has begun.
pub struct Started<'a> {
    calls: &'a Calls,
    at: Instant,
}

impl Started<'_> {
    pub fn handled<A>(self, result: &Result<A, Status>) {
        let code = result.as_ref().err().map_or(Code::Ok, Status::code);
        self.calls.handled[code as usize].fetch_add(1, Relaxed);
        let took = self.at.elapsed();
        self.calls.latency[bucket(took)].fetch_add(1, Relaxed);
        self.calls.latency_micros.fetch_add(took.as_micros().try_into().unwrap_or(u64::MAX), Relaxed);
    }
}

fn bucket(took: Duration) -> usize {
    LATENCY_BOUNDS.iter().position(|bound| took.as_secs_f64() <= *bound).unwrap_or(LATENCY_BOUNDS.len())
}

/// A page in Prometheus' text format.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let separator = if position == 0 { '{' } else { ',' };
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{separator}{label}=\"{text}\"");
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// The whole page.
pub fn render(api: &Api) -> String {
    let mut page = Page::default();
    server(&mut page, api);
    data(&mut page, api);
    calls(&mut page, api.metrics());
    if let Some(bytes) = resident_memory_bytes() {
        page.one("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", bytes);
    }
    page.0
}

fn server(page: &mut Page, api: &Api) {
    let status = api.store().status();
    page.one("etcd_server_has_leader", "gauge", "Whether a leader exists.", u8::from(status.leader != 0));
    page.one("etcd_server_is_leader", "gauge", "Whether this member is the leader.", u8::from(status.is_leader));
    page.one("etcd_server_is_learner", "gauge", "Whether this member is a learner.", 0);
    let committed = "The number of consensus proposals committed.";
    page.one("etcd_server_proposals_committed_total", "gauge", committed, status.raft_index);
    let applied = "The number of consensus proposals applied.";
    page.one("etcd_server_proposals_applied_total", "gauge", applied, status.raft_applied);
    page.one("etcd_server_quota_backend_bytes", "gauge", "The store's limit in bytes.", kv::DATA_BYTES_MAX);
    page.head("etcd_server_id", "gauge", "Server or member ID in hexadecimal format.");
    page.sample("etcd_server_id", &[("server_id", &format!("{:x}", status.id))], 1);
    page.head("etcd_server_version", "gauge", "The etcd version this server speaks.");
    page.sample("etcd_server_version", &[("server_version", SERVER_VERSION)], 1);
    page.head("etcd_cluster_version", "gauge", "The etcd version this cluster speaks.");
    page.sample("etcd_cluster_version", &[("cluster_version", CLUSTER_VERSION)], 1);
    let metrics = api.metrics();
    let successes = "The number of successful health checks.";
    page.one("etcd_server_health_success", "counter", successes, metrics.health_success.load(Relaxed));
    let failures = "The number of failed health checks.";
    page.one("etcd_server_health_failures", "counter", failures, metrics.health_failures.load(Relaxed));
}

fn data(page: &mut Page, api: &Api) {
    let (size, in_use, keys, revision, compacted, leases) = api.store().read(|kv| {
        (kv.size_bytes(), kv.data_bytes(), kv.key_count(), kv.revision(), kv.compact_revision(), kv.leases().len())
    });
    page.one("etcd_mvcc_db_total_size_in_bytes", "gauge", "Keys, values and history in bytes.", size);
    page.one("etcd_mvcc_db_total_size_in_use_in_bytes", "gauge", "Keys and values in bytes.", in_use);
    page.one("etcd_debugging_mvcc_keys_total", "gauge", "The number of keys.", keys);
    page.one("etcd_debugging_mvcc_current_revision", "gauge", "The store's revision.", revision);
    page.one("etcd_debugging_mvcc_compact_revision", "gauge", "The oldest revision that is kept.", compacted);
    page.one("etcd_debugging_lease_total", "gauge", "The number of leases.", leases);
    page.one("etcd_debugging_mvcc_watch_stream_total", "gauge", "The number of watch streams.", api.watch_streams());
    let metrics = api.metrics();
    let watchers = "The number of watches.";
    page.one("etcd_debugging_mvcc_watcher_total", "gauge", watchers, metrics.watchers.load(Relaxed));
    let slow = "How often a watch stream fell behind and was caught up from the history.";
    page.one("etcd_debugging_mvcc_slow_watcher_total", "counter", slow, metrics.slow_watchers.load(Relaxed));
}

fn calls(page: &mut Page, metrics: &Metrics) {
    let used = || Rpc::ALL.iter().map(|rpc| (*rpc, &metrics.calls[*rpc as usize]));
    let name = "grpc_server_started_total";
    page.head(name, "counter", "Total number of RPCs started on the server.");
    for (rpc, calls) in used() {
        let (service, method, kind) = rpc.labels();
        let service = format!("etcdserverpb.{service}");
        let labels = [("grpc_method", method), ("grpc_service", &service), ("grpc_type", kind)];
        page.sample(name, &labels, calls.started.load(Relaxed));
    }
    let name = "grpc_server_handled_total";
    page.head(name, "counter", "Total number of RPCs completed on the server, by code.");
    for (rpc, calls) in used() {
        let (service, method, kind) = rpc.labels();
        let service = format!("etcdserverpb.{service}");
        for (code, count) in calls.handled.iter().enumerate() {
            let count = count.load(Relaxed);
            // Every call shows its successes; a code shows up with its first failure.
            if code == 0 || count > 0 {
                let code = format!("{:?}", Code::from_i32(code as i32)).replace("Ok", "OK");
                let labels = [
                    ("grpc_code", code.as_str()),
                    ("grpc_method", method),
                    ("grpc_service", &service),
                    ("grpc_type", kind),
                ];
                page.sample(name, &labels, count);
            }
        }
    }
    let name = "grpc_server_handling_seconds";
    page.head(name, "histogram", "How long unary calls took.");
    for (rpc, calls) in used().filter(|(rpc, _)| rpc.labels().2 == "unary") {
        latency(page, name, rpc, calls);
    }
}

fn latency(page: &mut Page, name: &str, rpc: Rpc, calls: &Calls) {
    let (service, method, _) = rpc.labels();
    let service = format!("etcdserverpb.{service}");
    let mut total = 0;
    for (position, count) in calls.latency.iter().enumerate() {
        total += count.load(Relaxed);
        let bound = LATENCY_BOUNDS.get(position).map_or("+Inf".to_owned(), ToString::to_string);
        let labels = [("grpc_method", method), ("grpc_service", &service), ("le", &bound)];
        page.sample(&format!("{name}_bucket"), &labels, total);
    }
    let labels = [("grpc_method", method), ("grpc_service", service.as_str())];
    let seconds = Duration::from_micros(calls.latency_micros.load(Relaxed)).as_secs_f64();
    page.sample(&format!("{name}_sum"), &labels, seconds);
    page.sample(&format!("{name}_count"), &labels, total);
}

/// Where the system says so in a file (Linux).
fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}
