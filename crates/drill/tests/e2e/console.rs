//! The web console in a real browser: what an operator does there, and what becomes of the page when its member dies.
//!
//! The steps are JavaScript (`web/test`), because they are written for a browser; the cluster and its faults are ours.

use super::support::{CALM_TTL_S, Running, World, eventually, options, options_with_default_lease, program, run};
use drill::cluster::{ClusterOptions, RedisParts};
use drill::member::{Part, ports};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::PathBuf;
use std::process::Command;

/// Pictures of every view, for looking at and for the documentation, below cargo's target directory.
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
    let scheme = if world.certificates().is_some() { "https" } else { "http" };
    format!("{scheme}://{}:{}", world.named(member).address, ports::CONSOLE)
}

#[test]
fn an_operator_signs_in_and_does_everything_from_the_page() {
    run(async {
        let options = ClusterOptions { console: true, redis: RedisParts::ServerAndSentinel, ..options("console", 41) };
        // A clone that takes seconds, so that its progress can be seen.
        let slowly = json!({ "bootstrap": { "dcs": { "ttl": CALM_TTL_S } }, "postgresql": { "basebackup": [{ "max-rate": "8M" }] } });
        let mut world = World::whole(ClusterOptions { overrides: slowly, ..options }).await;
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
        no_password_in_the_logs(&world);
    });
}

#[test]
fn the_page_goes_on_at_another_member_when_its_own_dies() {
    run(async {
        let options = ClusterOptions { console: true, ..options_with_default_lease("console-dies", 42) };
        let mut world = World::whole(options).await;
        let leader = world.leader().await;
        let argument = json!({
            "url": console_of(&world, &leader), "name": leader, "password": world.password(), "shots": shots("member-dies"),
        });
        goes_under_the_page(&mut world, &leader, script("moves.mjs", &argument), Way::Killed).await;
    });
}

#[test]
fn a_witness_serves_the_page_over_tls_and_its_silence_is_noticed() {
    run(async {
        let options = ClusterOptions { console: true, secured: true, witness: true, ..options("console-tls", 43) };
        // A browser has a name and a password, and no certificate.
        let open = json!({ "bootstrap": { "dcs": { "ttl": CALM_TTL_S } }, "restapi": { "verify_client": "none" } });
        let mut world = World::whole(ClusterOptions { overrides: open, ..options }).await;
        let witness = world.members().last().unwrap().name.clone();
        let certificates = world.certificates().unwrap();
        let shown: Vec<PathBuf> = world.members().iter().map(|member| certificates.identity(&member.name).0).collect();
        let argument = json!({
            "url": console_of(&world, &witness), "name": witness, "password": world.password(), "certificates": shown,
            "shots": shots("witness"),
        });
        goes_under_the_page(&mut world, &witness, script("witness.mjs", &argument), Way::Silent).await;
        no_password_in_the_logs(&world);
    });
}

#[derive(Clone, Copy)]
enum Way {
    Killed,
    /// As if its cable was cut: connections stay, and nothing comes.
    Silent,
}

/// Takes the member away when the browser is ready for it, and waits until the browser is content.
async fn goes_under_the_page(world: &mut World, member: &str, browser: Command, way: Way) {
    let browser = Running::start_with_errors(browser);
    let said = RefCell::new(Vec::new());
    for (wanted, then) in [("ready", Some(way)), ("done", None)] {
        eventually("the browser goes on", async || {
            let (lines, over) = browser.look();
            said.borrow_mut().extend(lines);
            let is_there = said.borrow().iter().any(|line| line == wanted);
            assert!(is_there || !over, "{}", said.borrow().join("\n"));
            is_there.then_some(())
        })
        .await;
        match then {
            Some(Way::Killed) => drop(world.member_mut(member).unwrap().kill().unwrap()),
            Some(Way::Silent) => world.named(member).freeze(Part::Everything).unwrap(),
            None => {}
        }
    }
    println!("{}", said.borrow().join("\n"));
}

fn no_password_in_the_logs(world: &World) {
    for member in world.members() {
        let log = std::fs::read_to_string(member.log_file()).unwrap();
        assert!(!log.contains(world.password()), "the password is in the log of {}", member.name);
    }
}
