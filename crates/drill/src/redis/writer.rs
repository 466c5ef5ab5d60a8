//! The Redis client of a drill: to a fixed address, such as a proxy's, or to whom the sentinels name.
//!
//! Each write adds its number to a set, so that what is in the set in the end was carried out. With Sentinel it does what
//! Jedis, Lettuce and go-redis do: it asks the sentinels at each connect, subscribes to `+switch-master` at all of them, and
//! gives up its connection when another master is announced.

use super::MASTER;
use super::client::{ANSWER_TIME_MAX, Login, answer, field};
use super::sentinel::master_address;
use crate::writer::{Client, Session};
use anyhow::{Context, Result};
use resp::Value;
use resp::client::Connection;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// A frozen sentinel is passed over after this.
const SENTINEL_TIME_MAX: Duration = Duration::from_millis(300);
/// From a lost subscription to the next attempt.
const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(200);
/// Announcements that wait to be heard: a failover makes one at each sentinel.
const ANNOUNCEMENTS_MAX: usize = 64;
/// How long a write may take is the writer's business, see `Pace`; this only bounds the protocol's client.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);

/// Where to write to.
#[derive(Clone, Debug)]
pub enum Endpoint {
    Fixed(SocketAddr),
    Sentinels(Vec<SocketAddr>),
}

/// See the module.
#[derive(Debug)]
pub struct RedisClient {
    endpoint: Endpoint,
    password: Option<String>,
    /// The master that was announced last, until it was tried.
    announced: Option<SocketAddr>,
    announcements: mpsc::Receiver<SocketAddr>,
    /// One subscription for each sentinel; they end with this.
    _subscriptions: JoinSet<()>,
    /// Which sentinel is asked first: another one each time.
    turn: usize,
}

impl RedisClient {
    pub fn new(endpoint: Endpoint, password: Option<String>) -> Self {
        let (sender, announcements) = mpsc::channel(ANNOUNCEMENTS_MAX);
        let mut subscriptions = JoinSet::new();
        if let Endpoint::Sentinels(sentinels) = &endpoint {
            for sentinel in sentinels {
                subscriptions.spawn(listen(Login::open_to_all(*sentinel), sender.clone()));
            }
        }
        Self { endpoint, password, announced: None, announcements, _subscriptions: subscriptions, turn: 0 }
    }

    async fn master(&mut self) -> Result<SocketAddr> {
        let sentinels = match &self.endpoint {
            Endpoint::Fixed(address) => return Ok(*address),
            Endpoint::Sentinels(sentinels) => sentinels,
        };
        while let Ok(master) = self.announcements.try_recv() {
            self.announced = Some(master);
        }
        if let Some(master) = self.announced.take() {
            return Ok(master);
        }
        self.turn += 1;
        let mut failure = anyhow::anyhow!("there is no sentinel");
        for index in 0..sentinels.len() {
            let sentinel = Login::open_to_all(sentinels[(self.turn + index) % sentinels.len()]);
            match timeout(SENTINEL_TIME_MAX, master_address(&sentinel, MASTER)).await {
                Ok(Ok(master)) => return Ok(master),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = anyhow::anyhow!("the sentinel {} does not answer", sentinel.address),
            }
        }
        Err(failure)
    }

    async fn session(&mut self) -> Result<RedisSession> {
        let login = Login { address: self.master().await?, password: self.password.clone() };
        let mut connection = login.connect().await?;
        // Through a proxy it is not the address that was dialled.
        let about = answer(&mut connection, &["CLIENT", "INFO"]).await?;
        let about = about.as_text().unwrap_or_default();
        let node = field(&about, "laddr").context("CLIENT INFO does not say who answers")?.to_owned();
        Ok(RedisSession { connection, node })
    }
}

impl Client for RedisClient {
    type Session = RedisSession;

    async fn open(&mut self) -> Result<RedisSession, String> {
        self.session().await.map_err(|error| format!("{error:#}"))
    }

    async fn moved(&mut self, session_node: &str) -> String {
        loop {
            match self.announcements.recv().await {
                Some(master) if master.to_string() != session_node => {
                    self.announced = Some(master);
                    return format!("the sentinels announce {master} as the master");
                }
                Some(_) => {}
                None => return std::future::pending().await,
            }
        }
    }
}

/// A connection to one server.
pub struct RedisSession {
    connection: Connection,
    node: String,
}

impl Session for RedisSession {
    fn node(&self) -> &str {
        &self.node
    }

    async fn write(&mut self, run: &str, number: u64) -> Result<(), String> {
        let key = key(run);
        let number = number.to_string();
        match self.connection.call(&["SADD", &key, &number], WRITE_TIME_MAX).await {
            Ok(Value::Error(text)) => Err(text),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn key(run: &str) -> String {
    format!("drill:{run}")
}

/// The numbers of a run that are on the server.
pub async fn read_back(server: &Login, run: &str) -> Result<HashSet<u64>> {
    let members = server.ask(&["SMEMBERS", &key(run)]).await.context("cannot read the writes back")?;
    Ok(members
        .as_array()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_integer)
        .map(|number| number as u64)
        .collect())
}

/// Passes on each announcement about our master, for ever.
async fn listen(sentinel: Login, sender: mpsc::Sender<SocketAddr>) {
    loop {
        // An error means that the sentinel is away; the others are heard.
        let _ = subscription(&sentinel, &sender).await;
        sleep(SUBSCRIBE_PAUSE).await;
    }
}

async fn subscription(sentinel: &Login, sender: &mpsc::Sender<SocketAddr>) -> Result<()> {
    let (mut commands, mut messages) = timeout(ANSWER_TIME_MAX, sentinel.connect()).await??.into_split();
    commands.send(&["SUBSCRIBE", "+switch-master"]).await?;
    loop {
        let message = messages.receive().await?;
        let Some([_, _, payload]) = message.as_array() else { continue };
        if let Some(master) = payload.as_text().and_then(|text| announced(&text)) {
            sender.send(master).await?;
        }
    }
}

/// The new address in `db1 OLD-IP OLD-PORT NEW-IP NEW-PORT`.
fn announced(payload: &str) -> Option<SocketAddr> {
    let words: Vec<&str> = payload.split(' ').collect();
    let [name, _, _, ip, port] = words[..] else { return None };
    (name == MASTER).then_some(())?;
    Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_names_the_new_master() {
        let new = Some(SocketAddr::from(([127, 0, 0, 12], 6379)));
        assert_eq!(announced("db1 127.0.0.11 6379 127.0.0.12 6379"), new);
        for other in ["db2 127.0.0.11 6379 127.0.0.12 6379", "db1 127.0.0.11 6379", "1"] {
            assert_eq!(announced(other), None, "{other}");
        }
    }
}
