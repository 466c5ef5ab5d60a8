//! A Redis that its agent cannot use, and a permission that nobody needs: what a person is told of it, wherever he looks.

use super::redis_support::RedisWorld;
use super::support::{eventually, run};
use serde_json::{Value, json};
use std::net::SocketAddr;

#[test]
fn a_redis_that_cannot_be_used_is_shown_as_such_with_the_reason() {
    run(async {
        let mut world = RedisWorld::whole("redis-trouble", 28).await;
        let master = world.redis_master().await;
        let name = world.redis_member(master).unwrap().name.clone();
        let replica = world.members().iter().map(|member| member.name.clone()).find(|other| *other != name).unwrap();
        a_healthy_replica_needs_no_permission(&world, &name, &replica);
        a_changed_password_is_seen_everywhere(&mut world, master, &name).await;
        a_directive_that_redis_does_not_know_is_named(&mut world, &replica).await;
    });
}

fn a_healthy_replica_needs_no_permission(world: &RedisWorld, master: &str, replica: &str) {
    let refused = |member: &str| world.quorate(member, &["redis", "overwrite", member, "--force"]).failed(2);
    assert!(refused(replica).contains("does not wait for a permission"), "{}", refused(replica));
    assert!(refused(master).contains("there is nobody to copy from"), "{}", refused(master));
    let said = world.quorate(master, &["redis", "failover", "--candidate", master]).failed(2);
    assert!(said.contains("is the master already"), "{said}");
    let explained = world.quorate(replica, &["redis", "explain"]).ok();
    assert!(explained.contains(&format!("On {master} now:")), "{explained}");
}

async fn a_changed_password_is_seen_everywhere(world: &mut RedisWorld, master: SocketAddr, name: &str) {
    let mut login = world.redis_at(master);
    login.ask(&["CONFIG", "SET", "requirepass", "another"]).await.unwrap();
    login.password = Some("another".to_owned());
    // Whoever is connected stays signed in; the agent comes anew.
    login.ask(&["CLIENT", "KILL", "TYPE", "normal"]).await.unwrap();
    eventually("the list shows it", async || {
        world.quorate(name, &["redis", "list"]).ok().contains("refusing").then_some(())
    })
    .await;
    let explained = world.quorate(name, &["explain"]).ok();
    assert!(explained.contains("WRONGPASS") && explained.contains("CONFIG SET requirepass"), "{explained}");
    assert!(!explained.contains("Redis accepts writes\n"), "{explained}");
    let said = world.quorate(name, &["redis", "switchover", "--force"]).failed(2);
    assert!(said.contains("cannot hand over: Redis refuses its own agent"), "{said}");
    let (health, told) = world.get(name, "/redis/health").await;
    assert_eq!(health, 503, "{told}");
    assert!(told["trouble"].as_str().is_some_and(|why| why.contains("WRONGPASS")), "{told}");
    let (_, metrics) = world.get(name, "/metrics").await;
    let up = metrics.as_str().unwrap().lines().find(|line| line.starts_with("quorate_redis_up{")).unwrap().to_owned();
    assert!(up.ends_with(" 0"), "{up}");

    let password = world.password().to_owned();
    login.ask(&["CONFIG", "SET", "requirepass", &password]).await.unwrap();
    assert_eq!(world.redis_master().await, master, "nothing has moved");
    eventually("the list shows that it is over", async || {
        (!world.quorate(name, &["redis", "list"]).ok().contains("refusing")).then_some(())
    })
    .await;
}

async fn a_directive_that_redis_does_not_know_is_named(world: &mut RedisWorld, name: &str) {
    let file = world.named(name).config_file.clone();
    let good = std::fs::read_to_string(&file).unwrap();
    let mut config: Value = serde_saphyr::from_str(&good).unwrap();
    config["redis"]["parameters"] = json!({ "nonsense": "s3cret" });
    std::fs::write(&file, serde_saphyr::to_string(&config).unwrap()).unwrap();
    restart(world, name);
    let log = world.named(name).directory.join("redis.log").display().to_string();
    let explained = eventually("it is explained", async || {
        let explained = world.quorate(name, &["redis", "explain"]).out;
        explained.contains("(directive 'nonsense')").then_some(explained)
    })
    .await;
    assert!(explained.contains(&log) && !explained.contains("s3cret"), "{explained}");
    let agents = std::fs::read_to_string(world.named(name).log_file()).unwrap();
    assert!(agents.contains("(directive 'nonsense')") && !agents.contains("s3cret"));
    std::fs::write(&file, good).unwrap();
    restart(world, name);
    world.redis_master().await;
}

fn restart(world: &mut RedisWorld, name: &str) {
    let member = world.member_mut(name).unwrap();
    member.kill().unwrap();
    member.start().unwrap();
}
