//! The stock command-line client against ours.

use crate::lab::{Ours, SOON, soon};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

struct Etcdctl {
    endpoints: String,
}

struct Said {
    ok: bool,
    out: String,
    err: String,
}

impl Etcdctl {
    fn of(servers: &[&Ours]) -> Self {
        Self { endpoints: servers.iter().map(|server| server.address.to_string()).collect::<Vec<_>>().join(",") }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(&self.endpoints).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn try_run(&self, arguments: &[&str], input: &str) -> Said {
        let mut child = self.command(arguments).spawn().expect("etcdctl is not installed (`./dev test` installs it)");
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        let output = soon("etcdctl comes to an end", child.wait_with_output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }

    async fn run(&self, arguments: &[&str]) -> String {
        let said = self.try_run(arguments, "").await;
        assert!(said.ok, "{arguments:?}: {}", said.err);
        said.out
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let said = self.try_run(arguments, "").await;
        assert!(!said.ok, "{arguments:?}: {}", said.out);
        said.err
    }

    fn listen(&self, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut child = self.command(arguments).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }
}

async fn heard(lines: &mut Lines<BufReader<ChildStdout>>, count: usize) -> Vec<String> {
    let mut heard = Vec::new();
    while heard.len() < count {
        heard.push(soon("another line", lines.next_line()).await.unwrap().expect("it ended too early"));
    }
    heard
}

#[tokio::test]
async fn keys() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    for (key, value) in [("a/1", "x"), ("a/2", "y"), ("b", "z")] {
        assert_eq!(etcdctl.run(&["put", key, value]).await, "OK\n");
    }
    assert_eq!(etcdctl.run(&["get", "--prefix", "a/"]).await, "a/1\nx\na/2\ny\n");
    assert_eq!(etcdctl.run(&["get", "a/", "b", "--keys-only", "--order=DESCEND"]).await, "a/2\n\na/1\n\n");
    assert_eq!(etcdctl.run(&["get", "", "--prefix", "--limit=1", "--print-value-only"]).await, "x\n");
    assert_eq!(etcdctl.run(&["put", "a/1", "x2", "--prev-kv"]).await, "OK\na/1\nx\n");
    assert_eq!(etcdctl.run(&["get", "a/1", "--rev=2", "--print-value-only"]).await, "x\n");
    assert_eq!(etcdctl.run(&["del", "--prefix", "a/", "--prev-kv"]).await, "2\na/1\nx2\na/2\ny\n");
    let json = etcdctl.run(&["get", "b", "-w", "json"]).await;
    assert!(json.contains(r#""create_revision":4,"mod_revision":4,"version":1,"value":"eg=="}],"count":1"#), "{json}");
}

#[tokio::test]
async fn transactions_and_compaction() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    let txn = "create(\"k\") = \"0\"\n\nput k 1\n\nget k\n\n";
    assert_eq!(etcdctl.try_run(&["txn"], txn).await.out, "SUCCESS\n\nOK\n");
    assert_eq!(etcdctl.try_run(&["txn"], txn).await.out, "FAILURE\n\nk\n1\n");
    etcdctl.run(&["put", "k", "2"]).await;
    etcdctl.run(&["put", "k", "3"]).await;
    assert_eq!(etcdctl.run(&["compaction", "3"]).await, "compacted revision 3\n");
    assert!(etcdctl.refused(&["compaction", "3"]).await.contains("required revision has been compacted"));
    assert!(etcdctl.refused(&["get", "k", "--rev=2"]).await.contains("required revision has been compacted"));
    assert_eq!(etcdctl.run(&["get", "k", "--rev=3", "--print-value-only"]).await, "2\n");
    let watch = etcdctl.try_run(&["watch", "k", "--rev=2"], "").await;
    assert!(!watch.ok && watch.err.contains("required revision has been compacted"), "{}", watch.err);
}

#[tokio::test]
async fn watches() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    etcdctl.run(&["put", "w/1", "old"]).await;
    let (_watch, mut lines) = etcdctl.listen(&["watch", "--prefix", "w/", "--rev=2", "--prev-kv"]);
    assert_eq!(heard(&mut lines, 3).await, ["PUT", "w/1", "old"]);
    etcdctl.run(&["put", "w/1", "new"]).await;
    // With --prev-kv it prints the pair before the change first.
    assert_eq!(heard(&mut lines, 5).await, ["PUT", "w/1", "old", "w/1", "new"]);
    etcdctl.run(&["put", "elsewhere", "x"]).await;
    etcdctl.run(&["del", "w/1"]).await;
    assert_eq!(heard(&mut lines, 4).await, ["DELETE", "w/1", "new", "w/1"]);
}

#[tokio::test]
async fn leases() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    let granted = etcdctl.run(&["lease", "grant", "60"]).await;
    let id = granted.split_whitespace().nth(1).unwrap();
    assert_eq!(granted, format!("lease {id} granted with TTL(60s)\n"));
    etcdctl.run(&["put", "leased", "v", "--lease", id]).await;
    assert_eq!(
        etcdctl.run(&["lease", "keep-alive", "--once", id]).await,
        format!("lease {id} keepalived with TTL(60)\n")
    );
    let left = etcdctl.run(&["lease", "timetolive", "--keys", id]).await;
    assert!(left.contains("granted with TTL(60s), remaining(") && left.contains("attached keys([leased])"), "{left}");
    assert_eq!(etcdctl.run(&["lease", "list"]).await, format!("found 1 leases\n{id}\n"));
    assert_eq!(etcdctl.run(&["lease", "revoke", id]).await, format!("lease {id} revoked\n"));
    assert_eq!(etcdctl.run(&["get", "leased"]).await, "");
    assert_eq!(etcdctl.run(&["lease", "timetolive", id]).await, format!("lease {id} already expired\n"));
    assert!(etcdctl.refused(&["lease", "revoke", id]).await.contains("requested lease not found"));
    assert!(etcdctl.refused(&["put", "k", "v", "--lease", id]).await.contains("requested lease not found"));
}

