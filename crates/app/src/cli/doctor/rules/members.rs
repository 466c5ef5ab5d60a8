//! The members: who is there, who leads, and do they fit together?

use super::super::facts::{ClusterFacts, Facts, MemberFacts};
use super::super::finding::Finding;
use ha::cluster::{Member, RunState};
use std::collections::BTreeMap;
use types::MemberName;

const CLUSTER: &str = "cluster";
/// The answer's time has whole seconds, and it was under way.
const CLOCK_DIFFERENCE_MAX_S: f64 = 2.0;

/// Witnesses, and members for Redis alone, have no key here.
fn members(facts: &Facts) -> impl Iterator<Item = (&MemberName, &Member)> {
    facts.cluster.iter().flat_map(|cluster| cluster.view.members.iter())
}

pub fn leader(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { view, .. }) = &facts.cluster else { return Vec::new() };
    let mut findings = Vec::new();
    if view.leader.is_none() && !view.members.is_empty() {
        let message = "no member leads, so nothing can be written";
        findings.push(Finding::error(
            "doctor-no-leader",
            CLUSTER,
            message,
            "quorate explain says what keeps each member",
        ));
    }
    for (name, group) in &view.redis {
        if group.leader.is_none() && !group.members.is_empty() {
            let message = format!("the Redis group {name} has no master, so nothing can be written to it");
            findings.push(Finding::error("doctor-redis-no-master", CLUSTER, message, "quorate redis explain says why"));
        }
    }
    if view.leader.is_none() && view.members.is_empty() && view.redis.is_empty() {
        let message = "the store knows no member of this cluster";
        findings.push(Finding::error("doctor-no-member", CLUSTER, message, "is 'scope' right, and does an agent run?"));
    }
    findings
}

pub fn each_answers(facts: &Facts) -> Vec<Finding> {
    let answers = facts.cluster.iter().flat_map(|cluster| cluster.answers.iter());
    let finding = |(name, answer): (&MemberName, &MemberFacts)| {
        let message = format!("its REST API does not answer: {}", answer.silent.as_ref()?);
        let hint = "is the agent running, and may its port be reached from here?";
        Some(Finding::error("doctor-member-silent", name.as_str(), message, hint))
    };
    answers.filter_map(finding).collect()
}

pub fn each_runs(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, member) in members(facts) {
        let data = &member.data;
        match data.state {
            RunState::Running => {}
            RunState::Initdb
            | RunState::CustomBootstrap
            | RunState::CreatingReplica
            | RunState::Starting
            | RunState::BootstrapStarting
            | RunState::Restarting
            | RunState::Stopping => findings.push(Finding::hint(
                "doctor-not-running",
                name.as_str(),
                format!("PostgreSQL is not ready yet: {}", data.state.as_str()),
                "wait, and ask again",
            )),
            RunState::InitdbFailed
            | RunState::CustomBootstrapFailed
            | RunState::StartFailed
            | RunState::RestartFailed
            | RunState::Stopped
            | RunState::StopFailed
            | RunState::Crashed
            | RunState::Other => findings.push(Finding::error(
                "doctor-not-running",
                name.as_str(),
                format!("PostgreSQL does not run: {}", data.state.as_str()),
                "quorate explain, and PostgreSQL's own log, say why",
            )),
        }
        if data.pending_restart == Some(true) {
            let message = "settings wait for a restart of PostgreSQL";
            findings.push(Finding::hint("doctor-pending-restart", name.as_str(), message, "quorate restart --pending"));
        }
    }
    findings
}

pub fn replicas(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { view, .. }) = &facts.cluster else { return Vec::new() };
    let Some(leader) = view.leader_name() else { return Vec::new() };
    let mut findings = Vec::new();
    let replicas: Vec<_> = view.members.iter().filter(|(name, _)| *name != leader).collect();
    let can_lead = |member: &Member| member.data.is_running() && !member.data.tags.nofailover();
    if view.members.contains_key(leader) && !replicas.iter().any(|(_, member)| can_lead(member)) {
        findings.push(Finding::warning(
            "doctor-no-replica",
            CLUSTER,
            format!("no replica could take over from {leader}"),
            "start one on another server; nofailover keeps a replica from leading",
        ));
    }
    let end = view.status.as_ref().map(|status| status.value.optime);
    let end = end.max(view.leader_member().map(|(_, member)| member.data.position())).unwrap_or_default();
    let limit = view.config().maximum_lag_on_failover;
    for (name, member) in replicas.into_iter().filter(|(_, member)| member.data.is_running()) {
        let behind = end.0.saturating_sub(member.data.position().0);
        if behind > limit {
            findings.push(Finding::warning(
                "doctor-replica-behind",
                name.as_str(),
                format!("it is {} behind, more than maximum_lag_on_failover, and could not take over", bytes(behind)),
                "is its disk or network slow? quorate reinit makes it anew",
            ));
        } else if member.data.replication_state.as_deref() != Some("streaming") {
            findings.push(Finding::warning(
                "doctor-not-streaming",
                name.as_str(),
                "it does not stream from another member",
                "PostgreSQL's own log on that server says why",
            ));
        }
    }
    findings
}

