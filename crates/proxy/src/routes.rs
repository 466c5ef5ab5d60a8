//! Where connections go now, and which of the existing ones may stay.

use std::fmt;

/// A PostgreSQL server as clients reach it. Two targets are the same server when both parts are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The member's name, for people.
    pub member: String,
    /// `host:port`; an IPv6 host in brackets.
    pub address: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.member, self.address)
    }
}

/// A member that answers reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    pub target: Target,
    /// New connections may go there. Those that exist stay in any case: a replica that has fallen behind, or is about to be
    /// taken out, is no reason for errors.
    pub accepts: bool,
}

/// The newest knowledge of who serves. Whoever sends it sends only changes, in the order in which they became true;
/// when the sender is dropped, nobody knows any more who the primary is, and every connection is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    /// The member that may take writes. `None` from the moment the old one is fenced until the new one is known.
    pub primary: Option<Target>,
    /// The primary is about to hand over: connections to it stay, new ones wait.
    pub holds: bool,
    /// Members that answer reads. A replica that is being promoted stays here until it is the primary; otherwise its
    /// read connections are cut.
    pub replicas: Vec<Replica>,
    /// The store's revision of the leadership this was seen under; for logs and metrics. The same member under a new
    /// epoch is the same server: its connections stay.
    pub epoch: u64,
}

/// The two kinds of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Primary,
    Replicas { fall_back_to_primary: bool },
}

impl Port {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Replicas { .. } => "replicas",
        }
    }

    /// May a connection to `target` that came through this port exist under `routes`?
    ///
    /// On the replica port a replica that became the primary keeps its read connections: they read newer data than
    /// before, and cutting them would turn every switchover into errors for readers.
    pub(crate) fn allows(self, routes: &Routes, target: &Target) -> bool {
        let is_primary = routes.primary.as_ref() == Some(target);
        match self {
            Self::Primary => is_primary,
            Self::Replicas { .. } => is_primary || routes.replicas.iter().any(|replica| replica.target == *target),
        }
    }

    /// Whom to try for a new connection: the first choice of equals, and when all of those failed, the second.
    pub(crate) fn candidates(self, routes: &Routes) -> (Vec<&Target>, Option<&Target>) {
        let replicas = || routes.replicas.iter().filter(|replica| replica.accepts).map(|replica| &replica.target);
        let primary = routes.primary.as_ref().filter(|_| !routes.holds);
        match self {
            Self::Primary => (Vec::new(), primary),
            Self::Replicas { fall_back_to_primary: true } => (replicas().collect(), primary),
            Self::Replicas { fall_back_to_primary: false } => (replicas().collect(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(member: &str) -> Target {
        Target { member: member.to_owned(), address: format!("{member}:5432") }
    }

    #[test]
    fn a_connection_may_exist_only_where_the_routes_allow_it() {
        let replica = |member, accepts| Replica { target: target(member), accepts };
        let replicas = vec![replica("b", true), replica("d", false)];
        let routes = Routes { primary: Some(target("a")), holds: true, replicas, epoch: 1 };
        let replicas = Port::Replicas { fall_back_to_primary: false };
        for (port, member, allowed) in [
            (Port::Primary, "a", true),
            (Port::Primary, "b", false),
            (Port::Primary, "c", false),
            (replicas, "a", true), // it was a replica when the connection was made
            (replicas, "b", true),
            (replicas, "c", false),
            (replicas, "d", true), // it has fallen behind
        ] {
            assert_eq!(port.allows(&routes, &target(member)), allowed, "{port:?} {member}");
        }
        let moved = Target { member: "a".to_owned(), address: "elsewhere:5432".to_owned() };
        assert!(!Port::Primary.allows(&routes, &moved), "the same name at another address is another server");
    }
    #[test]
    fn new_readers_go_to_replicas_that_accept_and_to_the_primary_last() {
        let replica = |member, accepts| Replica { target: target(member), accepts };
        let replicas = vec![replica("b", true), replica("c", false), replica("d", true)];
        let mut routes = Routes { primary: Some(target("a")), replicas, epoch: 1, ..Routes::default() };
        let (a, b, d) = (target("a"), target("b"), target("d"));
        assert_eq!(Port::Primary.candidates(&routes), (vec![], Some(&a)));
        assert_eq!(Port::Replicas { fall_back_to_primary: true }.candidates(&routes), (vec![&b, &d], Some(&a)));
        assert_eq!(Port::Replicas { fall_back_to_primary: false }.candidates(&routes), (vec![&b, &d], None));
        routes.holds = true;
        assert_eq!(Port::Primary.candidates(&routes), (vec![], None));
        assert_eq!(Port::Replicas { fall_back_to_primary: true }.candidates(&routes), (vec![&b, &d], None));
    }
}
