//! Servers that become members: a home for each, on an address of its own, and the agent that runs with it.
//!
//! On one machine the data directories of a plan, which are the same on every server, have to differ: the word [`SERVER`] in
//! them becomes the member's name in the finished configuration. That and the place of PostgreSQL's socket are the only
//! things that are changed by hand here.

use super::super::support::{Done, address, eventually, hand_to_postgres, print_tail, program};
use plan::{Member, Plan, Role, Secrets, TlsFiles};
use rustix::process::Signal;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tls::{ClientFiles, ClientTls, HTTP1};

const SERVER: &str = "SERVER";
pub const SCOPE: &str = "shop";
const STOP_TIME_MAX: Duration = Duration::from_secs(20);
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(15);

pub struct Server {
    pub name: String,
    pub address: Ipv4Addr,
    pub home: PathBuf,
    directory: PathBuf,
    agent: Option<Child>,
}

/// All of a cluster. What they have made goes with it.
pub struct Servers {
    pub directory: tempfile::TempDir,
    pub plan: Plan,
    pub secrets: Secrets,
    pub all: Vec<Server>,
    invitations: Vec<String>,
}

impl Servers {
    /// One for each set of roles, of which the first has its files.
    pub fn planned(range: u8, roles: &[&[Role]], certificate_life: Option<&str>) -> Self {
        let directory = tempfile::Builder::new().prefix("quorate-e2e-join-").tempdir().unwrap();
        open(directory.path());
        let mut plan = Plan::new(SCOPE);
        let place = |what: &str| directory.path().join(SERVER).join(what).display().to_string();
        plan.store_dir = place("store");
        plan.postgresql.data_dir = place("postgresql");
        plan.redis.data_dir = place("redis");
        plan.certificate_life = certificate_life.map(str::to_owned);
        let all: Vec<Server> =
            (1..=roles.len() as u8).map(|n| Server::new(directory.path(), n, address(range, 10 + n))).collect();
        let member = |(it, roles): (&Server, &&[Role])| Member::new(&it.name, &it.address.to_string(), roles);
        plan.members = all.iter().zip(roles).map(member).collect();
        let secrets = Secrets::make().unwrap();
        let mut made = Self { directory, plan, secrets, all, invitations: Vec::new() };
        made.set_up_first();
        made
    }

    /// By `quorate setup` without questions: first it only shows what it would do.
    fn set_up_first(&mut self) {
        let first = &self.all[0];
        let setup = |how: &[&str]| self.set_up(0, how);
        let shown = setup(&["--dry-run"]).ok();
        for written in ["cluster.yaml (new)", "secrets.yaml (new, private)", "quorate.yml (new, private)", "tls/ca.key"]
        {
            assert!(shown.contains(written), "{written}: {shown}");
        }
        assert!(shown.contains("password: ********") && !first.home.exists(), "{shown}");
        let lines = setup(&["--yes", "--no-start"]).ok();
        let again = setup(&["--dry-run"]).ok();
        assert!(again.contains("quorate.yml (unchanged, private)") && !again.contains("ca.key"), "{again}");
        // Nothing but the lines for the other servers goes to standard output.
        let start = format!("quorate join {}:8008 ", first.address);
        let secrets = std::fs::read_to_string(first.home.join("secrets.yaml")).unwrap();
        first.settle();
        self.secrets = Secrets::read(&secrets).unwrap();
        self.invitations = lines.lines().map(|line| line.strip_prefix(&start).unwrap().to_owned()).collect();
        assert_eq!(self.invitations.len(), self.all.len() - 1);
    }

    /// `quorate setup` of one server, with the plan as it is now.
    pub fn set_up(&self, server: usize, how: &[&str]) -> Done {
        let server = &self.all[server];
        let file = self.directory.path().join("plan.yaml");
        std::fs::write(&file, self.plan.to_yaml()).unwrap();
        let mut setup = Command::new(program("quorate"));
        setup.args(["setup", "--member", &server.name, "--from"]).arg(&file).arg("--directory").arg(&server.home);
        Done::of(setup.args(how))
    }

    /// On the first server, beside its agent.
    pub fn change_plan(&self) {
        self.set_up(0, &["--yes", "--no-start"]).ok();
        self.first().settle();
    }

    /// The token that setting up has printed for a server, by its place among all.
    pub fn invitation(&self, server: usize) -> &str {
        &self.invitations[server - 1]
    }

    pub fn first(&self) -> &Server {
        &self.all[0]
    }

    /// A new token of the first server.
    pub fn token(&self, member: &str, life: &str) -> String {
        self.first().quorate("token", &[member, "--life", life]).ok().trim().to_owned()
    }

    /// `quorate join` of that server, with the token on standard input.
    pub fn join(&self, server: usize, token: &str) -> Done {
        self.join_into(&self.all[server].home, token)
    }

    pub fn join_into(&self, home: &Path, token: &str) -> Done {
        given(join_command(self.first().address, home), token)
    }

