//! How far the members have come, as this server's own member sees it through its REST API.

use super::bridge::Home;
use crate::certificates::{client_files, http_client};
use futures_util::future::join_all;
use plan::{Member, Plan};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;
use tls::{ClientTls, HTTP1};
use tokio::net::TcpStream;
use tokio::time::timeout;
use types::MemberName;

/// The page asks every second or so, and a member that lives answers at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// A store that runs takes connections at once.
const STORE_PATIENCE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Nothing was heard of it.
    Waiting,
    /// Its store takes part, or its agent has told of itself.
    Arrived,
    /// Its PostgreSQL gets its first copy.
    Copying,
    /// It does everything that was planned for it.
    Ready,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Arriving {
    pub name: MemberName,
    pub step: Step,
    /// A few words for each part.
    pub detail: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct Progress {
    /// This server's member answers.
    pub answers: bool,
    pub members: Vec<Arriving>,
    /// Everybody is ready.
    pub complete: bool,
    /// The web console of this member.
    pub console: Option<String>,
}

pub async fn look(home: &Home, plan: &Plan) -> Progress {
    let member = home.member().ok();
    let console = member.as_ref().and_then(config::MemberConfig::console_url);
    let overview = match member {
        Some(member) => overview(&member).await,
        None => None,
    };
    // Before this server's member answers nothing is known of the others.
    let seen = overview.clone().unwrap_or_default();
    let stores = join_all(plan.members.iter().map(|member| store_answers(plan, member))).await;
    let of = |(member, store): (&Member, bool)| arriving(plan, member, &seen, store && overview.is_some());
    let members: Vec<Arriving> = plan.members.iter().zip(stores).map(of).collect();
    let complete = overview.is_some() && members.iter().all(|member| member.step == Step::Ready);
    Progress { answers: overview.is_some(), members, complete, console }
}

async fn overview(member: &config::MemberConfig) -> Option<Value> {
    let tls = ClientTls::open(client_files(&member.ctl.tls), &[HTTP1]).ok()?;
    let client = http_client(reqwest::Client::builder().no_proxy().timeout(PATIENCE), &tls).ok()?;
    let url = format!("https://{}/quorate/overview", member.restapi.connect_address);
    client.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()
}

/// A witness has no entry in the cluster's keys, so its store itself is asked whether it is there.
async fn store_answers(plan: &Plan, member: &Member) -> bool {
    let connecting = TcpStream::connect((member.address.as_str(), plan.ports.store_peers.0));
    member.votes() && matches!(timeout(STORE_PATIENCE, connecting).await, Ok(Ok(_)))
}

/// Reads one member off the overview; null: nobody was heard. `store`: its store takes connections.
fn arriving(plan: &Plan, member: &Member, overview: &Value, store: bool) -> Arriving {
    let name = member.name.as_str();
    let named = |list: &Value| list.as_array().and_then(|all| all.iter().find(|it| it["name"] == name).cloned());
    let mut parts: Vec<(Step, String)> = Vec::new();
    if member.votes() {
        parts.push(if store { (Step::Ready, "store".into()) } else { (Step::Waiting, "store: not seen yet".into()) });
    }
    if member.has_database() {
        parts.push(match named(&overview["members"]) {
            None => (Step::Waiting, "PostgreSQL: not seen yet".to_owned()),
            Some(entry) => postgresql(&entry, overview),
        });
    }
    if member.has_cache() {
        let group =
            overview["redis"].as_array().and_then(|all| all.iter().find(|it| it["name"] == plan.scope.as_str()));
        parts.push(match group.and_then(|group| named(&group["members"])) {
            None => (Step::Waiting, "Redis: not seen yet".to_owned()),
            Some(server) if server["role"] == "master" => (Step::Ready, "Redis master".to_owned()),
            Some(server) if server["state"] == "streaming" => (Step::Ready, "Redis replica".to_owned()),
            Some(server) => (Step::Arrived, format!("Redis: {}", server["state"].as_str().unwrap_or("starting"))),
        });
    }
    let least = parts.iter().map(|(step, _)| *step).min().unwrap_or(Step::Waiting);
    let most = parts.iter().map(|(step, _)| *step).max().unwrap_or(Step::Waiting);
    let copying = parts.iter().any(|(step, _)| *step == Step::Copying);
    let step = match (least, most) {
        _ if copying => Step::Copying,
        (Step::Waiting, Step::Waiting) => Step::Waiting,
        (Step::Waiting, _) => Step::Arrived,
        (least, _) => least,
    };
    let detail = if step == Step::Waiting {
        String::new()
    } else {
        parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" · ")
    };
    Arriving { name: member.name.clone(), step, detail }
}

fn postgresql(entry: &Value, overview: &Value) -> (Step, String) {
    let state = entry["state"].as_str().unwrap_or("starting").to_owned();
    if overview["leader"] == entry["name"] {
        let step = if overview["writable"] == true { Step::Ready } else { Step::Arrived };
        return (step, if step == Step::Ready { "primary".to_owned() } else { format!("PostgreSQL: {state}") });
    }
    if entry["streaming"] == true {
        return (Step::Ready, "replica".to_owned());
    }
    let step = if state.contains("creating replica") { Step::Copying } else { Step::Arrived };
    (step, format!("PostgreSQL: {state}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::Role;
    use serde_json::json;

    #[test]
    fn a_member_is_as_far_as_the_slowest_of_its_parts() {
        let mut plan = Plan::new("shop");
        plan.members = vec![
            Member::new("a", "10.0.0.1", &[Role::Database, Role::Store, Role::Cache]),
            Member::new("b", "10.0.0.2", &[Role::Database, Role::Store]),
            Member::new("w", "10.0.0.3", &[Role::Witness]),
            Member::new("late", "10.0.0.4", &[Role::Database]),
        ];
        let overview = json!({
            "leader": "a", "writable": true,
            "members": [
                {"name": "a", "state": "running", "streaming": false},
                {"name": "b", "state": "creating replica", "streaming": false},
            ],
            "redis": [{"name": "shop", "members": [{"name": "a", "role": "slave", "state": "loading"}]}],
        });
        let of = |overview: &Value, store: bool| {
            plan.members
                .iter()
                .map(|it| arriving(&plan, it, overview, store))
                .map(|it| (it.step, it.detail))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of(&overview, true),
            [
                (Step::Arrived, "store · primary · Redis: loading".to_owned()),
                (Step::Copying, "store · PostgreSQL: creating replica".to_owned()),
                (Step::Ready, "store".to_owned()),
                (Step::Waiting, String::new()),
            ]
        );
        assert!(of(&Value::Null, false).iter().all(|it| it.0 == Step::Waiting));
    }
}
