//! Programs of the distribution.

use super::{ask, field, free_port, wait_for};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A redis-server, ended with the test.
pub struct Redis {
    pub port: u16,
    child: Child,
    _directory: tempfile::TempDir,
}

impl Redis {
    pub async fn start(replica_of: Option<u16>, lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let of = replica_of.map(|master| format!("replicaof 127.0.0.1 {master}\n")).unwrap_or_default();
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsave \"\"\ndir {}\nrepl-diskless-sync-delay 0\n{of}{lines}\n",
            directory.path().display()
        );
        let child = run("redis-server", directory.path(), &text);
        let redis = Self { port, child, _directory: directory };
        wait_for("redis-server to start", || async {
            let info = ask(port, "PING").await;
            info.as_bytes().map(|_| ()).or(info.as_error().map(|_| ()))
        })
        .await;
        redis
    }

    pub fn kill(&mut self) {
        end(&mut self.child);
    }

    pub async fn role(&self) -> String {
        ask(self.port, "INFO replication").await.as_text().map_or(String::new(), |text| {
            text.lines().find_map(|line| line.strip_prefix("role:")).unwrap_or_default().trim().to_owned()
        })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Debian's redis-sentinel.
pub struct Real {
    pub port: u16,
    pub directory: tempfile::TempDir,
    child: Child,
}

impl Real {
    pub fn start(lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        let child = run("redis-sentinel", directory.path(), &format!("port {port}\nbind 127.0.0.1\n{lines}\n"));
        Self { port, directory, child }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("redis.conf")
    }

    pub fn file(&self) -> String {
        std::fs::read_to_string(self.path()).expect("there")
    }

    /// Ends as an administrator ends it.
    pub fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let stopped = Command::new("kill").arg(pid.to_string()).status();
        assert!(stopped.is_ok_and(|status| status.success()));
        let _ = self.child.wait();
    }

    /// Again, with the file as it is now.
    pub fn start_again(&mut self) {
        self.child = start("redis-sentinel", self.directory.path());
    }

    pub fn kill(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(program: &str, directory: &Path, configuration: &str) -> Child {
    std::fs::write(directory.join("redis.conf"), configuration).expect("written");
    start(program, directory)
}

fn start(program: &str, directory: &Path) -> Child {
    let file = directory.join("redis.conf");
    let log = std::fs::File::create(directory.join("log")).expect("a log");
    Command::new(program)
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started ({error}); ./dev setup installs it"))
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// A master with two replicas that are in step with it.
pub struct Group {
    pub master: Redis,
    pub replicas: Vec<Redis>,
}

impl Group {
    pub async fn start(lines: &str) -> Self {
        let master = Redis::start(None, lines).await;
        let replicas = vec![Redis::start(Some(master.port), lines).await, Redis::start(Some(master.port), lines).await];
        for replica in &replicas {
            wait_for("a replica to be in step", || async {
                let info = ask(replica.port, "INFO replication").await;
                info.as_text()?.contains("master_link_status:up").then_some(())
            })
            .await;
        }
        Self { master, replicas }
    }
}

/// Until this sentinel knows so many replicas and other sentinels of a master.
pub async fn wait_until_known(port: u16, master: &str, replicas: usize, others: usize) {
    wait_for(&format!("the sentinel on {port} to know {replicas} replicas and {others} sentinels"), || async {
        let reply = ask(port, &format!("SENTINEL MASTER {master}")).await;
        let number = |name: &str| field(&reply, name)?.parse::<usize>().ok();
        (number("num-slaves")? == replicas && number("num-other-sentinels")? == others).then_some(())
    })
    .await;
}
