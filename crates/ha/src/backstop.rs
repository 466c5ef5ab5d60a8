//! The worker's own fence, for a guard that is frozen: the worker then ends PostgreSQL and Redis by itself.
//!
//! Deliberately knows only what went over the line between worker and guard. The invariant: it holds at least the
//! latest fence that the guard may hold, so it never kills what the guard would let live; and it is due a step after
//! the guard's own time, so a guard that works is always first.

use crate::guard::{FromGuard, PerServer, ServerKind, ToGuard};
use types::Millis;

/// The guard has this long to stop a server and say so. More than its `KILL_AFTER`, less than the smallest margin
/// between fence and end of lease.
pub const BACKSTOP_AFTER: Millis = Millis(130);
/// Processes that have just been killed are looked for again after this time, until the guard says that all are gone.
pub const LOOK_AGAIN_AFTER: Millis = Millis(20);
/// What is not gone after so many looks waits for its disk: it acknowledges nothing and has its signal already.
const LOOKS_MAX: u32 = 50;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backstop {
    servers: PerServer<Watched>,
}

/// What is known of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Watched {
    fence: Option<Millis>,
    /// A start was sent and not answered.
    starting: bool,
    /// The guard said that it runs.
    up: bool,
    looks: u32,
}

impl Backstop {
    /// Before the message is handed on, so that nothing the guard does is ahead of what is known here.
    pub fn sending(&mut self, message: &ToGuard) {
        match message {
            ToGuard::Start { server, fence, .. } => {
                self.servers[*server].starting = true;
                self.servers[*server].hold(*fence);
            }
            ToGuard::Arm { server, until } => self.servers[*server].hold(Some(*until)),
            // Disarming counts only when the guard has confirmed it.
            ToGuard::Disarm { .. }
            | ToGuard::Stop { .. }
            // What a frozen guard holds of addresses the kernel removes (`guard::lifetime_s`).
            | ToGuard::Hold { .. }
            | ToGuard::Release { .. }
            | ToGuard::Heartbeat { .. }
            | ToGuard::Well
            | ToGuard::Memo { .. }
            | ToGuard::Finish { .. } => {}
        }
    }

    pub fn heard(&mut self, message: &FromGuard) {
        match message {
            FromGuard::Hello { servers, .. } => {
                for (server, state) in servers.iter() {
                    self.servers[server] =
                        Watched { fence: state.fence, up: state.pid.is_some(), ..Watched::default() };
                }
            }
            FromGuard::Started { server, .. } => {
                let server = &mut self.servers[*server];
                (server.starting, server.up) = (false, true);
            }
            FromGuard::StartFailed { server, .. } => self.servers[*server].starting = false,
            FromGuard::Exited { server, .. } => self.servers[*server] = Watched::default(),
            FromGuard::Armed { server, until: Some(until) } => self.servers[*server].hold(Some(*until)),
            // Unless it has fallen: then it is the server's end that lifts it.
            FromGuard::Armed { server, until: None } => {
                let server = &mut self.servers[*server];
                server.fence = server.fence.filter(|_| server.looks > 0);
            }
            FromGuard::Fenced { .. }
            | FromGuard::Address(_)
            | FromGuard::Alive { .. }
            | FromGuard::Terminate
            | FromGuard::Reload => {}
        }
    }

    /// When `look` must come at the latest.
    pub fn next_look(&self) -> Option<Millis> {
        self.servers.iter().filter_map(|(_, server)| server.next_look()).min()
    }

    /// The servers of which every process must be killed now.
    pub fn look(&mut self, now: Millis) -> Vec<ServerKind> {
        ServerKind::ALL.into_iter().filter(|server| self.servers[*server].look(now)).collect()
    }
}

impl Watched {
    fn next_look(&self) -> Option<Millis> {
        let fence = self.fence.filter(|_| (self.starting || self.up) && self.looks < LOOKS_MAX)?;
        Some(fence + BACKSTOP_AFTER + Millis(LOOK_AGAIN_AFTER.0 * u64::from(self.looks)))
    }

    fn look(&mut self, now: Millis) -> bool {
        let due = self.next_look().is_some_and(|at| at <= now);
        self.looks += u32::from(due);
        due
    }

