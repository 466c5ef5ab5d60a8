//! What an operator has beside the cluster: the service manager's watch, doctor, support, and what monitoring reads.

use super::redis_support::RedisWorld;
use super::support::{Done, PATIENCE, address, eventually, hand_to_postgres, program, run};
use drill::member::{Member, ports};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// As systemd would set it; a sign of life comes four times as often.
const WATCHDOG: Duration = Duration::from_secs(2);
/// `ha::guard::WORKER_SILENCE_MAX`, and what a busy machine adds.
const SILENCE: Duration = Duration::from_secs(40);

/// The end of the socket that systemd would have.
struct Manager(UnixDatagram);

impl Manager {
    /// The next thing that is said within this time.
    fn hears(&self, within: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(within)).unwrap();
        let mut bytes = [0; 256];
        let length = self.0.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).trim().to_owned())
    }

    /// Waits until nothing was said for `quiet`. What was said until then must be signs of life.
    fn falls_silent(&self, quiet: Duration, within: Duration) {
        let deadline = Instant::now() + within;
        while let Some(said) = self.hears(quiet) {
            assert_eq!(said, "WATCHDOG=1");
            assert!(Instant::now() < deadline, "it goes on after {within:?}");
        }
    }
}

/// An agent under a service manager; a witness, which has a worker and no server.
struct Service {
    child: Child,
    manager: Manager,
    directory: tempfile::TempDir,
}

