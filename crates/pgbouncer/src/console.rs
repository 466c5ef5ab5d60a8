//! PgBouncer's admin console: a connection, and the few commands that are needed.
//!
//! Facts are of PgBouncer's documentation of its admin console, and were seen with 1.18: PAUSE answers when no server
//! connection is in use any more, and stays in force when the connection that sent it is closed before.

use crate::error::{Error, words};
use crate::instance::Settings;
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

/// A PgBouncer that works answers in a millisecond; one that does not is not waited for while clients are held.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// The console's own database.
const CONSOLE: &str = "pgbouncer";
/// What PgBouncer says to a command that asks for what is the case already.
const IS_SO_ALREADY: [&str; 2] = ["not paused", "already suspended/paused"];

/// The end of the connection is the end of this.
pub(crate) struct Console {
    client: Client,
}

/// Every command takes the database as its last word, or none for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Resume,
    Reconnect,
}

impl Command {
    fn word(self) -> &'static str {
        match self {
            Self::Resume => "RESUME",
            Self::Reconnect => "RECONNECT",
        }
    }
}

impl Console {
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Error> {
        let mut config = Config::new();
        config.host(&settings.host).port(settings.port).user(&settings.username).dbname(CONSOLE);
        config.application_name("quorate").connect_timeout(ANSWER_TIME_MAX);
        if let Some(password) = settings.password()? {
            config.password(password);
        }
        let place = format!("{} port {}", settings.host, settings.port);
        let connecting = timeout(ANSWER_TIME_MAX, config.connect(NoTls)).await.map_err(|_| silent())?;
        let (client, connection) = connecting.map_err(|error| Error::Connect { place, why: words(&error) })?;
        tokio::spawn(async move {
            // Its error comes out of the next command, too.
            let _ = connection.await;
        });
        Ok(Self { client })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Carried out for each database, or once for all. One that is refused does not keep the others from it.
    pub(crate) async fn tell(&self, command: Command, databases: &[String]) -> Result<(), Error> {
        if databases.is_empty() {
            return self.send(command.word().to_owned()).await;
        }
        let mut all = Ok(());
        for database in databases {
            all = all.and(self.send(format!("{} {database}", command.word())).await);
        }
        all
    }

    /// `None`: all databases. Answers when no transaction runs in it any more.
    pub(crate) async fn pause(&self, database: Option<&str>) -> Result<(), Error> {
        self.wait(format!("PAUSE {}", database.unwrap_or_default())).await
    }

    /// Reads the configuration files again.
    pub(crate) async fn reload(&self) -> Result<(), Error> {
        self.send("RELOAD".to_owned()).await
    }

    async fn send(&self, command: String) -> Result<(), Error> {
        timeout(ANSWER_TIME_MAX, self.wait(command)).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn wait(&self, command: String) -> Result<(), Error> {
        match self.client.simple_query(&command).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let why = words(&error);
                let is_so = error.as_db_error().is_some() && IS_SO_ALREADY.iter().any(|words| why.contains(words));
                if is_so { Ok(()) } else { Err(Error::Refused { command, why }) }
            }
        }
    }
}

fn silent() -> Error {
    Error::Silent { seconds: ANSWER_TIME_MAX.as_secs() }
}
