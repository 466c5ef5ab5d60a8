//! Where the proxy leads clients, made from what the members say of themselves.
//!
//! The invariant: a member is named as the primary only while it holds the leader key, says that it takes writes, and this
//! member's knowledge of that is fresh.

use config::MemberConfig;
use ha::cluster::{Cluster, MemberData, Role};
use proxy::{Replica, Routes, Target};
use types::{Lsn, MemberName};

/// Whom new readers are led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadRules {
    /// How many bytes behind the leader a replica may be; `None`: any number.
    pub lag_max: Option<u64>,
    /// The pooler beside each member instead of its PostgreSQL.
    pub pooler: bool,
}

impl ReadRules {
    pub fn of(member: &MemberConfig) -> Self {
        member
            .proxy
            .as_ref()
            .map_or_else(Self::default, |proxy| Self { lag_max: proxy.replica_max_lag, pooler: proxy.pooler })
    }
}

/// `None` as the primary means: hold the clients. `holds`: those that come now, also while there is one.
pub fn routes(cluster: &Cluster, trusted: bool, holds: bool, rules: ReadRules) -> Routes {
    let target = |name: &MemberName, data: &MemberData| {
        let address = if rules.pooler { data.pooler_address() } else { data.postgres_address() };
        Some(Target { member: name.to_string(), address: address?.to_owned() })
    };
    let primary = cluster.leader_member().filter(|(_, member)| trusted && member.data.is_writable());
    let end = leader_end(cluster);
    let accepts = |data: &MemberData| {
        // While there is no primary nobody streams, and all are as new as there is.
        let up_to_date = primary.is_none() || data.replication_state.as_deref() == Some("streaming");
        let near = rules.lag_max.is_none_or(|max| data.replay_lsn.unwrap_or_default().behind(end) <= max);
        up_to_date && near && !data.tags.noloadbalance()
    };
    let replicas = cluster
        .members
        .iter()
        .map(|(name, member)| (name, &member.data))
        .filter(|(name, data)| {
            primary.is_none_or(|(primary, _)| primary != *name) && data.is_running() && serves_readers(data.role)
        })
        .filter_map(|(name, data)| Some(Replica { target: target(name, data)?, accepts: accepts(data) }));
    Routes {
        replicas: replicas.collect(),
        primary: primary.and_then(|(name, member)| target(name, &member.data)),
        holds,
        epoch: cluster.leader.as_ref().map_or(0, |leader| leader.epoch.0.unsigned_abs()),
    }
}

/// The leader of a standby cluster is as good as its replicas.
fn serves_readers(role: Role) -> bool {
    matches!(role, Role::Replica | Role::StandbyLeader)
}