impl Service {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        hand_to_postgres(directory.path());
        let config = directory.path().join("quorate.yml");
        let (at, path) = (address(51, 11), directory.path().display());
        let text = format!(
            "scope: demo\nname: w1\nrestapi: {{listen: '{at}:8008'}}\n\
             store: {{data_dir: {path}/store, members: {{w1: {{address: {at}, witness: true}}}}}}\n"
        );
        fs::write(&config, text).unwrap();
        hand_to_postgres(&config);
        let socket = directory.path().join("notify");
        let manager = Manager(UnixDatagram::bind(&socket).unwrap());
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let child = Command::new(program("quorate"))
            .arg("agent")
            .arg(&config)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, manager, directory }
    }

    fn guard(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn worker(&self) -> Option<Pid> {
        let guard = self.child.id();
        let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).ok()?;
        Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::support::print_tail(&self.directory.path().join("log"));
        }
        for pid in [Some(self.guard()), self.worker()].into_iter().flatten() {
            let _ = kill_process(pid, Signal::CONT);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_service_manager_hears_of_a_life_and_nothing_of_a_frozen_guard_or_worker() {
    let mut service = Service::start();
    assert_eq!(service.manager.hears(PATIENCE).as_deref(), Some("READY=1"));
    for _ in 0..4 {
        assert_eq!(service.manager.hears(WATCHDOG).as_deref(), Some("WATCHDOG=1"));
    }
    let deadline = Instant::now() + PATIENCE;
    let worker = loop {
        match service.worker() {
            Some(worker) => break worker,
            None => assert!(Instant::now() < deadline, "there is no worker"),
        }
    };

    kill_process(service.guard(), Signal::STOP).unwrap();
    service.manager.falls_silent(WATCHDOG * 2, PATIENCE);
    kill_process(service.guard(), Signal::CONT).unwrap();
    assert_eq!(service.manager.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"));

    // The worker's environment must not let PostgreSQL, its child, speak to the manager.
    let environment = fs::read(format!("/proc/{}/environ", worker.as_raw_nonzero())).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"));

    kill_process(worker, Signal::STOP).unwrap();
    service.manager.falls_silent(WATCHDOG * 2, SILENCE);
    kill_process(worker, Signal::CONT).unwrap();
    assert_eq!(service.manager.hears(PATIENCE).as_deref(), Some("WATCHDOG=1"), "it is well again");

    kill_process(service.guard(), Signal::TERM).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while service.manager.hears(PATIENCE).as_deref() != Some("STOPPING=1") {
        assert!(Instant::now() < deadline, "it never says that it stops");
    }
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_service_without_a_manager_is_one_sentence_with_the_units_place() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("q.yml");
    let text = "scope: demo\nname: w1\nstore: {data_dir: /nonexistent/s, members: {w1: {address: 127.0.0.1, witness: true}}}\n";
    fs::write(&config, text).unwrap();
    let service =
        |arguments: &[&str]| Done::of(Command::new(program("quorate")).arg("service").args(arguments).arg(&config));
    let unit = service(&["install", "--print"]).ok();
    assert!(unit.contains(&format!("agent \"{}\"", config.display())) && unit.contains("Type=notify"), "{unit}");
    if Path::new("/run/systemd/system").exists() {
        return;
    }
    for command in ["install", "start", "stop", "status", "uninstall"] {
        let said = service(&[command, "--name", "quorate-test"]).failed(2);
        let sentences: Vec<&str> = said.lines().filter(|line| !line.starts_with("warning: ")).collect();
        assert_eq!(sentences.len(), 2, "{said}");
        assert!(sentences[0].contains("/etc/systemd/system/quorate-test.service"), "{said}");
        assert!(sentences[0].ends_with("[cli-service-no-manager]") && sentences[1].starts_with("  hint: "), "{said}");
    }
    assert!(!Path::new("/etc/systemd/system/quorate-test.service").exists());
    // A configuration that the agent would not accept makes no service.
    fs::write(&config, text.replace("scope", "scop")).unwrap();
    assert!(service(&["install", "--print"]).failed(2).contains("config-unknown-key"));
}

/// One cluster for everything that only looks.
#[test]
fn doctor_support_and_monitoring_of_a_running_cluster() {
    run(async {
        let world = RedisWorld::whole("operators", 52).await;
        let member = world.members()[0].name.clone();
        let report = |arguments: &[&str]| {
            let done = world.quorate(&member, &[&["doctor", "-o", "json"][..], arguments].concat());
            let report: Value = serde_json::from_str(&done.out).unwrap_or_else(|_| panic!("{}{}", done.out, done.err));
            (done.code, report)
        };
        let codes = |report: &Value, severity: &str| -> BTreeSet<String> {
            let findings = report["findings"].as_array().unwrap().iter();
            let of = findings.filter(|finding| finding["severity"] == severity);
            of.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
        };

        let (code, healthy) = report(&[]);
        let mut errors = codes(&healthy, "error");
        // The machine that runs this may be short of disk, or slow.
        errors.retain(|code| !["doctor-disk", "doctor-fsync"].contains(&code.as_str()));
        assert_eq!(errors, BTreeSet::new(), "{healthy:#}");
        assert_eq!(code, Some(i32::from(healthy["errors"] != 0)));
        let warnings = codes(&healthy, "warning");
        for expected in ["doctor-voters-together", "doctor-watchdog"] {
            assert!(warnings.contains(expected), "{healthy:#}");
        }

        world.quorate(&member, &["pause"]).ok();
        assert!(codes(&report(&[]).1, "warning").contains("doctor-paused"));
        world.quorate(&member, &["resume"]).ok();
        world.quorate(&member, &["edit-config", "-s", "synchronous_mode_strict=true", "--force"]).ok();
        assert!(codes(&report(&[]).1, "warning").contains("doctor-sync-off"));
        let config = &world.named(&member).config_file;
        fs::set_permissions(config, fs::Permissions::from_mode(0o644)).unwrap();
        let (code, readable) = report(&[]);
        assert_eq!(code, Some(1));
        assert!(codes(&readable, "error").contains("doctor-secrets-readable"), "{readable:#}");
        fs::set_permissions(config, fs::Permissions::from_mode(0o600)).unwrap();
        a_wrong_configuration_is_found(config);

        secrets_stay(&world, &member);
        what_monitoring_reads_is_there(&world).await;
    });
}

fn a_wrong_configuration_is_found(config: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.yml");
    fs::write(&wrong, fs::read_to_string(config).unwrap().replace("scope:", "scop:")).unwrap();
    let done = Done::of(Command::new(program("quorate")).arg("-c").arg(&wrong).arg("doctor"));
    assert_eq!(done.code, Some(1), "{}{}", done.out, done.err);
    assert!(done.out.contains("[config-unknown-key]") && done.out.contains("  hint: "), "{}", done.out);
}

fn secrets_stay(world: &RedisWorld, member: &str) {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("bundle.tar.gz");
    let said = world.quorate(member, &["support", "-o", bundle.to_str().unwrap()]).ok();
    assert_eq!(said.trim(), bundle.display().to_string());
    assert_eq!(fs::metadata(&bundle).unwrap().permissions().mode() & 0o077, 0, "others may read it");
    Done::of(Command::new("tar").arg("-C").arg(directory.path()).arg("-xzf").arg(&bundle)).ok();
    let config = fs::read_to_string(&world.named(member).config_file).unwrap();
    let secrets: BTreeSet<&str> = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("password: "))
        .map(|text| text.trim_matches(['"', '\'']))
        .collect();
    assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret.len() > 5), "{config}");
    let mut files = Vec::new();
    list(&directory.path().join("quorate-support"), &mut files);
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for secret in &secrets {
            assert!(!text.contains(secret), "{} has a password in it", file.display());
        }
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    for wanted in
        ["configuration.yml", "doctor.json", "store.json", "history.json", "versions.txt", "log.txt", "pg3/metrics.txt"]
    {
        assert!(names.iter().any(|name| name.ends_with(wanted)), "{wanted}: {names:?}");
    }
    // A bundle that is there is not written over.
    assert!(world.quorate(member, &["support", "-o", bundle.to_str().unwrap()]).failed(1).contains("[cli-file]"));
}

