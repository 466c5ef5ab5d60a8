//! What the tests of this crate share: stores to run against, a network that can fail, and waiting with a deadline.

pub mod etcd;
pub mod network;
pub mod own;

use dcs::{Dcs, DcsConfig, DcsView};
use ha::cluster::{Cluster, Keys, MemberData, Status, StoreWrite};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use types::{LeaseId, Lsn, MemberName, Revision};

/// Far beyond anything that should happen, so that a busy machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A store of one or three members that the test started.
pub trait Store: Send + Sync + Sized {
    fn start(members: usize) -> impl Future<Output = Self> + Send;
    /// `host:port` of the members, in order.
    fn endpoints(&self) -> Vec<String>;
    fn kill(&mut self, member: usize) -> impl Future<Output = ()> + Send;
    /// With the data it had.
    fn restart(&mut self, member: usize) -> impl Future<Output = ()> + Send;
}

pub fn keys() -> Keys {
    Keys::new(None, &"pg".into())
}

pub fn client(endpoints: &[String]) -> Dcs {
    Dcs::new(DcsConfig::new(endpoints.to_vec(), keys()))
}

pub fn member_data(position: u64) -> MemberData {
    MemberData { xlog_location: Some(Lsn(position)), ..MemberData::default() }
}

pub fn put_member(name: &str, lease: LeaseId, position: u64, expected: Option<Revision>) -> StoreWrite {
    StoreWrite::PutMember { me: name.into(), lease: Some(lease), member: Box::new(member_data(position)), expected }
}

pub fn take_leader(name: &str, lease: LeaseId, cluster: &Cluster) -> StoreWrite {
    let members: BTreeMap<MemberName, Revision> =
        cluster.members.iter().map(|(name, member)| (name.clone(), member.revision)).collect();
    StoreWrite::TakeLeader {
        me: name.into(),
        lease,
        claim_lease: Some(lease),
        member: Box::new(member_data(1)),
        members,
        sync: None,
        history: None,
        failover: None,
        failsafe: cluster.failsafe_revision(),
    }
}

pub fn put_status(me: &str, epoch: Revision, position: u64) -> StoreWrite {
    let fence = ha::cluster::Fence { me: me.into(), epoch };
    StoreWrite::PutStatus { fence, status: Status { optime: Lsn(position), slots: BTreeMap::new() } }
}

/// A change that everybody may make at any time.
pub fn put_config(ttl: u32, expected: Option<Revision>) -> StoreWrite {
    StoreWrite::PutConfig { text: format!(r#"{{"ttl":{ttl}}}"#), expected }
}

/// The published view, once it is as wanted. Also checks that its revision never goes back on the way.
pub async fn eventually(dcs: &Dcs, what: &str, wanted: impl Fn(&DcsView) -> bool) -> Arc<DcsView> {
    let mut views = dcs.watch();
    let mut newest = Revision(0);
    let waiting = async {
        loop {
            let view = views.borrow_and_update().clone();
            assert!(view.cluster.revision >= newest, "the view went back from {newest} to {}", view.cluster.revision);
            newest = view.cluster.revision;
            if wanted(&view) {
                return view;
            }
            views.changed().await.expect("the client lives");
        }
    };
    let result = tokio::time::timeout(PATIENCE, waiting).await;
    result.unwrap_or_else(|_| panic!("in vain: {what}; the view is {:?}", dcs.watch().borrow()))
}

/// Asks again and again until the answer is there; for what nobody announces.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("in vain: {what}");
}

/// Forgets the store's history up to `revision`.
pub async fn compact(endpoint: &str, revision: Revision) {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{endpoint}")).expect("an address");
    let channel = endpoint.connect().await.expect("a connection");
    let request = etcd_api::etcdserverpb::CompactionRequest { revision: revision.0, physical: true };
    let mut client = etcd_api::etcdserverpb::kv_client::KvClient::new(channel);
    client.compact(request).await.expect("a compaction");
}
