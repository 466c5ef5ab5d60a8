//! What is wanted of one PgBouncer, carried out, and tried again until it is so.

use crate::console::{Command, Console};
use crate::{Error, Include};
use ha::hold::{Primary, Wanted};
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// From a failure to the next attempt: clients that are held may wait for it. Doubled up to the second one: a PgBouncer
/// that is not there at all is not asked for all the time.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(4);
/// PgBouncer's word for all databases that are not listed; pausing it means pausing everything.
const ANY_DATABASE: &str = "*";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The user's name for it.
    pub name: String,
    /// A host, or the directory of the Unix socket.
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: Option<String>,
    /// Read anew for each connection.
    pub password_file: Option<PathBuf>,
    /// Empty: all.
    pub databases: Vec<String>,
    pub include: Option<Include>,
    pub pause_timeout: Duration,
}

impl Settings {
    pub(crate) fn password(&self) -> Result<Option<String>, Error> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|why| Error::PasswordFile { path: path.clone(), why })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// What commands name; empty: all.
    fn commanded(&self) -> &[String] {
        if self.databases.iter().any(|name| name == ANY_DATABASE) { &[] } else { &self.databases }
    }
}

/// How far it is with what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    UnderWay,
    Done,
    /// Held, but for transactions that ran already.
    Busy,
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub wanted: Wanted,
    pub outcome: Outcome,
}

impl Default for Status {
    fn default() -> Self {
        Self { wanted: Wanted::default(), outcome: Outcome::UnderWay }
    }
}

/// What is known of PgBouncer's state.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// The worker before this one may have left it paused.
    Nothing,
    Flowing,
    /// Perhaps only some of its databases.
    Held,
}

/// See the module.
pub struct Instance {
    settings: Settings,
    console: Option<Console>,
    known: Known,
    /// Which primary its server connections lead to, as far as it was told.
    led_to: Option<Primary>,
    /// The include file was changed and PgBouncer has not read it yet.
    reload: bool,
}

impl Instance {
    pub fn new(settings: Settings) -> Self {
        Self { settings, console: None, known: Known::Nothing, led_to: None, reload: false }
    }

    /// Until `wanted` is closed; what it wanted last is carried out before.
    pub async fn run(mut self, mut wanted: watch::Receiver<Wanted>, status: watch::Sender<Status>) {
        let (mut complaint, mut pause) = (String::new(), RETRY_PAUSE);
        loop {
            let now = wanted.borrow_and_update().clone();
            status.send_modify(|status| *status = Status { wanted: now.clone(), outcome: Outcome::UnderWay });
            let done = tokio::select! {
                done = self.bring_about(&now) => done,
                // What was begun is left as it is; the connection it was begun on is closed with it.
                Ok(()) = wanted.changed() => continue,
            };
            let failed = done.is_err();
            pause = if failed { (pause * 2).min(RETRY_PAUSE_MAX) } else { RETRY_PAUSE };
            let outcome = done.unwrap_or_else(|error| Outcome::Failed(error.to_string()));
            let complaint_now = if let Outcome::Failed(why) = &outcome { why.as_str() } else { "" };
            if !complaint_now.is_empty() && complaint_now != complaint {
                tracing::warn!(pgbouncer = self.settings.name, "{complaint_now}");
            }
            complaint = complaint_now.to_owned();
            let status_now = Status { wanted: now.clone(), outcome };
            status.send_if_modified(|status| std::mem::replace(status, status_now.clone()) != status_now);
            // A hold that failed is not tried again: the switchover goes on without it.
            let again = failed && matches!(now, Wanted::Flow { .. });
            tokio::select! {
                changed = wanted.changed() => if changed.is_err() { return },
                () = sleep(pause), if again => {}
            }
        }
    }

    async fn bring_about(&mut self, wanted: &Wanted) -> Result<Outcome, Error> {
        match wanted {
            Wanted::Hold { .. } => self.hold().await,
            Wanted::Flow { primary } => self.flow(primary.as_ref()).await.map(|()| Outcome::Done),
        }
    }

    async fn hold(&mut self) -> Result<Outcome, Error> {
        let console = self.console().await?;
        self.known = Known::Held;
        // A console waits for PAUSE's answer before it takes the next command, so each database has one of its own.
        let mut pausing = JoinSet::new();
        let mut databases = self.settings.commanded().iter().cloned();
        let first = databases.next();
        pausing.spawn(async move { console.pause(first.as_deref()).await.map(|()| console) });
        for database in databases {
            let console = Console::open(&self.settings).await?;
            pausing.spawn(async move { console.pause(Some(&database)).await.map(|()| console) });
        }
        let all = async {
            let mut all = Ok(());
            while let Some(Ok(paused)) = pausing.join_next().await {
                all = all.and(paused.map(|console| self.console = Some(console)));
            }
            all
        };
        match timeout(self.settings.pause_timeout, all).await {
            Ok(done) => done.map(|()| Outcome::Done),
            // The connections wait for PAUSE's answer; the pause stands without them.
            Err(_) => Ok(Outcome::Busy),
        }
    }

    /// First where to, then go: a client that goes on must not meet the old primary.
    async fn flow(&mut self, primary: Option<&Primary>) -> Result<(), Error> {
        if let (Some(include), Some(primary)) = (&self.settings.include, primary) {
            self.reload |= include.write(&include.text(&self.settings.databases, &primary.address))?;
        }
        let moved = primary.is_some() && self.led_to.is_some() && self.led_to.as_ref() != primary;
        if self.known == Known::Flowing && !moved && !self.reload {
            self.led_to = primary.cloned().or(self.led_to.take());
            return Ok(());
        }
        let console = self.console().await?;
        let databases = self.settings.commanded();
        if self.reload {
            console.reload().await?;
            self.reload = false;
        }
        if moved {
            // Server connections to the old primary are closed at the end of their transactions, if it has not cut them.
            console.tell(Command::Reconnect, databases).await?;
        }
        if self.known != Known::Flowing {
            console.tell(Command::Resume, databases).await?;
            self.known = Known::Flowing;
        }
        self.led_to = primary.cloned().or(self.led_to.take());
        self.console = Some(console);
        Ok(())
    }

    /// The open connection, or a new one. It is put back when a command has been answered in order.
    async fn console(&mut self) -> Result<Console, Error> {
        match self.console.take().filter(|console| !console.is_closed()) {
            Some(console) => Ok(console),
            None => Console::open(&self.settings).await,
        }
    }
}
