//! A standby cluster, decision by decision: who is promoted, who is followed, and what is handed on.

use super::*;
use crate::cluster::{
    Cluster, FailoverRequest, Leader, Member, MemberData, Quorate, Role, RunState, StoreWrite, SyncState, Versioned,
};
use crate::config::{DynamicConfig, StandbyCluster, SynchronousMode};
use crate::guard::StopMode;
use crate::reason::Reason;
use crate::vip::Standing;
use types::{LeaseId, Lsn, Millis, Revision, Timeline};

use super::safety_tests::NOW;

fn remote() -> StandbyCluster {
    StandbyCluster { host: "far".into(), port: 5432, ..StandbyCluster::default() }
}

/// "a" leads a standby cluster and follows the remote, "b" follows "a".
fn view() -> View {
    let mut view = safety_tests::view(true, None);
    let lease = view.dcs.lease.unwrap().id;
    let member = |role| {
        let quorate = Some(Quorate { claim: role == Role::StandbyLeader, ..Quorate::default() });
        let (timeline, receive_lsn) = (Some(Timeline(1)), Some(Lsn(100)));
        let data =
            MemberData { state: RunState::Running, role, timeline, receive_lsn, quorate, ..MemberData::default() };
        Member { data, revision: Revision(9), lease: Some(lease) }
    };
    let config = DynamicConfig { standby_cluster: Some(remote()), ..DynamicConfig::default() };
    view.dcs.cluster = Some(Cluster {
        revision: Revision(12),
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        leader: Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(lease) }),
        members: [("a".into(), member(Role::StandbyLeader)), ("b".into(), member(Role::Replica))].into(),
        config: Some(Versioned { value: config, revision: Revision(2) }),
        ..Cluster::default()
    });
    let standby = Standby { name: "b".into(), streaming: true, synchronous: false, flush: Lsn(100), replay: Lsn(100) };
    change(&mut view, |running| {
        (running.receive, running.streaming) = (Some(Lsn(100)), true);
        (running.standbys, running.slots) = (vec![standby], vec!["b".into()]);
    });
    view.postgres.following = Some(Source::remote(&remote()));
    view
}

fn change(view: &mut View, change: impl FnOnce(&mut Running)) {
    if let Server::Running(running) = &mut view.postgres.server {
        change(running);
    }
}

fn cluster(view: &mut View) -> &mut Cluster {
    view.dcs.cluster.as_mut().unwrap()
}

fn config(view: &mut View) -> &mut DynamicConfig {
    &mut cluster(view).config.as_mut().unwrap().value
}

/// `postgres` as it is when it has stopped.
fn down(view: &mut View, was_primary: bool) {
    view.postgres.server = Server::Down;
    if let DataDirectory::Valid { was_primary: was, clean, .. } = &mut view.postgres.data {
        (*was, *clean) = (was_primary, true);
    }
}

fn begun(decision: &Decision) -> Option<&Job> {
    decision.actions.iter().find_map(|action| match action {
        Action::Begin(job) => Some(job),
        _ => None,
    })
}

fn writes(decision: &Decision, wanted: impl Fn(&StoreWrite) -> bool) -> bool {
    decision.actions.iter().any(|action| matches!(action, Action::Write(write) if wanted(write)))
}

fn releases(decision: &Decision) -> bool {
    writes(decision, |write| matches!(write, StoreWrite::ReleaseLeader { .. }))
}

#[test]
fn the_leader_follows_the_remote_and_is_neither_promoted_nor_fenced() {
    let decision = decide(&Memory::default(), &view());
    assert_eq!((begun(&decision), decision.arming), (None, Arming::Disarm), "{decision:?}");
    assert_eq!((decision.standing, decision.standby_standing), (Standing::Lost, Standing::Holds));
    assert!(decision.reasons.contains(&Reason::LeadingStandby { epoch: Revision(5), remote: "far:5432".into() }));

    // Another remote is followed without a restart.
    let mut view = view();
    config(&mut view).standby_cluster = Some(StandbyCluster { port: 5433, ..remote() });
    let elsewhere = Source::remote(&StandbyCluster { port: 5433, ..remote() });
    let decision = decide(&Memory::default(), &view);
    assert!(decision.actions.contains(&Action::Follow { source: elsewhere }), "{decision:?}");
    assert_eq!(begun(&decision), None);
}

