//! The configuration as types: complete, checked, defaults filled in.

use crate::{Address, ConfigError, Secret};
use ha::cluster::{Keys, Tags};
use ha::vip::VipRole;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use types::{MemberName, Millis, Network, Scope};

/// Everything one member needs to know.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    pub scope: Scope,
    /// Without slashes around it; `service` by default.
    pub namespace: String,
    pub name: MemberName,
    /// The embedded store. Exactly one of `store` and `etcd` is there.
    pub store: Option<StoreConfig>,
    pub etcd: Option<EtcdConfig>,
    pub restapi: RestApiConfig,
    /// The web console.
    pub console: Option<ConsoleConfig>,
    pub bootstrap: BootstrapConfig,
    /// `None` on a witness, and on a member for Redis alone.
    pub postgresql: Option<PostgresqlConfig>,
    /// The Redis that the agent supervises.
    pub redis: Option<RedisConfig>,
    pub sentinel: Option<SentinelConfig>,
    pub proxy: Option<ProxyConfig>,
    /// Connection poolers whose clients are held during a switchover.
    pub pgbouncer: Option<PgbouncerConfig>,
    pub vips: Vec<VipConfig>,
    pub tags: Tags,
    pub watchdog: WatchdogConfig,
    pub log: LogConfig,
    pub ctl: CtlConfig,
    /// What is accepted and worth a line in the log at the start.
    pub warnings: Vec<ConfigError>,
}

/// A virtual address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VipConfig {
    pub ip: IpAddr,
    pub prefix: u8,
    /// `None`: the one whose network contains the address.
    pub interface: Option<String>,
    pub role: VipRole,
    /// `None`: it is set on the interface.
    pub hetzner: Option<HetznerConfig>,
}

/// How a failover address of Hetzner is led to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HetznerConfig {
    /// User and password of the web service.
    pub credentials_file: PathBuf,
    pub api_url: String,
    /// This server's main address; `None`: the one with which it goes to the internet.
    pub server_ip: Option<IpAddr>,
}

impl Default for HetznerConfig {
    fn default() -> Self {
        Self {
            credentials_file: crate::schema::vip::HETZNER_CREDENTIALS.into(),
            api_url: crate::schema::vip::HETZNER_API.to_owned(),
            server_ip: None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where clients (and tools such as etcdctl) reach this member.
    pub listen: Address,
    pub peer_port: u16,
    pub data_dir: PathBuf,
    /// All of them, this one included, by name.
    pub members: BTreeMap<MemberName, StoreMember>,
    pub client_tls: Option<StoreTls>,
    /// Clients need a certificate, too.
    pub client_cert_auth: bool,
    /// Mutual, always.
    pub peer_tls: Option<StoreTls>,
}

/// PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub trusted_ca_file: PathBuf,
}

/// How a client that speaks TLS knows the server, and what it shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// `None`: the system's authorities.
    pub cacert: Option<PathBuf>,
    /// Certificate and key; they may be one file.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Any server is believed.
    pub insecure: bool,
}

/// The REST API's server side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestApiTls {
    pub certfile: PathBuf,
    pub keyfile: PathBuf,
    /// There, unless clients are not asked.
    pub cafile: Option<PathBuf>,
    pub verify_client: VerifyClient,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyClient {
    #[default]
    None,
    /// For the requests that change something.
    Optional,
    /// The same, and who shows none gives the password of `restapi.authentication`.
    OrPassword,
    Required,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMember {
    pub host: String,
    pub client_port: u16,
    pub peer_port: u16,
    /// Votes, but has no PostgreSQL.
    pub witness: bool,
}

impl StoreMember {
    pub fn client_address(&self) -> Address {
        Address::new(&self.host, self.client_port)
    }

    pub fn peer_address(&self) -> Address {
        Address::new(&self.host, self.peer_port)
    }
}

/// Which section of the file named the etcd. Both are spoken to with version 3 of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DcsKind {
    Etcd3,
    Etcd,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EtcdConfig {
    pub kind: DcsKind,
    pub hosts: Vec<Address>,
    /// `None`: plain HTTP.
    pub tls: Option<ClientTls>,
    pub username: Option<String>,
    pub password: Option<Secret>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestApiConfig {
    pub listen: Address,
    pub connect_address: Address,
    /// Who may use the requests that change something; `None`: everybody.
    pub authentication: Option<User>,
    /// `None`: plain HTTP.
    pub tls: Option<RestApiTls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleConfig {
    pub listen: Address,
    /// `host:port` for browsers: on the host of `restapi.connect_address`.
    pub connect_address: Address,
}

/// A user with a password, and libpq's parameters (`sslmode`, ...) for PostgreSQL's users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub username: String,
    pub password: Option<Secret>,
    pub parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default)]
pub struct BootstrapConfig {
    /// The first dynamic configuration, as it is put into the store. An object; already checked.
    pub dcs: serde_json::Value,
    pub initdb: Vec<InitdbOption>,
    pub post_bootstrap: Option<String>,
    pub pg_hba: Vec<String>,
}

/// `--name` or `--name=value`; the name is without dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitdbOption {
    pub name: String,
    pub value: Option<String>,
}

