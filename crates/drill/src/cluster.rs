//! A cluster of real members on loopback addresses.

use crate::certificates::Certificates;
use crate::etcd::Etcd;
use crate::health::{ANSWER_TIME_MAX, ClusterView, ask, http_client};
use crate::member::{Member, ports};
use crate::member_config::{SCOPE, SUPERUSER, member_config};
use crate::writer;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The user PostgreSQL runs as when we are root; PostgreSQL refuses to be root.
pub const POSTGRES_USER: &str = "postgres";
/// Who may change something where the REST API asks.
pub const ADMIN: &str = "admin";
/// Between two looks at something we wait for.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// A checkpoint at shutdown may have to write everything that is dirty; a demo's data is small.
const GENTLE_STOP_TIME_MAX: Duration = Duration::from_secs(20);
const SWITCHOVER_TIME_MAX: Duration = Duration::from_secs(60);
const MEMBERS_MAX: usize = 9;
/// Everybody may look for the logs; the files with passwords are private.
const DIRECTORY_MODE: u32 = 0o755;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Each member has our own store.
    Embedded,
    /// Each member has a real etcd beside it.
    Etcd,
}

/// What of Redis is on every member beside PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisParts {
    None,
    /// A redis-server, and the proxy's port.
    Server,
    /// And a sentinel.
    ServerAndSentinel,
}

/// What cluster to start.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each switches one thing on, on its own
pub struct ClusterOptions {
    /// The `quorate` binary.
    pub quorate: PathBuf,
    /// Where everything is kept, one folder per member.
    pub directory: PathBuf,
    /// Leave the directory when the cluster is dropped.
    pub keep: bool,
    /// The first member's address; the others follow. A test takes a range of its own, such as 127.0.5.11.
    pub first_address: Ipv4Addr,
    pub members: usize,
    pub store: StoreKind,
    pub synchronous: bool,
    pub redis: RedisParts,
    /// The last member has a vote in the store that is built in, and no data.
    pub witness: bool,
    /// The web console on every member; then the REST API asks for [`ADMIN`] and the cluster's password.
    pub console: bool,
    /// TLS everywhere, and certificates from everybody; with the store built in.
    pub secured: bool,
    /// Where PostgreSQL's programs are, when the agent should not look itself.
    pub postgres_bin: Option<PathBuf>,
    /// The namespace that each member lives in, in their order; none: this process's own.
    pub namespaces: Vec<String>,
    /// Merged into every member's configuration; null removes a key.
    pub overrides: Value,
    /// The same for single members, by their place (from 0); merged last.
    pub overrides_of: BTreeMap<usize, Value>,
}

impl ClusterOptions {
    /// Three members with the store built in, at 127.0.0.11 to .13.
    pub fn new(quorate: impl Into<PathBuf>, directory: impl Into<PathBuf>) -> Self {
        Self {
            quorate: quorate.into(),
            directory: directory.into(),
            keep: false,
            first_address: Ipv4Addr::new(127, 0, 0, 11),
            members: 3,
            store: StoreKind::Embedded,
            synchronous: false,
            redis: RedisParts::None,
            witness: false,
            console: false,
            secured: false,
            postgres_bin: None,
            namespaces: Vec::new(),
            overrides: json!({}),
            overrides_of: BTreeMap::new(),
        }
    }
}

/// A running cluster. Dropping it kills every process and, unless asked to keep it or in a test that fails, removes the
/// directory.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    password: String,
    certificates: Option<Certificates>,
    http: reqwest::Client,
    members: Vec<Member>,
}

