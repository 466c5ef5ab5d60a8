//! Talks to one running server, over one connection that is kept.
//!
//! Each method says what it has done only when the server has said so. After an error the connection is given up, and
//! the next call opens another: nobody takes an answer for that of another question.

use crate::error::{Error, Result};
use crate::info::{Link, Role, Status};
use crate::settings::NOBODY;
use resp::Value;
use resp::client::{Address, ClientError, Connection, Target};
use std::time::Duration;

/// Everything that is asked here is answered within a millisecond by a server that is not busy.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at how far a replica is. A look costs both servers some ten microseconds.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// What a probe asks, in one go. INFO of several sections at once came with Redis 7.
const SECTIONS: [&str; 6] = ["server", "clients", "memory", "persistence", "replication", "keyspace"];

pub struct Server {
    target: Target,
    connection: Option<Connection>,
}

impl Server {
    /// Connects to nothing yet.
    pub fn new(target: Target) -> Self {
        Self { target, connection: None }
    }

    pub fn address(&self) -> &Address {
        &self.target.address
    }

    /// The server is known to be gone: the next call opens a new connection.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Is it alive, and how is it? Within `patience` altogether, connecting included.
    pub async fn probe(&mut self, patience: Duration) -> Result<Status> {
        let mut commands = vec![vec!["PING"]];
        commands.extend(SECTIONS.iter().map(|section| vec!["INFO", *section]));
        let asked = tokio::time::timeout(patience, self.pipeline("PING and INFO", &commands, patience));
        let Ok(replies) = asked.await else {
            self.disconnect();
            return Err(self.failed("PING and INFO", ClientError::Timeout));
        };
        let replies = replies?;
        let mut replies = replies.into_iter();
        let alive = replies.next().unwrap_or(Value::Null);
        if let Some(message) = alive.as_error().filter(|message| !is_alive(message)) {
            return Err(Error::Refused { action: "PING", message: message.to_owned() });
        }
        let mut text = String::new();
        for reply in replies {
            match (reply.as_text(), reply.as_error()) {
                (Some(section), _) => text.push_str(&section),
                (None, Some(message)) => {
                    return Err(Error::Refused { action: "INFO", message: message.to_owned() });
                }
                (None, None) => {
                    return Err(Error::Answer { action: "INFO", why: "it is no text".to_owned() });
                }
            }
        }
        Ok(Status::parse(&text))
    }

    /// Follow this master; what was not replicated is given up.
    pub async fn replica_of(&mut self, master: &Address) -> Result<()> {
        let port = master.port.to_string();
        self.command("REPLICAOF", &["REPLICAOF", &master.host, &port]).await
    }

    /// Follow nobody and take no writes.
    pub async fn replica_of_nobody(&mut self) -> Result<()> {
        self.replica_of(&Address::new(NOBODY.0, NOBODY.1)).await
    }

    /// Take writes. Promoted is promoted: asked of a master it changes nothing.
    pub async fn promote(&mut self) -> Result<()> {
        self.command("REPLICAOF NO ONE", &["REPLICAOF", "NO", "ONE"]).await
    }

    /// Writes wait, at most for so long, and then go on by themselves, whatever becomes of us.
    pub async fn pause_writes(&mut self, at_most: Duration) -> Result<()> {
        let milliseconds = at_most.as_millis().to_string();
        self.command("CLIENT PAUSE", &["CLIENT", "PAUSE", &milliseconds, "WRITE"]).await
    }

    pub async fn unpause(&mut self) -> Result<()> {
        self.command("CLIENT UNPAUSE", &["CLIENT", "UNPAUSE"]).await
    }

    /// In one step: follow this master (or nobody), and cut every client, so that none believes to talk to a master. The
    /// answer is the end of the data stream at that moment.
    pub async fn demote(&mut self, to: Option<&Address>) -> Result<u64> {
        const ACTION: &str = "the demotion";
        let (host, port) = to.map_or((NOBODY.0, NOBODY.1), |master| (master.host.as_str(), master.port));
        let port = port.to_string();
        let commands = [
            vec!["MULTI"],
            vec!["INFO", "replication"],
            vec!["REPLICAOF", host, &port],
            vec!["CLIENT", "KILL", "TYPE", "normal"],
            vec!["CLIENT", "KILL", "TYPE", "pubsub"],
            vec!["EXEC"],
        ];
        let replies = self.pipeline(ACTION, &commands, PATIENCE).await?;
        for reply in &replies {
            accepted(ACTION, reply)?;
        }
        let unexpected = |why: &str| Error::Answer { action: ACTION, why: why.to_owned() };
        let results = replies.last().and_then(Value::as_array).ok_or_else(|| unexpected("nothing was carried out"))?;
        results.iter().try_for_each(|result| accepted(ACTION, result))?;
        let before = results.first().and_then(Value::as_text).ok_or_else(|| unexpected("INFO is no text"))?;
        Ok(Status::parse(&before).offset)
    }