#[tokio::test]
async fn recipes_of_its_own() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    assert_eq!(etcdctl.run(&["lock", "mutex", "--", "echo", "held"]).await, "held\n");
    let (_campaign, mut lines) = etcdctl.listen(&["elect", "office", "someone"]);
    assert_eq!(heard(&mut lines, 2).await[1], "someone");
}

#[tokio::test]
async fn looking_after_members() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    let status = etcdctl.run(&["endpoint", "status", "-w", "table"]).await;
    assert!(status.contains(" 3.5.21 |") && status.contains("|      true |      false |"), "{status}");
    let health = etcdctl.try_run(&["endpoint", "health"], "").await;
    assert!(health.ok && format!("{}{}", health.out, health.err).contains("is healthy"));
    let members = etcdctl.run(&["member", "list"]).await;
    assert!(members.contains(", started, m1, ") && members.contains(&format!("http://{}", server.address)));
    assert_eq!(etcdctl.run(&["alarm", "list"]).await, "");
    assert!(etcdctl.run(&["defrag"]).await.starts_with("Finished"));
    assert!(
        etcdctl.refused(&["member", "add", "m9", "--peer-urls=http://10.0.0.9:2380"]).await.contains("is not offered")
    );
    assert!(etcdctl.refused(&["snapshot", "save", "/dev/null/none"]).await.contains("rror"));
}

#[tokio::test]
async fn one_that_is_given_a_password_is_told_that_none_is_needed() {
    let server = Ours::start().await;
    let etcdctl = Etcdctl::of(&[&server]);
    let said = etcdctl.try_run(&["--user", "root:secret", "put", "a", "1"], "").await;
    assert_eq!((said.ok, said.out.as_str()), (true, "OK\n"), "{} {SOON:?}", said.err);
}

#[tokio::test]
async fn a_cluster_and_its_leader() {
    let servers = Ours::start_cluster(3).await;
    let etcdctl = Etcdctl::of(&servers.iter().collect::<Vec<_>>());
    let members = etcdctl.run(&["member", "list"]).await;
    assert_eq!(members.lines().count(), 3);
    let status = etcdctl.run(&["endpoint", "status", "-w", "fields"]).await;
    assert_eq!(status.matches("\"MemberID\"").count(), 3, "{status}");
    let hashes = etcdctl.run(&["endpoint", "hashkv"]).await;
    let hashes: Vec<_> = hashes.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert!(hashes.len() == 3 && hashes.iter().all(|hash| *hash == hashes[0]));
    let target = servers.iter().find(|server| !server.leads()).unwrap();
    let moved = etcdctl.run(&["move-leader", &format!("{:x}", target.store.status().id)]).await;
    assert!(moved.starts_with("Leadership transferred from"), "{moved}");
    assert!(target.leads());
    assert_eq!(etcdctl.run(&["put", "after", "that"]).await, "OK\n");
}
