//! Our sentinels among real ones: they know each other, vote, fail over together, and can be exchanged while clients write.

use super::redis_support::{print_report, redis_cli};
use super::support::{PATIENCE, address, eventually, print_tail, program, run};
use drill::redis::MASTER;
use drill::redis::client::{entry, texts};
use drill::redis::deployment::{Deployment, DeploymentOptions};
use drill::redis::scenario::{self, Fault};
use drill::redis::sentinel::{Maker, Timing};
use drill::redis::writer::{Endpoint, RedisClient, read_back};
use drill::writer::{Clock, Pace, Writer};
use resp::Value;
use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};

struct Mixed(Deployment);

impl Deref for Mixed {
    type Target = Deployment;
    fn deref(&self) -> &Deployment {
        &self.0
    }
}

impl DerefMut for Mixed {
    fn deref_mut(&mut self) -> &mut Deployment {
        &mut self.0
    }
}

impl Drop for Mixed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.log_files().iter().for_each(|log| print_tail(log));
        }
    }
}

impl Mixed {
    async fn whole(name: &str, range: u8, makers: [Maker; 3]) -> Self {
        let deployment = Deployment::start(&DeploymentOptions {
            directory: std::env::temp_dir().join(format!("quorate-e2e-{name}-{}", std::process::id())),
            first_address: address(range, 11),
            makers,
            timing: Timing::FAST,
        });
        let mixed = Self(deployment.unwrap());
        mixed.wait_whole(PATIENCE).await.unwrap();
        mixed
    }

    /// One fault; all agree before and after, also on the epoch.
    async fn meet(&mut self, fault: Fault) {
        let report = scenario::run(&mut self.0, fault, &mut |step| println!("  {step}")).await;
        print_report(&report.unwrap_or_else(|error| panic!("{fault}: {error:#}")));
        eventually("all have the same epoch", async || {
            let mut epochs = BTreeSet::new();
            for host in &self.hosts {
                epochs.insert(entry(&host.sentinel.ask(&["SENTINEL", "MASTER", MASTER]).await.ok()?, "config-epoch")?);
            }
            (epochs.len() == 1).then_some(())
        })
        .await;
    }
}

fn ours() -> Maker {
    Maker::Quorate(program("quorate"))
}

#[test]
fn two_real_sentinels_and_one_of_ours_fail_over_and_then_two_of_ours_and_a_real_one() {
    run(async {
        let makers = [Maker::Distribution, Maker::Distribution, ours()];
        let mut mixed = Mixed::whole("redis-mixed", 24, makers).await;
        the_same_is_said_in_the_same_order(&mixed).await;
        mixed.meet(Fault::KillMaster).await;
        exchanging_sentinels_is_not_noticed(&mut mixed).await;
        mixed.meet(Fault::KillMaster).await;
        mixed.meet(Fault::Switchover).await;
    });
}

/// Names and order of everything that a sentinel says about masters, replicas and sentinels.
async fn the_same_is_said_in_the_same_order(mixed: &Mixed) {
    let names = |instance: &Value| -> Vec<String> { texts(instance).into_iter().step_by(2).collect() };
    for command in
        [["SENTINEL", "MASTERS"].as_slice(), &["SENTINEL", "REPLICAS", MASTER], &["SENTINEL", "SENTINELS", MASTER]]
    {
        let [real, our] = [&mixed.hosts[0], &mixed.hosts[2]];
        let real = real.sentinel.ask(command).await.unwrap();
        let our = our.sentinel.ask(command).await.unwrap();
        let all = |answer: &Value| -> Vec<Vec<String>> { answer.as_array().unwrap().iter().map(names).collect() };
        assert_eq!(all(&our), all(&real), "{command:?}");
    }
    let [real, our] = [0, 2].map(|index: usize| {
        let sentinel = mixed.hosts[index].sentinel.address;
        let info = redis_cli(sentinel, "", &["info", "sentinel"]);
        let about = |line: &&str| line.starts_with("master0:");
        info.lines().find(about).unwrap().trim().to_owned()
    });
    assert_eq!(our, real);
}

/// One after the other: our sentinel becomes a real one, the two real ones ours; each goes on with the other's file.
async fn exchanging_sentinels_is_not_noticed(mixed: &mut Mixed) {
    let master = mixed.wait_whole(PATIENCE).await.unwrap();
    let client = RedisClient::new(Endpoint::Sentinels(mixed.sentinels()), None);
    let clock = Clock::start();
    let writer = Writer::start(client, "exchange", Pace::default(), clock);
    eventually("writes are confirmed", async || writer.last()).await;
    let mut identities = Vec::new();
    for (index, maker) in [(2, Maker::Distribution), (0, ours()), (1, ours())] {
        let before = mixed.hosts[index].sentinel.ask(&["SENTINEL", "MYID"]).await.unwrap();
        mixed.hosts[index].sentinel.swap(maker).unwrap();
        assert_eq!(mixed.wait_whole(PATIENCE).await.unwrap(), master);
        let after = mixed.hosts[index].sentinel.ask(&["SENTINEL", "MYID"]).await.unwrap();
        identities.push((before, after));
    }
    let record = writer.stop().await;
    assert!(identities.iter().all(|(before, after)| before == after), "{identities:?}");
    assert!(record.failed.is_empty(), "{:?}", record.failed);
    let there = read_back(&mixed.host_of(master).unwrap().server.login(), "exchange").await.unwrap();
    assert_eq!(record.lost(&there), [0; 0]);
}
