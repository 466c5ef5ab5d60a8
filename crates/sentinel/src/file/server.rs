//! What the file says about the server itself: where it listens, who may come in, how much they may take.

use resp::Secret;
use std::path::PathBuf;
use std::time::Duration;

/// Everything but the `sentinel ...` lines. The defaults are Sentinel's.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Addresses to listen on, `*` for all; one that begins with `-` may be missing on this machine.
    pub bind: Vec<String>,
    /// 0: no port without TLS.
    pub port: u16,
    pub protected_mode: bool,
    pub tls: TlsSettings,
    /// Clients that are silent for longer are disconnected; zero: never.
    pub timeout: Duration,
    pub tcp_keepalive: Duration,
    pub clients_max: usize,
    pub normal_limit: BufferLimit,
    pub pubsub_limit: BufferLimit,
    pub password: Option<Secret>,
    /// Lines `user NAME RULES...`, without the word `user`.
    pub users: Vec<Vec<String>>,
    pub acl_file: Option<PathBuf>,
    pub acl_log_max: usize,
    pub acl_pubsub_all: bool,
    pub directory: Option<PathBuf>,
    pub log_file: Option<PathBuf>,
    pub log_level: String,
    pub pid_file: Option<PathBuf>,
    pub daemonize: bool,
    pub supervised: String,
}

/// How much output may wait for a client that does not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimit {
    /// Disconnected at once; 0: no limit.
    pub hard_bytes: usize,
    /// Disconnected when it is over this for longer than `soft_time`; 0: no limit.
    pub soft_bytes: usize,
    pub soft_time: Duration,
}

/// The `tls-...` lines.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// 0: no TLS port.
    pub port: u16,
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub client_certificate: Option<PathBuf>,
    pub client_key: Option<PathBuf>,
    pub ca: Option<PathBuf>,
    pub ca_directory: Option<PathBuf>,
    pub clients: ClientCertificates,
    /// Towards masters, replicas and other Sentinels.
    pub replication: bool,
}

/// `tls-auth-clients`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    #[default]
    Required,
    Optional,
    Ignored,
}

impl BufferLimit {
    pub const NONE: Self = Self { hard_bytes: 0, soft_bytes: 0, soft_time: Duration::ZERO };
    /// Redis's default for subscribers.
    pub const PUBSUB: Self =
        Self { hard_bytes: 32 * 1024 * 1024, soft_bytes: 8 * 1024 * 1024, soft_time: Duration::from_secs(60) };
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            bind: vec!["*".to_owned(), "-::*".to_owned()],
            port: 26379,
            protected_mode: false,
            tls: TlsSettings::default(),
            timeout: Duration::ZERO,
            tcp_keepalive: Duration::from_secs(300),
            clients_max: 10_000,
            normal_limit: BufferLimit::NONE,
            pubsub_limit: BufferLimit::PUBSUB,
            password: None,
            users: Vec::new(),
            acl_file: None,
            acl_log_max: 128,
            acl_pubsub_all: false,
            directory: None,
            log_file: None,
            log_level: "notice".to_owned(),
            pid_file: None,
            daemonize: false,
            supervised: "no".to_owned(),
        }
    }
}
