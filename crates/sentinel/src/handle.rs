//! How the program starts a Sentinel and talks with it.

use crate::acl::{self, Acl};
use crate::driver;
use crate::driver::links::Links;
use crate::file::{ServerSettings, Settings};
use crate::server::listener::Ports;
use crate::world::Parts;
use ha::sentinel::{Address, Answer, Event, Local, Manner, Sentinel, Token};
use resp::client::{TlsClient, TlsFiles};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Messages that may wait in either direction. Both sides answer within moments.
const MESSAGES_MAX: usize = 1024;

/// What the agent tells its Sentinel.
#[derive(Debug)]
pub enum ToSentinel {
    /// What the store has decided about a master whose servers our agents run.
    StoreSays {
        master: String,
        quorum: u32,
        address: Address,
        epoch: u64,
        replicas: Vec<Address>,
    },
    StoreForgot {
        master: String,
    },
    EpochClaimed {
        master: String,
        epoch: u64,
    },
    /// Somebody else was first, or the store did not answer. `epoch`: the newest known to be taken, 0 for unknown.
    EpochRefused {
        master: String,
        epoch: u64,
    },
    /// The answer to `FromSentinel::RequestFailover`.
    FailoverAnswered {
        token: Token,
        answer: Answer,
    },
    Shutdown,
}

/// What a Sentinel wants from the agent. Without an agent there are no native masters, and nobody to ask.
#[derive(Debug)]
pub enum FromSentinel {
    /// Compare-and-swap of the epoch key, from anything smaller to this.
    ClaimEpoch { master: String, epoch: u64 },
    /// A client wants a failover; answer with the token.
    RequestFailover { token: Token, master: String, manner: Manner },
}

/// Why a Sentinel could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Listen(String),
    #[error("{0}")]
    Acl(String),
    #[error("{0}")]
    Tls(String),
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A running Sentinel. It ends when this is dropped.
pub struct Handle {
    tell: mpsc::Sender<ToSentinel>,
    ended: oneshot::Receiver<i32>,
    _thread: JoinHandle<()>,
}

impl Handle {
    /// For other tasks that tell it things.
    pub fn sender(&self) -> mpsc::Sender<ToSentinel> {
        self.tell.clone()
    }

    /// False when it has ended or does not keep up.
    pub fn tell(&self, message: ToSentinel) -> bool {
        self.tell.try_send(message).is_ok()
    }

    /// Waits for its end: the exit code that it wants.
    pub async fn ended(&mut self) -> i32 {
        // A thread that is gone without a word has panicked, which its own hook has reported.
        (&mut self.ended).await.unwrap_or(1)
    }

    /// The same for callers without a runtime.
    pub fn wait(self) -> i32 {
        let Self { tell, ended, _thread } = self;
        let code = ended.blocking_recv().unwrap_or(1);
        drop(tell);
        code
    }
}

/// Opens the ports and starts, on a thread of its own: nothing that other parts of the program do delays its timers.
pub fn start(settings: Settings, outside: Option<mpsc::Sender<FromSentinel>>) -> Result<Handle, StartError> {
    let Settings { server, configuration, state, mode } = settings;
    let acl = users(&server)?;
    let tls = tls_client(&server)?;
    let ports = Ports::open(&server).map_err(StartError::Listen)?;
    let random_id = || acl::generate(160).ok_or_else(|| std::io::Error::other("no randomness"));
    let run_id = random_id()?;
    let local = Local {
        port: if server.tls.replication && server.tls.port != 0 { server.tls.port } else { server.port },
        own_password: server.password.clone(),
        fresh_id: random_id()?,
        seed: fastrand::u64(..),
        mode,
    };
    let (tell, told) = mpsc::channel(MESSAGES_MAX);
    let (end, ended) = oneshot::channel();
    let thread = std::thread::Builder::new().name("sentinel".to_owned()).spawn(move || {
        let sentinel = Sentinel::new(platform::boot_clock(), configuration, local);
        let parts = Parts { settings: server, sentinel, acl, state, links: Links::new(tls), run_id, outside };
        let code = match driver::run(ports, parts, told) {
            Ok(code) => code,
            Err(error) => {
                tracing::error!("the sentinel cannot run: {error}");
                1
            }
        };
        // Nobody may be waiting for it.
        let _ = end.send(code);
    })?;
    Ok(Handle { tell, ended, _thread: thread })
}

fn users(server: &ServerSettings) -> Result<Acl, StartError> {
    let mut acl = match &server.acl_file {
        Some(path) => Acl::load(path, server.acl_pubsub_all).map_err(StartError::Acl)?,
        None => Acl::new(server.acl_pubsub_all),
    };
    if server.acl_file.is_none()
        && let Some(password) = &server.password
    {
        acl.set_default_password(Some(password.expose()));
    }
    for line in &server.users {
        let (name, rules) = line.split_first().ok_or_else(|| StartError::Acl("a user without a name".to_owned()))?;
        acl.set_user(name, rules).map_err(|why| StartError::Acl(format!("user {name}: {why}")))?;
    }
    Ok(acl)
}

fn tls_client(server: &ServerSettings) -> Result<Option<TlsClient>, StartError> {
    let tls = &server.tls;
    if !tls.replication {
        return Ok(None);
    }
    let ca = tls.ca.clone().ok_or_else(|| StartError::Tls("tls-replication needs tls-ca-cert-file".to_owned()))?;
    let pair = |certificate: &Option<_>, key: &Option<_>| Some((certificate.clone()?, key.clone()?));
    let certificate = pair(&tls.client_certificate, &tls.client_key).or_else(|| pair(&tls.certificate, &tls.key));
    let files = TlsFiles { ca, certificate, verify_name: false };
    TlsClient::from_files(&files).map(Some).map_err(|error| StartError::Tls(error.to_string()))
}

impl ToSentinel {
    /// What it is for the state machine; `None`: it is not for it.
    pub(crate) fn into_event(self) -> Result<Event, Self> {
        Ok(match self {
            Self::StoreSays { master, quorum, address, epoch, replicas } => {
                Event::StoreSays { master, quorum, address, epoch, replicas }
            }
            Self::StoreForgot { master } => Event::StoreForgot { master },
            Self::EpochClaimed { master, epoch } => Event::EpochClaimed { master, epoch },
            Self::EpochRefused { master, epoch } => Event::EpochRefused { master, epoch },
            other @ (Self::FailoverAnswered { .. } | Self::Shutdown) => return Err(other),
        })
    }
}
