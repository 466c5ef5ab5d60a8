//! What goes wrong, and when: drawn from the seed before the run begins, aimed when it happens.
//!
//! Every fault ends: by itself, or at the latest when the world is healed. The invariant: after healing nothing of any
//! fault is left but its consequences.

use crate::clock::{MS, SECOND, Time};
use crate::network::{PLANES, Plane};
use crate::note;
use crate::operator::Order;
use crate::random::Random;
use crate::redis::faults::RedisOrder;
use crate::setup::Setup;
use crate::world::{Happening, World};

/// Faults begin when a cluster should have come up.
const CALM: Time = 7 * SECOND;
const GAP_MIN: Time = 500 * MS;
const GAP_MAX: Time = 9 * SECOND;
const FAULTS_MAX: u64 = 9;
const FAULTS_BESIDE_FAILSAFE: u64 = 4;
const FAILSAFE_MAX: u64 = 5;
/// The pause is a state people put a cluster in; here they end it.
const PAUSE_MAX: Time = 8 * SECOND;

#[derive(Clone, Debug)]
pub enum Fault {
    /// Everything, or one kind of traffic, around one member.
    Isolate {
        plane: Option<Plane>,
        inward: bool,
        outward: bool,
    },
    /// One link, one direction.
    CutLink {
        plane: Plane,
    },
    /// The whole store: its members do not hear each other, and no agent reaches another host's.
    StoreAway,
    /// The store from one member, whose agent hears the others.
    CutFromStore,
    SlowNetwork {
        by: Time,
    },
    LoseMessages {
        percent: u64,
    },
    KillWorker,
    KillGuard,
    KillPostmaster,
    PowerOff,
    PowerOffLeaders,
    FreezeWorker,
    FreezeGuard,
    FreezeBoth {
        apart: Time,
    },
    FreezeHost {
        clock_too: bool,
    },
    FreezePostgres,
    SlowStoreDisk {
        times: u64,
    },
    FullStoreDisk,
    SlowPostgresDisk {
        times: u64,
    },
    FullPostgresDisk,
    WallClockJumps {
        seconds: i64,
    },
    Order(Order),
    KillRedis,
    FreezeRedis,
    /// It dies, and its disk comes back with nothing.
    LoseRedisData,
    RedisOrder(RedisOrder),
    /// The agent of this member refuses one of its two servers (a mistake in its configuration, say) and ends.
    RefuseRole,
}

/// At whom a fault is aimed when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Anybody,
    /// Whoever leads then.
    Leader,
    RedisLeader,
}

#[derive(Clone, Debug)]
pub struct Planned {
    pub at: Time,
    pub fault: Fault,
    pub lasts: Time,
    pub aim: Aim,
}

impl Planned {
    /// At the leader; times in milliseconds.
    pub fn at_leader(at: Time, fault: Fault, lasts: Time) -> Self {
        Self { at: at * MS, fault, lasts: lasts * MS, aim: Aim::Leader }
    }

    /// At the leader of Redis; times in milliseconds.
    pub fn at_redis(at: Time, fault: Fault, lasts: Time) -> Self {
        Self { at: at * MS, fault, lasts: lasts * MS, aim: Aim::RedisLeader }
    }
}

/// How a fault ends.
#[derive(Clone, Debug)]
enum End {
    Mend(Vec<(Plane, usize, usize)>),
    Network,
    ThawWorker { host: usize, run: u64 },
    ThawGuard { host: usize, run: u64 },
    ThawPostgres { host: usize },
    ThawRedis { host: usize },
    ClockGoesOn { host: usize },
    FreezeWorkerNow { host: usize, lasts: Time },
    PowerOn { host: usize },
    StoreDisk { host: usize },
    PostgresDisk { host: usize },
    Resume,
}

#[derive(Debug, Default)]
pub struct Faults {
    pub planned: Vec<Planned>,
    pub ends_at: Time,
    /// Under way, by number.
    active: Vec<(u64, End)>,
    last: u64,
}

