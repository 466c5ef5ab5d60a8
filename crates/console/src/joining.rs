//! What lets servers in: `POST /join` with a token, `POST /renew` with a member's certificate.
//!
//! Deliberately no rule about tokens and certificates here: they are whoever's that implements [`Joining`].

use crate::command::Outcome;
use crate::reply::Reply;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};
use std::net::IpAddr;

/// What is answered: a document that holds secrets, so it is only for whoever asked; or a status and a sentence.
pub type JoinAnswer = Result<Value, Outcome>;

/// Set only where the listener speaks TLS.
pub trait Joining: Send + Sync {
    /// From a server that has a token and no certificate yet.
    fn join(&self, peer: IpAddr, body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer>;

    /// `certificate` (DER) is what the member has shown; that it is good was checked in the handshake.
    fn renew(&self, certificate: Vec<u8>, body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer>;
}

pub(crate) fn reply(answer: JoinAnswer) -> Reply {
    match answer {
        Ok(document) => Reply::json(200, &document),
        Err(outcome) => outcome.into(),
    }
}

pub(crate) fn not_here() -> Reply {
    Reply::text(501, "this member does not sign certificates; ask the first server")
}
