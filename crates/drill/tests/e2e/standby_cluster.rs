//! A standby cluster beside the cluster it follows: its leader is lost and replaced, hands over, and it becomes a cluster on its
//! own and a standby cluster again, all without a copy by hand.

use crate::support::{World, eventually, options, options_with_default_lease, run};
use drill::member::ports;
use drill::writer;
use serde_json::{Value, json};
use std::time::Duration;

const DEMOTION_MAX: Duration = Duration::from_secs(60);

/// Both clusters have the roles, and so the passwords, of the first.
struct Pair {
    primary: World,
    standby: World,
}

impl Pair {
    async fn start() -> Self {
        let mut options_of_primary = options("standby-of", 71);
        options_of_primary.members = 1;
        let mut primary = World::starting(options_of_primary);
        let mut options = options_with_default_lease("standby", 72);
        options.witness = true;
        let login = |user: &str| json!({ "username": user, "password": primary.password() });
        let with_data = json!({
            "bootstrap": { "dcs": { "standby_cluster": remote(&primary) } },
            "postgresql": { "authentication": {
                "superuser": login("postgres"), "replication": login("replicator"), "rewind": login("rewind"),
            } },
        });
        options.overrides_of.extend([(0, with_data.clone()), (1, with_data)]);
        primary.whole_again().await;
        Self { standby: World::whole(options).await, primary }
    }

    /// On a member of the standby cluster.
    async fn ask(&self, member: &str, question: &str) -> anyhow::Result<String> {
        let login = self.primary.login(self.standby.named(member), ports::POSTGRES);
        for message in writer::connect(&login).await?.simple_query(question).await? {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                return Ok(row.get(0).unwrap_or_default().to_owned());
            }
        }
        Ok(String::new())
    }

    /// A row is written at the primary and arrives at these members.
    async fn arrives(&self, row: u32, members: &[&str]) {
        self.primary.ask("pg1", &format!("insert into t values ({row})")).await;
        for member in members {
            eventually(&format!("row {row} arrives at {member}"), async || {
                let found = self.ask(member, &format!("select count(*) from t where row = {row}")).await;
                (found.ok()? == "1").then_some(())
            })
            .await;
        }
    }

    async fn role(&self, member: &str) -> String {
        let (_, cluster) = self.standby.get(member, "/cluster").await;
        let members = cluster["members"].as_array().cloned().unwrap_or_default();
        let mine = members.iter().find(|one| one["name"] == member);
        mine.and_then(|one| one["role"].as_str()).unwrap_or_default().to_owned()
    }

    async fn set_standby_cluster(&self, member: &str, value: Value) {
        let change = json!({ "standby_cluster": value });
        let (status, answer) = self.standby.rest(reqwest::Method::PATCH, member, "/config", Some(change)).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn remote(primary: &World) -> Value {
    json!({ "host": primary.named("pg1").address, "port": ports::POSTGRES })
}

#[test]
fn a_standby_cluster_follows_is_promoted_and_follows_again() {
    run(async {
        let mut pair = Pair::start().await;
        pair.primary.ask("pg1", "create table t (row int)").await;
        let (leader, others) = pair.standby.roles().await;
        let other = others.into_iter().find(|name| name != "pg3").unwrap();
        pair.arrives(1, &[&leader, &other]).await;
        assert_eq!(pair.standby.key("initialize"), pair.primary.key("initialize"));
        says_what_it_is(&pair, &leader, &other).await;

        // A planned change: nobody restarts.
        let started = "select pg_postmaster_start_time()::text";
        let before = pair.ask(&leader, started).await.unwrap();
        pair.standby.switchover(&leader).await.unwrap();
        assert_eq!(pair.role(&other).await, "standby_leader");
        pair.arrives(2, &[&leader, &other]).await;
        assert_eq!(pair.ask(&leader, started).await.unwrap(), before);

        // The leader is lost.
        pair.standby.member_mut(&other).unwrap().kill().unwrap();
        eventually("the other one follows the remote primary", async || {
            (pair.role(&leader).await == "standby_leader").then_some(())
        })
        .await;
        pair.arrives(3, &[&leader]).await;
        pair.standby.member_mut(&other).unwrap().start().unwrap();
        pair.standby.whole_again().await;
        pair.arrives(4, &[&other]).await;

        // A cluster on its own.
        pair.set_standby_cluster(&other, Value::Null).await;
        eventually("it takes writes", async || pair.ask(&leader, "insert into t values (100)").await.ok()).await;
        pair.standby.whole_again().await;
        assert_eq!((pair.role(&leader).await, pair.role(&other).await), ("leader".into(), "replica".into()));
        assert_eq!(pair.standby.get(&leader, "/primary").await.0, 200);
        eventually("the other one has it", async || {
            (pair.ask(&other, "select count(*) from t where row = 100").await.ok()? == "1").then_some(())
        })
        .await;

        // And what it was before: what only it has written is given up for what the remote has.
        pair.primary.ask("pg1", "checkpoint").await;
        pair.set_standby_cluster(&other, remote(&pair.primary)).await;
        pair.standby.wait_whole(DEMOTION_MAX).await.unwrap();
        pair.arrives(5, &[&leader]).await;
        assert_eq!(pair.ask(&leader, "select count(*) from t where row = 100").await.unwrap(), "0");
    });
}

async fn says_what_it_is(pair: &Pair, leader: &str, other: &str) {
    for (path, at_leader, at_other) in [
        ("/standby-leader", 200, 503),
        ("/leader", 200, 503),
        ("/primary", 503, 503),
        ("/replica", 503, 200),
        ("/read-only", 200, 200),
        ("/health", 200, 200),
    ] {
        assert_eq!(pair.standby.get(leader, path).await.0, at_leader, "{path} of the leader");
        assert_eq!(pair.standby.get(other, path).await.0, at_other, "{path} of the other");
    }
    let listed = pair.standby.quorate(other, &["list"]).ok();
    assert!(listed.contains("Standby Leader"), "{listed}");
    let explained = pair.standby.quorate(other, &["explain"]).ok();
    assert!(explained.contains("follows the remote primary"), "{explained}");
    let refused = pair.ask(leader, "insert into t values (99)").await.unwrap_err();
    assert!(format!("{refused:?}").contains("read-only"), "{refused:?}");
    let entry: Value = serde_json::from_str(&pair.standby.key(&format!("members/{leader}"))).unwrap();
    assert_eq!(entry["role"], "standby_leader", "{entry}");
}
