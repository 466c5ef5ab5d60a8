//! A change of master that was asked for: whether it can be, and what became of it. Pure, for the API and the command line.

use ha::cluster::RedisGroup;
use ha::cluster::redis::RedisFailoverRequest;
use types::{MemberName, Revision};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisAction {
    /// Planned: from a master that lives, without loss.
    Switchover,
    /// Without a master, or against it.
    Failover,
}

impl RedisAction {
    pub fn word(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
        }
    }

    pub fn title(self) -> &'static str {
        match self {
            Self::Switchover => "Switchover",
            Self::Failover => "Failover",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Switchover => "switched",
            Self::Failover => "failed",
        }
    }

    /// The request that stands for it in the store.
    pub fn request(self, group: &RedisGroup, candidate: Option<MemberName>, force: bool) -> RedisFailoverRequest {
        let leader = group.leader_name().cloned().filter(|_| self == Self::Switchover);
        RedisFailoverRequest { leader, candidate, force }
    }
}

/// Why it cannot be done, in one sentence; `None`: it can be tried.
pub fn obstacle(
    action: RedisAction,
    group: &RedisGroup,
    candidate: Option<&MemberName>,
    force: bool,
) -> Option<String> {
    let master = group.writable_master().map(|(name, _)| name);
    match (action, group.leader_name(), master) {
        (RedisAction::Switchover, None, _) => {
            return Some("there is no master to switch over from; use failover".into());
        }
        (RedisAction::Failover, _, Some(master)) if !force => {
            return Some(format!(
                "{master} is the master and alive: a switchover hands over without loss, a failover must be forced"
            ));
        }
        (RedisAction::Switchover | RedisAction::Failover, _, _) => {}
    }
    let fits = |name: &MemberName| -> Result<(), String> {
        let Some(member) = group.members.get(name) else {
            return Err(format!("{name} is not a member with a Redis, or is not running"));
        };
        let data = &member.data;
        if group.is_leader(name) {
            Err(format!("{name} is the master already"))
        } else if data.nofailover() {
            Err(format!("{name} must not become master (redis.priority 0, or tagged nofailover)"))
        } else if !data.is_running() {
            Err(format!("the Redis of {name} is {}", data.state.as_str()))
        } else if !data.link_up && master.is_some() && !force {
            Err(format!("{name} does not replicate from the master at the moment"))
        } else {
            Ok(())
        }
    };
    match candidate {
        Some(candidate) => fits(candidate).err(),
        None if group.members.keys().any(|name| fits(name).is_ok()) => None,
        None => Some("no other member could take over at the moment".into()),
    }
}

/// A request that stands in the store since `revision`.
#[derive(Clone, Debug)]
pub struct RedisWish {
    pub action: RedisAction,
    pub old: Option<MemberName>,
    pub candidate: Option<MemberName>,
    pub revision: Revision,
}

impl RedisWish {
    /// What became of it, as far as this view of the store tells: a sentence in either case. `None`: not decided yet.
    pub fn verdict(&self, group: &RedisGroup, view: Revision) -> Option<Result<String, String>> {
        if view < self.revision {
            return None;
        }
        let pending = group.failover.as_ref().is_some_and(|request| request.revision >= self.revision);
        match group.leader_member() {
            Some((leader, member)) if Some(leader) != self.old.as_ref() => {
                member.data.is_writable().then(|| match &self.candidate {
                    Some(candidate) if candidate != leader => {
                        Err(format!("{leader} is the master now instead of {candidate}"))
                    }
                    Some(_) | None => Ok(format!("Successfully {} over to \"{leader}\"", self.action.done())),
                })
            }
            // Withdrawn, and nothing has changed. Without a leader the election is still open.
            Some((leader, _)) if !pending => {
                Some(Err(format!("{} failed: {leader} is still the master", self.action.title())))
            }
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha::cluster::Versioned;
    use ha::cluster::redis::{RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState};

    fn group(leader: Option<&str>) -> RedisGroup {
        let member = |name: &str| {
            let leads = leader == Some(name);
            let data = RedisMemberData {
                role: if leads { RedisRole::Master } else { RedisRole::Replica },
                state: RedisRunState::Running,
                writable: leads,
                link_up: !leads,
                ..RedisMemberData::default()
            };
            (MemberName::from(name), RedisMember { data, revision: Revision(1), lease: None })
        };
        RedisGroup {
            leader: leader.map(|name| RedisLeader { name: name.into(), epoch: Revision(2), lease: None }),
            members: ["a", "b", "c"].map(member).into(),
            ..RedisGroup::default()
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let mut whole = group(Some("a"));
        whole.members.get_mut(&"c".into()).unwrap().data.failover_priority = 0;
        let none = group(None);
        let check = |action, group: &RedisGroup, candidate: Option<&str>, force, words: Option<&str>| {
            let found = obstacle(action, group, candidate.map(MemberName::from).as_ref(), force);
            match words {
                Some(words) => assert!(found.as_ref().is_some_and(|it| it.contains(words)), "{found:?}: {words}"),
                None => assert_eq!(found, None),
            }
        };
        check(RedisAction::Switchover, &whole, None, false, None);
        check(RedisAction::Switchover, &whole, Some("b"), false, None);
        check(RedisAction::Switchover, &whole, Some("a"), false, Some("master already"));
        check(RedisAction::Switchover, &whole, Some("c"), false, Some("must not become master"));
        check(RedisAction::Switchover, &whole, Some("x"), false, Some("not a member"));
        check(RedisAction::Failover, &whole, Some("b"), false, Some("must be forced"));
        check(RedisAction::Failover, &whole, Some("b"), true, None);
        check(RedisAction::Switchover, &none, None, false, Some("use failover"));
        check(RedisAction::Failover, &none, None, false, None);
        whole.members.get_mut(&"b".into()).unwrap().data.link_up = false;
        check(RedisAction::Switchover, &whole, None, false, Some("no other member"));
    }

    #[test]
    fn it_is_done_only_when_another_master_takes_writes() {
        let wish = RedisWish {
            action: RedisAction::Switchover,
            old: Some("a".into()),
            candidate: Some("b".into()),
            revision: Revision(5),
        };
        let verdict = |group: &RedisGroup, at| wish.verdict(group, Revision(at)).map(|it| it.is_ok());
        let mut asked = group(Some("a"));
        assert_eq!(verdict(&asked, 4), None, "a view from before the wish");
        assert_eq!(verdict(&asked, 6), Some(false), "withdrawn");
        asked.failover = Some(Versioned { value: RedisFailoverRequest::default(), revision: Revision(5) });
        assert_eq!(verdict(&asked, 6), None);
        assert_eq!(verdict(&group(Some("b")), 6), Some(true));
        assert_eq!(verdict(&group(Some("c")), 6), Some(false));
        assert_eq!(verdict(&group(None), 6), None);
        let mut promoting = group(Some("b"));
        promoting.members.get_mut(&"b".into()).unwrap().data.writable = false;
        assert_eq!(verdict(&promoting, 6), None);
    }
}
