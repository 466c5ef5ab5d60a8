//! The web console in a real browser: what an operator does there, and what becomes of the page when its member dies.
//!
//! The steps are JavaScript (`web/test`), because they are written for a browser; the cluster and its faults are ours.

use super::support::{Running, World, eventually, options, options_with_default_lease, program, run};
use drill::cluster::{ClusterOptions, RedisParts};
use drill::member::ports;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;

/// Pictures of every view, for looking at, below cargo's target directory.
fn shots(name: &str) -> PathBuf {
    program("quorate").parent().unwrap().parent().unwrap().join("screenshots").join(name)
}

fn script(name: &str, argument: &Value) -> Command {
    let web = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../web");
    let modules = web.join("node_modules/playwright-core");
    assert!(modules.is_dir(), "{} is missing: `./dev test` and `./dev page` fetch it", modules.display());
    let mut command = Command::new("node");
    command.arg(web.join("test").join(name)).arg(argument.to_string());
    command
}

fn console_of(world: &World, member: &str) -> String {
    format!("http://{}:{}", world.named(member).address, ports::CONSOLE)
}

#[test]
#[ignore = "needs Chromium; ./dev test -p drill --test e2e console:: --run-ignored all"]
fn an_operator_signs_in_and_does_everything_from_the_page() {
    run(async {
        let options = ClusterOptions { console: true, redis: RedisParts::ServerAndSentinel, ..options("console", 41) };
        let mut world = World::whole(options).await;
        world.wait_redis_whole(drill::scenario::BOOTSTRAP_TIME_MAX).await.unwrap();
        let (leader, replicas) = world.roles().await;
        // Not the leader's own page, so that most requests go to other members.
        let url = console_of(&world, &replicas[0]);
        let argument = json!({ "url": url, "password": world.password(), "shots": shots("actions") });
        let output = tokio::process::Command::from(script("actions.mjs", &argument)).output().await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.ends_with("done\n"), "first leader {leader}\n{out}{err}");
        println!("{out}");
        world.whole_again().await;
        // The REST API itself asks for the same name and password.
        let (status, _) = world.post(&leader, "/reload", json!({})).await;
        assert_eq!(status, 401);
        for member in world.members() {
            let log = std::fs::read_to_string(member.log_file()).unwrap();
            assert!(!log.contains(world.password()), "the password is in the log of {}", member.name);
        }
    });
}

#[test]
#[ignore = "needs Chromium; ./dev test -p drill --test e2e console:: --run-ignored all"]
fn the_page_goes_on_at_another_member_when_its_own_dies() {
    run(async {
        let options = ClusterOptions { console: true, ..options_with_default_lease("console-dies", 42) };
        let mut world = World::whole(options).await;
        let leader = world.leader().await;
        let url = console_of(&world, &leader);
        let argument =
            json!({ "url": url, "name": leader, "password": world.password(), "shots": shots("member-dies") });
        let browser = Running::start(script("moves.mjs", &argument));
        browser.prints("ready").await;
        world.member_mut(&leader).unwrap().kill().unwrap();
        let said = RefCell::new(Vec::new());
        eventually("the browser is done", async || {
            said.borrow_mut().extend(browser.new_lines());
            said.borrow().contains(&"done".to_owned()).then_some(())
        })
        .await;
        println!("{}", said.borrow().join("\n"));
    });
}
