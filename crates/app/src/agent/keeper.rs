//! Keeps the member's lease, apart from everything that may be slow.
//!
//! The rules (when to renew, from when a renewal counts, where the fence is) are `ha::lease`'s. PostgreSQL and Redis share
//! the lease: each has a fence of its own in the guard, and both decision loops must go on for it to be renewed. The
//! invariant: the guard is armed only up to the fence of a renewal that the store has confirmed, counted from when it was
//! sent, and only of the lease under which it was decided: another one says nothing of a leadership.

use super::failsafe::Failsafe;
use super::guard_link::GuardLink;
use super::vip::Vips;
use dcs::Dcs;
use ha::guard::{PerServer, ServerKind, ToGuard};
use ha::lease::{Lease, LedUnder, Withhold, may_renew, renew_interval, until_renewal};
use ha::postgres::Arming;
use platform::boot_clock;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, watch};
use types::{LeaseId, Millis};

/// After a store that does not answer.
const GRANT_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How often the guard is asked whether it lives: twice in the time after which it counts as silent.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(ha::lease::GUARD_SILENCE_MAX.0 / 2);

/// What the next worker must know to take up this one's lease.
#[derive(Debug, Serialize, Deserialize)]
pub struct Memo {
    pub lease: LeaseId,
    pub ttl: Millis,
}

/// What the decision loops tell the keeper, and what they read from it.
pub struct KeeperState {
    lease: watch::Sender<Option<Lease>>,
    ttl: watch::Sender<Millis>,
    /// `None`: this member has no such server, or its loop has ended in order.
    roles: Mutex<PerServer<Option<RoleState>>>,
    wake: Notify,
}

/// One decision loop as the keeper sees it.
#[derive(Clone, Copy)]
struct RoleState {
    arming: Arming,
    /// The lease under which that was decided.
    under: Option<LeaseId>,
    decided_at: Millis,
    /// Not while it leads: its leader key is bound to the lease.
    ttl: Option<Millis>,
}

impl KeeperState {
    /// `roles`: which decision loops there are.
    pub fn new(ttl: Millis, roles: PerServer<bool>) -> Arc<Self> {
        let begun = |there: bool| {
            there.then(|| RoleState { arming: Arming::Leave, under: None, decided_at: boot_clock(), ttl: None })
        };
        let roles = PerServer { postgres: begun(roles.postgres), redis: begun(roles.redis) };
        Arc::new(Self {
            lease: watch::Sender::new(None),
            ttl: watch::Sender::new(ttl),
            roles: Mutex::new(roles),
            wake: Notify::new(),
        })
    }

    pub fn lease(&self) -> watch::Receiver<Option<Lease>> {
        self.lease.subscribe()
    }

    /// Called after every decision of a role; `lease`: what it was decided under.
    pub fn decided(&self, server: ServerKind, arming: Arming, lease: Option<Lease>) {
        let under = lease.map(|lease| lease.id);
        let changed = match &mut self.roles()[server] {
            Some(role) => {
                role.decided_at = boot_clock();
                let before = std::mem::replace(&mut role.arming, arming);
                std::mem::replace(&mut role.under, under) != under || before != arming
            }
            None => false,
        };
        if changed {
            self.wake.notify_one();
        }
    }

    /// The role has ended in order, with its server: nobody waits for its decisions.
    pub fn retire(&self, server: ServerKind) {
        self.roles()[server] = None;
    }

    /// The time to live that the lease should have, from a role that does not lead; `None` from one that does. A lease
    /// with another one is replaced, when no role leads.
    pub fn set_ttl(&self, server: ServerKind, ttl: Option<Millis>) {
        let agreed = {
            let mut roles = self.roles();
            if let Some(role) = &mut roles[server] {
                role.ttl = ttl;
            }
            roles.iter().filter_map(|(_, role)| role.as_ref()).all(|role| role.ttl.is_some())
        };
        if let Some(ttl) = ttl.filter(|_| agreed) {
            self.ttl.send_if_modified(|old| std::mem::replace(old, ttl) != ttl);
        }
    }

