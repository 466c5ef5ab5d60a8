//! Everything that was found out, before anybody judges it. Plain data.

use ha::cluster::Cluster;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use types::MemberName;

/// What is not known is left out; a rule says nothing about it then.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub store: StoreFacts,
    pub cluster: Option<ClusterFacts>,
    /// Only with a member's own configuration.
    pub machine: Option<MachineFacts>,
}

#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// The members of the embedded store.
    pub voters: Vec<String>,
    /// The endpoints of an etcd in its place.
    pub etcd: Vec<String>,
    /// Why the store did not answer.
    pub unreachable: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct ClusterFacts {
    pub view: Cluster,
    pub answers: BTreeMap<MemberName, MemberFacts>,
}

/// What a member says by its REST API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberFacts {
    /// Why it did not answer.
    pub silent: Option<String>,
    /// Of Quorate; `None` for a real Patroni.
    pub version: Option<String>,
    /// As `server_version_num`.
    pub postgresql: Option<u64>,
    /// 0: nobody watches the agent.
    pub watchdog_seconds: Option<f64>,
    pub open_files_max: Option<f64>,
    /// How far its clock is ahead of ours, to a second.
    pub clock_ahead_s: Option<f64>,
}

/// The machine that this command runs on.
#[derive(Clone, Debug, Default)]
pub struct MachineFacts {
    pub member: String,
    pub disks: Vec<Disk>,
    pub fsync: Fsync,
    /// Files and sockets that the proxy's connections need; 0 without a proxy.
    pub files_needed: u64,
    /// Files with passwords in them that every user may read.
    pub readable_secrets: Vec<PathBuf>,
    /// `host:port` of a REST API that everybody may use to change something.
    pub open_rest_api: Option<String>,
    pub redis: Option<RedisMachine>,
    /// With the days that are left.
    pub certificates: Vec<(PathBuf, i64)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    pub what: &'static str,
    pub directory: PathBuf,
    pub free: u64,
    pub total: u64,
}

/// How long a write takes to be on the store's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// There is no store here.
    #[default]
    None,
    Median(Duration),
    /// Where, and why not.
    NotMeasured(PathBuf, String),
}

/// What Redis needs of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedisMachine {
    /// `vm.overcommit_memory`
    pub overcommit: Option<u32>,
    /// Transparent huge pages for every program.
    pub huge_pages_always: bool,
}
