//! Tells the guard once a second that this worker is well: its runtime runs, and its decision loops have completed lately.
//!
//! Deliberately apart from the keeper, which waits for the store: a store that does not answer is no reason to end the
//! agent. The invariant: nothing is said while a decision loop stands still.

use super::guard_link::GuardLink;
use super::keeper::KeeperState;
use ha::guard::ToGuard;
use ha::lease::DECISION_SILENCE_MAX;
use platform::boot_clock;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use types::Millis;

const INTERVAL: Duration = Duration::from_secs(1);

/// Before the decision loops are there, and on a member without any, a runtime that runs is all there is to say.
#[derive(Clone, Default)]
pub struct Pulse(Arc<OnceLock<Arc<KeeperState>>>);

impl Pulse {
    pub fn start(&self, guard: GuardLink) {
        let loops = self.0.clone();
        tokio::spawn(async move {
            loop {
                if is_well(boot_clock(), loops.get().map(|keeper| keeper.decided_at())) {
                    guard.send(&ToGuard::Well);
                }
                tokio::time::sleep(INTERVAL).await;
            }
        });
    }

    /// From here on the decision loops must go on, too.
    pub fn bind(&self, keeper: &Arc<KeeperState>) {
        // There is one keeper in the life of a worker.
        let _ = self.0.set(keeper.clone());
    }
}

fn is_well(now: Millis, decided_at: Option<Millis>) -> bool {
    decided_at.is_none_or(|at| now.since(at) <= DECISION_SILENCE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_well_while_its_decisions_are_as_young_as_the_lease_demands() {
        let now = Millis(60_000);
        assert!(is_well(now, None));
        assert!(is_well(now, Some(now - DECISION_SILENCE_MAX)));
        assert!(!is_well(now, Some(now - DECISION_SILENCE_MAX - Millis(1))));
    }
}