    /// When the loop that decided least lately did so.
    pub fn decided_at(&self) -> Millis {
        let roles = self.roles();
        roles.iter().filter_map(|(_, role)| Some(role.as_ref()?.decided_at)).min().unwrap_or_else(boot_clock)
    }

    /// What the guard is to be told of this server, as long as this is the lease.
    fn arming(&self, server: ServerKind, lease: LeaseId) -> Arming {
        match self.roles()[server] {
            Some(RoleState { arming: Arming::Arm, under, .. }) if under != Some(lease) => Arming::Leave,
            Some(role) => role.arming,
            None => Arming::Leave,
        }
    }

    /// The lease was asked for with another time to live than it should have, and no role leads under it.
    fn is_to_be_replaced(&self, asked: Millis) -> bool {
        let wanted = *self.ttl.borrow();
        let agrees = |role: &RoleState| role.ttl == Some(wanted);
        asked != wanted && self.roles().iter().filter_map(|(_, role)| role.as_ref()).all(agrees)
    }

    fn roles(&self) -> MutexGuard<'_, PerServer<Option<RoleState>>> {
        self.roles.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }
}

pub struct Keeper {
    state: Arc<KeeperState>,
    dcs: Dcs,
    guard: GuardLink,
    vips: Vips,
    failsafe: Failsafe,
    memo: Option<Memo>,
    /// The time to live that the present lease was asked for (a real etcd grants whole seconds, at least two).
    asked: Millis,
    /// The lease that the guard was armed under last.
    led_under: LedUnder,
    /// Why the last renewal was not sent.
    withheld: Option<Withhold>,
}

impl Keeper {
    /// `memo`: what the previous worker left.
    pub fn new(
        state: Arc<KeeperState>,
        dcs: Dcs,
        guard: GuardLink,
        vips: Vips,
        failsafe: Failsafe,
        memo: Option<Memo>,
    ) -> Self {
        let asked = *state.ttl.borrow();
        Self { state, dcs, guard, vips, failsafe, memo, asked, led_under: LedUnder::default(), withheld: None }
    }

    pub async fn run(mut self) {
        if let Some(memo) = self.memo.take() {
            self.take_up(&memo).await;
        }
        loop {
            self.guard.heartbeat();
            let lease = *self.state.lease.borrow();
            match lease {
                None => self.grant().await,
                // A role may have begun to lead since somebody agreed to another one.
                Some(_) if self.state.is_to_be_replaced(self.asked) => self.grant().await,
                Some(lease) => {
                    self.arm(lease);
                    self.wait(until_renewal(lease.ttl, wall_clock())).await;
                    self.renew(lease).await;
                }
            }
        }
    }

    /// Arming changes are passed on at once, not with the next renewal, and the guard is asked more often than a long
    /// lease is renewed.
    async fn wait(&mut self, interval: Millis) {
        let until = tokio::time::Instant::now() + interval.into();
        loop {
            let beat = (tokio::time::Instant::now() + HEARTBEAT_INTERVAL).min(until);
            if tokio::time::timeout_at(beat, self.state.wake.notified()).await.is_ok() {
                let lease = *self.state.lease.borrow();
                if let Some(lease) = lease {
                    self.arm(lease);
                }
            } else if beat == until {
                return;
            } else {
                self.guard.heartbeat();
            }
        }
    }

    fn arm(&mut self, lease: Lease) {
        self.vips.lease(Some(lease));
        for server in ServerKind::ALL {
            let armed = self.guard.state_of(server).armed;
            match self.state.arming(server, lease.id) {
                Arming::Arm if armed.is_none_or(|until| until < lease.fence()) => {
                    self.led_under.armed(&lease);
                    self.guard.send(&ToGuard::Arm { server, until: lease.fence() });
                }
                Arming::Disarm if armed.is_some() => {
                    let is_armed = |other: &ServerKind| *other != server && self.guard.state_of(*other).armed.is_some();
                    self.led_under.disarmed(&lease, boot_clock(), ServerKind::ALL.iter().any(is_armed));
                    self.guard.send(&ToGuard::Disarm { server });
                }
                Arming::Arm | Arming::Disarm | Arming::Leave => {}
            }
        }
    }