impl Cluster {
    /// Writes the configuration files and starts all members. They are not a cluster yet: see [`Cluster::wait_whole`].
    ///
    /// A kept directory of an earlier run is taken up again.
    pub fn start(mut options: ClusterOptions) -> Result<Self> {
        if !(1..=MEMBERS_MAX).contains(&options.members) {
            bail!("a drill has 1 to {MEMBERS_MAX} members, not {}", options.members);
        }
        options.directory = std::path::absolute(&options.directory)?;
        let plan: Vec<(String, Ipv4Addr)> = (0..options.members as u32)
            .map(|index| (format!("pg{}", index + 1), Ipv4Addr::from(u32::from(options.first_address) + index)))
            .collect();
        // In a namespace of its own nothing else listens.
        let here = if options.namespaces.is_empty() { plan.as_slice() } else { &[] };
        for (_, address) in here {
            ensure_ports_free(*address, &ports::ALL)?;
            if options.redis != RedisParts::None {
                ensure_ports_free(*address, &ports::OF_REDIS)?;
            }
            if options.console {
                ensure_ports_free(*address, &[ports::CONSOLE])?;
            }
        }
        let owner = if rustix::process::geteuid().is_root() { Some(find_user(POSTGRES_USER)?) } else { None };
        make_directory(&options.directory, None)?;
        if !options.keep && fs::read_dir(&options.directory)?.next().is_some() {
            bail!("{} is not empty, and a drill removes its directory in the end", options.directory.display());
        }
        if owner.is_some() {
            ensure_reachable(&options.directory)?;
        }
        let password = password(&options.directory)?;
        if options.secured && options.store == StoreKind::Etcd {
            bail!("a secured drill has the store built in");
        }
        let certificates =
            if options.secured { Some(Certificates::make(&options.directory.join("tls"), owner)?) } else { None };
        let http = http_client(certificates.as_ref(), ANSWER_TIME_MAX)?;
        let mut cluster = Self { certificates, http, members: Vec::new(), password, options };
        for (index, (name, address)) in plan.iter().enumerate() {
            let directory = cluster.options.directory.join(name);
            make_directory(&directory, owner)?;
            let security = match &cluster.certificates {
                Some(certificates) => {
                    certificates.issue(name, *address)?;
                    certificates.config_of(name)
                }
                None => json!({}),
            };
            let config = member_config(&cluster.options, &cluster.password, &plan, index, &directory, &security);
            let config_file = directory.join("quorate.yml");
            let text = serde_saphyr::to_string(&config).context("cannot write a configuration as YAML")?;
            write_private(&config_file, &text)?;
            if let Some((uid, gid)) = owner {
                // The agent's worker reads it as that user.
                chown(&config_file, Some(uid), Some(gid))?;
            }
            let etcd = (cluster.options.store == StoreKind::Etcd).then(|| Etcd::new(&plan, index, &directory));
            let quorate = cluster.options.quorate.clone();
            let member = Member {
                name: name.clone(),
                address: *address,
                namespace: cluster.options.namespaces.get(index).cloned(),
                directory,
                config_file,
                quorate,
                guard: None,
                ended: None,
                etcd,
            };
            cluster.members.push(member);
        }
        for member in &mut cluster.members {
            member.start()?;
        }
        Ok(cluster)
    }

