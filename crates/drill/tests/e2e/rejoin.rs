//! A primary that dies with writes nobody else has comes back without them: rewound, or copied anew.

use super::support::{World, eventually, options, run};
use drill::process::Process;
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

#[test]
fn a_primary_with_writes_of_its_own_is_rewound_or_copied_anew() {
    run(async {
        let mut options = options("rejoin", 13);
        // Each of the two failovers waits for the lease to end.
        options.overrides["bootstrap"]["dcs"]["ttl"] = json!(3);
        let mut world = World::whole(options).await;
        let leader = world.leader().await;
        world.ask(&leader, "create table t (who text primary key)").await;

        let rewound = dies_with_a_write_of_its_own(&mut world, "first").await;
        comes_back_without(&mut world, &rewound, "first").await;
        assert!(log(&world, &rewound).contains("the data directory was rewound"), "it was not rewound");
        assert!(!aside(&world, &rewound), "a rewound directory stays in its place");

        world.quorate("pg1", &["edit-config", "-s", "postgresql.use_pg_rewind=false", "--force"]).ok();
        let copied = dies_with_a_write_of_its_own(&mut world, "second").await;
        comes_back_without(&mut world, &copied, "second").await;
        assert!(log(&world, &copied).contains("use_pg_rewind is off"), "it does not say why it was not rewound");
        assert!(aside(&world, &copied), "the old directory is kept for a person to look at");
    });
}

fn log(world: &World, member: &str) -> String {
    std::fs::read_to_string(world.named(member).log_file()).unwrap()
}

fn aside(world: &World, member: &str) -> bool {
    world.named(member).directory.join("data.failed").is_dir()
}

/// Writes a row that reaches no replica, and kills the leader's host. Returns the leader's name; another one leads then.
async fn dies_with_a_write_of_its_own(world: &mut World, row: &str) -> String {
    let (old, others) = world.roles().await;
    world.ask(&old, &format!("insert into t values ('everybody has {row}')")).await;
    for other in &others {
        let sql = format!("select count(*) from t where who like '%{row}'");
        eventually("the replica has it", async || {
            world.try_ask(other, 5432, &sql).await.is_ok_and(|count| count == "1").then_some(())
        })
        .await;
    }
    let senders = senders(world, &old);
    assert_eq!(senders.len(), 2, "{senders:?}");
    for process in &senders {
        assert!(process.signal(Signal::STOP));
    }
    // Committed at once: replication is asynchronous.
    world.ask(&old, &format!("insert into t values ('only one has {row}')")).await;
    world.member_mut(&old).unwrap().kill().unwrap();
    eventually("another member leads and takes writes", async || {
        let view = world.view().await.ok()?;
        let leader = view.leader().filter(|leader| leader.name != old && leader.state == "running")?;
        let sql = format!("insert into t values ('the new one has {row}')");
        tokio::time::timeout(Duration::from_secs(20), world.try_ask(&leader.name, 5432, &sql)).await.ok()?.ok()
    })
    .await;
    old
}

/// The processes that send a primary's WAL to the replicas.
fn senders(world: &World, member: &str) -> Vec<Process> {
    let is_sender = |process: &Process| process.arguments().iter().any(|word| word.contains("walsender"));
    world.named(member).processes().into_iter().filter(is_sender).collect()
}

async fn comes_back_without(world: &mut World, member: &str, row: &str) {
    world.member_mut(member).unwrap().start().unwrap();
    let view = world.whole_again().await;
    assert_ne!(view.leader().unwrap().name, member);
    for member in ["pg1", "pg2", "pg3"] {
        let sql = format!("select string_agg(who, ', ' order by who) from t where who like '%{row}'");
        assert_eq!(world.ask(member, &sql).await, format!("everybody has {row}, the new one has {row}"), "{member}");
    }
}
