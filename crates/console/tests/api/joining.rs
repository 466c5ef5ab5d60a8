//! `POST /join` and `POST /renew`: who gets through to whoever signs.

use crate::access::with_password;
use crate::world::{Answer, World, ask};
use console::{JoinAnswer, Joining, Outcome, RestApiSettings};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use std::sync::Arc;

/// Says what it was told.
struct Signer;

impl Joining for Signer {
    fn join(&self, peer: IpAddr, body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer> {
        let answer = if body.contains_key("token") {
            Ok(json!({ "peer": peer }))
        } else {
            Err(Outcome::new(403, "the token is not accepted"))
        };
        async { answer }.boxed()
    }

    fn renew(&self, certificate: Vec<u8>, _body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer> {
        async move { Ok(json!({ "shown": certificate })) }.boxed()
    }
}

fn world(signer: Option<Signer>) -> World {
    let mut world = World::new();
    let settings = with_password(RestApiSettings::default(), "admin", "secret");
    world.publish(|snapshot| snapshot.settings = Arc::new(settings));
    world.api.extras.joining = signer.map(|signer| Arc::new(signer) as Arc<dyn Joining>);
    world
}

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    ask(&world.api, "POST", path, Some(&body.to_string())).await
}

#[tokio::test]
async fn who_joins_needs_no_password_and_who_renews_needs_a_certificate() {
    let world = world(Some(Signer));
    let token = json!({ "token": "x" });
    let joined = post(&world, "/join", &token).await;
    assert_eq!((joined.status, joined.body.contains("peer")), (200, true));
    let refused = post(&world, "/join", &json!({ "other": 1 })).await;
    assert_eq!((refused.status, refused.body.as_str()), (403, "the token is not accepted"));
    let renewed = post(&world, "/renew", &token).await;
    assert_eq!((renewed.status, renewed.body.as_str()), (403, "client certificate required"));
}

#[tokio::test]
async fn a_member_that_signs_nothing_says_so() {
    let world = world(None);
    for path in ["/join", "/renew"] {
        assert_eq!(post(&world, path, &json!({ "token": "x" })).await.status, 501, "{path}");
    }
}
