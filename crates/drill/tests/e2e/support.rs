//! The world a test lives in: a cluster of its own, and short ways to ask and to change it.
//!
//! A test that fails prints the ends of all logs; one that is interrupted still ends its processes.

use drill::certificates::ADMIN;
use drill::cluster::{Cluster, ClusterOptions, POSTGRES_USER, find_user};
use drill::health::ClusterView;
use drill::member::{Member, ports};
use drill::scenario::BOOTSTRAP_TIME_MAX;
use drill::writer;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::Ipv4Addr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// What should happen within a second or two may take this long on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(90);
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// Long enough that a stall of the machine is not a failover where no fault is meant to happen.
pub const CALM_TTL_S: u64 = 8;
/// What is printed of each log after a failure.
const LOG_LINES: usize = 70;

/// Runs a test to its end, or until the test runner gives up on it: then, too, the cluster is dropped.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    run_with(&runtime, test);
}

fn run_with(runtime: &tokio::runtime::Runtime, test: impl Future<Output = ()>) {
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let mut interrupt = signal(SignalKind::interrupt()).unwrap();
        tokio::select! {
            () = test => {}
            _ = terminate.recv() => panic!("the test was told to end, probably because it took too long"),
            _ = interrupt.recv() => panic!("interrupted"),
        }
    });
}

/// The same, with everything that the test itself does on a host of its own network.
pub fn run_on(host: &drill::net::Host, test: impl Future<Output = ()>) {
    let namespace = host.namespace.clone();
    drill::net::enter(&namespace).unwrap();
    let enter = move || drill::net::enter(&namespace).unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    run_with(&runtime.worker_threads(2).on_thread_start(enter).enable_all().build().unwrap(), test);
}

/// A program that cargo builds beside this test.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join(name);
    assert!(
        path.is_file(),
        "there is no program {}: `./dev test` builds it first, and so does `cargo build -p app -p drill`",
        path.display()
    );
    path
}

/// What `./dev` fetches for tests, beside cargo's output. Without links: they may lie where PostgreSQL's user cannot walk.
pub fn download(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(3).unwrap().join("downloads").join(name);
    assert!(path.is_dir(), "{} is missing: `./dev setup` and `./dev test` fetch it", path.display());
    path.canonicalize().unwrap()
}

/// A cluster of a test.
pub struct World {
    cluster: Cluster,
}

impl Deref for World {
    type Target = Cluster;
    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in self.cluster.members() {
                for log in ["quorate.log", "data.log", "etcd.log", "redis.log"] {
                    print_tail(&member.directory.join(log));
                }
            }
        }
    }
}

pub fn print_tail(path: &Path) {
    let Ok(bytes) = std::fs::read(path) else { return };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    eprintln!("\n===== the end of {}", path.display());
    for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
        eprintln!("{line}");
    }
}

/// An address for this test alone: `range` keeps the tests apart, the rest two runs of them on one machine.
pub fn address(range: u8, host: u8) -> Ipv4Addr {
    const RUNS: u32 = 250;
    let run = 1 + (std::process::id() % RUNS) as u8;
    Ipv4Addr::new(127, run, range, host)
}

/// The options of a cluster at addresses of that range, in a directory named after `name`.
pub fn options(name: &str, range: u8) -> ClusterOptions {
    let directory = std::env::temp_dir().join(format!("quorate-e2e-{name}-{}", std::process::id()));
    let mut options = ClusterOptions::new(program("quorate"), directory);
    options.first_address = address(range, 11);
    options.overrides = json!({ "bootstrap": { "dcs": { "ttl": CALM_TTL_S } } });
    options
}

/// The same with the default lease, for tests of faults.
pub fn options_with_default_lease(name: &str, range: u8) -> ClusterOptions {
    ClusterOptions { overrides: json!({}), ..options(name, range) }
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Done {
    pub fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a command that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self.out
    }

    /// Standard error of a command that failed with this code.
    #[track_caller]
    pub fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.err);
        self.err
    }
}

