//! What goes wrong with Redis, and what people do to it.

use super::GROUP;
use crate::clock::{MS, SECOND, Time};
use crate::faults::{Aim, Fault, Planned, draw};
use crate::note;
use crate::operator::Order;
use crate::random::Random;
use crate::store::Request;
use crate::store::client::Purpose;
use crate::world::World;
use ha::cluster::redis::{RedisFailoverRequest, RedisWrite};
use kv::{Command, DeleteRangeRequest, KeyRange};

const FAULTS_MAX: u64 = 9;
const GAP_MAX: Time = 6 * SECOND;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisOrder {
    Switchover {
        named: bool,
    },
    Failover {
        force: bool,
    },
    /// Somebody with etcdctl.
    DeleteLeaderKey,
}

/// Adds Redis's own to the plan, and some of everybody's aimed at its master. Returns when the last one begins.
pub fn draw_more(seed: u64, from: Time, until: Time, planned: &mut Vec<Planned>) -> Time {
    let mut random = Random::new(seed.wrapping_mul(0xA24B_AED5) ^ 0x4ED15);
    let mut at = from;
    for _ in 0..random.between(2, FAULTS_MAX) {
        at += if random.percent(40) { random.between(0, 500 * MS) } else { random.between(500 * MS, GAP_MAX) };
        if random.percent(6) {
            at = unheard_switchover(&mut random, at, planned);
            continue;
        }
        let lasts = match random.below(3) {
            0 => random.between(50 * MS, 800 * MS),
            1 => random.between(500 * MS, 3 * SECOND),
            _ => random.between(2 * SECOND, 8 * SECOND),
        };
        let fault = match random.below(20) {
            0..=3 => Fault::KillRedis,
            4..=6 => Fault::FreezeRedis,
            7..=8 => Fault::LoseRedisData,
            9..=12 => Fault::RedisOrder(RedisOrder::Switchover { named: random.percent(50) }),
            13 => Fault::RedisOrder(RedisOrder::Failover { force: random.percent(50) }),
            14 => Fault::RedisOrder(RedisOrder::DeleteLeaderKey),
            15 if random.percent(50) => Fault::RefuseRole,
            _ => draw(&mut random),
        };
        let aim = if random.percent(70) { Aim::RedisLeader } else { Aim::Anybody };
        planned.push(Planned { at, fault, lasts, aim });
    }
    at.max(until)
}

/// A switchover is asked for, and the master's worker does not hear of it; in the pause nothing ends its server. Returns when
/// the last of these begins.
fn unheard_switchover(random: &mut Random, from: Time, planned: &mut Vec<Planned>) -> Time {
    let frozen_for = random.between(2 * SECOND, 9 * SECOND);
    let frozen_at = from + random.between(100 * MS, 900 * MS);
    let asked_at = frozen_at + random.between(0, 200 * MS);
    let switchover = Fault::RedisOrder(RedisOrder::Switchover { named: true });
    let pause = Fault::Order(Order::Pause);
    let faults = [(from, pause, frozen_for), (frozen_at, Fault::FreezeWorker, frozen_for), (asked_at, switchover, 0)];
    planned.extend(faults.map(|(at, fault, lasts)| Planned { at, fault, lasts, aim: Aim::RedisLeader }));
    asked_at
}

impl World {
    pub(crate) fn redis_leader_host(&self) -> Option<usize> {
        let group = self.oracle.truth.redis.get(GROUP)?;
        group.leader_name().and_then(|name| self.host_named(name))
    }

    pub(crate) fn give_redis_order(&mut self, order: RedisOrder) {
        let at = self.random.below(self.hosts.len());
        let group = self.oracle.truth.redis_group(GROUP);
        let candidate = self.hosts[at].name.clone();
        note!(self, "an operator at m{} orders {order:?} of Redis", at + 1);
        let request = match order {
            RedisOrder::Switchover { named } => RedisFailoverRequest {
                leader: group.leader_name().cloned(),
                candidate: named.then_some(candidate),
                force: false,
            },
            RedisOrder::Failover { force } => RedisFailoverRequest { leader: None, candidate: Some(candidate), force },
            RedisOrder::DeleteLeaderKey => {
                let keys = KeyRange::One(self.keys.redis(GROUP).leader());
                let delete = DeleteRangeRequest { keys, prev_kv: false };
                return self.call(at, Purpose::Operator, Request::Change(Command::DeleteRange(delete)));
            }
        };
        let expected = group.failover.as_ref().map(|failover| failover.revision);
        let txn = RedisWrite::PutFailover { request, expected }.to_txn(&self.keys, GROUP);
        self.call(at, Purpose::Operator, Request::Change(Command::Txn(txn)));
    }
}
