//! Keeps the member's lease, apart from everything that may be slow.
//!
//! The rules (when to renew, from when a renewal counts, where the fence is) are `ha::lease`'s. The invariant: the guard
//! is armed only up to the fence of a renewal that the store has confirmed, counted from when it was sent.

use super::guard_link::GuardLink;
use dcs::Dcs;
use ha::guard::{ServerKind, ToGuard};
use ha::lease::{Lease, Withhold, may_renew, renew_interval};
use ha::postgres::Arming;
use platform::boot_clock;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
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

/// What the decision loop tells the keeper, and what it reads from it.
pub struct KeeperState {
    lease: watch::Sender<Option<Lease>>,
    arming: watch::Sender<Arming>,
    ttl: watch::Sender<Millis>,
    decided_at: AtomicU64,
    wake: Notify,
}

impl KeeperState {
    pub fn new(ttl: Millis) -> Arc<Self> {
        Arc::new(Self {
            lease: watch::Sender::new(None),
            arming: watch::Sender::new(Arming::Leave),
            ttl: watch::Sender::new(ttl),
            decided_at: AtomicU64::new(boot_clock().0),
            wake: Notify::new(),
        })
    }

    pub fn lease(&self) -> watch::Receiver<Option<Lease>> {
        self.lease.subscribe()
    }

    /// Called after every decision.
    pub fn decided(&self, arming: Arming) {
        self.decided_at.store(boot_clock().0, Ordering::Release);
        let changed = self.arming.send_if_modified(|old| std::mem::replace(old, arming) != arming);
        if changed {
            self.wake.notify_one();
        }
    }

    /// The time to live that the lease should have; a lease with another one is replaced. Not to be changed while this
    /// member leads: the leader key is bound to the lease.
    pub fn set_ttl(&self, ttl: Millis) {
        self.ttl.send_if_modified(|old| std::mem::replace(old, ttl) != ttl);
    }
}

pub struct Keeper {
    pub state: Arc<KeeperState>,
    pub dcs: Dcs,
    pub guard: GuardLink,
    pub memo: Option<Memo>,
    /// The time to live that the present lease was asked for (a real etcd grants whole seconds, at least two).
    pub asked: Millis,
    /// Why the last renewal was not sent.
    pub withheld: Option<Withhold>,
}

impl Keeper {
    pub async fn run(mut self) {
        if let Some(memo) = self.memo.take() {
            self.take_up(&memo).await;
        }
        loop {
            self.guard.heartbeat();
            let lease = *self.state.lease.borrow();
            match lease {
                None => self.grant().await,
                Some(_) if self.asked != *self.state.ttl.borrow() => {
                    self.grant().await;
                }
                Some(lease) => {
                    self.arm(lease);
                    self.wait(renew_interval(lease.ttl)).await;
                    self.renew(lease).await;
                }
            }
        }
    }

    /// Arming changes are passed on at once, not with the next renewal, and the guard is asked more often than a long
    /// lease is renewed.
    async fn wait(&self, interval: Millis) {
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

    fn arm(&self, lease: Lease) {
        let armed = self.guard.state().armed;
        match *self.state.arming.borrow() {
            Arming::Arm if armed.is_none_or(|until| until < lease.fence()) => {
                self.guard.send(&ToGuard::Arm { server: ServerKind::Postgres, until: lease.fence() });
            }
            Arming::Disarm if armed.is_some() => {
                self.guard.send(&ToGuard::Disarm { server: ServerKind::Postgres });
            }
            Arming::Arm | Arming::Disarm | Arming::Leave => {}
        }
    }

    async fn take_up(&mut self, memo: &Memo) {
        let begun = boot_clock();
        // The store may be electing a leader, because this worker's own part of it was just killed. Longer than the lease
        // can live there is nothing to take up.
        while boot_clock().since(begun) <= memo.ttl {
            let sent = boot_clock();
            match self.dcs.lease_keep_alive(memo.lease).await {
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
        match self.dcs.lease_grant(ttl, None).await {
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
        let decided_at = Millis(self.state.decided_at.load(Ordering::Acquire));
        let allowed = may_renew(now, self.guard.answered_at(), decided_at);
        if let Err(why) = allowed {
            if self.withheld.replace(why).is_none() {
                tracing::warn!("{}", ha::reason::Reason::RenewalWithheld(why));
            }
            return;
        }
        self.withheld = None;
        match self.dcs.lease_keep_alive(lease.id).await {
            Ok(Some(_)) => {
                self.state.lease.send_replace(Some(Lease { renewed_at: now, ..lease }));
            }
            Ok(None) => {
                tracing::warn!(lease = %lease.id, "the lease is gone; asking for a new one");
                self.state.lease.send_replace(None);
            }
            Err(error) => tracing::debug!(%error, "the lease was not renewed"),
        }
    }
}
