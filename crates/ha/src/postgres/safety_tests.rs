//! The rules that keep two primaries apart, one by one: what is seen, and what must not follow from it.

use super::*;
use crate::cluster::{Cluster, Leader, Member, MemberData, Quorate, RunState, StoreWrite, SyncState, Tags, Versioned};
use crate::config::{DynamicConfig, SynchronousMode};
use crate::guard::StopMode;
use crate::lease::Lease;
use types::{LeaseId, Lsn, Millis, Revision, Timeline};

pub(super) const NOW: Millis = Millis(100_000);

fn lease(id: i64) -> Lease {
    Lease { id: LeaseId(id), ttl: Millis(1500), renewed_at: NOW }
}

/// A member "a" with a claim; nobody leads.
pub(super) fn cluster() -> Cluster {
    let data = MemberData { quorate: Some(Quorate { claim: true, ..Quorate::default() }), ..MemberData::default() };
    Cluster {
        revision: Revision(10),
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        members: [("a".into(), Member { data, revision: Revision(9), lease: Some(LeaseId(1)) })].into(),
        ..Cluster::default()
    }
}

pub(super) fn view(in_recovery: bool, armed: Option<Millis>) -> View {
    let running = Running { in_recovery, observed_at: NOW, timeline: Timeline(1), ..Running::default() };
    View {
        now: NOW,
        wall: String::new(),
        me: "a".into(),
        tags: Tags::default(),
        identity: MemberData::default(),
        bootstrap_config: "{}".into(),
        dcs: DcsView { cluster: Some(cluster()), connected: true, lease: Some(lease(1)), ..DcsView::default() },
        guard: GuardView { answering: true, armed },
        addresses: Vec::new(),
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
        hold: crate::hold::HoldView::default(),
    }
}

fn drops_claim(decision: &Decision) -> bool {
    decision.actions.iter().any(|action| {
        matches!(action, Action::Write(StoreWrite::PutMember { member, .. })
            if member.quorate.as_ref().is_some_and(|quorate| !quorate.claim))
    })
}

fn stops(decision: &Decision) -> bool {
    decision.actions.contains(&Action::Begin(Job::Stop { mode: StopMode::Immediate }))
}

#[test]
fn a_replica_under_a_fence_may_be_on_its_way_to_primary() {
    let mut view = view(true, Some(NOW + Millis(500)));
    view.dcs.lease = Some(lease(2));
    let decision = decide(&Memory::default(), &view);
    assert_eq!(decision.arming, Arming::Leave);
    assert!(!drops_claim(&decision), "{decision:?}");
    view.guard.armed = None;
    let decision = decide(&Memory::default(), &view);
    assert_eq!(decision.arming, Arming::Disarm);
}

#[test]
fn while_a_start_is_under_way_down_is_not_down() {
    let mut view = view(true, Some(NOW + Millis(500)));
    view.postgres.server = Server::Down;
    let job = Job::Start { upstream: None, fence: Some(NOW + Millis(500)) };
    view.job = Some(JobView { job, state: JobState::Running { since: NOW } });
    let decision = decide(&Memory::default(), &view);
    assert_eq!(decision.arming, Arming::Leave);
    assert!(!drops_claim(&decision));
}

fn sync_written(decision: &Decision) -> Option<SyncState> {
    decision.actions.iter().find_map(|action| match action {
        Action::Write(StoreWrite::PutSync { state, .. }) => Some(state.clone()),
        _ => None,
    })
}

#[test]
fn a_write_of_sync_that_may_arrive_late_is_overtaken_before_commits_stop_waiting() {
    let mut view = view(false, Some(NOW + Millis(500)));
    let listing = |names: &[&str]| SyncState::new(&"a".into(), names.iter().map(|name| (*name).into()).collect());
    let standby =
        |name: &str| Standby { name: name.into(), streaming: true, synchronous: true, flush: Lsn(10), replay: Lsn(10) };
    if let Some(cluster) = &mut view.dcs.cluster {
        let config = DynamicConfig {
            synchronous_mode: SynchronousMode::On,
            synchronous_node_count: 2,
            ..DynamicConfig::default()
        };
        cluster.config = Some(Versioned { value: config, revision: Revision(2) });
        cluster.leader = Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(1)) });
        cluster.sync = Some(Versioned { value: listing(&["b"]), revision: Revision(6) });
        for name in ["b", "c"] {
            let data = MemberData { state: RunState::Running, ..MemberData::default() };
            cluster.members.insert(name.into(), Member { data, revision: Revision(7), lease: Some(LeaseId(3)) });
        }
    }
    let both = Running {
        write: Lsn(10),
        synchronous_standby_names: "2 (\"b\",\"c\")".into(),
        standbys: vec![standby("b"), standby("c")],
        ..Running::default()
    };
    view.postgres.server = Server::Running(Box::new(both.clone()));
    let first = decide(&Memory::default(), &view);
    let added = decide(&first.next, &view);
    assert_eq!(sync_written(&added), Some(listing(&["b", "c"])));
    // Nobody knows what became of it, and "c" is gone.
    view.postgres.server = Server::Running(Box::new(Running { standbys: vec![standby("b")], ..both }));
    let names = |decision: &Decision| {
        decision.actions.iter().any(|action| matches!(action, Action::SetSynchronousStandbyNames { .. }))
    };
    let overtaking = decide(&added.next, &view);
    assert_eq!((sync_written(&overtaking), names(&overtaking)), (Some(listing(&["b"])), false));
    if let Some(sync) = view.dcs.cluster.as_mut().and_then(|cluster| cluster.sync.as_mut()) {
        sync.revision = Revision(11);
    }
    let settled = decide(&overtaking.next, &view);
    assert_eq!((sync_written(&settled), names(&settled)), (None, true));
}