pub type BasebackupOption = InitdbOption;

impl InitdbOption {
    pub fn to_argument(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value}", self.name),
            None => format!("--{}", self.name),
        }
    }
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Patroni's switches, each on its own
pub struct PostgresqlConfig {
    /// The first is used for local connections. `*`, `0.0.0.0` and `::` mean all.
    pub listen_hosts: Vec<String>,
    pub port: u16,
    pub connect_address: Address,
    pub proxy_address: Option<Address>,
    pub data_dir: PathBuf,
    pub config_dir: Option<PathBuf>,
    /// `None`: searched for.
    pub bin_dir: Option<PathBuf>,
    /// Other names of programs, such as `pg_ctl`.
    pub bin_name: BTreeMap<String, String>,
    pub pgpass: Option<PathBuf>,
    pub os_user: Option<String>,
    pub authentication: Authentication,
    pub parameters: BTreeMap<String, String>,
    /// Empty: the dynamic configuration's.
    pub pg_hba: Vec<String>,
    pub pg_ident: Vec<String>,
    pub recovery_conf: BTreeMap<String, String>,
    pub use_unix_socket: bool,
    pub use_unix_socket_repl: bool,
    /// `on_start` and the like, to the command.
    pub callbacks: BTreeMap<String, String>,
    pub basebackup: Vec<BasebackupOption>,
    pub rewind: Vec<BasebackupOption>,
    pub pg_ctl_timeout: Millis,
    /// `None`: the dynamic configuration decides.
    pub use_pg_rewind: Option<bool>,
    pub use_slots: Option<bool>,
    pub remove_data_directory_on_rewind_failure: bool,
    pub remove_data_directory_on_diverged_timelines: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    pub superuser: User,
    pub replication: User,
    /// The superuser when it was not given.
    pub rewind: Option<User>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyConfig {
    pub listen: Vec<String>,
    pub primary_port: u16,
    pub replica_port: u16,
    /// Where the Redis master is reached; `None` without `redis:`.
    pub redis_port: Option<u16>,
    pub hold: Millis,
    /// `None`: the usual number, or less where the system does not allow as many.
    pub connections_max: Option<usize>,
    /// Bytes; `None`: no replica is too far behind.
    pub replica_max_lag: Option<u64>,
    pub replica_fallback: bool,
    /// The PostgreSQL ports lead to `postgresql.proxy_address` of the members.
    pub pooler: bool,
    pub accept_proxy_protocol_from: Vec<Network>,
    pub send_proxy_protocol: SendProxyProtocol,
    /// `None`: as many as fit the machine.
    pub threads: Option<usize>,
}

/// The PROXY header that servers get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SendProxyProtocol {
    #[default]
    None,
    V1,
    V2,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgbouncerConfig {
    /// By a name of the user's own; at least one.
    pub instances: BTreeMap<String, PgbouncerInstance>,
    /// How long running transactions may take to end before a switchover cuts them.
    pub pause_timeout: Millis,
    /// How long clients wait at most from then on.
    pub hold: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PgbouncerInstance {
    /// A host, or the directory of the Unix socket.
    pub host: String,
    pub port: u16,
    pub username: String,
    pub password: Option<Secret>,
    /// Read anew for each connection.
    pub password_file: Option<PathBuf>,
    /// As PgBouncer calls them; empty: all of them.
    pub databases: Vec<String>,
    /// A part of `[databases]` that names the primary, written at each change of it. `None`: the databases lead to a proxy.
    pub include_file: Option<PathBuf>,
    /// What stands behind the address in that file, by database.
    pub include_parameters: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// What Sentinel calls the master.
    pub name: String,
    /// `*`, `0.0.0.0` and `::` mean all.
    pub listen_hosts: Vec<String>,
    pub port: u16,
    pub connect_address: Address,
    pub data_dir: PathBuf,
    /// With neither of both: searched for.
    pub bin_dir: Option<PathBuf>,
    pub binary: Option<PathBuf>,
    pub os_user: Option<String>,
    /// The user `default` when the file names none.
    pub authentication: Option<User>,
    pub tls: Option<RedisTls>,
    /// Directives in lower case, with one value for each line they make.
    pub parameters: BTreeMap<String, Vec<String>>,
    pub min_replicas_to_write: u32,
    /// 0: never becomes master.
    pub priority: u32,
    pub down_after: Millis,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    pub ca_file: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelConfig {
    pub listen_hosts: Vec<String>,
    pub port: u16,
    /// What other sentinels and clients are told.
    pub announce: Address,
    /// Shown for the supervised master.
    pub quorum: u32,
    /// Masters that something else runs.
    pub masters: BTreeMap<String, SentinelMaster>,
    pub authentication: Option<User>,
    /// Clients speak TLS with it, and the sentinel with the servers.
    pub tls: Option<RedisTls>,
    pub config_file: PathBuf,
}

/// Who decides about a master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentinelMode {
    #[default]
    Native,
    Mixed,
    Supervised,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelMaster {
    pub mode: SentinelMode,
    /// Empty when the mode is `Supervised`.
    pub host: String,
    pub port: u16,
    pub quorum: u32,
    pub down_after: Millis,
    pub failover_timeout: Millis,
    pub parallel_syncs: u32,
    pub authentication: Option<User>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WatchdogMode {
    Off,
    #[default]
    Automatic,
    Required,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchdogConfig {
    pub mode: WatchdogMode,
    pub device: PathBuf,
    /// `None`: half of the ttl.
    pub safety_margin: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// In lower case, as `tracing` spells it: trace, debug, info, warn, error.
    pub level: &'static str,
    pub json: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CtlConfig {
    pub authentication: Option<User>,
    pub tls: ClientTls,
}

impl MemberConfig {
    pub fn keys(&self) -> Keys {
        Keys::new(Some(&self.namespace), &self.scope)
    }

    /// Where the store's clients connect, this member's own store first: `http://host:port`, or `https`.
    pub fn etcd_endpoints(&self) -> Vec<String> {
        match (&self.store, &self.etcd) {
            (Some(store), _) => store.endpoints(&self.name),
            (None, Some(etcd)) => etcd.endpoints(),
            (None, None) => Vec::new(),
        }
    }

    /// How the agent talks TLS to the store, where it does.
    pub fn store_client_tls(&self) -> Option<ClientTls> {
        match (&self.store, &self.etcd) {
            (Some(store), _) => store.as_client(),
            (None, etcd) => etcd.as_ref().and_then(|etcd| etcd.tls.clone()),
        }
    }

    /// What `api_url` in the member's key says.
    pub fn api_url(&self) -> String {
        format!("{}://{}/patroni", scheme(self.restapi.tls.is_some()), self.restapi.connect_address)
    }

    /// Where browsers find the console, if there is one. It is served with the REST API's certificate.
    pub fn console_url(&self) -> Option<String> {
        let console = self.console.as_ref()?;
        Some(format!("{}://{}", scheme(self.restapi.tls.is_some()), console.connect_address))
    }

    /// What `conn_url` in the member's key says; empty on a witness.
    pub fn conn_url(&self) -> String {
        self.postgresql.as_ref().map_or_else(String::new, |it| format!("postgres://{}/postgres", it.connect_address))
    }

    /// Where the pooler beside PostgreSQL is reached, as the others are told.
    pub fn proxy_url(&self) -> Option<String> {
        let address = self.postgresql.as_ref()?.proxy_address.as_ref()?;
        Some(format!("postgres://{address}/postgres"))
    }

    /// Store and vote only?
    pub fn is_witness(&self) -> bool {
        self.store.as_ref().and_then(|store| store.members.get(&self.name)).is_some_and(|member| member.witness)
    }
}

impl StoreConfig {
    pub(crate) fn endpoints(&self, own: &MemberName) -> Vec<String> {
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(name, _)| (*name != own, *name));
        members.iter().map(|(_, member)| self.client_url(member)).collect()
    }

    pub fn client_url(&self, member: &StoreMember) -> String {
        format!("{}://{}", scheme(self.client_tls.is_some()), member.client_address())
    }

    pub fn peer_url(&self, member: &StoreMember) -> String {
        format!("{}://{}", scheme(self.peer_tls.is_some()), member.peer_address())
    }

    /// As etcd's own members do, the agent shows the server's certificate.
    pub(crate) fn as_client(&self) -> Option<ClientTls> {
        self.client_tls.as_ref().map(|tls| ClientTls {
            cacert: Some(tls.trusted_ca_file.clone()),
            identity: Some((tls.cert_file.clone(), tls.key_file.clone())),
            insecure: false,
        })
    }
}

impl EtcdConfig {
    pub(crate) fn endpoints(&self) -> Vec<String> {
        self.hosts.iter().map(|host| format!("{}://{host}", scheme(self.tls.is_some()))).collect()
    }
}

fn scheme(secured: bool) -> &'static str {
    if secured { "https" } else { "http" }
}
