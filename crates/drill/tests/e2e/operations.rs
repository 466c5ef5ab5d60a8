//! What an operator does on a day without faults: everything through the command line and the REST API.

use super::support::{World, eventually, options, run};
use drill::member::{Part, ports};
use drill::writer;
use reqwest::Method;
use serde_json::{Value, json};

#[test]
fn an_operator_hands_over_configures_restarts_copies_and_pauses() {
    run(async {
        let mut world = World::whole(options("operations", 9)).await;
        the_leader_is_handed_over(&mut world).await;
        what_cannot_be_done_is_refused_with_a_reason(&mut world).await;
        the_state_is_explained(&mut world).await;
        parameters_reach_postgresql(&mut world).await;
        members_are_restarted(&mut world).await;
        a_replica_is_made_anew(&mut world).await;
        nothing_fails_over_in_pause(&mut world).await;
        a_strict_switchover_goes_to_the_synchronous_standby(&mut world).await;
    });
}

async fn the_leader_is_handed_over(world: &mut World) {
    let (old, others) = world.roles().await;
    let candidate = others.last().unwrap().clone();
    let said = world.quorate(&old, &["switchover", "--candidate", &candidate, "--force"]).ok();
    assert!(said.contains(&format!("Successfully switched over to \"{candidate}\"")), "{said}");
    let view = world.whole_again().await;
    assert_eq!(view.leader().unwrap().name, candidate);
    assert_eq!(view.leader().unwrap().timeline, Some(2));
    only_the_leader_keeps_log_for_others(world, &candidate).await;

    // Back, through the REST API of a member that does not lead.
    let (status, said) = world.post(&old, "/switchover", json!({ "leader": candidate, "candidate": old })).await;
    assert_eq!((status, said), (200, json!(format!("Successfully switched over to \"{old}\""))));
    assert_eq!(world.leader().await, old);
    only_the_leader_keeps_log_for_others(world, &old).await;

    let lines = eventually("the history has both", async || {
        let lines: Vec<Value> = serde_json::from_str(&world.quorate("pg1", &["history", "-f", "json"]).ok()).unwrap();
        (lines.len() == 2).then_some(lines)
    })
    .await;
    let leaders: Vec<(&Value, &Value)> = lines.iter().map(|line| (&line["TL"], &line["New Leader"])).collect();
    assert_eq!(leaders, [(&json!(1), &json!(candidate)), (&json!(2), &json!(old))], "{lines:?}");
    let (status, history) = world.get(&old, "/history").await;
    assert_eq!((status, history.as_array().map(Vec::len)), (200, Some(2)), "{history}");
    assert_eq!(pending_restarts(world), [Value::Null, Value::Null, Value::Null]);
}

/// A slot that nobody reads from any more would fill the disk of a former leader.
async fn only_the_leader_keeps_log_for_others(world: &World, leader: &str) {
    for member in world.members() {
        let others = world.members().iter().map(|it| it.name.clone()).filter(|name| *name != member.name);
        let wanted: Vec<String> = if member.name == leader { others.collect() } else { Vec::new() };
        eventually(&format!("{} has slots for {wanted:?}", member.name), async || {
            let connection = writer::connect(&world.login(member, ports::POSTGRES)).await.ok()?;
            let text = "select slot_name from pg_replication_slots order by slot_name";
            let rows = connection.query(text, &[]).await.ok()?;
            (rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>() == wanted).then_some(())
        })
        .await;
    }
}

/// What each member's line in the table says about a restart.
fn pending_restarts(world: &World) -> Vec<Value> {
    let listed: Vec<Value> = serde_json::from_str(&world.quorate("pg1", &["list", "-f", "json"]).ok()).unwrap();
    listed.iter().map(|member| member["Pending restart"].clone()).collect()
}

