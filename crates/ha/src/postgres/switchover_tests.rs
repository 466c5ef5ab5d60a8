//! A planned switchover and connection poolers: who waits for whom, and for how long.

use super::*;
use crate::cluster::{
    Cluster, FailoverRequest, Leader, Member, MemberData, Quorate, Role, RunState, StoreWrite, Tags, Versioned,
};
use crate::guard::StopMode;
use crate::hold::HoldView;
use crate::lease::Lease;
use crate::reason::Reason;
use crate::vip::Standing;
use types::{LeaseId, Lsn, Millis, Revision, Timeline};

const NOW: Millis = Millis(100_000);
const REQUEST: Revision = Revision(12);
const STOP: Action = Action::Begin(Job::Stop { mode: StopMode::Fast });
const PAUSE_MAX: Millis = Millis(2000);

/// "a" leads, "b" is its replica and was asked to take over.
fn view(pools_of_b: Option<Millis>) -> View {
    let lease = Lease { id: LeaseId(1), ttl: Millis(30_000), renewed_at: NOW };
    let member = |role, quorate| {
        let replication_state = (role == Role::Replica).then(|| "streaming".to_owned());
        let timeline = Some(Timeline(1));
        let data = MemberData {
            state: RunState::Running,
            role,
            timeline,
            replication_state,
            xlog_location: Some(Lsn(1)),
            quorate: Some(quorate),
            ..MemberData::default()
        };
        Member { data, revision: Revision(9), lease: Some(lease.id) }
    };
    let leading = Quorate { claim: true, writable: true, ..Quorate::default() };
    let replica = Quorate { pools: pools_of_b, ..Quorate::default() };
    let request = FailoverRequest { leader: Some("a".into()), candidate: Some("b".into()), scheduled_at: None };
    let cluster = Cluster {
        revision: Revision(12),
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        leader: Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(lease.id) }),
        members: [("a".into(), member(Role::Primary, leading)), ("b".into(), member(Role::Replica, replica))].into(),
        failover: Some(Versioned { value: request, revision: REQUEST }),
        ..Cluster::default()
    };
    let standby = Standby { name: "b".into(), streaming: true, synchronous: false, flush: Lsn(1), replay: Lsn(1) };
    let running = Running {
        observed_at: NOW,
        timeline: Timeline(1),
        write: Lsn(1),
        standbys: vec![standby],
        slots: vec!["b".into()],
        ..Running::default()
    };
    View {
        now: NOW,
        wall: String::new(),
        me: "a".into(),
        tags: Tags::default(),
        identity: MemberData::default(),
        addresses: Vec::new(),
        bootstrap_config: "{}".into(),
        dcs: DcsView { cluster: Some(cluster), connected: true, lease: Some(lease), ..DcsView::default() },
        guard: GuardView { answering: true, armed: Some(NOW + Millis(20_000)) },
        postgres: PostgresView {
            data: DataDirectory::Valid {
                system_id: "7".into(),
                timeline: Timeline(1),
                was_primary: true,
                clean: false,
                checkpoint: Lsn(1),
            },
            server: Server::Running(Box::new(running)),
            following: None,
        },
        job: None,
        requests: vec![],
        schedule_is_due: true,
        stopping: false,
        hold: HoldView::default(),
    }
}

/// The decision that follows when the checkpoint is done.
fn checkpointed(view: &mut View) -> Decision {
    let first = decide(&Memory::default(), view);
    assert!(first.actions.contains(&Action::Begin(Job::Checkpoint)), "{first:?}");
    assert!(wishes(&first).iter().all(Option::is_none), "nobody waits while writes go on");
    view.job = Some(JobView { job: Job::Checkpoint, state: JobState::Done });
    let second = decide(&first.next, view);
    view.job = None;
    second
}

/// What the entries that are written say of pausing.
fn wishes(decision: &Decision) -> Vec<Option<Revision>> {
    let of_entry = |action: &Action| match action {
        Action::Write(StoreWrite::PutMember { member, .. }) => Some(member.quorate.as_ref()?.pause_pools),
        _ => None,
    };
    decision.actions.iter().filter_map(of_entry).collect()
}

fn says_paused(view: &mut View, name: &str, request: Revision) {
    let cluster = view.dcs.cluster.as_mut().unwrap();
    let quorate = cluster.members.get_mut(&name.into()).unwrap().data.quorate.as_mut().unwrap();
    quorate.pools_paused = Some(request);
}

#[test]
fn without_poolers_nothing_is_waited_for() {
    let mut view = view(None);
    let decision = checkpointed(&mut view);
    assert!(decision.actions.contains(&STOP), "{decision:?}");
}

