//! What the agent costs when nothing happens.

use super::support::{World, options_with_default_lease, run};
use drill::process::Process;
use std::fs;
use std::time::{Duration, Instant};

/// What is promised for a release build. The development build has its checks on and is not optimised for size.
const MEMORY_MB_MAX: f64 = if cfg!(debug_assertions) { 60.0 } else { 30.0 };
const CPU_PERCENT_MAX: f64 = if cfg!(debug_assertions) { 3.0 } else { 1.0 };
/// Long enough for a few rounds of everything that happens regularly.
const WATCHED: Duration = Duration::from_secs(20);
/// The kernel counts processor time in these, on every architecture Linux has today.
const TICKS_PER_SECOND: f64 = 100.0;

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
            let memory_mb: f64 = processes.iter().map(resident_mb).sum();
            let percent = (processor_s(processes) - before) / watched * 100.0;
            println!("{name}: {memory_mb:.1} MB resident, {percent:.2} % of a core over {watched:.0} s");
            if memory_mb > MEMORY_MB_MAX || percent > CPU_PERCENT_MAX {
                too_much.push(name);
            }
        }
        assert!(too_much.is_empty(), "{too_much:?} need more than {MEMORY_MB_MAX} MB or {CPU_PERCENT_MAX} % of a core");
    });
}

/// Processor time that the processes have used so far, in seconds.
fn processor_s(processes: &[Process]) -> f64 {
    let ticks = |process: &Process| -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap();
        let (_, after_name) = stat.rsplit_once(") ").unwrap();
        // After pid and name: utime and stime are the twelfth and thirteenth field.
        after_name.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
    };
    processes.iter().map(ticks).sum::<u64>() as f64 / TICKS_PER_SECOND
}

fn resident_mb(process: &Process) -> f64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