/// The lines that a program prints while it runs. It ends with this.
pub struct Running {
    child: Child,
    lines: Mutex<Receiver<String>>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        command.stderr(Stdio::null());
        let (running, _) = Self::listen(command);
        running
    }

    /// With what it says on standard error.
    pub fn start_with_errors(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        let (mut running, sender) = Self::listen(command);
        let errors = running.child.stderr.take().unwrap();
        std::thread::spawn(move || pass_on(errors, &sender));
        running
    }

    fn listen(mut command: Command) -> (Self, Sender<String>) {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let out = child.stdout.take().unwrap();
        let (sender, receiver) = channel();
        let of_out = sender.clone();
        std::thread::spawn(move || pass_on(out, &of_out));
        (Self { child, lines: Mutex::new(receiver) }, sender)
    }

    /// What it has printed since the last look.
    pub fn new_lines(&self) -> Vec<String> {
        self.look().0
    }

    /// The same, and whether that is all that will ever come.
    pub fn look(&self) -> (Vec<String>, bool) {
        let lines = self.lines.lock().unwrap();
        let mut found = Vec::new();
        loop {
            match lines.try_recv() {
                Ok(line) => found.push(line),
                Err(why) => return (found, why == TryRecvError::Disconnected),
            }
        }
    }

    /// Waits until it has printed this.
    pub async fn prints(&self, wanted: &str) {
        eventually(wanted, async || self.new_lines().into_iter().find(|line| line.contains(wanted))).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pass_on(stream: impl Read, to: &Sender<String>) {
    let _ = BufReader::new(stream).lines().map_while(Result::ok).try_for_each(|line| to.send(line));
}

impl World {
    /// Starts a cluster and waits until it is whole.
    pub async fn whole(options: ClusterOptions) -> Self {
        let mut world = Self::starting(options);
        world.wait_whole(BOOTSTRAP_TIME_MAX).await.unwrap();
        world
    }

    pub fn starting(options: ClusterOptions) -> Self {
        Self { cluster: Cluster::start(options).unwrap() }
    }

    /// Waits until the cluster is whole.
    pub async fn whole_again(&mut self) -> ClusterView {
        self.wait_whole(PATIENCE).await.unwrap()
    }

    /// The name of the leader of a whole cluster.
    pub async fn leader(&mut self) -> String {
        self.whole_again().await.leader().unwrap().name.clone()
    }

    /// The leader's name, then the replicas'.
    pub async fn roles(&mut self) -> (String, Vec<String>) {
        let leader = self.leader().await;
        let others = self.members().iter().map(|member| member.name.clone()).filter(|name| *name != leader).collect();
        (leader, others)
    }

    pub fn named(&self, name: &str) -> &Member {
        self.member(name).unwrap()
    }

    /// The command line, with the configuration of this member.
    pub fn quorate(&self, member: &str, arguments: &[&str]) -> Done {
        let mut command = Command::new(&self.options().quorate);
        Done::of(command.arg("-c").arg(&self.named(member).config_file).args(arguments))
    }

    /// `etcdctl` on the stores of all members.
    pub fn etcdctl(&self, arguments: &[&str]) -> Done {
        Done::of(self.etcdctl_command().args(arguments))
    }

    pub fn etcdctl_command(&self) -> Command {
        let mut command = self.etcdctl_of_a_stranger();
        if let Some(certificates) = self.certificates() {
            let (certificate, key) = certificates.identity(ADMIN);
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command
    }

    /// Without a certificate.
    pub fn etcdctl_of_a_stranger(&self) -> Command {
        let scheme = if self.certificates().is_some() { "https://" } else { "" };
        let mut endpoints = String::new();
        for member in self.members() {
            write!(endpoints, "{scheme}{}:{},", member.address, ports::STORE_CLIENTS).unwrap();
        }
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(endpoints.trim_end_matches(','));
        if let Some(certificates) = self.certificates() {
            command.arg("--cacert").arg(certificates.ca());
        }
        command
    }

    /// The value of a key below the cluster's prefix; empty when there is none.
    pub fn key(&self, key: &str) -> String {
        let key = format!("/service/{}/{key}", self.scope());
        self.etcdctl(&["get", "--print-value-only", &key]).ok().trim().to_owned()
    }

    /// The first column of the first row, from a member's own port.
    pub async fn ask(&self, member: &str, question: &str) -> String {
        self.try_ask(member, ports::POSTGRES, question).await.unwrap()
    }

    pub async fn try_ask(&self, member: &str, port: u16, question: &str) -> anyhow::Result<String> {
        let client = writer::connect(&self.login(self.named(member), port)).await?;
        for message in client.simple_query(question).await? {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                return Ok(row.get(0).unwrap_or_default().to_owned());
            }
        }
        Ok(String::new())
    }

    /// The status code and the body of a request to a member's REST API.
    pub async fn rest(&self, method: reqwest::Method, member: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let client = self.http_client(PATIENCE).unwrap();
        let mut request = client.request(method, self.rest_url(self.named(member), path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// Whether the REST API is there at all.
    pub async fn answers(&self, member: &str) -> bool {
        let client = self.http_client(PATIENCE).unwrap();
        client.get(self.rest_url(self.named(member), "/patroni")).send().await.is_ok()
    }

    pub async fn get(&self, member: &str, path: &str) -> (u16, Value) {
        self.rest(reqwest::Method::GET, member, path, None).await
    }

    pub async fn post(&self, member: &str, path: &str, body: Value) -> (u16, Value) {
        self.rest(reqwest::Method::POST, member, path, Some(body)).await
    }
}

/// Waits until the answer is there; `None` and errors are asked again.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(POLL_PAUSE).await;
    }
}

/// When we are root, PostgreSQL and its programs run as this user.
fn unprivileged() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then(|| find_user(POSTGRES_USER).unwrap())
}

/// Makes PostgreSQL's user the owner.
pub fn hand_to_postgres(path: &Path) {
    if let Some((uid, gid)) = unprivileged() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// One of PostgreSQL's own programs, of the newest version that is installed.
pub fn postgres_command(program: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|entry| entry.path().join("bin").join(program)).filter(|path| path.is_file());
    let path = found.max().unwrap_or_else(|| PathBuf::from(program));
    let mut command = Command::new(path);
    if let Some((uid, gid)) = unprivileged() {
        command.uid(uid).gid(gid);
    }
    command.current_dir("/");
    command
}