#[test]
fn postgresql_stops_when_all_poolers_hold_their_clients() {
    let mut view = view(Some(PAUSE_MAX));
    view.hold.pause_max = Some(PAUSE_MAX);
    let mut decision = checkpointed(&mut view);
    assert_eq!(wishes(&decision), [Some(REQUEST)], "{decision:?}");
    let waits = |decision: &Decision, names: &[&str]| {
        let names = names.iter().map(|name| (*name).into()).collect();
        assert!(!decision.actions.contains(&STOP), "{decision:?}");
        assert!(decision.reasons.contains(&Reason::HoldingClients { names }), "{decision:?}");
    };
    waits(&decision, &["b", "a"]);
    // For another request, long ago.
    says_paused(&mut view, "b", Revision(3));
    view.hold.paused_for = Some(REQUEST);
    decision = decide(&decision.next, &view);
    waits(&decision, &["b"]);
    says_paused(&mut view, "b", REQUEST);
    decision = decide(&decision.next, &view);
    assert!(decision.actions.contains(&STOP), "{decision:?}");
}

#[test]
fn a_pooler_that_never_answers_does_not_keep_the_switchover_from_happening() {
    let mut view = view(Some(PAUSE_MAX));
    let decision = checkpointed(&mut view);
    let wake_at = decision.wake_at.unwrap();
    assert!(!decision.actions.contains(&STOP) && wake_at <= NOW + Millis(4000), "{decision:?}");
    view.now = NOW + Millis(4000);
    let decision = decide(&decision.next, &view);
    assert!(decision.reasons.contains(&Reason::ClientsNotHeld { names: vec!["b".into()] }), "{decision:?}");
    assert!(decision.actions.contains(&STOP), "{decision:?}");
}

#[test]
fn a_member_that_is_gone_is_not_waited_for() {
    let mut view = view(None);
    let gone = Quorate { pools: Some(PAUSE_MAX), ..Quorate::default() };
    let data = MemberData { quorate: Some(gone), ..MemberData::default() };
    let cluster = view.dcs.cluster.as_mut().unwrap();
    cluster.members.insert("c".into(), Member { data, revision: Revision(9), lease: Some(LeaseId(3)) });
    let decision = checkpointed(&mut view);
    assert!(!decision.actions.contains(&STOP), "{decision:?}");
    view.dcs.cluster.as_mut().unwrap().members.remove(&"c".into());
    let decision = decide(&decision.next, &view);
    assert!(decision.actions.contains(&STOP), "{decision:?}");
}

#[test]
fn a_switchover_that_is_given_up_lets_the_clients_go_on() {
    let mut view = view(Some(PAUSE_MAX));
    let decision = checkpointed(&mut view);
    let cluster = view.dcs.cluster.as_mut().unwrap();
    cluster.failover = None;
    let mine = cluster.members.get_mut(&"a".into()).unwrap();
    mine.data.quorate.as_mut().unwrap().pause_pools = Some(REQUEST);
    let decision = decide(&decision.next, &view);
    assert_eq!(wishes(&decision), [None], "{decision:?}");
    assert!(!decision.actions.contains(&STOP), "{decision:?}");
}

#[test]
fn addresses_leave_when_postgresql_has_stopped_and_the_key_follows_them() {
    let releases = |decision: &Decision| {
        decision.actions.iter().any(|action| matches!(action, Action::Write(StoreWrite::ReleaseLeader { .. })))
    };
    let mut view = view(None);
    view.addresses = vec!["10.0.0.42".parse().unwrap()];
    let stop = checkpointed(&mut view);
    assert!(stop.actions.contains(&STOP), "{stop:?}");
    assert_eq!(stop.standing, Standing::Holds);
    // Its clients hear the end of their connections, and who comes now is answered.
    view.job = Some(JobView { job: Job::Stop { mode: StopMode::Fast }, state: JobState::Running { since: NOW } });
    view.postgres.server = Server::Stopping;
    let stopping = decide(&stop.next, &view);
    assert_eq!(stopping.standing, Standing::Holds);
    view.job = None;
    view.postgres.server = Server::Down;
    let DataDirectory::Valid { clean, .. } = &mut view.postgres.data else { unreachable!() };
    *clean = true;
    let down = decide(&stopping.next, &view);
    assert_eq!(down.standing, Standing::Lost, "{down:?}");
    assert!(!releases(&down), "{down:?}");
    view.addresses.clear();
    let gone = decide(&down.next, &view);
    assert_eq!(gone.standing, Standing::Lost);
    assert!(releases(&gone), "{gone:?}");
    // The view does not show it yet.
    assert_eq!(decide(&gone.next, &view).standing, Standing::Lost);
}

