//! A cluster with Redis, and short ways to ask and to change it.

use super::support::{Done, PATIENCE, World, eventually, options, options_with_default_lease};
use drill::cluster::{Cluster, ClusterOptions, RedisParts};
use drill::redis::MASTER;
use drill::redis::client::{Login, entry};
use drill::redis::scenario::{self, Fault, Report};
use drill::redis::sentinel::master_address;
use drill::scenario::BOOTSTRAP_TIME_MAX;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::process::Command;

/// See the module.
pub struct RedisWorld(World);

impl Deref for RedisWorld {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl DerefMut for RedisWorld {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0
    }
}

impl RedisWorld {
    /// With a lease that a stall of the machine does not end.
    pub async fn whole(name: &str, range: u8) -> Self {
        Self::started(options(name, range)).await
    }

    /// With the default lease, for tests of faults.
    pub async fn whole_with_default_lease(name: &str, range: u8) -> Self {
        Self::started(options_with_default_lease(name, range)).await
    }

    async fn started(mut options: ClusterOptions) -> Self {
        options.redis = RedisParts::ServerAndSentinel;
        let mut world = Self(World::whole(options).await);
        world.wait_redis_whole(BOOTSTRAP_TIME_MAX).await.unwrap();
        world
    }

    /// The master of a whole Redis.
    pub async fn redis_master(&mut self) -> SocketAddr {
        self.wait_redis_whole(PATIENCE).await.unwrap()
    }

    /// Whom the sentinels name as soon as it is not `old`.
    pub async fn redis_master_other_than(&self, old: SocketAddr) -> SocketAddr {
        eventually("the sentinels name another master", async || {
            for member in self.members() {
                if let Ok(master) = master_address(&Cluster::sentinel_login(member), MASTER).await
                    && master != old
                {
                    return Some(master);
                }
            }
            None
        })
        .await
    }

    /// By the command line, which must succeed; returns the new master of a whole Redis.
    pub async fn planned_switchover(&mut self) -> SocketAddr {
        let old = self.redis_master().await;
        let member = self.redis_member(old).unwrap().name.clone();
        self.redis_switchover(&member).await.unwrap();
        let new = self.redis_master().await;
        assert_ne!(old, new);
        new
    }

    /// The login at the redis-server itself.
    pub fn redis_at(&self, server: SocketAddr) -> Login {
        Login { address: server, password: Some(self.password().to_owned()) }
    }

    /// `config-epoch` as each sentinel says it.
    pub async fn config_epochs(&self) -> Vec<String> {
        let mut epochs = Vec::new();
        for member in self.members() {
            let state = Cluster::sentinel_login(member).ask(&["SENTINEL", "MASTER", MASTER]).await.unwrap();
            epochs.push(entry(&state, "config-epoch").unwrap());
        }
        epochs
    }

    /// One fault; Redis is whole before and after.
    pub async fn meet(&mut self, fault: Fault) -> Report {
        let report = scenario::run(&mut *self.0, fault, &mut |step| println!("  {step}")).await;
        let report = report.unwrap_or_else(|error| panic!("{fault}: {error:#}"));
        print_report(&report);
        report
    }
}

pub fn print_report(report: &Report) {
    for (way, outcome) in &report.outcomes {
        println!(
            "{} ({}): {} -> {}, gap {} ms, {} acknowledged writes lost, {} split-brain writes, {} errors, whole again in {:.1} s",
            outcome.fault,
            way.name(),
            report.old_master,
            report.new_master,
            outcome.gap_ms,
            outcome.acked_lost,
            outcome.split_brain_writes,
            outcome.errors,
            report.whole_again.as_secs_f64()
        );
    }
}

/// What redis-cli prints when it is not at a terminal.
pub fn redis_cli(server: SocketAddr, password: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("redis-cli");
    if !password.is_empty() {
        command.env("REDISCLI_AUTH", password);
    }
    Done::of(command.args(["-h", &server.ip().to_string(), "-p", &server.port().to_string()]).args(arguments)).ok()
}
