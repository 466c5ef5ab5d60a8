//! Replication slots: the own ones, and those of another member.

use super::world::World;
use console::{PeerAnswer, PeerRequest, Peers, SlotNow};
use futures_util::future::{BoxFuture, ready};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

struct Others {
    answer: Result<(u16, &'static str), &'static str>,
    asked: Mutex<Vec<String>>,
}

impl Peers for Others {
    fn post(&self, request: PeerRequest) -> BoxFuture<'_, Result<PeerAnswer, String>> {
        panic!("nothing is changed: {request:?}")
    }

    fn get(&self, url: String) -> BoxFuture<'_, Result<PeerAnswer, String>> {
        self.asked.lock().unwrap().push(url);
        let answer = self.answer.map(|(status, text)| PeerAnswer { status, text: text.to_owned() });
        Box::pin(ready(answer.map_err(str::to_owned)))
    }
}

fn world(answer: Result<(u16, &'static str), &'static str>) -> (World, Arc<Others>) {
    let mut world = World::new();
    let others = Arc::new(Others { answer, asked: Mutex::default() });
    world.api.extras.peers = Some(others.clone());
    world.publish(|snapshot| {
        let slot = SlotNow { name: "pg2".into(), kind: "physical".into(), kept_bytes: Some(7), ..SlotNow::default() };
        snapshot.local.slots = vec![slot];
    });
    (world, others)
}

#[tokio::test]
async fn a_member_tells_its_own_and_asks_nobody() {
    let (world, others) = world(Err("down"));
    for path in ["/quorate/slots", "/members/pg1/slots"] {
        let answer = world.get(path).await;
        let slots: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &slots[0]["name"], &slots[0]["kept_bytes"]), (200, &json!("pg2"), &json!(7)));
    }
    assert!(others.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_members_are_asked_of_it_at_the_address_of_its_entry() {
    let (world, others) = world(Ok((200, "[]")));
    let answer = world.get("/members/pg2/slots").await;
    assert_eq!((answer.status, answer.body.trim()), (200, "[]"));
    assert_eq!(*others.asked.lock().unwrap(), ["http://10.0.0.2:8008/quorate/slots"]);
}

#[tokio::test]
async fn what_cannot_be_told_is_said() {
    for (answer, path, status, says) in [
        (Ok((200, "[]")), "/members/nobody/slots", 404, "there is no member nobody"),
        (Ok((200, "[]")), "/members/pg2/secrets", 404, "there is /members/<name>/slots"),
        (Ok((200, "<html>")), "/members/pg2/slots", 502, "does not tell"),
        (Ok((503, "{}")), "/members/pg2/slots", 502, "(503)"),
        (Err("connection refused"), "/members/pg2/slots", 502, "pg2 cannot be reached: connection refused"),
    ] {
        let (world, _) = world(answer);
        let answer = world.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
}