fn list(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

/// The alerts and the dashboard use no metric that nobody has.
async fn what_monitoring_reads_is_there(world: &RedisWorld) {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib");
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let mut there = BTreeSet::new();
    for member in world.members() {
        for port in [ports::REST, ports::STORE_CLIENTS] {
            there.extend(metrics(&client, member, port).await);
        }
    }
    // Needs an address that a test without a network of its own cannot have; `virtual_ip` has one.
    there.insert("quorate_vip_held".to_owned());
    let used = |file: &str| {
        let text = fs::read_to_string(contrib.join(file)).unwrap();
        let of_a_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let words = text.split(|letter| !of_a_name(letter)).map(str::to_owned);
        words
            .filter(|word| ["patroni_", "quorate_", "etcd_"].iter().any(|prefix| word.starts_with(prefix)))
            .collect::<BTreeSet<_>>()
    };
    for (file, least) in [("prometheus/alerts.yml", 15), ("grafana/quorate.json", 20)] {
        let used = used(file);
        assert!(used.len() >= least, "{used:?}");
        let unknown: Vec<_> = used.difference(&there).collect();
        assert!(unknown.is_empty(), "{file} uses what no member has: {unknown:?}");
    }
    serde_json::from_str::<Value>(&fs::read_to_string(contrib.join("grafana/quorate.json")).unwrap()).unwrap();
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts.test.yml"]] {
        match Command::new("promtool").args(arguments).current_dir(contrib.join("prometheus")).output() {
            // Not installed: the names were checked above.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => panic!("promtool: {error}"),
            Ok(done) => assert!(
                done.status.success(),
                "{}{}",
                String::from_utf8_lossy(&done.stdout),
                String::from_utf8_lossy(&done.stderr)
            ),
        }
    }
}

async fn metrics(client: &reqwest::Client, member: &Member, port: u16) -> Vec<String> {
    let url = format!("http://{}:{port}/metrics", member.address);
    let text =
        eventually("the metrics can be read", async || client.get(&url).send().await.ok()?.text().await.ok()).await;
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    names.map(str::to_owned).collect()
}
