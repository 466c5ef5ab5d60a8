//! Each promotion gets a number that is nobody else's: what is written when the key is taken, before a promotion, and after.

use super::safety_tests::{NOW, cluster, view};
use super::*;
use crate::cluster::{
    Cluster, HistoryLine, Leader, MemberData, Quorate, RESERVED, Role, RunState, StoreWrite, Versioned,
};
use types::{LeaseId, Lsn, Millis, Revision, Timeline};

const EPOCH: Revision = Revision(10);

fn line(timeline: u32, reason: &str, leader: &str) -> HistoryLine {
    HistoryLine {
        timeline: Timeline(timeline),
        lsn: Lsn(u64::from(timeline) * 100),
        reason: reason.to_owned(),
        timestamp: Some(String::new()),
        new_leader: Some(leader.to_owned()),
    }
}

fn history(lines: &[HistoryLine], revision: i64) -> Versioned<Vec<HistoryLine>> {
    Versioned { value: lines.to_vec(), revision: Revision(revision) }
}

fn numbers(lines: &[HistoryLine]) -> Vec<(u32, &str)> {
    lines.iter().map(|line| (line.timeline.0, line.new_leader.as_deref().unwrap_or_default())).collect()
}

/// "a" leads, and its PostgreSQL is in recovery or not.
fn leading(in_recovery: bool, change: impl FnOnce(&mut Cluster)) -> View {
    let mut view = view(in_recovery, Some(NOW + Millis(500)));
    let mut cluster = cluster();
    cluster.leader = Some(Leader { name: "a".into(), epoch: EPOCH, lease: Some(LeaseId(1)) });
    change(&mut cluster);
    view.dcs.cluster = Some(cluster);
    view
}

fn promotes_beyond(decision: &Decision) -> Option<u32> {
    decision.actions.iter().find_map(|action| match action {
        Action::Begin(Job::Promote { beyond }) => Some(beyond.0),
        _ => None,
    })
}

fn history_written(decision: &Decision) -> Option<Vec<HistoryLine>> {
    decision.actions.iter().find_map(|action| match action {
        Action::Write(StoreWrite::PutHistory { lines, .. }) => Some(lines.clone()),
        _ => None,
    })
}

#[test]
fn whoever_takes_the_key_to_be_promoted_takes_a_number_along() {
    let mut view = view(true, None);
    let mut cluster = cluster();
    if let Some(mine) = cluster.members.get_mut(&"a".into()) {
        mine.data = MemberData {
            state: RunState::Running,
            timeline: Some(Timeline(2)),
            quorate: Some(Quorate { leaderless_at: Some(Revision(9)), ..Quorate::default() }),
            ..MemberData::default()
        };
    }
    // Timeline 3 was given to "b", and nobody knows what became of it.
    cluster.history = Some(history(&[line(1, "", "a"), line(2, RESERVED, "b")], 8));
    cluster.leader = None;
    view.dcs.cluster = Some(cluster);
    let decision = decide(&Memory::default(), &view);
    let taken = decision.actions.iter().find_map(|action| match action {
        Action::Write(StoreWrite::TakeLeader { history, .. }) => Some(history.clone()),
        _ => None,
    });
    let (lines, expected) = taken.flatten().unwrap_or_default();
    assert_eq!(numbers(&lines), [(1, "a"), (2, "b"), (3, "a")], "so its own will be 4: {decision:?}");
    assert_eq!((lines[2].reason.as_str(), expected), (RESERVED, Some(Revision(8))));
}

