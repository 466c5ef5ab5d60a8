//! The rules that keep two primaries apart, one by one: what is seen, and what must not follow from it.

use super::*;
use crate::cluster::{Cluster, Leader, Member, MemberData, Quorate, StoreWrite, Tags, Versioned};
use crate::guard::StopMode;
use crate::lease::Lease;
use types::{LeaseId, Lsn, Millis, Revision, Timeline};

const NOW: Millis = Millis(100_000);

fn lease(id: i64) -> Lease {
    Lease { id: LeaseId(id), ttl: Millis(1500), renewed_at: NOW }
}

/// A member "a" with a claim; nobody leads.
fn cluster() -> Cluster {
    let data = MemberData { quorate: Some(Quorate { claim: true, ..Quorate::default() }), ..MemberData::default() };
    Cluster {
        revision: Revision(10),
        initialize: Some(Versioned { value: "7".into(), revision: Revision(1) }),
        members: [("a".into(), Member { data, revision: Revision(9), lease: Some(LeaseId(1)) })].into(),
        ..Cluster::default()
    }
}

fn view(in_recovery: bool, armed: Option<Millis>) -> View {
    let running = Running { in_recovery, observed_at: NOW, timeline: Timeline(1), ..Running::default() };
    View {
        now: NOW,
        wall: String::new(),
        me: "a".into(),
        tags: Tags::default(),
        identity: MemberData::default(),
        bootstrap_config: "{}".into(),
        dcs: DcsView { cluster: Some(cluster()), connected: true, lease: Some(lease(1)) },
        guard: GuardView { answering: true, armed },
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
    }
}

fn drops_claim(decision: &Decision) -> bool {
    decision.actions.iter().any(|action| {
        matches!(action, Action::Write(StoreWrite::PutMember { member, .. })
            if member.quorate.is_some_and(|quorate| !quorate.claim))
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
