//! Why the master is the master, and what keeps the others from it.

use ha::cluster::Cluster;
use ha::redis::explain;
use serde_json::{Value, json};

/// `{leader: {name, because: [text]}, members: [{name, obstacles: [text]}]}`, as for PostgreSQL.
pub fn explanation(cluster: &Cluster, group: &str) -> Value {
    let explanation = explain(cluster, group);
    let because: Vec<String> = explanation.because.iter().map(ToString::to_string).collect();
    let members: Vec<Value> = explanation
        .members
        .iter()
        .map(|(name, obstacles)| {
            let obstacles: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
            json!({"name": name, "obstacles": obstacles})
        })
        .collect();
    json!({"leader": {"name": explanation.leader, "because": because}, "members": members})
}
