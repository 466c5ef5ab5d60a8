//! What administrators ask for: failovers, masters to watch and to forget, resets, simulated failures.
//!
//! Deliberately in Sentinel's words, errors too. The invariant: each request is answered exactly once, here or by what it set
//! going.

use super::address::Address;
use super::core::SimulatedFailures;
use super::dispatcher::{Sentinel, forget_others};
use super::effect::{Effect, Level, Manner};
use super::event::MasterId;
use super::flags::Flags;
use super::glob;
use super::master::{FailoverState, Master, Mode};
use super::node::{Link, OwnFailover, Role};
use super::publish::Subject;
use super::request::{Answer, Request, Token};
use super::saves::Waiter;
use super::settings::MasterSettings;
use super::{ask, failover, select};
use std::net::IpAddr;

/// MONITOR requests that wait for a name server; more are refused.
const UNRESOLVED_MAX: usize = 64;

/// A MONITOR whose host is a name.
#[derive(Clone, Debug)]
pub(super) struct Unresolved {
    token: Token,
    master: String,
    host: String,
    port: u16,
    quorum: u32,
}

impl Sentinel {
    pub(super) fn answer(&mut self, token: Token, answer: Answer) {
        self.core.effects.push(Effect::Answer { token, answer });
    }

    /// OK when everything so far is on the disk, and an error when it cannot be written.
    pub(super) fn answer_when_saved(&mut self, token: Token) {
        let version = self.core.save();
        self.core.saves.wait(version, Waiter::Client(token));
    }

    pub(super) fn take_request(&mut self, token: Token, request: Request) {
        match request {
            Request::Hello { payload } => {
                self.take_hello(&payload);
                self.answer(token, Answer::Integer(1));
            }
            Request::IsMasterDown { host, port, epoch, candidate } => {
                self.is_master_down(token, &host, port, epoch, &candidate);
            }
            Request::Failover { master, option } => self.failover(token, &master, option.as_deref()),
            Request::Monitor { master, host, port, quorum } => self.monitor(token, &master, &host, &port, &quorum),
            Request::Remove { master } => self.remove(token, &master),
            Request::Reset { pattern } => self.reset(token, &pattern),
            Request::Set { master, arguments, executable } => self.set(token, &master, &arguments, &executable),
            Request::ConfigSet { arguments } => self.config_set(token, &arguments),
            Request::FlushConfig => self.answer_when_saved(token),
            Request::SimulateFailure { arguments } => self.simulate_failure(token, &arguments),
            Request::Debug { arguments } => self.debug(token, &arguments),
            Request::OwnPassword { password } => {
                self.core.local.own_password = password;
                self.answer(token, Answer::Ok);
            }
        }
    }

    fn failover(&mut self, token: Token, name: &str, option: Option<&str>) {
        let Some(id) = self.names.get(name).copied() else { return self.answer(token, Answer::no_such_master()) };
        let coordinated = option.is_some_and(|option| option.eq_ignore_ascii_case("coordinated"));
        let Some(master) = self.masters.get_mut(&id) else { return };
        let forced = option.is_some_and(|option| option.eq_ignore_ascii_case("force")) && master.mode != Mode::Mixed;
        if option.is_some() && !coordinated && !forced {
            return self.answer(token, Answer::error("Unknown failover option specified"));
        }
        if master.mode == Mode::Supervised {
            let manner = if forced { Manner::Forced } else { Manner::Coordinated };
            self.core.effects.push(Effect::RequestFailover { token, master: name.to_owned(), manner });
            return;
        }
        // In native mode the plain form loses nothing while the master is alive.
        let alive = !master.node.flags.any(Flags::S_DOWN) && master.node.link.command.is_some();
        let hand_over = coordinated || master.mode == Mode::Native && alive && !forced;
        if hand_over && master.node.own_failover == OwnFailover::NotSupported {
            let text = "NOGOODPRIMARY Primary does not support FAILOVER command";
            return self.answer(token, Answer::Error(text.to_owned()));
        }
        if master.failover_in_progress() {
            return self.answer(token, Answer::Error("INPROG Failover already in progress".to_owned()));
        }
        if select::best(self.core.now, &self.core.periods, master).is_none() {
            return self.answer(token, Answer::Error("NOGOODSLAVE No suitable replica to promote".to_owned()));
        }
        let core = &mut self.core;
        core.log(Level::Notice, format!("Executing user requested FAILOVER of '{name}'"));
        let manner = if hand_over { Flags::COORDINATED_FAILOVER } else { Flags::FORCE_FAILOVER };
        failover::start(core, master, manner);
        if master.mode == Mode::Native {
            // Whether there is a failover depends on the store.
            master.failover.asked_by = Some(token);
        } else {
            core.effects.push(Effect::Answer { token, answer: Answer::Ok });
            if hand_over {
                ask::peers(core, master, true);
            }
        }
        self.look(id);
    }

