//! A virtual address that the provider leads to its holder, in the hands of the agent.
//!
//! Deliberately outside of the guard: there is nothing on this host to remove. `ha::vip` decides as for one on a card. The
//! invariant: it is asked for only under the role and the lease, up to the lease's fence.

use crate::failover_ip::Asked;
use config::VipConfig;
use ha::guard::Presence;
use ha::lease::Lease;
use ha::vip::{Standing, VipReason, VipRole, VipView, Wish, decide};
use serde_json::{Value, json};
use types::Millis;

pub struct RoutedVip {
    address: String,
    role: VipRole,
    asked: Asked,
    standing: Standing,
    lease: Option<Lease>,
    reason: VipReason,
}

impl RoutedVip {
    /// Those of the configuration. Reads the credentials.
    pub fn start_all(vips: &[VipConfig]) -> Result<Vec<Self>, String> {
        let routed = vips.iter().filter_map(|vip| Some((vip, vip.hetzner.as_ref()?)));
        routed
            .map(|(vip, hetzner)| {
                let asked = Asked::start(vip.ip, hetzner).map_err(|why| format!("vip {}: {why}", vip.ip))?;
                let address = format!("{}/{}", vip.ip, vip.prefix);
                let (standing, reason) = (Standing::Unknown, VipReason::RoleUnknown);
                Ok(Self { address, role: vip.role, asked, standing, lease: None, reason })
            })
            .collect()
    }

    /// After every decision about a role.
    pub fn decided(&mut self, now: Millis, role: VipRole, standing: Standing) {
        if self.role == role {
            self.standing = standing;
            self.ask(now);
        }
    }

    /// After every renewal of the lease, and when it is lost.
    pub fn lease(&mut self, now: Millis, lease: Option<Lease>) {
        self.lease = lease;
        self.ask(now);
    }

    fn ask(&mut self, now: Millis) {
        let route = self.asked.route();
        // One that leads elsewhere soon is nobody's problem here.
        let presence =
            if route.here && self.standing == Standing::Holds { Presence::Present } else { Presence::Absent };
        let problem = route.problem.as_deref().filter(|_| self.standing == Standing::Holds);
        let view = VipView { now, standing: self.standing, lease: self.lease, presence, problem };
        let (wish, reason) = decide(&view);
        match wish {
            Wish::Hold { until } => self.asked.ask(Some(until)),
            Wish::Release => self.asked.ask(None),
            // What was promised stands until its fence, unless the role is another's.
            Wish::Leave if self.standing == Standing::Lost => self.asked.ask(None),
            Wish::Leave => {}
        }
        if self.reason != reason {
            tracing::info!(code = reason.code(), "virtual IP {}: {reason}", self.address);
            self.reason = reason;
        }
    }

    /// As that of an address on a card; it is on none.
    pub fn explanation(&self) -> Value {
        json!({
            "address": self.address,
            "interface": null,
            "role": self.role.as_str(),
            "held": self.reason == VipReason::Held,
            "code": self.reason.code(),
            "because": self.reason.to_string(),
            "conflict": null,
        })
    }
}
