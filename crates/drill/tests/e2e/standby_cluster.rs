//! A standby cluster beside the cluster it follows: its leader is lost and replaced, hands over, and it becomes a cluster on its
//! own and a standby cluster again, all without a copy by hand.

use crate::support::{World, eventually, options, options_with_default_lease, run_on};
use drill::address_scenario::{self, CLIENT, VIP, place};
use drill::member::ports;
use drill::net::Network;
use drill::writer;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Where the remote primary is.
const REMOTE: &str = "remote";
/// The last octet of the standby leader's address.
const STANDBY_VIP: u8 = 44;
const DEMOTION_MAX: Duration = Duration::from_secs(60);

/// Both clusters have the roles, and so the passwords, of the first.
struct Pair {
    primary: World,
    standby: World,
}

impl Pair {
    async fn start(network: &Network) -> Self {
        let remote = network.host(REMOTE).unwrap();
        let mut of_primary = options("standby-of", 0);
        place(&mut of_primary, network);
        of_primary.members = 1;
        (of_primary.first_address, of_primary.namespaces) = (remote.address, vec![remote.namespace.clone()]);
        let primary = World::whole(of_primary).await;

        let mut of_standby = options_with_default_lease("standby", 0);
        place(&mut of_standby, network);
        of_standby.witness = true;
        let mut with_data = std::mem::replace(&mut of_standby.overrides, json!({}));
        let address = |last: u8| format!("{}/24", network.spare_address(last));
        let login = |user: &str| json!({ "username": user, "password": primary.password() });
        with_data["bootstrap"] = json!({ "dcs": { "standby_cluster": remote_of(&primary) } });
        with_data["postgresql"]["authentication"] = json!({
            "superuser": login("postgres"), "replication": login("replicator"), "rewind": login("rewind"),
        });
        with_data["postgresql"]["listen"] = json!(format!("0.0.0.0:{}", ports::POSTGRES));
        with_data["vip"] = json!([
            { "address": address(VIP) },
            { "address": address(STANDBY_VIP), "role": "standby_leader" },
        ]);
        of_standby.overrides_of.extend([(0, with_data.clone()), (1, with_data)]);
        Self { standby: World::whole(of_standby).await, primary }
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

fn remote_of(primary: &World) -> Value {
    json!({ "host": primary.named("pg1").address, "port": ports::POSTGRES })
}

#[test]
fn a_standby_cluster_follows_is_promoted_and_follows_again() {
    let mut network = address_scenario::network("qstb", 109).unwrap();
    network.add_host(REMOTE, 21).unwrap();
    let client = network.host(CLIENT).unwrap().clone();
    run_on(&client, async {
        let mut pair = Pair::start(&network).await;
        let (as_primary, as_standby) = (network.spare_address(VIP), network.spare_address(STANDBY_VIP));
        let watched = [network.watch(as_primary).unwrap(), network.watch(as_standby).unwrap()];
        let is_at = async |address: Ipv4Addr, host: &str| {
            eventually(&format!("{address} is on {host}"), async || {
                (network.holders_of(address.into()).ok()? == [host]).then_some(())
            })
            .await;
        };
        let is_nowhere = async |address: Ipv4Addr| {
            eventually(&format!("{address} is nowhere"), async || {
                network.holders_of(address.into()).ok()?.is_empty().then_some(())
            })
            .await;
        };
        pair.primary.ask("pg1", "create table t (row int)").await;
        let (leader, others) = pair.standby.roles().await;
        let other = others.into_iter().find(|name| name != "pg3").unwrap();
        pair.arrives(1, &[&leader, &other]).await;
        assert_eq!(pair.standby.key("initialize"), pair.primary.key("initialize"));
        says_what_it_is(&pair, &leader, &other).await;
        is_at(as_standby, &leader).await;
        is_nowhere(as_primary).await;

        // A planned change: nobody restarts.
        let started = "select pg_postmaster_start_time()::text";
        let before = pair.ask(&leader, started).await.unwrap();
        pair.standby.switchover(&leader).await.unwrap();
        assert_eq!(pair.role(&other).await, "standby_leader");
        is_at(as_standby, &other).await;
        pair.arrives(2, &[&leader, &other]).await;
        assert_eq!(pair.ask(&leader, started).await.unwrap(), before);

        // The leader is lost.
        pair.standby.member_mut(&other).unwrap().kill().unwrap();
        eventually("the other one follows the remote primary", async || {
            (pair.role(&leader).await == "standby_leader").then_some(())
        })
        .await;
        is_at(as_standby, &leader).await;
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
        is_at(as_primary, &leader).await;
        is_nowhere(as_standby).await;
        eventually("the other one has it", async || {
            (pair.ask(&other, "select count(*) from t where row = 100").await.ok()? == "1").then_some(())
        })
        .await;

        // And what it was before: what only it has written is given up for what the remote has.
        pair.primary.ask("pg1", "checkpoint").await;
        pair.set_standby_cluster(&other, remote_of(&pair.primary)).await;
        pair.standby.wait_whole(DEMOTION_MAX).await.unwrap();
        pair.arrives(5, &[&leader]).await;
        assert_eq!(pair.ask(&leader, "select count(*) from t where row = 100").await.unwrap(), "0");
        is_nowhere(as_primary).await;
        assert!(watched.iter().all(|holders| holders.overlaps().is_empty()));
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
