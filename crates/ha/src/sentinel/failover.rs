//! A failover from its start to the promotion: wait for the election, choose a replica, promote it.
//!
//! Deliberately driven by what is seen: no step trusts the reply of a command. The invariant: only the winner of an epoch
//! whose record is on the disk changes a server, or, forced by a person, the owner of an epoch that is.

use super::core::Core;
use super::effect::{Effect, Level};
use super::flags::Flags;
use super::master::{At, FailoverState, Master, Mode};
use super::publish::Subject;
use super::saves::Waiter;
use super::vote::DESYNC_MAX;
use super::{ask, election, native, reconf, select, transaction};
use types::Millis;

/// Sentinels that find the master down at the same moment begin their elections apart, by chance within this time. Sentinel
/// has its ticks for that, ten to twenty a second.
const START_SPREAD: u64 = 100;
/// No attempt of our own for so many failover timeouts after the last one, ours or one we voted for.
const TIMEOUTS_BETWEEN: u64 = 2;
/// A candidacy whose epoch was overtaken by another master's is begun again with a new one, this long after it began.
const CANDIDACY_MIN: Millis = Millis(500);
/// A hand-over needs at least this much of the failover timeout.
const HAND_OVER_MIN: Millis = Millis(1_000);

/// Begins a failover when the master is objectively down and nothing speaks against it.
pub(super) fn start_if_needed(core: &mut Core, master: &mut Master) {
    if master.mode == Mode::Supervised || !master.node.flags.any(Flags::O_DOWN) || master.failover_in_progress() {
        return;
    }
    let now = core.now;
    let pause = match master.mode {
        Mode::Native => native::RETRY_AFTER,
        Mode::Mixed | Mode::Supervised => Millis(master.settings.failover_timeout.0.saturating_mul(TIMEOUTS_BETWEEN)),
    };
    if let Some(started) = master.failover.started_at
        && now < started + pause
    {
        if master.failover.delay_logged != Some(started) {
            master.failover.delay_logged = Some(started);
            let wait = (started + pause).since(now).0 / 1000;
            core.log(
                Level::Notice,
                format!("Next failover delay: I will not start a failover of {} for {wait} s", master.name),
            );
        }
        return;
    }
    if master.mode == Mode::Mixed && !master.peers.is_empty() {
        let at = *master.failover.start_at.get_or_insert_with(|| now + Millis(core.random.below(START_SPREAD)));
        if now < at {
            return;
        }
    }
    start(core, master, Flags::NONE);
    ask::peers(core, master, true);
}

/// `manner`: forced, coordinated or neither.
pub(super) fn start(core: &mut Core, master: &mut Master, manner: Flags) {
    let now = core.now;
    let failover = &mut master.failover;
    failover.state = FailoverState::WaitStart;
    failover.changed_at = now;
    failover.started_at = Some(now + Millis(core.random.below(DESYNC_MAX)));
    failover.start_at = None;
    failover.promoted = None;
    failover.claimed = false;
    failover.epoch = core.current_epoch.saturating_add(1);
    master.node.flags.set(Flags::FAILOVER_IN_PROGRESS.and(manner));
    if master.mode == Mode::Native {
        let (name, epoch) = (master.name.to_string(), master.failover.epoch);
        core.effects.push(Effect::ClaimEpoch { master: name, epoch });
    } else {
        core.current_epoch = master.failover.epoch;
        master.failover.save = core.save();
        core.saves.wait(master.failover.save, Waiter::Failover(master.id));
        core.new_epoch(master);
    }
    core.event(Level::Warning, "+try-failover", master, Subject::Master, "");
}

/// Goes on as far as it can.
pub(super) fn run(core: &mut Core, master: &mut Master) {
    let not_promoting = FailoverState::WaitStart..=FailoverState::SendReplicaOfNoOne;
    let other = master.vote.epoch > master.failover.epoch
        && master.vote.leader.as_deref().is_some_and(|leader| !leader.eq_ignore_ascii_case(&core.my_id));
    if other && master.mode == Mode::Mixed && not_promoting.contains(&master.failover.state) {
        // We gave somebody else our vote for a later epoch. Sentinel goes on, and two leaders may be at it.
        core.event(Level::Warning, "-failover-abort-not-elected", master, Subject::Master, "");
        abort(core, master);
        return;
    }
    loop {
        let before = master.failover.state;
        match before {
            FailoverState::None => {}
            FailoverState::WaitStart => wait_start(core, master),
            FailoverState::SelectReplica => select_replica(core, master),
            FailoverState::SendReplicaOfNoOne => promote(core, master),
            FailoverState::WaitPromotion => wait_promotion(core, master),
            FailoverState::ReconfReplicas => reconf::next(core, master),
        }
        if master.failover.state == before {
            return;
        }
    }
}

fn enter(core: &Core, master: &mut Master, state: FailoverState) {
    master.failover.state = state;
    master.failover.changed_at = core.now;
}

fn wait_start(core: &mut Core, master: &mut Master) {
    let epoch = master.failover.epoch;
    let may_lead = match master.mode {
        Mode::Native => master.failover.claimed,
        Mode::Mixed | Mode::Supervised => {
            let won = election::is_won(core, master, epoch);
            let durable = core.saves.is_done(master.failover.save);
            durable && (won || master.node.flags.any(Flags::FORCE_FAILOVER))
        }
    };
    if !may_lead {
        renew_candidacy(core, master);
        let timeout = core.periods.election_timeout.min(master.settings.failover_timeout);
        let over = master.failover.started_at.is_some_and(|at| core.now.since(at) > timeout);
        if over {
            core.event(Level::Warning, "-failover-abort-not-elected", master, Subject::Master, "");
            abort(core, master);
        }
        return;
    }
    core.event(Level::Warning, "+elected-leader", master, Subject::Master, "");
    if core.simulated_failures.after_election {
        crash(core);
    }
    enter(core, master, FailoverState::SelectReplica);
    core.event(Level::Warning, "+failover-state-select-slave", master, Subject::Master, "");
}