    fn monitor(&mut self, token: Token, name: &str, host: &str, port: &str, quorum: &str) {
        if let Some(index) = control_characters(&[name, host, port, quorum]) {
            let text = format!(
                "Invalid argument at index {} for SENTINEL MONITOR: control characters are not allowed",
                index + 2
            );
            return self.answer(token, Answer::error(text));
        }
        let Ok(quorum) = quorum.parse::<i64>() else { return self.answer(token, Answer::error("Invalid quorum")) };
        let Ok(port) = port.parse::<i64>() else { return self.answer(token, Answer::error("Invalid port")) };
        let Ok(quorum @ 1..) = u32::try_from(quorum) else {
            return self.answer(token, Answer::error("Quorum must be 1 or greater."));
        };
        let resolve = self.core.settings.resolve_hostnames;
        let literal = host.parse::<IpAddr>().is_ok();
        if !literal && !resolve {
            return self.answer(token, Answer::error("Invalid IP address or hostname specified"));
        }
        let Ok(port) = u16::try_from(port) else { return self.answer(token, Answer::error("Invalid port number.")) };
        let wanted = Unresolved { token, master: name.to_owned(), host: host.to_owned(), port, quorum };
        if literal {
            return self.add_monitored(&wanted, Address::new(host, port));
        }
        if self.unresolved.len() >= UNRESOLVED_MAX {
            return self.answer(token, Answer::error("Invalid IP address or hostname specified"));
        }
        self.unresolved.push(wanted);
        self.core.effects.push(Effect::Resolve { name: host.to_owned() });
    }

    /// A name server answered.
    pub(super) fn resume_monitor(&mut self, host: &str, ip: Option<IpAddr>) {
        let (ready, waiting) = std::mem::take(&mut self.unresolved).into_iter().partition(|wanted| wanted.host == host);
        self.unresolved = waiting;
        for wanted in ready {
            if ip.is_none() {
                self.answer(wanted.token, Answer::error("Invalid IP address or hostname specified"));
            } else {
                let address = Address { host: host.into(), ip, port: wanted.port };
                self.add_monitored(&wanted, address);
            }
        }
    }

    fn add_monitored(&mut self, wanted: &Unresolved, address: Address) {
        if self.names.contains_key(&*wanted.master) {
            return self.answer(wanted.token, Answer::error("Duplicate master name."));
        }
        if let Some(group) = self.group_of(&address) {
            // Under a second name it would be failed over behind the agents' backs: two masters for a while.
            let text = format!("This server is run by agents, and watched as '{}' already. Use that name.", group.name);
            return self.answer(wanted.token, Answer::error(text));
        }
        let settings = MasterSettings::new(wanted.quorum, &self.core.periods);
        let id = self.add_master(&wanted.master, self.core.local.mode, address, settings);
        if let Some(master) = self.masters.get_mut(&id) {
            // It may have been monitored and removed before: whom it voted for in this epoch is forgotten.
            master.vote.epoch = self.core.current_epoch;
            let more = format!(" quorum {}", wanted.quorum);
            self.core.event(Level::Warning, "+monitor", master, Subject::Master, &more);
        }
        self.answer_when_saved(wanted.token);
    }

    fn remove(&mut self, token: Token, name: &str) {
        let Some(id) = self.names.get(name).copied() else { return self.answer(token, Answer::no_such_master()) };
        if self.masters.get(&id).is_some_and(|master| master.mode == Mode::Supervised) {
            let text = format!("'{name}' is run by agents, and watched as long as their store has it.");
            return self.answer(token, Answer::error(text));
        }
        self.stop_watching(id);
        self.answer_when_saved(token);
    }

    pub(super) fn stop_watching(&mut self, id: MasterId) {
        if let Some(master) = self.masters.get(&id) {
            self.core.event(Level::Warning, "-monitor", master, Subject::Master, "");
        }
        self.remove_master(id);
    }

    fn reset(&mut self, token: Token, pattern: &str) {
        let matching = self.names.iter().filter(|(name, _)| glob::matches(pattern, name, false));
        let ids: Vec<MasterId> = matching.map(|(_, id)| *id).collect();
        for id in &ids {
            if let Some(master) = self.masters.get_mut(id) {
                reset(&mut self.core, master);
            }
            self.look(*id);
        }
        self.answer(token, Answer::Integer(ids.len() as i64));
    }

    fn simulate_failure(&mut self, token: Token, arguments: &[String]) {
        let mut wanted = SimulatedFailures::default();
        for argument in arguments {
            match argument.to_ascii_lowercase().as_str() {
                "crash-after-election" => wanted.after_election = true,
                "crash-after-promotion" => wanted.after_promotion = true,
                _ => {
                    self.core.simulated_failures = wanted;
                    return self.answer(token, Answer::error("Unknown failure simulation specified"));
                }
            }
        }
        self.core.simulated_failures = wanted;
        self.answer(token, Answer::Ok);
    }
}

/// Forgets what was learned about a master: replicas, peers, a failover that is under way. What was configured stays, and so
/// does the epoch of the last vote.
fn reset(core: &mut super::core::Core, master: &mut Master) {
    let now = core.now;
    forget_others(core, master, true);
    core.close_both(&mut master.node.link);
    super::native::turn_down(core, master.failover.asked_by.take());
    master.node.flags = Flags::NONE;
    master.node.link = Link::new(now);
    master.node.run_id = None;
    master.node.replication.master_host = None;
    master.node.reported = Role::Master;
    master.node.reported_since = now;
    master.node.info_at = None;
    master.node.info_asked_at = None;
    master.node.s_down_since = None;
    master.o_down_since = None;
    master.vote.leader = None;
    master.failover.state = FailoverState::None;
    master.failover.changed_at = now;
    master.failover.started_at = None;
    master.failover.start_at = None;
    master.failover.promoted = None;
    core.event(Level::Warning, "+reset-master", master, Subject::Master, "");
    core.save();
}

/// The first argument that a line of a configuration file could not hold.
pub(super) fn control_characters(arguments: &[impl AsRef<str>]) -> Option<usize> {
    arguments.iter().position(|argument| argument.as_ref().bytes().any(|byte| byte.is_ascii_control()))
}
