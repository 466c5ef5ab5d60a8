//! Failsafe mode in the agent: this member's word, and the questions to the others.
//!
//! Deliberately without a rule: they are `ha::failsafe`'s. One lock over both sides, shared by the decision loops, the keeper
//! of the lease and the REST API. The invariant: whatever takes a leader key, or changes who may, passes `allowed` just
//! before it is sent.

use super::writer::{BatchOutcome, Write};
use crate::certificates::{client_files, http_client};
use config::{MemberConfig, Secret};
use console::FailsafeRefusal;
use ha::cluster::{Cluster, StoreWrite};
use ha::failsafe::{Asking, Asks, FailsafeView, PROMISED_HEADER, Seen, TTL_FIELD, Word};
use ha::guard::{PerServer, ServerKind};
use ha::lease::Lease;
use ha::redis::DcsView;
use platform::boot_clock;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tls::{ClientTls, HTTP1};
use tokio::task::JoinSet;
use types::{MemberName, Millis};

const SECURED: &str = "https://";
/// Connections to the members stay open for so long, so that a question needs no new one.
const IDLE_CONNECTIONS: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Failsafe {
    member: Arc<MemberConfig>,
    state: Arc<Mutex<State>>,
    plain: reqwest::Client,
    /// Made with the first question to a member that speaks TLS.
    secured: Arc<OnceLock<Result<reqwest::Client, String>>>,
}

struct State {
    word: Word,
    asking: Asking,
    /// The batch under way takes a leader key.
    takes: PerServer<bool>,
}

/// What the members answered in time.
#[derive(Debug, Default)]
pub struct Answers {
    pub accepted: BTreeSet<MemberName>,
    /// And why not.
    pub refused: BTreeMap<MemberName, String>,
}

impl Failsafe {
    /// `roles`: which servers this member has.
    pub fn new(member: Arc<MemberConfig>, roles: PerServer<bool>) -> Self {
        let word = Word::new(boot_clock(), roles);
        let state = State { word, asking: Asking::default(), takes: PerServer::default() };
        let plain = builder().build().unwrap_or_default();
        Self { member, state: Arc::new(Mutex::new(state)), plain, secured: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner) // whole at every moment
    }

    /// For the view of the next decision about a server.
    pub fn view(&self, server: ServerKind, cluster: Option<&Cluster>) -> FailsafeView {
        let state = self.state();
        let listed = cluster.and_then(|cluster| cluster.failsafe.as_ref());
        FailsafeView {
            consent: state.asking.consent().cloned(),
            missing: state.asking.missing().to_vec(),
            ..state.word.view(server, listed)
        }
    }

    /// After a decision about PostgreSQL, before anything of it is sent.
    pub fn decided_postgres(&self, view: &DcsView, leads: bool, asks: Option<Asks>) {
        let mut state = self.state();
        state.asking.decided(asks);
        if let Some(cluster) = &view.cluster {
            let entry = cluster.members.get(&self.member.name).map(|mine| mine.revision);
            let seen = Seen { entry, failsafe: cluster.failsafe_revision(), leads };
            state.word.decided(ServerKind::Postgres, seen);
        }
    }

    /// After a decision about Redis, before anything of it is sent.
    pub fn decided_redis(&self, view: &DcsView, group: &str) {
        if let Some(cluster) = &view.cluster {
            let entry = cluster.redis.get(group).and_then(|group| group.members.get(&self.member.name));
            let entry = entry.map(|mine| mine.revision);
            let seen = Seen { entry, failsafe: cluster.failsafe_revision(), leads: false };
            self.state().word.decided(ServerKind::Redis, seen);
        }
    }

    /// What of a batch may be sent now.
    pub fn allowed(&self, server: ServerKind, mut batch: Vec<Write>) -> Vec<Write> {
        let now = boot_clock();
        let mut state = self.state();
        let takes = batch.iter().find_map(|write| match write {
            Write::Postgres(write) => write.takes_leader(),
            Write::Redis { write, .. } => write.takes_leader(),
        });
        state.takes[server] = takes.is_some();
        if let Some((entry, failsafe)) = takes
            && !state.word.take(now, server, entry, failsafe)
        {
            tracing::info!("the leader key is not taken: this member has just promised not to");
            return Vec::new();
        }
        if server == ServerKind::Postgres && takes.is_none() && !state.asking.may_write(now) {
            return Vec::new();
        }
        if !state.asking.may_write(now) {
            batch.retain(|write| !matches!(write, Write::Postgres(write) if StoreWrite::changes_failsafe(write)));
        }
        batch
    }

    pub fn written(&self, server: ServerKind, outcome: &BatchOutcome) {
        let mut state = self.state();
        let took = std::mem::take(&mut state.takes[server]);
        if took && *outcome == BatchOutcome::Refused {
            state.word.was_refused(server);
        }
    }

