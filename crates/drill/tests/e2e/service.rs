//! `quorate service` under a systemd that runs: as the first process of namespaces of its own, over this machine's programs
//! and none of its data.
//!
//! Where systemd cannot run so (no root, no systemd, no cgroup2, no overlay), the test says it and checks nothing.

use super::support::{Done, eventually, program, run};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SYSTEMD: &str = "/usr/lib/systemd/systemd";
/// Booted with nothing but what it cannot do without.
const TARGET: &str = "little.target";
const CONFIG: &str = "/etc/quorate/quorate.yml";
/// Three seconds of `WatchdogSec`, the kill, and a machine that does much else.
const WATCHDOG_MAX: Duration = Duration::from_secs(10);

/// Arguments: the program, the configuration. What is written goes to memory, and is gone with the namespace.
const BOOT: &str = r#"
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
touch /mnt/root/usr/bin/quorate
mount --bind "$1" /mnt/root/usr/bin/quorate
cp -r "$2" /mnt/root/etc/quorate
cd /mnt/root
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mkdir -m 1777 run/postgresql
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs tmpfs dev
for node in null zero full random urandom tty; do
  touch dev/$node
  mount --bind /dev/$node dev/$node
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
printf '[Unit]\nDefaultDependencies=no\n' > etc/systemd/system/little.target
rm -f etc/machine-id
echo 0123456789abcdef0123456789abcdef > etc/machine-id
pivot_root . mnt
umount -l /mnt
exec env -i container=test PATH=/usr/bin:/usr/sbin:/bin:/sbin /usr/lib/systemd/systemd --unit=little.target
"#;

const MEMBER: &str = "
scope: shop
name: pg1
store: {data_dir: /var/lib/quorate/store, members: {pg1: 127.0.0.1}}
restapi: {listen: '127.0.0.1:8008', connect_address: '127.0.0.1:8008'}
postgresql:
  listen: 127.0.0.1:5432
  connect_address: 127.0.0.1:5432
  data_dir: /var/lib/quorate/postgresql
  authentication:
    superuser: {username: postgres, password: one}
    replication: {username: replicator, password: two}
    rewind: {username: rewind, password: three}
";

/// A system of its own that was booted by systemd.
struct Booted {
    unshare: Child,
    cgroup: PathBuf,
    log: PathBuf,
}

impl Booted {
    /// `Err`: why it cannot be here.
    fn boot(directory: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("it needs root".to_owned());
        }
        if !Path::new(SYSTEMD).exists() {
            return Err(format!("there is no {SYSTEMD}"));
        }
        let etc = directory.join("etc");
        std::fs::create_dir(&etc).unwrap();
        std::fs::write(etc.join("quorate.yml"), MEMBER).unwrap();
        let cgroup = unified_hierarchy()?.join(format!("quorate-test-{}", std::process::id()));
        std::fs::create_dir(&cgroup).map_err(|error| format!("{} cannot be made: {error}", cgroup.display()))?;
        let log = directory.join("systemd.log");
        let out = std::fs::File::create(&log).unwrap();
        // In its cgroup before the namespace begins, so that this is the root that it sees.
        let script = r#"echo $$ > "$1/cgroup.procs" && shift && exec unshare --mount --pid --fork --net --uts --ipc --cgroup --kill-child=KILL sh -c "$@""#;
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(&cgroup).args([BOOT, "sh"]).arg(program("quorate")).arg(etc);
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        platform::end_with_parent(&mut command);
        let unshare = command.spawn().map_err(|error| format!("unshare cannot be started: {error}"))?;
        Ok(Self { unshare, cgroup, log })
    }

    /// The first process of the namespace, as it is called outside.
    fn first_process(&self) -> Option<String> {
        let pid = self.unshare.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next().map(str::to_owned)
    }

    fn run(&self, words: &[&str]) -> Done {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.first_process().unwrap_or_default()]);
        command.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--"]).args(words);
        Done::of(command.env("PGPASSWORD", "one"))
    }

    fn property(&self, name: &str) -> String {
        self.run(&["systemctl", "show", "quorate", "--value", "-p", name]).ok().trim().to_owned()
    }

    /// Whether it came up. It did not when a step of [`BOOT`] is not allowed here, which has ended it then.
    async fn is_up(&mut self) -> Result<(), String> {
        let ended = std::cell::Cell::new(false);
        let (this, ended_here) = (std::cell::RefCell::new(self), &ended);
        eventually("systemd has booted", async || {
            let mut this = this.borrow_mut();
            if this.unshare.try_wait().unwrap().is_some() {
                ended_here.set(true);
                return Some(());
            }
            this.first_process()?;
            (this.run(&["systemctl", "is-active", TARGET]).out.trim() == "active").then_some(())
        })
        .await;
        if !ended.get() {
            return Ok(());
        }
        let log = std::fs::read_to_string(&this.borrow().log).unwrap_or_default();
        Err(log.lines().last().unwrap_or("it ended at once").to_owned())
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::support::print_tail(&self.log);
            eprintln!("{}", self.run(&["journalctl", "--no-pager", "-n", "60"]).out);
        }
        // With it ends its first process, and with that everything in the namespace.
        if let Some(first) =
            self.first_process().and_then(|pid| pid.parse().ok()).and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(first, rustix::process::Signal::KILL);
        }
        let _ = self.unshare.wait();
        remove_cgroups(&self.cgroup);
    }
}

