//! The cluster does not exist yet: one member wins the race, creates it, and tells the store when it is done.

use super::Source;
use super::decide::{Draft, Job};
use super::leaderless::take;
use super::view::{DataDirectory, JobState, Server, View};
use crate::cluster::{Cluster, StoreWrite};
use crate::reason::Reason;
use types::MemberName;

/// The data directory is of another cluster than the store says.
pub(super) fn foreign_data_directory(view: &View, cluster: &Cluster) -> Option<Reason> {
    let DataDirectory::Valid { system_id, .. } = &view.postgres.data else { return None };
    let initialize = cluster.initialize.as_ref().filter(|initialize| !initialize.value.is_empty())?;
    (initialize.value != system_id.as_str())
        .then(|| Reason::ForeignDataDirectory { ours: system_id.to_string(), cluster: initialize.value.clone() })
}

/// There is no leader and `/initialize` is absent or empty.
pub(super) fn decide(draft: &mut Draft<'_>) {
    let view = draft.view;
    let Some(lease) = view.dcs.lease.filter(|lease| lease.is_valid(view.now)) else {
        return draft.because(Reason::NoLease);
    };
    let Some(initialize) = &draft.cluster.initialize else {
        if view.tags.nofailover() {
            return draft.because(Reason::NeverBootstraps);
        }
        if let DataDirectory::Invalid { why } = &view.postgres.data {
            return draft.because(Reason::DataDirectoryInvalid { why: why.clone() });
        }
        if let Some(name) = somebody_with_more(draft) {
            return draft.because(Reason::WaitingForCandidate { name });
        }
        draft.because(Reason::ClaimingInitialize);
        return draft.write(StoreWrite::ClaimInitialize { lease: lease.id });
    };
    if draft.cluster.initialize_lease != Some(lease.id) {
        return draft.because(Reason::OtherBootstraps);
    }
    draft.because(Reason::ClaimingInitialize);
    if draft.cluster.config.is_none() && !draft.cluster.unreadable.contains_key("config") {
        // It says of what the cluster is made.
        return draft.write(StoreWrite::PutConfig { text: view.bootstrap_config.clone(), expected: None });
    }
    if let Some(job) = &view.job
        && matches!(job.job, Job::Initdb | Job::Clone { .. })
        && matches!(job.state, JobState::Failed { .. } | JobState::Impossible { .. })
    {
        return draft.write(StoreWrite::AbandonInitialize { expected: initialize.revision });
    }
    match (&view.postgres.data, &view.postgres.server) {
        (DataDirectory::Empty, _) => {
            let from = draft.config.standby_cluster.as_ref().map(Source::remote);
            if let Some(from) = from.clone() {
                draft.because(Reason::Cloning { from });
            }
            draft.begin(from.map_or(Job::Initdb, |from| Job::Clone { from }));
        }
        // The key first, then the server: it starts as a primary, which needs a fence.
        (DataDirectory::Valid { .. }, Server::Down | Server::Running(_)) if !draft.job_runs() => {
            take(draft, Reason::ClaimingInitialize);
        }
        (DataDirectory::Invalid { why }, _) => draft.because(Reason::DataDirectoryInvalid { why: why.clone() }),
        (DataDirectory::Valid { .. } | DataDirectory::Unknown, _) => {}
    }
}

/// A store that lost its keys meets members that have data. The one with the most must create the cluster anew: the
/// others are rewound to whoever does.
fn somebody_with_more(draft: &Draft<'_>) -> Option<MemberName> {
    let view = draft.view;
    let mine = match (view.postgres.server.running(), &view.postgres.data) {
        (Some(running), _) => Some((running.timeline, running.position())),
        (None, DataDirectory::Valid { timeline, checkpoint, .. }) => Some((*timeline, *checkpoint)),
        (None, DataDirectory::Empty | DataDirectory::Unknown | DataDirectory::Invalid { .. }) => None,
    };
    let others = draft.cluster.members.iter().filter(|(name, _)| **name != view.me);
    let able = others.filter(|(_, member)| !member.data.tags.nofailover());
    let more = able.filter_map(|(name, member)| Some((Some((member.data.timeline?, member.data.position())), name)));
    more.filter(|(theirs, _)| *theirs > mine).max().map(|(_, name)| name.clone())
}

/// As the leader of a cluster that is being created: the last steps, once PostgreSQL runs.
pub(super) fn finish(draft: &mut Draft<'_>) {
    let Some(initialize) = draft.cluster.initialize.as_ref() else { return };
    let DataDirectory::Valid { system_id, .. } = &draft.view.postgres.data else { return };
    let done = draft.view.job.as_ref().is_some_and(|job| job.job == Job::PostBootstrap && job.state == JobState::Done);
    if done {
        draft.write(StoreWrite::PublishSystemId { system_id: system_id.clone(), expected: initialize.revision });
    } else {
        draft.begin(Job::PostBootstrap);
    }
}