#[test]
fn nobody_is_promoted_without_a_number_of_this_very_leadership() {
    let reserved = [line(1, RESERVED, "a")];
    let decide_with = |change: &dyn Fn(&mut Cluster)| decide(&Memory::default(), &leading(true, change));
    let good = decide_with(&|cluster| cluster.history = Some(history(&reserved, EPOCH.0)));
    assert_eq!((promotes_beyond(&good), history_written(&good)), (Some(1), None));

    // Of a leadership before this one; somebody else's; or not there at all.
    for (lines, revision, expected) in [
        (vec![line(1, RESERVED, "a")], EPOCH.0 - 1, vec![(1, "a"), (2, "a")]),
        (vec![line(1, RESERVED, "b")], EPOCH.0, vec![(1, "b"), (2, "a")]),
        (vec![], EPOCH.0, vec![(1, "a")]),
    ] {
        let decision = decide_with(&|cluster| cluster.history = Some(history(&lines, revision)));
        assert_eq!(promotes_beyond(&decision), None);
        assert_eq!(numbers(&history_written(&decision).unwrap_or_default()), expected);
    }
    let deleted = decide_with(&|_| {});
    assert_eq!((promotes_beyond(&deleted), history_written(&deleted).map(|lines| lines.len())), (None, Some(1)));

    // A member came meanwhile that was promoted by hand.
    let by_hand = decide_with(&|cluster| {
        cluster.history = Some(history(&reserved, EPOCH.0));
        let mut other = cluster.members[&"a".into()].clone();
        other.data = MemberData { timeline: Some(Timeline(5)), ..MemberData::default() };
        cluster.members.insert("b".into(), other);
    });
    assert_eq!(promotes_beyond(&by_hand), None);
    assert_eq!(numbers(&history_written(&by_hand).unwrap_or_default()), [(1, "a"), (5, "a")]);
}

#[test]
fn the_history_keeps_the_numbers_that_postgresql_passed_over() {
    let own = |timeline| HistoryLine { timestamp: None, new_leader: None, ..line(timeline, "of PostgreSQL", "") };
    let written = |known: &[HistoryLine], own: Vec<HistoryLine>| {
        let mut view = leading(false, |cluster| cluster.history = Some(history(known, EPOCH.0)));
        if let Server::Running(running) = &mut view.postgres.server {
            running.timeline = Timeline(9);
            running.history = own;
        }
        history_written(&decide(&Memory::default(), &view)).unwrap_or_default()
    };
    // What was reserved came true: PostgreSQL says so itself.
    let lines = written(&[line(1, RESERVED, "a")], vec![own(1)]);
    assert_eq!(numbers(&lines), [(1, "a")]);
    assert_eq!(lines[0].reason, "of PostgreSQL");
    // The cluster went back to 2, and from there to 5: nobody follows 3 and 4 any more.
    let real = [1, 2, 3].map(|timeline| line(timeline, "of PostgreSQL", "c"));
    let lines = written(&[real.as_slice(), &[line(4, RESERVED, "a")]].concat(), vec![own(1), own(2)]);
    assert_eq!(numbers(&lines), [(1, "c"), (2, "a"), (3, "c"), (4, "a")]);
    assert_eq!(lines.iter().filter(|line| line.is_reserved()).count(), 2);
    // Number 3 was "b"'s and came to nothing; this server went from 2 to 4.
    let known = [line(1, "of PostgreSQL", "c"), line(2, RESERVED, "b"), line(3, RESERVED, "a")];
    let lines = written(&known, vec![own(1), own(2)]);
    assert_eq!(numbers(&lines), [(1, "c"), (2, "a"), (3, "a")]);
    assert_eq!([&lines[1].reason, &lines[2].reason], ["of PostgreSQL", RESERVED]);
}

/// Whoever had number 3 may be rewound: no history has it twice.
#[test]
fn a_promotion_that_nobody_followed_has_no_twin() {
    let comes_back = |lines: &[HistoryLine]| {
        let mut view = leading(true, |cluster| {
            cluster.history = Some(history(lines, EPOCH.0));
            cluster.leader = Some(Leader { name: "b".into(), epoch: EPOCH, lease: Some(LeaseId(2)) });
            let mut other = cluster.members[&"a".into()].clone();
            other.data = MemberData {
                state: RunState::Running,
                role: Role::Primary,
                timeline: Some(Timeline(4)),
                quorate: Some(Quorate { claim: true, writable: true, ..Quorate::default() }),
                ..MemberData::default()
            };
            cluster.members.insert("b".into(), other);
        });
        view.postgres.server = Server::Down;
        if let DataDirectory::Valid { timeline, .. } = &mut view.postgres.data {
            *timeline = Timeline(3);
        }
        let decision = decide(&Memory::default(), &view);
        decision.actions.into_iter().find_map(|action| if let Action::Begin(job) = action { Some(job) } else { None })
    };
    let abandoned = [line(2, "of PostgreSQL", "b"), line(3, RESERVED, "b")];
    assert_eq!(comes_back(&abandoned), Some(Job::Rejoin { leader: "b".into() }));
    let twin = [line(2, "of PostgreSQL", "b"), line(3, "of PostgreSQL", "b")];
    assert_eq!(comes_back(&twin), Some(Job::Clone { from: "b".into() }));
}
