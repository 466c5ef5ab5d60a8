//! Clients: writers that go where a proxy sends them, and stubborn ones that write to the PostgreSQL (or Redis) of their own
//! host whenever it is a primary. The stubborn ones are what makes a second primary visible.

use crate::clock::{MS, Time};
use crate::network::Plane;
use crate::postgres::PostgresEvent;
use crate::redis::RedisEvent;
use crate::world::{Happening, World};

const WRITERS: usize = 2;
const PAUSE_MIN: Time = 20 * MS;
const PAUSE_MAX: Time = 70 * MS;

#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// Through the proxy of any member.
    Writer,
    Stubborn {
        host: usize,
    },
    /// The same two for Redis.
    RedisWriter,
    RedisStubborn {
        host: usize,
    },
}

impl World {
    pub(crate) fn plan_clients(&mut self) {
        for _ in 0..WRITERS {
            self.client_soon(ClientEvent::Writer);
        }
        for host in 0..self.hosts.len() {
            self.client_soon(ClientEvent::Stubborn { host });
        }
        if self.setup.redis {
            self.client_soon(ClientEvent::RedisWriter);
            for host in 0..self.hosts.len() {
                self.client_soon(ClientEvent::RedisStubborn { host });
            }
        }
    }

    fn client_soon(&mut self, event: ClientEvent) {
        let after = self.random.between(PAUSE_MIN, PAUSE_MAX);
        self.plan(after, Happening::Client(event));
    }

    pub(crate) fn client_event(&mut self, event: &ClientEvent) {
        let number = self.oracle.next_write();
        match *event {
            ClientEvent::Writer => {
                let proxy = self.random.below(self.hosts.len());
                if let Some(target) = self.route(proxy) {
                    let after = self.network.delay(&mut self.random, proxy, target);
                    let run = self.hosts[target].postgres.run;
                    self.oracle.through_proxy(number);
                    self.postgres_soon(target, run, after, PostgresEvent::Write { number });
                }
            }
            ClientEvent::Stubborn { host } => {
                let run = self.hosts[host].postgres.run;
                self.postgres_soon(host, run, 20, PostgresEvent::Write { number });
            }
            ClientEvent::RedisWriter => {
                let proxy = self.random.below(self.hosts.len());
                let target = self.redis_route(proxy);
                if let Some(target) = target.filter(|target| self.reaches(proxy, *target)) {
                    let after = self.network.delay(&mut self.random, proxy, target);
                    self.oracle.redis.through_proxy(number);
                    self.redis_soon(target, after, RedisEvent::Write { number });
                }
            }
            ClientEvent::RedisStubborn { host } => self.redis_soon(host, 20, RedisEvent::Write { number }),
        }
        self.client_soon(event.clone());
    }

    /// Where this member's proxy would send a writer.
    fn route(&self, proxy: usize) -> Option<usize> {
        let worker = self.hosts[proxy].worker.as_ref().filter(|worker| worker.frozen == 0)?;
        let (leader, member) = worker.cluster.as_ref()?.leader_member()?;
        let target = self.host_named(leader).filter(|_| member.data.is_writable())?;
        self.reaches(proxy, target).then_some(target)
    }

    fn reaches(&self, proxy: usize, target: usize) -> bool {
        self.hosts[target].up && self.network.connects(Plane::Clients, proxy, target)
    }
}
