//! Servers for tests: loopback, ports of the moment, ended by process id when dropped. As root they run under the
//! unprivileged user `postgres`, as the agent would have it.
#![allow(dead_code)] // each test file uses a part

use postgres::{
    bootstrap::{InitDb, initdb},
    clone::{self, CloneFrom, CloneProgress},
    configuration::{Locations, Written},
    data_directory::{self, DataDirectoryState, Existing},
    options::ToolOption,
    postmaster::{self, PostmasterCommand, Until},
    sql::{Account, Accounts, Local, LocalAddress, SqlStatus, Timeouts, create_roles},
    *,
};
use std::{
    fs, io,
    net::TcpListener,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::CommandExt as _,
    },
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

pub type TestResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Two busy cores make everything slow; a test that works needs a fraction of it.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct World {
    pub binaries: Binaries,
    pub version: Version,
    pub launcher: Launcher,
    root: tempfile::TempDir,
}

pub struct Server<'a> {
    world: &'a World,
    pub name: String,
    pub port: u16,
    pub locations: Locations,
    pub settings: Settings,
    pub local: Local,
    configuration: Configuration,
    effective: Option<parameters::Effective>,
    child: Option<Child>,
}

impl World {
    pub async fn new() -> TestResult<Self> {
        let root = tempfile::Builder::new().prefix("quorate-test-").tempdir()?;
        let user = (fs::metadata("/proc/self")?.uid() == 0).then(|| user_ids("postgres")).transpose()?;
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(root.path(), Some(uid), Some(gid))?;
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
        let launcher = Launcher {
            prepare: Arc::new(move |command| {
                if let Some((uid, gid)) = user {
                    command.gid(gid).uid(uid);
                }
            }),
            adopt: Arc::new(move |path| match user {
                Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid), Some(gid)),
                None => Ok(()),
            }),
        };
        let binaries = Binaries::find(None)?;
        let version = binaries.version(&launcher).await?;
        Ok(Self { binaries, version, launcher, root })
    }

    pub fn server(&self, name: &str) -> TestResult<Server<'_>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let dir = self.root.path().join(name);
        fs::create_dir(&dir)?;
        (self.launcher.adopt)(&dir)?;
        let locations =
            Locations { data_dir: dir.join("data"), config_dir: None, pgpass: dir.join("pgpass"), custom_conf: None };
        let mut settings = Settings {
            listen_addresses: "127.0.0.1".to_owned(),
            port,
            cluster_name: "demo".to_owned(),
            hba: configuration::default_hba("postgres", "replicator"),
            ..Settings::default()
        };
        for (name, value) in
            [("shared_buffers", "16MB"), ("fsync", "off"), ("max_connections", "30"), ("log_statement", "all")]
        {
            settings.parameters.insert(name.to_owned(), value.to_owned());
        }
        settings.parameters.insert("unix_socket_directories".to_owned(), dir.display().to_string());
        let timeouts = Timeouts { connect: Duration::from_secs(2), statement: Duration::from_secs(3) };
        let local = Local::new(&LocalAddress::new("127.0.0.1", port, None), "postgres", Some(secret()), timeouts);
        let configuration = Configuration::new(locations.clone(), self.launcher.clone());
        let name = name.to_owned();
        Ok(Server { world: self, name, port, locations, settings, local, configuration, effective: None, child: None })
    }
}

pub fn secret() -> Secret {
    Secret::new("a secret: it's \\ hard")
}

