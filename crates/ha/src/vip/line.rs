//! The worker's end of the line to the guard, as far as addresses go: what was asked, what was said, and what to ask next.
//!
//! The invariant: an address counts as gone only when the guard has said so after the last thing that was asked of it. So
//! nothing is asked of one that was given up until the guard has said that it is gone.

use super::{Standing, VipReason, VipRole, VipView, VirtualAddress, Wish, decide};
use crate::guard::{AddressState, FromGuard, Presence, ServerKind, ToGuard};
use crate::lease::Lease;
use std::collections::BTreeMap;
use std::net::IpAddr;
use types::Millis;

/// One address that this member may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    pub role: VipRole,
    pub reason: VipReason,
    /// As the guard has said, and not less than was asked for since.
    pub state: AddressState,
    /// Until when the guard was last asked to hold it.
    promised: Option<Millis>,
    /// Given up, and the guard has not said that it is gone.
    leaving: bool,
}

/// All of a member.
#[derive(Clone, Debug, Default)]
pub struct VipLine {
    vips: Vec<Vip>,
    standings: BTreeMap<VipRole, Standing>,
    lease: Option<Lease>,
}

impl VipLine {
    pub fn new(addresses: impl IntoIterator<Item = (VipRole, VirtualAddress)>) -> Self {
        let vip = |(role, address)| Vip {
            role,
            reason: VipReason::RoleUnknown,
            state: AddressState { address, presence: Presence::Absent, problem: None, conflict: None },
            promised: None,
            leaving: false,
        };
        Self { vips: addresses.into_iter().map(vip).collect(), ..Self::default() }
    }

    pub fn vips(&self) -> &[Vip] {
        &self.vips
    }

    /// The addresses of this server's roles that are here, or may be.
    pub fn here(&self, server: ServerKind) -> Vec<IpAddr> {
        let mine = self.vips.iter().filter(|vip| vip.role.server() == server);
        mine.filter(|vip| vip.state.presence != Presence::Absent).map(|vip| vip.state.address.ip).collect()
    }

    /// After every decision about a role.
    #[must_use = "what is to be sent to the guard"]
    pub fn decided(&mut self, now: Millis, role: VipRole, standing: Standing) -> Vec<ToGuard> {
        self.standings.insert(role, standing);
        self.ask(now)
    }

    /// After every renewal of the lease, and when it is lost.
    #[must_use = "what is to be sent to the guard"]
    pub fn lease(&mut self, now: Millis, lease: Option<Lease>) -> Vec<ToGuard> {
        self.lease = lease;
        self.ask(now)
    }

    /// Before anybody acts on the message.
    pub fn heard(&mut self, message: &FromGuard) {
        match message {
            FromGuard::Hello { addresses, .. } => {
                for vip in &mut self.vips {
                    let known = addresses.iter().find(|known| known.address == vip.state.address);
                    vip.hear(known.cloned().unwrap_or(AddressState {
                        presence: Presence::Absent,
                        problem: None,
                        conflict: None,
                        ..vip.state.clone()
                    }));
                }
            }
            FromGuard::Address(state) => {
                if let Some(vip) = self.vips.iter_mut().find(|vip| vip.state.address == state.address) {
                    vip.hear(state.clone());
                }
            }
            FromGuard::Started { .. }
            | FromGuard::StartFailed { .. }
            | FromGuard::Exited { .. }
            | FromGuard::Fenced { .. }
            | FromGuard::Armed { .. }
            | FromGuard::Alive { .. }
            | FromGuard::Terminate
            | FromGuard::Reload => {}
        }
    }

    /// The guard took no more messages; this one is asked again.
    pub fn not_sent(&mut self, message: &ToGuard) {
        match message {
            ToGuard::Hold { address, .. } | ToGuard::Release { address } => {
                for vip in self.vips.iter_mut().filter(|vip| vip.state.address == *address) {
                    (vip.promised, vip.leaving) = (None, false);
                }
            }
            ToGuard::Start { .. }
            | ToGuard::Stop { .. }
            | ToGuard::Arm { .. }
            | ToGuard::Disarm { .. }
            | ToGuard::Heartbeat { .. }
            | ToGuard::Well
            | ToGuard::Memo { .. }
            | ToGuard::Finish { .. } => {}
        }
    }

    fn ask(&mut self, now: Millis) -> Vec<ToGuard> {
        let Self { vips, standings, lease } = self;
        vips.iter_mut()
            .filter_map(|vip| vip.ask(now, standings.get(&vip.role).copied().unwrap_or_default(), *lease))
            .collect()
    }
}

impl Vip {
    fn hear(&mut self, state: AddressState) {
        if state.presence == Presence::Absent {
            self.leaving = false;
        }
        self.state = state;
    }