/// Empty ones can be removed only from the leaves on.
fn remove_cgroups(cgroup: &Path) {
    for below in std::fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if below.file_type().is_ok_and(|it| it.is_dir()) {
            remove_cgroups(&below.path());
        }
    }
    let _ = std::fs::remove_dir(cgroup);
}

/// Where version 2 of the control groups is: alone, or beside version 1.
fn unified_hierarchy() -> Result<PathBuf, String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.get(2) == Some(&"cgroup2")).map(|fields| fields[1].into());
    found.ok_or_else(|| "there are no control groups of version 2".to_owned())
}

#[test]
fn a_service_is_installed_watched_started_again_stopped_and_removed() {
    run(async {
        let directory = tempfile::tempdir().unwrap();
        let mut system = match Booted::boot(directory.path()) {
            Ok(system) => system,
            Err(why) => return println!("skipped: systemd cannot run here: {why}"),
        };
        if let Err(why) = system.is_up().await {
            return println!("skipped: systemd cannot run here: {why}");
        }
        system.run(&["ip", "link", "set", "lo", "up"]).ok();
        let quorate = |words: &[&str]| system.run(&[&["quorate", "service"], words].concat());
        let sql = |text: &str| system.run(&["psql", "-h", "127.0.0.1", "-U", "postgres", "-Atc", text]);
        let absent = quorate(&["start"]).failed(2);
        assert!(absent.contains("[cli-service-absent]") && absent.contains("quorate service install"), "{absent}");

        let said = quorate(&["install", CONFIG]);
        assert!(said.err.contains("quorate.service is installed and starts with the system"), "{said:?}");
        assert_eq!(system.property("UnitFileState"), "enabled");
        let status = quorate(&["status"]);
        assert_eq!((status.code, status.out.trim()), (Some(1), "quorate is inactive (dead), enabled"));
        // It returns when the agent has said that it is ready (Type=notify).
        quorate(&["start"]).ok();
        assert_eq!((system.property("ActiveState"), system.property("Type")), ("active".into(), "notify".into()));
        let guard = system.property("MainPID");
        assert!(quorate(&["status"]).ok().contains(&format!("active (running), enabled, process {guard}, since")));
        eventually("PostgreSQL takes writes", async || {
            (sql("create table if not exists t(a int); insert into t values (1)").code == Some(0)).then_some(())
        })
        .await;

        // A guard that stands still gives no sign of life.
        let begun = Instant::now();
        system.run(&["kill", "-STOP", &guard]).ok();
        eventually("the watchdog has started it again", async || {
            let now = system.property("MainPID");
            (now != guard && now != "0" && system.property("ActiveState") == "active").then_some(())
        })
        .await;
        assert!(begun.elapsed() < WATCHDOG_MAX, "{:?}", begun.elapsed());
        assert_eq!(system.property("NRestarts"), "1");
        assert!(quorate(&["status"]).ok().contains("started again once"));
        eventually("PostgreSQL takes writes", async || (sql("insert into t values (2)").code == Some(0)).then_some(()))
            .await;
        assert_eq!(sql("select count(*) from t").ok().trim(), "2", "nothing acknowledged is lost");

        quorate(&["stop"]).ok();
        assert_eq!((system.property("ActiveState"), system.property("Result")), ("inactive".into(), "success".into()));
        let control = "/usr/lib/postgresql/*/bin/pg_controldata /var/lib/quorate/postgresql";
        let control = system.run(&["sh", "-c", control]).ok();
        assert!(control.lines().any(|line| line.ends_with(" shut down")), "{control}");
        let left = system.run(&["ps", "-eo", "args"]).ok();
        assert!(!left.contains("quorate") && !left.contains("postgres"), "{left}");

        let said = quorate(&["uninstall", CONFIG]);
        assert!(said.err.contains("the data of PostgreSQL in /var/lib/quorate/postgresql"), "{said:?}");
        assert_eq!(system.property("LoadState"), "not-found");
        system.run(&["test", "-f", "/var/lib/quorate/postgresql/PG_VERSION"]).ok();
        assert!(quorate(&["status"]).failed(2).contains("[cli-service-absent]"));
    });
}
