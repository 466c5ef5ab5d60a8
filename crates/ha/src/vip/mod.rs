//! Virtual addresses: which of them this member may have now, and why.
//!
//! Deliberately ignorant of network cards: the guard sets and removes (`guard::address`); `line` keeps what was asked of it. The invariant: an address is
//! asked for only while this member holds its role under its own lease, and only until that lease's fence; so it is gone
//! here before the lease can pass on, by the guard's hand if nobody else's. A role that is given up earlier gives its
//! addresses up first: the key passes when the guard has said that they are gone.

mod line;

pub use line::{Vip, VipLine};

use crate::guard::{Presence, ServerKind};
use crate::lease::Lease;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use types::Millis;

/// An address as it is set on a network card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VirtualAddress {
    pub ip: IpAddr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The network card, by name.
    pub interface: String,
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} on {}", self.ip, self.prefix, self.interface)
    }
}

/// Whom an address leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VipRole {
    #[default]
    Primary,
    RedisMaster,
    /// Who holds the leader key of a standby cluster.
    StandbyLeader,
}

impl VipRole {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::RedisMaster => "redis_master",
            Self::StandbyLeader => "standby_leader",
        }
    }

    /// Whose decisions say who has the role.
    pub fn server(self) -> ServerKind {
        match self {
            Self::Primary | Self::StandbyLeader => ServerKind::Postgres,
            Self::RedisMaster => ServerKind::Redis,
        }
    }
}

/// How this member stands to a role, as its last decision left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It has the role, under its own lease.
    Holds,
    /// It has not, or is about to give it up.
    Lost,
    /// It cannot say (yet): what was promised stands until its fence, and no longer.
    #[default]
    Unknown,
}

/// What the guard is to be told about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Hold {
        until: Millis,
    },
    Release,
    /// Nothing: it is gone already, or it falls at its fence.
    Leave,
}

/// Why this member has an address, or has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VipReason {
    /// It has the role.
    Held,
    /// It has the role, and the address is being set.
    Setting,
    /// It has not the role.
    RoleElsewhere,
    /// It had the role, and the address is being removed.
    Removing,
    /// Nobody here can say who has the role.
    RoleUnknown,
    /// It has the role, under a lease whose fence has fallen.
    LeaseOver,
    /// The system refuses to set it, or to remove it.
    Refused { why: String },
}

impl VipReason {
    /// A short stable name, used as a label in metrics and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Held => "vip_held",
            Self::Setting => "vip_setting",
            Self::RoleElsewhere => "vip_role_elsewhere",
            Self::Removing => "vip_removing",
            Self::RoleUnknown => "vip_role_unknown",
            Self::LeaseOver => "vip_lease_over",
            Self::Refused { .. } => "vip_refused",
        }
    }
}

/// Everything the decision about one address looks at.
#[derive(Clone, Debug)]
pub struct VipView<'a> {
    /// The member's boot clock.
    pub now: Millis,
    pub standing: Standing,
    pub lease: Option<Lease>,
    /// As the guard last said.
    pub presence: Presence,
    /// What the guard could not do.
    pub problem: Option<&'a str>,
}

/// Pure: the same view gives the same answer. Asked after every renewal of the lease, every decision about the role, and
/// every word of the guard about the address.
pub fn decide(view: &VipView<'_>) -> (Wish, VipReason) {
    let refused = view.problem.map(|why| VipReason::Refused { why: why.to_owned() });
    match (view.standing, view.lease) {
        (Standing::Holds, Some(lease)) if lease.fence() > view.now => {
            let reason = match view.presence {
                Presence::Present => VipReason::Held,
                Presence::Absent | Presence::Uncertain => VipReason::Setting,
            };
            (Wish::Hold { until: lease.fence() }, refused.unwrap_or(reason))
        }
        (Standing::Holds, _) => (Wish::Leave, VipReason::LeaseOver),
        (Standing::Unknown, _) => (Wish::Leave, VipReason::RoleUnknown),
        (Standing::Lost, _) => match view.presence {
            Presence::Absent => (Wish::Leave, VipReason::RoleElsewhere),
            Presence::Present | Presence::Uncertain => (Wish::Release, refused.unwrap_or(VipReason::Removing)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::LeaseId;

    const NOW: Millis = Millis(10_000);

    fn lease(renewed_at: Millis) -> Lease {
        Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at }
    }

    fn view(standing: Standing, lease: Option<Lease>, presence: Presence) -> VipView<'static> {
        VipView { now: NOW, standing, lease, presence, problem: None }
    }

    #[test]
    fn an_address_is_asked_for_only_under_the_role_and_a_lease_and_never_beyond_its_fence() {
        let leases = [None, Some(lease(NOW)), Some(lease(NOW - Millis(1200))), Some(lease(Millis(1)))];
        for standing in [Standing::Holds, Standing::Lost, Standing::Unknown] {
            for presence in [Presence::Absent, Presence::Uncertain, Presence::Present] {
                for lease in leases {
                    let (wish, _) = decide(&view(standing, lease, presence));
                    let may = standing == Standing::Holds && lease.is_some_and(|lease| lease.fence() > NOW);
                    match wish {
                        Wish::Hold { until } => {
                            assert!(may && Some(until) == lease.map(|lease| lease.fence()), "{standing:?}");
                        }
                        Wish::Release => assert!(standing == Standing::Lost && presence != Presence::Absent),
                        Wish::Leave => assert!(!may, "{standing:?} {lease:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn who_does_not_know_takes_nothing_away() {
        for lease in [None, Some(lease(NOW))] {
            let (wish, why) = decide(&view(Standing::Unknown, lease, Presence::Present));
            assert_eq!((wish, why), (Wish::Leave, VipReason::RoleUnknown));
        }
    }

    #[test]
    fn what_the_system_refuses_is_said() {
        let mut refused = view(Standing::Holds, Some(lease(NOW)), Presence::Absent);
        refused.problem = Some("there is no interface eth7");
        let (wish, why) = decide(&refused);
        assert!(matches!(wish, Wish::Hold { .. }), "it is tried again");
        assert_eq!(why, VipReason::Refused { why: "there is no interface eth7".to_owned() });
    }
}
