//! `POST /members/<name>/restart` and the like: what is done by one member, or known to it alone, asked of any.
//!
//! A browser talks to the member that serves its page and to nobody else, so that member hands the request on. Deliberately
//! only to addresses that stand in the cluster's own entries, only a closed list of requests, and only with the name and
//! password that the client has shown itself to know.

use crate::api::Api;
use crate::reply::Reply;
use crate::restart;
use crate::settings::BasicAuth;
use crate::snapshot::Snapshot;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::sync::Arc;

/// How another member's REST API is reached.
pub trait Peers: Send + Sync {
    fn post(&self, request: PeerRequest) -> BoxFuture<'_, Result<PeerAnswer, String>>;
    fn get(&self, url: String) -> BoxFuture<'_, Result<PeerAnswer, String>>;
}

#[derive(Debug)]
pub struct PeerRequest {
    pub url: String,
    /// The value of the header `Authorization`. A secret.
    pub authorization: Option<String>,
    pub body: Value,
}

#[derive(Debug)]
pub struct PeerAnswer {
    pub status: u16,
    pub text: String,
}

/// What a member answers to anybody: nothing is added to the request, and a browser's secrets stay here.
pub async fn read(api: &Api, path: &str) -> Reply {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let &[_, name, "slots"] = segments.as_slice() else {
        return Reply::text(404, "there is /members/<name>/slots");
    };
    let snapshot = api.snapshot();
    if name == snapshot.me.as_str() {
        return Reply::json(200, &snapshot.local.slots);
    }
    let (url, peers) = match peer(api, &snapshot, name) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    match peers.get(format!("{url}/quorate/slots")).await {
        Ok(answer) => match serde_json::from_str::<Value>(&answer.text) {
            Ok(slots) if answer.status == 200 => Reply::json(200, &slots),
            Ok(_) | Err(_) => {
                Reply::text(502, format!("{name} does not tell its replication slots ({})", answer.status))
            }
        },
        Err(why) => Reply::text(502, format!("{name} cannot be reached: {why}")),
    }
}

fn peer<'a>(api: &'a Api, snapshot: &Snapshot, name: &str) -> Result<(String, &'a Arc<dyn Peers>), Reply> {
    let unknown = || Reply::text(404, format!("there is no member {name} with a REST API"));
    let url = url_of(snapshot, name).ok_or_else(unknown)?;
    let unable = || Reply::text(501, "this member does not hand requests on; ask the other one itself");
    Ok((url, api.extras.peers.as_ref().ok_or_else(unable)?))
}

pub async fn change(api: &Api, path: &str, body: Map<String, Value>) -> Reply {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let &[_, name, what] = segments.as_slice() else { return unknown() };
    if !matches!(what, "restart" | "reload" | "reinitialize") {
        return unknown();
    }
    let snapshot = api.snapshot();
    if name == snapshot.me.as_str() {
        return match what {
            "restart" => restart::restart(api, &body).await,
            "reload" => restart::reload(api).await,
            _ => restart::reinitialize(api, &body).await,
        };
    }
    let (url, peers) = match peer(api, &snapshot, name) {
        Ok(found) => found,
        Err(reply) => return reply,
    };
    let authorization = snapshot.settings.authentication.as_ref().map(BasicAuth::header).map(str::to_owned);
    let request = PeerRequest { url: format!("{url}/{what}"), authorization, body: Value::Object(body) };
    match peers.post(request).await {
        Ok(answer) if answer.status == 401 => {
            Reply::text(502, format!("{name} has another name or password in restapi.authentication; ask it itself"))
        }
        Ok(answer) => Reply::text(answer.status, answer.text),
        Err(why) => Reply::text(502, format!("{name} cannot be reached: {why}")),
    }
}

fn unknown() -> Reply {
    Reply::text(404, "there is /members/<name>/restart, /members/<name>/reload and /members/<name>/reinitialize")
}

/// `http://host:8008`, from `http://host:8008/patroni`.
fn url_of(snapshot: &Snapshot, name: &str) -> Option<String> {
    let (_, member) = snapshot.cluster.members.iter().find(|(member, _)| member.as_str() == name)?;
    let (scheme, rest) = member.data.api_url.split_once("://")?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    Some(format!("{scheme}://{authority}"))
}