/// The end of the leader's WAL as it last told, which is at most a `loop_wait` ago.
fn leader_end(cluster: &Cluster) -> Lsn {
    let published = cluster.status.as_ref().map(|status| status.value.optime);
    let own = cluster.leader_member().and_then(|(_, member)| member.data.xlog_location);
    published.max(own).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::{Leader, Member, Quorate, RunState, Status, Tags, Versioned};
    use serde_json::json;
    use types::Revision;

    fn member(name: &str, change: impl FnOnce(&mut MemberData)) -> (MemberName, Member) {
        let mut data = MemberData {
            conn_url: format!("postgres://{name}:5432/postgres"),
            state: RunState::Running,
            role: Role::Replica,
            replay_lsn: Some(Lsn(1000)),
            replication_state: Some("streaming".to_owned()),
            quorate: Some(Quorate::default()),
            ..MemberData::default()
        };
        change(&mut data);
        (name.into(), Member { data, revision: Revision(1), lease: None })
    }

    fn primary(name: &str) -> (MemberName, Member) {
        member(name, |data| {
            data.role = Role::Primary;
            data.xlog_location = Some(Lsn(1000));
            data.quorate = Some(Quorate { writable: true, claim: true, ..Quorate::default() });
        })
    }

    fn cluster(leader: Option<&str>, members: Vec<(MemberName, Member)>) -> Cluster {
        Cluster {
            leader: leader.map(|name| Leader { name: name.into(), epoch: Revision(7), lease: None }),
            members: members.into_iter().collect(),
            ..Cluster::default()
        }
    }

    /// The primary's name, then the replicas', one that gets no new connections in parentheses.
    fn shown(routes: &Routes) -> String {
        let primary = routes.primary.as_ref().map_or("-", |target| target.member.as_str());
        let replicas = routes.replicas.iter().map(|replica| {
            let name = &replica.target.member;
            if replica.accepts { format!(" {name}") } else { format!(" ({name})") }
        });
        format!("{primary}:{}", replicas.collect::<Vec<_>>().concat())
    }

    fn check(cluster: &Cluster, rules: ReadRules, expected: &str) {
        assert_eq!(shown(&routes(cluster, true, false, rules)), expected);
    }

    #[test]
    fn writers_go_to_the_leader_while_it_is_known_to_take_writes() {
        let mut all = cluster(Some("a"), vec![primary("a"), member("b", |_| {})]);
        check(&all, ReadRules::default(), "a: b");
        assert_eq!(
            shown(&routes(&all, false, false, ReadRules::default())),
            "-: b",
            "nobody knows whether it still is"
        );
        all.members.get_mut(&"a".into()).unwrap().data.quorate.as_mut().unwrap().writable = false;
        check(&all, ReadRules::default(), "-: b");
        all.leader = None;
        check(&all, ReadRules::default(), "-: b");
    }

    #[test]
    fn new_readers_go_to_replicas_that_stream_are_near_and_not_taken_out() {
        let tagged = member("c", |data| {
            data.tags = Tags(json!({"noloadbalance": true}).as_object().unwrap().clone());
        });
        let late = member("d", |data| data.replay_lsn = Some(Lsn(899)));
        let cut_off = member("e", |data| data.replication_state = None);
        let down = member("f", |data| data.state = RunState::Stopped);
        let mut all = cluster(Some("a"), vec![primary("a"), member("b", |_| {}), tagged, late, cut_off, down]);
        check(&all, ReadRules::default(), "a: b (c) d (e)");
        let near = ReadRules { lag_max: Some(100), ..ReadRules::default() };
        check(&all, near, "a: b (c) (d) (e)");
        check(&all, ReadRules { lag_max: Some(101), ..near }, "a: b (c) d (e)");
        all.status =
            Some(Versioned { value: Status { optime: Lsn(2000), ..Status::default() }, revision: Revision(2) });
        check(&all, near, "a: (b) (c) (d) (e)");
    }

    #[test]
    fn without_a_primary_nobody_streams_and_readers_are_served_all_the_same() {
        let all = cluster(None, vec![member("b", |data| data.replication_state = None), member("c", |_| {})]);
        check(&all, ReadRules::default(), "-: b c");
    }

    #[test]
    fn a_standby_cluster_has_readers_only() {
        let leader = member("a", |data| {
            data.role = Role::StandbyLeader;
            data.quorate = Some(Quorate { claim: true, ..Quorate::default() });
        });
        check(&cluster(Some("a"), vec![leader, member("b", |_| {})]), ReadRules::default(), "-: a b");
    }

    #[test]
    fn the_ports_lead_to_poolers_where_that_is_wanted_and_never_past_one() {
        let mut leader = primary("a");
        leader.1.data.proxy_url = Some("postgres://a:6432/postgres".to_owned());
        let all = cluster(Some("a"), vec![leader, member("b", |_| {})]);
        let routes = routes(&all, true, false, ReadRules { pooler: true, ..ReadRules::default() });
        assert_eq!(routes.primary.map(|target| target.address).as_deref(), Some("a:6432"));
        assert!(routes.replicas.is_empty(), "b has no pooler");
    }
}