#[test]
fn a_leader_whose_agent_is_asked_to_stop_switches_over() {
    let mut view = view(Some(PAUSE_MAX));
    view.stopping = true;
    let request = view.dcs.cluster.as_mut().unwrap().failover.take();
    let begins = |decision: &Decision, job: &Action| decision.actions.contains(job);
    let checkpoint = Action::Begin(Job::Checkpoint);
    let asks = decide(&Memory::default(), &view);
    let asked_for = FailoverRequest { leader: Some("a".into()), candidate: Some("b".into()), scheduled_at: None };
    let put = Action::Write(StoreWrite::PutFailover { request: asked_for, expected: None });
    assert!(begins(&asks, &put) && !begins(&asks, &checkpoint), "{asks:?}");

    let waits = decide(&asks.next, &view);
    assert!(!begins(&waits, &put) && !begins(&waits, &checkpoint) && !begins(&waits, &STOP), "{waits:?}");
    view.now = waits.wake_at.unwrap();
    assert!(begins(&decide(&waits.next, &view), &checkpoint), "the store did not take the request");

    view.now = NOW;
    view.dcs.cluster.as_mut().unwrap().failover = request;
    let first = decide(&waits.next, &view);
    assert!(begins(&first, &checkpoint), "{first:?}");
    view.job = Some(JobView { job: Job::Checkpoint, state: JobState::Done });
    let holds = decide(&first.next, &view);
    view.job = None;
    assert_eq!(wishes(&holds), [Some(REQUEST)], "{holds:?}");
    says_paused(&mut view, "b", REQUEST);
    assert!(begins(&decide(&holds.next, &view), &STOP));
}

#[test]
fn a_leader_that_is_asked_to_stop_and_that_nobody_can_follow_stops_without() {
    let mut view = view(None);
    view.stopping = true;
    let cluster = view.dcs.cluster.as_mut().unwrap();
    cluster.failover = None;
    cluster.members.remove(&"b".into());
    let decision = decide(&Memory::default(), &view);
    assert!(decision.actions.contains(&Action::Begin(Job::Checkpoint)), "{decision:?}");
}

#[test]
fn addresses_come_with_the_key() {
    let mut view = view(None);
    let Server::Running(running) = &mut view.postgres.server else { unreachable!() };
    running.in_recovery = true;
    assert_eq!(decide(&Memory::default(), &view).standing, Standing::Holds, "it is about to be promoted");
    view.dcs.cluster.as_mut().unwrap().leader.as_mut().unwrap().name = "b".into();
    assert_eq!(decide(&Memory::default(), &view).standing, Standing::Lost);
}

#[test]
fn a_stop_whose_candidate_is_gone_waits_for_nobody() {
    let mut view = view(None);
    let stop = checkpointed(&mut view);
    view.job = Some(JobView { job: Job::Stop { mode: StopMode::Fast }, state: JobState::Running { since: NOW } });
    view.postgres.server = Server::Stopping;
    let stopping = decide(&stop.next, &view);
    assert!(!stopping.actions.contains(&Action::StopImmediately), "{stopping:?}");
    view.dcs.cluster.as_mut().unwrap().members.remove(&"b".into());
    let hurries = decide(&stopping.next, &view);
    assert!(hurries.actions.contains(&Action::StopImmediately), "{hurries:?}");
    assert!(!decide(&hurries.next, &view).actions.contains(&Action::StopImmediately), "it was told");
    // It serves on.
    view.job = None;
    view.postgres.server = Server::Down;
    let starts = decide(&hurries.next, &view);
    assert!(
        starts.actions.iter().any(|action| matches!(action, Action::Begin(Job::Start { fence: Some(_), .. }))),
        "{starts:?}"
    );
}

#[test]
fn who_led_before_leaves_no_slots_that_would_keep_log_for_nobody() {
    let mut view = view(None);
    let cluster = view.dcs.cluster.as_mut().unwrap();
    cluster.failover = None;
    cluster.leader.as_mut().unwrap().name = "b".into();
    let mine = &mut cluster.members.get_mut(&"a".into()).unwrap().data;
    (mine.role, mine.quorate) = (Role::Replica, None);
    view.postgres.following = Some("b".into());
    view.guard.armed = None;
    let slots = |view: &View| {
        let actions = decide(&Memory::default(), view).actions;
        actions.into_iter().find_map(|action| match action {
            Action::Slots { create, drop } => Some((create, drop)),
            _ => None,
        })
    };
    let running = |view: &mut View, idle: &[&str], streaming| {
        let Server::Running(running) = &mut view.postgres.server else { unreachable!() };
        (running.in_recovery, running.streaming) = (true, streaming);
        running.slots = vec!["b".into(), "by_hand".into()];
        running.idle_slots = idle.iter().map(|slot| (*slot).into()).collect();
    };
    running(&mut view, &["b", "by_hand"], true);
    assert_eq!(slots(&view), Some((vec![], vec!["b".into()])), "what others made stays");
    running(&mut view, &["by_hand"], true);
    assert_eq!(slots(&view), None, "somebody reads from it");
    running(&mut view, &["b"], false);
    assert_eq!(slots(&view), None, "it may be about to lead again");
}
