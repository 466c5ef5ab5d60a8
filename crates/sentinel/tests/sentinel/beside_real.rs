//! One of ours and a real one watch the same master: what they answer is the same.

use crate::support::process::{Group, Real, wait_until_known};
use crate::support::{Ours, ask, field, text};
use resp::Value;

fn lines(master: u16) -> String {
    format!(
        "sentinel monitor db1 127.0.0.1 {master} 2\nsentinel down-after-milliseconds db1 5000\nsentinel failover-timeout db1 45000"
    )
}

/// Names of the fields of one instance, in order.
fn names(value: &Value) -> Vec<String> {
    value.as_pairs().expect("pairs").iter().map(|(name, _)| text(name)).collect()
}

#[tokio::test]
async fn masters_replicas_and_sentinels_are_described_alike() {
    let group = Group::start("").await;
    let real = Real::start(&lines(group.master.port));
    let ours = Ours::start(&lines(group.master.port));
    wait_until_known(real.port, "db1", 2, 1).await;
    wait_until_known(ours.port, "db1", 2, 1).await;
    // Values that are not times, and are the same for whoever looks.
    const SAME: [&str; 14] = [
        "name",
        "ip",
        "port",
        "runid",
        "role-reported",
        "down-after-milliseconds",
        "config-epoch",
        "num-slaves",
        "num-other-sentinels",
        "quorum",
        "failover-timeout",
        "parallel-syncs",
        "master-host",
        "slave-priority",
    ];
    for command in ["SENTINEL MASTERS", "SENTINEL REPLICAS db1", "SENTINEL SENTINELS db1"] {
        let sorted = |value: Value| {
            let mut items = value.as_array().expect("an array").to_vec();
            items.sort_by_key(|item| field(item, "port"));
            items
        };
        let (theirs, mine) = (sorted(ask(real.port, command).await), sorted(ask(ours.port, command).await));
        assert_eq!(theirs.len(), mine.len(), "{command}");
        for (theirs, mine) in theirs.iter().zip(&mine) {
            assert_eq!(names(theirs), names(mine), "{command}");
            if command == "SENTINEL SENTINELS db1" {
                continue;
            }
            for name in SAME {
                assert_eq!(field(theirs, name), field(mine, name), "{command}: {name}");
            }
        }
    }
    // Without what only Redis 7.2 has: several names in CONFIG GET and SET, and `loglevel` there.
    let mut different = Vec::new();
    for command in [
        "SENTINEL CKQUORUM db1",
        "SENTINEL GET-MASTER-ADDR-BY-NAME db1",
        "SENTINEL GET-MASTER-ADDR-BY-NAME nobody",
        "SENTINEL MASTER nobody",
        "SENTINEL MASTER",
        "SENTINEL nonsense",
        "SENTINEL SET db1 quorum x",
        "SENTINEL SET db1 nonsense x",
        "SENTINEL SET nobody quorum 1",
        "SENTINEL SET db1 notification-script /bin/true",
        "SENTINEL MONITOR db1 127.0.0.1 1 1",
        "SENTINEL MONITOR x 127.0.0.1 1 0",
        "SENTINEL MONITOR x 127.0.0.1 x 1",
        "SENTINEL MONITOR x nonsense 1 1",
        "SENTINEL REMOVE nobody",
        "SENTINEL RESET nobody*",
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *",
        "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *",
        "SENTINEL CONFIG GET *s*",
        "SENTINEL CONFIG SET nonsense 1",
        "SENTINEL CONFIG SET announce-port x",
        "SENTINEL CONFIG SET resolve-hostnames maybe",
        "SENTINEL DEBUG nonsense 1",
        "SENTINEL DEBUG info-period x",
        "SENTINEL SIMULATE-FAILURE help",
        "SENTINEL SIMULATE-FAILURE nonsense",
        "SENTINEL PENDING-SCRIPTS",
        "SENTINEL FAILOVER nobody",
        "ROLE",
        "PING",
        "PING a",
        "PING a b",
        "PUBLISH a b",
        "PUBLISH __sentinel__:hello nonsense",
        "COMMAND COUNT",
        "NONSENSE a b c",
        "CLIENT GETNAME",
        "CLIENT SETNAME \"a b\"",
        "CLIENT KILL 1.1.1.1:1",
        "CLIENT NONSENSE",
        "CLIENT REPLY nonsense",
        "CLIENT CACHING yes",
        "CLIENT GETREDIR",
        "ACL WHOAMI",
        "ACL LIST",
        "ACL GETUSER default",
        "ACL GETUSER nobody",
        "ACL CAT nonsense",
        "ACL DELUSER default",
        "ACL SETUSER x nonsense",
        "ACL SETUSER x +nonsense",
        "ACL SETUSER x +@nonsense",
        "ACL LOAD",
        "ACL LOG",
        "AUTH x",
        "AUTH x y",
        "AUTH x y z",
        "HELLO 4",
        "HELLO x",
        "HELLO 2 NONSENSE",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "UNSUBSCRIBE a",
        "SUBSCRIBE a",
        "PSUBSCRIBE a*",
        "SHUTDOWN nonsense",
        "INFO nonsense",
    ] {
        let (theirs, mine) = (text(&ask(real.port, command).await), text(&ask(ours.port, command).await));
        if theirs != mine {
            different.push(format!("{command}\n  real: {theirs}\n  ours: {mine}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}