pub fn versions(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { answers, .. }) = &facts.cluster else { return Vec::new() };
    let differ = |what: &str, of: &dyn Fn(&MemberFacts) -> Option<String>| {
        let mut members: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, answer) in answers {
            if let Some(version) = of(answer) {
                members.entry(version).or_default().push(name.as_str());
            }
        }
        let told: Vec<String> =
            members.iter().map(|(version, names)| format!("{version} on {}", names.join(", "))).collect();
        (told.len() > 1).then(|| {
            Finding::warning(
                "doctor-versions",
                CLUSTER,
                format!("members have different versions of {what}: {}", told.join("; ")),
                "bring them to the same version, the replicas first",
            )
        })
    };
    let quorate = differ("Quorate", &|answer| answer.version.clone());
    let postgresql = differ("PostgreSQL", &|answer| answer.postgresql.map(postgresql_version));
    quorate.into_iter().chain(postgresql).collect()
}

/// `server_version_num` as people write it.
fn postgresql_version(number: u64) -> String {
    format!("{}.{}", number / 10_000, number % 10_000)
}

/// No decision needs clocks that agree; people who compare logs do, and so does what is scheduled.
pub fn clocks(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { answers, .. }) = &facts.cluster else { return Vec::new() };
    let mut ahead: Vec<(f64, &str)> =
        answers.iter().filter_map(|(name, answer)| Some((answer.clock_ahead_s?, name.as_str()))).collect();
    ahead.push((0.0, "this machine"));
    ahead.sort_by(|a, b| a.0.total_cmp(&b.0));
    let [(least, slow), .., (most, fast)] = ahead.as_slice() else { return Vec::new() };
    let difference = most - least;
    if difference <= CLOCK_DIFFERENCE_MAX_S {
        return Vec::new();
    }
    vec![Finding::warning(
        "doctor-clock",
        CLUSTER,
        format!("the clock of {fast} is about {difference:.0} s ahead of that of {slow}"),
        "keep clocks with NTP: chrony, or systemd-timesyncd; leases do not depend on them, logs and schedules do",
    )]
}

pub fn watchdogs(facts: &Facts) -> Vec<Finding> {
    let Some(ClusterFacts { answers, view }) = &facts.cluster else { return Vec::new() };
    let unwatched: Vec<&str> = answers
        .iter()
        .filter(|(_, answer)| answer.watchdog_seconds == Some(0.0))
        .map(|(name, _)| name.as_str())
        .collect();
    if unwatched.is_empty() {
        return Vec::new();
    }
    let message = format!("nothing ends a frozen agent on {}", unwatched.join(", "));
    let hint = "run the agent as a service: quorate service install; see docs/concepts/what-can-be-lost.md";
    // Nothing acknowledged is lost by it then.
    vec![if super::safety::is_synchronous(view) {
        Finding::hint("doctor-watchdog", CLUSTER, message, hint)
    } else {
        Finding::warning("doctor-watchdog", CLUSTER, message, hint)
    }]
}

pub fn keys(facts: &Facts) -> Vec<Finding> {
    let unreadable = facts.cluster.iter().flat_map(|cluster| cluster.view.unreadable.iter());
    let finding = |(key, why): (&String, &String)| {
        let message = format!("the key '{key}' of the store cannot be read: {why}");
        Finding::warning("doctor-unreadable-key", CLUSTER, message, "who wrote it? correct it, or delete it")
    };
    unreadable.map(finding).collect()
}

pub fn bytes(count: u64) -> String {
    const MB: f64 = 1024.0 * 1024.0;
    format!("{:.1} MB", count as f64 / MB)
}
