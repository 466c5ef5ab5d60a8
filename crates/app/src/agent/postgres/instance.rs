//! The one PostgreSQL of this member: where it is, how it is configured, how it is reached.
//!
//! Deliberately without decisions. The invariant: the configuration on disk is always written from one `Desired`, under
//! one lock, so that two writers cannot mix theirs.

use config::{MemberConfig, PostgresqlConfig, User};
use ha::cluster::{Cluster, HistoryLine};
use ha::config::{DynamicConfig, StandbyCluster};
use ha::guard::StartCommand;
use ha::postgres::{DataDirectory, Source};
use postgres::configuration::{Locations, Written, default_hba};
use postgres::data_directory::{DataDirectoryState, Unusable};
use postgres::options::ToolOption;
use postgres::postmaster::PostmasterCommand;
use postgres::slot::slot_name;
use postgres::sql::{Account, Accounts, Local, LocalAddress, Timeouts};
use postgres::{Binaries, Configuration, Conninfo, Launcher, Role, Secret, Settings, Standby, Version};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Mutex;
use types::{MemberName, Timeline};

/// Before a crash recovery PostgreSQL makes sure that everything is on disk: by opening and syncing each of its files
/// (a second or more in an empty cluster, minutes in a large one), or since this version by syncing the file system once.
const SYNCFS_SINCE: u32 = 14;
/// A changed setting shows within milliseconds; the second and third look are for a busy machine.
const PENDING_LOOKS: u32 = 3;

pub struct Instance {
    pub member: Arc<MemberConfig>,
    pub settings: PostgresqlConfig,
    pub binaries: Binaries,
    pub version: Version,
    pub launcher: Launcher,
    pub configuration: Configuration,
    /// For questions that are answered at once.
    pub sql: Local,
    /// For statements that take their time, so that the questions need not wait behind them.
    pub slow_sql: Local,
    /// So many of the next questions look for settings that wait for a restart; see `settings_changed`.
    pub pending_looks: AtomicU32,
    desired: Mutex<Desired>,
}

/// The parts of the member's own file that a reload changes.
#[derive(Clone, Debug, Default)]
struct FromFile {
    parameters: BTreeMap<String, String>,
    hba: Vec<String>,
    ident: Vec<String>,
}

impl FromFile {
    fn of(settings: &PostgresqlConfig) -> Self {
        Self { parameters: settings.parameters.clone(), hba: settings.pg_hba.clone(), ident: settings.pg_ident.clone() }
    }
}

/// Everything the configuration files are written from.
#[derive(Clone, Debug, Default)]
struct Desired {
    file: FromFile,
    dynamic: DynamicConfig,
    synchronous_standby_names: String,
    /// `None`: a primary.
    standby: Option<Upstream>,
    /// Role and names are those of the server that runs, or of the one that is about to.
    known: bool,
}

/// Whom a standby streams from; nobody while there is no leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Upstream {
    #[default]
    Nobody,
    /// Where it listens.
    Member {
        host: String,
        port: u16,
    },
    Remote(Box<StandbyCluster>),
}

impl Upstream {
    /// Of a member the address that it published, if it did.
    pub fn to(cluster: &Cluster, source: &Source) -> Option<Self> {
        match source {
            Source::Member(name) => {
                let (host, port) = member_address(cluster, name)?;
                Some(Self::Member { host, port })
            }
            Source::Remote(remote) => Some(Self::Remote(remote.clone())),
        }
    }
}

