//! Failsafe mode over the simulated network: the leader asks, the others give their word. The rules are `ha::failsafe`'s.

use crate::clock::{MS, Time};
use crate::mutant::Mutant;
use crate::network::Plane;
use crate::say;
use crate::worker::WorkerEvent;
use crate::world::{Happening, World};
use ha::cluster::StoreWrite;
use ha::failsafe::FailsafeView;
use ha::guard::ServerKind;
use ha::lease::{Lease, may_renew, renew_interval};
use std::collections::{BTreeMap, BTreeSet};
use types::{MemberName, Millis, Revision};

/// A question that is on its way to everybody.
#[derive(Debug)]
pub struct Question {
    number: u64,
    asked_at: Millis,
    asked: BTreeSet<MemberName>,
    accepted: BTreeSet<MemberName>,
    refused: BTreeMap<MemberName, String>,
}

impl World {
    /// A renewal has failed for want of the store. `false`: failsafe mode is not in use.
    pub(crate) fn ask_for_consent(&mut self, host: usize) -> bool {
        let asked_at = self.hosts[host].clock.read(self.now);
        let Some(worker) = &self.hosts[host].worker else { return false };
        let Some(lease) = worker.lease.filter(|lease| !lease.is_fenced(asked_at)) else { return false };
        let decided_at = worker.redis.decided_at.map_or(worker.decided_at, |at| at.min(worker.decided_at));
        if may_renew(asked_at, Some(&lease), worker.guard_answered_at, decided_at).is_err() {
            return false;
        }
        let Some(members) = worker.failsafe.whom(&lease) else { return false };
        let asked: BTreeSet<MemberName> = members.keys().cloned().collect();
        // Taken for consent without a question.
        let all_but_one = self.setup.mutant == Some(Mutant::FailsafeAsksAllButOne);
        let accepted: BTreeSet<MemberName> = asked.last().filter(|_| all_but_one).cloned().into_iter().collect();
        let to: Vec<usize> = asked.difference(&accepted).filter_map(|name| self.host_named(name)).collect();
        self.last_call += 1;
        let number = self.last_call;
        say!(self, host, "keeper: asks {asked:?} for consent");
        let Some(worker) = &mut self.hosts[host].worker else { return false };
        worker.asking = true;
        worker.question = Some(Question { number, asked_at, asked, accepted, refused: BTreeMap::new() });
        let run = self.hosts[host].worker_run;
        for to in to {
            let to_run = self.hosts[to].worker_run;
            self.send_failsafe(host, to, to_run, WorkerEvent::ConsentAsked { by: host, run, number, ttl: lease.ttl });
        }
        let within = lease.fence().since(asked_at).min(renew_interval(lease.ttl));
        self.worker_soon(host, within.0 * MS, WorkerEvent::ConsentLate { number });
        self.look_at_consent(host, false);
        true
    }

    fn send_failsafe(&mut self, from: usize, to: usize, to_run: u64, event: WorkerEvent) {
        if self.network.passes(Plane::Rest, from, to) {
            let handling = self.random.between(100, 3 * MS);
            let after = self.network.delay(&mut self.random, from, to) + handling;
            self.plan(after, Happening::Worker { host: to, run: to_run, event });
        }
    }

    pub(crate) fn consent_asked(&mut self, host: usize, by: usize, run: u64, number: u64, ttl: Millis) {
        let now = self.hosts[host].clock.read(self.now);
        let leader = self.hosts[by].name.clone();
        let name = self.hosts[host].name.clone();
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let answer = worker.word.promise(now, &leader, ttl);
        say!(self, host, "is asked for its consent by {leader}: {answer:?}");
        let refusal = answer.err().map(|refusal| refusal.as_str().to_owned());
        self.send_failsafe(host, by, run, WorkerEvent::ConsentAnswered { name, number, refusal });
    }

    pub(crate) fn consent_answered(&mut self, host: usize, name: MemberName, number: u64, refusal: Option<String>) {
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Some(question) = worker.question.as_mut().filter(|question| question.number == number) else { return };
        match refusal {
            None => {
                question.accepted.insert(name);
            }
            Some(why) => {
                question.refused.insert(name, why);
            }
        }
        self.look_at_consent(host, false);
    }