/// Nobody votes in an epoch that is not the newest any more. With many masters down at once that would end most elections.
fn renew_candidacy(core: &mut Core, master: &mut Master) {
    let overtaken = core.current_epoch > master.failover.epoch;
    let early = core.now.since(master.failover.changed_at) < CANDIDACY_MIN;
    if !overtaken || early || master.mode != Mode::Mixed {
        return;
    }
    core.current_epoch = core.current_epoch.saturating_add(1);
    master.failover.epoch = core.current_epoch;
    master.failover.changed_at = core.now;
    master.failover.save = core.save();
    core.saves.wait(master.failover.save, Waiter::Failover(master.id));
    core.new_epoch(master);
    ask::peers(core, master, true);
}

fn select_replica(core: &mut Core, master: &mut Master) {
    let Some(at) = select::best(core.now, &core.periods, master).and_then(|id| master.find(id)) else {
        core.event(Level::Warning, "-failover-abort-no-good-slave", master, Subject::Master, "");
        abort(core, master);
        return;
    };
    core.event(Level::Warning, "+selected-slave", master, Subject::Node(master.at(at)), "");
    let replica = master.at_mut(at);
    replica.flags.set(Flags::PROMOTED);
    master.failover.promoted = Some(replica.id);
    enter(core, master, FailoverState::SendReplicaOfNoOne);
    core.event(Level::Notice, "+failover-state-send-slaveof-noone", master, Subject::Node(master.at(at)), "");
}

fn promote(core: &mut Core, master: &mut Master) {
    let Some(at) = master.failover.promoted.and_then(|id| master.find(id)) else {
        // It was forgotten in the meantime: RESET, or an address that is another's now.
        core.event(Level::Warning, "-failover-abort-no-good-slave", master, Subject::Master, "");
        abort(core, master);
        return;
    };
    let passed = core.now.since(master.failover.changed_at);
    let coordinated = master.node.flags.any(Flags::COORDINATED_FAILOVER);
    let patience = master.settings.failover_timeout;
    if coordinated && patience - passed < HAND_OVER_MIN {
        core.event(Level::Warning, "-failover-abort-master-timeout", master, Subject::Master, "");
        abort(core, master);
        return;
    }
    if !coordinated && passed > patience {
        core.event(Level::Warning, "-failover-abort-slave-timeout", master, Subject::Master, "");
        abort(core, master);
        return;
    }
    let sent = if coordinated {
        let to = master.at(at).address.clone();
        transaction::failover_to(core, master, &to, patience - passed)
    } else {
        fence_old(core, master, at);
        transaction::replica_of(core, master, at, None)
    };
    if sent {
        transaction::look_at_result(core, master, at);
        core.event(Level::Notice, "+failover-state-wait-promotion", master, Subject::Node(master.at(at)), "");
        enter(core, master, FailoverState::WaitPromotion);
    }
}

/// Where all sentinels are ours the old master is told to follow, and cuts its clients, before the new one may serve: it may
/// be alive (a forced failover), or only stopped. With real sentinels about it is told afterwards, as they expect.
fn fence_old(core: &mut Core, master: &mut Master, promoted: At) {
    let accepted = master.node.link.command.is_some() && master.node.link.local.is_some();
    let unsent = master.at(promoted).link.command.is_none();
    if master.mode == Mode::Native && accepted && !unsent {
        let to = master.at(promoted).address.clone();
        transaction::replica_of(core, master, At::Master, Some(&to));
    }
}

/// The way on is `promotion::promoted`, from the INFO of the replica.
fn wait_promotion(core: &mut Core, master: &mut Master) {
    let forgotten = master.failover.promoted.and_then(|id| master.find(id)).is_none();
    if forgotten || core.now.since(master.failover.changed_at) > master.settings.failover_timeout {
        core.event(Level::Warning, "-failover-abort-slave-timeout", master, Subject::Master, "");
        abort(core, master);
    }
}

/// Only before the replica has become a master.
pub(super) fn abort(core: &mut Core, master: &mut Master) {
    assert!(master.failover.state <= FailoverState::WaitPromotion, "a promotion is not taken back");
    let handed_over = master.failover.state == FailoverState::WaitPromotion;
    if handed_over && master.node.flags.any(Flags::COORDINATED_FAILOVER) {
        transaction::abort_failover_to(core, master);
    }
    master.node.flags.clear(Flags::FAILOVER_IN_PROGRESS.and(Flags::FORCE_FAILOVER).and(Flags::COORDINATED_FAILOVER));
    enter(core, master, FailoverState::None);
    native::turn_down(core, master.failover.asked_by.take());
    if let Some(at) = master.failover.promoted.take().and_then(|id| master.find(id)) {
        master.at_mut(at).flags.clear(Flags::PROMOTED);
    }
}

/// SENTINEL SIMULATE-FAILURE: end the process, after what is not yet on the disk is.
pub(super) fn crash(core: &mut Core) {
    core.log(Level::Warning, "Sentinel CRASH because of SENTINEL simulate-failure");
    let version = core.save();
    core.saves.wait(version, Waiter::Crash);
}

/// Sentinel's exit code for it.
pub(super) const CRASH_CODE: i32 = 99;