    /// The end of the data stream as the server has it now.
    pub async fn offset(&mut self) -> Result<u64> {
        Ok(self.replication().await?.offset)
    }

    /// Waits, at most `patience`, until this server has everything that `master` had: of the same history, because offsets
    /// of different ones say nothing of each other, and over a link that is up. Says whether it has.
    pub async fn wait_for_all_of(&mut self, master: &Status, patience: Duration) -> Result<bool> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let own = self.replication().await?;
            let receives = matches!(own.role, Role::Replica { link: Link::Up, .. });
            if receives && own.replication_id == master.replication_id && own.offset >= master.offset {
                return Ok(true);
            }
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
        }
    }

    pub async fn config_set(&mut self, name: &str, value: &str) -> Result<()> {
        self.command("CONFIG SET", &["CONFIG", "SET", name, value]).await
    }

    /// The section `replication` alone.
    pub async fn replication(&mut self) -> Result<Status> {
        let reply = self.call("INFO replication", &["INFO", "replication"]).await?;
        if let Some(text) = reply.as_text() {
            return Ok(Status::parse(&text));
        }
        accepted("INFO replication", &reply)?;
        Err(Error::Answer { action: "INFO replication", why: "it is no text".to_owned() })
    }

    async fn command(&mut self, action: &'static str, arguments: &[&str]) -> Result<()> {
        let reply = self.call(action, arguments).await?;
        accepted(action, &reply)
    }

    async fn call(&mut self, action: &'static str, arguments: &[&str]) -> Result<Value> {
        let mut replies = self.pipeline(action, &[arguments.to_vec()], PATIENCE).await?;
        replies.pop().ok_or_else(|| self.failed(action, ClientError::Closed))
    }

    /// A connection that the server has closed in the meantime (it was idle, or restarted) is noticed only by using it:
    /// where nothing can have been carried out yet, a fresh one is tried once.
    async fn pipeline(
        &mut self,
        action: &'static str,
        commands: &[Vec<&str>],
        patience: Duration,
    ) -> Result<Vec<Value>> {
        let fresh = self.connection.is_none();
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.target, action).await?,
        };
        let replies = match connection.pipeline(commands, patience).await {
            // Each of our commands may be carried out twice: they say how things are to be.
            Err(ClientError::Closed) if !fresh => {
                connection = open(&self.target, action).await?;
                connection.pipeline(commands, patience).await
            }
            other => other,
        };
        let replies = replies.map_err(|source| self.failed(action, source))?;
        self.connection = Some(connection);
        Ok(replies)
    }

    fn failed(&self, action: &'static str, source: ClientError) -> Error {
        failed(&self.target, action, source)
    }
}

async fn open(target: &Target, action: &'static str) -> Result<Connection> {
    Connection::open(target).await.map_err(|source| failed(target, action, source))
}

fn failed(target: &Target, action: &'static str, source: ClientError) -> Error {
    Error::Client { address: target.address.to_string(), action, source }
}

/// How far the replica at this address is, as its master knows it: at most a second old.
pub fn offset_of_replica(status: &Status, address: &Address) -> Option<u64> {
    status.replicas.iter().find(|replica| replica.online && replica.address == *address).map(|replica| replica.offset)
}

/// Errors with which a server says that it lives.
fn is_alive(message: &str) -> bool {
    ["LOADING", "MASTERDOWN", "BUSY"].iter().any(|code| message.starts_with(code))
}

fn accepted(action: &'static str, reply: &Value) -> Result<()> {
    match reply.as_error() {
        Some(message) => Err(Error::Refused { action, message: message.to_owned() }),
        None => Ok(()),
    }
}
