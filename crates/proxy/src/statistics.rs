//! Counters for the metrics page. Reading them never disturbs a connection.

use crate::routes::Target;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server that refused or was silent is tried last among the replicas. Without this, the one that is down
/// would have the fewest connections and be everybody's first choice.
const AVOID_AFTER_FAILURE: Duration = Duration::from_secs(2);

/// One port's numbers at the moment of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortStatistics {
    /// Client connections that exist now, held ones included.
    pub connections_now: u64,
    /// Client connections accepted since the start.
    pub connections_total: u64,
    /// Connections that wait for a server now.
    pub held_now: u64,
    /// Connections cut because their server lost its role.
    pub cut_total: u64,
    /// Connections turned away: the hold time was over, or there were too many.
    pub refused_total: u64,
    /// Connections that ended before they were anybody's: silent, garbage, a PROXY header that is none.
    pub unopened_total: u64,
    /// Attempts to reach a server that failed.
    pub failed_attempts_total: u64,
    /// Passed from clients to servers.
    pub bytes_up_total: u64,
    /// Passed from servers to clients.
    pub bytes_down_total: u64,
}

/// Connections to one server, through one port, at the moment of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStatistics {
    pub member: String,
    pub connections_now: usize,
}

/// Both ports' numbers at the moment of asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub primary: PortStatistics,
    pub replicas: PortStatistics,
}

/// One port's live counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections_now: AtomicU64,
    pub(crate) connections_total: AtomicU64,
    pub(crate) held_now: AtomicU64,
    pub(crate) cut_total: AtomicU64,
    pub(crate) refused_total: AtomicU64,
    pub(crate) unopened_total: AtomicU64,
    pub(crate) failed_attempts_total: AtomicU64,
    pub(crate) bytes_up: AtomicU64,
    pub(crate) bytes_down: AtomicU64,
    servers: Mutex<HashMap<Target, Server>>,
}

/// What is known about one server. Kept only while it has connections or has just failed.
#[derive(Debug, Default)]
struct Server {
    connections: usize,
    failed: Option<Instant>,
}

impl Server {
    fn is_avoided(&self) -> bool {
        self.failed.is_some_and(|at| at.elapsed() < AVOID_AFTER_FAILURE)
    }
}

impl Counters {
    pub(crate) fn read(&self) -> PortStatistics {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PortStatistics {
            connections_now: load(&self.connections_now),
            connections_total: load(&self.connections_total),
            held_now: load(&self.held_now),
            cut_total: load(&self.cut_total),
            refused_total: load(&self.refused_total),
            unopened_total: load(&self.unopened_total),
            failed_attempts_total: load(&self.failed_attempts_total),
            bytes_up_total: load(&self.bytes_up),
            bytes_down_total: load(&self.bytes_down),
        }
    }

    /// In the order of the members' names.
    pub(crate) fn read_servers(&self) -> Vec<ServerStatistics> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<ServerStatistics> = servers
            .iter()
            .map(|(target, server)| ServerStatistics {
                member: target.member.clone(),
                connections_now: server.connections,
            })
            .collect();
        found.sort_by(|one, other| one.member.cmp(&other.member));
        found
    }

    /// Adds one to a gauge for as long as the answer lives.
    pub(crate) fn count(self: &Arc<Self>, gauge: fn(&Counters) -> &AtomicU64) -> Counted {
        gauge(self).fetch_add(1, Ordering::Relaxed);
        Counted { counters: self.clone(), gauge }
    }

    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The targets, best first: not recently failed, then fewest connections, then by chance.
    pub(crate) fn least_connections(&self, targets: &[&Target]) -> Vec<Target> {
        let mut order: Vec<Target> = targets.iter().copied().cloned().collect();
        if order.len() > 1 {
            fastrand::shuffle(&mut order);
            let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            let rank = |target: &Target| servers.get(target).map_or((false, 0), |s| (s.is_avoided(), s.connections));
            order.sort_by_key(rank);
        }
        order
    }

    pub(crate) fn connections_to(&self, target: &Target) -> usize {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.get(target).map_or(0, |server| server.connections)
    }

    pub(crate) fn failed(&self, target: &Target) {
        Self::add(&self.failed_attempts_total);
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|_, server| server.connections > 0 || server.is_avoided());
        servers.entry(target.clone()).or_default().failed = Some(Instant::now());
    }

    /// Counts a connection to `target` for as long as the answer lives. Taken before connecting, so that a burst of new
    /// connections spreads at once.
    pub(crate) fn use_server(self: &Arc<Self>, target: &Target) -> InUse {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.entry(target.clone()).or_default().connections += 1;
        InUse { counters: self.clone(), target: target.clone() }
    }
}

/// See [`Counters::count`].
pub(crate) struct Counted {
    counters: Arc<Counters>,
    gauge: fn(&Counters) -> &AtomicU64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counters).fetch_sub(1, Ordering::Relaxed);
    }
}

/// See [`Counters::use_server`].
pub(crate) struct InUse {
    counters: Arc<Counters>,
    pub(crate) target: Target,
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut servers = self.counters.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get_mut(&self.target) {
            server.connections -= 1;
            if server.connections == 0 && !server.is_avoided() {
                servers.remove(&self.target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(names: &[&str]) -> Vec<Target> {
        names.iter().map(|name| Target { member: (*name).to_owned(), address: format!("{name}:1") }).collect()
    }

    #[test]
    fn new_connections_go_to_the_server_with_the_fewest_and_last_to_one_that_just_failed() {
        let counters = Arc::new(Counters::default());
        let all = targets(&["a", "b", "c"]);
        let _two_on_a = [counters.use_server(&all[0]), counters.use_server(&all[0])];
        let one_on_b = counters.use_server(&all[1]);
        counters.failed(&all[2]);
        let asked: Vec<&Target> = all.iter().collect();
        assert_eq!(counters.least_connections(&asked), targets(&["b", "a", "c"]));
        drop(one_on_b);
        assert_eq!(counters.connections_to(&all[1]), 0);
        assert_eq!(counters.servers.lock().unwrap().len(), 2, "an unused server is forgotten");
    }
}