    fn hold(&mut self, fence: Option<Millis>) {
        if fence > self.fence {
            self.fence = fence;
            self.looks = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{KILL_AFTER, ServerState, StartCommand};
    use crate::lease::margin;

    const DUE: Millis = Millis(1000 + BACKSTOP_AFTER.0);

    const PG: ServerKind = ServerKind::Postgres;

    fn hello(pid: Option<u32>) -> FromGuard {
        let postgres = ServerState { pid, fence: Some(Millis(1000)) };
        FromGuard::Hello {
            servers: PerServer { postgres, ..PerServer::default() },
            memo: String::new(),
            addresses: vec![],
        }
    }

    fn started(fence: Option<Millis>) -> Backstop {
        let command = StartCommand {
            program: String::new(),
            arguments: vec![],
            environment: vec![],
            log_file: String::new(),
            working_directory: String::new(),
        };
        let mut backstop = Backstop::default();
        backstop.sending(&ToGuard::Start { server: PG, command, fence });
        backstop
    }

    #[test]
    fn a_guard_that_works_is_first_and_the_lease_is_last() {
        assert!(BACKSTOP_AFTER > KILL_AFTER);
        assert!(BACKSTOP_AFTER + LOOK_AGAIN_AFTER + LOOK_AGAIN_AFTER < margin(Millis(1000)));
    }

    #[test]
    fn without_a_word_from_the_guard_postgresql_is_killed_after_the_fence_and_looked_for_again() {
        let mut backstop = started(Some(Millis(1000)));
        assert_eq!(backstop.next_look(), Some(DUE));
        assert_eq!(backstop.look(DUE - Millis(1)), []);
        assert_eq!(backstop.look(DUE), [PG]);
        assert_eq!(backstop.look(DUE), []);
        assert_eq!(backstop.look(DUE + LOOK_AGAIN_AFTER), [PG]);
        backstop.heard(&FromGuard::Exited { server: PG, status: "signal 9".into() });
        assert_eq!(backstop.next_look(), None);
    }

    #[test]
    fn a_renewal_counts_when_it_is_sent_and_disarming_when_it_is_confirmed() {
        let mut backstop = started(Some(Millis(1000)));
        backstop.sending(&ToGuard::Arm { server: PG, until: Millis(2000) });
        backstop.sending(&ToGuard::Arm { server: PG, until: Millis(1500) });
        assert_eq!(backstop.next_look(), Some(Millis(2000) + BACKSTOP_AFTER));
        backstop.sending(&ToGuard::Disarm { server: PG });
        assert_eq!(backstop.next_look(), Some(Millis(2000) + BACKSTOP_AFTER));
        backstop.heard(&FromGuard::Armed { server: PG, until: None });
        assert_eq!(backstop.next_look(), None);
    }

    #[test]
    fn a_new_worker_takes_the_fence_up() {
        let mut backstop = Backstop::default();
        backstop.heard(&hello(Some(7)));
        assert_eq!(backstop.next_look(), Some(DUE));
        backstop.heard(&hello(None));
        assert_eq!(backstop.next_look(), None, "nothing runs that could be a primary");
    }

    #[test]
    fn what_was_not_started_is_not_killed() {
        let mut backstop = started(Some(Millis(1000)));
        backstop.heard(&FromGuard::StartFailed { server: PG, why: "the lease is over".into() });
        assert_eq!(backstop.next_look(), None);
    }

    #[test]
    fn a_fence_that_has_fallen_is_lifted_only_by_the_end() {
        let mut backstop = started(Some(Millis(1000)));
        assert_eq!(backstop.look(DUE), [PG]);
        backstop.heard(&FromGuard::Armed { server: PG, until: None });
        assert_eq!(backstop.look(DUE + LOOK_AGAIN_AFTER), [PG]);
    }

    #[test]
    fn each_server_is_watched_for_itself() {
        let redis = ServerKind::Redis;
        let mut backstop = started(None);
        backstop.heard(&FromGuard::Started { server: redis, pid: 8 });
        backstop.sending(&ToGuard::Arm { server: redis, until: Millis(1000) });
        backstop.heard(&FromGuard::Exited { server: PG, status: "0".into() });
        assert_eq!(backstop.look(DUE), [redis]);
    }
}
