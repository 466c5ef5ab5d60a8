//! `quorate setup` as a new user meets it: the wizard in a real browser with every mistake, and a whole cluster of three
//! servers made from nothing.

mod terminal;

use super::support::{Done, Running, eventually, print_tail, program, run};
use drill::eavesdrop::{Heard, How};
use drill::net::{Network, program_in};
use plan::{Member, Plan, Role};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What is promised to a new user. It takes well under a minute on a machine that does nothing else.
const MACHINE_TIME_MAX: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Pictures of every page, for looking at, below cargo's target directory.
fn shots(name: &str) -> PathBuf {
    program("quorate").parent().unwrap().parent().unwrap().join("screenshots").join(name)
}

fn script(name: &str, argument: &Value) -> Vec<String> {
    let web = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../web");
    let modules = web.join("node_modules/playwright-core");
    assert!(modules.is_dir(), "{} is missing: `./dev test` and `./dev page` fetch it", modules.display());
    vec!["node".to_owned(), web.join("test").join(name).to_string_lossy().into_owned(), argument.to_string()]
}

/// A directory that PostgreSQL's user may walk through.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The address that the wizard prints.
async fn address_of(wizard: &Running) -> String {
    let url = RefCell::new(String::new());
    eventually("the wizard prints its address", async || {
        let found = wizard.new_lines().into_iter().find(|line| line.starts_with("http://"))?;
        url.replace(found);
        Some(())
    })
    .await;
    url.into_inner()
}

async fn finished(words: &[String], mut command: tokio::process::Command) -> String {
    let output = command.args(words).kill_on_drop(true).output().await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.ends_with("done\n"), "{out}{err}");
    out.into_owned()
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_mistake_is_said_at_its_field_and_nothing_is_written_before_the_end() {
    run(async {
        let directory = directory();
        let home = directory.path().join("home");
        let mut setup = Command::new(program("quorate"));
        setup.args(["setup", "--no-start", "--directory"]).arg(&home);
        let wizard = Running::start(setup);
        let url = address_of(&wizard).await;
        let addresses: Vec<String> = (1..=3).map(|host| format!("127.0.46.{host}")).collect();
        let argument = json!({
            "url": url, "shots": shots("setup"), "directory": directory.path(), "addresses": addresses,
        });
        let words = script("setup.mjs", &argument);
        let said = finished(&words[1..], tokio::process::Command::new(&words[0])).await;
        println!("{said}");
        for (file, wanted) in [
            ("cluster.yaml", 0o644),
            ("secrets.yaml", 0o600),
            ("quorate.yml", 0o600),
            ("tls/ca.crt", 0o644),
            ("tls/ca.key", 0o600),
            ("tls/member.key", 0o600),
        ] {
            assert_eq!(mode(&home.join(file)), wanted, "{file}");
        }
        let secrets = std::fs::read_to_string(home.join("secrets.yaml")).unwrap();
        let secret = secrets.lines().find_map(|line| line.strip_prefix("superuser: ")).unwrap();
        let plan = std::fs::read_to_string(home.join("cluster.yaml")).unwrap();
        assert!(!plan.contains(secret) && !plan.contains("attic"), "the last change was reviewed only");
        assert!(!directory.path().join("data").exists(), "nothing was started");
    });
}

/// A server of its own: its network, its processes, and its own disk below [`SERVER`].
struct Host {
    name: &'static str,
    namespace: String,
    address: Ipv4Addr,
    /// What it sees as `server`.
    disk: PathBuf,
}

/// Where every server has its files, as it sees it; on this machine each has another disk there.
const SERVER: &str = "server";
/// Where Debian's PostgreSQL puts its socket; two servers must not share it.
const SOCKETS: &str = "/run/postgresql";
/// Becomes the program once the disk is there. The arguments: disk, place, sockets, log, program...
const WITH_ITS_DISK: &str = r#"mount --bind "$1" "$2" && { [ ! -d "$3" ] || mount -t tmpfs -o mode=1777 tmpfs "$3"; } && log=$4 && shift 4 && exec "$@" 2>>"$log""#;

impl Host {
    /// The program as the first process of the server: when it is killed, everything on the server is gone.
    fn command(&self, directory: &Path, arguments: &[&str]) -> Command {
        let mut command = program_in(&self.namespace, "unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
            "sh",
            "-c",
            WITH_ITS_DISK,
            "sh",
        ]);
        command.arg(&self.disk).arg(directory.join(SERVER)).arg(SOCKETS).arg(self.log_file());
        command.arg(program("quorate")).args(arguments);
        platform::end_with_parent(&mut command);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.disk.join("quorate.log")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_tail(&self.log_file());
        }
    }
}