impl Faults {
    pub fn drawn(setup: &Setup) -> Self {
        if let Some(planned) = setup.script.clone() {
            let ends_at = planned.iter().map(|planned| planned.at + planned.lasts).max().unwrap_or(CALM) + SECOND;
            return Self { planned, ends_at, ..Self::default() };
        }
        let mut random = Random::new(setup.seed.wrapping_mul(0x9E37_79B9) ^ 0xFA17);
        let mut at = CALM;
        let mut planned = Vec::new();
        // With many others the members have no peace to consent in.
        let most = if setup.failsafe { FAULTS_BESIDE_FAILSAFE } else { FAULTS_MAX };
        for _ in 0..random.between(2, most) {
            // Often a second one comes while the first lasts.
            at += if random.percent(40) { random.between(0, GAP_MIN) } else { random.between(GAP_MIN, GAP_MAX) };
            let lasts = match random.below(4) {
                0 => random.between(50 * MS, 800 * MS),
                1 => random.between(500 * MS, 3 * SECOND),
                2 => random.between(2 * SECOND, 8 * SECOND),
                _ => random.between(5 * SECOND, 14 * SECOND),
            };
            if random.percent(12) {
                at = sequence(&mut random, at, &mut planned);
            } else {
                let aim = if random.percent(60) { Aim::Leader } else { Aim::Anybody };
                planned.push(Planned { at, fault: draw(&mut random), lasts, aim });
            }
        }
        if setup.redis {
            at = crate::redis::faults::draw_more(setup.seed, CALM, at, &mut planned);
        }
        if setup.standby {
            // About half of the worlds end as a standby cluster, some after having been something else.
            let mut order = |from: Time, order: Order| {
                let at = random.between(from, at + SECOND);
                planned.push(Planned { at, fault: Fault::Order(order), lasts: 0, aim: Aim::Leader });
                at
            };
            let changes = setup.seed % 4;
            if changes > 0 {
                let promoted = order(CALM, Order::PromoteCluster);
                if changes > 1 {
                    let demoted = order(promoted, Order::DemoteCluster);
                    if changes > 2 {
                        order(demoted, Order::PromoteCluster);
                    }
                }
            }
        }
        if setup.failsafe {
            at = draw_failsafe(setup.seed, at, &mut planned);
        }
        let ends_at = at + random.between(2 * SECOND, 10 * SECOND);
        Self { planned, ends_at, ..Self::default() }
    }
}

/// Adds what failsafe mode is for: the store is away, for everybody or for the leader, and something else happens meanwhile.
fn draw_failsafe(seed: u64, until: Time, planned: &mut Vec<Planned>) -> Time {
    let mut random = Random::new(seed.wrapping_mul(0xC2B2_AE3D) ^ 0xFA11_5AFE);
    let mut at = if random.percent(40) { CALM } else { until };
    for _ in 0..random.between(1, FAILSAFE_MAX) {
        at += random.between(GAP_MIN, GAP_MAX);
        let lasts = random.between(500 * MS, 12 * SECOND);
        let aim = if random.percent(85) { Aim::Leader } else { Aim::Anybody };
        let fault = if random.percent(35) { Fault::StoreAway } else { Fault::CutFromStore };
        planned.push(Planned { at, fault, lasts, aim });
        for _ in 0..random.below(3) {
            let meanwhile = at + random.between(0, lasts);
            let aim = if random.percent(40) { Aim::Leader } else { Aim::Anybody };
            let fault = match random.below(8) {
                0 => Fault::KillWorker,
                1 => Fault::CutFromStore,
                2 => Fault::Isolate { plane: Some(Plane::Rest), inward: true, outward: random.percent(50) },
                3 => Fault::FreezeWorker,
                4 => Fault::PowerOff,
                5 => Fault::Order(Order::Failsafe { on: random.percent(50) }),
                6 => Fault::SlowNetwork { by: random.between(50 * MS, 400 * MS) },
                _ => draw(&mut random),
            };
            planned.push(Planned { at: meanwhile, fault, lasts: random.between(300 * MS, 6 * SECOND), aim });
        }
        at += lasts;
    }
    at.max(until)
}

