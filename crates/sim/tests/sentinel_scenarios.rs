//! What must happen soon, in worlds where only one thing goes wrong.

use sim::clock::{MS, SECOND, Time};
use sim::sentinel::faults::{Fault, Planned};
use sim::sentinel::run::{Outcome, report, run};
use sim::sentinel::setup::Setup;

const WORLDS: u64 = 30;
const AT: Time = 20 * SECOND;

/// Sentinels that see a master down after half a second.
fn setup(seed: u64, native: bool, faults: &[Fault]) -> Setup {
    let planned = |fault: &Fault| Planned { at: AT, length: 10 * SECOND, fault: *fault };
    Setup {
        native,
        sentinels: 3,
        masters: 1,
        servers: 3,
        down_after: 500,
        failover_timeout: 4_000,
        script: Some(faults.iter().map(planned).collect()),
        ..Setup::new(seed)
    }
}

/// In every world, after this fault, clients hear of the new master within this time.
fn check(native: bool, faults: &[Fault], within: Time) -> Vec<Outcome> {
    let outcomes: Vec<Outcome> = (0..WORLDS).map(|seed| run(setup(seed, native, faults))).collect();
    for outcome in &outcomes {
        let took = outcome.first_switch_at.map(|at| at - AT);
        let good = outcome.violation.is_none() && took.is_some_and(|took| took <= within);
        assert!(good, "{}\nafter {took:?} us", report(&setup(outcome.seed, native, faults), 150));
    }
    outcomes
}

#[test]
fn a_native_master_that_is_killed_is_replaced_at_once() {
    check(true, &[Fault::KillMaster { group: 0, empty: false }], 250 * MS);
}

#[test]
fn a_native_master_that_hangs_is_replaced_soon_after_it_is_down() {
    check(true, &[Fault::FreezeMaster { group: 0 }], 1_500 * MS);
}

#[test]
fn a_master_that_is_killed_is_replaced_soon_after_it_is_down() {
    check(false, &[Fault::KillMaster { group: 0, empty: false }], 1_600 * MS);
}

#[test]
fn a_planned_failover_takes_no_time() {
    check(true, &[Fault::Failover { group: 0, at: 0, also_at: None }], 500 * MS);
    check(false, &[Fault::Failover { group: 0, at: 1, also_at: None }], 500 * MS);
    check(false, &[Fault::PlainFailover { group: 0, at: 1 }], 200 * MS);
}

#[test]
fn a_vote_that_no_disk_takes_leads_to_no_failover() {
    let mut faults: Vec<Fault> = (0..3).map(|process| Fault::DiskFull { process }).collect();
    faults.push(Fault::KillMaster { group: 0, empty: false });
    for seed in 0..WORLDS {
        let outcome = run(setup(seed, false, &faults));
        let during = outcome.first_switch_at.is_some_and(|at| at < AT + 10 * SECOND);
        assert!(outcome.violation.is_none() && !during, "{}", report(&setup(seed, false, &faults), 150));
    }
}

#[test]
fn two_failovers_asked_for_at_the_same_instant_are_one() {
    for outcome in check(true, &[Fault::Failover { group: 0, at: 0, also_at: Some(2) }], 500 * MS) {
        assert_eq!(outcome.elections, 1, "seed {}", outcome.seed);
    }
}
