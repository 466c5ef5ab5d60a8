//! Reading is open; changing needs an allowed address, then the password.

use crate::world::{PEER, World, send};
use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use console::{BasicAuth, Outcome, RestApiSettings, ServerTokens};
use std::sync::Arc;

fn reload(authorization: Option<&str>) -> Request<Body> {
    let mut request = Request::builder().method("POST").uri("/reload");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    request.body(Body::empty()).unwrap()
}

pub fn with_password(settings: RestApiSettings, username: &str, password: &str) -> RestApiSettings {
    RestApiSettings { authentication: Some(BasicAuth::new(username, password)), ..settings }
}

/// Plays the agent: whatever is asked for is scheduled.
pub fn obliging(settings: RestApiSettings) -> World {
    let mut world = World::new();
    world.publish(|snapshot| snapshot.settings = Arc::new(settings));
    let (_, unused) = tokio::sync::mpsc::channel(1);
    let mut commands = std::mem::replace(&mut world.commands, unused);
    tokio::spawn(async move {
        while let Some(request) = commands.recv().await {
            let _ = request.answer.send(Outcome::new(202, "reload scheduled"));
        }
    });
    world
}

#[tokio::test]
async fn a_password_is_asked_for_only_where_something_changes() {
    let world = obliging(with_password(RestApiSettings::default(), "admin", "secret:1"));
    let good = format!("Basic {}", STANDARD.encode("admin:secret:1"));
    let bad = format!("Basic {}", STANDARD.encode("admin:secret:2"));
    for (authorization, status, text) in [
        (None, 401, "no auth header received"),
        (Some(bad.as_str()), 401, "not authenticated"),
        (Some("Bearer x"), 401, "not authenticated"),
        (Some(""), 401, "not authenticated"),
        (Some(good.as_str()), 202, "reload scheduled"),
    ] {
        let answer = send(&world.api, PEER, reload(authorization)).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, text), "{authorization:?}");
        let challenge = (status == 401).then_some("Basic realm=\"Patroni\"");
        assert_eq!(answer.header("www-authenticate"), challenge);
    }
    assert_eq!(world.get("/primary").await.status, 200);
    let settings = format!("{:?}", world.api.snapshots.borrow().settings);
    assert!(!settings.contains(&good[6..]), "the password is in {settings}");
}

#[tokio::test]
async fn the_allowlist_comes_before_the_password() {
    let listed = |entries: &[&str], members| RestApiSettings {
        allowlist: entries.iter().map(|&entry| entry.to_owned()).collect(),
        allowlist_include_members: members,
        ..RestApiSettings::default()
    };
    for (settings, peer, status) in [
        (listed(&["192.0.2.0/24"], false), "192.0.2.7", 202),
        (listed(&["192.0.2.0/24"], false), "::ffff:192.0.2.7", 202),
        (listed(&["192.0.2.0/24"], false), "198.51.100.1", 403),
        (listed(&["not/a/network"], false), "192.0.2.7", 403),
        (listed(&["localhost"], false), "127.0.0.1", 202),
        (listed(&[], true), "10.0.0.2", 202),
        (listed(&[], true), "10.0.0.9", 403),
        (listed(&["10.0.0.9"], true), "10.0.0.9", 202),
        (listed(&["10.0.0.9"], false), "10.0.0.2", 403),
        (with_password(listed(&["10.0.0.9"], false), "a", "b"), "10.0.0.2", 403),
        (with_password(listed(&["10.0.0.9"], false), "a", "b"), "10.0.0.9", 401),
    ] {
        let what = format!("{peer} {settings:?}");
        let world = obliging(settings);
        assert_eq!(send(&world.api, peer, reload(None)).await.status, status, "{what}");
    }
}

#[tokio::test]
async fn extra_headers_and_the_products_name_are_sent() {
    let world = World::new();
    assert_eq!(world.get("/").await.header("server"), None);
    world.publish(|snapshot| {
        snapshot.settings = Arc::new(RestApiSettings {
            http_extra_headers: vec![("X-Frame-Options".into(), "DENY".into()), ("not valid\n".into(), "x".into())],
            server_tokens: ServerTokens::Minimal,
            ..RestApiSettings::default()
        });
    });
    let answer = world.get("/").await;
    assert_eq!(answer.header("server"), Some("Patroni/4.1.4"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
}