#[test]
fn a_store_that_lost_its_keys_is_filled_by_whoever_has_most() {
    let mut view = view(true, None);
    let claims = |view: &View| {
        let decision = decide(&Memory::default(), view);
        decision.actions.iter().any(|action| matches!(action, Action::Write(StoreWrite::ClaimInitialize { .. })))
    };
    let other = |timeline: Option<u32>, end| {
        let data =
            MemberData { timeline: timeline.map(Timeline), xlog_location: Some(Lsn(end)), ..MemberData::default() };
        Member { data, revision: Revision(3), lease: Some(LeaseId(2)) }
    };
    for (theirs, with_data, without) in [
        (other(None, 0), true, true),
        (other(Some(1), 0), true, false),
        (other(Some(1), 9), false, false),
        (other(Some(2), 0), false, false),
    ] {
        if let Some(cluster) = &mut view.dcs.cluster {
            cluster.initialize = None;
            cluster.members.insert("b".into(), theirs.clone());
        }
        let mut empty = view.clone();
        (empty.postgres.data, empty.postgres.server) = (DataDirectory::Empty, Server::Down);
        assert_eq!((claims(&view), claims(&empty)), (with_data, without), "{theirs:?}");
    }
}

#[test]
fn nobody_leads_by_the_defaults_when_the_configuration_cannot_be_read() {
    let mut view = view(true, None);
    let takes = |decision: &Decision| {
        decision.actions.iter().any(|action| matches!(action, Action::Write(StoreWrite::TakeLeader { .. })))
    };
    if let Some(cluster) = &mut view.dcs.cluster
        && let Some(mine) = cluster.members.get_mut(&"a".into())
    {
        mine.data.state = RunState::Running;
        mine.data.timeline = Some(Timeline(1));
        mine.data.quorate = Some(Quorate { leaderless_at: Some(Revision(9)), ..Quorate::default() });
    }
    assert!(takes(&decide(&Memory::default(), &view)));
    if let Some(cluster) = &mut view.dcs.cluster {
        cluster.unreadable.insert("config".into(), "synchronous_mode: 'quorum' is not supported yet".into());
    }
    let decision = decide(&Memory::default(), &view);
    assert!(!takes(&decision));
    assert_eq!(decision.reasons[0].code(), "config_unreadable");
}

#[test]
fn a_primary_without_a_key_stops_unless_the_guard_will_do_it() {
    let mut view = view(false, None);
    assert!(stops(&decide(&Memory::default(), &view)), "nobody fences it, so a lease that is good does not help");
    // The worker was started again: the key is ours, the lease of the worker before is not taken up yet.
    let leader = Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(1)) };
    if let Some(cluster) = &mut view.dcs.cluster {
        cluster.leader = Some(leader);
    }
    view.dcs.lease = None;
    view.guard.armed = Some(NOW + Millis(500));
    let decision = decide(&Memory::default(), &view);
    assert!(!stops(&decision));
    assert_eq!((decision.arming, decision.wake_at), (Arming::Leave, Some(NOW + Millis(500))));
    view.guard.armed = Some(NOW);
    assert!(stops(&decide(&Memory::default(), &view)));
}

#[test]
fn who_is_asked_to_stop_before_it_has_seen_the_store_stops() {
    for (server, ends) in [(Server::Down, true), (Server::Running(Box::default()), false)] {
        let mut view = view(true, None);
        view.dcs.cluster = None;
        view.postgres.server = server;
        assert!(!decide(&Memory::default(), &view).finished, "not asked");
        view.stopping = true;
        let decision = decide(&Memory::default(), &view);
        let stops = decision.actions.iter().any(|action| matches!(action, Action::Begin(_)));
        assert_eq!((decision.finished, stops), (ends, !ends), "{:?}", decision.reasons);
    }
}

/// In the pause nothing ends this primary, so what says that it may be one must not end with its lease: from the first moment,
/// and before anything is promoted.
#[test]
fn in_the_pause_a_claim_lasts_from_the_moment_the_key_is_taken() {
    let pause = |view: &mut View, paused| {
        if let Some(cluster) = &mut view.dcs.cluster {
            let config = DynamicConfig { pause: paused, ..DynamicConfig::default() };
            cluster.config = Some(Versioned { value: config, revision: Revision(2) });
        }
    };
    for paused in [false, true] {
        let mut view = view(false, Some(NOW + Millis(500)));
        pause(&mut view, paused);
        let decision = decide(&Memory { unbroken: true, ..Memory::default() }, &view);
        let bound = decision.actions.iter().find_map(|action| match action {
            Action::Write(StoreWrite::TakeLeader { claim_lease, .. }) => Some(claim_lease.is_some()),
            _ => None,
        });
        assert_eq!(bound, Some(!paused), "{:?}", decision.reasons);
    }
    // The pause began between the key and the promotion: first the claim is written anew.
    let mut view = view(true, None);
    pause(&mut view, true);
    if let Some(cluster) = &mut view.dcs.cluster {
        cluster.leader = Some(Leader { name: "a".into(), epoch: Revision(5), lease: Some(LeaseId(1)) });
    }
    let decision = decide(&Memory::default(), &view);
    let begins = |decision: &Decision| decision.actions.iter().any(|action| matches!(action, Action::Begin(_)));
    let lasting = decision.actions.iter().any(|action| {
        matches!(action, Action::Write(StoreWrite::PutMember { lease: None, member, .. }) if member.claims_primary())
    });
    assert!(lasting && !begins(&decision), "{decision:?}");
}