    /// Everything that must not be seen anywhere.
    pub fn secret_texts(&self) -> Vec<String> {
        let mut texts: Vec<String> = self.secrets.all().iter().map(|secret| secret.expose().to_owned()).collect();
        for server in &self.all {
            for key in ["tls/ca.key", "tls/member.key"] {
                let text = std::fs::read_to_string(server.home.join(key)).unwrap_or_default();
                texts.extend(text.lines().nth(1).map(str::to_owned));
            }
        }
        texts
    }

    /// Waits until one member leads and the others follow.
    pub async fn whole(&self) {
        let (client, replicas) = (self.first().http(false), self.plan.databases().count() - 1);
        eventually("the cluster is whole", async || {
            let view: Value = client.get(self.first().url("/cluster")).send().await.ok()?.json().await.ok()?;
            let members = view["members"].as_array()?;
            let leads = |member: &&Value| member["role"] == "leader" && member["state"] == "running";
            let count = |state: &str| members.iter().filter(|member| member["state"] == state).count();
            (members.iter().filter(leads).count() == 1 && count("streaming") == replicas).then_some(())
        })
        .await;
    }
}

/// With the token on standard input, as a line.
pub fn given(mut command: Command, token: &str) -> Done {
    use std::io::Write;
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    // One that fails before it reads is no fault of ours.
    let _ = writeln!(child.stdin.take().unwrap(), "{token}");
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn join_command(first: Ipv4Addr, home: &Path) -> Command {
    let mut command = Command::new(program("quorate"));
    command.args(["join", &first.to_string(), "-", "--no-start", "--directory"]).arg(home);
    command
}

impl Server {
    fn new(directory: &Path, number: u8, address: Ipv4Addr) -> Self {
        let name = format!("pg{number}");
        let directory = directory.join(&name);
        std::fs::create_dir(&directory).unwrap();
        open(&directory);
        hand_to_postgres(&directory);
        Self { home: directory.join("etc"), name, address, directory, agent: None }
    }

    pub fn tls(&self) -> TlsFiles {
        TlsFiles::below(&self.home)
    }

    pub fn config_file(&self) -> PathBuf {
        self.home.join("quorate.yml")
    }

    pub fn log_file(&self) -> PathBuf {
        self.directory.join("quorate.log")
    }

    /// A command on this server's home.
    pub fn quorate(&self, command: &str, arguments: &[&str]) -> Done {
        let mut quorate = Command::new(program("quorate"));
        Done::of(quorate.arg(command).args(arguments).arg("--directory").arg(&self.home))
    }

    /// What has to differ on one machine.
    pub fn settle(&self) {
        let text = std::fs::read_to_string(self.config_file()).unwrap().replace(SERVER, &self.name);
        let mut config: Value = serde_saphyr::from_str(&text).unwrap();
        if let Some(parameters) = config.pointer_mut("/postgresql/parameters") {
            parameters["unix_socket_directories"] = self.directory.display().to_string().into();
        }
        // JSON is YAML.
        keep(&self.config_file(), &config.to_string());
    }

    pub fn start(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let mut command = Command::new(program("quorate"));
        platform::end_with_parent(&mut command);
        command.arg("agent").arg(self.config_file()).current_dir(&self.directory).stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.agent = Some(command.spawn().unwrap());
    }

    pub fn stop(&mut self) {
        let Some(mut agent) = self.agent.take() else { return };
        if let Some(pid) = rustix::process::Pid::from_raw(agent.id() as i32) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        let deadline = Instant::now() + STOP_TIME_MAX;
        while agent.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = agent.kill();
        let _ = agent.wait();
    }

    /// An HTTP client that believes this cluster, and shows the certificate of this server, or none.
    pub fn http(&self, certified: bool) -> reqwest::Client {
        let tls = self.tls();
        let identity = certified.then_some((tls.certificate, tls.key));
        self.http_as(identity)
    }

    pub fn http_as(&self, identity: Option<(PathBuf, PathBuf)>) -> reqwest::Client {
        let opened = self.client_tls(identity, &[HTTP1]);
        let client = reqwest::Client::builder().no_proxy().timeout(REQUEST_PATIENCE);
        // Each request is a connection of its own, with the certificate as it is then.
        client.pool_max_idle_per_host(0).use_preconfigured_tls(opened.config()).build().unwrap()
    }

    pub fn client_tls(&self, identity: Option<(PathBuf, PathBuf)>, protocols: &[&[u8]]) -> ClientTls {
        let files = ClientFiles { authorities: Some(self.tls().authority), identity, ..Default::default() };
        ClientTls::open(files, protocols).unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}:8008{path}", self.address)
    }

    pub async fn answers(&self) {
        let client = self.http(false);
        eventually("the REST API answers", async || client.get(self.url("/liveness")).send().await.ok()).await;
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for server in &self.all {
                print_tail(&server.log_file());
            }
        }
        for server in &mut self.all {
            server.stop();
        }
    }
}

/// Others may walk through.
fn open(directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Readable by the user that the agent's worker runs as.
fn keep(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    hand_to_postgres(file);
}