/// Faults that are harmless alone and meant to meet. Returns when the last of them begins.
fn sequence(random: &mut Random, from: Time, planned: &mut Vec<Planned>) -> Time {
    let mut at = from;
    let mut then = |after: Time, fault: Fault, lasts: Time| {
        at += after;
        planned.push(Planned { at, fault, lasts, aim: Aim::Leader });
    };
    let isolate = |plane| Fault::Isolate { plane, inward: true, outward: true };
    let short = random.between(20 * MS, 900 * MS);
    let while_ = random.between(2 * SECOND, 9 * SECOND);
    match random.below(10) {
        0 => {
            then(0, Fault::FreezeWorker, while_);
            then(short / 4, Fault::Order(Order::DeleteLeaderKey), 0);
        }
        1 => {
            then(0, isolate(Some(Plane::Store)), while_);
            then(short / 4, Fault::Order(Order::DeleteLeaderKey), 0);
        }
        // A standby becomes synchronous while nothing reaches it, and the leader goes.
        2 => {
            then(0, Fault::Order(Order::Synchronous { on: false, strict: false }), 0);
            then(2 * SECOND, isolate(Some(Plane::Replication)), while_ + 3 * SECOND);
            then(short, Fault::Order(Order::Synchronous { on: true, strict: false }), 0);
            then(while_ / 3, Fault::PowerOff, while_);
        }
        3 => {
            then(0, isolate(Some(Plane::Replication)), while_ + SECOND);
            then(short * 2, Fault::PowerOff, while_);
        }
        // A second leader that lives for a moment only.
        4 => {
            then(0, Fault::PowerOff, while_);
            then(1_500 * MS + short, Fault::PowerOff, while_);
        }
        5 => {
            then(0, Fault::Order(Order::Switchover { named: random.percent(50) }), 0);
            then(short / 2, draw(random), while_);
        }
        6 => {
            then(0, Fault::FreezeGuard, while_ + 3 * SECOND);
            then(short, Fault::KillWorker, 0);
        }
        // A switchover is asked for, and the leader does not hear of it; in the pause nothing ends its server.
        7 => {
            then(0, Fault::Order(Order::Pause), while_ + 3 * SECOND);
            then(short + 100 * MS, Fault::FreezeWorker, while_ + SECOND);
            then(short / 8, Fault::Order(Order::Switchover { named: true }), 0);
        }
        // The leader is gone as soon as it was promoted.
        8 => {
            then(0, Fault::PowerOff, while_ + 4 * SECOND);
            then(1_400 * MS + short / 2, Fault::PowerOff, while_);
            then(2 * SECOND, draw(random), while_);
        }
        _ => {
            then(0, Fault::Order(Order::Pause), while_);
            then(short, draw(random), while_);
        }
    }
    at
}

pub(crate) fn draw(random: &mut Random) -> Fault {
    // The last one alone is of interest in failsafe mode only.
    let plane = |random: &mut Random| PLANES[random.below(PLANES.len() - 1)];
    match random.below(40) {
        0..=3 => Fault::Isolate { plane: None, inward: true, outward: true },
        4..=5 => {
            let inward = random.percent(50);
            Fault::Isolate { plane: None, inward, outward: !inward }
        }
        6..=8 => Fault::Isolate { plane: Some(plane(random)), inward: true, outward: true },
        9 => {
            let inward = random.percent(50);
            Fault::Isolate { plane: Some(plane(random)), inward, outward: !inward }
        }
        10..=11 => Fault::CutLink { plane: plane(random) },
        12 => Fault::SlowNetwork { by: random.between(5 * MS, 300 * MS) },
        13 => Fault::LoseMessages { percent: random.between(1, 40) },
        14..=16 => Fault::KillWorker,
        17..=18 => Fault::KillGuard,
        19..=20 => Fault::KillPostmaster,
        21..=23 => Fault::PowerOff,
        24 => Fault::PowerOffLeaders,
        25..=26 => Fault::FreezeWorker,
        27..=28 => Fault::FreezeGuard,
        29 => Fault::FreezeBoth { apart: random.between(0, 6 * SECOND) },
        30 => Fault::FreezeHost { clock_too: random.percent(50) },
        31 => Fault::FreezePostgres,
        32 => Fault::SlowStoreDisk { times: random.between(10, 400) },
        33 => Fault::FullStoreDisk,
        34 => Fault::SlowPostgresDisk { times: random.between(5, 200) },
        35 => Fault::FullPostgresDisk,
        36 => Fault::WallClockJumps { seconds: random.between(0, 200_000) as i64 - 100_000 },
        _ => Fault::Order(Order::drawn(random)),
    }
}

impl World {
    pub(crate) fn plan_faults(&mut self) {
        for at in 0..self.faults.planned.len() {
            let when = self.faults.planned[at].at;
            self.plan(when, Happening::Fault(at));
        }
        let ends_at = self.faults.ends_at;
        self.plan(ends_at, Happening::Heal);
    }

