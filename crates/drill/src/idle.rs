//! What members cost when nothing happens.

use crate::cluster::Cluster;
use crate::process::Process;
use anyhow::{Context, Result};
use serde::Serialize;
use std::time::{Duration, Instant};

/// One member, without the servers it looks after.
#[derive(Clone, Debug, Serialize)]
pub struct Idle {
    pub member: String,
    /// Resident memory of both processes; what they share of the program file is counted in both.
    pub worker_mb: f64,
    pub guard_mb: f64,
    /// Of one core, both processes together.
    pub processor_percent: f64,
}

impl Idle {
    pub fn memory_mb(&self) -> f64 {
        self.worker_mb + self.guard_mb
    }
}

/// Looks at every member of a cluster at rest for so long. (The one place that waits for time alone: it is what is measured.)
pub async fn watch(cluster: &Cluster, watched: Duration) -> Result<Vec<Idle>> {
    let mut members = Vec::new();
    for member in cluster.members() {
        let processes = (member.worker().context("a worker")?, member.guard().context("a guard")?);
        members.push((member.name.clone(), processor_s(&processes), processes));
    }
    let start = Instant::now();
    tokio::time::sleep(watched).await;
    let elapsed = start.elapsed().as_secs_f64();
    let idle = members.into_iter().map(|(member, before, processes)| Idle {
        member,
        worker_mb: processes.0.resident_mb(),
        guard_mb: processes.1.resident_mb(),
        processor_percent: (processor_s(&processes) - before) / elapsed * 100.0,
    });
    Ok(idle.collect())
}

fn processor_s((worker, guard): &(Process, Process)) -> f64 {
    worker.processor_s() + guard.processor_s()
}
