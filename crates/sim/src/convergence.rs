//! After everything was healed: one leader that accepts writes, everybody else streaming from it, one history, and a store
//! that says so. In time, and for a while.

use crate::clock::{SECOND, Time};
use crate::postgres::Phase;
use crate::remote::REMOTE;
use crate::world::World;
use ha::cluster::{Member, Role};
use ha::vip::VipRole;
use types::MemberName;

/// From the end of the last fault. Clones, two failed tries with their pauses, and a primary's timeout fit in.
const CONVERGED_WITHIN: Time = 60 * SECOND;
/// In a world with a standby cluster: a primary that is stopped to be demoted may wait for a frozen replica (`wal_sender_timeout`),
/// and a replica with another history than the leader's is cloned only after several tries, because that one is no source for pg_rewind.
const STANDBY_CONVERGED_WITHIN: Time = 180 * SECOND;
/// It must hold for this long.
const STABLE: Time = 3 * SECOND;

impl World {
    pub(crate) fn look_at_convergence(&mut self) {
        let Some(healed) = self.oracle.healed_at else { return };
        let now = self.now;
        match self.what_is_missing() {
            None => {
                let since = *self.oracle.healthy_since.get_or_insert(now);
                if now - since >= STABLE {
                    crate::note!(self, "converged {} s after healing", (since.saturating_sub(healed)) / SECOND);
                    self.done = true;
                }
            }
            Some(what) => {
                self.oracle.healthy_since = None;
                let within = if self.setup.standby { STANDBY_CONVERGED_WITHIN } else { CONVERGED_WITHIN };
                if now - healed > within {
                    self.violation(format!("{} s after healing: {what}", within / SECOND));
                }
            }
        }
    }

    fn what_is_missing(&self) -> Option<String> {
        let truth = &self.oracle.truth;
        let Some((name, member)) = truth.leader_member() else {
            return Some("there is no leader".to_owned());
        };
        let leader = self.host_named(name)?;
        if truth.config().standby_cluster.is_some() {
            return self.standby_is_missing(leader, member);
        }
        if !self.hosts[leader].postgres.is_primary() {
            return Some(format!("{name} leads and its PostgreSQL is no primary"));
        }
        if !member.data.is_writable() {
            return Some(format!("{name} does not say that it accepts writes"));
        }
        if let Some(missing) = self.replicas_are_missing(leader, name) {
            return Some(missing);
        }
        if let Some(missing) = self.address_is_missing(leader, VipRole::Primary) {
            return Some(missing);
        }
        if let Some(request) = &truth.failover {
            return Some(format!("the request {:?} is still there", request.value));
        }
        let config = truth.config();
        if config.is_synchronous() && truth.sync.as_ref().is_none_or(|sync| sync.value.standbys.is_empty()) {
            return Some("nobody is a synchronous standby".to_owned());
        }
        // The other lines are of numbers that were passed over.
        let known = truth.history.as_ref().map(|history| history.value.as_slice()).unwrap_or_default();
        let lines = known.iter().filter(|line| !line.is_reserved()).count();
        let history = self.hosts[leader].postgres.data.cluster().map_or(0, |cluster| cluster.wal.history().len());
        if lines != history {
            return Some(format!("/history has {lines} lines of PostgreSQL's, and {name} a history of {history}"));
        }
        if self.now - self.oracle.proxied_acknowledged_at > 2 * SECOND {
            return Some("no write went through a proxy lately".to_owned());
        }
        self.redis_is_missing()
    }

    /// Everybody else streams from the leader, and says so.
    fn replicas_are_missing(&self, leader: usize, name: &MemberName) -> Option<String> {
        let truth = &self.oracle.truth;
        let branch = self.hosts[leader].postgres.data.cluster().map(|cluster| cluster.wal.branch());
        for (at, host) in self.hosts.iter().enumerate().filter(|(at, _)| *at != leader) {
            let streams =
                host.postgres.server.as_ref().and_then(|server| server.receiver).map(|receiver| receiver.from);
            if host.postgres.phase() != Some(Phase::Standby) || streams != Some(leader) {
                return Some(format!("m{} does not stream from {name}", at + 1));
            }
            if host.postgres.data.cluster().map(|cluster| cluster.wal.branch()) != branch {
                return Some(format!("m{} is not on the history of {name}", at + 1));
            }
            match truth.members.get(&host.name) {
                Some(member) if member.data.role == Role::Replica && member.data.is_running() => {}
                Some(_) => return Some(format!("the entry of m{} does not say that it is a running replica", at + 1)),
                None => return Some(format!("m{} is not in the store", at + 1)),
            }
        }
        None
    }

    /// The leader streams from the remote primary, and nobody takes writes.
    fn standby_is_missing(&self, leader: usize, member: &Member) -> Option<String> {
        let name = &self.hosts[leader].name;
        let postgres = &self.hosts[leader].postgres;
        let from = postgres.server.as_ref().and_then(|server| server.receiver).map(|receiver| receiver.from);
        if postgres.phase() != Some(Phase::Standby) || from != Some(REMOTE) {
            return Some(format!("{name} leads a standby cluster and does not stream from the remote primary"));
        }
        if member.data.role != Role::StandbyLeader || member.data.is_writable() {
            return Some(format!("the entry of {name} does not say that it leads a standby cluster"));
        }
        if self.oracle.truth.failover.is_some() {
            return Some("a request is still there".to_owned());
        }
        self.replicas_are_missing(leader, name)
            .or_else(|| self.address_is_missing(leader, VipRole::StandbyLeader))
            .or_else(|| self.address_is_there(VipRole::Primary))
    }
}