async fn what_cannot_be_done_is_refused_with_a_reason(world: &mut World) {
    let (leader, others) = world.roles().await;
    for (arguments, code, reason) in [
        (&["switchover", "--candidate", "nobody", "--force"][..], 2, "Member nobody does not exist in cluster demo"),
        (&["switchover", "--leader", &others[0], "--force"], 2, "is not the leader of cluster demo"),
        (&["switchover", "--candidate", &leader, "--force"], 2, "is already the leader of cluster demo"),
        (&["failover", "--force"], 2, "only to a specific candidate"),
        (&["restart", "demo", "nobody", "--force"], 2, "nobody is not a member of cluster demo"),
        (&["edit-config", "-s", "ttl=soon", "--force"], 2, "ttl"),
        (&["edit-config", "-s", "tll=20", "--force"], 2, "did you mean 'ttl'?"),
        (&["resume"], 1, "Cluster is not paused"),
    ] {
        let said = world.quorate("pg1", arguments).failed(code);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    let (status, said) = world.post(&leader, "/switchover", json!({ "leader": leader, "candidate": "nobody" })).await;
    assert_eq!(status, 412, "{said}");
    let (status, said) = world.post(&others[0], "/reinitialize", json!("not what was expected")).await;
    assert_eq!(status, 400, "{said}");
    // A replica that may not lead is no candidate, whoever asks.
    assert_eq!(world.leader().await, leader);
}

async fn the_state_is_explained(world: &mut World) {
    let (leader, others) = world.roles().await;
    let said = world.quorate("pg1", &["explain"]).ok();
    assert!(said.contains(&format!("{leader} leads:")), "{said}");
    for other in &others {
        assert!(said.contains(&format!("{other} does not lead:")), "{said}");
    }
    let explained: Value = serde_json::from_str(&world.quorate("pg1", &["explain", "-o", "json"]).ok()).unwrap();
    assert_eq!(explained["leader"]["name"], json!(leader), "{explained}");
    for command in [&["topology"][..], &["show-config"], &["dsn"], &["version", "demo"], &["list", "-e", "-t"]] {
        let said = world.quorate("pg2", command).ok();
        assert!(!said.trim().is_empty(), "{command:?}");
    }
}

async fn parameters_reach_postgresql(world: &mut World) {
    // One that a reload is enough for, by command line; one that needs a restart, by REST API.
    world.quorate("pg1", &["edit-config", "-s", "postgresql.parameters.work_mem=7MB", "--force"]).ok();
    let change = json!({ "postgresql": { "parameters": { "max_connections": 120 } } });
    let (status, config) = world.rest(Method::PATCH, "pg2", "/config", Some(change)).await;
    assert_eq!((status, &config["postgresql"]["parameters"]["work_mem"]), (200, &json!("7MB")), "{config}");
    for member in ["pg1", "pg2", "pg3"] {
        eventually("the parameter is there", async || {
            (world.ask(member, "show work_mem").await == "7MB").then_some(())
        })
        .await;
    }
    eventually("all of them wait for a restart", async || (pending_restarts(world) == ["*", "*", "*"]).then_some(()))
        .await;
    let (_, status) = world.get("pg1", "/patroni").await;
    assert_eq!(status["pending_restart"], json!(true), "{status}");
    assert_eq!(status["pending_restart_reason"]["max_connections"]["new_value"], json!("120"), "{status}");
    let leader = world.leader().await;
    world.quorate("pg1", &["restart", "demo", "--pending", "--force"]).ok();
    assert_eq!(world.leader().await, leader, "a restart is not a failover");
    for member in ["pg1", "pg2", "pg3"] {
        assert_eq!(world.ask(member, "show max_connections").await, "120");
    }
    eventually("nobody waits for a restart", async || pending_restarts(world).iter().all(Value::is_null).then_some(()))
        .await;
    assert!(
        world.quorate("pg1", &["restart", "demo", "--pending", "--force"]).ok().contains("No member needs a restart")
    );
}

async fn members_are_restarted(world: &mut World) {
    let (leader, others) = world.roles().await;
    for member in [&leader, &others[0]] {
        let before = world.named(member).postmaster().unwrap().pid;
        world.quorate(member, &["restart", "demo", member, "--force"]).ok();
        assert_ne!(world.named(member).postmaster().unwrap().pid, before);
        assert_eq!(world.leader().await, leader);
    }
}

async fn a_replica_is_made_anew(world: &mut World) {
    let (leader, others) = world.roles().await;
    let replica = &others[1];
    let trace = world.named(replica).data_dir().join("a-trace-of-the-old-copy");
    std::fs::write(&trace, "").unwrap();
    let said = world.quorate(replica, &["reinit", "demo", replica, "--force", "--wait"]).ok();
    assert!(said.contains(&format!("Reinitialize is completed on: {replica}")), "{said}");
    assert!(!trace.exists(), "the data directory is still the old one");
    assert_eq!(world.leader().await, leader);
    let refused = world.quorate(replica, &["reinit", "demo", &leader, "--force"]).failed(2);
    assert!(refused.contains("No replica among provided members"), "{refused}");
}

async fn nothing_fails_over_in_pause(world: &mut World) {
    let view = world.whole_again().await;
    let leader = view.leader().unwrap().clone();
    let postmaster = world.named(&leader.name).postmaster().unwrap().pid;
    world.quorate("pg1", &["pause", "--wait"]).ok();
    assert!(world.quorate("pg1", &["list"]).ok().contains("Maintenance mode: on"));
    assert!(world.quorate("pg1", &["pause"]).failed(1).contains("already paused"));

    world.named(&leader.name).freeze(Part::Worker).unwrap();
    eventually("the frozen agent's lease is over", async || world.key("leader").is_empty().then_some(())).await;
    world.ask(&leader.name, "create table written_in_pause ()").await;
    world.named(&leader.name).resume(Part::Worker).unwrap();
    eventually("it has the leader key again", async || (world.key("leader") == leader.name).then_some(())).await;
    let worker = world.named(&leader.name).worker().unwrap().pid;
    world.named(&leader.name).kill_worker().unwrap();
    eventually("there is another worker", async || {
        let other = world.named(&leader.name).worker().is_some_and(|process| process.pid != worker);
        (other && world.answers(&leader.name).await).then_some(())
    })
    .await;
    world.quorate("pg1", &["resume", "--wait"]).ok();

    let after = world.whole_again().await;
    assert_eq!(after.leader(), Some(&leader));
    assert_eq!(world.named(&leader.name).postmaster().unwrap().pid, postmaster);
    let listed = world.quorate("pg1", &["list"]).ok();
    assert!(!listed.contains("Maintenance mode"), "{listed}");
}

async fn a_strict_switchover_goes_to_the_synchronous_standby(world: &mut World) {
    world
        .quorate(
            "pg1",
            &["edit-config", "-s", "synchronous_mode=true", "-s", "synchronous_mode_strict=true", "--force"],
        )
        .ok();
    let (leader, _) = world.roles().await;
    let standby = eventually("there is a synchronous standby", async || {
        let sync: Value = serde_json::from_str(&world.key("sync")).ok()?;
        sync["sync_standby"].as_str().filter(|name| !name.is_empty()).map(str::to_owned)
    })
    .await;
    let other = ["pg1", "pg2", "pg3"].into_iter().find(|name| *name != leader && *name != standby).unwrap();
    eventually("/sync tells", async || {
        let (sync, not) = (world.get(&standby, "/sync").await.0, world.get(other, "/sync").await.0);
        ((sync, not) == (200, 503)).then_some(())
    })
    .await;
    let (status, said) = world.post(&leader, "/switchover", json!({ "leader": leader, "candidate": other })).await;
    assert_eq!(status, 412, "it may lack acknowledged commits: {said}");
    world.quorate("pg1", &["switchover", "--force"]).ok();
    assert_eq!(world.leader().await, standby);
    assert_eq!(world.ask(&standby, "show synchronous_commit").await, "on");
}
