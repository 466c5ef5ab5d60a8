//! etcd's version 2 keys, read-only: for tools that still ask `GET /v2/keys/service/<scope>/leader`.
//!
//! The keys are those of version 3, with directories where their names have a `/`. Writing is refused with a word on
//! where to write: two ways of writing would be two histories. An index of version 2 is a revision here.

mod answer;
mod tree;
mod wait;

use crate::api::Api;
use crate::status;
use answer::{Answer, Refusal};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use serde::{Deserialize, Serialize};

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/v2/keys", keys(async |state, query| read(state, "/", query).await))
        .route("/v2/keys/", keys(async |state, query| read(state, "/", query).await))
        .route("/v2/keys/{*key}", get(read_key).fallback(refuse_writing))
        .route("/v2/machines", get(machines))
        .route("/v2/members", get(members))
        .route("/v2/members/", get(members))
        .route("/v2/{*other}", any(async || (StatusCode::NOT_FOUND, "404 page not found\n")))
}

fn keys<F: Future<Output = Response> + Send>(
    read: impl Fn(Api, Asked) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter<Api> {
    get(async move |State(api): State<Api>, Query(asked): Query<Asked>| read(api, asked).await).fallback(refuse_writing)
}

async fn read_key(State(api): State<Api>, Path(key): Path<String>, Query(asked): Query<Asked>) -> Response {
    read(api, &key, asked).await
}

/// As it comes; a wrong value is answered in version 2's way.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    recursive: String,
    quorum: String,
    wait: String,
    #[serde(rename = "waitIndex")]
    wait_index: String,
}

struct Options {
    recursive: bool,
    quorum: bool,
    wait: bool,
    wait_index: Option<i64>,
}

impl Asked {
    fn options(&self) -> Result<Options, Refusal> {
        let wait_index = match self.wait_index.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Refusal::index_is_not_a_number("waitIndex"))?),
        };
        Ok(Options {
            recursive: flag("recursive", &self.recursive)?,
            quorum: flag("quorum", &self.quorum)?,
            wait: flag("wait", &self.wait)?,
            wait_index,
        })
    }
}

/// Go's booleans.
fn flag(name: &str, text: &str) -> Result<bool, Refusal> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Refusal::invalid_field(name)),
    }
}

async fn read(api: Api, key: &str, asked: Asked) -> Response {
    // Without empty names: `//service/` is `/service`.
    let key: String = key.split('/').filter(|name| !name.is_empty()).flat_map(|name| ["/", name]).collect();
    let options = match asked.options() {
        Ok(options) => options,
        Err(refusal) => return refusal.response(&api),
    };
    if options.wait {
        return wait::wait(api, &key, options.recursive, options.wait_index);
    }
    if options.quorum
        && let Err(error) = api.linearizable().await
    {
        return unavailable(&api, &error);
    }
    match tree::look_up(&api, &key, options.recursive) {
        Ok((header, node)) => Answer { action: "get", node, prev_node: None }.response(&api, header.revision),
        Err(refusal) => refusal.response(&api),
    }
}

/// Version 2 has its own words for this, but tools look at the HTTP status.
fn unavailable(api: &Api, error: &tonic::Status) -> Response {
    let refusal =
        Refusal::raft_internal_error(if error.message().is_empty() { status::NO_LEADER } else { error.message() });
    refusal.response(api)
}

async fn refuse_writing(State(api): State<Api>) -> Response {
    let mut response = Refusal::read_only().response(&api);
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("HEAD,GET"));
    response
}

async fn machines(State(api): State<Api>) -> String {
    let urls: Vec<String> = api.store().members().into_iter().flat_map(|member| member.client_urls).collect();
    urls.join(", ")
}

#[derive(Serialize)]
struct Members {
    members: Vec<Member>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Member {
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
}

async fn members(State(api): State<Api>) -> Response {
    let members = api.store().members().into_iter().map(|member| Member {
        id: format!("{:x}", member.id),
        name: member.name,
        peer_urls: member.peer_urls,
        client_urls: member.client_urls,
    });
    axum::Json(Members { members: members.collect() }).into_response()
}