#[test]
fn a_new_user_has_a_whole_cluster_from_nothing_and_drills_it() {
    run(async {
        let begun = Instant::now();
        let mut network = Network::new("qset", [198, 18, 120]).unwrap();
        let directory = directory();
        std::fs::create_dir(directory.path().join(SERVER)).unwrap();
        let hosts: Vec<Host> = ["pg1", "pg2", "pg3"]
            .into_iter()
            .zip(11..)
            .map(|(name, last)| {
                let host = network.add_host(name, last).unwrap();
                let disk = directory.path().join(name);
                std::fs::create_dir(&disk).unwrap();
                std::fs::set_permissions(&disk, std::fs::Permissions::from_mode(0o755)).unwrap();
                Host { name, namespace: host.namespace, address: host.address, disk }
            })
            .collect();
        let ears = network.eavesdrop().unwrap();
        let server = directory.path().join(SERVER);
        let home = server.join("etc").display().to_string();
        let setup = hosts[0].command(directory.path(), &["setup", "--run", "--directory", &home]);
        let wizard = Running::start(setup);
        let url = address_of(&wizard).await;
        let vip = network.spare_address(42);
        let addresses: Vec<String> = hosts.iter().map(|host| host.address.to_string()).collect();
        let argument = json!({
            "url": url, "shots": shots("setup-cluster"), "directory": server, "addresses": addresses,
            "vip": format!("{vip}/24"), "home": hosts[0].disk.join("etc"),
        });
        let mut browser = program_in(&hosts[0].namespace, "node");
        browser.args(&script("setup_cluster.mjs", &argument)[1..]);
        let browser = Running::start(browser);

        // What a person does at the other servers, as soon as the page says it.
        let mut agents: BTreeMap<&str, Running> = BTreeMap::from([(hosts[0].name, wizard)]);
        let mut said: Vec<String> = Vec::new();
        while !said.contains(&"done".to_owned()) {
            assert!(begun.elapsed() < MACHINE_TIME_MAX, "not done: {said:#?}");
            for line in browser.new_lines() {
                if let Some((name, words)) = line.strip_prefix("line ").and_then(|rest| rest.split_once(' ')) {
                    let host = hosts.iter().find(|host| host.name == name).unwrap();
                    let mut words: Vec<&str> = words.split(' ').skip(1).collect();
                    words.extend(["--run", "--directory", &home]);
                    agents.insert(host.name, Running::start(host.command(directory.path(), &words)));
                }
                said.push(line);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        println!("{}\nafter {:?}", said.join("\n"), begun.elapsed());
        let client = Client::of(&hosts, vip);
        client.writes("create table t(a int)");

        // The primary's server is lost, and comes back.
        let primary = network.holders_of(vip.into()).unwrap();
        assert_eq!(primary.len(), 1, "{primary:?}");
        let lost = hosts.iter().find(|host| host.name == primary[0]).unwrap();
        drop(agents.remove(lost.name));
        eventually("another server is written to", async || client.says("insert into t values (1)")).await;
        let file = server.join("etc/quorate.yml").display().to_string();
        agents.insert(lost.name, Running::start(lost.command(directory.path(), &["agent", &file])));
        eventually("the lost server follows, with its certificate", async || {
            client.says(FOLLOWERS).filter(|followers| followers.trim() == "1")
        })
        .await;
        nothing_was_said_in_clear(&ears.connections(), &hosts);
        drop(ears);
        client.is_refused("postgres", "superuser", "sslmode=disable", "no encryption");
        client.is_refused("rewind", "rewind", "sslmode=require", "client certificate");
        client.is_refused("replicator", "replication", "sslmode=require replication=true", "client certificate");
    });
}

/// Of the primary: how many replicas stream, encrypted, and have shown a certificate.
const FOLLOWERS: &str = "select count(*) from pg_stat_replication join pg_stat_ssl using (pid) \
    where state = 'streaming' and ssl and client_dn is not null";

/// As a client would: over TLS, believing the cluster's authority, at the one address.
struct Client<'a> {
    host: &'a Host,
    vip: Ipv4Addr,
    /// With the authority's certificate, and everybody's passwords.
    home: PathBuf,
}

impl<'a> Client<'a> {
    fn of(hosts: &'a [Host], vip: Ipv4Addr) -> Self {
        Self { host: &hosts[2], vip, home: hosts[0].disk.join("etc") }
    }

    fn psql(&self, user: &str, secret: &str, more: &str, question: &str) -> Done {
        let secrets = std::fs::read_to_string(self.home.join("secrets.yaml")).unwrap();
        let key = format!("{secret}: ");
        let password = secrets.lines().find_map(|line| line.strip_prefix(&key)).unwrap();
        let target = format!("host={} user={user} dbname=postgres connect_timeout=1 {more}", self.vip);
        let mut command = program_in(&self.host.namespace, "psql");
        Done::of(command.arg(target).args(["-Atc", question]).env("PGPASSWORD", password))
    }

    fn ask(&self, question: &str) -> Done {
        let authority = self.home.join("tls/ca.crt");
        let believing = format!("sslmode=verify-ca sslrootcert={}", authority.display());
        self.psql("postgres", "superuser", &believing, question)
    }

    fn is_refused(&self, user: &str, secret: &str, how: &str, why: &str) {
        let done = self.psql(user, secret, how, "select 1");
        assert!(done.code != Some(0) && done.err.contains(why), "{user} {how}: {done:?}");
    }

    fn writes(&self, statement: &str) {
        self.ask(statement).ok();
    }

    fn says(&self, question: &str) -> Option<String> {
        let done = self.ask(question);
        (done.code == Some(0)).then_some(done.out)
    }
}

fn nothing_was_said_in_clear(heard: &[Heard], hosts: &[Host]) {
    let clear: Vec<&Heard> = heard.iter().filter(|it| matches!(it.how, How::InClear(_))).collect();
    assert!(clear.is_empty(), "{clear:#?}");
    // So that it is not because nothing was heard: PostgreSQL, the store's clients and peers, the REST API, Redis.
    let member = |address: &Ipv4Addr| hosts.iter().any(|host| host.address == *address);
    for (port, how) in [
        (5432, How::EncryptedOnRequest),
        (2379, How::Encrypted),
        (2380, How::Encrypted),
        (8008, How::Encrypted),
        (6379, How::Encrypted),
    ] {
        let between = |it: &&Heard| it.to.port() == port && member(it.to.ip()) && member(it.from.ip());
        let found = heard.iter().filter(between).filter(|it| it.how == how).count();
        println!("port {port}: {found} connections between members");
        assert!(found > 0, "nobody spoke to port {port}");
    }
    let others: BTreeSet<u16> = heard.iter().map(|it| it.to.port()).collect();
    println!("heard: {others:?}");
}

#[test]
fn a_virtual_ip_of_a_host_behind_a_firewall_is_noticed() {
    let mut network = Network::new(&format!("qvip{}", std::process::id()), [198, 18, 121]).unwrap();
    let [first, other] = [("a", 1), ("b", 2)].map(|(name, last)| network.add_host(name, last).unwrap());
    let on = |host: &drill::net::Host, words: &[&str]| {
        Done::of(program_in(&host.namespace, words[0]).args(&words[1..])).ok();
    };
    // It answers to nothing but the questions that make a network work.
    on(&other, &["nft", "add table inet silent; add chain inet silent input { type filter hook input priority 0; }"]);
    on(&other, &["nft", "add rule inet silent input meta l4proto tcp drop"]);
    let card = |host: &drill::net::Host| {
        let shown =
            Done::of(program_in(&host.namespace, "ip").args(["-o", "-4", "addr", "show", "scope", "global"])).ok();
        shown.split_whitespace().nth(1).unwrap().to_owned()
    };
    for (host, ip) in [(&first, "fd00:121::1/64"), (&other, "fd00:121::2/64")] {
        on(host, &["ip", "addr", "add", ip, "dev", &card(host), "nodad"]);
    }
    let directory = directory();
    let file = directory.path().join("plan.yaml");
    let checked = |vip: &str, first_words: &[&str]| {
        let mut plan = Plan::new("shop");
        let member = |n: u8| Member::new(&format!("pg{n}"), &format!("198.18.121.{n}"), &[Role::Database, Role::Store]);
        plan.members = (1..=3).map(member).collect();
        plan.vips.push(plan::Vip { address: vip.to_owned(), ..Default::default() });
        std::fs::write(&file, plan.to_yaml()).unwrap();
        let mut words: Vec<std::ffi::OsString> = first_words.iter().map(Into::into).collect();
        words.push(program("quorate").into());
        let mut command = program_in(&first.namespace, &words[0]);
        command.args(&words[1..]).args(["setup", "--dry-run", "--member", "pg1", "--from"]).arg(&file);
        command.arg("--directory").arg(directory.path().join("home"));
        Done::of(&mut command).err
    };
    // pg2's own address is refused by the plan itself, so it has one more.
    on(&other, &["ip", "addr", "add", "198.18.121.42/24", "dev", &card(&other)]);
    let mac = other.mac;
    for (held, free) in [("198.18.121.42/24", "198.18.121.43/24"), ("fd00:121::2/64", "fd00:121::43/64")] {
        let said = checked(held, &[]);
        let ip = held.split('/').next().unwrap();
        assert!(said.contains(&format!("another host has {ip}: {mac} answers for it")), "{said}");
        let said = checked(free, &[]);
        assert!(!said.contains("[setup-vip]"), "{said}");
        // Without the privilege it says how it asked.
        let without = checked(held, &["setpriv", "--bounding-set=-net_raw"]);
        assert!(without.contains(&format!("nobody answers at {ip} on the ports 22 and 445")), "{without}");
    }
}
