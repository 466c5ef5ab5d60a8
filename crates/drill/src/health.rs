//! Is the cluster whole? Asked through the REST API, as monitoring would.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

use crate::certificates::{ADMIN, Certificates};

/// One question may take this long; a member that is frozen or down is passed over.
pub(crate) const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);

/// One member in the answer to `GET /cluster` (Patroni's format).
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct MemberView {
    pub name: String,
    pub role: String,
    pub state: String,
    #[serde(default)]
    pub timeline: Option<u32>,
    /// Bytes behind the leader, or a text when unknown. The leader has none.
    #[serde(default)]
    pub lag: Option<Value>,
}

/// The answer to `GET /cluster`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ClusterView {
    pub members: Vec<MemberView>,
}

impl ClusterView {
    /// That of a standby cluster, too.
    pub fn leader(&self) -> Option<&MemberView> {
        self.members.iter().find(|member| matches!(member.role.as_str(), "leader" | "standby_leader"))
    }

    /// What is missing to a whole cluster of `members`; `None` when nothing is.
    pub fn why_not_whole(&self, members: usize, synchronous: bool) -> Option<String> {
        let Some(leader) = self.leader() else { return Some("there is no leader".to_owned()) };
        let healthy = if leader.role == "leader" { "running" } else { "streaming" };
        if leader.state != healthy {
            return Some(format!("the leader {} is {}", leader.name, leader.state));
        }
        if self.members.len() != members {
            return Some(format!("{} of {members} members are known", self.members.len()));
        }
        let mut synchronous_standbys = 0;
        for member in &self.members {
            if member.name == leader.name {
                continue;
            }
            let MemberView { name, role, state, timeline, lag } = member;
            match role.as_str() {
                "sync_standby" | "quorum_standby" => synchronous_standbys += 1,
                "replica" => {}
                other => return Some(format!("{name} is a {other}")),
            }
            if state != "streaming" {
                return Some(format!("{name} is {state}, not streaming"));
            }
            if *timeline != leader.timeline {
                return Some(format!("{name} is on timeline {timeline:?}, the leader on {:?}", leader.timeline));
            }
            if lag.as_ref().and_then(Value::as_u64) != Some(0) {
                return Some(format!("{name} is behind ({})", lag.clone().unwrap_or_default()));
            }
        }
        if synchronous && synchronous_standbys == 0 {
            return Some("there is no synchronous standby".to_owned());
        }
        None
    }
}

/// `certificates`: for members that are asked over TLS.
pub(crate) fn http_client(certificates: Option<&Certificates>, timeout: Duration) -> Result<reqwest::Client> {
    match certificates {
        Some(certificates) => certificates.http(Some(ADMIN), timeout),
        None => reqwest::Client::builder().no_proxy().timeout(timeout).build().context("cannot make an HTTP client"),
    }
}

/// What one member says at `/cluster`.
pub(crate) async fn ask(http: &reqwest::Client, url: &str) -> Result<ClusterView> {
    Ok(http.get(url).send().await?.error_for_status()?.json().await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn view(replicas: &[Value]) -> ClusterView {
        let mut members = vec![json!({
            "name": "pg1", "role": "leader", "state": "running", "host": "127.0.0.11", "port": 5432, "timeline": 2,
            "api_url": "http://127.0.0.11:8008/patroni",
        })];
        members.extend_from_slice(replicas);
        serde_json::from_value(json!({ "members": members, "scope": "demo" })).unwrap()
    }

    #[test]
    fn whole_means_one_leader_and_all_others_streaming_without_lag_on_its_timeline() {
        let replica = |name: &str, changes: Value| {
            let mut replica = json!({ "name": name, "role": "replica", "state": "streaming", "timeline": 2, "lag": 0 });
            for (key, value) in changes.as_object().into_iter().flatten() {
                replica[key] = value.clone();
            }
            replica
        };
        let good = || replica("pg2", json!({}));
        let with = |changes: Value| view(&[good(), replica("pg3", changes)]);
        assert_eq!(with(json!({})).why_not_whole(3, false), None);
        assert_eq!(with(json!({ "role": "sync_standby" })).why_not_whole(3, true), None);
        for (view, synchronous, reason) in [
            (with(json!({})), true, "there is no synchronous standby"),
            (view(&[good()]), false, "2 of 3 members are known"),
            (with(json!({ "state": "running" })), false, "pg3 is running, not streaming"),
            (with(json!({ "timeline": 1 })), false, "pg3 is on timeline Some(1), the leader on Some(2)"),
            (with(json!({ "lag": 16 })), false, "pg3 is behind (16)"),
            (with(json!({ "lag": "unknown" })), false, "pg3 is behind (\"unknown\")"),
            (ClusterView { members: vec![] }, false, "there is no leader"),
        ] {
            assert_eq!(view.why_not_whole(3, synchronous).as_deref(), Some(reason));
        }
    }
}
