//! A model of a member's proxy and connection poolers around the real decisions, `ha::hold::decide`.
//!
//! Every third seed has them. They hold their clients at once, after a moment, or never, by their place in the cluster, so
//! that a leader meets all of it; no random number is drawn, so that the other seeds stay what they were.

use crate::world::World;
use ha::hold::{self, HoldMemory, HoldView, Wanted};
use types::{Millis, Revision};

const SEEDS_WITH: u64 = 3;
const PAUSE_MAX: Millis = Millis(400);
const HOLD_MAX: Millis = Millis(3000);
/// The last is longer than anybody waits.
const TAKES: [Millis; 3] = [Millis(0), Millis(60), Millis(60_000)];

#[derive(Default)]
pub struct Hold {
    memory: HoldMemory,
    /// Told to hold, for this request and since then.
    told: Option<(Revision, Millis)>,
    pub view: HoldView,
}

impl World {
    /// Called before every decision, as the real one is by every change of the store. Answers when to be called again.
    pub(super) fn hold_now(&mut self, host: usize) -> Option<Millis> {
        if !self.setup.seed.is_multiple_of(SEEDS_WITH) {
            return None;
        }
        let now = self.hosts[host].clock.read(self.now);
        let worker = self.hosts[host].worker.as_mut()?;
        let cluster = worker.cluster.as_ref()?;
        let decision = hold::decide(&worker.hold.memory, cluster, HOLD_MAX, now);
        worker.hold.memory = decision.next;
        let told = match decision.wanted {
            Wanted::Hold { request } => {
                Some(worker.hold.told.filter(|(before, _)| *before == request).unwrap_or((request, now)))
            }
            Wanted::Flow { .. } => None,
        };
        worker.hold.told = told;
        let done_at = told.map(|(request, since)| (request, since + TAKES[host % TAKES.len()]));
        worker.hold.view = HoldView {
            pause_max: Some(PAUSE_MAX),
            holds: told.is_some(),
            paused_for: done_at.filter(|(_, at)| *at <= now).map(|(request, _)| request),
            reasons: Vec::new(),
        };
        done_at.map(|(_, at)| at).into_iter().chain(decision.wake_at).filter(|at| *at > now).min()
    }
}
