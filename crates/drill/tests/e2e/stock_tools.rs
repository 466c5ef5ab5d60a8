//! Programs that were made for etcd and for Patroni, as their makers ship them, on our store and our members.

use super::support::{Done, Running, World, download, eventually, options, run};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn etcdctl_and_patronictl_work_as_on_etcd_and_patroni() {
    run(async {
        let mut world = World::whole(options("stock-tools", 10)).await;
        etcdctl_stores_and_finds(&world);
        etcdctl_watches(&world).await;
        etcdctl_leases(&world).await;
        etcdctl_compares_and_sets(&world);
        etcdctl_asks_how_it_is(&world);
        patronictl_shows_and_switches(&mut world).await;
    });
}

fn etcdctl_stores_and_finds(world: &World) {
    assert_eq!(world.etcdctl(&["put", "/t/a", "1"]).ok(), "OK\n");
    assert_eq!(world.etcdctl(&["put", "/t/b", "2"]).ok(), "OK\n");
    assert_eq!(world.etcdctl(&["get", "/t/a"]).ok(), "/t/a\n1\n");
    assert_eq!(world.etcdctl(&["put", "--prev-kv", "/t/a", "3"]).ok(), "OK\n/t/a\n1\n");
    assert_eq!(
        world.etcdctl(&["get", "--prefix", "--order=DESCEND", "--sort-by=KEY", "/t/"]).ok(),
        "/t/b\n2\n/t/a\n3\n"
    );
    assert_eq!(world.etcdctl(&["get", "--prefix", "--limit=1", "--print-value-only", "/t/"]).ok(), "3\n");
    let found: Value = serde_json::from_str(&world.etcdctl(&["get", "-w", "json", "/t/a"]).ok()).unwrap();
    let (kv, revision) = (&found["kvs"][0], found["header"]["revision"].as_i64().unwrap());
    assert_eq!(kv["version"], 2, "{found}");
    assert!(kv["create_revision"].as_i64() < kv["mod_revision"].as_i64(), "{found}");
    assert!(kv["mod_revision"].as_i64().unwrap() <= revision, "{found}");
    let before = kv["create_revision"].to_string();
    assert_eq!(world.etcdctl(&["get", "--rev", &before, "--print-value-only", "/t/a"]).ok(), "1\n");
    assert_eq!(world.etcdctl(&["del", "/t/b"]).ok(), "1\n");
    assert_eq!(world.etcdctl(&["get", "/t/b"]).ok(), "");
}

async fn etcdctl_watches(world: &World) {
    let revision: Value = serde_json::from_str(&world.etcdctl(&["put", "-w", "json", "/w/a", "past"]).ok()).unwrap();
    let revision = revision["header"]["revision"].to_string();
    let mut command = world.etcdctl_command();
    command.args(["watch", "--prefix", "--prev-kv", "--rev", &revision, "/w/"]);
    let watch = Running::start(command);
    watch.prints("past").await;
    world.etcdctl(&["put", "/w/b", "present"]).ok();
    watch.prints("present").await;
    world.etcdctl(&["del", "/w/b"]).ok();
    watch.prints("DELETE").await;
}

async fn etcdctl_leases(world: &World) {
    let granted = world.etcdctl(&["lease", "grant", "2"]).ok();
    let short = granted.split_whitespace().nth(1).unwrap().to_owned();
    let granted = world.etcdctl(&["lease", "grant", "600"]).ok();
    assert!(granted.contains("granted with TTL(600s)"), "{granted}");
    let long = granted.split_whitespace().nth(1).unwrap();
    world.etcdctl(&["put", "--lease", &short, "/l/short", "x"]).ok();
    world.etcdctl(&["put", "--lease", long, "/l/long", "x"]).ok();
    assert!(world.etcdctl(&["lease", "keep-alive", "--once", long]).ok().contains("keepalived with TTL(600)"));
    let left = world.etcdctl(&["lease", "timetolive", "--keys", long]).ok();
    assert!(left.contains("granted with TTL(600s)") && left.contains("/l/long"), "{left}");
    assert!(world.etcdctl(&["lease", "list"]).ok().contains(long));
    eventually("the short lease has run out", async || {
        world.etcdctl(&["get", "/l/short"]).ok().is_empty().then_some(())
    })
    .await;
    assert!(world.etcdctl(&["lease", "revoke", long]).ok().contains("revoked"));
    assert_eq!(world.etcdctl(&["get", "--prefix", "/l/"]).ok(), "");
}

