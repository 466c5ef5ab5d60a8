//! Changes to the configuration, and what is handed to the agent.

use crate::world::{World, ask};
use console::{AgentCommand, FailsafeRefusal, Outcome, RestartRequest};
use ha::cluster::Role;
use std::sync::Arc;
use std::time::Duration;
use types::Millis;

#[tokio::test]
async fn a_patch_is_merged_checked_and_written() {
    let world = World::new();
    for (body, status, text, stored) in [
        (
            r#"{"ttl":20,"postgresql":{"parameters":{"max_connections":null,"work_mem":"8MB"}}}"#,
            200,
            r#"{"loop_wait": 10, "postgresql": {"parameters": {"work_mem": "8MB"}}, "ttl": 20}"#,
            r#"{"loop_wait":10,"postgresql":{"parameters":{"work_mem":"8MB"}},"ttl":20}"#,
        ),
        (
            r#"{"ttl":0.1}"#,
            400,
            "ttl: 0.1 is out of range; expected 1 to 3600",
            r#"{"loop_wait":10,"postgresql":{"parameters":{"work_mem":"8MB"}},"ttl":20}"#,
        ),
        (r#"{"postgresql":null}"#, 200, r#"{"loop_wait": 10, "ttl": 20}"#, r#"{"loop_wait":10,"ttl":20}"#),
    ] {
        let answer = ask(&world.api, "PATCH", "/config", Some(body)).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text), "{body}");
        assert_eq!(world.store.get("config").as_deref(), Some(stored), "{body}");
    }
}

