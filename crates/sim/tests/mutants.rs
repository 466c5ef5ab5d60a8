//! The oracle sees what it should: every rule broken on purpose is noticed, and for the right reason.

use sim::mutant::Mutant;
use sim::run::first_failure;

/// `within`: several times the number of seeds it takes at present, because every change draws other worlds.
fn check(mutant: Mutant, within: u64, expected: &[&str]) {
    let failure = first_failure(0..within, Some(mutant));
    let violation = failure.and_then(|failure| failure.violation).unwrap_or_default();
    let seen = expected.iter().any(|words| violation.contains(words));
    assert!(seen, "{}: within {within} seeds the oracle said '{violation}'", mutant.name());
}

const TWO_PRIMARIES: [&str; 2] = ["could still acknowledge", "as an old primary"];
const LOST: &str = "synchronous mode";
const TWO_HISTORIES: &str = "onto another history";

#[test]
fn a_fence_that_never_falls_is_noticed() {
    check(Mutant::SkipFence, 100, &TWO_PRIMARIES);
}

#[test]
fn a_lease_that_is_renewed_blindly_is_noticed() {
    check(Mutant::RenewBlindly, 800, &TWO_PRIMARIES);
}

#[test]
fn a_leader_key_that_is_taken_on_a_stale_view_is_noticed() {
    // The address comes with the key, before there are two primaries.
    let two_holders = "the address 10.0.0.42 is on";
    check(Mutant::StaleView, 1500, &[TWO_PRIMARIES[0], TWO_PRIMARIES[1], LOST, TWO_HISTORIES, two_holders]);
}

#[test]
fn a_forgotten_fsync_is_noticed() {
    check(Mutant::ForgetFsync, 800, &["two meanings", "cannot start", "went back"]);
}

#[test]
fn a_standby_listed_too_early_is_noticed() {
    check(Mutant::SyncTooEarly, 400, &[LOST]);
}

#[test]
fn a_number_of_a_timeline_that_is_given_again_is_noticed() {
    // Whoever runs under another number than the store has for it does not take its key again. (The scenario of this rule shows
    // the two histories.)
    let nobody_leads = "there is no leader";
    check(Mutant::GiveTimelinesAgain, 1000, &["pages of another history", TWO_HISTORIES, nobody_leads]);
}

#[test]
fn a_switchover_that_ends_a_lasting_claim_is_noticed() {
    check(Mutant::RequestEndsClaims, 1000, &TWO_PRIMARIES);
}

#[test]
fn an_address_that_stays_beyond_its_fence_is_noticed() {
    check(Mutant::VipSkipFence, 100, &["the address 10.0.0.42 is on"]);
}

#[test]
fn an_address_that_stays_when_the_role_is_given_up_is_noticed() {
    check(Mutant::VipKeptBeyondRole, 200, &["the address 10.0.0.42 is on"]);
}

#[test]
fn a_claim_that_is_not_seen_is_noticed() {
    check(Mutant::DropClaim, 300, &TWO_PRIMARIES);
}

#[test]
fn a_key_that_is_taken_in_spite_of_a_promise_is_noticed() {
    check(Mutant::FailsafeTakesInSpiteOfPromise, 400, &TWO_PRIMARIES);
}

#[test]
fn a_member_that_is_not_asked_for_its_consent_is_noticed() {
    check(Mutant::FailsafeAsksAllButOne, 1500, &TWO_PRIMARIES);
}

#[test]
fn a_promise_that_is_forgotten_with_its_worker_is_noticed() {
    check(Mutant::FailsafeForgetsPromises, 1500, &TWO_PRIMARIES);
}