fn etcdctl_compares_and_sets(world: &World) {
    world.etcdctl(&["put", "/x", "old"]).ok();
    for (expected, said) in [("old", "SUCCESS"), ("old", "FAILURE")] {
        let mut command = world.etcdctl_command();
        let mut child = command.arg("txn").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let text = format!("value(\"/x\") = \"{expected}\"\nmod(\"/x\") > \"0\"\n\nput /x new\nget /x\n\nget /x\n\n");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && printed.starts_with(said) && printed.contains("/x\nnew"), "{printed}");
    }
}

fn etcdctl_asks_how_it_is(world: &World) {
    let status: Vec<Value> = serde_json::from_str(&world.etcdctl(&["endpoint", "status", "-w", "json"]).ok()).unwrap();
    let leaders: Vec<&Value> = status.iter().map(|member| &member["Status"]["leader"]).collect();
    assert_eq!(status.len(), 3);
    assert!(leaders.iter().all(|leader| *leader == leaders[0] && leader.as_u64().unwrap() > 0), "{status:?}");
    let ids = status.iter().map(|member| &member["Status"]["header"]["member_id"]);
    assert_eq!(ids.filter(|id| *id == leaders[0]).count(), 1, "{status:?}");
    let health: Vec<Value> = serde_json::from_str(&world.etcdctl(&["endpoint", "health", "-w", "json"]).ok()).unwrap();
    assert!(health.len() == 3 && health.iter().all(|member| member["health"] == json!(true)), "{health:?}");
    let members = world.etcdctl(&["member", "list"]).ok();
    let second = format!("pg2, http://{}:2380", world.named("pg2").address);
    assert!(members.lines().count() == 3 && members.contains(&second), "{members}");
}

async fn patronictl_shows_and_switches(world: &mut World) {
    let (leader, others) = world.roles().await;
    let hosts: Vec<String> = world.members().iter().map(|member| format!("'{}:2379'", member.address)).collect();
    let config = world.options().directory.join("patronictl.yml");
    std::fs::write(&config, format!("scope: demo\nname: ctl\netcd3: {{hosts: [{}]}}\n", hosts.join(", "))).unwrap();
    let program = download("patroni").join("bin/patronictl");
    let patronictl = |arguments: &[&str]| Done::of(Command::new(&program).arg("-c").arg(&config).args(arguments));

    let listed: Vec<Value> = serde_json::from_str(&patronictl(&["list", "-f", "json"]).ok()).unwrap();
    let row = |name: &str| listed.iter().find(|row| row["Member"] == name).unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!((&row(&leader)["Role"], &row(&leader)["State"]), (&json!("Leader"), &json!("running")));
    for other in &others {
        assert_eq!((&row(other)["Role"], &row(other)["State"]), (&json!("Replica"), &json!("streaming")));
        assert_eq!(row(other)["TL"], 1);
    }
    // Line by line what our own command prints.
    assert_eq!(patronictl(&["list"]).ok().lines().next(), world.quorate("pg1", &["list"]).ok().lines().next());
    assert!(patronictl(&["show-config"]).ok().contains("use_pg_rewind: true"));
    patronictl(&["edit-config", "--force", "-q", "-s", "postgresql.parameters.work_mem=9MB"]).ok();
    eventually("PostgreSQL knows", async || (world.ask(&leader, "show work_mem").await == "9MB").then_some(())).await;

    let said = patronictl(&["switchover", "demo", "--leader", &leader, "--candidate", &others[0], "--force"]).ok();
    assert!(said.contains(&format!("Successfully switched over to \"{}\"", others[0])), "{said}");
    assert_eq!(world.leader().await, others[0]);
    let history: Vec<Value> = eventually("the history is written", async || {
        let lines: Vec<Value> = serde_json::from_str(&patronictl(&["history", "-f", "json"]).ok()).unwrap();
        (!lines.is_empty()).then_some(lines)
    })
    .await;
    assert_eq!(history[0]["New Leader"], json!(others[0]));
    patronictl(&["pause", "--wait"]).ok();
    assert!(patronictl(&["list"]).ok().contains("Maintenance mode: on"));
    patronictl(&["resume", "--wait"]).ok();
    patronictl(&["restart", "demo", &leader, "--force"]).ok();
    patronictl(&["reinit", "demo", &others[1], "--force", "--wait"]).ok();
    assert!(patronictl(&["topology"]).ok().contains(&format!("+ {leader}")));
    assert_eq!(world.leader().await, others[0]);
}