impl Server<'_> {
    pub async fn initialize(&self) -> Result<()> {
        self.initialize_with(vec![
            ToolOption::Flag("data-checksums".to_owned()),
            ToolOption::Value("encoding".to_owned(), "UTF8".to_owned()),
            ToolOption::Value("locale".to_owned(), "C".to_owned()),
            ToolOption::Flag("no-sync".to_owned()),
        ])
        .await
    }

    pub async fn initialize_with(&self, options: Vec<ToolOption>) -> Result<()> {
        let init = InitDb { superuser: "postgres".to_owned(), password: Some(secret()), options };
        let World { binaries, launcher, .. } = self.world;
        initdb(binaries, launcher, &self.locations.data_dir, Existing::Refuse, &init).await
    }

    pub async fn state(&self) -> Result<DataDirectoryState> {
        let World { binaries, version, launcher, .. } = self.world;
        data_directory::state(binaries, version, launcher, &self.locations.data_dir).await
    }

    pub async fn control(&self) -> Result<ControlData> {
        ControlData::read(&self.world.binaries, &self.world.launcher, &self.locations.data_dir).await
    }

    pub async fn configure(&mut self, role: &Role) -> Result<Written> {
        let control = self.control().await?;
        let written = self.configuration.write(&self.settings, role, Some(&control)).await?;
        self.effective = Some(written.effective.clone());
        Ok(written)
    }

    pub fn conninfo(&self, user: &str, dbname: Option<&str>) -> Conninfo {
        Conninfo {
            host: "127.0.0.1".to_owned(),
            port: self.port,
            user: user.to_owned(),
            password: Some(secret()),
            dbname: dbname.map(str::to_owned),
            ..Conninfo::default()
        }
    }

    pub fn following(&self, leader: &Server<'_>) -> Role {
        let mut primary = leader.conninfo("replicator", None);
        primary.application_name = Some(self.name.clone());
        let slot = self.name.contains('-').then(|| slot::slot_name(&self.name));
        Role::Replica(Standby { primary: Some(primary), primary_slot_name: slot, ..Standby::default() })
    }

    pub async fn copy_of(&self, source: &Server<'_>) -> Result<()> {
        self.copy(source, Existing::Refuse, vec![]).await
    }

    pub async fn copy(&self, source: &Server<'_>, existing: Existing, options: Vec<ToolOption>) -> Result<()> {
        let World { binaries, launcher, .. } = self.world;
        let from = CloneFrom { source: source.conninfo("replicator", None), slot: None, options };
        let (progress, _) = tokio::sync::watch::channel(CloneProgress::default());
        clone::clone(binaries, launcher, &self.locations.data_dir, existing, &from, &progress).await
    }

    pub async fn start(&mut self) -> TestResult {
        let effective = self.effective.as_ref().ok_or("configure first")?;
        let PostmasterCommand { program, args } =
            PostmasterCommand::new(&self.world.binaries, &self.locations, effective);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = Command::new(program);
        command.args(args).current_dir("/").stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        (self.world.launcher.prepare)(&mut command);
        let pid = self.child.insert(command.spawn()?).id();
        let ready = postmaster::wait(&self.locations.data_dir, pid, Until::Ready, DEADLINE).await;
        ready.map_err(|error| format!("{error}: {}", self.log().unwrap_or_default()))?;
        Ok(())
    }

    pub async fn create_roles(&self) -> Result<()> {
        let account = |user: &str| Account { user: user.to_owned(), password: Some(secret()) };
        let accounts = Accounts {
            superuser: account("postgres"),
            replication: account("replicator"),
            rewind: Some(account("rewinder")),
        };
        create_roles(&self.local, &accounts).await
    }

    pub async fn eventually(&self, what: &str, is_so: impl Fn(&SqlStatus) -> bool) -> TestResult<SqlStatus> {
        eventually(what, async || Ok(self.local.probe(true).await.ok().filter(&is_so)))
            .await
            .map_err(|error| format!("{}: {error}: {}", self.name, self.log().unwrap_or_default()).into())
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.locations.data_dir.with_file_name("log")
    }

    pub fn log(&self) -> io::Result<String> {
        fs::read_to_string(self.log_path())
    }

    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            signal(child.id() as i32, name);
        }
    }

    /// An orderly ("fast") stop.
    pub async fn stop(&mut self) -> TestResult {
        self.signal("INT");
        let mut child = self.child.take().ok_or("not running")?;
        eventually("stops", async || Ok(child.try_wait()?)).await.map(|_| ())
    }

    /// As a crash: nothing is written any more. The postmaster's children notice its death and end by themselves.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
            wait_for_orphans(&self.locations.data_dir);
        }
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        self.signal("CONT");
        self.signal("QUIT");
        self.kill();
    }
}

/// The next postmaster refuses to start while a child of the last one has shared memory attached.
fn wait_for_orphans(data_dir: &Path) {
    let deadline = Instant::now() + DEADLINE;
    let uses = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == data_dir))
    };
    while Instant::now() < deadline && fs::read_dir("/proc").is_ok_and(|mut all| all.any(uses)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn signal(pid: i32, name: &str) {
    let _ = Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status();
}

pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> TestResult<Option<T>>) -> TestResult<T> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = attempt().await? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("within {} s it was not true that it {what}", DEADLINE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn user_ids(name: &str) -> TestResult<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd")?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name)).ok_or("no user 'postgres'")?;
    let mut fields = line.split(':').skip(2);
    let mut id = || fields.next().and_then(|field| field.parse().ok()).ok_or("a damaged /etc/passwd");
    Ok((id()?, id()?))
}