#[tokio::test]
async fn a_patch_that_changes_nothing_writes_nothing() {
    let world = World::new();
    let before = world.store.cluster().revision;
    assert_eq!(ask(&world.api, "PATCH", "/config", Some(r#"{"ttl":30,"absent":null}"#)).await.status, 200);
    assert_eq!(world.store.cluster().revision, before);
}

#[tokio::test]
async fn a_put_replaces_everything() {
    let world = World::new();
    let answer = ask(&world.api, "PUT", "/config", Some(r#"{"ttl": 5}"#)).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"ttl": 5}"#));
    assert_eq!(world.store.get("config").as_deref(), Some(r#"{"ttl":5}"#));
    world.store.delete("config");
    assert_eq!(ask(&world.api, "PATCH", "/config", Some(r#"{"ttl": 6}"#)).await.status, 503, "nothing to patch");
    assert_eq!(ask(&world.api, "PUT", "/config", Some(r#"{"ttl": 6}"#)).await.status, 200);
    assert_eq!(world.store.get("config").as_deref(), Some(r#"{"ttl":6}"#));
    assert_eq!(ask(&world.api, "PUT", "/config", Some(r#"{"pause": "perhaps"}"#)).await.status, 400);
}

#[tokio::test]
async fn somebody_faster_or_a_store_that_is_away_is_told() {
    let world = World::new();
    world.store.set_contended();
    assert_eq!(ask(&world.api, "PATCH", "/config", Some(r#"{"ttl":20}"#)).await.status, 409);
    assert_eq!(ask(&world.api, "PUT", "/config", Some(r#"{"ttl":20}"#)).await.status, 502);
    let world = World::new();
    world.store.set_down(true);
    for (method, path, body) in [
        ("PATCH", "/config", Some(r#"{"ttl":20}"#)),
        ("PUT", "/config", Some(r#"{"ttl":20}"#)),
        ("POST", "/switchover", Some(r#"{"leader":"pg1"}"#)),
        ("DELETE", "/switchover", None),
    ] {
        let answer = ask(&world.api, method, path, body).await;
        assert_eq!(
            answer.body, "DCS is not accessible: no member of the store at store answered: connection refused",
            "{method} {path}"
        );
        assert_eq!(answer.status, 503);
    }
}

#[tokio::test]
async fn bodies_that_are_none_are_refused() {
    let world = World::new();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(300_000));
    let deep = "[".repeat(10_000);
    for (method, path, body, status) in [
        ("PATCH", "/config", None, 411),
        ("POST", "/switchover", None, 411),
        ("PATCH", "/config", Some(""), 400),
        ("PATCH", "/config", Some("{}"), 400),
        ("PATCH", "/config", Some("[]"), 400),
        ("PATCH", "/config", Some("{"), 400),
        ("PATCH", "/config", Some(deep.as_str()), 400),
        ("PATCH", "/config", Some("\u{0}\u{1}"), 400),
        ("PATCH", "/config", Some(large.as_str()), 413),
        ("POST", "/restart", Some("[]"), 400),
        ("POST", "/mpp", Some(r#"{"type":"before_demote"}"#), 200),
        ("POST", "/failsafe", Some(r#"{"name":"x"}"#), 502),
        ("POST", "/sigterm", None, 202),
        ("POST", "/primary", Some("{}"), 405),
        ("PUT", "/switchover", Some("{}"), 405),
        ("DELETE", "/", None, 405),
        ("TRACE", "/", None, 405),
        ("BREW", "/config", None, 405),
    ] {
        let answer = ask(&world.api, method, path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
}

#[tokio::test]
async fn commands_reach_the_agent_and_its_answer_the_client() {
    let restart = RestartRequest {
        role: Some(Role::Replica),
        timeout: Some(Duration::from_secs(60)),
        restart_pending: true,
        ..RestartRequest::default()
    };
    for (method, path, body, command) in [
        (
            "POST",
            "/restart",
            Some(r#"{"role":"replica","timeout":"1min","restart_pending":true}"#),
            AgentCommand::Restart(restart),
        ),
        ("POST", "/restart", None, AgentCommand::Restart(RestartRequest::default())),
        ("DELETE", "/restart", None, AgentCommand::CancelRestart),
        ("POST", "/reload", None, AgentCommand::Reload),
        ("POST", "/reinitialize", None, AgentCommand::Reinitialize { force: false, from_leader: false }),
        (
            "POST",
            "/reinitialize",
            Some(r#"{"force":"yes","from_leader":true}"#),
            AgentCommand::Reinitialize { force: true, from_leader: true },
        ),
    ] {
        let mut world = World::new();
        let agent = async {
            let request = world.commands.recv().await.unwrap();
            assert_eq!(request.command, command);
            request.answer.send(Outcome::new(503, "because")).unwrap();
        };
        let (answer, ()) = tokio::join!(ask(&world.api, method, path, body), agent);
        assert_eq!((answer.status, answer.body.as_str()), (503, "because"), "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_gone_busy_or_silent_does_not_hang_the_client() {
    let mut world = World::new();
    let silent = ask(&world.api, "POST", "/reload", None);
    let agent = async {
        // Takes the request, keeps it, never answers.
        let request = world.commands.recv().await;
        std::future::pending::<()>().await;
        drop(request);
    };
    let answer = tokio::select! { answer = silent => answer, () = agent => unreachable!() };
    assert_eq!((answer.status, answer.body.as_str()), (503, "status unknown after 30 seconds"));
    let world = World::new();
    for _ in 0..8 {
        let (answer, _) = tokio::sync::oneshot::channel();
        world.api.commands.try_send(console::CommandRequest { command: AgentCommand::Wake, answer }).unwrap();
    }
    assert_eq!(ask(&world.api, "POST", "/reload", None).await.body, "the agent is busy; try again");
    let World { api, commands, .. } = world;
    drop(commands);
    assert_eq!(ask(&api, "POST", "/reload", None).await.body, "the agent is stopping");
}

#[tokio::test]
async fn a_restart_cannot_be_scheduled_in_the_pause() {
    let world = World::new();
    world.publish(|snapshot| snapshot.local.pause = true);
    let answer = ask(&world.api, "POST", "/restart", Some(r#"{"schedule":"2099-01-01T00:00Z"}"#)).await;
    assert_eq!((answer.status, answer.body.as_str()), (500, "Can't schedule restart in the paused state"));
}

#[tokio::test]
async fn a_write_without_an_answer_is_looked_up_before_it_is_tried_again() {
    let world = World::new();
    world.store.set_mute();
    let answer = ask(&world.api, "PATCH", "/config", Some(r#"{"ttl":20}"#)).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("look before you try again"), "{}", answer.body);
    world.store.set_mute();
    let before = world.store.cluster().revision;
    assert_eq!(ask(&world.api, "PUT", "/config", Some(r#"{"ttl":40}"#)).await.status, 200);
    assert_eq!(world.store.cluster().revision.0, before.0 + 1, "it was written once");
    world.store.set_mute();
    let body = r#"{"leader":"pg1","candidate":"pg2","scheduled_at":"2099-01-01T02:00+02:00"}"#;
    assert_eq!(ask(&world.api, "POST", "/switchover", Some(body)).await.status, 202);
}

#[tokio::test]
async fn the_question_of_failsafe_mode_is_answered_by_the_agent() {
    let mut world = World::new();
    world.store.put("failsafe", r#"{"pg1":"http://pg1:8008/patroni"}"#);
    world.publish(|_| {});
    world.api.extras.failsafe = Some(Arc::new(|to, ttl| {
        if to.as_str() == "pg2" && ttl == Millis(1500) { Ok(()) } else { Err(FailsafeRefusal("this member leads")) }
    }));
    for (body, status, said) in [
        (r#"{"name":"pg2","quorate_ttl_ms":1500}"#, 200, "Accepted"),
        (r#"{"name":"pg3","quorate_ttl_ms":1500}"#, 500, "this member leads"),
        (r#"{"name":"pg2","conn_url":"postgres://pg2","slots":{}}"#, 500, "nothing is promised"),
        (r#"{"quorate_ttl_ms":1500}"#, 400, "name is missing"),
        (r#"{"name":"pg2","quorate_ttl_ms":36000000}"#, 500, "nothing is promised"),
    ] {
        let answer = ask(&world.api, "POST", "/failsafe", Some(body)).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert!(answer.body.contains(said), "{body}: {answer:?}");
        let promised = answer.header("quorate-promised-ms");
        assert_eq!(promised, (status == 200).then_some("1500"), "{body}: {answer:?}");
        assert_eq!(answer.header("lsn").is_some(), status == 200, "{body}");
    }
}
