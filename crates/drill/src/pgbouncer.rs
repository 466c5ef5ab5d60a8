//! A real PgBouncer, the distribution's one, in transaction mode, in front of a cluster.
//!
//! It ends with this. It runs as PostgreSQL's user, because it refuses to be root.

use crate::cluster::{POSTGRES_USER, find_user};
use crate::member::ports;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// PgBouncer's own port.
pub const PORT: u16 = 6432;
/// The database that clients name.
pub const DATABASE: &str = "app";
const ADMIN: &str = "pgbouncer";
const PROGRAM: &str = "/usr/sbin/pgbouncer";
/// It listens within milliseconds.
const START_TIME_MAX: Duration = Duration::from_secs(20);
const POLL_PAUSE: Duration = Duration::from_millis(10);

/// How it finds the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads {
    /// It always connects to this address's proxy.
    Proxy,
    /// It connects to the primary, which a file says that the agent writes.
    Include,
}

/// What is known before it runs; an agent's configuration needs it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub address: Ipv4Addr,
    pub leads: Leads,
    pub directory: PathBuf,
    admin_password: String,
}

impl Plan {
    pub fn new(address: Ipv4Addr, leads: Leads, directory: impl Into<PathBuf>) -> Self {
        let admin_password = format!("{:016x}", fastrand::u64(..));
        Self { address, leads, directory: directory.into(), admin_password }
    }

    /// The section `pgbouncer` of the agent that looks after it.
    pub fn section(&self) -> Value {
        let mut instance = json!({
            "host": self.address,
            "port": PORT,
            "username": ADMIN,
            "password": self.admin_password,
            "databases": [DATABASE],
        });
        if self.leads == Leads::Include {
            instance["include_file"] = json!(self.include_file());
            instance["include_parameters"] = json!({ DATABASE: "dbname=postgres" });
        }
        json!({ "instances": { "local": instance } })
    }

    fn include_file(&self) -> PathBuf {
        self.directory.join("quorate.ini")
    }

    /// `password` is the one of the cluster's superuser.
    pub fn start(&self, password: &str) -> Result<PgBouncer> {
        if !Path::new(PROGRAM).is_file() {
            bail!("there is no {PROGRAM}\nhint: ./dev installs it; it is in the package pgbouncer");
        }
        fs::create_dir_all(&self.directory)?;
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o755))?;
        let owner = if rustix::process::geteuid().is_root() { Some(find_user(POSTGRES_USER)?) } else { None };
        let users = format!("\"postgres\" \"{password}\"\n\"{ADMIN}\" \"{}\"\n", self.admin_password);
        for (name, text, mode) in
            [("pgbouncer.ini", self.ini(), 0o644), ("users.txt", users, 0o600), ("quorate.ini", String::new(), 0o644)]
        {
            let path = self.directory.join(name);
            if path == self.include_file() && path.exists() {
                continue; // the agent was here already
            }
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            if let Some((uid, gid)) = owner {
                chown(&path, Some(uid), Some(gid))?;
            }
        }
        if let Some((uid, gid)) = owner {
            chown(&self.directory, Some(uid), Some(gid))?;
        }
        let log = File::create(self.directory.join("pgbouncer.log"))?;
        let mut command = Command::new(PROGRAM);
        command.arg(self.directory.join("pgbouncer.ini")).current_dir(&self.directory).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some((uid, gid)) = owner {
            command.uid(uid).gid(gid);
        }
        let child = command.spawn().context("cannot start pgbouncer")?;
        let mut running = PgBouncer { plan: self.clone(), child };
        running.wait_until_it_listens()?;
        Ok(running)
    }

    fn ini(&self) -> String {
        let lead = match self.leads {
            Leads::Proxy => {
                format!("[databases]\n{DATABASE} = host={} port={} dbname=postgres", self.address, ports::PROXY_PRIMARY)
            }
            Leads::Include => format!("%include {}", self.include_file().display()),
        };
        // Through the pool come sessions of one user; 5 of them for more clients than that, so that they share.
        format!(
            "{lead}\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {PORT}\nunix_socket_dir =\nauth_type = scram-sha-256\n\
             auth_file = {}\nadmin_users = {ADMIN}\npool_mode = transaction\ndefault_pool_size = 5\n\
             ignore_startup_parameters = extra_float_digits\nserver_login_retry = 1\n",
            self.address,
            self.directory.join("users.txt").display(),
        )
    }
}

/// See the module.
#[derive(Debug)]
pub struct PgBouncer {
    plan: Plan,
    child: Child,
}

impl PgBouncer {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How clients connect.
    pub fn login(&self, password: &str) -> tokio_postgres::Config {
        let mut config = crate::writer::login(self.plan.address.into(), PORT, password);
        config.dbname(DATABASE);
        config
    }

    /// A row of an answer of the admin console for each line, columns separated by `|`.
    pub async fn console(&self, command: &str) -> Result<Vec<String>> {
        let mut config = crate::writer::login(self.plan.address.into(), PORT, &self.plan.admin_password);
        config.user(ADMIN).dbname("pgbouncer");
        let client = crate::writer::connect(&config).await?;
        let messages = client.simple_query(command).await.with_context(|| command.to_owned())?;
        let row = |message: &tokio_postgres::SimpleQueryMessage| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let cells: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect();
                Some(cells.join("|"))
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }

    pub fn log_file(&self) -> PathBuf {
        self.plan.directory.join("pgbouncer.log")
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIME_MAX;
        while std::net::TcpStream::connect((self.plan.address, PORT)).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.log_file()).unwrap_or_default();
                bail!("pgbouncer does not listen at {}:{PORT} ({ended:?}):\n{log}", self.plan.address);
            }
            std::thread::sleep(POLL_PAUSE);
        }
        Ok(())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("pgbouncer's log is in {}", self.log_file().display());
        } else {
            let _ = fs::remove_dir_all(&self.plan.directory);
        }
    }
}
