//! The virtual addresses of this member, shared by the decision cycles, the keeper of the lease and the line to the guard.
//!
//! Deliberately thin: `ha::vip` decides and remembers, the guard sets and removes. The invariant: what is asked of the guard
//! is sent under the lock under which it was decided, so no older wish follows a newer one.

use super::guard_link::GuardLink;
use super::routed_vip::RoutedVip;
use config::VipConfig;
use ha::guard::{FromGuard, Presence, ServerKind, ToGuard};
use ha::lease::Lease;
use ha::vip::{Standing, Vip, VipLine, VipReason, VipRole, VirtualAddress};
use platform::boot_clock;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Default)]
pub struct Vips {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    line: VipLine,
    /// Those that are not on a card.
    routed: Vec<RoutedVip>,
    guard: Option<GuardLink>,
    /// What the guard said before the configuration was read.
    hello: Option<FromGuard>,
    said: Vec<Vip>,
}

impl Vips {
    /// From here on addresses are asked for.
    pub fn configure(&self, guard: GuardLink, configured: &[(VipConfig, VirtualAddress)], routed: Vec<RoutedVip>) {
        let mut state = self.lock();
        state.routed = routed;
        state.line = VipLine::new(configured.iter().map(|(config, address)| (config.role, address.clone())));
        state.guard = Some(guard);
        if let Some(hello) = state.hello.take() {
            state.line.heard(&hello);
        }
    }

    /// Everything that the guard says, before anybody else hears it.
    pub fn heard(&self, message: &FromGuard) {
        let mut state = self.lock();
        if matches!(message, FromGuard::Hello { .. }) {
            state.hello = Some(message.clone());
        }
        // The log may hang; it is written where decisions are made.
        state.line.heard(message);
    }

    /// After every decision of a role.
    pub fn decided(&self, role: VipRole, standing: Standing) {
        let now = boot_clock();
        self.ask(|line| line.decided(now, role, standing));
        for vip in &mut self.lock().routed {
            vip.decided(now, role, standing);
        }
    }

    /// After every renewal of the lease, and when it is lost.
    pub fn lease(&self, lease: Option<Lease>) {
        let now = boot_clock();
        self.ask(|line| line.lease(now, lease));
        for vip in &mut self.lock().routed {
            vip.lease(now, lease);
        }
    }

    /// The addresses of a role that are here, or may be.
    pub fn here(&self, server: ServerKind) -> Vec<IpAddr> {
        self.lock().line.here(server)
    }

    /// For people and for metrics: every address, whether it is here, and why.
    pub fn explanation(&self) -> Value {
        let one = |vip: &Vip| {
            json!({
                "address": format!("{}/{}", vip.state.address.ip, vip.state.address.prefix),
                "interface": vip.state.address.interface,
                "role": vip.role.as_str(),
                "held": vip.state.presence == Presence::Present,
                "code": vip.reason.code(),
                "because": vip.reason.to_string(),
                "conflict": vip.state.conflict,
            })
        };
        let state = self.lock();
        state.line.vips().iter().map(one).chain(state.routed.iter().map(RoutedVip::explanation)).collect()
    }

    /// For the REST API.
    pub fn explanations(&self) -> console::ExplanationSource {
        let vips = self.clone();
        Arc::new(move || vips.explanation())
    }

    /// Whether one of the addresses is on this machine now, whatever anybody has said.
    pub fn on_a_card(&self) -> bool {
        let state = self.lock();
        if state.line.vips().is_empty() {
            return false;
        }
        let present = platform::Addresses::open().and_then(|mut addresses| addresses.present());
        let is_here = |ip: IpAddr| present.iter().flatten().any(|found| found.address.ip == ip);
        state.line.vips().iter().any(|vip| is_here(vip.state.address.ip))
    }

    fn ask(&self, ask: impl FnOnce(&mut VipLine) -> Vec<ToGuard>) {
        let mut state = self.lock();
        for message in ask(&mut state.line) {
            if !state.guard.as_ref().is_some_and(|guard| guard.send(&message)) {
                state.line.not_sent(&message);
            }
        }
        state.say();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }
}

impl State {
    /// Writes what is new into the log.
    fn say(&mut self) {
        for (at, vip) in self.line.vips().iter().enumerate() {
            let before = self.said.get(at);
            if before.is_none_or(|before| before.reason != vip.reason) {
                log(vip);
            }
            if let Some(other) = &vip.state.conflict
                && before.is_none_or(|before| before.state.conflict != vip.state.conflict)
            {
                tracing::error!(
                    "virtual IP {}: another host answers for it, with the hardware address {other}; only the holder of the role should",
                    vip.state.address
                );
            }
        }
        if self.said != self.line.vips() {
            self.said = self.line.vips().to_vec();
        }
    }
}

fn log(vip: &Vip) {
    let (address, reason) = (&vip.state.address, &vip.reason);
    match reason {
        VipReason::Refused { .. } => tracing::error!(code = reason.code(), "virtual IP {address}: {reason}"),
        VipReason::Held
        | VipReason::Setting
        | VipReason::RoleElsewhere
        | VipReason::Removing
        | VipReason::RoleUnknown
        | VipReason::LeaseOver => tracing::info!(code = reason.code(), "virtual IP {address}: {reason}"),
    }
}
