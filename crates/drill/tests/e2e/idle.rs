//! What the agent costs when nothing happens.

use super::support::{World, options_with_default_lease, run};
use drill::idle::{Idle, watch};
use std::time::Duration;

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
        let members = watch(&world, WATCHED).await.unwrap();
        println!("{members:?}");
        let costs_too_much = |one: &Idle| one.memory_mb() > MEMORY_MB_MAX || one.processor_percent > CPU_PERCENT_MAX;
        let too_much: Vec<&Idle> = members.iter().filter(|one| costs_too_much(one)).collect();
        assert!(too_much.is_empty(), "{too_much:?} need more than {MEMORY_MB_MAX} MB or {CPU_PERCENT_MAX} % of a core");
    });
}
