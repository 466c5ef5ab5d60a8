//! What can be asked for by writing to the store when no member's REST API answers.

use crate::cli::context::Target;
use crate::cli::failure::Failure;
use dcs::{Dcs, Written};
use ha::cluster::{Cluster, FailoverRequest, Role, StoreWrite};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use types::{MemberName, Revision};

/// How often the store is asked what became of it. A person is waiting.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Longer than a lease and a promotion together.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Writes the wish and waits until it is fulfilled. The sentence says what happened.
pub async fn move_leader(target: &Target, request: &FailoverRequest) -> Result<String, Failure> {
    let expected = target.cluster.failover_revision;
    let write = StoreWrite::PutFailover { request: request.clone(), expected };
    let Written::Done { revision } = target.dcs.write(&write).await? else {
        return Err(Failure::new("cli-concurrent", "somebody else asked for a change of leader at the same time")
            .hint("look first: quorate list"));
    };
    if request.scheduled_at.is_some() {
        return Ok("Switchover scheduled".to_owned());
    }
    let old = target.cluster.leader_name().cloned();
    wait_for_leader(&target.dcs, old.as_ref(), request, revision).await
}

async fn wait_for_leader(
    dcs: &Dcs,
    old: Option<&MemberName>,
    request: &FailoverRequest,
    revision: Revision,
) -> Result<String, Failure> {
    let deadline = Instant::now() + WAIT_MAX;
    loop {
        let look = Instant::now() + LOOK_EVERY;
        // While the store elects there is no answer; the deadline bounds the patience.
        if let Ok(cluster) = dcs.load().await
            && let Some(verdict) = verdict(&cluster, old, request, revision)
        {
            return verdict;
        }
        if look > deadline {
            return Err(Failure::new(
                "cli-outcome-unknown",
                format!("no other member leads after {} s; the wish still stands", WAIT_MAX.as_secs()),
            )
            .hint("quorate explain says why"));
        }
        sleep_until(look).await;
    }
}

/// `None`: not decided yet.
fn verdict(
    cluster: &Cluster,
    old: Option<&MemberName>,
    request: &FailoverRequest,
    revision: Revision,
) -> Option<Result<String, Failure>> {
    if cluster.revision < revision {
        return None;
    }
    match cluster.leader_member() {
        Some((leader, member)) if Some(leader) != old => {
            let done = match &request.candidate {
                Some(candidate) if candidate != leader => {
                    Err(Failure::new("cli-other-leader", format!("{leader} leads now instead of {candidate}")))
                }
                _ => Ok(format!("Successfully moved the leadership to \"{leader}\"")),
            };
            (member.data.is_writable() || member.data.role == Role::StandbyLeader).then_some(done)
        }
        // The wish is gone, and nothing has changed: it was refused.
        Some((leader, _)) if cluster.failover.is_none() => {
            Some(Err(Failure::new("cli-refused", format!("the wish was withdrawn; {leader} still leads"))
                .hint("quorate explain says what keeps a member from leading")))
        }
        _ => None,
    }
}

/// Writes the dynamic configuration, when it is still the one that was read.
pub async fn write_config(target: &Target, text: String) -> Result<(), Failure> {
    let expected = target.cluster.config_text.as_ref().map(|config| config.revision);
    match target.dcs.write(&StoreWrite::PutConfig { text, expected }).await? {
        Written::Done { .. } => Ok(()),
        Written::Refused => {
            Err(Failure::new("cli-concurrent", "Config modification aborted due to concurrent changes")
                .hint("look at the present configuration and try again: quorate show-config"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::{Leader, Member, MemberData, Role, RunState, Versioned};

    fn cluster(leader: &str, wish: bool) -> Cluster {
        let data = MemberData { role: Role::Primary, state: RunState::Running, ..MemberData::default() };
        let member = Member { data, revision: Revision(1), lease: None };
        Cluster {
            revision: Revision(9),
            leader: Some(Leader { name: leader.into(), epoch: Revision(2), lease: None }),
            members: [("a", member.clone()), ("b", member)].map(|(name, member)| (name.into(), member)).into(),
            failover: wish.then(|| Versioned { value: FailoverRequest::default(), revision: Revision(8) }),
            ..Cluster::default()
        }
    }

    #[test]
    fn it_is_done_only_when_another_member_leads() {
        let request = FailoverRequest { candidate: Some("b".into()), ..FailoverRequest::default() };
        let old = MemberName::new("a");
        let judge = |cluster: &Cluster, at| verdict(cluster, Some(&old), &request, Revision(at)).map(|it| it.is_ok());
        assert_eq!(judge(&cluster("a", true), 8), None);
        assert_eq!(judge(&cluster("b", false), 8), Some(true));
        assert_eq!(judge(&cluster("a", false), 8), Some(false), "withdrawn");
        assert_eq!(judge(&cluster("b", false), 10), None, "a view from before the wish");
        let other = FailoverRequest { candidate: Some("c".into()), ..FailoverRequest::default() };
        assert!(verdict(&cluster("b", false), Some(&old), &other, Revision(8)).unwrap().is_err());
    }
}