    pub(crate) fn consent_late(&mut self, host: usize, number: u64) {
        let worker = self.hosts[host].worker.as_ref();
        if worker.and_then(|worker| worker.question.as_ref()).is_some_and(|question| question.number == number) {
            self.look_at_consent(host, true);
        }
    }

    fn look_at_consent(&mut self, host: usize, late: bool) {
        let now = self.hosts[host].clock.read(self.now);
        let Some(worker) = &mut self.hosts[host].worker else { return };
        let Some(question) = &worker.question else { return };
        let answered = question.accepted.len() + question.refused.len() >= question.asked.len();
        if !answered && !late {
            return;
        }
        let Some(Question { asked_at, accepted, refused, .. }) = worker.question.take() else { return };
        worker.asking = false;
        let Some(lease) = worker.lease else { return self.keep(host) };
        if let Some(extended) = worker.failsafe.answered(now, &lease, asked_at, &accepted, &refused) {
            worker.lease = Some(extended);
            self.oracle.consents += 1;
            say!(self, host, "keeper: goes on by the consent of {accepted:?}");
            self.after_renewal(host);
        } else {
            say!(self, host, "keeper: no consent: {accepted:?} did, {refused:?} did not");
            self.keep_later(host, lease.ttl);
        }
        // Only what is explained changes.
        self.decide_soon(host);
    }

    /// What the next decision about a server sees of failsafe mode.
    pub(crate) fn failsafe_view(&self, host: usize, server: ServerKind) -> FailsafeView {
        let Some(worker) = &self.hosts[host].worker else { return FailsafeView::default() };
        let listed = worker.cluster.as_ref().and_then(|cluster| cluster.failsafe.as_ref());
        let mut view = worker.word.view(server, listed);
        let in_spite = self.setup.mutant == Some(Mutant::FailsafeTakesInSpiteOfPromise);
        let forgets = self.setup.mutant == Some(Mutant::FailsafeForgetsPromises) && view.bound_to.is_none();
        if in_spite || forgets {
            (view.bound_until, view.bound_to) = (None, None);
        }
        FailsafeView {
            consent: worker.failsafe.consent().cloned(),
            missing: worker.failsafe.missing().to_vec(),
            ..view
        }
    }

    /// A transaction that takes a leader key is about to be sent.
    pub(crate) fn may_take(
        &mut self,
        host: usize,
        server: ServerKind,
        compared: (Option<Revision>, Option<Revision>),
    ) -> bool {
        let now = self.hosts[host].clock.read(self.now);
        let in_spite = self.setup.mutant == Some(Mutant::FailsafeTakesInSpiteOfPromise);
        let Some(worker) = &mut self.hosts[host].worker else { return false };
        let may = worker.word.take(now, server, compared.0, compared.1) || in_spite;
        if !may {
            say!(self, host, "does not take a leader key: it has promised not to");
        }
        may
    }

    /// What of a batch may be sent now.
    pub(crate) fn allowed(&mut self, host: usize, mut batch: Vec<StoreWrite>) -> Vec<StoreWrite> {
        let now = self.hosts[host].clock.read(self.now);
        let takes = batch.iter().find_map(StoreWrite::takes_leader);
        if let Some(compared) = takes
            && !self.may_take(host, ServerKind::Postgres, compared)
        {
            self.decide_soon(host);
            return Vec::new();
        }
        let Some(worker) = &self.hosts[host].worker else { return batch };
        if takes.is_none() && !worker.failsafe.may_write(now) {
            return Vec::new();
        }
        if !worker.failsafe.may_write(now) {
            batch.retain(|write| !write.changes_failsafe());
        }
        batch
    }
}

/// At most so long a renewal waits for the store while others can be asked.
pub fn renewal_within(lease: &Lease, now: Millis) -> Time {
    lease.fence().since(now).min(renew_interval(lease.ttl)).0 * MS
}