    fn leader_host(&self) -> Option<usize> {
        self.oracle.truth.leader_name().and_then(|name| self.host_named(name))
    }

    fn store_leader_host(&self) -> Option<usize> {
        (0..self.hosts.len()).find(|host| {
            let node = self.hosts[*host].worker.as_ref().and_then(|worker| worker.node.as_ref());
            node.is_some_and(|node| node.store.status().takes_writes)
        })
    }

    pub(crate) fn fault_happens(&mut self, at: usize) {
        let Planned { fault, lasts, aim, .. } = self.faults.planned[at].clone();
        let any = self.random.below(self.hosts.len());
        let host = match aim {
            Aim::Anybody => None,
            Aim::Leader => self.leader_host(),
            Aim::RedisLeader => self.redis_leader_host(),
        };
        let host = host.unwrap_or(any);
        note!(self, "FAULT {fault:?} at m{} for {} ms", host + 1, lasts / MS);
        match fault {
            Fault::Isolate { plane, inward, outward } => {
                let planes: Vec<Plane> = plane.map_or(PLANES.to_vec(), |plane| vec![plane]);
                let others = (0..self.hosts.len()).filter(|other| *other != host);
                let mut links = Vec::new();
                for other in others {
                    for plane in &planes {
                        links.extend(inward.then_some((*plane, other, host)));
                        links.extend(outward.then_some((*plane, host, other)));
                    }
                }
                self.cut_links(links, lasts);
            }
            Fault::CutLink { plane } => {
                let other = (host + 1 + self.random.below(self.hosts.len() - 1)) % self.hosts.len();
                self.cut_links(vec![(plane, host, other)], lasts);
            }
            Fault::StoreAway => {
                let hosts = 0..self.hosts.len();
                let pairs = hosts.clone().flat_map(|from| hosts.clone().map(move |to| (from, to)));
                let pairs = pairs.filter(|(from, to)| from != to);
                let links = pairs.flat_map(|(from, to)| [(Plane::Peers, from, to), (Plane::Store, from, to)]);
                self.cut_links(links.collect(), lasts);
            }
            Fault::CutFromStore => {
                let others = (0..self.hosts.len()).filter(|other| *other != host);
                let links = others.flat_map(|other| {
                    [Plane::Peers, Plane::Store].map(|plane| [(plane, host, other), (plane, other, host)])
                });
                self.cut_links(links.flatten().collect(), lasts);
            }
            Fault::SlowNetwork { by } => {
                self.network.slow = by;
                self.fault_ends(lasts, End::Network);
            }
            Fault::LoseMessages { percent } => {
                self.network.loss_percent = percent;
                self.fault_ends(lasts, End::Network);
            }
            Fault::KillWorker => self.kill_worker(host),
            Fault::KillGuard => self.kill_guard(host),
            Fault::KillPostmaster => self.postmaster_dies(host, "killed", false),
            Fault::PowerOff => self.switch_off(host, lasts),
            Fault::PowerOffLeaders => {
                let other = self.store_leader_host().unwrap_or(any);
                self.switch_off(host, lasts);
                self.switch_off(other, lasts);
            }
            Fault::FreezeWorker => self.stop_worker(host, lasts),
            Fault::FreezeGuard => self.stop_guard(host, lasts),
            Fault::FreezeBoth { apart } => {
                self.stop_guard(host, lasts + apart);
                let end = End::FreezeWorkerNow { host, lasts };
                self.fault_ends(apart, end);
            }
            Fault::FreezeHost { clock_too } => {
                if clock_too {
                    let now = self.now;
                    self.hosts[host].clock.stop(now);
                    self.fault_ends(lasts, End::ClockGoesOn { host });
                }
                self.freeze_postgres(host);
                self.fault_ends(lasts, End::ThawPostgres { host });
                if self.setup.redis {
                    self.freeze_redis(host);
                    self.fault_ends(lasts, End::ThawRedis { host });
                }
                self.stop_worker(host, lasts);
                self.stop_guard(host, lasts);
            }
            Fault::FreezePostgres => {
                self.freeze_postgres(host);
                self.fault_ends(lasts, End::ThawPostgres { host });
            }
            Fault::KillRedis => self.redis_ends(host, "killed"),
            Fault::FreezeRedis => {
                self.freeze_redis(host);
                self.fault_ends(lasts, End::ThawRedis { host });
            }
            Fault::LoseRedisData => self.redis_loses_data(host),
            Fault::RedisOrder(order) => self.give_redis_order(order),
            Fault::RefuseRole => self.role_refuses(host),
            Fault::SlowStoreDisk { times } => {
                self.hosts[host].disk_slow = times;
                self.fault_ends(lasts, End::StoreDisk { host });
            }
            Fault::FullStoreDisk => {
                self.hosts[host].disk.set_full(true);
                self.fault_ends(lasts, End::StoreDisk { host });
            }
            Fault::SlowPostgresDisk { times } => {
                self.hosts[host].postgres.slow_disk = times;
                self.fault_ends(lasts, End::PostgresDisk { host });
            }
            Fault::FullPostgresDisk => {
                self.hosts[host].postgres.disk_full = true;
                self.fault_ends(lasts, End::PostgresDisk { host });
            }
            Fault::WallClockJumps { seconds } => self.hosts[host].clock.wall_offset_seconds += seconds,
            Fault::Order(order) => {
                self.give_order(order);
                if order == Order::Pause {
                    self.fault_ends(lasts.min(PAUSE_MAX), End::Resume);
                }
            }
        }
    }

