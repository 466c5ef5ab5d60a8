//! Which replica becomes the master.
//!
//! Deliberately Sentinel's rule, number for number. The invariant: a replica that is not known to be fresh is not chosen,
//! and all sentinels with the same view choose the same.

use super::flags::Flags;
use super::master::Master;
use super::node::{Node, NodeId};
use super::settings::Periods;
use std::cmp::Ordering;
use types::Millis;

/// So many ping periods without a good answer, and a replica is no candidate. Also how old its INFO may be in trouble.
const PING_PERIODS_MAX: u64 = 5;
/// How many INFO periods old its INFO may be while the master seems fine.
const INFO_PERIODS_MAX: u64 = 3;
/// A replica may have been without its master for as long as the master is down, and this many times `down-after` more.
const DOWN_AFTERS_WITHOUT_MASTER_MAX: u64 = 10;

/// The best candidate, if there is one.
pub(super) fn best(now: Millis, periods: &Periods, master: &Master) -> Option<NodeId> {
    let usable = |replica: &&Node| is_usable(now, periods, master, replica);
    master.replicas.iter().filter(usable).min_by(|one, other| compare(one, other)).map(|replica| replica.id)
}

fn is_usable(now: Millis, periods: &Periods, master: &Master, replica: &Node) -> bool {
    let times = |period: Millis, count: u64| Millis(period.0.saturating_mul(count));
    let master_down = master.node.flags.any(Flags::S_DOWN);
    let down_for = if master_down {
        master.node.s_down_since.map_or(Millis::ZERO, |since| now.since(since))
    } else {
        Millis::ZERO
    };
    let without_master_max = down_for + times(master.settings.down_after, DOWN_AFTERS_WITHOUT_MASTER_MAX);
    let info_age_max =
        if master_down { times(periods.ping, PING_PERIODS_MAX) } else { times(periods.info, INFO_PERIODS_MAX) };
    let info_age = replica.info_at.map_or(Millis::MAX, |at| now.since(at));
    !replica.flags.any(Flags::S_DOWN.and(Flags::O_DOWN))
        && !replica.disconnected()
        && now.since(replica.link.last_available) <= times(periods.ping, PING_PERIODS_MAX)
        && replica.replication.priority != 0
        && info_age <= info_age_max
        && replica.replication.link_down <= without_master_max
}

/// Smaller is better: priority, then how much of the data it has, then its run id (none comes last).
fn compare(one: &Node, other: &Node) -> Ordering {
    let priority = one.replication.priority.cmp(&other.replication.priority);
    let offset = other.replication.offset.cmp(&one.replication.offset);
    priority.then(offset).then_with(|| match (&one.run_id, &other.run_id) {
        (Some(one), Some(other)) => one.to_ascii_lowercase().cmp(&other.to_ascii_lowercase()),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    })
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::super::event::{LinkId, MasterId};
    use super::super::master::Mode;
    use super::super::node::Role;
    use super::super::settings::MasterSettings;
    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn master() -> Master {
        let node = Node::new(NodeId(1), Role::Master, "", Address::new("10.0.0.1", 6379), NOW);
        Master::new(MasterId(1), "m", Mode::Mixed, MasterSettings::new(2, &Periods::default()), node)
    }

    fn replica(id: u32) -> Node {
        let mut node = Node::new(NodeId(id), Role::Replica, "r", Address::new("10.0.0.2", 6379), NOW);
        node.link.command = Some(LinkId(1));
        node.link.pubsub = Some(LinkId(2));
        node.info_at = Some(NOW);
        node
    }

    /// One replica, changed in one way: is it chosen while the master is fine, and while it is down for 20 s?
    fn check(what: &str, change: impl Fn(&mut Node), fine: bool, down: bool) {
        for (is_down, expected) in [(false, fine), (true, down)] {
            let mut master = master();
            if is_down {
                master.node.flags.set(Flags::S_DOWN);
                master.node.s_down_since = Some(NOW - Millis(20_000));
            }
            let mut candidate = replica(2);
            change(&mut candidate);
            master.replicas.push(candidate);
            assert_eq!(best(NOW, &Periods::default(), &master).is_some(), expected, "{what}, master down: {is_down}");
        }
    }

    #[test]
    fn a_replica_that_may_be_stale_or_gone_is_not_chosen() {
        check("as it should be", |_| (), true, true);
        check("down", |node| node.flags.set(Flags::S_DOWN), false, false);
        check("no command link", |node| node.link.command = None, false, false);
        check("no pub/sub link", |node| node.link.pubsub = None, false, false);
        check("5 s without pong", |node| node.link.last_available = NOW - Millis(5_000), true, true);
        check("more than 5 s without pong", |node| node.link.last_available = NOW - Millis(5_001), false, false);
        check("priority 0", |node| node.replication.priority = 0, false, false);
        check("never sent INFO", |node| node.info_at = None, false, false);
        check("INFO 5 s old", |node| node.info_at = Some(NOW - Millis(5_000)), true, true);
        check("INFO 6 s old", |node| node.info_at = Some(NOW - Millis(6_000)), true, false);
        check("INFO 31 s old", |node| node.info_at = Some(NOW - Millis(31_000)), false, false);
        check("300 s without master", |node| node.replication.link_down = Millis(300_000), true, true);
        check("310 s without master", |node| node.replication.link_down = Millis(310_000), false, true);
        check("321 s without master", |node| node.replication.link_down = Millis(321_000), false, false);
    }

    #[test]
    fn the_best_is_first_by_priority_then_offset_then_run_id() {
        let with = |id, priority, offset, run_id: Option<&str>| {
            let mut node = replica(id);
            node.replication.priority = priority;
            node.replication.offset = offset;
            node.run_id = run_id.map(Into::into);
            node
        };
        for (replicas, expected) in [
            (vec![with(2, 100, 5, None), with(3, 10, 1, None)], 3),
            (vec![with(2, 100, 5, None), with(3, 100, 9, None)], 3),
            (vec![with(2, 100, 5, None), with(3, 100, 5, Some("b"))], 3),
            (vec![with(2, 100, 5, Some("B")), with(3, 100, 5, Some("a"))], 3),
            (vec![with(2, 100, 5, Some("a")), with(3, 100, 5, Some("B")), with(4, 0, 99, None)], 2),
        ] {
            let mut master = master();
            master.replicas = replicas;
            assert_eq!(best(NOW, &Periods::default(), &master), Some(NodeId(expected)));
        }
    }
}