/// Host and port of a member's PostgreSQL, from `conn_url`.
pub fn member_address(cluster: &Cluster, name: &MemberName) -> Option<(String, u16)> {
    let (host, port) = cluster.members.get(name)?.data.postgres_address()?.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

impl Instance {
    pub async fn open(member: Arc<MemberConfig>, settings: PostgresqlConfig) -> postgres::Result<Self> {
        let launcher = Launcher::default();
        let binaries = Binaries::find_named(settings.bin_dir.as_deref(), &settings.bin_name)?;
        let version = binaries.version(&launcher).await?;
        let locations = Locations {
            data_dir: settings.data_dir.clone(),
            config_dir: settings.config_dir.clone(),
            pgpass: settings.pgpass.clone().unwrap_or_else(|| beside(&settings.data_dir, "pgpass")),
            custom_conf: None,
        };
        let sockets = settings.parameters.get("unix_socket_directories").map(PathBuf::from);
        let address = LocalAddress::new(
            &settings.listen_hosts.join(","),
            settings.port,
            sockets.as_ref().filter(|_| settings.use_unix_socket),
        );
        let superuser = &settings.authentication.superuser;
        let local = || {
            Local::new(&address, &superuser.username, password(superuser), Timeouts::default())
                .with(superuser.parameters.clone(), &settings.connect_address.host)
        };
        Ok(Self {
            configuration: Configuration::new(locations, launcher.clone()),
            sql: local(),
            slow_sql: local(),
            pending_looks: AtomicU32::new(0),
            desired: Mutex::new(Desired { file: FromFile::of(&settings), ..Desired::default() }),
            member,
            settings,
            binaries,
            version,
            launcher,
        })
    }

    /// Looks at the data directory; an unreadable one is reported as invalid.
    pub async fn data_directory(&self) -> DataDirectory {
        let state =
            postgres::data_directory::state(&self.binaries, &self.version, &self.launcher, &self.settings.data_dir);
        match state.await {
            // Made or rewound half-way: it is worth nothing, and making it again replaces it.
            Ok(
                DataDirectoryState::Missing
                | DataDirectoryState::Empty
                | DataDirectoryState::Unusable(Unusable::Unfinished | Unusable::RewindUnfinished),
            ) => DataDirectory::Empty,
            Ok(DataDirectoryState::Valid(control)) => DataDirectory::Valid {
                system_id: control.system_identifier.clone(),
                timeline: control.reached().0.max(control.timeline),
                // A copy (or a rewound directory) that has not been started yet: it only ever becomes a standby.
                was_primary: !control.state.was_standby() && !self.settings.data_dir.join("backup_label").exists(),
                clean: control.state.is_clean(),
                checkpoint: control.checkpoint,
            },
            Ok(DataDirectoryState::Unusable(why)) => DataDirectory::Invalid { why: why.to_string() },
            Err(error) => DataDirectory::Invalid { why: error.to_string() },
        }
    }

    /// PostgreSQL was told to read its files again, which it does at its leisure.
    pub fn settings_changed(&self) {
        self.pending_looks.store(PENDING_LOOKS, Ordering::Relaxed);
    }

    /// The member's file was read again.
    pub async fn reload(&self, settings: &PostgresqlConfig) {
        self.desired.lock().await.file = FromFile::of(settings);
    }

    pub async fn set_dynamic(&self, dynamic: &DynamicConfig) {
        self.desired.lock().await.dynamic = dynamic.clone();
    }

    /// Takes over what a running server has, before anything is written: this worker may be new to it.
    pub async fn adopt(&self, in_recovery: bool, synchronous_standby_names: &str) {
        let mut desired = self.desired.lock().await;
        desired.standby = in_recovery.then(Upstream::default);
        synchronous_standby_names.clone_into(&mut desired.synchronous_standby_names);
        desired.known = true;
    }

    /// A worker that is new to a running server must not write its configuration before it has asked.
    pub async fn is_known(&self) -> bool {
        self.desired.lock().await.known
    }

    /// What the running server has read.
    pub async fn shown_synchronous_standby_names(&self) -> postgres::Result<String> {
        let sql = "select current_setting('synchronous_standby_names')";
        let rows = self.sql.query("the question whom commits wait for", sql, &[]).await?;
        Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default())
    }

    pub async fn set_synchronous_standby_names(&self, names: &str) -> postgres::Result<bool> {
        let mut desired = self.desired.lock().await;
        names.clone_into(&mut desired.synchronous_standby_names);
        self.write(&desired, false).await.map(|written| written.changed)
    }

    /// Writes everything for the promotion of the running standby. It looks for nobody's log any more: one that has just begun to
    /// sees the promotion only when `wal_retrieve_retry_interval` is over.
    pub async fn prepare_promotion(&self, synchronous_standby_names: String) -> postgres::Result<Written> {
        let mut desired = self.desired.lock().await;
        desired.standby = Some(Upstream::default());
        desired.synchronous_standby_names = synchronous_standby_names;
        self.write(&desired, false).await
    }

    /// Sets the role of the running server and writes everything.
    pub async fn set_role(&self, standby: Option<Upstream>) -> postgres::Result<Written> {
        let mut desired = self.desired.lock().await;
        desired.standby = standby;
        self.write(&desired, false).await
    }

    /// Writes everything for a start in this role, enforcing these synchronous standbys from the first commit on.
    pub async fn prepare_start(
        &self,
        standby: Option<Upstream>,
        synchronous_standby_names: String,
    ) -> postgres::Result<Written> {
        let mut desired = self.desired.lock().await;
        desired.standby = standby;
        desired.synchronous_standby_names = synchronous_standby_names;
        desired.known = true;
        self.write(&desired, true).await
    }

    /// Writes everything again as it is desired now.
    pub async fn rewrite(&self) -> postgres::Result<Written> {
        let desired = self.desired.lock().await;
        self.write(&desired, false).await
    }

    async fn write(&self, desired: &Desired, for_start: bool) -> postgres::Result<Written> {
        let control = if for_start {
            Some(postgres::ControlData::read(&self.binaries, &self.launcher, &self.settings.data_dir).await?)
        } else {
            None
        };
        let role = match &desired.standby {
            None => Role::Primary,
            Some(upstream) => Role::Replica(self.standby(upstream, desired)),
        };
        self.configuration.write(&self.effective_settings(desired), &role, control.as_ref()).await
    }

    fn effective_settings(&self, desired: &Desired) -> Settings {
        let mut parameters = BTreeMap::new();
        if cfg!(target_os = "linux") && self.version.major >= SYNCFS_SINCE {
            parameters.insert("recovery_init_sync_method".to_owned(), "syncfs".to_owned());
        }
        parameters.extend(desired.dynamic.parameters.clone());
        parameters.extend(desired.file.parameters.clone());
        let authentication = &self.settings.authentication;
        let hba = [&desired.file.hba, &desired.dynamic.pg_hba, &self.member.bootstrap.pg_hba]
            .into_iter()
            .find(|lines| !lines.is_empty())
            .cloned()
            .unwrap_or_else(|| default_hba(&authentication.superuser.username, &authentication.replication.username));
        let ident = if desired.file.ident.is_empty() { &desired.dynamic.pg_ident } else { &desired.file.ident };
        Settings {
            parameters,
            hba,
            ident: ident.clone(),
            listen_addresses: self.settings.listen_hosts.join(","),
            port: self.settings.port,
            cluster_name: self.member.scope.to_string(),
            synchronous_standby_names: Some(desired.synchronous_standby_names.clone()),
        }
    }

    fn standby(&self, upstream: &Upstream, desired: &Desired) -> Standby {
        let use_slots = self.settings.use_slots.unwrap_or(desired.dynamic.use_slots);
        let application_name = Some(self.member.name.to_string());
        let mut recovery = self.settings.recovery_conf.clone();
        let (primary, primary_slot_name) = match upstream {
            Upstream::Nobody => (None, None),
            Upstream::Member { host, port } => {
                let primary = conninfo(host, *port, &self.settings.authentication.replication);
                (Some(primary), use_slots.then(|| slot_name(self.member.name.as_str())))
            }
            Upstream::Remote(remote) => {
                let settings = [
                    ("restore_command", &remote.restore_command),
                    ("archive_cleanup_command", &remote.archive_cleanup_command),
                    ("recovery_min_apply_delay", &remote.recovery_min_apply_delay),
                ];
                let set = settings.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
                recovery.extend(set);
                (Some(self.remote_replication(remote)), remote.primary_slot_name.clone())
            }
        };
        let primary = primary.map(|primary| Conninfo { application_name, ..primary });
        Standby { primary, primary_slot_name, recovery }
    }

    /// How to get a copy and the log of the remote primary of a standby cluster.
    pub fn remote_replication(&self, remote: &StandbyCluster) -> Conninfo {
        at_remote(conninfo(&remote.host, remote.port, &self.settings.authentication.replication), remote)
    }

    /// How to ask it, or rewind to it.
    pub fn remote_questions(&self, remote: &StandbyCluster) -> Conninfo {
        at_remote(self.rewind_source(&remote.host, remote.port), remote)
    }

    /// The postmaster's command line for the configuration that was just written.
    pub fn start_command(&self, written: &Written) -> StartCommand {
        let command = PostmasterCommand::new(&self.binaries, &self.configuration.locations, &written.effective);
        let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        StartCommand {
            program: text(command.program.as_os_str()),
            arguments: command.args.iter().map(|argument| text(argument)).collect(),
            environment: Vec::new(),
            log_file: text(beside(&self.settings.data_dir, "log").as_os_str()),
            working_directory: text(self.settings.data_dir.as_os_str()),
        }
    }

    /// How to reach a member's server as the rewind user (for its history, and for rewinding).
    pub fn rewind_source(&self, host: &str, port: u16) -> Conninfo {
        let authentication = &self.settings.authentication;
        let user = authentication.rewind.as_ref().unwrap_or(&authentication.superuser);
        Conninfo { dbname: Some("postgres".to_owned()), ..conninfo(host, port, user) }
    }

    pub fn clone_source(&self, host: &str, port: u16) -> Conninfo {
        conninfo(host, port, &self.settings.authentication.replication)
    }

    pub fn accounts(&self) -> Accounts {
        let account = |user: &User| Account { user: user.username.clone(), password: password(user) };
        let authentication = &self.settings.authentication;
        Accounts {
            superuser: account(&authentication.superuser),
            replication: account(&authentication.replication),
            rewind: authentication.rewind.as_ref().map(account),
        }
    }

    /// The local server as superuser, for the operator's script.
    pub fn local_conninfo(&self) -> Conninfo {
        let address = LocalAddress::new(&self.settings.listen_hosts.join(","), self.settings.port, None);
        Conninfo {
            dbname: Some("postgres".to_owned()),
            ..conninfo(&address.host, address.port, &self.settings.authentication.superuser)
        }
    }

    /// The history of a timeline from the local files; empty for the first one.
    pub fn history(&self, timeline: Timeline) -> Vec<HistoryLine> {
        let branches = postgres::history::read_local(&self.settings.data_dir, timeline).unwrap_or_default();
        branches
            .into_iter()
            .map(|branch| HistoryLine {
                timeline: branch.timeline,
                lsn: branch.switch,
                reason: branch.reason,
                timestamp: None,
                new_leader: None,
            })
            .collect()
    }
}