    fn cut_links(&mut self, links: Vec<(Plane, usize, usize)>, lasts: Time) {
        for (plane, from, to) in &links {
            self.network.cut(*plane, *from, *to);
        }
        self.fault_ends(lasts, End::Mend(links));
    }

    fn switch_off(&mut self, host: usize, lasts: Time) {
        if self.hosts[host].up {
            self.power_off(host);
            self.fault_ends(lasts, End::PowerOn { host });
        }
    }

    fn stop_worker(&mut self, host: usize, lasts: Time) {
        if let Some(run) = self.hosts[host].worker.as_ref().map(|worker| worker.run) {
            self.freeze_worker(host);
            self.fault_ends(lasts, End::ThawWorker { host, run });
        }
    }

    fn stop_guard(&mut self, host: usize, lasts: Time) {
        if let Some(run) = self.hosts[host].guard.as_ref().map(|guard| guard.run) {
            self.freeze_guard(host);
            self.fault_ends(lasts, End::ThawGuard { host, run });
        }
    }

    fn fault_ends(&mut self, after: Time, end: End) {
        self.faults.last += 1;
        let number = self.faults.last;
        self.faults.active.push((number, end));
        self.plan(after, Happening::Undo(number));
    }

    pub(crate) fn undo(&mut self, number: u64) {
        let Some(at) = self.faults.active.iter().position(|(other, _)| *other == number) else { return };
        let (_, end) = self.faults.active.remove(at);
        note!(self, "the fault is over: {end:?}");
        match end {
            End::Mend(links) => {
                for (plane, from, to) in links {
                    self.network.mend(plane, from, to);
                }
            }
            End::Network => {
                self.network.slow = 0;
                self.network.loss_percent = 0;
            }
            End::ThawWorker { host, run } => self.thaw_worker(host, run),
            End::ThawGuard { host, run } => self.thaw_guard(host, run),
            End::ThawPostgres { host } => self.thaw_postgres(host),
            End::ThawRedis { host } => self.thaw_redis(host),
            End::ClockGoesOn { host } => {
                let now = self.now;
                self.hosts[host].clock.go_on(now);
            }
            End::FreezeWorkerNow { host, lasts } => {
                if self.oracle.healed_at.is_none() {
                    self.stop_worker(host, lasts);
                }
            }
            End::PowerOn { host } => self.power_on(host),
            End::StoreDisk { host } => {
                self.hosts[host].disk_slow = 1;
                self.hosts[host].disk.set_full(false);
            }
            End::PostgresDisk { host } => {
                self.hosts[host].postgres.slow_disk = 1;
                self.hosts[host].postgres.disk_full = false;
            }
            End::Resume => self.give_order(Order::Resume),
        }
    }

    pub(crate) fn heal(&mut self) {
        note!(self, "everything is healed");
        self.oracle.healed_at = Some(self.now);
        for host in &mut self.hosts {
            host.redis.may_overwrite = true;
        }
        while let Some((number, _)) = self.faults.active.first() {
            let number = *number;
            self.undo(number);
        }
    }
}