    pub fn options(&self) -> &ClusterOptions {
        &self.options
    }
    /// Leaves the directory when the cluster is dropped, for looking at the logs.
    pub fn keep(&mut self) {
        self.options.keep = true;
    }
    pub fn scope(&self) -> &'static str {
        SCOPE
    }
    pub fn superuser(&self) -> &'static str {
        SUPERUSER
    }
    pub fn password(&self) -> &str {
        &self.password
    }
    /// Of a secured cluster.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }
    fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }
    pub fn rest_url(&self, member: &Member, path: &str) -> String {
        format!("{}://{}:{}{path}", self.scheme(), member.address, ports::REST)
    }
    /// A client that the members answer.
    pub fn http_client(&self, timeout: Duration) -> Result<reqwest::Client> {
        http_client(self.certificates.as_ref(), timeout)
    }
    pub fn members(&self) -> &[Member] {
        &self.members
    }
    /// How many members have PostgreSQL.
    fn data_members(&self) -> usize {
        self.members.len() - usize::from(self.options.witness)
    }
    pub fn members_mut(&mut self) -> &mut [Member] {
        &mut self.members
    }

    pub fn member(&self, name: &str) -> Result<&Member> {
        self.members.iter().find(|member| member.name == name).ok_or_else(|| anyhow!("there is no member {name}"))
    }

    pub fn member_mut(&mut self, name: &str) -> Result<&mut Member> {
        self.members.iter_mut().find(|member| member.name == name).ok_or_else(|| anyhow!("there is no member {name}"))
    }

    /// How to connect to a port of a member, as the superuser.
    pub fn login(&self, member: &Member, port: u16) -> tokio_postgres::Config {
        writer::login(member.address.into(), port, &self.password)
    }

    /// The cluster as the first member that answers sees it.
    pub async fn view(&self) -> Result<ClusterView> {
        let mut failure = anyhow!("the cluster has no members");
        for member in &self.members {
            match ask(&self.http, &self.rest_url(member, "/cluster")).await {
                Ok(view) => return Ok(view),
                Err(error) => failure = error,
            }
        }
        Err(failure.context("no member answers"))
    }

    /// Waits until one leader runs and all others stream without lag on its timeline.
    pub async fn wait_whole(&mut self, patience: Duration) -> Result<ClusterView> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = match self.view().await {
                Ok(view) => match view.why_not_whole(self.data_members(), self.options.synchronous) {
                    None => return Ok(view),
                    Some(reason) => reason,
                },
                Err(error) => format!("{error:#}"),
            };
            for member in &mut self.members {
                if let Some(status) = member.exit_status()? {
                    bail!("{} ended ({status}). The end of its log:\n{}", member.name, member.log_tail());
                }
            }
            if Instant::now() > deadline {
                bail!("the cluster is not whole after {} s: {missing}", patience.as_secs());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    /// A planned switchover, through the leader's REST API.
    pub async fn switchover(&self, leader: &str) -> Result<()> {
        let url = self.rest_url(self.member(leader)?, "/switchover");
        let mut request = self.http.post(url).json(&json!({ "leader": leader })).timeout(SWITCHOVER_TIME_MAX);
        if self.options.console {
            request = request.basic_auth(ADMIN, Some(&self.password));
        }
        let answer = request.send().await.context("the leader does not answer")?;
        let status = answer.status();
        if status != reqwest::StatusCode::OK {
            bail!("the switchover failed: {status} {}", answer.text().await.unwrap_or_default());
        }
        Ok(())
    }

    /// How many clients the primary port of this member's proxy has refused so far.
    pub async fn refused_by_proxy(&self, member: &Member) -> Result<u64> {
        let answer = self.http.get(self.rest_url(member, "/metrics")).send().await?.error_for_status()?;
        let metrics = answer.text().await?;
        let of_the_primary =
            |line: &&str| line.starts_with("quorate_proxy_refused_total{") && line.contains("port=\"primary\"");
        let line = metrics.lines().find(of_the_primary).context("the metrics do not say how many were refused")?;
        let number = line.rsplit(' ').next().unwrap_or_default();
        Ok(number.parse::<f64>().with_context(|| format!("'{line}'"))? as u64)
    }

    /// Makes `member` the leader of the store, through etcd's API; true when it says that it is.
    pub async fn move_store_leader_to(&self, member: &Member) -> Result<bool> {
        let status = self.store_call(member, "status", &json!({})).await?;
        let myself = status["header"]["member_id"].as_str().unwrap_or_default().to_owned();
        if status["leader"] == json!(myself) {
            return Ok(true);
        }
        for other in &self.members {
            let Ok(status) = self.store_call(other, "status", &json!({})).await else { continue };
            if status["leader"] == status["header"]["member_id"] {
                self.store_call(other, "transfer-leadership", &json!({ "targetID": myself })).await?;
                break;
            }
        }
        let status = self.store_call(member, "status", &json!({})).await?;
        Ok(status["leader"] == json!(myself))
    }

    async fn store_call(&self, member: &Member, method: &str, body: &Value) -> Result<Value> {
        let scheme = self.scheme();
        let url = format!("{scheme}://{}:{}/v3/maintenance/{method}", member.address, ports::STORE_CLIENTS);
        let answer = self.http.post(url).json(body).send().await?.error_for_status();
        Ok(answer.with_context(|| format!("the store of {} refuses {method}", member.name))?.json().await?)
    }

    /// Lets every agent stop its PostgreSQL properly; what does not end in time is killed when the cluster is dropped.
    pub async fn stop_gently(&mut self) {
        for member in &self.members {
            member.ask_to_stop();
        }
        let deadline = Instant::now() + GENTLE_STOP_TIME_MAX;
        while Instant::now() < deadline && self.members.iter_mut().any(|m| m.is_running().unwrap_or(false)) {
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.members.clear(); // each kills its processes
        let directory = &self.options.directory;
        if std::thread::panicking() {
            eprintln!("the logs of the failed drill are in {}", directory.display());
        } else if !self.options.keep
            && let Err(error) = fs::remove_dir_all(directory)
        {
            eprintln!("cannot remove {}: {error}", directory.display());
        }
    }
}

fn ensure_ports_free(address: Ipv4Addr, ports: &[u16]) -> Result<()> {
    for port in ports {
        TcpListener::bind((address, *port)).with_context(|| {
            format!(
                "{address}:{port} cannot be used\nhint: another demo may be running; `ss -ltnp 'sport = :{port}'` shows the program"
            )
        })?;
    }
    Ok(())
}

/// Uid and gid of a system user. Such users are in the file, whatever directory service the others come from.
pub fn find_user(name: &str) -> Result<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd")?;
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    found.with_context(|| {
        format!("there is no user '{name}' to run PostgreSQL as\nhint: install PostgreSQL from the distribution, it adds the user")
    })
}

/// A directory that is there already stays as it is.
fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<()> {
    let make = || -> std::io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))?;
        if let Some((uid, gid)) = owner {
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    };
    make().with_context(|| format!("cannot make the directory {}", path.display()))
}

/// PostgreSQL's user must be able to walk to its data.
fn ensure_reachable(directory: &Path) -> Result<()> {
    for place in directory.ancestors() {
        if fs::metadata(place)?.permissions().mode() & 0o001 == 0 {
            bail!(
                "the user '{POSTGRES_USER}' cannot enter {}, so PostgreSQL cannot keep its data in {}\n\
                 hint: choose a directory that everybody can enter, such as one below /var/tmp",
                place.display(),
                directory.display()
            );
        }
    }
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        fs::write(path, "")?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        fs::write(path, text)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// One password for all, made at random: others on this machine can reach loopback addresses, too.
fn password(directory: &Path) -> Result<String> {
    let file = directory.join("password");
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept.trim().to_owned());
    }
    let mut random = [0; size_of::<u128>()];
    fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random))?;
    let password = format!("{:032x}", u128::from_ne_bytes(random));
    write_private(&file, &password)?;
    Ok(password)
}