pub fn tool_options(options: &[config::InitdbOption]) -> Vec<ToolOption> {
    let option = |option: &config::InitdbOption| match &option.value {
        Some(value) => ToolOption::Value(option.name.clone(), value.clone()),
        None => ToolOption::Flag(option.name.clone()),
    };
    options.iter().map(option).collect()
}

/// `<data_dir>.<what>`: the agent's own files stand beside the data directory, which a clone replaces.
fn beside(data_dir: &std::path::Path, what: &str) -> PathBuf {
    let mut path = data_dir.as_os_str().to_owned();
    path.push(format!(".{what}"));
    PathBuf::from(path)
}

/// Of several hosts the one that takes writes, as Patroni does it.
fn at_remote(mut conninfo: Conninfo, remote: &StandbyCluster) -> Conninfo {
    if remote.has_several_hosts() {
        conninfo.options.insert("target_session_attrs".to_owned(), "read-write".to_owned());
    }
    conninfo
}

fn password(user: &User) -> Option<Secret> {
    user.password.clone()
}

fn conninfo(host: &str, port: u16, user: &User) -> Conninfo {
    let options: BTreeMap<String, String> = user.parameters.clone();
    Conninfo {
        host: host.to_owned(),
        port,
        user: user.username.clone(),
        password: password(user),
        options,
        ..Conninfo::default()
    }
}