    async fn take_up(&mut self, memo: &Memo) {
        let begun = boot_clock();
        // The store may be electing a leader, because this worker's own part of it was just killed. Longer than the lease
        // can live there is nothing to take up.
        while boot_clock().since(begun) <= memo.ttl {
            let sent = boot_clock();
            match self.dcs.lease_keep_alive(memo.lease, None).await {
                Ok(Some(ttl)) => {
                    tracing::info!(lease = %memo.lease, "the lease of the previous worker is taken up");
                    let ttl = ttl.min(memo.ttl);
                    self.asked = *self.state.ttl.borrow();
                    self.state.lease.send_replace(Some(Lease { id: memo.lease, ttl, renewed_at: sent }));
                    return;
                }
                Ok(None) => return,
                Err(_) => tokio::time::sleep(GRANT_RETRY_PAUSE).await,
            }
        }
    }

    async fn grant(&mut self) {
        let ttl = *self.state.ttl.borrow();
        let sent = boot_clock();
        match self.dcs.lease_grant(ttl).await {
            Ok(granted) => {
                let lease = Lease { id: granted.id, ttl: granted.ttl, renewed_at: sent };
                if let Ok(text) = serde_json::to_string(&Memo { lease: lease.id, ttl: lease.ttl }) {
                    self.guard.send(&ToGuard::Memo { text });
                }
                self.asked = ttl;
                self.state.lease.send_replace(Some(lease));
            }
            Err(error) => {
                tracing::debug!(%error, "no lease from the store");
                tokio::time::sleep(GRANT_RETRY_PAUSE).await;
            }
        }
    }

    async fn renew(&mut self, lease: Lease) {
        let now = boot_clock();
        let led_under = self.led_under.of(&lease);
        let allowed = may_renew(now, led_under, self.guard.answered_at(), self.state.decided_at());
        if let Err(why) = allowed {
            if why == Withhold::Fenced && !lease.is_valid(now) {
                tracing::warn!(lease = %lease.id, "the lease under which this member led is left to its end; asking for a new one");
                self.withheld = None;
                return self.lose();
            }
            if self.withheld.replace(why).is_none() {
                tracing::warn!("{}", ha::reason::Reason::RenewalWithheld(why));
            }
            return;
        }
        self.withheld = None;
        // Beyond the fence of a leadership nothing may renew it.
        let to_the_fence = led_under.map(|lease| lease.fence().since(now));
        // Where others can be asked, the store has less time.
        let first_try = self.failsafe.whom(&lease).map(|_| renew_interval(lease.ttl));
        let within = to_the_fence.into_iter().chain(first_try).min().map(Duration::from);
        match self.dcs.lease_keep_alive(lease.id, within).await {
            Ok(Some(_)) => {
                let lease = Lease { renewed_at: now, ..lease };
                self.failsafe.confirmed(&lease);
                self.state.lease.send_replace(Some(lease));
            }
            Ok(None) => {
                tracing::warn!(lease = %lease.id, "the lease is gone; asking for a new one");
                self.lose();
            }
            Err(error) => {
                tracing::debug!(%error, "the lease was not renewed");
                self.ask_the_others(lease).await;
            }
        }
    }

    /// Failsafe mode: the consent of everybody who could take over counts as a renewal.
    async fn ask_the_others(&mut self, lease: Lease) {
        let Some(members) = self.failsafe.whom(&lease) else { return };
        let asked_at = boot_clock();
        if lease.is_fenced(asked_at)
            || may_renew(asked_at, Some(&lease), self.guard.answered_at(), self.state.decided_at()).is_err()
        {
            return;
        }
        let within = lease.fence().since(asked_at).min(renew_interval(lease.ttl));
        let failsafe = self.failsafe.clone();
        let mut asking = std::pin::pin!(failsafe.ask(members, lease.ttl, within.into()));
        let answers = loop {
            self.guard.heartbeat();
            if let Ok(answers) = tokio::time::timeout(HEARTBEAT_INTERVAL, &mut asking).await {
                break answers;
            }
        };
        let before = self.failsafe.goes_on_by_consent();
        if let Some(extended) = self.failsafe.answered(&lease, asked_at, &answers) {
            if !before {
                let by: Vec<&str> = answers.accepted.iter().map(types::MemberName::as_str).collect();
                tracing::warn!(by = by.join(", "), "failsafe mode: goes on without the store, by consent");
            }
            self.state.lease.send_replace(Some(extended));
        } else {
            tracing::warn!(refused = ?answers.refused, "failsafe mode: not everybody consents");
        }
    }

