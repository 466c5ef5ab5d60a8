//! A change of master that was asked for: whether it can be, and what became of it. Pure, for the API and the command line.

use ha::cluster::RedisGroup;
use ha::cluster::redis::RedisFailoverRequest;
use ha::redis::waits_for_permission;
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
    if let Some(candidate) = candidate.filter(|name| group.is_leader(name)) {
        return Some(format!("{candidate} is the master already"));
    }
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
    if let Some((name, why)) =
        group.leader_member().and_then(|(name, leader)| Some((name, leader.data.trouble.as_ref()?)))
        && action == RedisAction::Switchover
    {
        return Some(format!("{name} cannot hand over: {why}"));
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
        } else if let Some(why) = &data.trouble {
            Err(format!("{name} cannot take over: {why}"))
        } else if !data.link_up && master.is_some() && !force {
            Err(format!("{name} does not replicate from the master at the moment"))
        } else {
            Ok(())
        }
    };
    if let Some(candidate) = candidate {
        return fits(candidate).err();
    }
    let others: Vec<&MemberName> = group.members.keys().filter(|name| !group.is_leader(name)).collect();
    let why: Vec<String> = others.iter().filter_map(|name| fits(name).err()).collect();
    if why.len() < others.len() {
        return None;
    }
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
    Some(format!("no other member could take over at the moment{why}"))
}

/// Why there is nothing to be allowed: a permission without a use would stand until the data here are different ones.
pub fn overwrite_obstacle(group: &RedisGroup, name: &MemberName) -> Option<String> {
    if group.is_leader(name) {
        Some(format!("{name} is the master; there is nobody to copy from"))
    } else if waits_for_permission(group, name) {
        None
    } else {
        Some(format!(
            "{name} does not wait for a permission; it takes the master's data by itself where nothing is lost"
        ))
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
    use ha::cluster::redis::{RedisHistoryLine, RedisLeader, RedisMember, RedisMemberData, RedisRole, RedisRunState};

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
        check(RedisAction::Failover, &whole, Some("a"), false, Some("master already"));
        check(RedisAction::Switchover, &none, None, false, Some("use failover"));
        check(RedisAction::Failover, &none, None, false, None);
        whole.members.get_mut(&"b".into()).unwrap().data.link_up = false;
        check(RedisAction::Switchover, &whole, None, false, Some("moment: b does not replicate"));
        let trouble = Some("Redis refuses its agent".to_owned());
        whole.members.get_mut(&"b".into()).unwrap().data.trouble.clone_from(&trouble);
        check(RedisAction::Switchover, &whole, Some("b"), false, Some("b cannot take over: Redis refuses"));
        whole.members.get_mut(&"a".into()).unwrap().data.trouble = trouble;
        check(RedisAction::Switchover, &whole, None, false, Some("a cannot hand over: Redis refuses"));
    }

    #[test]
    fn a_permission_to_overwrite_is_given_only_where_one_is_waited_for() {
        let mut group = group(Some("a"));
        let refused = |group: &RedisGroup, name: &str| overwrite_obstacle(group, &name.into());
        group.members.get_mut(&"b".into()).unwrap().data.keys = 7;
        assert!(refused(&group, "b").is_some_and(|why| why.contains("does not wait")), "healthy");
        let empty = RedisHistoryLine {
            epoch: Revision(2),
            leader: "a".into(),
            replid: "r2".into(),
            offset: 0,
            empty: true,
            timestamp: None,
        };
        group.history = Some(Versioned { value: vec![empty], revision: Revision(3) });
        assert_eq!(refused(&group, "b"), None, "its keys would be deleted");
        assert!(refused(&group, "c").is_some(), "it has no keys");
        assert!(refused(&group, "a").is_some_and(|why| why.contains("is the master")));
        group.leader = None;
        assert!(refused(&group, "b").is_some(), "nobody's data could replace its own");
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