#[test]
fn the_others_follow_the_leader() {
    let mut view = view();
    let lease = Some(LeaseId(2));
    cluster(&mut view).leader = Some(Leader { name: "b".into(), epoch: Revision(5), lease });
    cluster(&mut view).members.get_mut(&"b".into()).unwrap().data.role = Role::StandbyLeader;
    let decision = decide(&Memory::default(), &view);
    assert!(decision.actions.contains(&Action::Follow { source: "b".into() }), "{decision:?}");
    assert_eq!((decision.standing, decision.standby_standing), (Standing::Lost, Standing::Lost));

    down(&mut view, false);
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), Some(&Job::Start { upstream: Some("b".into()), fence: None }), "{decision:?}");
}

#[test]
fn what_is_here_and_not_at_a_new_leader_is_not_thrown_away() {
    let mut view = view();
    cluster(&mut view).leader = Some(Leader { name: "b".into(), epoch: Revision(5), lease: Some(LeaseId(2)) });
    let leader = &mut cluster(&mut view).members.get_mut(&"b".into()).unwrap().data;
    (leader.role, leader.receive_lsn) = (Role::StandbyLeader, Some(Lsn(90)));
    view.postgres.following = Some("b".into());
    change(&mut view, |running| running.streaming = false);
    let memory = Memory { not_streaming_since: Some(NOW - Millis(60_000)), ..Memory::default() };
    assert_eq!(begun(&decide(&memory, &view)), None, "it has more than the leader");
    cluster(&mut view).members.get_mut(&"b".into()).unwrap().data.receive_lsn = Some(Lsn(110));
    assert_eq!(begun(&decide(&memory, &view)), Some(&Job::Stop { mode: StopMode::Fast }));
}

#[test]
fn the_best_of_the_others_takes_the_key_and_no_number_of_a_timeline() {
    let mut view = view();
    cluster(&mut view).leader = None;
    let mine = cluster(&mut view).members.get_mut(&"a".into()).unwrap();
    mine.data.quorate = Some(Quorate { leaderless_at: Some(Revision(12)), ..Quorate::default() });
    let memory = Memory { leader_missing_since: Some(NOW - Millis(400)), last_epoch: Revision(5), ..Memory::default() };
    config(&mut view).synchronous_mode = SynchronousMode::On;
    cluster(&mut view).sync =
        Some(Versioned { value: SyncState::new(&"a".into(), ["b".into()].into()), revision: Revision(3) });
    let decision = decide(&memory, &view);
    let plainly = |write: &StoreWrite| matches!(write, StoreWrite::TakeLeader { history: None, sync: Some((state, _)), .. } if *state == SyncState::default());
    assert!(writes(&decision, plainly), "{decision:?}");
}

#[test]
fn a_planned_change_needs_no_stop() {
    let mut view = view();
    let request = FailoverRequest { leader: Some("a".into()), candidate: Some("b".into()), scheduled_at: None };
    cluster(&mut view).failover = Some(Versioned { value: request, revision: Revision(12) });
    let decision = decide(&Memory::default(), &view);
    assert!(releases(&decision) && begun(&decision).is_none(), "{decision:?}");
    assert_eq!(decision.standby_standing, Standing::Lost);
    let as_replica = |write: &StoreWrite| matches!(write, StoreWrite::ReleaseLeader { member, .. } if member.role == Role::Replica && !member.claims_primary());
    assert!(writes(&decision, as_replica));

    // The address first.
    view.addresses = vec!["10.0.0.44".parse().unwrap()];
    let decision = decide(&Memory::default(), &view);
    assert!(!releases(&decision) && decision.standby_standing == Standing::Lost, "{decision:?}");
    view.addresses.clear();

    // Under a fence it may be on its way to primary.
    view.guard.armed = Some(NOW + Millis(500));
    assert!(!releases(&decide(&Memory::default(), &view)));
}

#[test]
fn without_the_section_the_leader_is_promoted_under_a_fence() {
    let mut view = view();
    config(&mut view).standby_cluster = None;
    let decision = decide(&Memory::default(), &view);
    assert_eq!((begun(&decision), decision.arming), (None, Arming::Arm), "{decision:?}");
    assert_eq!((decision.standing, decision.standby_standing), (Standing::Holds, Standing::Lost));

    view.guard.armed = Some(NOW + Millis(500));
    let decision = decide(&Memory::default(), &view);
    assert!(writes(&decision, |write| matches!(write, StoreWrite::PutHistory { .. })), "{decision:?}");
    let line = crate::cluster::HistoryLine {
        timeline: Timeline(1),
        lsn: Lsn(100),
        reason: crate::cluster::RESERVED.to_owned(),
        timestamp: None,
        new_leader: Some("a".to_owned()),
    };
    cluster(&mut view).history = Some(Versioned { value: vec![line], revision: Revision(12) });
    assert_eq!(begun(&decide(&Memory::default(), &view)), Some(&Job::Promote { beyond: Timeline(1) }));

    // Whoever stands in `/sync` from before has not what will be acknowledged here.
    config(&mut view).synchronous_mode = SynchronousMode::On;
    cluster(&mut view).sync =
        Some(Versioned { value: SyncState::new(&"c".into(), ["b".into()].into()), revision: Revision(3) });
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), None);
    assert!(writes(&decision, |write| matches!(write, StoreWrite::PutSync { state, .. } if state.standbys.is_empty())));
}

