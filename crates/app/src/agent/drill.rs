//! The client of a drill: commits one small record after another and notes when each was confirmed.
//!
//! It goes the way that clients are told to go: through this member's proxy, or, where there is none, to whom the store names.

use config::MemberConfig;
use console::{Drill, Measured, Snapshot};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ha::cluster::MemberData;
use postgres::Conninfo;
use postgres::sql::{Committer, Timeouts};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// Between a confirmed commit and the next one: close enough to see a gap of tens of milliseconds.
const PAUSE: Duration = Duration::from_millis(5);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(10);
/// Without a first commit within this time there is nothing to measure.
const BEGIN_MAX: Duration = Duration::from_secs(5);
/// Longer than a switchover may take.
const TIME_MAX: Duration = Duration::from_secs(60);
/// The proxy holds a connection through a switchover; a commit that waits longer than this is an error.
const TIMEOUTS: Timeouts = Timeouts { connect: Duration::from_secs(10), statement: Duration::from_secs(10) };
/// Where `conn_url` leaves the port out.
const POSTGRES_PORT: u16 = 5432;

pub struct Client {
    member: Arc<MemberConfig>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

#[derive(Default)]
struct Log {
    confirmed: Vec<Instant>,
    errors: u64,
}

impl Client {
    /// `None`: a member without PostgreSQL has no name and password for it.
    pub fn of(member: Arc<MemberConfig>, snapshots: watch::Receiver<Arc<Snapshot>>) -> Option<Self> {
        member.postgresql.as_ref()?;
        Some(Self { member, snapshots })
    }

    fn way(&self) -> String {
        match &self.member.proxy {
            Some(proxy) => format!("through the proxy of {}, port {}", self.member.name, proxy.primary_port),
            None => format!("straight from {} to the primary", self.member.name),
        }
    }

    fn server(&self) -> Option<Conninfo> {
        let user = &self.member.postgresql.as_ref()?.authentication.superuser;
        let snapshot = self.snapshots.borrow();
        let address = |data: &MemberData| config::Address::parse(data.postgres_address()?, Some(POSTGRES_PORT)).ok();
        let (host, port, answered_by) = if let Some(proxy) = &self.member.proxy {
            let host = proxy.listen.first()?;
            let everywhere = matches!(host.as_str(), "*" | "0.0.0.0" | "::");
            let host = if everywhere { "127.0.0.1".to_owned() } else { host.clone() };
            // Whoever is the primary then.
            let members = snapshot.cluster.members.values();
            (host, proxy.primary_port, members.filter_map(|member| Some(address(&member.data)?.host)).collect())
        } else {
            let (_, leader) = snapshot.cluster.leader_member()?;
            let address = address(&leader.data)?;
            (address.host, address.port, Vec::new())
        };
        Some(Conninfo {
            host,
            port,
            user: user.username.clone(),
            password: user.password.clone(),
            options: user.parameters.clone(),
            answered_by,
            ..Conninfo::default()
        })
    }

    async fn commit(&self, log: &mut Log, started: oneshot::Sender<()>) -> String {
        let begun = Instant::now();
        let mut started = Some(started);
        let mut session: Option<Committer> = None;
        loop {
            let connected = match (session.take(), self.server()) {
                (Some(session), _) => Ok(session),
                (None, Some(server)) => Committer::connect(&server, TIMEOUTS).await.map_err(|error| error.to_string()),
                (None, None) => Err("there is no primary".to_owned()),
            };
            let why = match connected {
                Ok(present) => match present.commit().await {
                    Ok(()) => {
                        log.confirmed.push(Instant::now());
                        session = Some(present);
                        if let Some(started) = started.take() {
                            let _ = started.send(());
                        }
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                    Err(error) => {
                        log.errors += u64::from(started.is_none());
                        error.to_string()
                    }
                },
                Err(why) => why,
            };
            if started.is_some() && begun.elapsed() > BEGIN_MAX {
                return why;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn run(self, started: oneshot::Sender<()>, stop: oneshot::Receiver<()>) -> Result<Measured, String> {
        let mut log = Log::default();
        tokio::select! {
            why = self.commit(&mut log, started) => return Err(why),
            _ = stop => {}
            () = tokio::time::sleep(TIME_MAX) => {}
        }
        let mut gaps: Vec<f64> =
            log.confirmed.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs_f64() * 1000.0).collect();
        gaps.sort_by(f64::total_cmp);
        Ok(Measured {
            gap_ms: rounded(gaps.last().copied().unwrap_or_default()),
            usual_ms: rounded(gaps.get(gaps.len() / 2).copied().unwrap_or_default()),
            commits: log.confirmed.len() as u64,
            errors: log.errors,
            way: self.way(),
        })
    }
}

fn rounded(milliseconds: f64) -> f64 {
    (milliseconds * 10.0).round() / 10.0
}

impl Drill for Client {
    fn commit_until(
        &self,
        started: oneshot::Sender<()>,
        stop: oneshot::Receiver<()>,
    ) -> BoxFuture<'static, Result<Measured, String>> {
        let client = Self { member: self.member.clone(), snapshots: self.snapshots.clone() };
        client.run(started, stop).boxed()
    }
}