    fn ask(&mut self, now: Millis, standing: Standing, lease: Option<Lease>) -> Option<ToGuard> {
        let problem = self.state.problem.as_deref();
        let (wish, reason) = decide(&VipView { now, standing, lease, presence: self.state.presence, problem });
        self.reason = reason;
        let address = self.state.address.clone();
        match wish {
            Wish::Hold { .. } | Wish::Release if self.leaving => None,
            // Once for every renewal: the fence stands for its time.
            Wish::Hold { until } if self.promised >= Some(until) && self.state.presence != Presence::Absent => None,
            Wish::Hold { until } => {
                self.promised = Some(until);
                if self.state.presence == Presence::Absent {
                    self.state.presence = Presence::Uncertain;
                }
                Some(ToGuard::Hold { address, until })
            }
            Wish::Release => {
                (self.promised, self.leaving) = (None, true);
                self.state.presence = Presence::Uncertain;
                Some(ToGuard::Release { address })
            }
            Wish::Leave => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::PerServer;
    use types::LeaseId;

    const PG: VipRole = VipRole::Primary;

    fn address() -> VirtualAddress {
        VirtualAddress { ip: "10.0.0.42".parse().unwrap(), prefix: 24, interface: "eth0".into() }
    }

    fn renewed(at: u64) -> Lease {
        Lease { id: LeaseId(1), ttl: Millis(1500), renewed_at: Millis(at) }
    }

    fn said(presence: Presence) -> FromGuard {
        FromGuard::Address(AddressState { address: address(), presence, problem: None, conflict: None })
    }

    fn hold(until: u64) -> ToGuard {
        ToGuard::Hold { address: address(), until: Millis(until) }
    }

    fn release() -> ToGuard {
        ToGuard::Release { address: address() }
    }

    /// Holds the role and the address, from 1000 on.
    fn holding() -> VipLine {
        let mut line = VipLine::new([(VipRole::Primary, address())]);
        assert_eq!(line.lease(Millis(1000), Some(renewed(1000))), []);
        assert!(line.here(ServerKind::Postgres).is_empty());
        assert_eq!(line.decided(Millis(1000), PG, Standing::Holds), [hold(2200)]);
        assert_eq!(line.here(ServerKind::Postgres), [address().ip], "asked for is not gone");
        line.heard(&said(Presence::Present));
        line
    }

    #[test]
    fn the_guard_is_asked_once_for_every_renewal() {
        let mut line = holding();
        assert_eq!(line.decided(Millis(1100), PG, Standing::Holds), []);
        assert_eq!(line.lease(Millis(1300), Some(renewed(1300))), [hold(2500)]);
        assert_eq!(line.lease(Millis(2400), Some(renewed(1300))), [], "nothing was renewed");
        assert_eq!(line.decided(Millis(2500), PG, Standing::Holds), [], "the guard lets it fall by itself");
    }

    #[test]
    fn an_address_that_was_given_up_is_gone_when_the_guard_says_so_and_not_asked_for_before() {
        let mut line = holding();
        assert_eq!(line.decided(Millis(1100), PG, Standing::Lost), [release()]);
        assert_eq!(line.decided(Millis(1101), PG, Standing::Lost), [], "it was told");
        assert_eq!(line.here(ServerKind::Postgres), [address().ip]);
        assert_eq!(line.decided(Millis(1102), PG, Standing::Holds), [], "not while it goes");
        line.heard(&said(Presence::Uncertain));
        assert_eq!(line.here(ServerKind::Postgres), [address().ip]);
        line.heard(&said(Presence::Absent));
        assert!(line.here(ServerKind::Postgres).is_empty());
        assert_eq!(line.decided(Millis(1103), PG, Standing::Holds), [hold(2200)]);
    }

    #[test]
    fn a_new_worker_takes_up_what_the_guard_holds() {
        let mut line = VipLine::new([(VipRole::Primary, address())]);
        let FromGuard::Address(state) = said(Presence::Present) else { unreachable!() };
        let hello = FromGuard::Hello { servers: PerServer::default(), memo: String::new(), addresses: vec![state] };
        line.heard(&hello);
        assert_eq!(line.here(ServerKind::Postgres), [address().ip]);
        assert_eq!(line.decided(Millis(1000), PG, Standing::Unknown), []);
        assert_eq!(line.lease(Millis(1000), Some(renewed(900))), []);
        assert_eq!(line.decided(Millis(1001), PG, Standing::Holds), [hold(2100)]);
    }

    #[test]
    fn what_could_not_be_sent_is_asked_again() {
        let mut line = holding();
        for message in line.decided(Millis(1100), PG, Standing::Lost) {
            line.not_sent(&message);
        }
        assert_eq!(line.decided(Millis(1101), PG, Standing::Lost), [release()]);
    }

    #[test]
    fn each_role_has_its_own_addresses() {
        let other = VirtualAddress { ip: "10.0.0.43".parse().unwrap(), ..address() };
        let mut line = VipLine::new([(VipRole::Primary, address()), (VipRole::RedisMaster, other.clone())]);
        let _ = line.lease(Millis(1000), Some(renewed(1000)));
        let asked = line.decided(Millis(1000), VipRole::RedisMaster, Standing::Holds);
        assert_eq!(asked, [ToGuard::Hold { address: other.clone(), until: Millis(2200) }]);
        assert_eq!(line.here(ServerKind::Redis), [other.ip]);
        assert!(line.here(ServerKind::Postgres).is_empty());
    }
}
