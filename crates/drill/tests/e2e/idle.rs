//! What the agent costs when nothing happens.

use super::support::{World, options_with_default_lease, run};
use drill::process::Process;
use std::time::{Duration, Instant};

/// What is promised for a release build. The development build has its checks on and is not optimised for size.
const MEMORY_MB_MAX: f64 = if cfg!(debug_assertions) { 60.0 } else { 30.0 };
const CPU_PERCENT_MAX: f64 = if cfg!(debug_assertions) { 3.0 } else { 1.0 };
/// Long enough for a few rounds of everything that happens regularly.
const WATCHED: Duration = Duration::from_secs(20);

#[test]
fn an_idle_member_needs_little_memory_and_next_to_no_processor() {
    run(async {
        let mut world = World::whole(options_with_default_lease("idle", 14)).await;
        world.whole_again().await;
        let agents: Vec<(String, Vec<Process>)> = world
            .members()
            .iter()
            .map(|member| (member.name.clone(), vec![member.guard().unwrap(), member.worker().unwrap()]))
            .collect();
        let before: Vec<f64> = agents.iter().map(|(_, processes)| processor_s(processes)).collect();
        let start = Instant::now();
        // The one sleep of these tests: it is what is measured.
        tokio::time::sleep(WATCHED).await;
        let watched = start.elapsed().as_secs_f64();
        let mut too_much = Vec::new();
        for ((name, processes), before) in agents.iter().zip(before) {
            let memory_mb: f64 = processes.iter().map(Process::resident_mb).sum();
            let percent = (processor_s(processes) - before) / watched * 100.0;
            println!("{name}: {memory_mb:.1} MB resident, {percent:.2} % of a core over {watched:.0} s");
            if memory_mb > MEMORY_MB_MAX || percent > CPU_PERCENT_MAX {
                too_much.push(name);
            }
        }
        assert!(too_much.is_empty(), "{too_much:?} need more than {MEMORY_MB_MAX} MB or {CPU_PERCENT_MAX} % of a core");
    });
}

fn processor_s(processes: &[Process]) -> f64 {
    processes.iter().map(Process::processor_s).sum()
}