#[test]
fn a_primary_is_demoted_only_when_the_remote_is_of_the_same_system() {
    let mut view = view();
    change(&mut view, |running| running.in_recovery = false);
    view.guard.armed = Some(NOW + Millis(500));
    let survey = Job::Survey { remote: Box::new(remote()) };
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), Some(&survey), "{decision:?}");
    assert_eq!((decision.standing, decision.standby_standing), (Standing::Holds, Standing::Lost));
    assert_eq!(decision.arming, Arming::Arm, "it is a primary as long as it is one");

    let why = "another system".to_owned();
    view.job = Some(JobView { job: survey.clone(), state: JobState::Failed { why } });
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), None, "{decision:?}");

    view.job = Some(JobView { job: survey, state: JobState::Done });
    let stop = decide(&Memory::default(), &view);
    assert_eq!(begun(&stop), Some(&Job::Stop { mode: StopMode::Fast }));

    // It comes back as a replica, after a look at where the histories part.
    view.job = None;
    down(&mut view, true);
    view.guard.armed = None;
    let comes_back = decide(&stop.next, &view);
    assert_eq!(begun(&comes_back), Some(&Job::Rejoin { leader: Source::remote(&remote()) }), "{comes_back:?}");
    let looked_at = JobView { job: Job::Rejoin { leader: Source::remote(&remote()) }, state: JobState::Done };
    view.job = Some(looked_at);
    let start = Job::Start { upstream: Some(Source::remote(&remote())), fence: None };
    assert_eq!(begun(&decide(&comes_back.next, &view)), Some(&start));
}

#[test]
fn a_new_standby_cluster_is_a_copy_of_the_remote() {
    let mut view = view();
    let lease = view.dcs.lease.unwrap().id;
    let new = cluster(&mut view);
    (new.leader, new.members) = (None, std::collections::BTreeMap::new());
    new.initialize = Some(Versioned { value: String::new(), revision: Revision(3) });
    new.initialize_lease = Some(lease);
    (view.postgres.server, view.postgres.data) = (Server::Down, DataDirectory::Empty);
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), Some(&Job::Clone { from: Source::remote(&remote()) }), "{decision:?}");

    // Before the configuration is there nobody knows what is to be made.
    cluster(&mut view).config = None;
    let decision = decide(&Memory::default(), &view);
    assert_eq!(begun(&decision), None);
    assert!(writes(&decision, |write| matches!(write, StoreWrite::PutConfig { .. })));
}

#[test]
fn a_member_alone_that_lost_its_data_takes_the_remotes() {
    let mut view = view();
    (view.postgres.server, view.postgres.data) = (Server::Down, DataDirectory::Empty);
    assert!(releases(&decide(&Memory::default(), &view)), "another member has data");
    cluster(&mut view).members.remove(&"b".into());
    let from = Source::remote(&remote());
    assert_eq!(begun(&decide(&Memory::default(), &view)), Some(&Job::Clone { from }));
}

#[test]
fn a_remote_that_is_away_is_waited_for_and_one_that_is_there_is_compared_with() {
    let mut view = view();
    change(&mut view, |running| running.streaming = false);
    let memory = Memory { not_streaming_since: Some(NOW - Millis(7000)), ..Memory::default() };
    let survey = Job::Survey { remote: Box::new(remote()) };
    let decision = decide(&memory, &view);
    assert_eq!(begun(&decision), Some(&survey), "{decision:?}");
    view.job = Some(JobView { job: survey.clone(), state: JobState::Failed { why: "no route".into() } });
    assert_eq!(begun(&decide(&memory, &view)), None);
    view.job = Some(JobView { job: survey, state: JobState::Done });
    assert_eq!(begun(&decide(&memory, &view)), Some(&Job::Stop { mode: StopMode::Fast }));
}