    fn lose(&mut self) {
        self.vips.lease(None);
        self.state.lease.send_replace(None);
    }
}

/// Since 1970; a clock that stands before says nothing.
fn wall_clock() -> Millis {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since_1970.as_millis()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PG: ServerKind = ServerKind::Postgres;
    const REDIS: ServerKind = ServerKind::Redis;
    const LEASE: Option<Lease> = Some(Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at: Millis(0) });

    #[test]
    fn the_lease_waits_for_the_slower_of_both_decision_loops() {
        let state = KeeperState::new(Millis(1500), PerServer { postgres: true, redis: true });
        let begun = state.decided_at();
        state.decided(PG, Arming::Arm, LEASE);
        assert_eq!(state.decided_at(), begun, "Redis has not decided");
        state.retire(REDIS);
        assert!(state.decided_at() >= begun);
        assert_eq!((state.arming(PG, LeaseId(1)), state.arming(REDIS, LeaseId(1))), (Arming::Arm, Arming::Leave));
        let alone = KeeperState::new(Millis(1500), PerServer { postgres: false, redis: true });
        alone.decided(PG, Arming::Arm, LEASE);
        assert_eq!(alone.arming(PG, LeaseId(1)), Arming::Leave, "there is no PostgreSQL here");
    }

    /// The old lease's leader key is another member's to take as soon as that lease is over, however long the new one lives.
    #[test]
    fn a_new_lease_does_not_arm_what_was_decided_under_the_old_one() {
        let state = KeeperState::new(Millis(1500), PerServer { postgres: true, redis: true });
        state.decided(REDIS, Arming::Arm, LEASE);
        state.decided(PG, Arming::Disarm, LEASE);
        assert_eq!((state.arming(PG, LeaseId(2)), state.arming(REDIS, LeaseId(2))), (Arming::Disarm, Arming::Leave));
        state.decided(REDIS, Arming::Arm, LEASE.map(|lease| Lease { id: LeaseId(2), ..lease }));
        assert_eq!(state.arming(REDIS, LeaseId(2)), Arming::Arm);
    }

    #[test]
    fn a_lease_under_which_a_role_began_to_lead_is_not_replaced() {
        let state = KeeperState::new(Millis(1500), PerServer { postgres: true, redis: true });
        state.set_ttl(PG, Some(Millis(30_000)));
        state.set_ttl(REDIS, Some(Millis(30_000)));
        assert!(state.is_to_be_replaced(Millis(1500)) && !state.is_to_be_replaced(Millis(30_000)));
        state.set_ttl(REDIS, None);
        assert!(!state.is_to_be_replaced(Millis(1500)), "it leads since then");
        state.retire(REDIS);
        assert!(state.is_to_be_replaced(Millis(1500)));
    }

    #[test]
    fn the_time_to_live_changes_only_while_nobody_leads() {
        let state = KeeperState::new(Millis(1500), PerServer { postgres: true, redis: true });
        let ttl = || *state.ttl.borrow();
        state.set_ttl(PG, Some(Millis(3000)));
        assert_eq!(ttl(), Millis(1500), "Redis has not said whether it leads");
        state.set_ttl(REDIS, None);
        state.set_ttl(PG, Some(Millis(3000)));
        assert_eq!(ttl(), Millis(1500), "Redis leads");
        state.set_ttl(REDIS, Some(Millis(3000)));
        assert_eq!(ttl(), Millis(3000));
    }
}
