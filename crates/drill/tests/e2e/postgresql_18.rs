//! The same with the newest PostgreSQL: nothing rests on the distribution's version.

use super::faults::meet;
use super::support::{Done, World, download, options_with_default_lease, run};
use drill::scenario::Scenario;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[test]
fn postgresql_18_bootstraps_switches_over_and_survives_the_loss_of_a_host() {
    run(async {
        let fetched = download("postgresql-18");
        let copied = tempfile::tempdir().unwrap();
        let mut options = options_with_default_lease("postgresql-18", 15);
        options.synchronous = true;
        options.postgres_bin = Some(if everybody_may_enter(&fetched) {
            fetched.join("bin")
        } else {
            // A checkout in somebody's home is closed to the user that PostgreSQL runs as.
            std::fs::set_permissions(copied.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
            Done::of(Command::new("cp").arg("-r").arg(&fetched).arg(copied.path())).ok();
            copied.path().join("postgresql-18/bin")
        });
        let mut world = World::whole(options).await;
        let leader = world.leader().await;
        let version = world.ask(&leader, "show server_version").await;
        assert!(version.starts_with("18."), "{version}");
        for scenario in [Scenario::Switchover, Scenario::KillHost] {
            let report = meet(&mut world, scenario).await;
            assert_eq!(report.outcome.acked_lost, 0, "{report:?}");
            assert_eq!(report.outcome.split_brain_writes, 0, "{report:?}");
        }
    });
}

fn everybody_may_enter(path: &Path) -> bool {
    path.ancestors().all(|place| std::fs::metadata(place).is_ok_and(|about| about.permissions().mode() & 0o001 != 0))
}