    /// Another member asks this one to take no leader key for `ttl`.
    pub fn promise(&self, to: &MemberName, ttl: Millis) -> Result<(), FailsafeRefusal> {
        let answer = self.state().word.promise(boot_clock(), to, ttl);
        match answer {
            Ok(()) => tracing::debug!(%to, %ttl, "promised not to take over"),
            Err(refusal) => tracing::warn!(%to, "not promised: {}", refusal.as_str()),
        }
        answer.map_err(|refusal| FailsafeRefusal(refusal.as_str()))
    }

    /// The leader lives although this member may not see that in the store: it goes on by promises, or has asked for ours.
    pub fn vouches_for(&self, leader: Option<&MemberName>) -> bool {
        let (now, state) = (boot_clock(), self.state());
        let goes_on = state.asking.consent().is_some_and(|consent| now < consent.until);
        leader
            .is_some_and(|leader| goes_on && *leader == self.member.name || state.word.promised_to(now) == Some(leader))
    }

    /// This member leads by the consent of the others.
    pub fn goes_on_by_consent(&self) -> bool {
        self.state().asking.consent().is_some_and(|consent| boot_clock() < consent.until)
    }

    pub fn whom(&self, lease: &Lease) -> Option<BTreeMap<MemberName, String>> {
        self.state().asking.whom(lease).cloned()
    }

    pub fn confirmed(&self, lease: &Lease) {
        self.state().asking.confirmed(lease);
    }

    /// The lease as it is by their consent, if that was everybody's.
    pub fn answered(&self, lease: &Lease, asked_at: Millis, answers: &Answers) -> Option<Lease> {
        self.state().asking.answered(boot_clock(), lease, asked_at, &answers.accepted, &answers.refused)
    }

    /// Asks all of them at once.
    pub async fn ask(&self, members: BTreeMap<MemberName, String>, ttl: Millis, within: Duration) -> Answers {
        let mut questions = JoinSet::new();
        let mut answers = Answers::default();
        for (name, url) in members {
            answers.refused.insert(name.clone(), "it did not answer in time".to_owned());
            let this = self.clone();
            questions.spawn(async move { (name, this.ask_one(&url, ttl).await) });
        }
        let _ = tokio::time::timeout(within, async {
            while let Some(answered) = questions.join_next().await {
                let Ok((name, answer)) = answered else { continue };
                match answer {
                    Ok(()) => {
                        answers.refused.remove(&name);
                        answers.accepted.insert(name);
                    }
                    Err(why) => {
                        answers.refused.insert(name, why);
                    }
                }
            }
        })
        .await;
        answers
    }

    async fn ask_one(&self, url: &str, ttl: Millis) -> Result<(), String> {
        let Some(host) = url.split_once("://").and_then(|(scheme, rest)| {
            Some(format!("{scheme}://{}", rest.split('/').next().filter(|host| !host.is_empty())?))
        }) else {
            return Err("it has told no address of its REST API".to_owned());
        };
        let url = format!("{host}/failsafe");
        let mut question = json!({
            "name": self.member.name,
            "conn_url": self.member.postgresql.as_ref().map(|_| self.member.conn_url()),
            "api_url": self.member.api_url(),
            "slots": {},
        });
        question[TTL_FIELD] = Value::from(ttl.0);
        let mut request = self.client_for(&url)?.post(url).json(&question);
        if let Some(user) = &self.member.restapi.authentication {
            request = request.basic_auth(&user.username, user.password.as_ref().map(Secret::expose));
        }
        let answer = request.send().await.map_err(|error| innermost(&error))?;
        let promised = answer.headers().get(PROMISED_HEADER).and_then(|text| text.to_str().ok()?.parse().ok());
        let status = answer.status();
        if status.is_success() {
            return match promised {
                Some(promised) if Millis(promised) >= ttl => Ok(()),
                Some(_) | None => Err("its agent accepts, and promises nothing".to_owned()),
            };
        }
        let why = answer.text().await.unwrap_or_default();
        Err(format!("{} {}", status.as_u16(), why.trim().chars().take(WHY_CHARACTERS_MAX).collect::<String>()))
    }

    fn client_for(&self, url: &str) -> Result<&reqwest::Client, String> {
        if !url.starts_with(SECURED) {
            return Ok(&self.plain);
        }
        let make = || {
            let opened = ClientTls::open(client_files(&self.member.ctl.tls), &[HTTP1]);
            let opened = opened.map_err(|error| format!("{error} (hint: {})", error.hint()))?;
            http_client(builder(), &opened).map_err(|error| error.to_string())
        };
        self.secured.get_or_init(make).as_ref().map_err(Clone::clone)
    }
}

/// Of an answer that is no consent, for people.
const WHY_CHARACTERS_MAX: usize = 200;

fn builder() -> reqwest::ClientBuilder {
    // The time is the caller's: it drops the question.
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    client.pool_idle_timeout(IDLE_CONNECTIONS)
}

/// "connection refused" says more than "error sending request".
fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
