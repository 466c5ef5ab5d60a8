//! The side that lets servers in: `POST /join` and `POST /renew` of a member that has the authority's key.
//!
//! Deliberately no state but a count of refusals: authority, plan and tokens are read from the home for each request, so
//! what an administrator changes there counts at once. The invariants: a refusal says to the network only that it is one, and
//! to the log why; refusals are limited, for each address and for all together; a certificate is renewed for the name it has.

use super::authority;
use super::enrolment::{Enrolment, VERSION};
use super::home::Home;
use super::token::{self, Claimed, Refused, Token};
use crate::cli::Failure;
use console::{JoinAnswer, Joining, Outcome};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use types::MemberName;

/// Refused tokens from one address within [`WINDOW`]: people mistype, programs do not stop.
const REFUSALS_MAX: u32 = 5;
/// And from everywhere together. Nobody guesses 128 bits; this bounds what is read and logged.
const REFUSALS_OF_ALL_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(60);
/// The same sentence for every reason.
const NOT_ACCEPTED: &str = "the token is not accepted";

pub struct Desk {
    home: Home,
    refusals: Arc<Mutex<Refusals>>,
}

#[derive(Default)]
struct Refusals {
    since: Option<Instant>,
    of_all: u32,
    of: BTreeMap<IpAddr, u32>,
}

impl Refusals {
    /// A new window begins when the old one is over; so the map has no more entries than refusals of one window.
    fn too_many(&mut self, peer: IpAddr, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            *self = Self { since: Some(now), ..Self::default() };
        }
        self.of_all >= REFUSALS_OF_ALL_MAX || self.of.get(&peer).is_some_and(|count| *count >= REFUSALS_MAX)
    }

    fn count(&mut self, peer: IpAddr) {
        self.of_all += 1;
        *self.of.entry(peer).or_default() += 1;
    }
}

impl Desk {
    pub fn new(home: Home) -> Self {
        Self { home, refusals: Arc::default() }
    }
}

impl Joining for Desk {
    fn join(&self, peer: IpAddr, body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer> {
        let (home, refusals) = (self.home.clone(), self.refusals.clone());
        aside(move || let_in(&home, &refusals, peer, &body))
    }

    fn renew(&self, certificate: Vec<u8>, body: Map<String, Value>) -> BoxFuture<'_, JoinAnswer> {
        let home = self.home.clone();
        aside(move || renewed(&home, &certificate, &body))
    }
}

/// Files are read and certificates signed where nothing that decides waits for it.
fn aside(work: impl FnOnce() -> JoinAnswer + Send + 'static) -> BoxFuture<'static, JoinAnswer> {
    async { tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Outcome::new(500, "it broke"))) }.boxed()
}

fn let_in(home: &Home, refusals: &Mutex<Refusals>, peer: IpAddr, body: &Map<String, Value>) -> JoinAnswer {
    let peer = peer.to_canonical();
    let lock = || refusals.lock().unwrap_or_else(PoisonError::into_inner);
    if lock().too_many(peer, Instant::now()) {
        return Err(Outcome::new(429, "too many tokens were refused; try again in a minute"));
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    if body.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(Outcome::new(400, "the other server has another version of Quorate; install the same on both"));
    }
    let authority = signing(home)?;
    let token = Token::parse(text("token"));
    let identity = token.as_ref().map(|token| token.identity.clone()).unwrap_or_default();
    let claimed = token.and_then(|token| token::claim(home, &token, authority.fingerprint()));
    let claimed: Claimed = match claimed {
        Ok(claimed) => claimed,
        Err(why) => {
            lock().count(peer);
            let hint = if why == Refused::Damaged { "copy it whole" } else { "quorate token MEMBER makes another" };
            tracing::warn!(%peer, identity, "a token was refused: {why} (hint: {hint})");
            return Err(Outcome::new(403, NOT_ACCEPTED));
        }
    };
    match enrol(home, &authority, &claimed.member, text("request"), Path::new(text("directory"))) {
        Ok(enrolment) => {
            tracing::info!(%peer, member = %claimed.member, "a server has joined");
            claimed.used();
            serde_json::to_value(enrolment).map_err(|_| Outcome::new(500, "it broke"))
        }
        Err(failure) => {
            claimed.give_back();
            Err(not_now(&failure))
        }
    }
}

/// The certificate and the files of a member, for a home at `directory` on its server.
pub fn enrol(
    home: &Home,
    authority: &pki::Authority,
    member: &MemberName,
    request: &str,
    directory: &Path,
) -> Result<Enrolment, Failure> {
    let plan = home.plan()?;
    let planned = authority::planned(&plan, member)?;
    let certificate = authority::certify(authority, &plan, planned, request, SystemTime::now())?;
    let files = plan.files(member, &home.secrets()?, directory);
    Ok(Enrolment {
        member: member.to_string(),
        cluster: plan.scope.to_string(),
        certificate,
        authority: authority.certificate_pem().to_owned(),
        files: files.into_iter().map(Into::into).collect(),
    })
}

fn renewed(home: &Home, certificate: &[u8], body: &Map<String, Value>) -> JoinAnswer {
    let authority = signing(home)?;
    let name = pki::member_named(certificate).map(MemberName::new);
    let plan = home.plan().map_err(|failure| not_now(&failure))?;
    // Whoever was taken out of the plan keeps what it has until it ends, and gets no more.
    let Some(member) = name.as_ref().and_then(|name| plan.member(name)) else {
        tracing::warn!(name = ?name.as_ref().map(MemberName::as_str), "a certificate was not renewed: there is no such member in the plan");
        return Err(Outcome::new(403, "this is no member's certificate"));
    };
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let request = text("request").unwrap_or_default();
    // Who says where its files are gets those of the plan as it is now: it had all of them when it joined.
    if let Some(directory) = text("directory") {
        let enrolment = enrol(home, &authority, &member.name, request, Path::new(directory));
        let enrolment = enrolment.map_err(|failure| not_now(&failure))?;
        tracing::info!(member = %member.name, "a member has fetched its files anew");
        return serde_json::to_value(enrolment).map_err(|_| Outcome::new(500, "it broke"));
    }
    let signed = authority::certify(&authority, &plan, member, request, SystemTime::now());
    let certificate = signed.map_err(|failure| not_now(&failure))?;
    tracing::info!(member = %member.name, "a certificate was renewed");
    Ok(json!({ "certificate": certificate }))
}

fn signing(home: &Home) -> Result<pki::Authority, Outcome> {
    match authority::open(home) {
        Ok(Some(authority)) => Ok(authority),
        Ok(None) => Err(Outcome::new(501, "this member does not sign certificates; ask the first server")),
        Err(failure) => Err(not_now(&failure)),
    }
}

fn not_now(failure: &Failure) -> Outcome {
    tracing::error!("{failure}");
    Outcome::new(503, "this member cannot do it now; its log says why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_limited_for_each_address_and_for_all() {
        let mut refusals = Refusals::default();
        let (now, peer) = (Instant::now(), |n: u8| IpAddr::from([10, 0, 0, n]));
        for _ in 0..REFUSALS_MAX {
            assert!(!refusals.too_many(peer(1), now));
            refusals.count(peer(1));
        }
        assert!(refusals.too_many(peer(1), now));
        assert!(!refusals.too_many(peer(2), now));
        for n in 0..REFUSALS_OF_ALL_MAX as u8 {
            refusals.count(peer(n));
        }
        assert!(refusals.too_many(peer(200), now));
        assert!(!refusals.too_many(peer(1), now + WINDOW));
        assert!(refusals.of.is_empty());
    }
}
